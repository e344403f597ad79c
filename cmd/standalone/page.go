package main

import (
	_ "embed"
	"html/template"
	"net/http"
)

//go:embed demo/page.html
var pageHTML string

var pageTemplate = template.Must(template.New("page").Parse(pageHTML))

// page is what the demo publisher's page needs to know.
type page struct {
	DeliveryURL, AdminURL                         string
	Leaderboard, Rectangle, Mobile, Native, Video string // placement ids
}

// handler serves the demo publisher: its one page, and the pages that its demo
// advertisers' clicks end on.
func (p page) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		pageTemplate.Execute(w, p)
	})
	mux.HandleFunc("GET /landing/{advertiser}", p.landing)
	mux.HandleFunc("GET /landing/{advertiser}/thanks", p.thanks)
	return mux
}
