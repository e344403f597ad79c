package delivery

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hayate-ads/hayate/delivery/token"
	"github.com/hayate-ads/hayate/internal/event"
)

// clickTo is a click's URL that leads to landing.
func clickTo(s *testServer, r event.Reservation, landing string) string {
	return "/t/c/" + string(s.keys.Sign(nil, token.Click, &r, []byte(landing)))
}

// tokenIn verifies a conversion token and returns what it says.
func tokenIn(t *testing.T, s *testServer, text string) (event.Reservation, token.Touch) {
	t.Helper()
	var r event.Reservation
	tail, err := s.keys.Verify(nil, token.Conversion, []byte(text), &r)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	touch, _ := token.ParseTouch(tail)
	return r, touch
}

func personal() event.Reservation {
	r := testReservation()
	r.Advertiser, r.Flags = 21, event.Personal
	return r
}

func TestClickHandsOverToken(t *testing.T) {
	t.Parallel()
	tt := newTrackTest(t)
	r := testReservation()
	got := tt.get(clickTo(tt.testServer, r, "https://shop.example/a?hy={conversion}&b=1#c"))
	to, err := url.Parse(got.Header.Get("Location"))
	if err != nil || got.Status != 302 || to.Query().Get("b") != "1" || to.Fragment != "c" {
		t.Fatalf("%+v, %v", got, err)
	}
	claim, touch := tokenIn(t, tt.testServer, to.Query().Get("hy"))
	if claim != r || touch.PostView || !touch.At.Equal(testNow) {
		t.Errorf("token says %+v, %+v", claim, touch)
	}
	if cookies := got.Header.Values("Set-Cookie"); len(cookies) > 0 {
		t.Errorf("cookies without consent: %q", cookies)
	}

	tt.breakLog()
	got = tt.get(clickTo(tt.testServer, r, "https://shop.example/?hy={conversion}"))
	_, text, _ := strings.Cut(got.Header.Get("Location"), "hy=")
	if claim, _ = tokenIn(t, tt.testServer, text); claim != r || got.Header.Get("X-Hayate-Counted") != "0" {
		t.Errorf("a click that the log refused: %+v", got)
	}
}

// Who clicks decides what the token is worth.
func TestClickTokenOf(t *testing.T) {
	t.Parallel()
	const landing = "https://shop.example/?hy={conversion}"
	f := func(name string, r event.Reservation, want event.Flags, headers ...string) {
		t.Helper()
		tt := newTrackTest(t)
		got := tt.get(clickTo(tt.testServer, r, landing), headers...)
		_, text, _ := strings.Cut(got.Header.Get("Location"), "hy=")
		if claim, _ := tokenIn(t, tt.testServer, text); claim.Flags != want {
			t.Errorf("%s: flags %b, want %b", name, claim.Flags, want)
		}
	}
	suspect, test, old := testReservation(), testReservation(), testReservation()
	suspect.Flags, test.Flags = event.Suspect, event.Test
	old.DecidedAt = old.DecidedAt.Add(-25 * time.Hour)
	f("visitor", testReservation(), 0)
	f("crawler", testReservation(), event.Suspect, "User-Agent: Mozilla/5.0 (compatible; Googlebot/2.1)")
	f("suspect", suspect, event.Suspect)
	f("test", test, event.Test)

	tt := newTrackTest(t)
	if got := tt.get(clickTo(tt.testServer, old, landing)); got.Status != 302 || got.Header.Get("Location") != "https://shop.example/?hy=" {
		t.Errorf("a click after a day: %+v", got)
	}
	got := do(t, client(t), "HEAD", tt.url+clickTo(tt.testServer, testReservation(), landing), "")
	if got.Status != 302 || got.Header.Get("Location") != "https://shop.example/?hy=" {
		t.Errorf("HEAD: %+v", got)
	}
}

// The token never gets into what decides where a redirect leads.
func TestHostileTrack54Macro(t *testing.T) {
	t.Parallel()
	f := func(landing, want string) {
		t.Helper()
		if got := string(appendLanding(nil, []byte(landing), []byte("T0-k_en"))); got != want {
			t.Errorf("%s: leads to %s, want %s", landing, got, want)
		}
		if asks := asksForToken([]byte(landing)); asks != (landing != want) {
			t.Errorf("%s: asks for a token: %t", landing, asks)
		}
	}
	same := func(landing string) { t.Helper(); f(landing, landing) }
	f("https://shop.example/?hy={conversion}", "https://shop.example/?hy=T0-k_en")
	f("https://shop.example?{conversion}", "https://shop.example?T0-k_en")
	f("https://shop.example#hy={conversion}", "https://shop.example#hy=T0-k_en")
	f("https://shop.example/?hy=%7Bconversion%7D", "https://shop.example/?hy=T0-k_en")
	f("https://shop.example/?hy=%7bconversion}", "https://shop.example/?hy=T0-k_en")
	f("https://shop.example/?a={conversion}{conversion}&b={conversion}", "https://shop.example/?a=T0-k_enT0-k_en&b=T0-k_en")
	f("https://shop.example/{conversion}?hy={conversion}", "https://shop.example/{conversion}?hy=T0-k_en")
	f("https://track.example/?to=https%3A%2F%2Fshop.example%2F%3Fhy%3D{conversion}", "https://track.example/?to=https%3A%2F%2Fshop.example%2F%3Fhy%3DT0-k_en")
	f("https://shop.example/?a={{conversion}}", "https://shop.example/?a={T0-k_en}")
	f("https://shop.example/?conversion={conversion}", "https://shop.example/?conversion=T0-k_en")
	f("https://shop.example/?"+strings.Repeat("{conversion}", 6), "https://shop.example/?T0-k_enT0-k_enT0-k_enT0-k_en{conversion}{conversion}")
	for _, landing := range []string{
		"", "https://{conversion}", "{conversion}://shop.example/", "https://{conversion}.example/", "https://shop.example:{conversion}/",
		"https://{conversion}@evil.example/", "https://shop.example/{conversion}", "https://shop.example/%7Bconversion%7D/x", "//{conversion}",
		"https://shop.example/?hy={Conversion}", "https://shop.example/?hy={conversions}", "https://shop.example/?hy={conversion",
		"https://shop.example/?hy=conversion}", "https://shop.example/?conversion", "https://shop.example/?hy={%7Bconversion",
	} {
		same(landing)
	}
}

// FuzzLanding: whatever the landing URL, scheme, host and path stay what was signed,
// and so does everything but the macros.
func FuzzLanding(f *testing.F) {
	f.Add("https://shop.example/?hy={conversion}&%7bconversion%7D")
	f.Add("https://{conversion}@evil.example\\?{conversion}")
	f.Fuzz(func(t *testing.T, landing string) {
		got := string(appendLanding(nil, []byte(landing), []byte("TOKEN")))
		end := authorityEnd([]byte(landing))
		if !strings.HasPrefix(got, landing[:end]) || strings.IndexAny(got, "?#") != strings.IndexAny(landing, "?#") {
			t.Fatalf("%q leads to %q", landing, got)
		}
		plain := func(s string) string {
			return strings.NewReplacer("%7b", "{", "%7B", "{", "%7d", "}", "%7D", "}").Replace(s)
		}
		if want := strings.Replace(plain(landing[end:]), "{conversion}", "TOKEN", maxMacros); plain(got[end:]) != want {
			t.Fatalf("%q leads to %q, want …%q", landing, got, want)
		}
		before, errBefore := url.Parse(landing)
		after, errAfter := url.Parse(got)
		if errBefore != nil {
			return
		}
		if errAfter != nil || before.Scheme != after.Scheme || before.Host != after.Host || before.Path != after.Path || before.User.String() != after.User.String() {
			t.Fatalf("%q leads to %q, %v", landing, got, errAfter)
		}
	})
}

// Cookies are set for a visitor who allowed it, and only then.
func TestCookiesNeedConsent(t *testing.T) {
	t.Parallel()
	f := func(name string, want bool, change func(*event.Reservation), headers ...string) {
		t.Helper()
		tt := newTrackTest(t)
		r := personal()
		change(&r)
		impression := tt.get("/t/i/"+signed(tt.testServer, token.Impression, r), headers...).Header.Values("Set-Cookie")
		click := tt.get("/t/c/"+signed(tt.testServer, token.Click, r), headers...).Header.Values("Set-Cookie")
		viewable := tt.get("/t/v/"+signed(tt.testServer, token.Viewable, r), headers...).Header.Values("Set-Cookie")
		if len(impression) == 1 != want || len(click) == 1 != want || len(viewable) > 0 {
			t.Errorf("%s: cookies %q %q %q", name, impression, click, viewable)
		}
		if !want {
			return
		}
		checkCookie(t, tt.testServer, impression[0], "hayate_view", "2592000", r)
		checkCookie(t, tt.testServer, click[0], "hayate_click", "7776000", r)
	}
	same := func(*event.Reservation) {}
	flags := func(flags event.Flags) func(*event.Reservation) {
		return func(r *event.Reservation) { r.Flags = flags }
	}
	f("allowed", true, same)
	f("a browser that does not mind", true, same, "Sec-GPC: 0")
	f("not allowed", false, flags(0))
	f("test", false, flags(event.Personal|event.Test))
	f("suspect", false, flags(event.Personal|event.Suspect))
	f("crawler", false, same, "User-Agent: Mozilla/5.0 (compatible; Googlebot/2.1)")
	f("Global Privacy Control", false, same, "Sec-GPC: 1")
	f("prefetch", false, same, "Sec-Purpose: prefetch")
	f("expired", false, func(r *event.Reservation) { r.DecidedAt = testNow.Add(-25 * time.Hour) })
	f("a token of before", false, func(r *event.Reservation) { r.Advertiser = 0 })

	tt := newTrackTest(t)
	if got := do(t, client(t), "HEAD", tt.url+"/t/i/"+signed(tt.testServer, token.Impression, personal()), ""); got.Header.Get("Set-Cookie") != "" {
		t.Errorf("HEAD: %+v", got)
	}
	tt.breakLog()
	if got := tt.get("/t/i/" + signed(tt.testServer, token.Impression, personal())); got.Status != 503 || got.Header.Get("Set-Cookie") != "" {
		t.Errorf("an impression that is not counted: %+v", got)
	}
}

func checkCookie(t *testing.T, s *testServer, cookie, name, age string, r event.Reservation) {
	t.Helper()
	value, attributes, _ := strings.Cut(cookie, "; ")
	text, ok := strings.CutPrefix(value, name+"=")
	if want := "Max-Age=" + age + "; Path=/c/21; HttpOnly; Secure; SameSite=None"; !ok || attributes != want {
		t.Errorf("cookie %s, want %s=…; %s", cookie, name, want)
	}
	claim, touch := tokenIn(t, s, text)
	if claim != r || !touch.At.Equal(testNow) || touch.PostView != (name == viewCookie) {
		t.Errorf("%s says %+v, %+v", name, claim, touch)
	}
}

// A script gets its impression's cookie kept only when the answer names its site,
// and allows that; every other answer is for all sites alike.
func TestCookiesThroughScripts(t *testing.T) {
	t.Parallel()
	tt := newTrackTest(t)
	for _, origin := range []string{"https://news.example", "null"} {
		got := tt.get("/t/i/"+signed(tt.testServer, token.Impression, personal()), "Origin: "+origin).Header
		if got.Get("Access-Control-Allow-Origin") != origin || got.Get("Access-Control-Allow-Credentials") != "true" {
			t.Errorf("%s: %v", origin, got)
		}
	}
	for _, path := range []string{"/t/v/" + signed(tt.testServer, token.Viewable, personal()), "/c/21", "/tag.js"} {
		got := tt.get(path, "Origin: https://news.example").Header
		if got.Get("Access-Control-Allow-Origin") != "*" || got.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: %v", path, got)
		}
	}
	tt.breakLog()
	got := tt.get("/t/i/"+signed(tt.testServer, token.Impression, personal()), "Origin: https://news.example")
	if got.Status != 503 || got.Header.Get("Access-Control-Allow-Origin") != "https://news.example" {
		t.Errorf("the tag cannot read that it has to repeat: %+v", got)
	}
}

// The windows end to the millisecond, each at its own time.
func TestOutdated(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		view := rapid.Bool().Draw(t, "view")
		age := time.Duration(rapid.Int64Range(-1e6, 100*86_400_000).Draw(t, "milliseconds")) * time.Millisecond
		days := 90
		if view {
			days = 30
		}
		touch := token.Touch{At: testNow, PostView: view}
		if got, want := outdated(touch, testNow.Add(age)), testNow.Add(age).After(testNow.AddDate(0, 0, days)); got != want {
			t.Fatalf("after %v: %t", age, got)
		}
	})
}
