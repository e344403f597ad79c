package admin

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/postgres"
	"github.com/hayate-ads/hayate/internal/rule"
)

// unserved writes a row of the report, in the hour that began ago or earlier.
func (h *house) unserved(lineItem ad.ID, ago time.Duration, reason, dimension string, counted, estimated, samples int64) {
	h.t.Helper()
	_, err := h.db.Pool.Exec(h.t.Context(), `
		INSERT INTO report_reason (hour, line_item_id, reason, dimension, counted, estimated, samples)
		VALUES (date_trunc('hour', $1::timestamptz), $2, $3, $4, $5, $6, $7)`, time.Now().UTC().Add(-ago), lineItem, reason, dimension, counted, estimated, samples)
	must(h.t, 0, err)
}

func (h *house) approve(x things) {
	h.t.Helper()
	_, err := h.db.Pool.Exec(h.t.Context(), "UPDATE creative_revision SET review = 'approved' WHERE creative_id = $1", x.creative.ID)
	must(h.t, 0, err)
}

func TestWhyPage(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.approve(h.own)
	own, path := h.own.lineItem.ID, whyPath(h.own.lineItem.ID)
	browser, program := h.as(ad.RoleAdvertiser), h.program(ad.RoleAdvertiser)
	browser.get(path).want(t, 200).has(t, "No request was looked at", "Nothing has been settled yet", "No figures for this time")
	browser.get(lineItemPath(own)).has(t, `href="`+path+`"`)

	h.unserved(own, 0, "no_match", "country", 0, 820*640, 820)
	h.unserved(own, 0, "no_lease", "", 77, 100*640, 100)
	h.unserved(own, 3*time.Hour, "won", "", 0, 80*640, 80)
	h.unserved(own, 50*time.Hour, "no_match", "keyword", 0, 5000*640, 5000)
	h.unserved(0, 0, "outbid", "", 12_345, 0, 0)
	h.unserved(h.foreign.lineItem.ID, 0, "outbid", "", 7_654_321, 7_654_321, 1)
	_, err := h.db.Pool.Exec(t.Context(), "UPDATE settlement SET watermark = '2026-04-01 03:04:05Z'")
	must(t, 0, err)
	for _, role := range []ad.Role{ad.RoleAdvertiser, ad.RoleOperator} {
		h.as(role).get(path).want(t, 200).
			has(t, "Most requests come from outside its countries (82 %, estimated from 1 in 640 requests).", "Widen this part of its targeting",
				"Does not match: country", "82.00 %", "524,800", "Budget spent, or held back by pacing", "77", "1 in 640",
				"Settled up to 2026-04-01 12:04 JST", "the counts here may be too low").
			lacks(t, "keyword</", "7,654,321", "12,345", "FOREIGN")
	}
	h.as(ad.RoleAdvertiser).get(path+"?span=7d").want(t, 200).
		has(t, "Most requests do not bring its keywords (83 %", "ask the publisher to send it", "Does not match: keyword")
	program.get("/api/v1"+path).want(t, 200).has(t, `"summary":"Most requests come from outside its countries (82 %, estimated from 1 in 640 requests)."`,
		`{"reason":"no_match","dimension":"country","counted":0,"estimated":524800,"samples":820,"share":"0.82"}`,
		`{"reason":"no_lease","counted":77,"estimated":64000,"samples":100,"share":"0.10"}`, `"one_in":640`, `"incomplete":true`, `"settled_to":"2026-04-01T03:04:05Z"`, `"states":[]`).
		lacks(t, "7654321", "12345")
	program.get("/api/v1"+path+"?span=year").want(t, http.StatusUnprocessableEntity)
	h.program(ad.RoleReviewer).get("/api/v1"+path).want(t, http.StatusForbidden)

	japanese := h.as(ad.RoleAdvertiser)
	japanese.post("/language", url.Values{"language": {"ja"}, "back": {"/"}})
	japanese.get(path).want(t, 200).has(t, "リクエストの大半は、対象の国以外からのものです（82 %、640 リクエストに 1 件を調べた推定値）。", "条件に不一致: 国", "なぜ配信されないのか").
		lacks(t, "whyclause", "whydo", "why.", "%!")
}

// The sentence follows the figures.
func TestWhySentence(t *testing.T) {
	t.Parallel()
	row := func(reason, dimension string, counted, estimated, samples int64) postgres.Reason {
		return postgres.Reason{Reason: reason, Dimension: dimension, ReasonCount: postgres.ReasonCount{Counted: counted, Estimated: estimated, Samples: samples}}
	}
	f := func(want string, rows ...postgres.Reason) {
		t.Helper()
		w := why{chain: chain{zone: time.UTC}}
		w.take(postgres.Reasons{Rows: rows})
		if diff := cmp.Diff(want, w.mainAdvice("en").Text); diff != "" {
			t.Error(diff)
		}
		if ja := w.mainAdvice("ja").Text; strings.Contains(ja, "%!") || strings.Contains(ja, "why") {
			t.Errorf("in Japanese: %s", ja)
		}
	}
	f("It serves: it won 60 % of the requests (every request was looked at).", row("won", "", 0, 60, 60), row("no_match", "os", 0, 40, 40))
	f("The most frequent reason: requests come from operating systems that it does not target (35 %, estimated from 1 in 10 requests).",
		row("won", "", 0, 400, 40), row("no_match", "os", 0, 350, 35), row("outbid", "", 0, 250, 25))
	f("Most requests find its budget spent or held back by pacing (91 %, of the cases that were counted).", row("no_lease", "", 10, 0, 0), row("below_floor", "", 1, 0, 0))
	f("Most requests do not match its targeting by version of the system (100 %, estimated from 1 in 2 requests).", row("no_match", "os_version", 0, 3, 2))
	f("Most requests a_new_reason (100 %, every request was looked at).", row("a_new_reason", "", 0, 5, 5))
	for _, d := range rule.Dimensions() { // each has a name
		if text := clause("ja", postgres.Reason{Reason: "no_match", Dimension: d.String()}); strings.Contains(text, d.String()) {
			t.Errorf("%s is %q in Japanese", d, text)
		}
	}
}

// What needs no traffic to be known.
func TestWhyStates(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	path, p := "/api/v1"+whyPath(h.own.lineItem.ID), h.program(ad.RoleAdvertiser)
	f := func(sql string, args []any, codes ...string) {
		t.Helper()
		if sql != "" {
			_, err := h.db.Pool.Exec(t.Context(), sql, args...)
			must(t, 0, err)
		}
		var got struct{ States []whyStateBody }
		if err := json.Unmarshal([]byte(p.get(path).want(t, 200).body), &got); err != nil {
			t.Fatal(err)
		}
		var found []string
		for _, s := range got.States {
			found = append(found, s.Code)
			if strings.Contains(s.Message, "%!") || strings.HasPrefix(s.Message, "whystate") {
				t.Errorf("%s: %s", s.Code, s.Message)
			}
		}
		if diff := cmp.Diff(codes, found); diff != "" {
			t.Errorf("after %s: %s", sql, diff)
		}
	}
	item, campaign, advertiser := h.own.lineItem.ID, h.own.campaign.ID, h.own.advertiser.ID
	f("", nil, "no_creative")
	h.approve(h.own)
	f("", nil)
	f("UPDATE creative SET status = 'paused' WHERE id = $1", []any{h.own.creative.ID}, "no_creative")
	f("UPDATE creative SET status = 'active' WHERE id = $1", []any{h.own.creative.ID})
	f("UPDATE line_item SET status = 'paused' WHERE id = $1", []any{item}, "line_item_status")
	f("UPDATE campaign SET status = 'paused' WHERE id = $1", []any{campaign}, "campaign_status", "line_item_status")
	f("UPDATE advertiser SET status = 'paused' WHERE id = $1", []any{advertiser}, "advertiser_status", "campaign_status", "line_item_status")
	_, err := h.db.Pool.Exec(t.Context(), "UPDATE advertiser SET status = 'active'; UPDATE campaign SET status = 'active'; UPDATE line_item SET status = 'active'")
	must(t, 0, err)
	f("UPDATE line_item SET ends_at = now() - interval '1 minute' WHERE id = $1", []any{item}, "ended")
	f("UPDATE line_item SET ends_at = NULL, starts_at = now() + interval '1 hour' WHERE id = $1", []any{item}, "not_started")
	f("UPDATE campaign SET starts_at = now() - interval '2 hours', ends_at = now() + interval '1 minute' WHERE id = $1", []any{campaign}, "never_dates")
	f("UPDATE line_item SET starts_at = now() - interval '1 hour' WHERE id = $1", []any{item})
	f(`UPDATE line_item SET targeting = '{"all":[{"is":{"dimension":"country","values":["JP"]}},{"not":{"is":{"dimension":"country","values":["JP"]}}}]}' WHERE id = $1`, []any{item}, "contradiction")
	f("UPDATE line_item SET targeting = $2 WHERE id = $1", []any{item, bomb()}, "refused")
	f("UPDATE line_item SET targeting = '{}' WHERE id = $1", []any{item})
	f("UPDATE account SET limit_micros = 100, settled_micros = 100 WHERE owner_id = $1 AND level = 'line_item' AND day IS NULL", []any{item}, "spent")
}

// bomb is an expression with more conjunctions than anybody may have.
func bomb() string {
	var all []string
	for i := range 24 {
		all = append(all, fmt.Sprintf(`{"any":[{"is":{"dimension":"keyword","values":["a=%d"]}},{"is":{"dimension":"country","values":["JP"]}},{"is":{"dimension":"os","values":["ios"]}}]}`, i))
	}
	return `{"all":[` + strings.Join(all, ",") + `]}`
}

// opsPort stands in for a delivery process, over a real connection.
type opsPort struct {
	*httptest.Server
	answer string
	status int
	asked  *http.Request
	body   string
}

func newOpsPort(t *testing.T) *opsPort {
	o := &opsPort{status: http.StatusOK}
	o.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		o.asked, o.body = r, string(body)
		w.WriteHeader(o.status)
		_, _ = io.WriteString(w, o.answer)
	}))
	t.Cleanup(o.Close)
	return o
}

func TestWhyAsksDelivery(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	path, browser := whyPath(h.own.lineItem.ID), h.as(ad.RoleAdvertiser)
	form := url.Values{"placement": {"11"}, "country": {"de"}, "device": {"mobile"}, "page": {"https://news.example/sports"}, "keywords": {"Topic=Go\ntopic=rust"}}
	browser.post(path, form).want(t, 200).has(t, "has not been told where delivery is")

	ops := newOpsPort(t)
	h.console.config.DeliveryOpsURL = ops.URL
	explain := func(status int, answer string) result {
		ops.status, ops.answer = status, answer
		return browser.post(path, form).want(t, 200).has(t, `value="11"`, `value="de"`)
	}
	row := func(fields string) string {
		return fmt.Sprintf(`{"generation":99,"line_items":3,"explanations":[{"placement":11,"line_item":%d,"rank":2,%s}]}`, h.own.lineItem.ID, fields)
	}
	explain(200, row(`"outcome":"no_match","causes":[{"predicate":"country","wanted":["JP","KR"],"more":3,"got":["DE"]},{"predicate":"segment","exclude":true,"wanted":["vip"],"got":[]}]`)).
		has(t, "It does not match this request, by country, audience segment.", "Wanted: JP, KR and 3 more", "The request has: DE", "Not wanted: vip", "nothing (unknown)", "generation 99")
	if got := ops.asked.URL.String(); got != fmt.Sprintf("/explain?country=DE&line_item=%d", h.own.lineItem.ID) || ops.asked.Method != http.MethodPost {
		t.Errorf("asked %s %s", ops.asked.Method, got)
	}
	var sent struct {
		Placements []struct{ ID string }
		Keywords   map[string][]string
		Page       struct{ URL string }
		Device     struct{ UA string }
	}
	if err := json.Unmarshal([]byte(ops.body), &sent); err != nil || sent.Placements[0].ID != "11" || sent.Page.URL != form.Get("page") ||
		!strings.Contains(sent.Device.UA, "iPhone") || cmp.Diff(map[string][]string{"topic": {"go", "rust"}}, sent.Keywords) != "" {
		t.Errorf("asked with %s, %v", ops.body, err)
	}
	explain(200, row(`"outcome":"won","creative":5,"price":1000`)).has(t, "It would win this request.")
	explain(200, `{"generation":99,"line_items":3,"explanations":[]}`).has(t, "Delivery does not have this line item, or not this placement.")
	explain(200, row(`"outcome":"frequency_of_something"`)).has(t, "It would not serve: frequency_of_something.")
	explain(429, `{"error":{"code":"busy"}}`).has(t, "answering somebody else")
	explain(400, `{"error":{"code":"invalid_request","message":"placements: <b>no</b>"}}`).has(t, "does not accept this request: placements: &lt;b&gt;no&lt;/b&gt;")
	for _, answer := range []string{"", "<html>", `{"generation":"x"}`, `{"explanations":[`} {
		explain(200, answer).has(t, "No delivery server answers at the moment")
	}
	explain(503, `{}`).has(t, "No delivery server answers at the moment")
	explain(302, ``).has(t, "No delivery server answers at the moment")
	ops.Close()
	browser.post(path, form).want(t, 200).has(t, "No delivery server answers at the moment").lacks(t, ops.URL)
}

// Whom a line item loses to is nobody's business: neither the winner's id nor its
// price reaches the page, whatever delivery says.
func TestWhyNamesNoCompetitor(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ops := newOpsPort(t)
	h.console.config.DeliveryOpsURL = ops.URL
	for _, outcome := range []string{"outbid", "excluded", "no_lease", "stopped", "new_outcome"} {
		ops.answer = fmt.Sprintf(`{"generation":1,"explanations":[
			{"line_item":987654,"outcome":"won","value":"77.77","price":"77.78"},
			{"line_item":%d,"outcome":%q,"causes":[{"predicate":"rank","wanted":["line item 987654: auction, value 77.77"],"got":["auction, value 66.66"]}]}]}`,
			h.own.lineItem.ID, outcome)
		h.as(ad.RoleAdvertiser).post(whyPath(h.own.lineItem.ID), url.Values{"placement": {"11"}}).want(t, 200).
			has(t, "Delivery&#39;s answer").lacks(t, "987654", "77.77", "77.78", "66.66")
	}
}

func TestWhyRefusesBadQuestions(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ops := newOpsPort(t)
	h.console.config.DeliveryOpsURL = ops.URL
	f := func(field, value, message string) {
		t.Helper()
		form := url.Values{"placement": {"11"}}
		form.Set(field, value)
		h.as(ad.RoleAdvertiser).post(whyPath(h.own.lineItem.ID), form).want(t, http.StatusUnprocessableEntity).has(t, message, `aria-invalid="true"`)
	}
	f("placement", "", "Has to be given.")
	f("placement", "x", "Has to be an id")
	f("country", "Atlantis", "Has to be a country")
	f("page", "javascript:alert(1)", "begins with https://")
	if ops.asked != nil {
		t.Error("delivery was asked in spite of it")
	}
	form := url.Values{"placement": {"11"}, "keywords": {"no equals sign"}, "device": {"fridge"}}
	h.as(ad.RoleAdvertiser).post(whyPath(h.own.lineItem.ID), form).want(t, http.StatusUnprocessableEntity).has(t, "key=value", "desktop, mobile, tablet or tv")
	h.as(ad.RoleAdvertiser).post(whyPath(h.foreign.lineItem.ID), url.Values{"placement": {"11"}}).want(t, http.StatusNotFound)
}
