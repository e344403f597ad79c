package admin

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/hayate-ads/hayate/internal/ad"
)

func TestExchangeRates(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	operator := h.as(ad.RoleOperator)
	set := func(currency, value, version string) result {
		return operator.post("/exchange-rates", url.Values{"currency": {currency}, "value": {value}, "version": {version}})
	}
	operator.get("/exchange-rates").want(t, 200).has(t, "No exchange rates yet")
	set("jpy", "0.0067", "").want(t, http.StatusSeeOther)
	operator.get("/exchange-rates?currency=JPY").want(t, 200).has(t, "0.0067", `value="JPY"`)
	set("JPY", "0.007", "").want(t, http.StatusUnprocessableEntity) // there is one
	set("JPY", "0.007", "7").want(t, http.StatusConflict)
	set("EUR", "0", "").want(t, http.StatusUnprocessableEntity)
	set("EURO", "1.1", "").want(t, http.StatusUnprocessableEntity)
	set("JPY", "0.0068", "1").want(t, http.StatusSeeOther)

	program := h.program(ad.RoleOperator)
	program.call("GET", "/api/v1/exchange-rates", nil).want(t, 200).has(t, `"currency":"JPY","value":"0.0068"`, `"version":2`)
	program.call("PUT", "/api/v1/exchange-rates/EUR", map[string]any{"value": "1.08"}).want(t, 200).has(t, `"currency":"EUR"`)
	program.call("PUT", "/api/v1/exchange-rates/EUR", map[string]any{"value": "1.09", "version": 9}).want(t, http.StatusConflict)
	program.call("PUT", "/api/v1/exchange-rates/EUR", map[string]any{"value": "1.0000001"}).want(t, http.StatusUnprocessableEntity)
	program.call("DELETE", "/api/v1/exchange-rates/EUR?version=1", nil).want(t, http.StatusNoContent)
	program.call("DELETE", "/api/v1/exchange-rates/EUR?version=1", nil).want(t, http.StatusNotFound)

	// A floor needs its rate.
	path := placementPath(h.own.placement.ID)
	operator.post(path, url.Values{"name": {"Floored"}, "formats": {"banner"}, "sizes": {"300x250"}, "floor": {"120"}, "floor_currency": {"jpy"},
		"auction_type": {"second"}, "position": {"header"}, "blocked_categories": {"iab1/IAB26, iab1/IAB25"}, "blocked_attributes": {"1, 3"}, "version": {"1"}}).
		want(t, http.StatusSeeOther)
	operator.get(path).want(t, 200).has(t, "120.00 JPY", "Second price", "Header", "iab1/IAB25, iab1/IAB26", "1, 3")
	set("JPY", "", "2").want(t, http.StatusUnprocessableEntity).has(t, "1 active placements")
	set("JPY", "0.0069", "2").want(t, http.StatusSeeOther)
}

// What a page leaves out because its visitor may not set it stays as it was.
func TestLineItemOnAPage(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	path := lineItemPath(h.own.lineItem.ID)
	form := url.Values{"name": {"Together"}, "starts_at": {"2026-04-01T09:00"}, "cpm": {"2"}, "tier": {"sponsorship"}, "weight": {"40"},
		"roadblock": {"all"}, "labels": {"cars, bank accounts"}, "targeting_mode": {"simple"}, "countries": {"JP"},
		"conditions": {"region: JP-13; JP-14\nnot domain: news.example"}, "version": {"1"}}
	h.as(ad.RoleOperator).post(path, form).want(t, http.StatusSeeOther)
	h.as(ad.RoleOperator).get(path).want(t, 200).has(t, "40", "All creatives together, or none", "bank accounts, cars", "One of: JP-13, JP-14", "None of: news.example")
	h.as(ad.RoleAdvertiser).get(path+"/edit").want(t, 200).has(t, "region: JP-13; JP-14\nnot domain: news.example", "bank accounts, cars")
	form.Del("tier")
	form.Set("weight", "1000")
	form.Set("version", "2")
	h.as(ad.RoleAdvertiser).post(path, form).want(t, http.StatusSeeOther)
	h.program(ad.RoleAdvertiser).call("GET", "/api/v1"+path, nil).want(t, 200).
		has(t, `"weight":40`, `"roadblock":"all"`, `"labels":["bank accounts","cars"]`, `"tier":"sponsorship"`)
	form.Set("conditions", "moon: full")
	form.Set("version", "3")
	h.as(ad.RoleAdvertiser).post(path, form).want(t, http.StatusUnprocessableEntity).has(t, "Line 1: no dimension")
}
