package visitor

// bits reads the fields of a consent string: big-endian numbers of any width in
// text of the base64url alphabet, six bits a character (GPP, "Creating a GPP
// String"; TCF uses the same). It works on the text itself, so nothing is
// decoded that is not asked for, and nothing is allocated.
//
// Every method does nothing once bad is set: a reader checks it once, at the end.
type bits struct {
	text []byte
	at   int // the next bit
	bad  bool
}

// bitsOf reads text, with or without padding.
func bitsOf(text []byte) bits {
	for len(text) > 0 && text[len(text)-1] == '=' {
		text = text[:len(text)-1]
	}
	b := bits{text: text, bad: len(text) == 0}
	for _, c := range text {
		if sextets[c] == invalid {
			b.bad = true
		}
	}
	return b
}

const invalid = 0xff

var sextets = func() (table [256]byte) {
	for i := range table {
		table[i] = invalid
	}
	for i, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") {
		table[c] = byte(i)
	}
	return table
}()

// int reads a number of n bits, at most 36.
func (b *bits) int(n int) uint64 {
	if !b.skip(n) {
		return 0
	}
	value, from := uint64(0), b.at-n
	for at := from / 6; at*6 < b.at; at++ {
		value = value<<6 | uint64(sextets[b.text[at]])
	}
	if over := (6 - b.at%6) % 6; over > 0 {
		value >>= over
	}
	return value & (1<<n - 1)
}

func (b *bits) flag() bool { return b.int(1) == 1 }

// skip steps over n bits; false when there are fewer.
func (b *bits) skip(n int) bool {
	if b.bad || b.at+n > len(b.text)*6 {
		b.bad = true
		return false
	}
	b.at += n
	return true
}

// fibonacci reads a number in Fibonacci coding, which ends with two ones in a
// row (GPP, "Fibonacci Encoding"). Section ids are small: more than 16 places
// are no honest number.
func (b *bits) fibonacci() int {
	value, last := 0, false
	for this, next, i := 1, 2, 0; i < 16 && !b.bad; this, next, i = next, this+next, i+1 {
		one := b.flag()
		if one && last {
			return value
		}
		if one {
			value += this
		}
		last = one
	}
	b.bad = true
	return 0
}
