package views

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hayate-ads/hayate/internal/ad"
)

// keyText is a key as it stands in the sources: "noun.name".
var keyText = regexp.MustCompile(`"([a-z]+(?:\.[a-z_0-9]+)+)"`)

// prefixText is the beginning of keys made of a value: "status."+string(s), or
// options("role", …).
var prefixText = regexp.MustCompile(`"([a-z]+\.(?:[a-z_]+)?)" ?\+|options\("([a-z.]+)"`)

var notKeys = map[string]bool{"console.js": true, "console.css": true, "logo.svg": true}

func sources(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	count := 0
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		name := entry.Name()
		skip := strings.HasSuffix(name, "_test.go") || strings.HasSuffix(name, "_templ.go") || strings.HasPrefix(name, "catalog")
		if err != nil || skip || !strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, ".templ") {
			return err
		}
		text, err := os.ReadFile(path)
		count++
		all.Write(text)
		return err
	})
	if err != nil || count < 20 {
		t.Fatalf("%d source files, %v", count, err)
	}
	return all.String()
}

func TestEveryKeyExistsAndIsUsed(t *testing.T) {
	t.Parallel()
	text, used := sources(t), map[string]bool{}
	for _, match := range keyText.FindAllStringSubmatch(text, -1) {
		key := match[1]
		group, _, _ := strings.Cut(key, ".")
		if notKeys[key] || !hasGroup(group) {
			continue
		}
		used[key] = true
		if _, ok := catalog[key]; !ok && !isTitled(key) && !strings.HasSuffix(key, "_") {
			t.Errorf("key %q is used and not in the catalog", key)
		}
	}
	var prefixes []string
	for _, match := range prefixText.FindAllStringSubmatch(text, -1) {
		prefixes = append(prefixes, strings.TrimSuffix(match[1]+match[2], ".")+".", match[1])
	}
	for key := range catalog {
		if !used[key] && !used[strings.TrimSuffix(strings.TrimSuffix(key, ".title"), ".text")] && !hasPrefix(key, prefixes) {
			t.Errorf("key %q is in the catalog and used nowhere", key)
		}
	}
}

func hasGroup(group string) bool {
	for key := range catalog {
		if strings.HasPrefix(key, group+".") {
			return true
		}
	}
	return false
}

// isTitled tells of "problem.x", which stands for its title and its text.
func isTitled(key string) bool {
	_, title := catalog[key+".title"]
	_, text := catalog[key+".text"]
	return title && text
}

func hasPrefix(key string, prefixes []string) bool {
	for _, p := range prefixes {
		if len(p) > 2 && strings.HasPrefix(key, p) {
			return true
		}
	}
	return false
}

var verb = regexp.MustCompile(`%[a-z]`)

func TestBothLanguagesSayTheSame(t *testing.T) {
	t.Parallel()
	for key, text := range catalog {
		if text.ja == "" || text.en == "" && !strings.HasPrefix(key, "error.") {
			t.Errorf("%s lacks a language: %q, %q", key, text.en, text.ja)
		}
		en, ja := strings.Join(verb.FindAllString(text.en, -1), " "), strings.Join(verb.FindAllString(text.ja, -1), " ")
		if en != ja {
			t.Errorf("%s: placeholders %q in English, %q in Japanese", key, en, ja)
		}
	}
}

func TestEveryFieldCodeHasJapanese(t *testing.T) {
	t.Parallel()
	for _, code := range []string{ad.Required, ad.TooLong, ad.OutOfRange, ad.BadSyntax, ad.Unknown, ad.Repeated, ad.Order, ad.Conflict, ad.Taken, ad.Immutable, ad.Final} {
		if FieldMessage("ja", ad.FieldError{Code: code}) == catalog["error.other"].ja {
			t.Errorf("code %s has no Japanese text", code)
		}
	}
	if got := FieldMessage("en", ad.FieldError{Code: "x", Message: "has to be given"}); got != "Has to be given." {
		t.Errorf("English = %q", got)
	}
}

func TestLanguage(t *testing.T) {
	t.Parallel()
	f := func(accept, want string) {
		t.Helper()
		if got := Language(accept); got != want {
			t.Errorf("Language(%q) = %s, want %s", accept, got, want)
		}
	}
	f("", "en")
	f("ja", "ja")
	f("ja-JP,en;q=0.5", "ja")
	f("en-US,ja;q=0.9", "en")
	f("de,ja;q=0.5", "ja")
	f("fr", "en")
	f(";;;q=z", "en")
	f(strings.Repeat("ja,", 10_000), "en")
}

func TestCount(t *testing.T) {
	t.Parallel()
	f := func(n int64, want string) {
		t.Helper()
		if got := Count(n); got != want {
			t.Errorf("Count(%d) = %s, want %s", n, got, want)
		}
	}
	f(0, "0")
	f(999, "999")
	f(1000, "1,000")
	f(1234567, "1,234,567")
	f(-123456, "-123,456")
}
