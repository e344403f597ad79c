package delivery

import (
	"bytes"
	"unicode/utf8"
)

// queryScanner reads the parameters of a query string, strictly: every escape
// is whole and what comes out is UTF-8. It allocates nothing: a part without an
// escape is a slice of the source, the others are in its arena.
type queryScanner struct {
	rest  []byte
	arena []byte
	bad   bool
}

func (q *queryScanner) reset(source []byte) {
	q.rest, q.arena, q.bad = source, q.arena[:0], false
}

// next returns the next parameter; ok is false at the end, and after a mistake.
func (q *queryScanner) next() (name, value []byte, ok bool) {
	for len(q.rest) > 0 {
		part := q.rest
		if end := bytes.IndexByte(q.rest, '&'); end >= 0 {
			part, q.rest = q.rest[:end], q.rest[end+1:]
		} else {
			q.rest = nil
		}
		if len(part) == 0 {
			continue
		}
		name, value, _ = bytes.Cut(part, []byte{'='})
		name, value = q.unescape(name), q.unescape(value)
		return name, value, !q.bad
	}
	return nil, nil, false
}

func (q *queryScanner) unescape(text []byte) []byte {
	if bytes.IndexByte(text, '%') >= 0 || bytes.IndexByte(text, '+') >= 0 {
		from := len(q.arena)
		q.appendUnescaped(text)
		text = q.arena[from:]
	}
	if !utf8.Valid(text) {
		q.bad = true
	}
	return text
}

func (q *queryScanner) appendUnescaped(text []byte) {
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '+':
			c = ' '
		case c == '%':
			if i+2 >= len(text) {
				q.bad = true
				return
			}
			high, low := hexDigit(text[i+1]), hexDigit(text[i+2])
			if high|low > 15 {
				q.bad = true
				return
			}
			c = high<<4 | low
			i += 2
		}
		q.arena = append(q.arena, c)
	}
}

// hexDigit is a digit's value, 255 for other characters.
func hexDigit(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10
	}
	return 255
}
