package delivery

// maxDepth bounds the nesting of a JSON body, parts we ignore included.
const maxDepth = 32

// scanner reads one strict JSON text (RFC 8259) front to back: no leading zeros,
// no NaN, no raw control characters, no invalid UTF-8, no lone surrogates, no
// bytes after the value. Every method does nothing once fault is set, so that a
// reader checks it once, at the end; for that, a fault also ends the source, and
// what finds no byte has no fault to look for.
//
// It allocates nothing: strings are slices of the source, or of arena where an
// escape had to be resolved. Work is linear in the source whatever it holds.
type scanner struct {
	src   []byte
	pos   int
	depth int
	first bool // the next call of more sees the container's first element
	plain bool // the last string is of the characters from space to tilde only; if false it may yet be
	fault string
	at    int    // where the fault is
	arena []byte // grows by appending; what it handed out stays valid until the next reset
}

func (s *scanner) reset(src []byte) {
	*s = scanner{src: src, arena: s.arena[:0]}
}

// fail notes what is wrong at the present position; the first fault stays. It is
// kept out of its callers, so that what runs for every byte stays small.
//
//go:noinline
func (s *scanner) fail(what string) {
	if s.fault == "" {
		s.fault, s.at = what, s.pos
		s.src = s.src[:s.pos]
	}
}

// is tells whether the next byte is c, without a look behind white space: a short
// cut where machines write none.
func (s *scanner) is(c byte) bool { return s.pos < len(s.src) && s.src[s.pos] == c }

// peek skips white space and returns the next byte, 0 at the end or after a fault.
func (s *scanner) peek() byte {
	for s.pos < len(s.src) {
		c := s.src[s.pos]
		if c > ' ' || c != ' ' && c != '\n' && c != '\t' && c != '\r' {
			return c
		}
		s.pos++
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
	if next != ',' || s.first {
		return s.edge(next, c)
	}
	s.pos++
	if !s.is('"') && s.peek() == c {
		s.fail("a comma before the closing bracket")
		return false
	}
	return true
}

// edge is more at the beginning and the end of a container, where next is not
// the comma between two elements.
func (s *scanner) edge(next, c byte) bool {
	switch {
	case s.fault != "":
		return false
	case next == c:
		s.pos++
		s.depth--
		s.first = false
		return false
	case s.first:
		s.first = false
		return true
	}
	s.fail("a comma or the closing bracket is missing")
	return false
}

// key reads a member's name and the colon.
func (s *scanner) key() []byte {
	name := s.str()
	if !s.is(':') && s.peek() != ':' {
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
