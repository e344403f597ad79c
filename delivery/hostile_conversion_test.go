package delivery

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hayate-ads/hayate/delivery/token"
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/money"
)

// postClick and postView are conversion tokens of a touch some time ago.
func postClick(s *testServer, r event.Reservation, ago time.Duration) string {
	return string(s.keys.Sign(nil, token.Conversion, &r, token.Touch{At: testNow.Add(-ago)}.Append(nil)))
}

func postView(s *testServer, r event.Reservation, ago time.Duration) string {
	return string(s.keys.Sign(nil, token.Conversion, &r, token.Touch{At: testNow.Add(-ago), PostView: true}.Append(nil)))
}

// conversion is the only one that was logged.
func (tt *trackTest) conversion() event.Record {
	tt.t.Helper()
	records := tt.logged(event.Conversion)
	if len(records) != 1 {
		tt.t.Fatalf("%d conversions are logged", len(records))
	}
	return records[0]
}

func (tt *trackTest) post(path, body string, headers ...string) reply {
	tt.t.Helper()
	return do(tt.t, client(tt.t), "POST", tt.url+path, body, headers...)
}

const formHeader = "Content-Type: application/x-www-form-urlencoded"

func TestPostback(t *testing.T) {
	t.Parallel()
	r := testReservation()
	f := func(what string, ask func(*trackTest, string) reply, status int, want event.Action) {
		t.Helper()
		tt := newTrackTest(t)
		got := ask(tt, "/t/x/"+postClick(tt.testServer, r, time.Hour))
		if got.Status != status || status == 200 && (got.Body != pixel || got.Header.Get("Content-Type") != "image/gif") || status == 204 && got.Body != "" ||
			got.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %+v", what, got)
		}
		want.TouchedAt = testNow.Add(-time.Hour)
		record := tt.conversion()
		if diff := cmp.Diff(&want, record.Action); diff != "" {
			t.Errorf("%s: (-want +got) %s", what, diff)
		}
		if diff := cmp.Diff(event.Landing{Reservation: r, Clearing: r.Price}, record.Landing); diff != "" {
			t.Errorf("%s: (-want +got) %s", what, diff)
		}
	}
	get := func(query string, headers ...string) func(*trackTest, string) reply {
		return func(tt *trackTest, path string) reply { return tt.get(path+query, headers...) }
	}
	post := func(query, body string, headers ...string) func(*trackTest, string) reply {
		return func(tt *trackTest, path string) reply { return tt.post(path+query, body, headers...) }
	}
	f("GET", get("?order=A-1&value=49.90"), 200, event.Action{OrderID: "A-1", Value: 49_900_000})
	f("GET without anything", get(""), 200, event.Action{})
	f("GET with empty ones", get("?order=&value="), 200, event.Action{})
	f("GET with a cache buster", get("?r=1&r=2&order=%7E%20+1"), 200, event.Action{OrderID: "~  1"})
	f("GET, the longest order", get("?order="+strings.Repeat("z", 64)), 200, event.Action{OrderID: strings.Repeat("z", 64)})
	f("GET, the largest value", get("?value=70000000"), 200, event.Action{Value: event.MaxConversionValue})
	f("GET, a crawler's name", get("", "User-Agent: orderbot/1.0"), 200, event.Action{})
	f("POST", post("?order=A-1&value=0.000001", ""), 204, event.Action{OrderID: "A-1", Value: 1})
	f("POST of a form", post("", "order=A%2F1&value=7", formHeader), 204, event.Action{OrderID: "A/1", Value: 7_000_000})
	f("POST of both", post("?order=A", "value=7", formHeader+"; charset=utf-8"), 204, event.Action{OrderID: "A", Value: 7_000_000})
}

// What cannot be meant is refused, and nothing is counted.
func TestHostileTrack52Conversions(t *testing.T) {
	t.Parallel()
	tt := newTrackTest(t)
	path := "/t/x/" + postClick(tt.testServer, testReservation(), time.Hour)
	cookie := "Cookie: hayate_click=" + postClick(tt.testServer, personal(), time.Hour)
	f := func(query, want string) {
		t.Helper()
		for _, got := range []reply{tt.get(path + "?" + query), tt.post(path+"?"+query, ""), tt.post(path, query, formHeader), tt.get("/c/21?"+query, cookie), tt.get("/c/21?" + query)} {
			if got.Status != 400 || !strings.Contains(got.Body, want) {
				t.Errorf("%s: %+v", query, got)
			}
		}
	}
	for _, value := range []string{
		"1,5", "-1", "-0.01", "1e9", "NaN", "Inf", "+1", "%201", "1%20", "0x10", ".5", "5.", "1.0000001", "1.2.3", "1_000", "%D9%A1", "$5",
		"70000000.000001", "1000000000000", "99999999999999999999", strings.Repeat("9", 4000), "%24%7BVALUE%7D", "{value}", "1%00",
	} {
		f("order=1&value="+value, "value has to be a decimal")
	}
	f("order="+strings.Repeat("z", 65), "at most 64 printable ASCII")
	f("order=a%0d%0aSet-Cookie:%20b", "printable ASCII")
	f("order=%C3%A9", "printable ASCII")
	f("order=%7f", "printable ASCII")
	f("order=%00", "printable ASCII")
	f("order=1&order=1", "order is given twice")
	f("value=1&order=1&value=2", "value is given twice")
	f("order=%ff", "not UTF-8")
	f("order=%zz", "broken % escape")
	f("order=%4", "broken % escape")
	if got := tt.post(path+"?order=1", "order=2", formHeader); got.Status != 400 || !strings.Contains(got.Body, "given twice") {
		t.Errorf("in query and form: %+v", got)
	}
	for _, headers := range [][]string{nil, {"Content-Type: application/json"}, {formHeader, "Content-Encoding: gzip"}, {"Content-Type: multipart/form-data; boundary=x"}} {
		if got := tt.post(path, `{"order":"1"}`, headers...); got.Status != 415 {
			t.Errorf("%q: %+v", headers, got)
		}
	}
	if n := len(tt.logged(event.Conversion)); n != 0 {
		t.Errorf("%d are counted", n)
	}
	if got := tt.get(path + "?order=1&value=1.5"); got.Status != 200 {
		t.Errorf("afterwards: %+v", got)
	}
}

func TestHostileTrack49ConversionTokens(t *testing.T) {
	t.Parallel()
	tt := newTrackTest(t)
	r := personal()
	good := postClick(tt.testServer, r, 0)
	c := client(t)
	f := func(what, text string) {
		t.Helper()
		if got := do(t, c, "GET", tt.url+"/t/x/"+text, ""); got.Status != 404 {
			t.Errorf("%s: %s: status %d", what, text, got.Status)
		}
		if text == "" || len(text) > 4000 || strings.ContainsAny(text, "/%{}") {
			return
		}
		if got := do(t, c, "GET", tt.url+"/c/21", "", "Cookie: hayate_click="+text+"; hayate_view="+text); got.Status != 200 {
			t.Errorf("%s in cookies: %s: status %d", what, text, got.Status)
		}
	}
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for i := range good {
		f("cut", good[:i])
		for bit := range 6 {
			other := alphabet[strings.IndexByte(alphabet, good[i])^1<<bit]
			f("flipped", good[:i]+string(other)+good[i+1:])
		}
	}
	for _, text := range []string{good + "=", good + "A", "A" + good, good + "/", good + "%00", "%20" + good, "..", "{conversion}", "$%7BCONVERSION%7D", strings.Repeat("A", 5000)} {
		f("changed", text)
	}
	for _, purpose := range []token.Purpose{token.Impression, token.Viewable, token.Click, token.Win, token.Progress} {
		f("other purpose", signed(tt.testServer, purpose, r))
		if got := tt.get("/t/" + string(rune(purpose)) + "/" + good); got.Status != 404 {
			t.Errorf("a conversion's token as %c: status %d", purpose, got.Status)
		}
	}
	f("without a touch", signed(tt.testServer, token.Conversion, r))
	other, err := token.ParseKeys([]byte("1 ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n"))
	if err != nil {
		t.Fatal(err)
	}
	f("another's key", string(other.Sign(nil, token.Conversion, &r, token.Touch{At: testNow}.Append(nil))))
	if n := len(tt.logged(event.Conversion)) + tt.count(); n != 0 {
		t.Errorf("%d of them were counted", n)
	}
	if got := tt.get("/t/x/" + good); got.Status != 200 || len(tt.logged(event.Conversion)) != 1 {
		t.Errorf("the token itself: %+v", got)
	}
}

// A replay is acknowledged by any process at any time within the window, and logged
// under the same name, by which settle counts it once.
func TestHostileTrack50ConversionReplay(t *testing.T) {
	t.Parallel()
	r := testReservation()
	for range 4 {
		tt := newTrackTest(t)
		path := "/t/x/" + postClick(tt.testServer, r, 0) + "?order=7&value=1"
		for range 5 {
			if got := tt.get(path); got.Status != 200 {
				t.Errorf("status %d", got.Status)
			}
			tt.sleep(17 * 24 * time.Hour)
		}
		for _, record := range tt.logged(event.Conversion) {
			want := &event.Action{OrderID: "7", Value: money.Unit, TouchedAt: testNow}
			if diff := cmp.Diff(want, record.Action); diff != "" || record.Landing.Reservation != r {
				t.Errorf("%s, %+v", diff, record.Landing)
			}
		}
		tt.sleep(5 * 24 * time.Hour)
		if got := tt.get(path); got.Status != 200 || len(tt.logged(event.Conversion)) != 6 {
			t.Errorf("on the last day: %+v", got)
		}
		tt.sleep(time.Second)
		if got := tt.get(path); got.Status != 410 || len(tt.logged(event.Conversion)) != 6 {
			t.Errorf("afterwards: %+v", got)
		}
	}
}

func TestHostileTrack51ConversionAge(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	f := func(view bool, ago time.Duration, status int) {
		t.Helper()
		tt := newTrackTest(t)
		text, name := postClick(tt.testServer, personal(), ago), clickCookie
		if view {
			text, name = postView(tt.testServer, personal(), ago), viewCookie
		}
		got, counted := tt.get("/t/x/"+text), len(tt.logged(event.Conversion))
		if got.Status != status || counted == 1 != (status == 200) {
			t.Errorf("view %t, %s ago: status %d, %d counted", view, ago, got.Status, counted)
		}
		got, again := tt.get("/c/21", "Cookie: "+name+"="+text), len(tt.logged(event.Conversion))-counted
		if got.Status != 200 || again != counted {
			t.Errorf("cookie, view %t, %s ago: status %d, %d counted", view, ago, got.Status, again)
		}
	}
	f(false, 0, 200)
	f(false, 90*day, 200)
	f(false, 90*day+time.Second, 410)
	f(false, 10*365*day, 410)
	f(true, 30*day, 200)
	f(true, 30*day+time.Second, 410)
	f(false, -time.Second, 200) // another process's clock is ahead
	f(false, -time.Hour, 200)
}

func TestHostileTrack56NobodyBought(t *testing.T) {
	t.Parallel()
	tt := newTrackTest(t)
	test := personal()
	test.Flags |= event.Test
	good, unpaid := postClick(tt.testServer, personal(), 0), postClick(tt.testServer, test, 0)
	for _, header := range []string{"Sec-Purpose: prefetch", "Sec-Purpose: prefetch;prerender", "Purpose: prefetch", "X-Moz: prefetch"} {
		for _, got := range []reply{tt.get("/t/x/"+good, header), tt.get("/c/21", header, "Cookie: hayate_click="+good)} {
			if got.Status != 200 {
				t.Errorf("%s: status %d", header, got.Status)
			}
		}
	}
	for _, got := range []reply{
		tt.get("/t/x/" + unpaid), tt.get("/c/21", "Cookie: hayate_click="+unpaid),
		do(t, client(t), "HEAD", tt.url+"/t/x/"+good, ""), do(t, client(t), "HEAD", tt.url+"/c/21", "", "Cookie: hayate_click="+good),
	} {
		if got.Status != 200 {
			t.Errorf("%+v", got)
		}
	}
	if got := tt.post("/t/x/"+unpaid, ""); got.Status != 204 {
		t.Errorf("%+v", got)
	}
	for _, method := range []string{"PUT", "DELETE", "OPTIONS", "TRACE"} {
		if got := do(t, client(t), method, tt.url+"/t/x/"+good, ""); got.Status != 405 || got.Header.Get("Allow") != "GET, HEAD, POST" {
			t.Errorf("%s: status %d", method, got.Status)
		}
	}
	if got := tt.post("/c/21", "", "Cookie: hayate_click="+good); got.Status != 405 {
		t.Errorf("a pixel is no form: %d", got.Status)
	}
	if n := len(tt.logged(event.Conversion)); n != 0 {
		t.Errorf("%d counted", n)
	}

	// On record as invalid: a crawler at the pixel, and whatever follows a crawler's click.
	suspect := personal()
	suspect.Flags |= event.Suspect
	tt.get("/c/21", "Cookie: hayate_click="+good, "User-Agent: Mozilla/5.0 (compatible; Googlebot/2.1)")
	tt.get("/t/x/" + postClick(tt.testServer, suspect, 0))
	tt.get("/c/21", "Cookie: hayate_click="+postClick(tt.testServer, suspect, 0))
	records := tt.logged(event.Conversion)
	if len(records) != 3 || records[0].Landing.Invalid != event.InvalidBot || records[1].Landing.Invalid != event.InvalidSuspect || records[2].Landing.Invalid != event.InvalidSuspect {
		t.Errorf("%+v", records)
	}
}

// A conversion that the log refuses is not acknowledged.
func TestConversionWithoutLog(t *testing.T) {
	t.Parallel()
	tt := newTrackTest(t)
	tt.breakLog()
	text := postClick(tt.testServer, personal(), 0)
	for _, got := range []reply{tt.get("/t/x/" + text), tt.post("/t/x/"+text, ""), tt.get("/c/21", "Cookie: hayate_click="+text)} {
		if got.Status != 503 || got.Header.Get("Retry-After") == "" || strings.Contains(got.Body, "space") {
			t.Errorf("%+v", got)
		}
	}
	if got := tt.get("/c/21"); got.Status != 200 {
		t.Errorf("with nothing to count: %+v", got)
	}
}

// FuzzAction: what is read of parameters is what a record may hold.
func FuzzAction(f *testing.F) {
	f.Add("order=A-1&value=49.90", "")
	f.Add("value=1e9", "order=%7e%00")
	f.Fuzz(func(t *testing.T, query, form string) {
		var sc scratch
		action, err := sc.readAction([]byte(query), []byte(form))
		if err != nil {
			return
		}
		action.TouchedAt = testNow
		record := event.Record{Type: event.Conversion, Landing: event.Landing{Reservation: testReservation()}, Action: &action}
		if err := record.Validate(); err != nil {
			t.Errorf("%q and %q: %v", query, form, err)
		}
	})
}
