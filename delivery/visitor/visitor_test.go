package visitor

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"

	"github.com/hayate-ads/hayate/delivery/target"
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/rule"
)

// geoFile writes a country database of documentation networks.
func geoFile(t testing.TB) string {
	t.Helper()
	tree, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: "Test-Country", RecordSize: 24, IncludeReservedNetworks: true})
	if err != nil {
		t.Fatal(err)
	}
	for network, code := range map[string]string{
		"203.0.113.0/24": "JP", "198.51.100.0/24": "DE", "2001:db8:1::/48": "FR", "192.0.2.0/24": "not a code",
	} {
		_, block, err := net.ParseCIDR(network)
		if err != nil {
			t.Fatal(err)
		}
		record := mmdbtype.Map{"country": mmdbtype.Map{"iso_code": mmdbtype.String(code)}}
		if err := tree.Insert(block, record); err != nil {
			t.Fatal(err)
		}
	}
	name := filepath.Join(t.TempDir(), "country.mmdb")
	file, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tree.WriteTo(file); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	return name
}

func open(t testing.TB, cfg Config) *Reader {
	t.Helper()
	r, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func TestCountry(t *testing.T) {
	t.Parallel()
	r := open(t, Config{GeoFile: geoFile(t)})
	f := func(addr, want string) {
		t.Helper()
		got := r.Country(netip.MustParseAddr(addr))
		if strings.TrimRight(string(got[:]), "\x00") != want {
			t.Errorf("Country(%s) = %q, want %q", addr, got, want)
		}
	}
	f("203.0.113.9", "JP")
	f("::ffff:198.51.100.7", "DE")
	f("2001:db8:1::1", "FR")
	f("2001:db8:2::1", "")
	f("10.0.0.1", "")
	f("192.0.2.1", "") // what is in the database is not what we understand

	if got := r.Country(netip.Addr{}); got != [2]byte{} {
		t.Errorf("Country of no address = %q", got)
	}
	if got := open(t, Config{}).Country(netip.MustParseAddr("203.0.113.9")); got != [2]byte{} {
		t.Errorf("Country without a database = %q", got)
	}
}

func TestOpenBadGeoFile(t *testing.T) {
	t.Parallel()
	broken := filepath.Join(t.TempDir(), "broken.mmdb")
	if err := os.WriteFile(broken, []byte("no database"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{broken, "/nonexistent.mmdb"} {
		if _, err := Open(Config{GeoFile: name}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("Open(%s): %v, want an error that names the file", name, err)
		}
	}
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

const (
	chromeWindows = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36"
	chromeAndroid = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Mobile Safari/537.36"
	chromeTablet  = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36"
	safariPhone   = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1"
	safariMac     = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15"
	safariPad     = "Mozilla/5.0 (iPad; CPU OS 12_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/12.1 Mobile/15E148 Safari/604.1"
	firefoxLinux  = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
)

func TestDevice(t *testing.T) {
	t.Parallel()
	r := open(t, Config{})
	f := func(h Hints, kind event.DeviceType, os OS) {
		t.Helper()
		gotKind, gotOS := r.Device(h)
		if gotKind != kind || gotOS != os {
			t.Errorf("Device(%.60q, %s, %s) = %s, %q; want %s, %q", h.UserAgent, h.Mobile, h.Platform, gotKind, gotOS, kind, os)
		}
	}
	agent := func(ua string) Hints { return Hints{UserAgent: []byte(ua)} }
	hints := func(ua, mobile, platform string) Hints {
		return Hints{UserAgent: []byte(ua), Mobile: []byte(mobile), Platform: []byte(platform)}
	}
	f(agent(chromeWindows), event.Desktop, Windows)
	f(agent(chromeAndroid), event.Mobile, Android)
	f(agent(safariPhone), event.Mobile, IOS)
	f(agent(safariMac), event.Desktop, MacOS)
	f(agent(safariPad), event.Tablet, IOS)
	f(agent(firefoxLinux), event.Desktop, Linux)
	f(agent(""), event.OtherDevice, "")
	f(agent("curl/8.5.0"), event.OtherDevice, OtherOS)
	f(agent(chromeWindows+strings.Repeat(" x", 30_000)), event.Desktop, Windows)

	f(hints(chromeTablet, "?0", `"Android"`), event.Tablet, Android)
	f(hints(chromeAndroid, "?1", `"Android"`), event.Mobile, Android)
	f(hints(chromeWindows, "?0", `"macOS"`), event.Desktop, MacOS)
	f(hints("", "?1", `"Android"`), event.Mobile, Android)
	f(hints("", "?0", `"Chromium OS"`), event.Desktop, ChromeOS)
	f(hints(chromeWindows, "yes", `<script>`), event.Desktop, Windows)
}

// Every spelling that Device can answer is one that rules know.
func TestSpelling(t *testing.T) {
	t.Parallel()
	for _, os := range []OS{Windows, MacOS, Linux, Android, IOS, ChromeOS, OtherOS} {
		if !rule.OS.Valid(string(os)) {
			t.Errorf("rules do not know the operating system %q", os)
		}
	}
}

func TestQuery(t *testing.T) {
	t.Parallel()
	r := open(t, Config{GeoFile: geoFile(t)})
	keywords := [][]byte{[]byte("k=v")}
	got := r.Query(&Visitor{
		IP: netip.MustParseAddr("203.0.113.9"), Hints: Hints{UserAgent: []byte(chromeWindows)}, Keywords: keywords,
	})
	want := target.Query{Country: [2]byte{'J', 'P'}, Device: event.Desktop, OS: "windows", Keywords: keywords}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(target.Query{NoDevice: true}, r.Query(&Visitor{})); diff != "" {
		t.Error("of nothing:", diff)
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
