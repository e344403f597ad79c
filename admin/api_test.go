package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// documentedAPI says what each operation answers to an id that is not theirs, for
// o(perator), r(eviewer), a(dvertiser), p(ublisher): 2 succeeds, 3 forbidden, 4
// not found, v invalid (a list or a new thing under a foreign parent: 2 and empty,
// or v). It stands here a second time on purpose.
var documentedAPI = map[string]string{
	"GET /api/v1/advertisers": "o2 r2 a2 p2", "POST /api/v1/advertisers": "o2 r3 a3 p3",
	"GET /api/v1/advertisers/{id}": "o2 r2 a4 p4", "PUT /api/v1/advertisers/{id}": "o2 r3 a4 p4",
	"GET /api/v1/campaigns": "o2 r2 a2 p2", "POST /api/v1/campaigns": "o2 r3 av pv",
	"GET /api/v1/campaigns/{id}": "o2 r2 a4 p4", "PUT /api/v1/campaigns/{id}": "o2 r3 a4 p4",
	"GET /api/v1/line-items": "o2 r2 a2 p2", "POST /api/v1/line-items": "o2 r3 av pv",
	"GET /api/v1/line-items/{id}": "o2 r2 a4 p4", "PUT /api/v1/line-items/{id}": "o2 r3 a4 p4",
	"GET /api/v1/creatives": "o2 r2 a2 p2", "POST /api/v1/creatives": "o2 r3 av pv",
	"GET /api/v1/creatives/{id}": "o2 r2 a4 p4", "PUT /api/v1/creatives/{id}": "o2 r3 a4 p4",
	"POST /api/v1/creatives/{id}/submit": "o2 r3 a4 p4", "POST /api/v1/creatives/{id}/review": "ov rv a4 p4",
	"GET /api/v1/reviews": "o2 r2 a3 p3", "POST /api/v1/images": "ov r3 av p3",
	"GET /api/v1/publishers": "o2 r2 a2 p2", "POST /api/v1/publishers": "o2 r3 a3 p3",
	"GET /api/v1/publishers/{id}": "o2 r4 a4 p4", "PUT /api/v1/publishers/{id}": "o2 r4 a4 p4",
	"GET /api/v1/properties": "o2 r2 a2 p2", "POST /api/v1/properties": "o2 rv av pv",
	"GET /api/v1/properties/{id}": "o2 r4 a4 p4", "PUT /api/v1/properties/{id}": "o2 r4 a4 p4",
	"GET /api/v1/placements": "o2 r2 a2 p2", "POST /api/v1/placements": "o2 rv av pv",
	"GET /api/v1/placements/{id}": "o2 r4 a4 p4", "PUT /api/v1/placements/{id}": "o2 r4 a4 p4",
	"GET /api/v1/users": "o2 r2 a2 p2", "POST /api/v1/users": "o2 r4 a4 p4",
	"GET /api/v1/users/{id}": "o2 r4 a4 p4", "PUT /api/v1/users/{id}": "o2 r4 a4 p4",
	"GET /api/v1/exchange-rates": "o2 r3 a3 p3", "PUT /api/v1/exchange-rates/{currency}": "ov r3 a3 p3", "DELETE /api/v1/exchange-rates/{currency}": "ov rv av pv",
	"GET /api/v1/line-items/{id}/exposure": "o2 r2 a4 p4", "GET /api/v1/line-items/{id}/why": "o2 r3 a4 p4",
	"GET /api/v1/jobs":        "o2 r3 a3 p3",
	"GET /api/v1/corrections": "o2 r2 a2 p2", "GET /api/v1/corrections/{id}": "o2 r4 a4 p4",
	"POST /api/v1/corrections/preview": "o2 r3 a3 p3", "POST /api/v1/corrections": "ov r3 a3 p3",
	"GET /api/v1/invoices": "ov r2 a2 p2", "GET /api/v1/invoices/{id}/{month}": "o2 r4 a4 p4", "GET /api/v1/advertisers/{id}/conversions": "o2 r3 a4 p3",
	"GET /api/v1/me": "o2 r2 a2 p2", "GET /api/v1/report": "o2 r3 a2 p3", "GET /api/v1/supply": "ov r3 a3 p2",
}

var apiStatus = map[byte]int{'2': 200, '3': http.StatusForbidden, '4': http.StatusNotFound, 'v': http.StatusUnprocessableEntity}

// apiBodies are right in themselves; only where they point is foreign.
func apiBody(operation string, x things) any {
	_, path, _ := strings.Cut(operation, " ")
	if strings.HasSuffix(path, "/submit") {
		return map[string]any{"revision": 1}
	}
	if strings.HasSuffix(path, "/review") {
		return map[string]any{"revision": 1, "verdict": "reject"} // without a reason: nothing changes
	}
	noun, _, _ := strings.Cut(strings.TrimPrefix(path, "/api/v1/"), "/")
	edit := strings.HasPrefix(operation, "PUT")
	body := map[string]map[string]any{
		"advertisers": {"name": "Stolen", "domain": "stolen.example.com", "time_zone": "Asia/Tokyo", "version": x.advertiser.Version},
		"campaigns":   {"name": "Stolen", "starts_at": "2026-04-01T09:00", "advertiser_id": x.advertiser.ID, "version": x.campaign.Version},
		"line-items":  {"name": "Stolen", "starts_at": "2026-04-01T09:00", "cpm": "1", "campaign_id": x.campaign.ID, "version": x.lineItem.Version},
		"creatives": {"name": "Stolen", "format": "html", "width": 300, "height": 250, "markup": "<p>", "landing_url": "https://stolen.example.com/",
			"line_item_id": x.lineItem.ID, "version": x.creative.Version},
		"publishers":  {"name": "Stolen", "domain": "stolen.example.com", "version": x.publisher.Version},
		"properties":  {"name": "Stolen", "domain": "stolen.example.com", "publisher_id": x.publisher.ID, "version": x.property.Version},
		"placements":  {"name": "Stolen", "formats": []string{"banner"}, "sizes": []sizeBody{{300, 250}}, "property_id": x.property.ID, "version": x.placement.Version},
		"users":       {"email": "stolen@example.com", "name": "Stolen", "role": "operator", "version": x.user.Version},
		"corrections": {"advertiser_id": x.advertiser.ID, "from": "2026-04-01T09:00:00Z", "to": "2026-04-01T10:00:00Z", "why": "Stolen"},
		"images":      {}, "exchange-rates": {"value": "1"}, // the path names no currency
	}[noun]
	if edit && noun == "users" {
		body["email"] = "stolen-edit@example.com"
	}
	return body
}

func operations(api huma.API) (all []string) {
	for path, item := range api.OpenAPI().Paths {
		for method, op := range map[string]*huma.Operation{"GET": item.Get, "POST": item.Post, "PUT": item.Put, "PATCH": item.Patch, "DELETE": item.Delete} {
			if op != nil {
				all = append(all, method+" "+path)
			}
		}
	}
	slices.Sort(all)
	return all
}

func TestAPIByRoleAndOwner(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	all := operations(h.console.api(http.NewServeMux()))
	for operation := range documentedAPI {
		if !slices.Contains(all, operation) {
			t.Errorf("%s is documented and does not exist", operation)
		}
	}
	for _, role := range []ad.Role{ad.RolePublisher, ad.RoleAdvertiser, ad.RoleReviewer, ad.RoleOperator} {
		program, before := h.program(role), h.rows()
		for _, operation := range all {
			want, listed := "", false
			for _, part := range strings.Fields(documentedAPI[operation]) {
				if part[:1] == roleLetters[role] {
					want, listed = part, true
				}
			}
			if !listed {
				t.Errorf("%s is not documented for the %s", operation, role)
				continue
			}
			method, path, _ := strings.Cut(operation, " ")
			noun, _, _ := strings.Cut(strings.TrimPrefix(path, "/api/v1/"), "/")
			var body any
			if method != http.MethodGet {
				current, err := h.db.FindCreative(t.Context(), postgres.System, h.foreign.creative.ID)
				h.foreign.creative = must(t, current, err) // its review is an edit too
				body = apiBody(operation, h.foreign)
			}
			got := program.call(method, strings.NewReplacer("{id}", h.foreign.path(noun), "{month}", invoiceMonth).Replace(path), body)
			if status := apiStatus[want[1]]; got.status != status && !(status == 200 && got.status == http.StatusCreated) {
				t.Errorf("%s: %s = %d, want %d\n%.400s", role, operation, got.status, status, got.body)
			}
			if got.status >= 400 && got.header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("%s: %s answers an error as %s", role, operation, got.header.Get("Content-Type"))
			}
			if role == ad.RoleAdvertiser || role == ad.RolePublisher {
				got.lacks(t, "FOREIGN")
			}
		}
		if role != ad.RoleOperator && h.rows() != before {
			t.Errorf("%s changed something that is not theirs", role)
		}
	}
}

func TestAPINeedsAToken(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	stranger := h.stranger()
	for _, operation := range operations(h.console.api(http.NewServeMux())) {
		method, path, _ := strings.Cut(operation, " ")
		got := stranger.call(method, strings.ReplaceAll(path, "{id}", "1"), nil).want(t, http.StatusUnauthorized).has(t, `"code":"unauthorized"`)
		if got.header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s says not how to authenticate", operation)
		}
	}
	for _, token := range []string{"x", "hyt_", "hyt_AAAAAAAAAAAAAAAAAAAAAAAAAA", strings.Repeat("a", 5000)} {
		stranger.token = token
		stranger.get("/api/v1/me").want(t, http.StatusUnauthorized)
	}
	stranger.token = ""
	stranger.get("/api/openapi.json").want(t, 200).has(t, `"openapi":"3.1.0"`, `"/api/v1/line-items/{id}"`, `"Problem"`, `"bearer"`)
	h.program(ad.RoleOperator).get("/api/v1/nothing").want(t, http.StatusNotFound).has(t, `"code":"not_found"`)
}

// A whole circle over the API, as a program would go it.
func TestAPICircle(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	p := h.program(ad.RoleAdvertiser)
	p.get("/api/v1/me").want(t, 200).has(t, `"role":"advertiser"`).lacks(t, "password", "argon2")
	read := func(r result, status int) map[string]any {
		t.Helper()
		var body map[string]any
		r.want(t, status)
		must(t, 0, json.Unmarshal([]byte(r.body), &body))
		return body
	}
	campaign := read(p.call("POST", "/api/v1/campaigns", map[string]any{"advertiser_id": h.own.advertiser.ID, "name": " Spring ", "starts_at": "2026-04-01T09:00"}), 201)
	if campaign["name"] != "Spring" || campaign["starts_at"] != "2026-04-01T00:00:00Z" || campaign["version"] != 1.0 {
		t.Errorf("campaign = %v", campaign)
	}
	item := read(p.call("POST", "/api/v1/line-items", map[string]any{
		"campaign_id": campaign["id"], "name": "Tokyo", "cpm": "2.01", "daily_budget": "50", "starts_at": "2026-04-01T00:00:00+09:00",
		"targeting": map[string]any{"is": map[string]any{"dimension": "country", "values": []string{"JP"}}},
	}), 201)
	if item["cpm"] != "2.01" || item["daily_budget"] != "50.00" || item["tier"] != "auction" {
		t.Errorf("line item = %v", item)
	}
	image := p.do(p.request("POST", "/api/v1/images", "image/png", string(testPNG(t, 300, 250))))
	uploaded := read(image, 201)
	creative := read(p.call("POST", "/api/v1/creatives", map[string]any{
		"line_item_id": item["id"], "name": "Banner", "image": uploaded["sha256"], "landing_url": "https://sakura.example.com/",
	}), 201)
	path := fmt.Sprintf("/api/v1/creatives/%.0f", creative["id"])
	if latest := creative["latest"].(map[string]any); latest["width"] != 300.0 || latest["review"] != "draft" {
		t.Errorf("latest = %v", latest)
	}
	p.call("POST", path+"/submit", map[string]any{"revision": 1}).want(t, 200).has(t, `"review":"pending"`)
	p.call("POST", path+"/submit", map[string]any{"revision": 1}).want(t, 422)
	p.call("POST", path+"/review", map[string]any{"revision": 1, "verdict": "approve"}).want(t, 403)
	reviewer := h.program(ad.RoleReviewer)
	reviewer.get("/api/v1/reviews").want(t, 200).has(t, `"name":"Banner"`)
	reviewer.call("POST", path+"/review", map[string]any{"revision": 1, "verdict": "reject"}).want(t, 422).has(t, `"field":"reason"`, `"code":"required"`)
	approved := read(reviewer.call("POST", path+"/review", map[string]any{"revision": 1, "verdict": "approve"}), 200)
	if approved["serving"] == nil {
		t.Errorf("an approved creative serves nothing: %v", approved)
	}
	revised := read(p.call("PUT", path, map[string]any{"landing_url": "https://sakura.example.com/new", "version": approved["version"]}), 200)
	if latest, serving := revised["latest"].(map[string]any), revised["serving"].(map[string]any); latest["number"] != 2.0 || latest["review"] != "draft" || serving["number"] != 1.0 || latest["image"] != uploaded["sha256"] {
		t.Errorf("after an edit: latest %v, serving %v", latest, serving)
	}
	p.call("PUT", path, map[string]any{"landing_url": "https://sakura.example.com/late", "version": approved["version"]}).want(t, 409).has(t, `"code":"conflict"`)
	p.call("PUT", fmt.Sprintf("/api/v1/line-items/%.0f", item["id"]), map[string]any{"name": "Tokyo", "cpm": "3", "starts_at": item["starts_at"], "status": "paused", "version": 1}).
		want(t, 200).has(t, `"status":"paused"`, `"country"`, `"cpm":"3.00"`)
	p.get("/api/v1/report").want(t, 200).has(t, `"rows":[]`, `"impressions":0`)
}

func TestAPILists(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	p := h.program(ad.RoleOperator)
	for i := range 5 {
		p.call("POST", "/api/v1/publishers", map[string]any{"name": fmt.Sprint("P", i), "domain": fmt.Sprintf("p%d.example.com", i)}).want(t, 201)
	}
	var seen []string
	for after := 0; ; {
		var body struct {
			Items []struct {
				ID   int
				Name string
			}
			Next int
		}
		got := p.get(fmt.Sprintf("/api/v1/publishers?limit=3&after=%d", after)).want(t, 200)
		must(t, 0, json.Unmarshal([]byte(got.body), &body))
		for _, item := range body.Items {
			seen = append(seen, item.Name)
		}
		if after = body.Next; after == 0 {
			break
		}
	}
	if len(seen) != 7 || slices.Index(seen, "P4") != 6 {
		t.Errorf("pages gave %v", seen)
	}
	for _, query := range []string{"limit=0", "limit=1001", "limit=x", "after=-1", "limit=1&limit=2,3"} {
		if got := p.get("/api/v1/publishers?" + query); got.status >= 500 {
			t.Errorf("?%s = %d", query, got.status)
		}
	}
	p.get("/api/v1/publishers?limit=1001").want(t, 422).has(t, `"field":"limit"`)
}

func TestAPIRefusesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	p, before := h.program(ad.RoleOperator), h.rows()
	f := func(body string, status int, needles ...string) {
		t.Helper()
		got := p.call("POST", "/api/v1/publishers", body).want(t, status).has(t, needles...)
		if len(got.body) > 2000 {
			t.Errorf("the answer to %.40q has %d bytes", body, len(got.body))
		}
	}
	f(`{"name":"x"}`, 422, `"field":"domain"`, `"required"`)
	f(`{"name":"x","domain":"x.example.com","owner":1}`, 422, `"unknown"`)
	f(`{"name":7,"domain":"x.example.com"}`, 422, `"field":"name"`)
	f(`{"name":"x","domain":"not a domain"}`, 422, `"code":"bad_syntax"`)
	f(`{`, 400, `"code"`)
	f(`[]`, 422)
	f(`null`, 422)
	f(strings.Repeat("[", 100_000), 400)
	f(`"`+strings.Repeat("x", 3<<20)+`"`, 413)
	p.do(p.request("POST", "/api/v1/publishers", "text/plain", `{"name":"x","domain":"x.example.com"}`)).want(t, http.StatusUnsupportedMediaType)
	if h.rows() != before {
		t.Error("a refused request changed something")
	}
}
