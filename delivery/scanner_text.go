package delivery

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

// Words of eight equal bytes, see ends.
const (
	ones  = 0x0101010101010101
	highs = 0x80 * ones
)

// ends marks where a string cannot just go on: the high bit of the first byte of
// w (its lowest) that is a quote, a backslash or a control character. Higher
// bytes may be marked by mistake, since a subtraction borrows from them.
//
// Subtracting n from each byte below 0x80 sets the high bit of those that are
// less than n. A backslash is 0 once its own bits are flipped, hence less than 1;
// flipping bit 1 maps the quote to 0x20, next to the control characters 0 to 0x1f
// (which stay among themselves), hence less than 0x21. ^w takes out the bytes
// from 0x80, for which none of this holds.
func ends(w uint64) uint64 {
	quoteOrControl := (w ^ 0x02*ones) - 0x21*ones
	backslash := (w ^ '\\'*ones) - ones
	return (quoteOrControl | backslash) &^ w & highs
}

// beyond has the high bit of each byte from 0x7f set, up to the first such byte
// at least: what is in no plain string. Adding 1 brings 0x7f to 0x80 and carries
// into the next byte only from 0xff.
func beyond(w uint64) uint64 { return (w | (w + ones)) & highs }

// str reads a string. Nearly all are plain and end here, after a look at each
// eight bytes of them.
func (s *scanner) str() []byte {
	if !s.is('"') && s.peek() != '"' {
		s.fail("a string is expected here")
		return nil
	}
	src, from := s.src, s.pos+1
	var odd uint64 // the high bits of bytes that are not plain
	i := from
	for ; i+8 <= len(src); i += 8 {
		w := binary.LittleEndian.Uint64(src[i : i+8])
		end := ends(w)
		if end == 0 {
			odd |= beyond(w)
			continue
		}
		odd |= beyond(w) & ((end & -end) - 1) // of the bytes before the end
		i += bits.TrailingZeros64(end) / 8
		if odd != 0 || src[i] != '"' {
			return s.special(from, i)
		}
		s.pos, s.plain = i+1, true
		return src[from:i]
	}
	return s.bytewise(from)
}

// special goes on with a string that is not plain. Its bytes up to end, which is
// one that cannot be inside of a string, have been looked at.
func (s *scanner) special(from, end int) []byte {
	switch text := s.src[from:end]; {
	case !utf8.Valid(text):
	case s.src[end] == '"':
		s.pos, s.plain = end+1, false
		return text
	case s.src[end] == '\\':
		s.pos, s.plain = end, false
		return s.escaped(from)
	}
	return s.bytewise(from)
}

// bytewise reads a string byte by byte: to say where a fault is in it, or because
// the source has no eight bytes more.
func (s *scanner) bytewise(start int) []byte {
	s.pos, s.plain = start, false
	plain := true
	for s.pos < len(s.src) {
		switch c := s.src[s.pos]; {
		case c == '"':
			s.pos++
			s.plain = plain
			return s.src[start : s.pos-1]
		case c == '\\':
			return s.escaped(start)
		case c < 0x20:
			s.fail("a raw control character in a string")
			return nil
		case c < utf8.RuneSelf:
			plain = plain && c != 0x7f
			s.pos++
		default:
			plain = false
			if s.utf8() == 0 {
				return nil
			}
		}
	}
	s.fail("a string does not end")
	return nil
}

// utf8 steps over one multi-byte character and returns its length, 0 if it is malformed.
func (s *scanner) utf8() int {
	r, n := utf8.DecodeRune(s.src[s.pos:])
	if r == utf8.RuneError && n <= 1 {
		s.fail("not valid UTF-8")
		return 0
	}
	s.pos += n
	return n
}

// escaped goes on reading a string whose first escape is at pos, into arena.
func (s *scanner) escaped(start int) []byte {
	from := len(s.arena)
	s.arena = append(s.arena, s.src[start:s.pos]...)
	for s.pos < len(s.src) && s.fault == "" {
		switch c := s.src[s.pos]; {
		case c == '"':
			s.pos++
			return s.arena[from:]
		case c == '\\':
			s.escape()
		case c < 0x20:
			s.fail("a raw control character in a string")
		case c < utf8.RuneSelf:
			s.arena = append(s.arena, c)
			s.pos++
		default:
			at := s.pos
			s.arena = append(s.arena, s.src[at:at+s.utf8()]...)
		}
	}
	s.fail("a string does not end")
	return nil
}

func (s *scanner) escape() {
	s.pos++
	if s.pos == len(s.src) {
		return // the caller reports the missing end
	}
	c := s.src[s.pos]
	s.pos++
	switch c {
	case '"', '\\', '/':
	case 'b':
		c = '\b'
	case 'f':
		c = '\f'
	case 'n':
		c = '\n'
	case 'r':
		c = '\r'
	case 't':
		c = '\t'
	case 'u':
		s.arena = utf8.AppendRune(s.arena, s.unicode())
		return
	default:
		s.fail("an unknown escape in a string")
		return
	}
	s.arena = append(s.arena, c)
}

// unicode reads what follows \u, both halves of a surrogate pair.
func (s *scanner) unicode() rune {
	r := s.hex4()
	if !utf16.IsSurrogate(r) {
		return r
	}
	if s.pos+1 < len(s.src) && s.src[s.pos] == '\\' && s.src[s.pos+1] == 'u' {
		s.pos += 2
		if pair := utf16.DecodeRune(r, s.hex4()); pair != utf8.RuneError {
			return pair
		}
	}
	s.fail("half of a surrogate pair in a string")
	return utf8.RuneError
}

func (s *scanner) hex4() rune {
	if len(s.src)-s.pos < 4 {
		s.fail("four hex digits are missing after \\u")
		return 0
	}
	var r rune
	for _, c := range s.src[s.pos : s.pos+4] {
		switch {
		case c >= '0' && c <= '9':
			r = r<<4 | rune(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			r = r<<4 | rune(c|0x20-'a'+10)
		default:
			s.fail("four hex digits are missing after \\u")
			return 0
		}
	}
	s.pos += 4
	return r
}
