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
	mux.HandleFunc("GET /landing/{advertiser}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		landingTemplate.Execute(w, r.PathValue("advertiser"))
	})
	return mux
}

var landingTemplate = template.Must(template.New("landing").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{.}}</title>
<body style="font:18px/1.6 system-ui,sans-serif;max-width:36em;margin:12vh auto;padding:0 16px">
<h1>Welcome to {{.}}</h1><p>You clicked an ad of the demo. An advertiser's own page would stand here.</p>
<p><a href="/">Back to The Tailwind</a></p>
`))
