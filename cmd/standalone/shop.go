package main

import (
	"fmt"
	"html/template"
	"math/rand/v2"
	"net/http"
	"strconv"
)

// shop is one view of a demo advertiser's pages: where a click ends, and where an
// order does.
type shop struct {
	DeliveryURL string
	Name        string
	ID          int64  // the advertiser's; 0: not known
	Token       string // of the click, as the landing URL brought it
	Order       string
}

func (p page) shop(r *http.Request) shop {
	id, err := strconv.ParseInt(r.FormValue("id"), 10, 64)
	if err != nil {
		id = 0
	}
	return shop{DeliveryURL: p.DeliveryURL, Name: r.PathValue("advertiser"), ID: id, Token: r.FormValue("hy")}
}

// landing is the page that a click leads to.
func (p page) landing(w http.ResponseWriter, r *http.Request) { show(w, "landing", p.shop(r)) }

// thanks is the page after an order. It reports the order in two of the ways that
// docs/advertisers.md describes; as both name the same order, it counts once.
func (p page) thanks(w http.ResponseWriter, r *http.Request) {
	s := p.shop(r)
	s.Order = fmt.Sprintf("demo-%08x", rand.Uint32())
	show(w, "thanks", s)
}

func show(w http.ResponseWriter, name string, s shop) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	shopTemplates.ExecuteTemplate(w, name, s)
}

var shopTemplates = template.Must(template.New("shop").Parse(`
{{define "head"}}<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{.Name}}</title>
<body style="font:18px/1.6 system-ui,sans-serif;max-width:36em;margin:12vh auto;padding:0 16px">
{{end}}
{{define "landing"}}{{template "head" .}}
<h1>Welcome to {{.Name}}</h1><p>You clicked an ad of the demo. An advertiser's own page would stand here.</p>
<p><a href="/landing/{{.Name}}/thanks?id={{.ID}}&amp;hy={{.Token}}">Buy something for 49.90</a></p>
<p><a href="/">Back to The Tailwind</a></p>
{{end}}
{{define "thanks"}}{{template "head" .}}
<h1>Thank you</h1><p>Your order is {{.Order}}. In a few seconds the reports show a conversion, if an ad led you here.</p>
<p><a href="/">Back to The Tailwind</a></p>
{{if .Token}}<img src="{{.DeliveryURL}}/t/x/{{.Token}}?order={{.Order}}&amp;value=49.90" alt="" width="1" height="1">{{end}}
{{if .ID}}<img src="{{.DeliveryURL}}/c/{{.ID}}?order={{.Order}}&amp;value=49.90" alt="" width="1" height="1">{{end}}
{{end}}`))
