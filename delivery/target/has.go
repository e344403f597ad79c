package target

import (
	"slices"

	"github.com/hayate-ads/hayate/internal/rule"
)

// has is what a request has in one dimension, as far as rules name it.
type has struct {
	one      uint32   // of a dimension in which that is one value at most: its number
	numbers  []uint32 // of any other: all of them
	points   []rule.Point
	versions []rule.Version
	bits     []uint64 // numbers as a bitmap, so that a term's values are looked up in no time
	sketch   sketch   // of a dimension with digests, when sketched
}

// sketch is a set of digests.
type sketch [sketchBits / 64]uint64

const sketchBits = 1024

// add takes one value; expansions is room for what it expands to.
func (h *has) add(d *dimension, text []byte, expansions [][]byte) [][]byte {
	switch {
	case d.of == rule.Near:
		if p, ok := rule.ParsePoint(text); ok {
			h.points = append(h.points, p)
		}
	case d.kind == rule.Computed:
		if v, ok := rule.ParseVersion(text); ok {
			h.versions = append(h.versions, v)
		}
	case !d.many:
		h.one = d.values.find(text)
	case d.kind == rule.Exact:
		if number := d.values.find(text); number != none {
			h.numbers = append(h.numbers, number)
		}
	default:
		expansions = rule.AppendExpansions(expansions[:0], d.of, text)
		for _, text := range expansions {
			if number := d.values.find(text); number != none {
				h.numbers = append(h.numbers, number)
			}
		}
	}
	return expansions
}

// join takes what other has, too.
func (h *has) join(other *has) {
	h.numbers = append(h.numbers, other.numbers...)
	h.points = append(h.points, other.points...)
	h.versions = append(h.versions, other.versions...)
}

// clear forgets everything but the room.
func (h *has) clear() {
	for _, number := range h.numbers {
		h.bits[number>>6] = 0
	}
	h.one, h.numbers, h.points, h.versions = none, h.numbers[:0], h.points[:0], h.versions[:0]
}

// spread makes the bitmap.
func (h *has) spread(values int) {
	if words := values/64 + 1; len(h.bits) < words {
		h.bits = slices.Grow(h.bits, words-len(h.bits))[:words]
	}
	for _, number := range h.numbers {
		h.bits[number>>6] |= 1 << (number & 63)
	}
}

// wide is how many values make a term worth a binary search.
const wide = 32

// oneOf tells whether the request has one of a term's values, ascending numbers.
func (h *has) oneOf(d *dimension, values []uint32) bool {
	switch {
	case d.kind == rule.Computed:
		return h.within(d, values)
	case len(values) > wide:
		return h.oneOfMany(d, values)
	case !d.many:
		for _, number := range values {
			if number == h.one {
				return true
			}
		}
	default:
		for _, number := range values {
			if h.bits[number>>6]&(1<<(number&63)) != 0 {
				return true
			}
		}
	}
	return false
}

func (h *has) oneOfMany(d *dimension, values []uint32) bool {
	if !d.many {
		_, found := slices.BinarySearch(values, h.one)
		return found
	}
	for _, number := range h.numbers {
		if _, found := slices.BinarySearch(values, number); found {
			return true
		}
	}
	return false
}

// within tells whether a point of the request lies in one of a term's shapes.
func (h *has) within(d *dimension, values []uint32) bool {
	for _, number := range values {
		if d.of == rule.Near {
			for _, p := range h.points {
				if d.circles[number].Contains(p) {
					return true
				}
			}
			continue
		}
		for _, v := range h.versions {
			if d.versions[number].Contains(v) {
				return true
			}
		}
	}
	return false
}

// resolve is what the request has in d, from the query and the supply: looked up
// when a row first asks for it.
func (s *Scan) resolve(d *dimension) *has {
	h := &s.has[d.of]
	if s.resolved&(1<<d.of) == 0 {
		s.lookUp(d, h)
	}
	return h
}

func (s *Scan) lookUp(d *dimension, h *has) {
	s.resolved |= 1 << d.of
	if !d.many && d.kind == rule.Exact {
		h.one = s.findOne(d)
		return
	}
	h.clear()
	if s.supply.has&(1<<d.of) == 0 || d.many {
		q := s.query
		for i := q.first[d.of]; i != 0; {
			f := &q.fields[i-1]
			s.expansions = h.add(d, f.text, s.expansions)
			if i = f.next; !d.many {
				break
			}
		}
	}
	if s.supply.has&(1<<d.of) != 0 {
		for i := range s.supply.supplied {
			if of := &s.supply.supplied[i]; of.dimension == d.of {
				h.join(&of.has)
				h.one = of.has.one
			}
		}
	}
	if d.many && d.kind != rule.Computed {
		h.spread(len(d.values.texts))
	}
}

// findOne is the number of what the request has in a dimension of one value.
func (s *Scan) findOne(d *dimension) uint32 {
	if s.supply.has&(1<<d.of) != 0 {
		for i := range s.supply.supplied {
			if of := &s.supply.supplied[i]; of.dimension == d.of {
				return of.has.one
			}
		}
		return none
	}
	q := s.query
	if i := q.first[d.of]; i != 0 {
		return d.values.findOf(q.fields[i-1].text)
	}
	return none
}

// oneOf tells whether the request has one of a term's values.
func (s *Scan) oneOf(d *dimension, values []uint32) bool {
	if d.digests != nil && s.resolved&(1<<d.of) == 0 && !s.maybe(d, values) {
		return false
	}
	return s.resolve(d).oneOf(d, values)
}

// maybe is false when the request has none of a term's values for certain, which
// it tells without a look at the dictionary: a set of the hashes of what the
// request has holds none of the values' hashes. Of a term on segments that is
// almost always all that needs to be known.
func (s *Scan) maybe(d *dimension, values []uint32) bool {
	h := &s.has[d.of]
	if s.sketched&(1<<d.of) == 0 {
		s.sketch(d, h)
	}
	for _, number := range values {
		if digest := d.digests[number]; h.sketch[digest/64]>>(digest%64)&1 != 0 {
			return true
		}
	}
	return false
}

func (s *Scan) sketch(d *dimension, h *has) {
	s.sketched |= 1 << d.of
	h.sketch = sketch{}
	q := s.query
	for i := q.first[d.of]; i != 0; {
		f := &q.fields[i-1]
		key := d.values.key(f.text)
		digest := digestOf(d.values.mix(&key))
		h.sketch[digest/64] |= 1 << (digest % 64)
		i = f.next
	}
	for i := range s.supply.supplied {
		if of := &s.supply.supplied[i]; of.dimension == d.of {
			for _, number := range of.has.numbers {
				digest := d.digests[number]
				h.sketch[digest/64] |= 1 << (digest % 64)
			}
		}
	}
}

// holds tells whether the request satisfies the terms. Those on the hour are not
// looked at: planes answer them.
func (s *Scan) holds(code terms) bool {
	for len(code) > 0 {
		head := code[0]
		end := 1 + head>>headCountShift
		if of := rule.Dimension(head & headDimension); of != rule.HourOfWeek {
			d := s.ix.dimensions[of]
			if s.oneOf(d, code[1:end]) == (head&headExclude != 0) {
				return false
			}
		}
		code = code[end:]
	}
	return true
}

// holdsBy tells whether the request satisfies all terms of a row that was reached.
// The term that is satisfied by what it was reached by is passed over: else all
// that the request has would be looked up.
func (s *Scan) holdsBy(row uint32, by reason) bool {
	code := s.ix.program.all(row)
	for len(code) > 0 {
		head := code[0]
		end := 1 + head>>headCountShift
		values, of := code[1:end], rule.Dimension(head&headDimension)
		code = code[end:]
		switch {
		case of == rule.HourOfWeek:
			if open := s.open(); open != nil && !open.has(row) {
				return false
			}
		case head&(headDimension|headExclude) == by.of && slices.Contains(values, by.number):
		case s.oneOf(s.ix.dimensions[of], values) == (head&headExclude != 0):
			return false
		}
	}
	return true
}

// open is the rows whose hour-of-week terms are satisfied; nil: all.
func (s *Scan) open() plane {
	if s.query.Hours != nil {
		return s.query.Hours.open
	}
	return s.ix.hours.unknown
}
