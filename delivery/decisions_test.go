package delivery

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/oklog/ulid/v2"
	"github.com/valyala/fasthttp/fasthttputil"

	"github.com/hayate-ads/hayate/delivery/token"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// decided is the JSON of one decision, as a publisher's program reads it.
type decided struct {
	Placement   string   `json:"placement"`
	NoFill      string   `json:"no_fill"`
	LineItem    string   `json:"line_item"`
	Creative    string   `json:"creative"`
	Advertiser  string   `json:"advertiser"`
	Format      string   `json:"format"`
	Width       int      `json:"width"`
	Height      int      `json:"height"`
	HTML        string   `json:"html"`
	Click       string   `json:"click"`
	Impressions []string `json:"impressions"`
	Viewables   []string `json:"viewables"`
}

type decidedAll struct {
	ID         string    `json:"id"`
	Generation uint64    `json:"generation"`
	Decisions  []decided `json:"decisions"`
}

// memory serves s over connections in memory and returns a client for it.
func memory(t testing.TB, s *testServer) *http.Client {
	t.Helper()
	listener := fasthttputil.NewInmemoryListener()
	web := s.http()
	done := make(chan error, 1)
	go func() { done <- web.Serve(acceptor{listener}) }()
	transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		conn, err := listener.Dial()
		return buffered{conn}, err
	}}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		if err := web.Shutdown(); err != nil {
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// buffered writes like a socket, which takes what the other side will not read any more. A pipe's error
// instead would hide the answer of a server that has refused the request and closed.
type buffered struct{ net.Conn }

func (b buffered) Write(p []byte) (int, error) {
	n, err := b.Conn.Write(p)
	if errors.Is(err, fasthttputil.ErrConnectionClosed) {
		return len(p), nil
	}
	return n, err
}

const base = "http://ads.example"

func decisions(t testing.TB, c *http.Client, body string, headers ...string) decidedAll {
	t.Helper()
	return parseDecisions(t, do(t, c, "POST", base+"/v1/decisions", body, headers...))
}

func parseDecisions(t testing.TB, got reply) (all decidedAll) {
	t.Helper()
	if got.Status != 200 || got.Header.Get("Content-Type") != "application/json" || got.Header.Get("Cache-Control") != "no-store" ||
		got.Header.Get("Access-Control-Allow-Origin") != "*" || got.Header.Get("Server") != "" {
		t.Fatalf("%+v", got)
	}
	if err := json.Unmarshal([]byte(got.Body), &all); err != nil {
		t.Fatalf("%v in %s", err, got.Body)
	}
	return all
}

func TestDecisions(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)
	c := memory(t, s)
	got := decisions(t, c, `{"placements":[{"id":"11"},{"id":"12"},{"id":"999"}],"keywords":{"Topic":["Go"]}}`)
	if got.Generation != 7 || len(got.ID) != 16 || len(got.Decisions) != 3 {
		t.Fatalf("%+v", got)
	}
	want := []decided{
		{Placement: "11", LineItem: "32", Creative: "42", Advertiser: "shop.example", Format: "banner", Width: 300, Height: 250},
		{Placement: "12", NoFill: "no_creative"},
		{Placement: "999", NoFill: "unknown_placement"},
	}
	ignore := cmpopts.IgnoreFields(decided{}, "HTML", "Click", "Impressions", "Viewables", "Advertiser")
	if diff := cmp.Diff(want, got.Decisions, ignore); diff != "" {
		t.Error(diff)
	}

	first := got.Decisions[0]
	for _, address := range append(append([]string{first.Click}, first.Impressions...), first.Viewables...) {
		if reply := do(t, c, "GET", strings.Replace(address, "https://ads.example", base, 1), ""); reply.Status > 302 {
			t.Errorf("%s: status %d", address, reply.Status)
		}
	}
	records := s.logged(event.Impression)
	if len(records) != 1 || len(s.logged(event.Click)) != 1 || len(s.logged(event.Viewable)) != 1 {
		t.Fatalf("logged %+v", s.records)
	}
	r := records[0].Landing.Reservation
	if r.LineItem != keywordItem || r.Price != 9000 || r.Process != testProcess || r.Hold != time.Minute || !r.DecidedAt.Equal(testNow) || r.Generation != 7 {
		t.Errorf("reservation %+v", r)
	}
	if micros, n := s.book.Slot(keywordItem).Load().Left(); micros != 1_000_000-9000 || n != 999 {
		t.Errorf("left %d micros, %d impressions", micros, n)
	}
}

// A test shows what would be shown; it takes nothing and counts nowhere.
func TestDecisionsTest(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)
	c := memory(t, s)
	for _, got := range []decidedAll{
		decisions(t, c, `{"placements":[{"id":"11"}],"test":true}`),
		parseDecisions(t, do(t, c, "GET", base+"/v1/ad?placement=11&format=json&test=1", "")),
	} {
		if len(got.Decisions) != 1 || got.Decisions[0].LineItem != "31" {
			t.Fatalf("%+v", got)
		}
		if reply := do(t, c, "GET", strings.Replace(got.Decisions[0].Impressions[0], "https://ads.example", base, 1), ""); reply.Status != 200 {
			t.Errorf("impression: status %d", reply.Status)
		}
	}
	if micros, n := s.book.Slot(pricedItem).Load().Left(); micros != 1_000_000 || n != 1000 {
		t.Errorf("left %d micros, %d impressions", micros, n)
	}
	if err := s.board.tally.flush(testNow, s.record); err != nil || len(s.records) != 0 || len(s.wanted) != 0 {
		t.Errorf("%v, logged %+v, wanted %v", err, s.records, s.wanted)
	}
}

// The token remembers whether the visitor allowed what is personal, since a
// conversion comes long after the request that said so.
func TestDecisionsPersonal(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)
	c := memory(t, s)
	f := func(members string, want bool) {
		t.Helper()
		got := decisions(t, c, `{"placements":[{"id":"11"}]`+members+`}`).Decisions[0]
		for purpose, url := range map[token.Purpose]string{token.Click: got.Click, token.Impression: got.Impressions[0]} {
			var r event.Reservation
			text := url[strings.LastIndexByte(url, '/')+1:]
			if _, err := s.keys.Verify(nil, purpose, []byte(text), &r); err != nil {
				t.Fatal(err)
			}
			if r.Flags&event.Personal != 0 != want {
				t.Errorf("%s: flags %b in the token of a %c, want personal: %t", members, r.Flags, purpose, want)
			}
		}
	}
	f(``, true) // no law that asks for consent, and no objection
	f(`,"consent":{"gpc":true}`, false)
	f(`,"consent":{"coppa":1}`, false)
	f(`,"consent":{"gdpr":1}`, false)
	f(`,"consent":{"tcf":"garbage"}`, false)
	f(`,"consent":{"us_privacy":"1YYN"}`, false)
	f(`,"consent":{"us_privacy":"1YNN"}`, true)
	f(`,"device":{"lmt":1}`, false)
	f(`,"consent":{"tcf":"COwDzqZOwDzqZN4ABMENAPCAAP4AAP-AAAhoAFQAYABgAOABQAAAAA","gdpr":1}`, true)
}

func TestDecisionsErrors(t *testing.T) {
	t.Parallel()
	c := memory(t, newTestServer(t))
	f := func(method, path, body string, status int, code string) {
		t.Helper()
		got := do(t, c, method, base+path, body)
		if got.Status != status || !strings.HasPrefix(got.Body, `{"error":{"code":"`+code+`","message":"`) {
			t.Errorf("%s %s: %d %s, want %d %s", method, path, got.Status, got.Body, status, code)
		}
	}
	f("POST", "/v1/decisions", "", 400, "invalid_json")
	f("POST", "/v1/decisions", "{}", 400, "invalid_request")
	f("GET", "/v1/decisions", "", 405, "method_not_allowed")
	f("POST", "/v1/ad?placement=11", "", 405, "method_not_allowed")
	f("GET", "/v1/ad", "", 400, "invalid_request")
	f("GET", "/", "", 404, "not_found")
	f("GET", "/v1/decisions/", "", 404, "not_found")
	f("GET", "/sellers.json", "", 404, "not_found")
	f("DELETE", "/anything", "", 404, "not_found")

	c = memory(t, newEmptyServer(t))
	f("POST", "/v1/decisions", `{"placements":[{"id":"11"}]}`, 503, "not_ready")
	f("GET", "/v1/ad?placement=11", "", 503, "not_ready")
}

func TestPreflight(t *testing.T) {
	t.Parallel()
	c := memory(t, newEmptyServer(t))
	for _, path := range []string{"/v1/decisions", "/v1/ad"} {
		got := do(t, c, "OPTIONS", base+path, "", "Origin: https://news.example", "Access-Control-Request-Method: POST")
		if got.Status != 204 || got.Header.Get("Access-Control-Allow-Origin") != "*" || got.Header.Get("Access-Control-Allow-Headers") != "Content-Type" ||
			!strings.Contains(got.Header.Get("Access-Control-Allow-Methods"), "OPTIONS") {
			t.Errorf("%s: %+v", path, got)
		}
	}
}

func TestAd(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)
	c := memory(t, s)
	ask := func(query string) reply {
		t.Helper()
		got := do(t, c, "GET", base+"/v1/ad?placement="+query, "")
		if got.Header.Get("Cache-Control") != "no-store" || got.Header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s: %v", query, got.Header)
		}
		return got
	}
	got := ask("11")
	if got.Status != 200 || got.Header.Get("Content-Type") != "text/html; charset=utf-8" || got.Header.Get("Content-Security-Policy") == "" ||
		!strings.Contains(got.Body, "/t/c/") || !strings.Contains(got.Body, "/t/i/") {
		t.Errorf("html: %+v", got)
	}
	got = ask("11&format=js")
	if got.Status != 200 || got.Header.Get("Content-Type") != "text/javascript; charset=utf-8" || got.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("js: %+v", got)
	}
	all := parseDecisions(t, ask("11&format=json&kw.topic=go&kw.Topic=rust&cb=123"))
	if len(all.Decisions) != 1 || all.Decisions[0].LineItem != "32" {
		t.Errorf("json: %+v", all)
	}
	for _, query := range []string{"11&format=vast", "11&format=native", "12", "12&format=js", "999"} {
		if got := ask(query); got.Status != 204 || got.Body != "" {
			t.Errorf("%s: %+v", query, got)
		}
	}
	all = parseDecisions(t, ask("12&format=json"))
	if len(all.Decisions) != 1 || all.Decisions[0].NoFill != "no_creative" {
		t.Errorf("json without an ad: %+v", all)
	}

	before, _ := s.book.Slot(pricedItem).Load().Left()
	head := do(t, c, "HEAD", base+"/v1/ad?placement=11", "")
	after, _ := s.book.Slot(pricedItem).Load().Left()
	if head.Status != 200 || head.Body != "" || before != after {
		t.Errorf("HEAD: %+v, %d micros taken", head, before-after)
	}
}

// What has no lease is asked for; tests and crawlers ask for nothing.
func TestWants(t *testing.T) {
	t.Parallel()
	s := newEmptyServer(t)
	s.serve(t, testSnapshot(1))
	c := memory(t, s)
	const body = `{"placements":[{"id":"11"}]}`
	decisions(t, c, body, "User-Agent: Googlebot/2.1")
	decisions(t, c, `{"placements":[{"id":"11"}],"test":true}`)
	if len(s.wanted) != 0 {
		t.Fatalf("wanted %v", s.wanted)
	}
	got := decisions(t, c, body)
	if got.Decisions[0].NoFill != "no_lease" && got.Decisions[0].NoFill != "no_match" {
		t.Errorf("%+v", got.Decisions[0])
	}
	if diff := cmp.Diff([]ad.ID{pricedItem}, s.wanted); diff != "" {
		t.Error(diff)
	}
	s.lease(pricedItem, 1_000_000, 1000)
	if got := decisions(t, c, body); got.Decisions[0].LineItem != "31" {
		t.Errorf("with a lease: %+v", got.Decisions[0])
	}
}

// A swap takes over leases and stops; later word of the bank reaches it.
func TestSwap(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)
	c := memory(t, s)
	winner := func(want string) {
		t.Helper()
		s.sleep(time.Second)
		got := decisions(t, c, `{"placements":[{"id":"11"}]}`)
		if got.Decisions[0].LineItem != want {
			t.Errorf("generation %d: %+v, want line item %q", got.Generation, got.Decisions[0], want)
		}
	}
	winner("31")
	s.board.setStopped(postgres.Stop{Kind: "line_item", ID: pricedItem, Stopped: true})
	winner("33")
	s.serve(t, testSnapshot(8))
	winner("33")
	s.board.setStopped(postgres.Stop{Kind: "line_item", ID: pricedItem, Stopped: false})
	winner("31")
	s.book.Slot(pricedItem).Store(nil)
	s.board.changed(pricedItem)
	winner("33")
	s.lease(pricedItem, 1_000_000, 1000)
	s.serve(t, testSnapshot(9))
	winner("31")
	if price, ok := s.board.price(pricedItem); !ok || price != 5000 {
		t.Errorf("price %d, %v", price, ok)
	}
	if _, ok := s.board.price(999); ok {
		t.Error("an unknown line item has a price")
	}

	bad := testSnapshot(10)
	bad.Placements[0].Property = 77
	if err := s.board.load(bad, testNow); err == nil {
		t.Error("a dangling reference was loaded")
	}
	winner("31")
}

// Decisions are counted by hour, placement and outcome, in the hour they were made in.
func TestTally(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)
	c := memory(t, s)
	const body = `{"placements":[{"id":"11"},{"id":"12"},{"id":"999"}]}`
	decisions(t, c, body)
	decisions(t, c, body)
	s.sleep(time.Hour)
	s.serve(t, testSnapshot(8)) // counts survive a swap
	s.lease(pricedItem, 1_000_000, 1000).Until = testNow.Add(2 * time.Hour).UnixMicro()
	decisions(t, c, body)
	flush := func(want ...event.Count) {
		t.Helper()
		s.records = nil
		if err := s.board.tally.flush(s.at, s.record); err != nil {
			t.Error(err)
		}
		var got []event.Count
		for _, r := range s.records {
			got = append(got, r.Requests)
		}
		order := cmpopts.SortSlices(func(a, b event.Count) bool {
			return a.Hour.Before(b.Hour) || a.Hour.Equal(b.Hour) && a.Placement < b.Placement
		})
		if diff := cmp.Diff(want, got, order, cmpopts.EquateEmpty()); diff != "" {
			t.Error(diff)
		}
	}
	noon := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	s.breakLog()
	if err := s.board.tally.flush(s.at, s.record); err == nil {
		t.Error("a log that refuses was not noticed")
	}
	s.logErr = nil
	flush(
		event.Count{Hour: noon, Placement: 11, N: 2},
		event.Count{Hour: noon, Placement: 12, NoFill: "no_creative", N: 2},
		event.Count{Hour: noon.Add(time.Hour), Placement: 11, N: 1},
		event.Count{Hour: noon.Add(time.Hour), Placement: 12, NoFill: "no_creative", N: 1},
	)
	flush()
}

// While draining, everything is answered and every connection told to end.
func TestDraining(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)
	w := dial(t, s.listen(t))
	w.send(t, goodGet)
	if status, _ := w.answer(t); status != 200 {
		t.Fatal(status)
	}
	s.draining.Store(true)
	w.send(t, "GET /v1/ad?placement=11 HTTP/1.1\r\nHost: a\r\n\r\n")
	resp, err := http.ReadResponse(w.in, nil)
	if err != nil || resp.StatusCode != 200 || !resp.Close {
		t.Errorf("%+v, %v", resp, err)
	}
	resp.Body.Close()
}

// A handler that panics costs its own request and no other.
func TestPanic(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)
	process := s.process
	broken := true
	s.server.process = func() ulid.ULID {
		if broken {
			panic("a bug")
		}
		return process()
	}
	c := memory(t, s)
	got := do(t, c, "GET", base+"/v1/ad?placement=11", "")
	if got.Status != 500 || strings.Contains(got.Body, "bug") {
		t.Errorf("%+v", got)
	}
	broken = false
	if got := do(t, c, "GET", base+"/v1/ad?placement=11", ""); got.Status != 200 {
		t.Errorf("the next one: %+v", got)
	}
}
