package delivery

import (
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth bounds the nesting of a JSON body, parts we ignore included.
const maxDepth = 32

// scanner reads one strict JSON text (RFC 8259) front to back: no leading zeros,
// no NaN, no raw control characters, no invalid UTF-8, no lone surrogates, no
// bytes after the value. Every method does nothing once fault is set, so that a
// reader checks it once, at the end.
//
// It allocates nothing: strings are slices of the source, or of arena where an
// escape had to be resolved. Work is linear in the source whatever it holds.
type scanner struct {
	src   []byte
	pos   int
	depth int
	first bool // the next call of more sees the container's first element
	fault string
	at    int    // where the fault is
	arena []byte // grows by appending; what it handed out stays valid until the next reset
}

func (s *scanner) reset(src []byte) {
	*s = scanner{src: src, arena: s.arena[:0]}
}

// fail notes what is wrong at the present position; the first fault stays.
func (s *scanner) fail(what string) {
	if s.fault == "" {
		s.fault, s.at = what, s.pos
	}
}

// peek skips white space and returns the next byte, 0 at the end or after a fault.
func (s *scanner) peek() byte {
	if s.fault != "" {
		return 0
	}
	for s.pos < len(s.src) {
		switch c := s.src[s.pos]; c {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return c
		}
	}
	return 0
}

// open enters an object or array; c is '{' or '['.
func (s *scanner) open(c byte) {
	switch {
	case s.peek() != c && c == '{':
		s.fail("an object is expected here")
	case s.peek() != c:
		s.fail("a list is expected here")
	case s.depth == maxDepth:
		s.fail("nested too deep")
	default:
		s.pos++
		s.depth++
		s.first = true
	}
}

// more tells whether another element follows in the container that closes with
// c, and steps over the comma or the closing bracket.
func (s *scanner) more(c byte) bool {
	next := s.peek()
	if s.fault != "" {
		return false
	}
	if next == c {
		s.pos++
		s.depth--
		s.first = false
		return false
	}
	if s.first {
		s.first = false
		return true
	}
	if next != ',' {
		s.fail("a comma or the closing bracket is missing")
		return false
	}
	s.pos++
	if s.peek() == c {
		s.fail("a comma before the closing bracket")
		return false
	}
	return true
}

// key reads a member's name and the colon.
func (s *scanner) key() []byte {
	name := s.str()
	if s.peek() != ':' {
		s.fail("a colon is missing after the member's name")
		return nil
	}
	s.pos++
	return name
}

// null steps over a null and tells whether there was one.
func (s *scanner) null() bool {
	if s.peek() != 'n' {
		return false
	}
	s.literal("null")
	return true
}

func (s *scanner) boolean() bool {
	switch s.peek() {
	case 't':
		s.literal("true")
		return true
	case 'f':
		s.literal("false")
	default:
		s.fail("true or false is expected here")
	}
	return false
}

func (s *scanner) literal(word string) {
	if len(s.src)-s.pos < len(word) || string(s.src[s.pos:s.pos+len(word)]) != word {
		s.fail("not a JSON value")
		return
	}
	s.pos += len(word)
}

// number checks a number's grammar and steps over it; its value is never needed.
func (s *scanner) number() {
	if s.fault != "" {
		return
	}
	if s.peek() == '-' {
		s.pos++
	}
	switch {
	case s.pos < len(s.src) && s.src[s.pos] == '0':
		s.pos++
	case s.digits() == 0:
		s.fail("a number is expected here")
		return
	}
	if s.pos < len(s.src) && s.src[s.pos] == '.' {
		s.pos++
		if s.digits() == 0 {
			s.fail("a digit is missing after the decimal point")
		}
	}
	if s.pos < len(s.src) && s.src[s.pos]|0x20 == 'e' {
		s.pos++
		if s.pos < len(s.src) && (s.src[s.pos] == '+' || s.src[s.pos] == '-') {
			s.pos++
		}
		if s.digits() == 0 {
			s.fail("a digit is missing in the exponent")
		}
	}
}

func (s *scanner) digits() int {
	start := s.pos
	for s.pos < len(s.src) && s.src[s.pos] >= '0' && s.src[s.pos] <= '9' {
		s.pos++
	}
	return s.pos - start
}

// str reads a string.
func (s *scanner) str() []byte {
	if s.peek() != '"' {
		s.fail("a string is expected here")
		return nil
	}
	s.pos++
	start := s.pos
	for s.pos < len(s.src) {
		switch c := s.src[s.pos]; {
		case c == '"':
			s.pos++
			return s.src[start : s.pos-1]
		case c == '\\':
			return s.escaped(start)
		case c < 0x20:
			s.fail("a raw control character in a string")
			return nil
		case c < utf8.RuneSelf:
			s.pos++
		default:
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

// skip reads over any value, with the same strictness.
func (s *scanner) skip() {
	switch c := s.peek(); c {
	case '{':
		for s.open('{'); s.more('}'); {
			s.key()
			s.skip()
		}
	case '[':
		for s.open('['); s.more(']'); {
			s.skip()
		}
	case '"':
		s.str()
	case 't', 'f':
		s.boolean()
	case 'n':
		s.null()
	default:
		if c != '-' && (c < '0' || c > '9') {
			s.fail("a value is expected here")
		}
		s.number()
	}
}

// end asks that nothing but white space follows.
func (s *scanner) end() {
	s.peek()
	if s.fault == "" && s.pos != len(s.src) {
		s.fail("something follows after the value")
	}
}
