package visitor

import (
	"bytes"
	"time"
)

// Where the fields of a TC string's core stand, in bits (IAB Europe,
// "Consent string and vendor list formats v2", The Core String).
const (
	tcfUpdated         = 42  // 36 bits, tenths of a second since 1970
	tcfSpecialFeatures = 140 // 12 bits
	tcfPurposes        = 152 // 24 bits
	tcfVendors         = 213 // consents, then legitimate interests, then restrictions
)

// tcfDisclosed is since when a TC string has to name the vendors that the
// visitor was shown (TCF 2.3), in tenths of a second.
var tcfDisclosed = uint64(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC).Unix()) * 10

// readTCF says what a TC string of version 2 allows vendor; 0 is a server that
// is no registered vendor and works on the publisher's behalf: then only the
// purposes count.
//
// An id or a segment needs purposes 1 (store and access) and 4 (select
// personalised ads), both by consent: since TCF 2.2 there is no legitimate
// interest in either. Precise location needs special feature 1. False stands
// also for a string that cannot be read to its end.
func readTCF(text []byte, vendor uint64) (g Grant) {
	core, rest, _ := bytes.Cut(text, []byte{'.'})
	b := bitsOf(core)
	if b.int(6) != 2 {
		return Grant{}
	}
	b.skip(tcfUpdated - b.at)
	updated := b.int(36)
	b.skip(tcfSpecialFeatures - b.at)
	precise := b.int(12)>>11 == 1
	purposes := b.int(24)
	b.skip(tcfVendors - b.at)
	allowed := b.vendors(vendor)
	b.vendors(vendor) // legitimate interests, which we have no use for
	restricted := b.restricted(vendor)
	disclosed, known := readSegments(rest, vendor)
	switch {
	case b.bad || !known:
		return Grant{}
	case disclosed == absent && updated >= tcfDisclosed, disclosed == refused:
		return Grant{}
	case vendor != 0 && !allowed:
		return Grant{}
	}
	const one, four = 1 << 23, 1 << 20 // purpose 1 is the leftmost of 24 bits
	g.Personal = purposes&one != 0 && purposes&four != 0 && !restricted
	g.Precise = precise
	return g
}

// disclosure is what a TC string says of the vendors that the visitor was shown.
type disclosure uint8

const (
	absent   disclosure = iota // nothing
	refused                    // ours is not among them
	included                   // ours is, or we are none
)

// readSegments reads what follows the core: at most one of each kind.
func readSegments(rest []byte, vendor uint64) (disclosed disclosure, ok bool) {
	for n := 0; len(rest) > 0; n++ {
		var segment []byte
		segment, rest, _ = bytes.Cut(rest, []byte{'.'})
		b := bitsOf(segment)
		switch b.int(3) {
		case 1: // disclosed vendors
			disclosed = refused
			if b.vendors(vendor) || vendor == 0 {
				disclosed = included
			}
		case 2: // allowed vendors, of strings that are valid for all sites
			b.vendors(vendor)
		case 3: // the publisher's own purposes
			b.skip(24 + 24)
		default:
			b.bad = true
		}
		if b.bad || n == 3 {
			return absent, false
		}
	}
	return disclosed, true
}

// vendors reads a list of vendors, a bit field or ranges, and tells whether
// vendor is in it.
func (b *bits) vendors(vendor uint64) (found bool) {
	most := b.int(16)
	if b.flag() {
		return b.ranges(vendor)
	}
	if vendor >= 1 && vendor <= most {
		b.skip(int(vendor) - 1)
		found = b.flag()
		b.skip(int(most - vendor))
		return found
	}
	b.skip(int(most))
	return false
}

// ranges reads at most 4,095 ids and ranges of them.
func (b *bits) ranges(vendor uint64) (found bool) {
	for n := b.int(12); n > 0 && !b.bad; n-- {
		isRange, from := b.flag(), b.int(16)
		to := from
		if isRange {
			to = b.int(16)
		}
		if from == 0 || to < from {
			b.bad = true
		}
		found = found || from <= vendor && vendor <= to
	}
	return found
}

// restricted reads the publisher's restrictions and tells whether one forbids
// vendor purpose 1 or 4: not allowed at all, or by legitimate interest only.
func (b *bits) restricted(vendor uint64) (forbidden bool) {
	for n := b.int(12); n > 0 && !b.bad; n-- {
		purpose, kind := b.int(6), b.int(2)
		hit := b.ranges(vendor)
		if hit && vendor != 0 && (purpose == 1 || purpose == 4) && kind != 1 {
			forbidden = true
		}
	}
	return forbidden
}

// readCanada says what a string of the Canadian TCF allows (GPP section 5):
// there a consent may be implied, but for precise location it is express.
func readCanada(text []byte) (g Grant) {
	core, _, _ := bytes.Cut(text, []byte{'.'})
	b := bitsOf(core)
	if b.int(6) != 1 {
		return Grant{}
	}
	b.skip(139 - b.at)
	precise := b.int(12)>>11 == 1
	express := b.int(24)
	implied := b.int(24)
	purposes := express | implied
	if b.bad {
		return Grant{}
	}
	const one, four = 1 << 23, 1 << 20
	return Grant{Personal: purposes&one != 0 && purposes&four != 0, Precise: precise}
}
