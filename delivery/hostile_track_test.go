package delivery

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/oklog/ulid/v2"

	"github.com/hayate-ads/hayate/delivery/token"
	"github.com/hayate-ads/hayate/internal/event"
)

const testLanding = "https://shop.example/landing?a=1&b=2"

// testReservation is what a token of these tests says.
func testReservation() event.Reservation {
	return event.Reservation{
		Process: testProcess, Lease: ulid.MustParse("01JD0000000000000000000002"), Index: 5,
		LineItem: pricedItem, Creative: 41, Placement: testPlacement, Country: [2]byte{'J', 'P'}, Device: event.Desktop,
		DecidedAt: testNow, Hold: time.Minute, Generation: 7, Price: 5000, BidPrice: 5000, Bills: event.BillsImpression,
	}
}

func signed(s *testServer, purpose token.Purpose, r event.Reservation) string {
	var landing []byte
	if purpose == token.Click {
		landing = []byte(testLanding)
	}
	return string(s.keys.Sign(nil, purpose, &r, landing))
}

// trackTest is a server with a connection to it.
type trackTest struct {
	*testServer
	t   *testing.T
	url string
}

func newTrackTest(t *testing.T) *trackTest {
	s := newEmptyServer(t)
	return &trackTest{s, t, "http://" + s.listen(t)}
}

func (tt *trackTest) get(path string, headers ...string) reply {
	tt.t.Helper()
	return do(tt.t, client(tt.t), "GET", tt.url+path, "", headers...)
}

// count is how many landings of all kinds were logged.
func (tt *trackTest) count() int {
	return len(tt.logged(event.Impression)) + len(tt.logged(event.Viewable)) + len(tt.logged(event.Click))
}

func TestTrack(t *testing.T) {
	t.Parallel()
	tt := newTrackTest(t)
	r := testReservation()

	got := tt.get("/t/i/" + signed(tt.testServer, token.Impression, r))
	if got.Status != 200 || got.Body != pixel || got.Header.Get("Content-Type") != "image/gif" || got.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("impression: %+v", got)
	}
	got = tt.get("/t/v/" + signed(tt.testServer, token.Viewable, r))
	if got.Status != 204 || got.Body != "" {
		t.Errorf("viewable: %+v", got)
	}
	got = tt.get("/t/c/" + signed(tt.testServer, token.Click, r))
	if got.Status != 302 || got.Header.Get("Location") != testLanding || got.Header.Get("X-Hayate-Counted") != "" {
		t.Errorf("click: %+v", got)
	}
	want := event.Landing{Reservation: r, Clearing: 5000}
	for _, kind := range []event.Type{event.Impression, event.Viewable, event.Click} {
		records := tt.logged(kind)
		if len(records) != 1 {
			t.Fatalf("%d records of type %d", len(records), kind)
		}
		if diff := cmp.Diff(want, records[0].Landing); diff != "" {
			t.Error(diff)
		}
	}
}

// How far a video was played is told by the name that VAST gives it, and by no
// other: whoever sends something else learns so, and nothing is logged.
func TestTrackProgress(t *testing.T) {
	t.Parallel()
	tt := newTrackTest(t)
	r := testReservation()
	path := "/t/q/" + signed(tt.testServer, token.Progress, r)
	names := []string{"start", "firstQuartile", "midpoint", "thirdQuartile", "complete"}
	for _, name := range names {
		if got := tt.get(path + "?p=" + name); got.Status != 204 || got.Body != "" {
			t.Errorf("%s: %+v", name, got)
		}
	}
	for _, query := range []string{"", "?", "?p=", "?p=Start", "?p=start%20", "?p=0", "?p=unmute", "?q=start", "?p=${EVENT}", "?p=start/"} {
		if got := tt.get(path + query); got.Status != 400 || !strings.Contains(got.Body, "firstQuartile") {
			t.Errorf("%q: %+v", query, got)
		}
	}
	if got := tt.get("/t/q/" + signed(tt.testServer, token.Impression, r) + "?p=start"); got.Status != 404 {
		t.Errorf("an impression's token: %+v", got)
	}
	old := r
	old.DecidedAt = testNow.Add(-25 * time.Hour)
	if got := tt.get("/t/q/" + signed(tt.testServer, token.Progress, old) + "?p=start"); got.Status != 410 {
		t.Errorf("a day too late: %+v", got)
	}
	records := tt.logged(event.Progress)
	if len(records) != len(names) {
		t.Fatalf("%d records for %d calls", len(records), len(names))
	}
	for i, record := range records {
		want := event.Landing{Reservation: r, Clearing: 5000, Quartile: event.Quartile(i)}
		if diff := cmp.Diff(want, record.Landing); diff != "" {
			t.Errorf("%s: %s", names[i], diff)
		}
	}
	if got := tt.get("/t/i/" + signed(tt.testServer, token.Impression, r) + "?p=complete"); got.Status != 200 {
		t.Errorf("impression: %+v", got)
	}
	if got := tt.logged(event.Impression); len(got) != 1 || got[0].Landing.Quartile != event.Start {
		t.Errorf("an impression has a quartile: %+v", got)
	}
}

// An event that the log refuses is not acknowledged; the visitor still gets on.
func TestTrackWithoutLog(t *testing.T) {
	t.Parallel()
	tt := newTrackTest(t)
	tt.breakLog()
	r := testReservation()
	got := tt.get("/t/i/" + signed(tt.testServer, token.Impression, r))
	if got.Status != 503 || got.Header.Get("Retry-After") == "" || strings.Contains(got.Body, "space") {
		t.Errorf("impression: %+v", got)
	}
	got = tt.get("/t/c/" + signed(tt.testServer, token.Click, r))
	if got.Status != 302 || got.Header.Get("Location") != testLanding || got.Header.Get("X-Hayate-Counted") != "0" {
		t.Errorf("click: %+v", got)
	}
}

func TestHostileTrack49MangledTokens(t *testing.T) {
	t.Parallel()
	tt := newTrackTest(t)
	r := testReservation()
	good := signed(tt.testServer, token.Impression, r)
	c := client(t)
	f := func(what, path string) {
		t.Helper()
		if got := do(t, c, "GET", tt.url+path, ""); got.Status != 404 {
			t.Errorf("%s: %s: status %d", what, path, got.Status)
		}
	}
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for i := range good {
		for bit := range 6 {
			other := alphabet[strings.IndexByte(alphabet, good[i])^1<<bit]
			f("flipped", "/t/i/"+good[:i]+string(other)+good[i+1:])
		}
	}
	for i := range good {
		f("cut", "/t/i/"+good[:i])
	}
	for _, text := range []string{good + "=", good + "==", good + "A", "A" + good, good + "/", good + "%00", good + good, "%20" + good, ".", ".."} {
		f("changed", "/t/i/"+text)
	}
	for _, purpose := range []string{"v", "c", "w", "b", "l", "x", "q", "I", "", "ii", "z"} {
		f("other purpose", "/t/"+purpose+"/"+good)
	}
	f("click for impression", "/t/i/"+signed(tt.testServer, token.Click, r))
	f("long", "/t/i/"+strings.Repeat("A", 5000))
	if n := tt.count(); n != 0 {
		t.Errorf("%d of them were counted", n)
	}
}

// A replay is acknowledged wherever it lands, and logged with the same identity,
// by which settle counts it once.
func TestHostileTrack50Replay(t *testing.T) {
	t.Parallel()
	r := testReservation()
	for range 4 {
		tt := newTrackTest(t)
		path := "/t/i/" + signed(tt.testServer, token.Impression, r)
		for range 5 {
			if got := tt.get(path); got.Status != 200 {
				t.Errorf("status %d", got.Status)
			}
		}
		for _, record := range tt.logged(event.Impression) {
			if diff := cmp.Diff(r, record.Landing.Reservation); diff != "" {
				t.Error(diff)
			}
		}
	}
}

func TestHostileTrack51Age(t *testing.T) {
	t.Parallel()
	f := func(decided time.Duration, status int, counted, late bool) {
		t.Helper()
		tt := newTrackTest(t)
		r := testReservation()
		r.DecidedAt = testNow.Add(decided)
		got := tt.get("/t/i/" + signed(tt.testServer, token.Impression, r))
		records := tt.logged(event.Impression)
		if got.Status != status || len(records) == 1 != counted || counted && records[0].Landing.Late != late {
			t.Errorf("decided %s from now: status %d, %d logged", decided, got.Status, len(records))
		}
		got = tt.get("/t/c/" + signed(tt.testServer, token.Click, r))
		marked := got.Header.Get("X-Hayate-Counted") == "0"
		if got.Status != 302 || got.Header.Get("Location") != testLanding || len(tt.logged(event.Click)) == 1 != counted || marked == counted {
			t.Errorf("click, decided %s from now: %+v", decided, got)
		}
	}
	f(0, 200, true, false)
	f(-time.Minute, 200, true, false)
	f(-time.Minute-time.Millisecond, 200, true, true)
	f(-24*time.Hour, 200, true, true)
	f(-24*time.Hour-time.Second, 410, false, false)
	f(-10*365*24*time.Hour, 410, false, false)
	f(time.Second, 200, true, false) // another process's clock is ahead
	f(time.Hour, 200, true, false)
}

// What a URL says besides its token is never looked at.
func TestHostileTrack52PriceInURL(t *testing.T) {
	t.Parallel()
	tt := newTrackTest(t)
	path := "/t/i/" + signed(tt.testServer, token.Impression, testReservation())
	for _, price := range []string{"$%7BAUCTION_PRICE%7D", "-1", "1e9", "1,5", "NaN", "99999999999999999999"} {
		if got := tt.get(path + "?price=" + price); got.Status != 200 {
			t.Errorf("%s: status %d", price, got.Status)
		}
	}
	for _, record := range tt.logged(event.Impression) {
		if record.Landing.Clearing != 5000 {
			t.Errorf("cleared at %s", record.Landing.Clearing)
		}
	}
}

// Nobody may bid here yet, so there is nothing to win, bill or lose.
func TestHostileTrack53Notices(t *testing.T) {
	t.Parallel()
	tt := newTrackTest(t)
	for _, purpose := range []token.Purpose{token.Win, token.Billing, token.Loss, token.Conversion} {
		if got := tt.get("/t/" + string(rune(purpose)) + "/" + signed(tt.testServer, purpose, testReservation())); got.Status != 404 {
			t.Errorf("%c: status %d", purpose, got.Status)
		}
	}
	if n := tt.count(); n != 0 {
		t.Errorf("%d counted", n)
	}
}

// The landing page is in the signed part, and nothing of the URL changes it.
func TestHostileTrack54Redirect(t *testing.T) {
	t.Parallel()
	tt := newTrackTest(t)
	path := "/t/c/" + signed(tt.testServer, token.Click, testReservation())
	for _, query := range []string{
		"?url=//evil", "?u=javascript:alert(1)", "?to=data:text/html,x", "?redirect=%5C%5Cevil", "?https:evil", "?user@host", "?%0d%0aSet-Cookie:%20a=b",
	} {
		got := tt.get(path+query, "Referer: https://evil.example/", "X-Forwarded-Host: evil.example")
		if got.Status != 302 || got.Header.Get("Location") != testLanding || got.Header.Get("Set-Cookie") != "" {
			t.Errorf("%s: %+v", query, got)
		}
	}
	for _, mangled := range []string{"//evil", path + "//evil", path + "/../../evil", "/t/c///evil"} {
		if got := tt.get("/t/c/" + mangled); got.Status != 404 {
			t.Errorf("%s: status %d", mangled, got.Status)
		}
	}
}

func TestHostileTrack55Keys(t *testing.T) {
	t.Parallel()
	tt := newTrackTest(t)
	r := testReservation()
	for name, file := range map[string]string{
		"unknown id":      "2 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n",
		"another's bytes": "1 ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n",
	} {
		keys, err := token.ParseKeys([]byte(file))
		if err != nil {
			t.Fatal(err)
		}
		if got := tt.get("/t/i/" + string(keys.Sign(nil, token.Impression, &r, nil))); got.Status != 404 {
			t.Errorf("%s: status %d", name, got.Status)
		}
	}
	good := signed(tt.testServer, token.Impression, r)
	for name, text := range map[string]string{
		"without MAC": good[:len(good)-22], "MAC of zeros": good[:len(good)-20] + strings.Repeat("A", 20), "empty": "A",
	} {
		if got := tt.get("/t/i/" + text); got.Status != 404 {
			t.Errorf("%s: status %d", name, got.Status)
		}
	}
	if n := tt.count(); n != 0 {
		t.Errorf("%d counted", n)
	}
}

func TestHostileTrack56NobodySaw(t *testing.T) {
	t.Parallel()
	tt := newTrackTest(t)
	r := testReservation()
	for purpose, status := range map[token.Purpose]int{token.Impression: 200, token.Viewable: 204, token.Click: 302} {
		path := "/t/" + string(rune(purpose)) + "/" + signed(tt.testServer, purpose, r)
		if got := do(t, client(t), "HEAD", tt.url+path, ""); got.Status != status {
			t.Errorf("HEAD %c: status %d", purpose, got.Status)
		}
		for _, header := range []string{"Sec-Purpose: prefetch", "Sec-Purpose: prefetch;prerender", "Purpose: prefetch", "X-Moz: prefetch"} {
			if got := tt.get(path, header); got.Status != 204 {
				t.Errorf("%s %c: status %d", header, purpose, got.Status)
			}
		}
		test := testReservation()
		test.Flags = event.Test
		if got := tt.get("/t/" + string(rune(purpose)) + "/" + signed(tt.testServer, purpose, test)); got.Status != status {
			t.Errorf("test %c: status %d", purpose, got.Status)
		}
	}
	if n := tt.count(); n != 0 {
		t.Errorf("%d counted", n)
	}
	for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS", "TRACE"} {
		got := do(t, client(t), method, tt.url+"/t/i/"+signed(tt.testServer, token.Impression, r), "")
		if got.Status != 405 || got.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: status %d", method, got.Status)
		}
	}

	// A crawler's visit is a fact, on record as invalid and never billed.
	got := tt.get("/t/i/"+signed(tt.testServer, token.Impression, r), "User-Agent: Mozilla/5.0 (compatible; Googlebot/2.1)")
	suspect := testReservation()
	suspect.Flags = event.Suspect
	got2 := tt.get("/t/i/" + signed(tt.testServer, token.Impression, suspect))
	records := tt.logged(event.Impression)
	if got.Status != 200 || got2.Status != 200 || len(records) != 2 || records[0].Landing.Invalid == event.Valid || records[1].Landing.Invalid == event.Valid {
		t.Errorf("crawlers: %d and %d, %+v", got.Status, got2.Status, records)
	}
}
