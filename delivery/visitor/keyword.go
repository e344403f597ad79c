package visitor

import (
	"bytes"
	"errors"
	"unicode"
	"unicode/utf8"
)

// maxKeyword bounds "key=value" in bytes, as rules do.
const maxKeyword = 200

// What can be wrong with a keyword.
var (
	ErrKey     = errors.New("a key is not empty and has no \"=\" or control character")
	ErrValue   = errors.New("a value is not empty and has no control character")
	ErrLength  = errors.New("a key and its value have at most 199 bytes together")
	ErrUnicode = errors.New("not valid UTF-8")
)

// AppendKeyword appends "key=value" as targeting rules spell keywords: without
// surrounding white space and in lower case.
func AppendKeyword(dst, key, value []byte) ([]byte, error) {
	key, value = bytes.TrimSpace(key), bytes.TrimSpace(value)
	switch {
	case len(key) == 0 || bytes.IndexByte(key, '=') >= 0:
		return dst, ErrKey
	case len(value) == 0:
		return dst, ErrValue
	case len(key)+1+len(value) > maxKeyword:
		return dst, ErrLength
	}
	from := len(dst)
	dst, ok := appendLower(dst, key)
	if !ok {
		return dst[:from], faultOf(key, ErrKey)
	}
	dst = append(dst, '=')
	if dst, ok = appendLower(dst, value); !ok {
		return dst[:from], faultOf(value, ErrValue)
	}
	return dst, nil
}

// appendLower lower-cases rune by rune, as strings.ToLower does for the rules,
// but into memory of the caller. It refuses control characters and malformed text.
func appendLower(dst, text []byte) ([]byte, bool) {
	for i := 0; i < len(text); {
		c := text[i]
		if c < utf8.RuneSelf {
			if c < 0x20 || c == 0x7f {
				return dst, false
			}
			if c >= 'A' && c <= 'Z' {
				c += 'a' - 'A'
			}
			dst = append(dst, c)
			i++
			continue
		}
		r, n := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && n == 1 || unicode.IsControl(r) {
			return dst, false
		}
		dst = utf8.AppendRune(dst, unicode.ToLower(r))
		i += n
	}
	return dst, true
}

func faultOf(text []byte, other error) error {
	if !utf8.Valid(text) {
		return ErrUnicode
	}
	return other
}
