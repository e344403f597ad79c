package visitor

import (
	"bytes"
	"errors"
	"unicode"
	"unicode/utf8"
)

// maxSegment bounds an audience segment in bytes, as rules do.
const maxSegment = 200

// ErrSegment is what can be wrong with an audience segment.
var ErrSegment = errors.New("a segment has 1 to 200 bytes of UTF-8 without control characters, such as \"vip\" or \"acme/4711\"")

// ParseSegment checks one of a visitor's segments, a publisher's own name or
// provider and id, and returns it without surrounding white space.
func ParseSegment(text []byte) ([]byte, error) {
	text = bytes.TrimSpace(text)
	if len(text) == 0 || len(text) > maxSegment || !utf8.Valid(text) {
		return nil, ErrSegment
	}
	for i := 0; i < len(text); {
		if c := text[i]; c < utf8.RuneSelf {
			if c < ' ' || c == 0x7f {
				return nil, ErrSegment
			}
			i++
			continue
		}
		r, n := utf8.DecodeRune(text[i:])
		if unicode.IsControl(r) {
			return nil, ErrSegment
		}
		i += n
	}
	return text, nil
}
