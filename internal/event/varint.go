package event

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/oklog/ulid/v2"
)

// decoder takes values from the front of b. After the first failure it answers
// zeros and keeps the error, so that a parser reads like the format it parses.
type decoder struct {
	b       []byte
	version uint16 // of the segment
	err     error
}

var (
	errShort     = errors.New("ends too early")
	errCanonical = errors.New("number not in its shortest form")
	errTrailing  = errors.New("bytes left over")
)

// uvarint accepts only the shortest form: one value has one encoding, so that
// equal records are equal bytes and a token has no second spelling.
func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	switch {
	case d.err != nil:
		return 0
	case n == 0:
		d.fail(errShort)
		return 0
	case n < 0 || (n > 1 && d.b[n-1] == 0):
		d.fail(errCanonical)
		return 0
	}
	d.b = d.b[n:]
	return v
}

// upTo is a uvarint of at most limit.
func (d *decoder) upTo(limit uint64, what string) uint64 {
	v := d.uvarint()
	if v > limit {
		d.fail(fmt.Errorf("%s is %d, at most %d is allowed", what, v, limit))
		return 0
	}
	return v
}

func (d *decoder) byte() byte {
	if d.err != nil {
		return 0
	}
	if len(d.b) == 0 {
		d.fail(errShort)
		return 0
	}
	v := d.b[0]
	d.b = d.b[1:]
	return v
}

func (d *decoder) ulid(id *ulid.ULID) {
	if d.err != nil {
		return
	}
	if len(d.b) < len(id) {
		d.fail(errShort)
		return
	}
	d.b = d.b[copy(id[:], d.b):]
}

func (d *decoder) bytes(n int) []byte {
	if d.err != nil {
		return nil
	}
	if len(d.b) < n {
		d.fail(errShort)
		return nil
	}
	v := d.b[:n]
	d.b = d.b[n:]
	return v
}

func (d *decoder) fail(err error) {
	if d.err == nil {
		d.err, d.b = err, nil
	}
}
