package admin

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/hayate-ads/hayate/internal/ad"
)

// charged gives a line item of this house one cell that was charged, and the
// budgets that paid for it.
func (h *house) charged(x things, impressions int, micros int64) {
	h.t.Helper()
	do := func(sql string, args ...any) {
		h.t.Helper()
		_, err := h.db.Pool.Exec(h.t.Context(), sql, args...)
		must(h.t, 0, err)
	}
	item, placement := x.lineItem.ID, x.placement.ID
	do(`SELECT make_partition(r, '2026-04-01T00:00Z') FROM unnest(ARRAY['report_hour', 'report_supply_hour', 'report_audience_hour']) AS r`)
	do(`INSERT INTO account (level, owner_id, day, settled_micros, settled_impressions) VALUES ('line_item', $1, '2026-04-01', $3, $2)`, item, impressions, micros)
	do(`UPDATE account SET settled_micros = $3, settled_impressions = $2 WHERE owner_id = $1 AND day IS NULL`, item, impressions, micros)
	do(`INSERT INTO ledger (batch, line_item_id, day, charged_micros, charged_impressions) VALUES (2, $1, '2026-04-01', $3, $2)`, item, impressions, micros)
	do(`INSERT INTO report_hour (hour, line_item_id, creative_id, placement_id, impressions, spend_micros, revenue_micros)
		VALUES ('2026-04-01T02:00Z', $1, 1, $2, $3, $4, $5)`, item, placement, impressions, micros, micros/2)
	do(`INSERT INTO report_supply_hour (hour, placement_id, no_fill, impressions, revenue_micros)
		VALUES ('2026-04-01T02:00Z', $1, '', $2, $3)`, placement, impressions, micros/2)
}

// An operator says what was invalid, sees what it comes to, and credits exactly
// that; sent again, or with figures that have moved, it is not made.
func TestCorrectionPages(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.charged(h.own, 1000, 5_000_000)
	c := h.as(ad.RoleOperator)
	form := url.Values{"advertiser_id": {h.own.path("advertisers")}, "from": {"2026-04-01T00:00"}, "to": {"2026-04-02T00:00"}, "why": {"<b>Robots</b> of a data centre"}}
	with := func(more ...string) url.Values {
		all := url.Values{}
		for key, values := range form {
			all[key] = values
		}
		for i := 0; i < len(more); i += 2 {
			all.Set(more[i], more[i+1])
		}
		return all
	}
	c.get("/corrections/new").want(t, 200).has(t, "Own advertiser", `name="why"`)
	c.post("/corrections/preview", url.Values{"from": {"2026-04-01T00:30"}, "to": {""}, "why": {"\n"}}).want(t, 422).has(t, `id="advertiser_id"`, `id="from-error"`, `id="to-error"`, `id="why-error"`)
	c.post("/corrections/preview", with("line_item_id", h.foreign.path("line-items"))).want(t, 422).has(t, `id="line_item_id-error"`)
	c.post("/corrections/preview", with("exchange_id", "x")).want(t, 400)
	c.post("/corrections/preview", with("placement_id", h.foreign.path("placements"))).want(t, 200).has(t, "Nothing to credit").lacks(t, `name="charged"`)
	before := h.rows()
	c.post("/corrections/preview", form).want(t, 200).has(t, `name="charged" value="5.00"`, `name="revenue" value="2.50"`, `name="impressions" value="1000"`, "Own line item", "&lt;b&gt;Robots").
		lacks(t, "<b>Robots")
	c.post("/corrections", form).want(t, http.StatusConflict).has(t, "The figures have changed", `name="charged" value="5.00"`)
	c.post("/corrections", with("charged", "4.99", "revenue", "2.50", "impressions", "1000")).want(t, http.StatusConflict)
	c.post("/corrections", with("charged", "five")).want(t, 422)
	if h.rows() != before {
		t.Error("something was credited")
	}
	confirmed := with("charged", "5.00", "revenue", "2.50", "impressions", "1000")
	made := c.post("/corrections", confirmed)
	id := made.id(t)
	c.get("/corrections/"+made.header.Get("Location")[len("/corrections/"):]).want(t, 200).has(t, "5.00", "2.50", "1,000 impressions", "Own line item")
	c.post("/corrections", confirmed).want(t, http.StatusConflict)
	c.get("/corrections").want(t, 200).has(t, "Own advertiser", "5.00")

	month := h.console.now().In(zoneOf(h.own.advertiser)).Format(monthLayout)
	advertiser := h.as(ad.RoleAdvertiser)
	advertiser.get(invoicePath(h.own.advertiser.ID, month)).want(t, 200).has(t, "-5.00", "&lt;b&gt;Robots", "Nothing was charged")
	advertiser.get("/api/v1/corrections").want(t, 200).has(t, `"charged":"5.00"`, `"revenue":"0.00"`).lacks(t, "FOREIGN", `"user_id"`)
	h.as(ad.RoleReviewer).get("/api/v1/corrections").want(t, 200).has(t, `"items":[]`)
	if id <= 0 {
		t.Errorf("id %d", id)
	}
}

func TestCorrectionAPI(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.charged(h.own, 1000, 5_000_000)
	p := h.program(ad.RoleOperator)
	body := map[string]any{"advertiser_id": h.own.advertiser.ID, "from": "2026-04-01T00:00:00Z", "to": "2026-04-01T03:00", "why": "Robots", "exchange_id": 0}
	preview := p.call("POST", "/api/v1/corrections/preview", body).want(t, 200).has(t, `"charged":"5.00"`, `"folded":"0.00"`)
	var figures struct {
		Impressions      int64
		Charged, Revenue string
	}
	must(t, 0, json.Unmarshal([]byte(preview.body), &figures))
	body["impressions"], body["charged"], body["revenue"] = figures.Impressions, figures.Charged, figures.Revenue
	p.call("POST", "/api/v1/corrections", body).want(t, 201).has(t, `"exchange_id":0`, `"impressions":1000`)
	p.call("POST", "/api/v1/corrections", body).want(t, http.StatusConflict).has(t, `"code":"figures"`)
	body["from"] = "2026-04-01T00:15:00Z"
	p.call("POST", "/api/v1/corrections", body).want(t, 422).has(t, `"from"`)
}

func TestInvoicePages(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	own := "/invoices/" + h.own.path("advertisers") + "/" + invoiceMonth
	c := h.as(ad.RoleAdvertiser)
	c.get("/invoices").want(t, 200).has(t, invoiceMonth, "7.654321", "-0.654321", "7.00", "Open").lacks(t, "FOREIGN")
	c.get("/invoices?advertiser_id="+h.foreign.path("advertisers")).want(t, 200).lacks(t, "FOREIGN", "7.654321")
	c.get(own).want(t, 200).has(t, "Own campaign", "Own line item", "4,321", "7.654321", "-0.654321", "Own advertiser robots", "7.00", "2026-04-02 09:00").lacks(t, "FOREIGN")
	csv := c.get(own+"/csv").want(t, 200).has(t, "charge,", ",7.654321,", "credit,", ",-0.654321,", "Own advertiser robots").lacks(t, "FOREIGN")
	if got := csv.header.Get("Content-Disposition"); !strings.Contains(got, "invoice-"+h.own.path("advertisers")+"-2026-04.csv") {
		t.Errorf("file: %s", got)
	}
	_, err := h.db.Pool.Exec(t.Context(), "UPDATE settlement SET watermark = '2026-04-30T15:00Z'")
	must(t, 0, err)
	_, err = h.db.Pool.Exec(t.Context(), "UPDATE correction SET why = '=cmd|''/C calc''!A0'")
	must(t, 0, err)
	c.get(own).want(t, 200).has(t, "Final")
	c.get(own+"/csv").want(t, 200).has(t, ",'=cmd|'/C calc'!A0")
	h.program(ad.RoleAdvertiser).get("/api/v1"+own).want(t, 200).has(t, `"state":"final"`, `"total":"7.00"`, `"settled_to":"2026-04-30T15:00:00Z"`)
	operator := h.as(ad.RoleOperator)
	operator.get("/invoices?month="+invoiceMonth).want(t, 200).has(t, "Own advertiser", "FOREIGN advertiser")
	operator.get("/invoices").want(t, 200)
	operator.get("/invoices?month=April").want(t, 422)
	for _, bad := range []string{"2026-13", "2026", "x", "1999-12", "2026-04-01"} {
		operator.get("/invoices/"+h.own.path("advertisers")+"/"+bad).want(t, 404)
	}
	operator.get("/invoices/999999/"+invoiceMonth).want(t, 404)
}

func TestConversionPage(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	path := conversionsPath(h.own.advertiser.ID)
	c := h.as(ad.RoleAdvertiser)
	c.get(path).want(t, 200).has(t, "Own advertiser order", "49.90", "30 days", "1 day <", "Own line item",
		"http://127.0.0.1:8080/c/"+h.own.path("advertisers")+"?order=ORDER", "/t/x/TOKEN?order=ORDER", "{conversion}").lacks(t, "FOREIGN")
	h.program(ad.RoleAdvertiser).get("/api/v1"+path).want(t, 200).has(t, `"after":"click"`, `"value":"49.90"`)

	operator := h.as(ad.RoleOperator)
	form := url.Values{"name": {"Own advertiser"}, "domain": {"own.example.com"}, "time_zone": {"Asia/Tokyo"}, "version": {"1"}}
	f := func(click, view string, status int, needle string) {
		t.Helper()
		form.Set("click_window_days", click)
		form.Set("view_window_days", view)
		operator.post(advertiserPath(h.own.advertiser.ID), form).want(t, status).has(t, needle)
	}
	f("0", "0", 422, `id="click_window_days-error"`)
	f("91", "31", 422, `id="view_window_days-error"`)
	f("x", "1", 400, "")
	f("90", "0", 303, "")
	c.get(path).want(t, 200).has(t, "90 days", "not counted")
	p := h.program(ad.RoleOperator)
	p.call("PUT", "/api/v1"+advertiserPath(h.own.advertiser.ID), map[string]any{"view_window_days": 7, "version": 2}).want(t, 200).has(t, `"click_window_days":90`, `"view_window_days":7`)
	p.call("PUT", "/api/v1"+advertiserPath(h.own.advertiser.ID), map[string]any{"click_window_days": 0, "version": 3}).want(t, 422).has(t, `"click_window_days"`)
	p.call("POST", "/api/v1/advertisers", map[string]any{"name": "New", "domain": "new.example.com", "time_zone": "UTC"}).want(t, 201).
		has(t, `"click_window_days":30`, `"view_window_days":1`)
	var detail string
	err := h.db.Pool.QueryRow(t.Context(), "SELECT string_agg(detail::text, ' ') FROM audit_log WHERE kind = 'advertiser'").Scan(&detail)
	if must(t, 0, err); !strings.Contains(detail, `"ClickWindowDays": [30, 90]`) {
		t.Errorf("audit: %s", detail)
	}
}
