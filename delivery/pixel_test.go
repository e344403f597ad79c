package delivery

import (
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hayate-ads/hayate/delivery/token"
	"github.com/hayate-ads/hayate/internal/event"
)

func TestPixel(t *testing.T) {
	t.Parallel()
	r, other := personal(), personal()
	other.Advertiser = 22
	f := func(what, path string, want *event.Action, cookies ...func(*testServer) string) {
		t.Helper()
		tt := newTrackTest(t)
		var parts []string
		for _, cookie := range cookies {
			parts = append(parts, cookie(tt.testServer))
		}
		got := tt.get(path, "Cookie: "+strings.Join(parts, "; "))
		records := tt.logged(event.Conversion)
		if got.Status != 200 || got.Body != pixel || got.Header.Get("Content-Type") != "image/gif" || got.Header.Get("Set-Cookie") != "" || len(records) == 1 != (want != nil) {
			t.Errorf("%s: %+v, %d logged", what, got, len(records))
			return
		}
		if want == nil {
			return
		}
		if diff := cmp.Diff(want, records[0].Action); diff != "" || records[0].Landing.Reservation != r {
			t.Errorf("%s: (-want +got) %s", what, diff)
		}
	}
	const day = 24 * time.Hour
	click := func(r event.Reservation, ago time.Duration) func(*testServer) string {
		return func(s *testServer) string { return "hayate_click=" + postClick(s, r, ago) }
	}
	view := func(r event.Reservation, ago time.Duration) func(*testServer) string {
		return func(s *testServer) string { return "hayate_view=" + postView(s, r, ago) }
	}
	clicked := &event.Action{OrderID: "9", Value: 12_500_000, TouchedAt: testNow.Add(-2 * day)}
	viewed := &event.Action{TouchedAt: testNow.Add(-day), PostView: true}
	f("after a click", "/c/21?order=9&value=12.50", clicked, click(r, 2*day))
	f("a click wins over a newer view", "/c/21?order=9&value=12.50", clicked, view(r, day), click(r, 2*day))
	f("after a view", "/c/21", viewed, view(r, day))
	f("a click too long ago", "/c/21", viewed, click(r, 91*day), view(r, day))
	f("another advertiser's click", "/c/21", viewed, click(other, day), view(r, day))
	f("garbage for a click", "/c/21", viewed, func(*testServer) string { return "hayate_click=x\"y" }, view(r, day))
	f("among others'", "/c/21", viewed, func(*testServer) string { return strings.Repeat("a=b; ", 200) + "c" }, view(r, day))
	f("no cookies", "/c/21?order=9&value=1", nil)
	f("another advertiser's pixel", "/c/22", nil, click(r, day), view(r, day))
	f("a view that poses as a click", "/c/21", nil, func(s *testServer) string { return "hayate_click=" + postView(s, r, day) })
	f("a click that poses as a view", "/c/21", nil, func(s *testServer) string { return "hayate_view=" + postClick(s, r, day) })
	f("a click's token", "/c/21", nil, func(s *testServer) string { return "hayate_click=" + signed(s, token.Click, r) })
	f("too long ago", "/c/21", nil, click(r, 91*day), view(r, 31*day))

	tt := newTrackTest(t)
	for _, path := range []string{"/c/", "/c/0", "/c/-1", "/c/021", "/c/21/", "/c/21x", "/c/2%31", "/c/../21", "/c/9999999999999999999", "/c/" + strings.Repeat("1", 100)} {
		if got := tt.get(path); got.Status != 404 {
			t.Errorf("%s: status %d", path, got.Status)
		}
	}
}

// Global Privacy Control counts nothing, and takes away what was remembered.
func TestPixelForgets(t *testing.T) {
	t.Parallel()
	tt := newTrackTest(t)
	got := tt.get("/c/21?order=1", "Sec-GPC: 1", "Cookie: hayate_click="+postClick(tt.testServer, personal(), 0))
	want := []string{
		"hayate_click=; Max-Age=0; Path=/c/21; HttpOnly; Secure; SameSite=None", "hayate_view=; Max-Age=0; Path=/c/21; HttpOnly; Secure; SameSite=None",
	}
	if diff := cmp.Diff(want, got.Header.Values("Set-Cookie")); diff != "" || got.Status != 200 || got.Body != pixel {
		t.Errorf("%+v %s", got, diff)
	}
	if n := len(tt.logged(event.Conversion)); n != 0 {
		t.Errorf("%d counted", n)
	}
}

// A browser's whole way: an impression, a click, two advertisers' pixels. Its cookie
// jar decides what goes where.
func TestConversionsOfABrowser(t *testing.T) {
	t.Parallel()
	tt := newTrackTest(t)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := client(t)
	browser.Transport = secured{tt.url}
	browser.Jar = jar
	ask := func(path string) reply { return do(t, browser, "GET", "https://ads.example"+path, "") }
	pixels := func(want ...string) {
		t.Helper()
		var got []string
		before := len(tt.logged(event.Conversion))
		for _, advertiser := range []string{"2", "21", "22", "211"} {
			ask("/c/" + advertiser)
		}
		for _, r := range tt.logged(event.Conversion)[before:] {
			got = append(got, fmt.Sprintf("%d view %t", r.Landing.Reservation.Advertiser, r.Action.PostView))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error("(-want +got)", diff)
		}
	}
	r, other := personal(), personal()
	other.Advertiser = 211
	pixels()
	ask("/t/i/" + signed(tt.testServer, token.Impression, r))
	pixels("21 view true")
	ask("/t/c/" + signed(tt.testServer, token.Click, r))
	ask("/t/i/" + signed(tt.testServer, token.Impression, other))
	pixels("21 view false", "211 view true")
	if cookies := jar.Cookies(mustParse(t, "https://ads.example/v1/ad")); len(cookies) > 0 {
		t.Errorf("sent with a request for an ad: %v", cookies)
	}
}

// secured takes requests of an https address to a server without TLS.
type secured struct{ url string }

func (s secured) RoundTrip(r *http.Request) (*http.Response, error) {
	to, err := url.Parse(s.url + r.URL.RequestURI())
	if err != nil {
		return nil, err
	}
	plain := r.Clone(r.Context())
	plain.URL, plain.Host = to, ""
	return http.DefaultTransport.RoundTrip(plain)
}

func mustParse(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
