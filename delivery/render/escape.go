package render

import (
	"strings"
	"unicode/utf8"
)

// attribute escapes text for a double-quoted HTML attribute. Nothing else than
// these two characters means anything there.
var attribute = strings.NewReplacer("&", "&amp;", `"`, "&quot;").Replace

// quote escapes text for the inside of a string that is JSON as well as
// JavaScript, and that may stand in an HTML script element: no "<" is left to
// end that, and no line separator that old JavaScript takes for a line's end.
func quote(text string) string { return string(appendQuoted(nil, text)) }

func appendQuoted[T string | []byte](dst []byte, text T) []byte {
	for i := 0; i < len(text); {
		from := i
		for i < len(text) && plain(text[i]) {
			i++
		}
		dst = append(dst, text[from:i]...)
		if i == len(text) {
			break
		}
		if c := text[i]; c < utf8.RuneSelf {
			dst = appendEscape(dst, c)
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(string(text[i:min(i+utf8.UTFMax, len(text))]))
		dst = appendRune(dst, r)
		i += n
	}
	return dst
}

// plain tells of a character that stands for itself.
func plain(c byte) bool {
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\' && c != '<'
}

func appendEscape(dst []byte, c byte) []byte {
	const hex = "0123456789abcdef"
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\n':
		return append(dst, `\n`...)
	}
	return append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
}

// appendRune writes malformed text as U+FFFD, so that the result is UTF-8.
func appendRune(dst []byte, r rune) []byte {
	switch r {
	case '\u2028':
		return append(dst, `\u2028`...)
	case '\u2029':
		return append(dst, `\u2029`...)
	}
	return utf8.AppendRune(dst, r)
}
