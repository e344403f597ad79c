package admin

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// Admin inputs of docs/reliability: each gets a 4xx that says what is wrong, and
// changes nothing; the next request succeeds.

func campaignForm(change url.Values) url.Values {
	form := url.Values{"name": {"Spring"}, "starts_at": {"2026-04-01T09:00"}}
	for key, values := range change {
		form[key] = values
	}
	return form
}

func itemForm(change url.Values) url.Values {
	form := url.Values{"name": {"Tokyo"}, "cpm": {"2.50"}, "starts_at": {"2026-04-01T09:00"}, "targeting_mode": {"simple"}}
	for key, values := range change {
		form[key] = values
	}
	return form
}

// Hostile input 57: SQL metacharacters are text, in fields, filters and ids.
func TestHostile57SQL(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	c := h.as(ad.RoleOperator)
	const evil = `Robert'); DROP TABLE campaign;--"\%_`
	id := c.post("/advertisers/"+h.own.path("advertisers")+"/campaigns", campaignForm(url.Values{"name": {evil}})).id(t)
	k, err := h.db.FindCampaign(t.Context(), postgres.System, id)
	if must(t, k, err).Name != evil {
		t.Errorf("name = %q", k.Name)
	}
	c.get(campaignPath(id)).want(t, 200).lacks(t, evil) // escaped
	for _, path := range []string{"/campaigns/1'--", "/campaigns/1%20OR%201=1", "/advertisers?after=1;DROP", "/reviews/0x1"} {
		if got := c.get(path); got.status >= 500 {
			t.Errorf("%s = %d", path, got.status)
		}
	}
	for _, path := range []string{"/report?line_item_id=1'--", "/report?from='%20OR%201=1", "/api/v1/campaigns?advertiser_id=1%20OR%201=1", "/supply?publisher_id=%27"} {
		if got := c.get(path); got.status < 400 || got.status >= 500 {
			t.Errorf("%s = %d, want 4xx", path, got.status)
		}
	}
	c.signIn(`' OR 1=1 --`, password).want(t, 422)
}

// Hostile input 58: ids of others in path, body and form, and fields that are
// not theirs to send.
func TestHostile58MassAssignment(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	c, p := h.as(ad.RoleAdvertiser), h.program(ad.RoleAdvertiser)
	id := c.post("/advertisers/"+h.own.path("advertisers")+"/campaigns", campaignForm(url.Values{
		"advertiser_id": {h.foreign.path("advertisers")}, "status": {"archived"}, "id": {"1"}, "role": {"operator"},
	})).id(t)
	k, err := h.db.FindCampaign(t.Context(), postgres.System, id)
	if must(t, k, err).AdvertiserID != h.own.advertiser.ID || k.Status != ad.Active {
		t.Errorf("campaign = %+v", k)
	}
	before := h.rows()
	c.post("/advertisers/"+h.own.path("advertisers")+"/campaigns", url.Values{"name": {"a", "b"}, "starts_at": {"2026-04-01T09:00"}}).want(t, 400)
	p.call("POST", "/api/v1/campaigns", `{"advertiser_id":[1,2],"name":"x","starts_at":"2026-04-01T09:00"}`).want(t, 422)
	p.call("POST", "/api/v1/campaigns", map[string]any{"advertiser_id": h.own.advertiser.ID, "name": "x", "starts_at": "2026-04-01T09:00", "balance": 1}).want(t, 422).has(t, `"balance"`)
	p.call("PUT", "/api/v1/campaigns/"+h.own.path("campaigns"), map[string]any{"advertiser_id": h.foreign.advertiser.ID, "name": "x", "starts_at": "2026-04-01T09:00", "version": 1}).want(t, 422)
	p.call("PUT", "/api/v1/users/"+fmt.Sprint(h.users[ad.RoleAdvertiser].ID), map[string]any{"email": "advertiser@example.com", "name": "x", "role": "operator", "version": 1}).want(t, 403)
	if tier := p.call("POST", "/api/v1/line-items", map[string]any{"campaign_id": h.own.campaign.ID, "name": "x", "starts_at": "2026-04-01T09:00", "cpm": "1", "tier": "sponsorship"}); tier.status != 403 {
		t.Errorf("an advertiser books a sponsorship: %d", tier.status)
	}
	p.call("POST", "/api/v1/placements", map[string]any{"property_id": h.own.property.ID, "name": "x", "formats": []string{"banner"}, "sizes": []sizeBody{{1, 1}}}).want(t, 422)
	if h.rows() != before {
		t.Error("something changed")
	}
}

// Hostile input 60: amounts.
func TestHostile60Money(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	c, before := h.as(ad.RoleOperator), h.rows()
	path := campaignPath(h.own.campaign.ID) + "/line-items"
	f := func(field, value, needle string) {
		t.Helper()
		c.post(path, itemForm(url.Values{field: {value}})).want(t, 422).has(t, needle, `id="`+field+`-error"`)
	}
	f("daily_budget", "-1", "Has to be above 0")
	f("daily_budget", "0", "Has to be above 0")
	f("lifetime_budget", "9223372036854775808", "Has to be at most")
	f("lifetime_budget", "1e18", "Has to be an amount such as 12.50")
	f("lifetime_budget", "1,5", "Has to be an amount such as 12.50")
	f("lifetime_budget", "1.0000001", "Has more than six decimal places.")
	f("lifetime_budget", "NaN", "Has to be an amount")
	f("lifetime_budget", "٣", "Has to be an amount")
	f("lifetime_budget", strings.Repeat("9", 5000), "Has to be")
	f("cpm", "-0.01", "Has to be at least 0")
	f("cpm", "0", "Has to be above 0")
	f("cpm", "", "Has to be above 0")
	c.post(path, itemForm(url.Values{"daily_budget": {"20"}, "lifetime_budget": {"10"}})).want(t, 422).has(t, "Must not be above the lifetime budget.")
	c.post(path, itemForm(url.Values{"name": {""}, "cpm": {"x"}, "starts_at": {"y"}})).want(t, 422).has(t, `id="name-error"`, `id="cpm-error"`, `id="starts_at-error"`)
	if h.rows() != before {
		t.Error("something changed")
	}
}

// Hostile input 61: dates and zones.
func TestHostile61Dates(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	c, before := h.as(ad.RoleOperator), h.rows()
	path := "/advertisers/" + h.own.path("advertisers") + "/campaigns"
	f := func(starts, ends, needle string) {
		t.Helper()
		c.post(path, campaignForm(url.Values{"starts_at": {starts}, "ends_at": {ends}})).want(t, 422).has(t, needle)
	}
	f("2026-04-01T09:00", "2026-04-01T09:00", "Has to be after the start.")
	f("2026-04-01T09:00", "2026-03-01T09:00", "Has to be after the start.")
	f("10000-01-01T00:00", "", "Has to be a date and time")
	f("1999-12-31T00:00", "", "Has to lie between")
	f("2026-02-30T00:00", "", "Has to be a date and time")
	f("", "", "Has to be given.")
	f("tomorrow", "", "Has to be a date and time")
	for _, zone := range []string{"Mars/Olympus", "", "Local", "../etc/passwd", "+09:00"} {
		c.post("/advertisers", url.Values{"name": {"x"}, "domain": {"x.example.com"}, "time_zone": {zone}}).want(t, 422)
	}
	if h.rows() != before {
		t.Error("something changed")
	}
	id := c.post("/advertisers", url.Values{"name": {"NY"}, "domain": {"ny.example.com"}, "time_zone": {"America/New_York"}}).id(t)
	c.post(advertiserPath(id)+"/campaigns", campaignForm(url.Values{"starts_at": {"2026-03-08T02:30"}})).want(t, 422).has(t, "the clocks skip it")
	c.post(advertiserPath(id)+"/campaigns", campaignForm(url.Values{"starts_at": {"2026-11-01T01:30"}})).want(t, 303)
}

// Hostile input 63: names.
func TestHostile63Names(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	c, before := h.as(ad.RoleOperator), h.rows()
	path := "/advertisers/" + h.own.path("advertisers") + "/campaigns"
	f := func(name string, status int) {
		t.Helper()
		c.post(path, campaignForm(url.Values{"name": {name}})).want(t, status)
	}
	f(strings.Repeat("x", 1<<20), http.StatusRequestEntityTooLarge)
	f(strings.Repeat("x", 201), 422)
	f("safe\u202egnp.exe", 422)
	f("zero\u200bwidth", 422)
	f("nul\x00", 422)
	f("\xff\xfe", 422)
	f("   ", 422)
	f("line\nbreak", 422)
	if h.rows() != before {
		t.Error("something changed")
	}
	f(`<script>alert(1)</script>`, 303)
	c.get("/advertisers/"+h.own.path("advertisers")).want(t, 200).has(t, "&lt;script&gt;").lacks(t, "<script>alert")
	item := c.post(campaignPath(h.own.campaign.ID)+"/line-items", itemForm(url.Values{"name": {`=cmd|'/C calc'!A0`}})).id(t)
	h.reportMonths(t, time.Now())
	_, err := h.db.Pool.Exec(t.Context(), `INSERT INTO report_hour (hour, line_item_id, creative_id, placement_id, impressions) VALUES (date_trunc('hour', now()), $1, 1, 1, 5)`, item)
	must(t, 0, err)
	c.get("/report.csv").want(t, 200).has(t, ",'=cmd|'/C calc'!A0,5,")
}

// Hostile input 66: addresses of creatives. The console never fetches them; what
// is no plain http address is refused.
func TestHostile66LandingURLs(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	c, before := h.as(ad.RoleAdvertiser), h.rows()
	for _, landing := range []string{
		"", "gopher://x.example.com/", "file:///etc/passwd", "javascript:alert(1)", "data:text/html,x", "//evil.example.com", "https:evil.example.com", `https:\\evil.example.com`,
		"https://user:pw@evil.example.com/", "https://evil.example.com/\r\nX: y", "https://", "http:///path", strings.Repeat("https://x.example.com/", 200),
	} {
		form := url.Values{"name": {"x"}, "format": {"html"}, "width": {"300"}, "height": {"250"}, "markup": {"<p>"}, "landing_url": {landing}}
		got := c.upload(lineItemPath(h.own.lineItem.ID)+"/creatives", form, "", nil)
		if got.status != 422 || !strings.Contains(got.body, `id="landing_url-error"`) {
			t.Errorf("landing %q = %d", landing, got.status)
		}
	}
	if h.rows() != before {
		t.Error("something changed")
	}
}

// Hostile input 67: targeting expressions.
func TestHostile67Targeting(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	c, before := h.as(ad.RoleAdvertiser), h.rows()
	path := campaignPath(h.own.campaign.ID) + "/line-items"
	deep := strings.Repeat(`{"not":`, 10_000) + `{"is":{"dimension":"os","values":["ios"]}}` + strings.Repeat("}", 10_000)
	for _, expression := range []string{
		deep, strings.Repeat("[", 500_000), `{"is":{"dimension":"country","values":[]}}`, `{"all":[]}`, `{"is":{"dimension":"moon","values":["x"]}}`,
		`{"is":{"dimension":"country","values":["UK"]}}`, `{"is":{"dimension":"country","values":["JP"]},"all":[]}`, `{"is":{"dimension":"hour_of_week","values":["168"]}}`,
		`{"eval":"1"}`, `{} {}`, `null x`, `"(a+)+$"`, "\xff",
	} {
		got := c.post(path, itemForm(url.Values{"targeting_mode": {"expression"}, "expression": {expression}}))
		if got.status != 422 || !strings.Contains(got.body, `id="expression-error"`) {
			t.Errorf("%.60q = %d", expression, got.status)
		}
		c.post("/targeting/check", url.Values{"expression": {expression}}).want(t, 200).lacks(t, "is right")
	}
	for field, value := range map[string]string{"countries": "Japan", "devices": "toaster", "keywords": "novalue", "placements": "-1", "hours": "999"} {
		c.post(path, itemForm(url.Values{field: {value}})).want(t, 422)
	}
	p := h.program(ad.RoleAdvertiser)
	p.call("POST", "/api/v1/line-items", fmt.Sprintf(`{"campaign_id":%d,"name":"x","cpm":"1","starts_at":"2026-04-01T09:00","targeting":{"is":{"dimension":"os","dimension":"country","values":["JP"]}}}`, h.own.campaign.ID)).
		want(t, 422).has(t, `"code":"repeated"`)
	if h.rows() != before {
		t.Error("something changed")
	}
	c.post("/targeting/check", url.Values{"expression": {`{"any":[{"is":{"dimension":"country","values":["JP"]}}]}`}}).want(t, 200).has(t, "is right")
}

// Hostile inputs 71 and 75 at the form: names of files decide nothing, and
// refused or broken uploads leave nothing behind.
func TestHostile71And75Uploads(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	c, before := h.as(ad.RoleAdvertiser), h.rows()
	path := lineItemPath(h.own.lineItem.ID) + "/creatives"
	form := url.Values{"name": {"x"}, "format": {"banner"}, "landing_url": {"https://x.example.com/"}}
	f := func(name string, content []byte, status int, needle string) {
		t.Helper()
		c.upload(path, form, name, content).want(t, status).has(t, needle)
	}
	f("a.png", []byte("<svg xmlns='http://www.w3.org/2000/svg'/>"), 422, "Use a PNG, JPEG or GIF image.")
	f("a.png", nil, 422, "Has to be uploaded.")
	f("a.png", []byte{}, 422, "Has to be uploaded.")
	f("a.png", make([]byte, maxUpload+1), 422, "larger than 2 MB")
	f("a.png", make([]byte, 4<<20), http.StatusRequestEntityTooLarge, "too large")
	bad := url.Values{"name": {""}, "format": {"banner"}, "landing_url": {"https://x.example.com/"}}
	c.upload(path, bad, "a.png", testPNG(t, 30, 30)).want(t, 422)
	broken := c.request("POST", path, "multipart/form-data; boundary=x", "")
	broken.Body = io.NopCloser(strings.NewReader("--x\r\nContent-Disposition: form-data; name=\"image\"; filename=\"a.png\"\r\n\r\n\x89PNG\r\n"))
	broken.ContentLength = -1
	c.do(broken).want(t, 400)
	if h.rows() != before || h.objects() != 0 {
		t.Errorf("something was left behind: %d objects", h.objects())
	}
	stale := url.Values{"name": {"Own creative"}, "landing_url": {"https://x.example.com/"}, "width": {"1"}, "height": {"1"}, "markup": {"x"}, "version": {"77"}}
	c.upload(creativePath(h.own.creative.ID), stale, "a.png", testPNG(t, 30, 30)).want(t, http.StatusConflict)
	if h.objects() != 0 {
		t.Error("a conflict left an image behind")
	}
	f("nul\x00.png", testPNG(t, 30, 30), 400, "") // no header may hold it
	for _, name := range []string{"a.gif.php", "../../x.png", "nul\u2400.png", strings.Repeat("x", 4096) + ".png", "a.svg"} {
		f(name, testPNG(t, 30, 30), 303, "")
	}
	if h.objects() != 1 {
		t.Errorf("one image, five names: %d objects", h.objects())
	}
}

func TestSecurityHeaders(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, path := range []string{"/sign-in", "/static/console.css", "/healthz", "/api/v1/me", "/nothing"} {
		header := h.stranger().get(path).header
		policy := header.Get("Content-Security-Policy")
		if !strings.Contains(policy, "default-src 'self'") || !strings.Contains(policy, "frame-ancestors 'none'") || strings.Contains(policy, "unsafe") ||
			header.Get("X-Content-Type-Options") != "nosniff" || header.Get("Referrer-Policy") == "" {
			t.Errorf("%s: %v", path, header)
		}
	}
	c := h.as(ad.RoleAdvertiser)
	c.get("/").want(t, 200).lacks(t, "<script>", " style=", " onclick=", "javascript:")
	frame := c.get(creativePath(h.own.creative.ID)+"/revisions/1/frame").want(t, 200).has(t, "<p>Own markup</p>")
	policy := frame.header.Get("Content-Security-Policy")
	if !strings.HasPrefix(policy, "sandbox ") || strings.Contains(policy, "allow-same-origin") || !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "frame-ancestors 'self'") {
		t.Errorf("preview's policy: %s", policy)
	}
	if location := c.get(creativePath(h.own.creative.ID) + "/revisions/1/landing").header.Get("Location"); location != "https://own.example.com/Own" {
		t.Errorf("landing leads to %q", location)
	}
	c.get(creativePath(h.own.creative.ID)+"/revisions/2/frame").want(t, 404)
}
