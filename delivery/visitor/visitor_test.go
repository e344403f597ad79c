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
	"pgregory.net/rapid"

	"github.com/hayate-ads/hayate/internal/rule"
	"github.com/hayate-ads/hayate/internal/taxonomy"
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
							r.devices.cache.at(uint64(n)).kept.Store(nil)
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
		for i := range r.devices.cache.slots {
			if r.devices.cache.slots[i].kept.Load() != nil {
				n++
			}
		}
		return n
	}
	for n := range 50_000 {
		r.device(visitorWith(strconv.AppendInt([]byte("stranger "), int64(n), 10)))
	}
	if n := kept(); n != 0 {
		t.Errorf("%d strangers are remembered", n)
	}
	for range 2 {
		r.device(visitorWith([]byte(chromeWindows)))
	}
	if n := kept(); n != 1 {
		t.Errorf("%d are remembered of one that came twice", n)
	}
}

func visitorWith(agent []byte) *Visitor { return &Visitor{Hints: Hints{UserAgent: agent}} }

// Two user agents that share a slot are told apart, and what is remembered has
// memory of its own.
func TestRememberedDevices(t *testing.T) {
	t.Parallel()
	r := open(t, Config{})
	slotOf := func(text []byte) *slot[device] { return r.devices.cache.at(maphash.Bytes(r.devices.seed, text)) }
	first := []byte(chromeWindows)
	shared := slotOf(first)
	second := []byte(safariPhone)
	for n := 0; slotOf(second) != shared; n++ {
		second = strconv.AppendInt([]byte(safariPhone+" "), int64(n), 10)
	}
	for range 3 {
		r.device(visitorWith(first))
	}
	for range 3 {
		if got := describe(r, visitorWith(second))[rule.OS]; len(got) != 1 || got[0] != "ios" {
			t.Fatalf("%s is taken for %s", second, got)
		}
	}
	copy(second, "overwritten by the next request")
	if kept := shared.kept.Load(); kept == nil || !bytes.HasPrefix(kept.said, []byte(safariPhone)) || !bytes.Contains(kept.text, []byte("safari 18.5")) {
		t.Errorf("%q is remembered", kept.said)
	}
}

// Whatever is said of a device, it is remembered as it was read, and told from
// others that share its slot and most of their texts.
func TestRememberedAsRead(t *testing.T) {
	t.Parallel()
	r := open(t, Config{})
	draw := func(t *rapid.T) *Visitor {
		some := func(texts ...string) []byte { return []byte(rapid.SampledFrom(append(texts, "")).Draw(t, "text")) }
		v := visitorWith(some(chromeWindows, safariPhone, webviewPhone, "Googlebot/2.1"))
		v.Hints.Brands = some(`"Google Chrome";v="138"`, `"Brave";v="138"`)
		v.Hints.Mobile, v.Hints.Platform = some("?0", "?1"), some(`"Android"`, `"Windows"`)
		v.Hints.PlatformVersion, v.Hints.Model = some(`"14.0.0"`, "ab"), some(`"Pixel 8"`, "ab", "a", "b")
		v.App.Make, v.App.Model = some("a", "b", "ab"), some("a", "b", "ab")
		v.App.OS, v.App.OSVersion = some("iOS", "Android"), some("17.4", "15")
		return v
	}
	rapid.Check(t, func(t *rapid.T) {
		v, other := draw(t), draw(t)
		if rapid.Bool().Draw(t, "nearly the same") {
			other.Hints, other.App.OS, other.App.OSVersion = v.Hints, v.App.OS, v.App.OSVersion
		}
		if rapid.Bool().Draw(t, "but for the version") {
			other.App, other.Hints = v.App, v.Hints
			other.Hints.UserAgent = bytes.Replace(v.Hints.UserAgent, []byte("18.5 M"), []byte("19.6 M"), 1)
		}
		read, alien := new(device).read(&v.Hints, &v.App), new(device).read(&other.Hints, &other.App)
		alien.keep(clip(other.Hints.UserAgent), &other.Hints, &other.App)
		for range 4 {
			got := r.device(v)
			if got.kind != read.kind || got.bot != read.bot || got.n != read.n || got.list != read.list || !bytes.Equal(got.text, read.text) {
				t.Fatalf("%+v is remembered as %q, want %q", v, got.text, read.text)
			}
			for i := range r.devices.cache.slots { // its slot comes to hold the other
				slot := &r.devices.cache.slots[i]
				if slot.kept.Load() == got {
					slot.kept.Store(alien)
				}
			}
		}
	})
}

// What a network brings is the same whether it is remembered or not, and whatever
// others before it were allowed.
func TestRememberedNetworks(t *testing.T) {
	t.Parallel()
	files := Config{GeoFile: cityFile(t), ASNFile: asnFile(t), ConnectionFile: connectionFile(t)}
	r := open(t, files)
	for _, consent := range []Consent{{}, {GPC: true}, {COPPA: true}, {GDPR: Yes}, {}} {
		for _, addr := range []string{tokyoIP, newYorkIP, berlinIP, londonIP, brokenIP, "192.0.2.77", "203.0.113.200", "::ffff:203.0.113.1", "2001:db8:1:9::1"} {
			v := at(addr)
			v.Consent = consent
			want := describe(open(t, files), v)
			for range 3 {
				if diff := cmp.Diff(want, describe(r, v)); diff != "" {
					t.Fatalf("%s with %+v: (-want +got)\n%s", addr, consent, diff)
				}
			}
		}
	}
	// One network's slot holds another's: nobody is taken for it.
	for i := range r.networks.slots {
		r.networks.slots[i].kept.Store(&network{key: 1, country: [2]byte{'F', 'R'}})
	}
	if got := describe(r, at(tokyoIP))[rule.City]; len(got) != 1 || got[0] != "JP/tokyo" {
		t.Errorf("%s is in %q", tokyoIP, got)
	}
}

// Networks are told apart by as much of their addresses as is looked at.
func TestKeyOf(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		address := func() netip.Addr {
			b := rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 203, 255}), 16, 16).Draw(t, "address")
			if rapid.Bool().Draw(t, "IPv4") {
				return netip.AddrFrom4([4]byte(b))
			}
			return netip.AddrFrom16([16]byte(b))
		}
		a, b := address(), address()
		if (keyOf(a) == keyOf(b)) != (Truncate(a) == Truncate(b)) {
			t.Fatalf("%s and %s: %x and %x", a, b, keyOf(a), keyOf(b))
		}
	})
}

// The table has all categories that the taxonomies have, and no others.
func TestKnownCategories(t *testing.T) {
	t.Parallel()
	all, n := knownCategories(), 0
	for category := range taxonomy.All() {
		n++
		if !all.known(category[3]-'0', []byte(category[5:])) {
			t.Errorf("%s is not known", category)
		}
		for family := byte(1); family <= 3; family++ {
			if other := "iab" + string('0'+family) + category[4:]; all.known(family, []byte(other[5:])) != taxonomy.Known(other) {
				t.Errorf("whether %s is known", other)
			}
		}
	}
	if 4*n > 3*len(all) {
		t.Errorf("the table has %d slots for %d categories: make it larger", len(all), n)
	}
	for _, id := range []string{"", "\x00", "IAB1\x00", "IAB1-1-1-1", "\xc9AB1", "x"} {
		if all.known(1, []byte(id)) {
			t.Errorf("%q is known", id)
		}
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
