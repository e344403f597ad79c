package views

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/text/language"

	"github.com/hayate-ads/hayate/internal/ad"
)

// words is one text in both languages.
type words struct{ en, ja string }

var matcher = language.NewMatcher([]language.Tag{language.English, language.Japanese})

// Language picks "en" or "ja" for an Accept-Language header.
func Language(accept string) string {
	if len(accept) > 1000 {
		return "en"
	}
	tags, _, err := language.ParseAcceptLanguage(accept)
	if err != nil {
		return "en"
	}
	if _, index, _ := matcher.Match(tags...); index == 1 {
		return "ja"
	}
	return "en"
}

// T is the text of a key in a language. An unknown key is shown as it is; a test
// sees to it that there is none.
func T(lang, key string, args ...any) string {
	found, ok := catalog[key]
	if !ok {
		return key
	}
	text := found.en
	if lang == "ja" {
		text = found.ja
	}
	if len(args) == 0 {
		return text
	}
	return fmt.Sprintf(text, args...)
}

// Known is the text of a key made of a value that another program or version
// chose; ok is false when there is none.
func Known(lang, key string) (text string, ok bool) {
	if _, ok := catalog[key]; !ok {
		return "", false
	}
	return T(lang, key), true
}

func t(ctx context.Context, key string, args ...any) string {
	return T(From(ctx).Language, key, args...)
}

// FieldMessage says what is wrong with a field. English is the domain's own
// sentence; Japanese goes by the code.
func FieldMessage(lang string, e ad.FieldError) string {
	if lang != "ja" {
		if e.Message == "" {
			return e.Code
		}
		return strings.ToUpper(e.Message[:1]) + e.Message[1:] + "."
	}
	if text, ok := catalog["error."+e.Code]; ok {
		return text.ja
	}
	return catalog["error.other"].ja
}

// Count writes a number with separators: 1,234,567 in both languages.
func Count(n int64) string {
	digits := strconv.FormatInt(n, 10)
	start := 0
	if n < 0 {
		start = 1
	}
	for at := len(digits) - 3; at > start; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return digits
}
