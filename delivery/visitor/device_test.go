package visitor

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/medama-io/go-useragent"

	"github.com/hayate-ads/hayate/delivery/target"
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/rule"
)

const (
	chromeWindows = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36"
	chromeAndroid = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Mobile Safari/537.36"
	chromeTablet  = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36"
	chromeBook    = "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36"
	chromePhone   = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/138.0.7204.119 Mobile/15E148 Safari/604.1"
	safariPhone   = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1"
	safariMac     = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15"
	safariPad     = "Mozilla/5.0 (iPad; CPU OS 12_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/12.1 Mobile/15E148 Safari/604.1"
	firefoxLinux  = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
	firefoxPhone  = "Mozilla/5.0 (Android 14; Mobile; rv:140.0) Gecko/140.0 Firefox/140.0"
	edgeWindows   = chromeWindows + " Edg/138.0.0.0"
	operaMac      = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_14_6) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/137.0.0.0 Safari/537.36 OPR/121.0.0.0"
	samsungPhone  = "Mozilla/5.0 (Linux; Android 13; SAMSUNG SM-S918B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/24.0 Chrome/117.0.0.0 Mobile Safari/537.36"
	webviewPhone  = "Mozilla/5.0 (Linux; Android 15; Pixel 8 Build/AP4A.250105.002; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/138.0.7204.63 Mobile Safari/537.36"
	facebookPhone = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/21F90 [FBAN/FBIOS;FBAV/470.0]"
	dalvik        = "Dalvik/2.1.0 (Linux; U; Android 12; SO-51B Build/61.1.A.11.91)"
	television    = "Mozilla/5.0 (Linux; Android 12; BRAVIA 4K VH2 Build/STT2.230104.001) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/118.0.0.0 Safari/537.36"
	oldAndroid    = "Mozilla/5.0 (Linux; U; Android 4.0.3; ja-jp; SC-02C Build/IML74K) AppleWebKit/534.30 (KHTML, like Gecko) Version/4.0 Mobile Safari/534.30"
	explorer      = "Mozilla/5.0 (Windows NT 6.1; WOW64; Trident/7.0; rv:11.0) like Gecko"
)

// said is what a device brings to a query, in the order of want below.
var deviceDimensions = []rule.Dimension{
	rule.DeviceType, rule.OS, rule.OSVersion, rule.Browser, rule.BrowserVersion, rule.DeviceMake, rule.DeviceModel,
}

func deviceOf(h Hints, app App) string {
	var q target.Query
	var p parts
	d := readDevice(&h, &app)
	d.spell(&p)
	p.refer(&q, 0)
	var values []string
	for _, dimension := range deviceDimensions {
		value := string(q.Value(dimension))
		if value == "" {
			value = "-"
		}
		values = append(values, value)
	}
	return strings.Join(values, "|")
}

func TestUserAgent(t *testing.T) {
	t.Parallel()
	f := func(ua, want string) {
		t.Helper()
		if diff := cmp.Diff(want, deviceOf(Hints{UserAgent: []byte(ua)}, App{})); diff != "" {
			t.Errorf("%.160s: (-want +got)\n%s", ua, diff)
		}
	}
	f(chromeWindows, "desktop|windows|windows 10|chrome|chrome 138.0|-|-")
	f(chromeAndroid, "mobile|android|-|chrome|chrome 138.0|-|-") // version and model are frozen
	f(chromeTablet, "tablet|android|-|chrome|chrome 138.0|-|-")
	f(chromeBook, "desktop|chromeos|-|chrome|chrome 138.0|-|-")
	f(chromePhone, "mobile|ios|ios 17.7|chrome|chrome 138.0.7204.119|apple|iphone")
	f(safariPhone, "mobile|ios|ios 18.5|safari|safari 18.5|apple|iphone")
	f(safariMac, "desktop|macos|-|safari|safari 18.5|apple|-") // everybody is on 10.15.7
	f(safariPad, "tablet|ios|ios 12.5|safari|safari 12.1|apple|ipad")
	f(firefoxLinux, "desktop|linux|-|firefox|firefox 140.0|-|-")
	f(firefoxPhone, "mobile|android|android 14|firefox|firefox 140.0|-|-")
	f(edgeWindows, "desktop|windows|windows 10|edge|edge 138.0|-|-")
	f(operaMac, "desktop|macos|macos 10.14.6|opera|opera 121.0|apple|-")
	f(samsungPhone, "mobile|android|android 13|samsung|samsung 24.0|samsung|sm-s918b")
	f(webviewPhone, "mobile|android|android 15|webview|webview 138.0.7204.63|google|pixel 8")
	f(facebookPhone, "mobile|ios|ios 17.5.1|webview|-|apple|iphone")
	f(dalvik, "mobile|android|android 12|other|-|sony|so-51b")
	f(television, "tv|android|android 12|chrome|chrome 118.0|sony|bravia 4k vh2")
	f(oldAndroid, "mobile|android|android 4.0.3|webview|-|samsung|sc-02c")
	f(explorer, "desktop|windows|windows 7|other|-|-|-")
	f("Mozilla/5.0 (SMART-TV; Linux; Tizen 6.0) AppleWebKit/537.36 (KHTML, like Gecko) Version/6.0 TV Safari/537.36", "tv|other|-|other|-|-|-")
	f("curl/8.5.0", "other|other|-|other|-|-|-")
	f("", "-|-|-|-|-|-|-")
	f("(", "other|other|-|other|-|-|-")
	f(")(()(", "other|other|-|other|-|-|-")
	f(chromeWindows+strings.Repeat(" x", 30_000), "desktop|windows|windows 10|chrome|chrome 138.0|-|-")
	f(strings.Repeat("(", 8000), "other|other|-|other|-|-|-")
	f("Mozilla/5.0 (Linux; Android 13; \xff\xfe) Chrome/1", "tablet|android|android 13|chrome|chrome 1|-|-")
	f("Mozilla/5.0 (Linux; Android 99999999999999999999999999999999999999999; K) Chrome/1..2", "tablet|android|android 99999999999999999999999999999999|chrome|chrome 1|-|-")
}

func TestClientHints(t *testing.T) {
	t.Parallel()
	f := func(h Hints, want string) {
		t.Helper()
		if diff := cmp.Diff(want, deviceOf(h, App{})); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", h, diff)
		}
	}
	hints := func(ua, mobile, platform string) Hints {
		return Hints{UserAgent: []byte(ua), Mobile: []byte(mobile), Platform: []byte(platform)}
	}
	f(hints(chromeTablet, "?0", `"Android"`), "tablet|android|-|chrome|chrome 138.0|-|-")
	f(hints(chromeAndroid, "?1", `"Android"`), "mobile|android|-|chrome|chrome 138.0|-|-")
	f(hints(chromeWindows, "?0", `"macOS"`), "desktop|macos|-|chrome|chrome 138.0|apple|-")
	f(hints("", "?1", `"Android"`), "mobile|android|-|-|-|-|-")
	f(hints("", "?0", `"Chromium OS"`), "desktop|chromeos|-|-|-|-|-")
	f(hints(chromeWindows, "yes", `<script>`), "desktop|windows|windows 10|chrome|chrome 138.0|-|-")

	all := hints(chromeAndroid, "?1", `"Android"`)
	all.Brands = []byte(`"Not)A;Brand";v="8", "Chromium";v="138", "Google Chrome";v="138"`)
	f(all, "mobile|android|-|chrome|chrome 138.0|-|-")
	all.PlatformVersion, all.Model = []byte(`"14.0.0"`), []byte(`"Pixel 8"`)
	f(all, "mobile|android|android 14.0|chrome|chrome 138.0|google|pixel 8")
	all.FullVersions = []byte(`"Not)A;Brand";v="8.0.0.0", "Chromium";v="138.0.7204.63", "Google Chrome";v="138.0.7204.63"`)
	f(all, "mobile|android|android 14.0|chrome|chrome 138.0.7204.63|google|pixel 8")

	edge := hints(edgeWindows, "?0", `"Windows"`)
	edge.Brands = []byte(`"Chromium";v="138", "Microsoft Edge";v="138", "Not)A;Brand";v="8"`)
	edge.PlatformVersion = []byte(`"15.0.0"`)
	f(edge, "desktop|windows|windows 11|edge|edge 138.0|-|-")
	edge.PlatformVersion = []byte(`"10.0.0"`)
	f(edge, "desktop|windows|windows 10|edge|edge 138.0|-|-")
	edge.PlatformVersion = []byte(`"0.3.0"`)
	f(edge, "desktop|windows|windows 8.1|edge|edge 138.0|-|-")

	brave := hints(chromeWindows, "?0", `"Windows"`)
	brave.Brands = []byte(`"Brave";v="138", "Chromium";v="138", "Not)A;Brand";v="8"`)
	f(brave, "desktop|windows|windows 10|other|-|-|-")
	view := hints(chromeAndroid, "?1", `"Android"`)
	view.Brands = []byte(`"Android WebView";v="138", "Chromium";v="138"`)
	f(view, "mobile|android|-|webview|webview 138|-|-")
	for _, hostile := range []string{`"`, `""`, `"\`, `";v="`, strings.Repeat(`"a";v="1",`, 1000), "\xff", `"Google Chrome`} {
		view.Brands, view.FullVersions, view.Model = []byte(hostile), []byte(hostile), []byte("\xff")
		f(view, "mobile|android|-|chrome|chrome 138.0|-|-")
	}
}

func TestStatedDevice(t *testing.T) {
	t.Parallel()
	f := func(h Hints, app App, want string) {
		t.Helper()
		if diff := cmp.Diff(want, deviceOf(h, app)); diff != "" {
			t.Errorf("%+v: (-want +got)\n%s", app, diff)
		}
	}
	f(Hints{UserAgent: []byte(dalvik)}, App{Make: []byte("Google"), Model: []byte("Pixel 9"), OS: []byte("Android"), OSVersion: []byte("15")},
		"mobile|android|android 15|other|-|google|pixel 9")
	f(Hints{}, App{OS: []byte("iOS"), OSVersion: []byte("17.4.1"), Model: []byte("iPhone15,2")}, "other|ios|ios 17.4.1|-|-|apple|iphone15,2")
	f(Hints{UserAgent: []byte(safariPhone)}, App{OS: []byte("Android")}, "mobile|android|-|safari|safari 18.5|-|-")
	f(Hints{}, App{OS: []byte("Symbian"), Model: []byte(strings.Repeat("x", 200))}, "other|other|-|-|-|-|-")
}

// Every spelling that a device can have is one that rules know.
func TestSpelling(t *testing.T) {
	t.Parallel()
	for _, os := range []OS{Windows, MacOS, Linux, Android, IOS, ChromeOS, OtherOS} {
		if !rule.OS.Valid(string(os)) {
			t.Errorf("rules do not know the operating system %q", os)
		}
	}
	for _, browser := range []Browser{Chrome, Safari, Firefox, Edge, Samsung, Opera, WebView, OtherBrowser} {
		if !rule.Browser.Valid(string(browser)) {
			t.Errorf("rules do not know the browser %q", browser)
		}
	}
}

// On user agents that an independent parser knows, ours comes to the same.
func TestAgreesWithAnotherParser(t *testing.T) {
	t.Parallel()
	other := useragent.NewParser()
	kinds := map[string]event.DeviceType{"Desktop": event.Desktop, "Mobile": event.Mobile, "Tablet": event.Tablet, "TV": event.TV}
	for _, ua := range []string{
		chromeWindows, chromeAndroid, chromeBook, chromePhone, safariPhone, safariMac, safariPad, firefoxLinux, firefoxPhone, edgeWindows, operaMac,
	} {
		theirs, ours := other.Parse(ua), readAgent([]byte(ua))
		if kinds[string(theirs.Device())] != ours.kind || !strings.EqualFold(string(theirs.OS()), string(ours.os)) ||
			!strings.EqualFold(string(theirs.Browser()), string(ours.browser)) {
			t.Errorf("%s: they say %s %s %s, we %s %s %s", ua, theirs.Device(), theirs.OS(), theirs.Browser(), ours.kind, ours.os, ours.browser)
		}
	}
}
