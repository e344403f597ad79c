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
	const hex = "0123456789abcdef"
	for i := 0; i < len(text); {
		c := text[i]
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
			i++
		case c == '\n':
			dst = append(dst, `\n`...)
			i++
		case c < 0x20 || c == '<' || c == 0x7f:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
			i++
		case c < utf8.RuneSelf:
			dst = append(dst, c)
			i++
		default:
			r, n := utf8.DecodeRuneInString(string(text[i:min(i+utf8.UTFMax, len(text))]))
			dst = appendRune(dst, r)
			i += n
		}
	}
	return dst
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
