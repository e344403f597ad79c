package visitor

import (
	"bytes"
	"errors"
	"unicode"
	"unicode/utf8"
)

// Bounds of a keyword in bytes, as sent.
const (
	MaxKey   = 64
	MaxValue = 128
)

// What can be wrong with a keyword.
var (
	ErrKey     = errors.New("a key has 1 to 64 bytes and no \"=\" or control character")
	ErrValue   = errors.New("a value has 1 to 128 bytes and no control character")
	ErrUnicode = errors.New("not valid UTF-8")
)

// AppendKeyword appends "key=value" as targeting rules spell keywords: without
// surrounding white space and in lower case.
func AppendKeyword(dst, key, value []byte) ([]byte, error) {
	key, value = bytes.TrimSpace(key), bytes.TrimSpace(value)
	if len(key) == 0 || len(key) > MaxKey || bytes.IndexByte(key, '=') >= 0 {
		return dst, ErrKey
	}
	if len(value) == 0 || len(value) > MaxValue {
		return dst, ErrValue
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
