package rule

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// Each dimension has its own spelling; what is nearly right is refused, too.
func TestValues(t *testing.T) {
	t.Parallel()
	tested := map[Dimension]bool{}
	f := func(d Dimension, valid []string, invalid ...string) {
		t.Helper()
		tested[d] = true
		for _, value := range valid {
			if err := d.Check(value); err != nil || !d.Valid(value) {
				t.Errorf("%s refuses %q: %v", d, value, err)
			}
		}
		for _, value := range append(invalid, "", " ", "\x00", "\xff", "x\n") {
			err := d.Check(value)
			if err == nil || d.Valid(value) {
				t.Errorf("%s accepts %q", d, value)
			} else if text := err.Error(); len(text) > 500 || !utf8.ValidString(text) || (d.known() && !strings.Contains(text, d.Want())) {
				t.Errorf("%s: %q: error says %s", d, value, text)
			}
		}
		for _, value := range valid {
			if d == Keyword {
				break // requests bring keywords with spaces and anything else
			}
			for _, near := range []string{value + " ", " " + value, value + "\x00", value + "\n", "\ufeff" + value} {
				if d.Valid(near) {
					t.Errorf("%s accepts %q", d, near)
				}
			}
		}
	}
	ids := []string{"1", "42", "9223372036854775807"}
	noIDs := []string{"0", "-1", "+1", "01", "1.0", "9223372036854775808", "x", "1_0", "１"}
	f(Placement, ids, noIDs...)
	f(Property, ids, noIDs...)
	f(Publisher, ids, noIDs...)
	f(Country, []string{"JP", "US", "GB", "XK"}, "jp", "UK", "J", "JPN", "ZZ", "D ", " A", "E A")
	f(DeviceType, []string{"desktop", "mobile", "tablet", "tv", "other"}, "Mobile", "phone")
	f(OS, []string{"windows", "macos", "linux", "android", "ios", "chromeos", "other"}, "iOS", "osx")
	f(Browser, []string{"chrome", "safari", "firefox", "edge", "samsung", "opera", "webview", "other"}, "Chrome", "ie")
	hours := []string{"0", "9", "167"}
	f(HourOfWeek, hours, "168", "-1", "00", "1.5")
	f(VisitorHour, hours, "168", "-1", "00", "1.5")
	f(Keyword, []string{"a=1", "色=赤", "a=b=c", "key=two words"}, "a", "=1", "a=", "A=1", "a=É", "a=\u200a\n", "a=\ufffd", "a="+strings.Repeat("x", 200))
	f(Region, []string{"JP-13", "US-CA", "GB-ENG", "FR-2A"}, "13", "JP", "JP-", "JP-1234", "jp-13", "ZZ-1", "JP13", "JP_13", "US-ca")
	f(City, []string{"JP/tokyo", "US/new york", "BR/são paulo", "US/st. john's", "JP/東京"},
		"tokyo", "JP/", "JP/Tokyo", "ZZ/tokyo", "JP/ tokyo", "US/new  york", "BR/sa\u0303o paulo", "JP/"+strings.Repeat("x", 101))
	f(PostalCode, []string{"JP/100-0001", "US/94103", "GB/SW1A 1AA", "IE/A"},
		"100-0001", "JP/", "JP/100--0001", "JP/-1", "JP/1-", "GB/SW1A  1AA", "GB/sw1a 1aa", "ZZ/1", "JP/1234567890123", "JP/100－0001")
	f(Metro, []string{"500", "501", "881"}, "499", "900", "0501", "x")
	f(Near, []string{"35.681,139.767,5000", "0,0,1", "-90,180,20000000", "0.000001,-179.999999,10"},
		"35.681,139.767", "35.681,139.767,0", "0,0,20000001", "91,0,1", "0,181,1", "0,-180,1", "35.6810,139.767,1", "035.6,1,1", "+1,1,1",
		"-0,0,1", "1.,1,1", ".5,1,1", "1.1234567,1,1", "1,1,1.5", "1,1,01", "1, 1,1", "1,1,1,1", "1e1,1,1", "NaN,0,1", "1,1,-5", "99999999999999999999,0,1")
	f(DeviceMake, []string{"apple", "sony ericsson", "シャープ"}, "Apple", "sony  ericsson")
	f(DeviceModel, []string{"pixel 8", "sm-g991b", "iphone15,2"}, "Pixel 8")
	f(OSVersion, []string{"ios 15-17.4", "ios 15-", "ios -17.4", "windows 10.0.22631-10.0.65534.1", "ios 16-16"},
		"ios", "ios ", "ios -", "ios 15", "ios 17-15", "iOS 15-", "chrome 120-", "other 1-", "ios 15.0-", "ios 0-17", "ios 015-", "ios 15-17-18",
		"ios 1.2.3.4.5-", "ios 65535-", "ios  15-", "ios 15 - 17", "ios +15-", "ios 15.-", "beos 5-")
	f(BrowserVersion, []string{"chrome 120-", "safari -17.1", "firefox 128-140"}, "ios 15-", "chrome", "other 1-")
	f(Language, []string{"ja", "en", "zu"}, "JA", "jpn", "en-US", "xx", "a ")
	f(Connection, []string{"ethernet", "wifi", "cellular", "2g", "3g", "4g", "5g"}, "6g", "WiFi", "lte")
	f(Carrier, []string{"440-10", "310-260", "901-18"}, "440", "44010", "440-1", "440-1000", "140-10", "44-010")
	f(ASN, []string{"1", "2516", "4294967295"}, "0", "4294967296", "AS2516", "02516")
	f(Exchange, []string{"example-x", "x1"}, "Example", "-x", "a.b", "a/b", strings.Repeat("x", 64))
	f(Deal, []string{"example-x/d-17", "x/A/b:c"}, "d-17", "/d-17", "x/", "X/d", "x/d 1", "x/"+strings.Repeat("d", 129))
	f(Domain, []string{"news.example", "a.b.news.example", "xn--wgv71a119e.jp", "shop.co.jp", "yamada.github.io", "github.io", "my_site.example", "1.example"},
		"News.example", "news.example.", ".news.example", "news..example", "localhost", "com", "co.jp", "jp", "https://news.example", "news.example/",
		"news.example:80", "*.news.example", "日本語.jp", "-a.example", "a-.example", "192.168.0.1", "[::1]", "a.b.c.d.e.f.g.h.i.j.example",
		"xn--\u00e4.jp", "xn--a.jp", strings.Repeat("x", 64)+".example", strings.Repeat("x.", 130)+"example", "user@news.example")
	f(AppBundle, []string{"com.example.news", "1207472156", "com.Example_1-x"}, "com/example", "a b", strings.Repeat("x", 201))
	f(URLPrefix, []string{"news.example", "news.example/sports", "news.example/a/b.html", "news.example/%E3%81%82/x", "news.example/a:b@c;d=e,f!"},
		"news.example/", "news.example/sports/", "news.example//a", "https://news.example/a", "news.example/a?b", "news.example/a#b", "co.jp/a", "/a",
		"news.example/あ", "news.example/%e3%81%82", "news.example/%", "news.example/%E", "news.example/a b", "news.example/./a", "news.example/..",
		"News.example/a", "news.example/1/2/3/4/5/6/7/8/9/10/11/12/13", "news.example/"+strings.Repeat("x", 500), `news.example/a\b`)
	f(Category, []string{"iab1/IAB17", "iab2/483", "iab3/JLBCU7", "iab3/700", "iab2/bsr001"}, "IAB17", "iab1/17", "iab2/IAB17", "iab1/", "iab4/1", "iab3/379", "IAB1/IAB17", "iab2/0483")
	f(Segment, []string{"acme/4711", "vip", "a/b/c", "ID:x"}, "/a", "a/", "a b", "é", strings.Repeat("x", 201))
	f(InventoryKind, []string{"site", "app", "dooh"}, "web")
	f(Position, []string{"above_fold", "below_fold", "header", "footer", "sidebar", "fullscreen"}, "Header", "atf")
	f(Size, []string{"300x250", "1x1", "10000x10000"}, "300", "300X250", "0x1", "1x10001", "0300x250", "300x250x1", "300×250")
	f(Format, []string{"banner", "html", "native", "video"}, "audio", "Banner")
	f(Secure, []string{"yes", "no"}, "true", "1")
	for _, d := range Dimensions() {
		if !tested[d] {
			t.Errorf("%s is not tested", d)
		}
	}
	f(Dimension(0), nil, "1")
	f(Dimension(99), nil, "1")
}

// Where people often go wrong, the error says what is right.
func TestCheckSaysWhatIsRight(t *testing.T) {
	t.Parallel()
	f := func(d Dimension, value, reason string) {
		t.Helper()
		if err := d.Check(value); err == nil || !strings.HasSuffix(err.Error(), reason) {
			t.Errorf("%s %q: %v; want %s", d, value, err, reason)
		}
	}
	f(Country, "jp", `"jp" is not an ISO 3166-1 country code in capitals, such as JP`)
	f(Domain, "co.jp", "it is no domain of anybody's, but what the domains of many end with")
	f(Domain, "com", "it is no domain of anybody's, but what the domains of many end with")
	f(Domain, "日本語.jp", `it has to be spelled "xn--wgv71a119e.jp"`)
	f(Domain, "News.Example", `it has to be spelled "news.example"`)
	f(Domain, "news.example.", `it has to be spelled "news.example"`)
	f(Domain, "192.168.0.1", "it is an address, not a name")
	f(Domain, "https://news.example", "it has to be a host alone, without a scheme, port, path or wildcard; its subdomains are always meant, too")
	f(Domain, strings.Repeat("a.", 20)+"example", "it has 47 bytes and 21 labels; at most 253 and 10 are accepted")
	f(URLPrefix, "https://news.example/a", "it has to begin with the host; http and https are both meant")
	f(URLPrefix, "news.example/a/", "it has a slash at its end, or two in a row; without them all below is meant, too")
	f(URLPrefix, "co.jp/a", "it is no domain of anybody's, but what the domains of many end with")
	f(URLPrefix, "news.example/あ", "it has characters in its path that URLs write as % and two capital hexadecimal digits")
	f(Region, "UK-ENG", "it does not begin with an ISO 3166-1 country code")
	f(City, "JP/ tokyo", "it has spaces around it, or more than one between words")
	f(Near, "91,0,1", "it has a latitude that is not from -90 to 90")
	f(Near, "0,-180,1", "it has a longitude that is not above -180 and up to 180")
	f(Near, "0,0,0", "it has a radius that is not from 1 to 20000000 metres")
	f(Near, "35.60,0,1", "it has a number with needless zeros, sign or point, or with more than six decimals")
	f(OSVersion, "ios 17-15", "it has its lowest version above its highest")
	f(OSVersion, "chrome 17-", "it has to begin with one of windows, macos, linux, android, ios, chromeos")
	f(OSVersion, "ios -", "it names no version; all of ios needs no range")
	f(Category, "iab1/IAB99", "it has an id that this taxonomy does not have")
}

// What a code list holds, beside what it is tested for by value.
func TestCodeLists(t *testing.T) {
	t.Parallel()
	f := func(list string, want int) {
		t.Helper()
		codes := strings.Fields(list)
		for i, code := range codes {
			if len(code) != 2 || (i > 0 && codes[i-1] >= code) {
				t.Errorf("%q is out of order or no code", code)
			}
		}
		if len(codes) != want {
			t.Errorf("%d codes; want %d", len(codes), want)
		}
	}
	f(countries, 249+1)
	f(languages, 183)
}

// FuzzValues holds for any text, in every dimension: nothing panics, an error is
// short text, and what a rule may say, a request that brings it satisfies.
func FuzzValues(f *testing.F) {
	for _, values := range vocabulary {
		for _, value := range values {
			f.Add(value)
		}
	}
	f.Fuzz(func(t *testing.T, value string) {
		for _, d := range Dimensions() {
			if err := d.Check(value); err != nil {
				if text := err.Error(); len(text) > 500 || !utf8.ValidString(text) {
					t.Fatalf("%s: error %q", d, text)
				}
				continue
			}
			if d.Kind() != Computed && !d.Satisfies(value, value) {
				t.Fatalf("%s: %q does not satisfy itself", d, value)
			}
			if n, err := Normalise(is(d, value)); err != nil || len(n.Conjunctions) != 1 {
				t.Fatalf("%s: %q has the normal form %v, %v", d, value, n, err)
			}
			if n, err := Normalise(all(is(d, value), not(is(d, value)))); err != nil || len(n.Conjunctions) != 0 {
				t.Fatalf("%s: %q and not has the normal form %v, %v", d, value, n, err)
			}
		}
	})
}

// FuzzShapes holds that shapes have one spelling, which says what they are.
func FuzzShapes(f *testing.F) {
	for _, value := range []string{"35.681,139.767,5000", "-0.5,180,1", "ios 15-17.4", "chrome -119.0.1.2", "safari 17-"} {
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if c, err := ParseCircle(text); err == nil {
			if again := decimal(int(c.latitude)) + "," + decimal(int(c.longitude)) + "," + decimal(int(c.metres)*degree); again != text {
				t.Fatalf("%q is spelled %q", text, again)
			}
			if !c.Contains(c.centre) {
				t.Fatalf("%q does not contain its centre", text)
			}
		}
		if r, err := ParseVersions(text); err == nil {
			for _, number := range []uint64{r.low, r.high} {
				if !r.Contains(Version{r.name, number}) {
					t.Fatalf("%q does not contain its ends", text)
				}
			}
		}
	})
}

// FuzzBrought holds for anything that a request may bring: nothing panics, and
// expansions are bounded parts of it, or categories.
func FuzzBrought(f *testing.F) {
	for _, values := range brought {
		for _, value := range values {
			f.Add([]byte(value))
		}
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		if p, known := ParsePoint(value); known && (p.chord(Point{}) < 0.999 || p.chord(Point{}) > 1.001) {
			t.Fatalf("%q is not on earth: %v", value, p)
		}
		if v, known := ParseVersion(value); known && (v.name == 0 || int(v.name) > len(versioned)) {
			t.Fatalf("%q is a version of nothing", value)
		}
		for _, d := range Dimensions() {
			expansions := AppendExpansions(nil, d, value)
			if len(expansions) > 20 {
				t.Fatalf("%s: %q has %d expansions", d, value, len(expansions))
			}
			for _, e := range expansions {
				if d != Category && !strings.Contains(string(value), string(e)) {
					t.Fatalf("%s: %q expands to %q", d, value, e)
				}
				if !d.Satisfies(string(e), string(value)) && d.Kind() != Computed {
					t.Fatalf("%s: %q does not satisfy its expansion %q", d, value, e)
				}
			}
		}
	})
}
