package event

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/hayate-ads/hayate/internal/money"
)

// Fate is what settle made of a landing. The numbers stand in Postgres.
type Fate uint8

const (
	// Counted is what a landing is that no [Outcome] names: the first of its
	// reservation and purpose, charged in full when it is of the type that bills.
	Counted   Fate = 0
	Duplicate Fate = 1 // counted before: nothing
	Refused   Fate = 2 // a test's, or it contradicts the bank: nothing
	Short     Fate = 3 // counted; charged what its lease had left, the rest is overage
	TooLate   Fate = 4 // counted, own inventory, after its hold and without room: neither charged nor paid
)

// Outcome says of one record of a settled segment what cannot be told from the
// record. Together with the segments' order, the outcomes make what settle did
// readable from the log again: the lake is made of both.
type Outcome struct {
	Index   uint32       // of the record in its segment, from 0
	Fate    Fate         // never Counted
	Charged money.Micros // Short only
	Overage money.Micros // Short only
}

var errOutcomes = errors.New("bad outcomes")

// AppendOutcomes appends the compact form of a segment's outcomes, which come in
// ascending order of Index: two or three bytes each. None at all is no bytes.
func AppendOutcomes(dst []byte, outcomes []Outcome) []byte {
	next := uint32(0)
	for _, o := range outcomes {
		dst = binary.AppendUvarint(dst, uint64(o.Index-next))
		dst = append(dst, byte(o.Fate))
		if o.Fate == Short {
			dst = binary.AppendUvarint(dst, uint64(o.Charged))
			dst = binary.AppendUvarint(dst, uint64(o.Overage))
		}
		next = o.Index + 1
	}
	return dst
}

// ParseOutcomes reads what [AppendOutcomes] wrote.
func ParseOutcomes(b []byte) ([]Outcome, error) {
	var outcomes []Outcome
	d, next := decoder{b: b}, uint64(0)
	for len(d.b) > 0 && d.err == nil {
		next += d.upTo(1<<32-1, "index")
		o := Outcome{Index: uint32(next), Fate: Fate(d.byte())}
		switch {
		case next > 1<<32-1:
			d.fail(fmt.Errorf("record %d", next))
		case o.Fate == Counted || o.Fate > TooLate:
			d.fail(fmt.Errorf("unknown fate %d", o.Fate))
		case o.Fate == Short:
			o.Charged, o.Overage = d.micros("charge"), d.micros("overage")
		}
		outcomes, next = append(outcomes, o), next+1
	}
	if d.err != nil {
		return nil, fmt.Errorf("%w: %w", errOutcomes, d.err)
	}
	return outcomes, nil
}
