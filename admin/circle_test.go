package admin

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// The console's own circle: an advertiser books and uploads, a reviewer judges.
func TestCircle(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	buyer, reviewer := h.as(ad.RoleAdvertiser), h.as(ad.RoleReviewer)
	advertiser := h.own.path("advertisers")
	campaign := buyer.post("/advertisers/"+advertiser+"/campaigns", url.Values{"name": {"Spring"}, "starts_at": {"2026-04-01T09:00"}}).id(t)
	buyer.get(campaignPath(campaign)).want(t, 200).has(t, "Spring", "2026-04-01 09:00 JST", "No line items yet", "Saved.")
	item := buyer.post(campaignPath(campaign)+"/line-items", url.Values{
		"name": {"Tokyo"}, "cpm": {"2.50"}, "daily_budget": {"50"}, "starts_at": {"2026-04-01T09:00"}, "targeting_mode": {"simple"},
		"countries": {"jp, us"}, "devices": {"mobile", "tablet"}, "keywords": {"Topic=Go\r\nlevel=beginner"}, "hours": {"9", "10"},
	}).id(t)
	buyer.get(lineItemPath(item)).want(t, 200).has(t, "JP, US", "mobile, tablet", "topic=go, level=beginner", "Mon 9:00–11:00", "of 50.00", "No creatives yet")
	buyer.get(lineItemPath(item)+"/edit").want(t, 200).has(t, `value="JP, US"`, `value="2026-04-01T09:00"`).lacks(t, `name="tier"`)
	creative := buyer.upload(lineItemPath(item)+"/creatives", url.Values{"name": {"Banner"}, "format": {"banner"}, "landing_url": {"https://sakura.example.com/"}}, "../../etc/x.php.png", testPNG(t, 300, 250)).id(t)
	if h.objects() != 1 {
		t.Errorf("%d objects in the bucket, want 1", h.objects())
	}
	path := creativePath(creative)
	buyer.get(path).want(t, 200).has(t, "Banner image 300 × 250", "Draft", "Submit for review", path+"/revisions/1/image")
	image := buyer.get(path+"/revisions/1/image").want(t, 200)
	if image.header.Get("Content-Type") != "image/png" || image.header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("image headers: %v", image.header)
	}
	buyer.post(path+"/submit", url.Values{"revision": {"1"}}).want(t, 303)
	review := fmt.Sprintf("/reviews/%d", creative)
	reviewer.get("/reviews").want(t, 200).has(t, review, "first revision")
	reviewer.post(review, url.Values{"version": {"1"}, "verdict": {"reject"}}).want(t, 422).has(t, "Has to be given: the advertiser reads it.")
	reviewer.post(review, url.Values{"version": {"1"}, "verdict": {"reject"}, "reason": {"The text is too small"}}).want(t, 303)
	buyer.get(path).want(t, 200).has(t, "Rejected", "The text is too small")

	version := func() string {
		k, err := h.db.FindCreative(t.Context(), postgres.System, creative)
		return fmt.Sprint(must(t, k, err).Version)
	}
	edit := url.Values{"name": {"Banner"}, "landing_url": {"https://sakura.example.com/2"}, "version": {version()}}
	buyer.upload(path, edit, "", nil).want(t, 303)
	buyer.get(path).want(t, 200).has(t, "#2", "sakura.example.com/2")
	buyer.post(path+"/submit", url.Values{"revision": {"2"}}).want(t, 303)
	reviewer.post(review, url.Values{"version": {"1"}, "verdict": {"approve"}}).want(t, 409)
	reviewer.post(review, url.Values{"version": {"2"}, "verdict": {"approve"}}).want(t, 303)
	buyer.get(path).want(t, 200).has(t, "Approved")

	// An edit of an approved one needs review again; what was approved goes on.
	edit.Set("version", version())
	edit.Set("landing_url", "https://sakura.example.com/3")
	buyer.upload(path, edit, "", nil).want(t, 303)
	buyer.post(path+"/submit", url.Values{"revision": {"3"}}).want(t, 303)
	reviewer.get(review).want(t, 200).has(t, "To be judged: revision #3", "Serving now: revision #2")
	buyer.get(lineItemPath(item)).want(t, 200).has(t, "#3", "In review", "#2")
}

func TestEmptyPagesSayWhatToDo(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	c := h.as(ad.RoleOperator)
	id := c.post("/advertisers", url.Values{"name": {"New"}, "domain": {"new.example.com"}, "time_zone": {"Asia/Tokyo"}}).id(t)
	c.get(advertiserPath(id)).want(t, 200).has(t, "No campaigns yet", advertiserPath(id)+"/campaigns/new")
	h.as(ad.RoleReviewer).get("/reviews").want(t, 200).has(t, "Nothing waits for review")
	h.as(ad.RoleReviewer).get(advertiserPath(id)).want(t, 200).lacks(t, "/campaigns/new", "/edit", "/status")
	h.as(ad.RolePublisher).get(placementPath(h.own.placement.ID)).want(t, 200).
		has(t, "data-hayate-placement=&#34;"+fmt.Sprint(h.own.placement.ID)+"&#34;", "/tag.js", "/v1/ad?placement=")
}

// Hostile input 62: two people editing at once, a form sent twice, and buttons
// pressed on a page that is out of date.
func TestHostile62Conflicts(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	c := h.as(ad.RoleOperator)
	path := campaignPath(h.own.campaign.ID)
	form := url.Values{"name": {"First"}, "starts_at": {"2026-04-01T09:00"}, "version": {"1"}}
	c.post(path, form).want(t, 303)
	form.Set("name", "Second")
	c.post(path, form).want(t, http.StatusConflict).has(t, "Somebody else has changed this", `value="Second"`)
	c.get(path).want(t, 200).has(t, "First").lacks(t, "Second")
	form.Del("version")
	c.post(path, form).want(t, http.StatusConflict)
	status := url.Values{"status": {"paused"}, "version": {"1"}}
	c.post(path+"/status", status).want(t, http.StatusConflict)
	status.Set("version", "2")
	c.post(path+"/status", status).want(t, 303)
	c.post(path+"/status", status).want(t, http.StatusConflict)
	inline := c.request("POST", path+"/status", "application/x-www-form-urlencoded", "status=active&version=2")
	inline.Header.Set("HX-Request", "true")
	if got := c.do(inline).want(t, 200); got.header.Get("HX-Refresh") != "true" {
		t.Error("an inline conflict does not reload the page")
	}
	inline = c.request("POST", path+"/status", "application/x-www-form-urlencoded", "status=active&version=3")
	inline.Header.Set("HX-Request", "true")
	c.do(inline).want(t, 200).has(t, "<td", "Active", `name="version" value="4"`, `value="paused"`).lacks(t, "<html")
	c.post(path+"/status", url.Values{"status": {"archived"}, "version": {"4"}}).want(t, 303)
	c.post(path+"/status", url.Values{"status": {"active"}, "version": {"5"}}).want(t, 422)
	c.post(path+"/status", url.Values{"status": {"gone"}, "version": {"5"}}).want(t, 422)
	c.get(path).want(t, 200).lacks(t, path+"/edit", `value="active"`)
}

func TestTokens(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	c := h.as(ad.RoleAdvertiser)
	page := c.post("/account/tokens", url.Values{"name": {"import"}}).want(t, 200).has(t, "not shown again", "hyt_")
	at := strings.Index(page.body, "hyt_")
	program := h.stranger()
	program.token = page.body[at : at+strings.IndexByte(page.body[at:], '<')]
	program.get("/api/v1/me").want(t, 200).has(t, "advertiser@example.com")
	c.get("/account").want(t, 200).has(t, "import").lacks(t, program.token)
	at = strings.Index(page.body, "/account/tokens/")
	revoke := page.body[at : at+strings.IndexByte(page.body[at:], '"')]
	c.post(revoke, nil).want(t, 303)
	program.get("/api/v1/me").want(t, 401)
	c.post("/account/tokens", url.Values{"name": {""}}).want(t, 422).has(t, "Has to be given.")
}

func TestUsers(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	c := h.as(ad.RoleOperator)
	form := url.Values{"name": {"Hana"}, "email": {"hana@example.com"}, "role": {"advertiser"}, "advertiser_id": {h.own.path("advertisers")}, "publisher_id": {""}, "language": {"ja"}, "password": {"long enough"}}
	id := c.post("/users", form).id(t)
	h.stranger().signIn("hana@example.com", "long enough").want(t, 303)
	c.post("/users", form).want(t, 422).has(t, "Belongs to another user.")
	form.Set("email", "other@example.com")
	form.Set("advertiser_id", "999999")
	c.post("/users", form).want(t, 422).has(t, "Has to be the id of one that exists.")
	form.Set("role", "king")
	c.post("/users", form).want(t, 422)
	c.post(userPath(id)+"/status", url.Values{"status": {"paused"}, "version": {"1"}}).want(t, 303)
	h.stranger().signIn("hana@example.com", "long enough").want(t, 422)
	own := h.users[ad.RoleOperator]
	c.post(userPath(own.ID)+"/status", url.Values{"status": {"paused"}, "version": {fmt.Sprint(own.Version)}}).want(t, 422)
}

func TestReport(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.reportMonths(t, time.Date(2026, 3, 31, 0, 0, 0, 0, time.UTC), time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC))
	insert := func(hour string, impressions, clicks, spend int) {
		t.Helper()
		_, err := h.db.Pool.Exec(t.Context(), `
			INSERT INTO report_hour (hour, line_item_id, creative_id, placement_id, impressions, clicks, spend_micros) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
			hour, h.own.lineItem.ID, h.own.creative.ID, h.own.placement.ID, impressions, clicks, spend)
		must(t, 0, err)
	}
	insert("2026-03-31 15:00Z", 1000, 10, 2_000_001)
	insert("2026-03-31 14:00Z", 50_000, 1, 9_000_000) // the day before, in Tokyo
	insert("2026-04-01 03:00Z", 500, 0, 1_000_000)
	_, err := h.db.Pool.Exec(t.Context(), "UPDATE settlement SET watermark = '2026-04-01 03:30:15Z'")
	must(t, 0, err)
	c := h.as(ad.RoleAdvertiser)
	c.get("/report").want(t, 200).has(t, "Nothing was delivered in this time")
	c.get("/report?from=2026-04-01&to=2026-04-01").want(t, 200).
		has(t, "1,500", "0.67 %", "3.000001", "2026-04-01", "Settled up to 2026-04-01 12:30:15 JST", "data-chart", "Asia/Tokyo").
		lacks(t, "50,000", "2026-03-31", "Restated", "Other:")
	c.get("/report?from=2026-04-01&to=2026-04-01&group=hour&group=creative&figures=clicks").want(t, 200).
		has(t, "2026-04-01 00:00", "2026-04-01 12:00", "Own creative").lacks(t, ">eCPM</th>")
	csv := c.get("/report.csv?from=2026-04-01&to=2026-04-01&figures=impressions,clicks,ctr,spend,ecpm").want(t, 200).
		has(t, "hour,line_item_id,line_item,impressions,clicks,ctr,spend,ecpm,settled_to,restated_at\r\n2026-04-01T00:00:00+09:00,",
			",Own line item,1000,10,0.01,2.000001,2.00,2026-04-01T12:30:15+09:00,\r\n")
	if disposition := csv.header.Get("Content-Disposition"); disposition != `attachment; filename="report-2026-04-01-2026-04-01.csv"` {
		t.Errorf("disposition %q", disposition)
	}
	c.get("/report?from=2026-04-02&to=2026-04-01").want(t, 422)
	c.get("/report?from=x").want(t, 422).has(t, "Has to be a date such as 2026-04-01.")
	c.get("/report?from=2020-01-01&to=2026-01-01").want(t, 422)
	c.get("/report?group=country&group=creative").want(t, 422).has(t, "lake")
	c.get("/report?figures=overage").want(t, 422)
	c.get("/report?from=2026-04-01&to=2026-08-01&group=hour").want(t, 422)
	c.get("/report?from=2026-04-01&to=2026-08-01").want(t, 200).has(t, "Made from whole days")
	c.get("/api/v1/report?from=2026-04-01&to=2026-04-01").want(t, 200).has(t, `"impressions":1500`, `"spend":"3.000001"`, `"settled_to":"2026-04-01T03:30:15Z"`, `"restated":[]`, `"daily":false`)
	c.get("/api/v1/report?from=2026-04-01&to=2026-04-01&group=none").want(t, 200).has(t, `"group":[]`, `"rows":[{"impressions":1500,`)
	_, err = h.db.Pool.Exec(t.Context(), "INSERT INTO report_status (hour, restated_at, restated) VALUES ('2026-04-01 03:00Z', '2026-04-02 01:00Z', 5)")
	must(t, 0, err)
	_, err = h.db.Pool.Exec(t.Context(), "INSERT INTO report_hour (hour, line_item_id, creative_id, placement_id, impressions) VALUES ('2026-04-01 03:00Z', $1, 0, 0, 500)", h.own.lineItem.ID)
	must(t, 0, err)
	c.get("/report?from=2026-04-01&to=2026-04-01&group=hour&group=placement").want(t, 200).
		has(t, "as something came late: hours 1, last at 2026-04-02 10:00:00 JST", "restated 04-02 10:00", "Other: 500 impressions (25.00 %)")
	c.get("/report.csv?from=2026-04-01&to=2026-04-01&group=placement,exchange&figures=impressions").want(t, 200).
		has(t, "placement_id,placement,exchange_id,impressions,settled_to,restated_at\r\nother,,other,500,")
	c.get("/api/v1/report?from=2026-04-01&to=2026-04-01&group=day,exchange").want(t, 200).
		has(t, `"restated":[{"hour":"2026-04-01T03:00:00Z","at":"2026-04-02T01:00:00Z"}]`, `"restated_at":"2026-04-02T01:00:00Z"`, `"exchange_id":-1`, `"other":{"impressions":500,`)
}
