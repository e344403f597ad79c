package visitor

import (
	"bytes"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/hayate-ads/hayate/delivery/target"
	"github.com/hayate-ads/hayate/internal/rule"
)

func TestLanguage(t *testing.T) {
	t.Parallel()
	f := func(header, want string) {
		t.Helper()
		code, ok := language([]byte(header))
		if got := string(code[:]); ok != (want != "") || ok && got != want {
			t.Errorf("%.60q: %q, %v; want %q", header, got, ok, want)
		}
	}
	f("ja", "ja")
	f("ja-JP", "ja")
	f("EN-us,en;q=0.9,ja;q=0.8", "en")
	f("en;q=0.5, ja;q=0.9", "ja")
	f("en;q=0.8,ja;q=0.8", "en")
	f("fil, en;q=0.5", "en") // Filipino has no code of two letters
	f("*, de;q=0.1", "de")
	f("de;q=0", "")
	f("zh-Hant-TW", "zh")
	f("pt_BR", "pt")
	f("iw-IL", "he")
	f("de ; q=0.7 , fr", "fr")
	f("de;q=2,fr;q=0.001", "fr")
	f("de;q=0.1234,fr;q=0.1", "fr")
	f("de;level=1", "")
	for _, nothing := range []string{"", ",", ";", "*", "e", "1a", "e1", "english", "\xff\xfe", ",,,,;;;;", "-", strings.Repeat(",", 8000) + "de"} {
		f(nothing, "")
	}
}

func TestURL(t *testing.T) {
	t.Parallel()
	f := func(text, prefix, secure string) {
		t.Helper()
		var q target.Query
		v := Visitor{URL: []byte(text)}
		v.describePage(&q)
		if got := string(q.Value(rule.URLPrefix)); got != prefix {
			t.Errorf("%.80q: prefix %.80q, want %q", text, got, prefix)
		}
		if got := string(q.Value(rule.Secure)); got != secure {
			t.Errorf("%.80q: secure %q, want %q", text, got, secure)
		}
	}
	f("https://news.example/sports/football?a=b#c", "news.example/sports/football", "yes")
	f("http://News.Example:8080/Sports", "news.example/Sports", "no")
	f("HTTPS://news.example", "news.example", "yes")
	f("https://news.example.?x", "news.example", "yes")
	f("https://user:pass@news.example/", "news.example/", "yes")
	f("https://other.example\\@news.example/", "other.example", "yes") // as browsers read it
	f("https://xn--wgv71a.example/%E6%97%A5", "xn--wgv71a.example/%E6%97%A5", "yes")
	f("https://news.example/日本", "news.example", "yes")
	f("https://news.example/a b", "news.example", "yes")
	long := "/" + strings.Repeat("abcdefghi/", 100)
	f("https://news.example"+long, "news.example"+strings.TrimSuffix(long[:len("/")+490], "/"), "yes")
	f("https://news.example/"+strings.Repeat("x", 8000), "news.example", "yes")
	for _, none := range []string{
		"", "news.example/a", "//news.example/", "about:srcdoc", "file:///etc/passwd", "javascript:alert(1)", "https://", "https:///a", "https://[::1]/",
		"https://日本.example/", "https://a..b/", "https://.a/", "https://" + strings.Repeat("a", 254) + "/", "https://a\x00b/", "https://\xff/",
	} {
		f(none, "", "")
	}
}

func TestElsewhere(t *testing.T) {
	t.Parallel()
	var q target.Query
	v := Visitor{URL: []byte("https://other.example/a"), Elsewhere: true}
	v.describePage(&q)
	if q.Value(rule.URLPrefix) != nil || q.Value(rule.Domain) != nil || string(q.Value(rule.Secure)) != "yes" {
		t.Errorf("a page elsewhere brings %v", q.Plain())
	}
}

func TestOn(t *testing.T) {
	t.Parallel()
	f := func(url, domain string, want bool) {
		t.Helper()
		if got := On([]byte(url), domain); got != want {
			t.Errorf("On(%q, %q) = %v", url, domain, got)
		}
	}
	f("https://news.example/a", "news.example", true)
	f("https://WWW.News.Example/a", "news.example", true)
	f("https://fakenews.example/a", "news.example", false)
	f("https://news.example.evil.example/", "news.example", false)
	f("https://example/", "news.example", false)
	f("https://evil.example/?news.example", "news.example", false)
	f("https://news.example@evil.example/", "news.example", false)
	f("", "news.example", false)
	f("https://news.example/", "", false)
}

func TestParseSegment(t *testing.T) {
	t.Parallel()
	f := func(text, want string) {
		t.Helper()
		got, err := ParseSegment([]byte(text))
		if string(got) != want || (err == nil) != (want != "") {
			t.Errorf("ParseSegment(%.40q) = %q, %v; want %q", text, got, err, want)
		}
	}
	f("vip", "vip")
	f(" acme/4711\t", "acme/4711")
	f("会員", "会員")
	f(strings.Repeat("x", 200), strings.Repeat("x", 200))
	f(strings.Repeat("x", 201), "")
	for _, bad := range []string{"", " ", "a\x00b", "a\nb", "\xc0\xaf", "a\u0085b"} {
		f(bad, "")
	}
}

func FuzzLanguage(f *testing.F) {
	for _, seed := range []string{"ja", "en-US,en;q=0.9", "*;q=0.1", "de;q=0.5,,fr", "\xff;q=\xff"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, header []byte) {
		if code, ok := language(header); ok && !rule.Language.Valid(string(code[:])) && (code[0] < 'a' || code[0] > 'z' || code[1] < 'a' || code[1] > 'z') {
			t.Fatalf("%q is no language", code)
		}
	})
}

func FuzzURL(f *testing.F) {
	for _, seed := range []string{"https://news.example/a/b?c#d", "http://a@b:1/", "https://[::1]/", "https://a\\b/", "https://a/ b"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		a, ok := readURL(text)
		if !ok {
			return
		}
		prefix := a.appendPrefix(nil)
		if a.prefix != nil && !bytes.Equal(a.prefix, prefix) {
			t.Fatalf("%q has the prefix %q, spelled out it is %q", text, a.prefix, prefix)
		}
		if len(prefix) > rule.MaxHost+rule.MaxURL || !isPlain(prefix) {
			t.Fatalf("%q became %q", text, prefix)
		}
		// Where the standard library reads the same text, it sees the same host.
		if plain, err := url.Parse(string(text)); err == nil && !strings.Contains(string(text), "\\") {
			if theirs := strings.TrimSuffix(strings.ToLower(plain.Hostname()), "."); theirs != "" && theirs != strings.ToLower(string(a.host)) {
				t.Fatalf("%q is on %q, we say %q", text, theirs, a.host)
			}
		}
	})
}

func FuzzUserAgent(f *testing.F) {
	for _, seed := range []string{chromeWindows, safariPhone, samsungPhone, webviewPhone, television, "(((", "Chrome/", "Android"} {
		f.Add([]byte(seed), []byte(`"Google Chrome";v="138"`), []byte(`"Android"`), []byte(`"14.0.0"`), []byte(`"Pixel 8"`))
	}
	f.Fuzz(func(t *testing.T, ua, brands, platform, version, model []byte) {
		h := Hints{UserAgent: ua, Brands: brands, Platform: platform, PlatformVersion: version, Model: model, FullVersions: brands}
		var q target.Query
		var p parts
		d := readDevice(&h, new(App))
		d.spell(&p)
		p.refer(&q, 0)
		for dimension, values := range q.Plain() {
			for _, value := range values {
				if !utf8.ValidString(value) || len(value) > 200 {
					t.Fatalf("%s is %q", dimension, value)
				}
			}
		}
		for _, dimension := range []rule.Dimension{rule.OSVersion, rule.BrowserVersion} {
			if value := q.Value(dimension); value != nil {
				if _, ok := rule.ParseVersion(value); !ok {
					t.Fatalf("%s %q cannot be read", dimension, value)
				}
			}
		}
	})
}

func FuzzSegment(f *testing.F) {
	for _, seed := range []string{"vip", "acme/4711", " x ", "\xff", "a\x7fb"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if got, err := ParseSegment(text); err == nil && (len(got) == 0 || len(got) > maxSegment || !utf8.Valid(got)) {
			t.Fatalf("%q was accepted", got)
		}
	})
}
