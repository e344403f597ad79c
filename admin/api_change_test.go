package admin

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/postgres"
	"github.com/hayate-ads/hayate/internal/rule"
)

// An edit that sends nothing but its version, and one that sends one field, lose
// nothing of any noun, whatever it has.
func TestAPIEditsKeepWhatIsLeftOut(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	p, ctx := h.program(ad.RoleOperator), t.Context()
	full := h.fullLineItem()
	blocked := h.own.placement
	blocked.BlockedAdvertisers, blocked.Floor = []ad.ID{h.foreign.advertiser.ID}, 3*money.Unit/2
	blocked, err := h.db.UpdatePlacement(ctx, postgres.System, blocked)
	must(t, 0, err)
	f := func(path, field, value string, stored func() (any, error), ignored ...string) {
		t.Helper()
		before, err := stored()
		must(t, 0, err)
		p.call("PUT", path, map[string]any{"version": versionOf(t, p.get(path).body)}).want(t, 200)
		p.call("PUT", path, map[string]any{"version": versionOf(t, p.get(path).body), field: value}).want(t, 200).has(t, `"`+value+`"`)
		after, err := stored()
		must(t, 0, err)
		same := cmp.FilterPath(func(path cmp.Path) bool {
			name := path.Last().String()
			for _, i := range append(ignored, "Version", "UpdatedAt", "CreatedAt") {
				if name == "."+i {
					return true
				}
			}
			return false
		}, cmp.Ignore())
		if diff := cmp.Diff(before, after, same, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("an edit of %s of %s lost something (-before +after):\n%s", field, path, diff)
		}
	}
	id := h.own.path
	f("/api/v1/advertisers/"+id("advertisers"), "name", "New", func() (any, error) { return h.db.FindAdvertiser(ctx, postgres.System, h.own.advertiser.ID) }, "Name")
	f("/api/v1/campaigns/"+id("campaigns"), "name", "New", func() (any, error) { return h.db.FindCampaign(ctx, postgres.System, h.own.campaign.ID) }, "Name")
	f("/api/v1"+lineItemPath(full.ID), "cpm", "7.00", func() (any, error) { return h.db.FindLineItem(ctx, postgres.System, full.ID) }, "CPM")
	f("/api/v1/publishers/"+id("publishers"), "name", "New", func() (any, error) { return h.db.FindPublisher(ctx, postgres.System, h.own.publisher.ID) }, "Name")
	f("/api/v1/properties/"+id("properties"), "name", "New", func() (any, error) { return h.db.FindProperty(ctx, postgres.System, h.own.property.ID) }, "Name")
	f("/api/v1/placements/"+id("placements"), "name", "New", func() (any, error) { return h.db.FindPlacement(ctx, postgres.System, blocked.ID) }, "Name")
	f("/api/v1/users/"+id("users"), "name", "New", func() (any, error) { return h.db.FindUser(ctx, postgres.System, h.own.user.ID) }, "Name")
	f("/api/v1/creatives/"+id("creatives"), "landing_url", "https://own.example.com/new", func() (any, error) { return h.db.FindCreative(ctx, postgres.System, h.own.creative.ID) }, "LandingURL", "Number")
}

// fullLineItem has everything that an edit could lose.
func (h *house) fullLineItem() ad.LineItem {
	h.t.Helper()
	daily, lifetime := 10*money.Unit, 100*money.Unit
	start := time.Date(2026, 4, 1, 3, 4, 5, 678000, time.UTC)
	item, err := h.db.CreateLineItem(h.t.Context(), postgres.System, ad.LineItem{
		CampaignID: h.own.campaign.ID, Name: "Full", Tier: ad.Guaranteed, CPM: 5 * money.Unit, DailyBudget: &daily, LifetimeBudget: &lifetime,
		StartsAt: start, EndsAt: start.Add(1000 * time.Hour), Status: ad.Paused,
		Targeting: rule.Expr{Is: &rule.Predicate{Dimension: rule.Country, Values: []string{"JP"}}},
	})
	return must(h.t, item, err)
}

func versionOf(t *testing.T, body string) int64 {
	t.Helper()
	var v struct{ Version int64 }
	return must(t, v, json.Unmarshal([]byte(body), &v)).Version
}

func TestAPIEditsRemoveWhatIsNull(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	p := h.program(ad.RoleOperator)
	path := "/api/v1" + lineItemPath(h.fullLineItem().ID)
	p.call("PUT", path, `{"version":1,"daily_budget":null}`).want(t, 200).lacks(t, "daily_budget").has(t, `"lifetime_budget":"100.00"`, `"tier":"guaranteed"`, `"ends_at"`)
	p.call("PUT", path, `{"version":2,"lifetime_budget":"","ends_at":null}`).want(t, 200).lacks(t, "lifetime_budget", "ends_at")
	p.call("PUT", path, `{"version":3,"targeting":{}}`).want(t, 200).has(t, `"targeting":{}`, `"status":"paused"`)
	for _, field := range []string{"name", "tier", "cpm", "starts_at", "status", "targeting", "campaign_id"} {
		p.call("PUT", path, `{"version":4,"`+field+`":null}`).want(t, 422).has(t, `"field":"`+field+`"`, "cannot be removed; leave it out to keep it")
	}
	p.call("PUT", path, `{"version":4,"name":"","cpm":""}`).want(t, 422).has(t, `"field":"name"`, `"field":"cpm"`)
	placement := "/api/v1/placements/" + h.own.path("placements")
	p.call("PUT", placement, `{"version":1,"floor":"1","blocked_advertisers":[2,1,2]}`).want(t, 200).has(t, `"floor":"1.00"`, `"blocked_advertisers":[1,2]`, `"sizes":[{"width":300,"height":250}]`)
	p.call("PUT", placement, `{"version":2,"floor":null,"blocked_advertisers":null}`).want(t, 200).has(t, `"floor":"0.00"`, `"blocked_advertisers":[]`)
	p.call("PUT", "/api/v1/creatives/"+h.own.path("creatives"), `{"version":1,"markup":null}`).want(t, 422).has(t, `"field":"markup"`)
}

func TestAPIEditsNeedTheirVersion(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	p, before := h.program(ad.RoleOperator), h.rows()
	for _, noun := range []string{"advertisers", "campaigns", "line-items", "creatives", "publishers", "properties", "placements", "users"} {
		path := "/api/v1/" + noun + "/" + h.own.path(noun)
		p.call("PUT", path, `{"name":"New"}`).want(t, 422).has(t, `"field":"version"`, `"code":"required"`, "the version that the edit was made from")
		p.call("PUT", path, `{"name":"New","version":null}`).want(t, 422).has(t, `"field":"version"`)
		p.call("PUT", path, `{"name":"New","version":0}`).want(t, 422).has(t, `"field":"version"`, "has to be at least 1")
		p.call("PUT", path, `{"name":"New","version":99999999999999999999}`).want(t, 422).has(t, `"field":"version"`)
		p.call("PUT", path, `{"name":"New","version":7}`).want(t, http.StatusConflict).has(t, `"code":"conflict"`, "GET it again").lacks(t, "tab")
		p.call("PUT", path, `{"name":"New","version":1,"Status":"archived"}`).want(t, 422).has(t, `"field":"Status"`)
	}
	if h.rows() != before {
		t.Error("a refused edit changed something")
	}
}

// What programs send is what they get.
func TestAPITypesAreSymmetrical(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	p := h.program(ad.RoleOperator)
	user := map[string]any{"email": "hana@example.com", "name": "Hana", "role": "advertiser", "advertiser_id": h.own.advertiser.ID}
	p.call("POST", "/api/v1/users", user).want(t, 201).has(t, `"advertiser_id":`+h.own.path("advertisers")+`,`)
	user["advertiser_id"] = h.own.path("advertisers")
	p.call("POST", "/api/v1/users", user).want(t, 422).has(t, `"field":"advertiser_id"`, "has to be a whole number, without quotes")
	placement := map[string]any{
		"property_id": h.own.property.ID, "name": "Top", "formats": []string{"banner"}, "sizes": []map[string]int{{"width": 300, "height": 250}, {"width": 320, "height": 50}},
		"blocked_advertisers": []ad.ID{h.foreign.advertiser.ID},
	}
	p.call("POST", "/api/v1/placements", placement).want(t, 201).
		has(t, `"sizes":[{"width":300,"height":250},{"width":320,"height":50}]`, `"blocked_advertisers":[`+h.foreign.path("advertisers")+`]`)
	placement["sizes"] = "300x250"
	p.call("POST", "/api/v1/placements", placement).want(t, 422).has(t, `"field":"sizes"`, "has to be a list, in [ ]")
	placement["sizes"] = []map[string]int{{"width": 300}}
	p.call("POST", "/api/v1/placements", placement).want(t, 422).has(t, `"field":"sizes[0].height"`, `"code":"required"`)
}

// Errors speak of the request's own fields, and say what would be right.
func TestAPIErrorsArePlain(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	p := h.program(ad.RoleOperator)
	f := func(got result, status int, needles ...string) {
		t.Helper()
		got.want(t, status).has(t, needles...).lacks(t, "body.", "path.", "query.", "Go struct", `"expected`, "validation failed", "unmarshal")
	}
	f(p.call("POST", "/api/v1/line-items", `{"campaign_id":1,"name":7,"starts_at":1,"cpm":2.5,"daily_budget":50}`), 422,
		`{"field":"cpm","code":"bad_syntax","message":"has to be a decimal in a string such as \"12.50\""}`, `{"field":"daily_budget","code":"bad_syntax","message":"has to be a decimal`,
		`{"field":"name","code":"bad_syntax","message":"has to be a string, in quotes"}`, `{"field":"starts_at","code":"bad_syntax","message":"has to be a date and time`)
	f(p.call("POST", "/api/v1/line-items", `{"name":"x","starts_at":"2026-04-01T09:00","tier":"gold","campaign_id":99999999999999999999}`), 422, `"field":"tier"`, "has to be one of sponsorship, guaranteed, auction, house")
	f(p.call("POST", "/api/v1/line-items", `{"name":"x","starts_at":"2026-04-01T09:00","campaign_id":99999999999999999999}`), 422, `"field":"campaign_id"`, "out of range")
	f(p.call("POST", "/api/v1/line-items", `{"name":"x","color":"red"}`), 422, `{"field":"color","code":"unknown","message":"is no field of this"}`)
	f(p.get("/api/v1/line-items/x"), 422, `"field":"id"`, "has to be a whole number")
	f(p.get("/api/v1/line-items?limit=5000"), 422, `"field":"limit"`, "has to be at most 1000")
	f(p.call("POST", "/api/v1/publishers", `{`), 400, "cannot be read as JSON")
	f(p.call("POST", "/api/v1/publishers", nil), 400, "Send a body")
	f(p.call("POST", "/api/v1/publishers", `"`+strings.Repeat("x", 3<<20)+`"`), 413, `"code":"request_entity_too_large"`, "at most 2 MB")
	got := p.do(p.request("POST", "/api/v1/publishers", "text/plain", `{"name":"x","domain":"x.example.com"}`))
	f(got, http.StatusUnsupportedMediaType, "Send application/json")
	got.lacks(t, `"errors"`)
}

// An address that is there under another method says so, and which.
func TestWrongMethods(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	p, browser := h.program(ad.RoleOperator), h.as(ad.RoleOperator)
	f := func(c *client, method, path, allow string) {
		t.Helper()
		got := c.call(method, path, nil).want(t, http.StatusMethodNotAllowed)
		if got.header.Get("Allow") != allow {
			t.Errorf("%s %s: Allow: %s, want %s", method, path, got.header.Get("Allow"), allow)
		}
	}
	f(p, "DELETE", "/api/v1/line-items/1", "GET, HEAD, PUT")
	f(p, "PATCH", "/api/v1/line-items", "GET, HEAD, POST")
	f(p, "PUT", "/api/v1/report", "GET, HEAD")
	f(p, "GET", "/api/v1/images", "POST")
	f(browser, "DELETE", "/campaigns/1", "GET, HEAD, POST")
	f(browser, "POST", "/report", "GET, HEAD")
	f(h.stranger(), "POST", "/healthz", "GET, HEAD")
	p.call("DELETE", "/api/v1/line-items/1", nil).has(t, `"code":"method_not_allowed"`, "Allow")
	p.call("DELETE", "/api/v1/nothing/1", nil).want(t, http.StatusNotFound)
	browser.call("DELETE", "/nothing", nil).want(t, http.StatusNotFound)
}

// Reports as CSV are for programs too, with what they may see and no more.
func TestCSVByToken(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.program(ad.RoleAdvertiser).get("/report.csv").want(t, 200).has(t, "hour,line_item_id")
	h.program(ad.RolePublisher).get("/supply.csv").want(t, 200).has(t, "hour,placement_id")
	h.program(ad.RoleAdvertiser).get("/supply.csv").want(t, http.StatusForbidden).has(t, `"code":"forbidden"`)
	h.program(ad.RoleAdvertiser).get("/report.csv?line_item_id="+h.foreign.path("line-items")).want(t, http.StatusNotFound).has(t, `"code":"not_found"`)
	h.program(ad.RoleOperator).get("/report.csv?from=x").want(t, 422).has(t, `"field":"from"`)
	stranger := h.stranger()
	stranger.get("/report.csv").want(t, http.StatusSeeOther)
	stranger.token = "hyt_AAAAAAAAAAAAAAAAAAAAAAAAAA"
	stranger.get("/report.csv").want(t, http.StatusUnauthorized).has(t, `"code":"unauthorized"`)
	h.program(ad.RoleOperator).get("/report").want(t, http.StatusSeeOther) // pages are for people
}

func TestTargetingThatNeverMatches(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	is := func(country string) map[string]any {
		return map[string]any{"is": map[string]any{"dimension": "country", "values": []string{country}}}
	}
	item := map[string]any{"campaign_id": h.own.campaign.ID, "name": "x", "cpm": "1", "starts_at": "2026-04-01T09:00"}
	p := h.program(ad.RoleAdvertiser)
	for _, targeting := range []any{map[string]any{"all": []any{is("JP"), is("US")}}, map[string]any{"not": map[string]any{"any": []any{is("JP"), map[string]any{"not": is("JP")}}}}} {
		item["targeting"] = targeting
		p.call("POST", "/api/v1/line-items", item).want(t, 422).has(t, `{"field":"targeting","code":"never_matches","message":"contradicts itself: no request can ever match it"}`)
	}
	item["targeting"] = map[string]any{"any": []any{is("JP"), map[string]any{"all": []any{is("JP"), is("US")}}}}
	p.call("POST", "/api/v1/line-items", item).want(t, 201)
}
