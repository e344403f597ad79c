package target

import (
	"github.com/hayate-ads/hayate/internal/rule"
)

// dimension is what the index knows of one dimension that rules ask for.
type dimension struct {
	of     rule.Dimension
	many   bool
	kind   rule.Kind
	values dictionary

	// digests are ten bits of each value's hash, where a look into the dictionary
	// would cost more than to compute the same of a request's texts: see [Scan.maybe].
	digests []uint16

	circles  []rule.Circle   // of [rule.Near], by number
	versions []rule.Versions // of the dimensions of versions, by number

	// With few values there is a plane for each, and one more, the first, for
	// requests that have none of them: the rows whose terms are satisfied then.
	planes []plane

	// With an access key of rows among its terms, the rows by value.
	start   []uint32 // of each value in entries, and one more
	entries []entry
	filter  filter // of a dimension of many values that are not expanded
}

func (d *dimension) plane(number uint32) plane { return d.planes[number+1] } // none is 0

// entry is a row that has a value as its access key, and above that its
// signature: a first sieve that costs no look at the row itself.
type entry uint64

func (e entry) row() uint32 { return uint32(e) }

// A signature has a byte for each of the index's signed dimensions. A row's says
// which values it admits, modulo 8; a request's, which one it has. Where they
// have no bit in common in some byte, they do not match.
type signature = uint32

const anyValue = 0xff

// admits tells whether a row's signature has all bits of a request's, which has
// one in each byte.
func admits(row, request signature) bool { return row&request == request }

// parse makes the shapes of a computed dimension. What cannot be read contains
// nothing.
func (d *dimension) parse() {
	switch d.of {
	case rule.Near:
		d.circles = make([]rule.Circle, len(d.values.texts))
		for i, text := range d.values.texts {
			if circle, err := rule.ParseCircle(text); err == nil {
				d.circles[i] = circle
			}
		}
	case rule.OSVersion, rule.BrowserVersion:
		d.versions = make([]rule.Versions, len(d.values.texts))
		for i, text := range d.values.texts {
			if versions, err := rule.ParseVersions(text); err == nil {
				d.versions[i] = versions
			}
		}
	}
}

// digestible is how many values make a dimension's dictionary too large for the
// caches close to the processor.
const digestible = 4096

func digestOf(mixed uint64) uint16 { return uint16(mixed>>20) % sketchBits }

// digest makes the digests of a dimension of which requests bring many values.
func (d *dimension) digest() {
	if !d.many || d.kind != rule.Exact || len(d.values.texts) < digestible {
		return
	}
	d.digests = make([]uint16, len(d.values.texts))
	for number, text := range d.values.texts {
		key := d.values.key([]byte(text))
		d.digests[number] = digestOf(d.values.mix(&key))
	}
}

func (d *dimension) posting(number uint32) []entry {
	return d.entries[d.start[number]:d.start[number+1]]
}

// effort ranks the dimensions by what it takes to find a request's values: the
// terms of a row are checked in this order, so that the dear ones are often not
// needed.
func effort(d rule.Dimension) int {
	switch d {
	case rule.Size, rule.Format, rule.Deal, rule.OSVersion, rule.BrowserVersion:
		return 1
	case rule.Keyword, rule.Domain, rule.Near:
		return 2
	case rule.Category, rule.URLPrefix:
		return 3
	case rule.Segment:
		return 4
	}
	return 0
}
