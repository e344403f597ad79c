package visitor

import (
	"bytes"
	"hash/maphash"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hayate-ads/hayate/internal/rule"
)

func open(t testing.TB, cfg Config) *Reader {
	t.Helper()
	r, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func TestClientIP(t *testing.T) {
	t.Parallel()
	r := open(t, Config{Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}})
	f := func(peer, forwarded, want string) {
		t.Helper()
		if got := r.ClientIP(netip.MustParseAddr(peer), []byte(forwarded)); got.String() != want {
			t.Errorf("ClientIP(%s, %.40q) = %s, want %s", peer, forwarded, got, want)
		}
	}
	f("203.0.113.9", "", "203.0.113.9")
	f("203.0.113.9", "198.51.100.1", "203.0.113.9") // a stranger's header is worth nothing
	f("10.0.0.1", "198.51.100.1", "198.51.100.1")
	f("::ffff:10.0.0.1", "198.51.100.1", "198.51.100.1")
	f("10.0.0.1", "1.2.3.4, 198.51.100.1", "198.51.100.1") // the left part was written by the client
	f("10.0.0.1", "198.51.100.1, 10.0.0.2 ,10.0.0.3", "198.51.100.1")
	f("fd00::1", "2001:db8::1", "2001:db8::1")
	f("10.0.0.1", "10.0.0.2", "10.0.0.2") // a visitor inside the trusted network
	f("10.0.0.1", "198.51.100.1, unknown", "10.0.0.1")
	f("10.0.0.1", "[2001:db8::1]:80", "10.0.0.1")
	f("10.0.0.1", "::1::2", "10.0.0.1")
	f("10.0.0.1", "fe80::1%eth0", "10.0.0.1")
	f("10.0.0.1", ",", "10.0.0.1")
	f("10.0.0.1", strings.Repeat("10.1.1.1,", 500)+"10.9.9.9", "10.1.1.1") // bounded, whatever the length
}

func TestTruncate(t *testing.T) {
	t.Parallel()
	f := func(addr, want string) {
		t.Helper()
		if got := Truncate(netip.MustParseAddr(addr)); got.String() != want {
			t.Errorf("Truncate(%s) = %s, want %s", addr, got, want)
		}
	}
	f("203.0.113.9", "203.0.113.0")
	f("::ffff:203.0.113.9", "203.0.113.0")
	f("2001:db8:1:2:3::4", "2001:db8:1::")
	if Truncate(netip.Addr{}).IsValid() {
		t.Error("Truncate made an address of none")
	}
}

func TestBot(t *testing.T) {
	t.Parallel()
	f := func(ua string, want bool) {
		t.Helper()
		if got := Bot([]byte(ua)); got != want {
			t.Errorf("Bot(%q) = %v", ua, got)
		}
	}
	f("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", true)
	f("Mozilla/5.0 (compatible; bingbot/2.0)", true)
	f("SomeBot", true)
	f("Baiduspider+(+http://example.com)", true)
	f("facebookexternalhit/1.1", true)
	f("my crawler", true)
	f(chromeWindows, false)
	f(safariPhone, false)
	f("Mozilla/5.0 (Linux; Android 9; CUBOT X19) AppleWebKit/537.36", false)
	f("Mozilla/5.0 (botanist)", false)
	f("curl/8.5.0", false)
	f("", false)
}

func TestPrefetch(t *testing.T) {
	t.Parallel()
	f := func(secPurpose, purpose, xMoz string, want bool) {
		t.Helper()
		if got := Prefetch([]byte(secPurpose), []byte(purpose), []byte(xMoz)); got != want {
			t.Errorf("Prefetch(%q, %q, %q) = %v", secPurpose, purpose, xMoz, got)
		}
	}
	f("", "", "", false)
	f("prefetch", "", "", true)
	f("prefetch;prerender", "", "", true)
	f("", "prefetch", "", true)
	f("", "preview", "", true)
	f("", "", "prefetch", true)
	f("no", "no", "no", false)
}

func TestAppendKeyword(t *testing.T) {
	t.Parallel()
	f := func(key, value, want string, wantErr error) {
		t.Helper()
		got, err := AppendKeyword([]byte("before,"), []byte(key), []byte(value))
		if err != wantErr || string(got) != "before,"+want {
			t.Errorf("AppendKeyword(%.20q, %.20q) = %q, %v; want %q, %v", key, value, got, err, want, wantErr)
		}
	}
	f("topic", "go", "topic=go", nil)
	f(" Topic ", "\tGo Lang ", "topic=go lang", nil)
	f("Ä", "ÉCLAIR ٣", "ä=éclair ٣", nil)
	f("k", "a=b", "k=a=b", nil)
	f("", "v", "", ErrKey)
	f("k", " ", "", ErrValue)
	f("a=b", "v", "", ErrKey)
	f("k", "v\x00", "", ErrValue)
	f("k\n", "v", "k=v", nil) // at the border it is white space
	f("k\nk", "v", "", ErrKey)
	f("k", "\xc0\xaf", "", ErrUnicode)
	f(strings.Repeat("k", 100), strings.Repeat("v", 99), strings.Repeat("k", 100)+"="+strings.Repeat("v", 99), nil)
	f(strings.Repeat("k", 100), strings.Repeat("v", 100), "", ErrLength)
}

// everybody is a visitor who brings a value in every dimension that a
// publisher's request can.
func everybody() *Visitor {
	v := at(tokyoIP)
	v.Now = time.Date(2026, 11, 20, 12, 30, 0, 0, time.UTC)
	v.Hints = Hints{
		UserAgent: []byte(chromeAndroid), Mobile: []byte("?1"), Platform: []byte(`"Android"`), PlatformVersion: []byte(`"14.0.0"`),
		Model: []byte(`"Pixel 8"`), Brands: []byte(`"Not)A;Brand";v="8", "Chromium";v="138", "Google Chrome";v="138"`),
	}
	v.Language, v.URL = []byte("ja,en-US;q=0.9,en;q=0.8"), []byte("https://news.example/sports/football/1234?utm_source=x")
	v.Keywords = [][]byte{[]byte("topic=tea")}
	v.Segments = [][]byte{[]byte("vip"), []byte("acme/4711")}
	return v
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	r := open(t, Config{GeoFile: cityFile(t), ASNFile: asnFile(t), ConnectionFile: connectionFile(t)})
	want := rule.Request{
		rule.Country: {"JP"}, rule.Region: {"JP-13"}, rule.City: {"JP/tokyo"}, rule.PostalCode: {"JP/100-0001"}, rule.Near: {"35.6895,139.6917"},
		rule.VisitorHour: {"117"}, rule.ASN: {"2516"}, rule.Connection: {"cellular"}, rule.Carrier: {"440-10"},
		rule.DeviceType: {"mobile"}, rule.DeviceMake: {"google"}, rule.DeviceModel: {"pixel 8"},
		rule.OS: {"android"}, rule.OSVersion: {"android 14.0"}, rule.Browser: {"chrome"}, rule.BrowserVersion: {"chrome 138.0"},
		rule.Language: {"ja"}, rule.Secure: {"yes"}, rule.URLPrefix: {"news.example/sports/football/1234"},
		rule.Keyword: {"topic=tea"}, rule.Segment: {"vip", "acme/4711"},
	}
	v := everybody()
	for range 2 { // the second time, buffers hold what the first left
		if diff := cmp.Diff(want, describe(r, v)); diff != "" {
			t.Error("(-want +got)", diff)
		}
	}
	if diff := cmp.Diff(rule.Request{}, describe(r, new(Visitor))); diff != "" {
		t.Error("of nothing:", diff)
	}
	v.Reset()
	if diff := cmp.Diff(rule.Request{}, describe(r, v)); diff != "" {
		t.Error("after Reset:", diff)
	}
}

// What an app states counts before what a database knows of its network.
func TestDescribeApp(t *testing.T) {
	t.Parallel()
	r := open(t, Config{GeoFile: cityFile(t), ConnectionFile: connectionFile(t)})
	v := at(tokyoIP)
	v.App = App{Connection: 7, Carrier: []byte("440-20"), Latitude: 43.0621, Longitude: 141.3544, Located: true}
	got := describe(r, v)
	for d, want := range map[rule.Dimension]string{rule.Connection: "5g", rule.Carrier: "440-20", rule.Near: "43.0621,141.3544"} {
		if len(got[d]) != 1 || got[d][0] != want {
			t.Errorf("%s is %q, want %s", d, got[d], want)
		}
	}
	for _, app := range []App{
		{Connection: -1}, {Connection: 8}, {Connection: 1 << 40}, {Carrier: []byte("44010")}, {Carrier: []byte("440-1x")}, {Latitude: 91, Located: true},
	} {
		v.App = app
		describe(open(t, Config{}), v)
	}
}

// Many at once, with what is remembered coming and going: nobody is taken for
// another.
func TestDescribeAtOnce(t *testing.T) {
	t.Parallel()
	r := open(t, Config{GeoFile: cityFile(t)})
	agents := map[string]string{chromeWindows: "windows", safariPhone: "ios", chromeBook: "chromeos", samsungPhone: "android", safariMac: "macos"}
	places := map[string]string{tokyoIP: "JP", newYorkIP: "US", londonIP: "GB"}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for n := range 200 {
				for agent, os := range agents {
					for addr, country := range places {
						v := at(addr)
						v.Hints.UserAgent = []byte(agent)
						got := describe(r, v)
						if got[rule.OS][0] != os || got[rule.Country][0] != country {
							t.Errorf("%s, %s: %v", agent, addr, got)
							return
						}
						// What the request's memory becomes later is nothing to what is remembered.
						for i := range v.Hints.UserAgent {
							v.Hints.UserAgent[i] = 'x'
						}
						if n%50 == 0 {
							r.agents.cache.at(uint64(n)).kept.Store(nil)
						}
					}
				}
			}
		})
	}
	all.Wait()
}

// Strangers leave nothing behind: only what comes twice is remembered.
func TestStrangersAreNotRemembered(t *testing.T) {
	t.Parallel()
	r := open(t, Config{})
	kept := func() (n int) {
		for i := range r.agents.cache.slots {
			if r.agents.cache.slots[i].kept.Load() != nil {
				n++
			}
		}
		return n
	}
	for n := range 50_000 {
		r.agents.of(strconv.AppendInt([]byte("stranger "), int64(n), 10))
	}
	if n := kept(); n != 0 {
		t.Errorf("%d strangers are remembered", n)
	}
	for range 2 {
		r.agents.of([]byte(chromeWindows))
	}
	if n := kept(); n != 1 {
		t.Errorf("%d are remembered of one that came twice", n)
	}
}

// Two user agents that share a slot are told apart, and what is remembered has
// memory of its own.
func TestRememberedAgents(t *testing.T) {
	t.Parallel()
	r := open(t, Config{})
	slotOf := func(text []byte) *slot[rememberedAgent] { return r.agents.cache.at(maphash.Bytes(r.agents.seed, text)) }
	first := []byte(chromeWindows)
	shared := slotOf(first)
	second := []byte(safariPhone)
	for n := 0; slotOf(second) != shared; n++ {
		second = strconv.AppendInt([]byte(safariPhone+" "), int64(n), 10)
	}
	for range 3 {
		r.agents.of(first)
	}
	for range 3 {
		if a := r.agents.of(second); a.os != IOS {
			t.Fatalf("%s is taken for %s", second, a.os)
		}
	}
	copy(second, "overwritten by the next request")
	if kept := shared.kept.Load(); kept == nil || !bytes.HasPrefix(kept.text, []byte(safariPhone)) || string(kept.version) != "18.5" {
		t.Errorf("%q is remembered", kept.text)
	}
}

// A record that shares a slot with another is not taken for it.
func TestRememberedPlaces(t *testing.T) {
	t.Parallel()
	r := open(t, Config{GeoFile: cityFile(t)})
	other := &rememberedPlace{offset: 1 << 60, place: place{country: [2]byte{'F', 'R'}}}
	for i := range r.places.slots {
		r.places.slots[i].kept.Store(other)
	}
	for range 3 {
		if got := describe(r, at(tokyoIP))[rule.City]; len(got) != 1 || got[0] != "JP/tokyo" {
			t.Errorf("%s is in %q", tokyoIP, got)
		}
	}
}
