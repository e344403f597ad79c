package target

import (
	"cmp"
	"math"
	"slices"

	"github.com/hayate-ads/hayate/internal/rule"
)

// An access key is an including term of a row by one of whose values the row is
// reached when a walk over all rows would be a waste. Every row has one at most;
// a row without is broad, and only a walk finds it.

// lookups is how many values a request may bring in a dimension, roughly: what
// makes a dimension dear to reach rows by.
func lookups(d rule.Dimension) float64 {
	switch {
	case d == rule.Segment:
		return 16
	case d == rule.Category || d == rule.Domain || d == rule.URLPrefix:
		return 8
	case d.Many():
		return 4
	}
	return 1
}

// chooseKeys orders the dimensions that rows may be reached by. A request looks
// its values up in all that are needed, so few are best: each time the one is
// taken that covers the most rows not covered yet, weighed by how few of its rows
// a request would meet.
func (b *builder) chooseKeys() {
	ix := b.ix
	var open []rule.Dimension
	for _, d := range ix.dimensions {
		if d != nil && d.planes == nil && d.kind != rule.Computed && b.asked[d.of].rows > 0 {
			open = append(open, d.of)
		}
	}
	covers := b.coverage(open)
	for len(open) > 0 {
		best := slices.MaxFunc(open, func(x, y rule.Dimension) int { return cmp.Compare(b.gain(x, covers), b.gain(y, covers)) })
		if b.gain(best, covers) <= 0 {
			return
		}
		b.choice = append(b.choice, best)
		open = slices.DeleteFunc(open, func(d rule.Dimension) bool { return d == best })
		for set := range covers {
			if set&(1<<best) != 0 {
				delete(covers, set)
			}
		}
	}
}

// coverage counts the rows by the set of open dimensions that they include.
func (b *builder) coverage(open []rule.Dimension) map[uint64]int {
	among := uint64(0)
	for _, d := range open {
		among |= 1 << d
	}
	covers := make(map[uint64]int)
	for i := range b.items {
		for conjunction := range b.items[i].Rule.Conjunctions() {
			set := uint64(0)
			for t := range conjunction.Terms() {
				if !t.Exclude {
					set |= 1 << t.Dimension
				}
			}
			covers[set&among]++
		}
	}
	delete(covers, 0)
	return covers
}

// gain is the rows that d would cover, times the bits that it narrows them by.
func (b *builder) gain(d rule.Dimension, covers map[uint64]int) float64 {
	rows := 0
	for set, n := range covers {
		if set&(1<<d) != 0 {
			rows += n
		}
	}
	a := &b.asked[d]
	met := lookups(d) * float64(a.values) / float64(a.rows) / float64(len(b.ix.dimensions[d].values.texts))
	return float64(rows) * -math.Log2(min(met, 1))
}

// chooseKey picks the access key of a row, of terms that planes do not answer.
func (b *builder) chooseKey(row uint32, rest []rule.PackedTerm) {
	for _, d := range b.choice {
		if slices.ContainsFunc(rest, func(t rule.PackedTerm) bool { return t.Dimension == d && !t.Exclude }) {
			b.keyOf[row] = uint8(d)
			return
		}
	}
	b.broad.set(row)
}

// key is the values of a row's access key: of several terms the one that has the
// fewest.
func (b *builder) key(row uint32) []uint32 {
	var key []uint32
	for t := range b.ix.program.sparse(row).terms() {
		if t.dimension() == rule.Dimension(b.keyOf[row]) && !t.exclude() && (key == nil || len(t.values) < len(key)) {
			key = t.values
		}
	}
	return key
}

// post makes the postings: counted, then filled, value by value.
func (b *builder) post() {
	ix := b.ix
	for _, d := range b.choice {
		ix.dimensions[d].start = make([]uint32, len(ix.dimensions[d].values.texts)+2)
		ix.keyed = append(ix.keyed, ix.dimensions[d])
	}
	for row, d := range b.keyOf {
		if d != 0 {
			for _, number := range b.key(uint32(row)) {
				ix.dimensions[d].start[number+2]++
			}
		}
	}
	for _, d := range ix.keyed {
		for i := 2; i < len(d.start); i++ {
			d.start[i] += d.start[i-1]
		}
		d.entries = make([]entry, d.start[len(d.start)-1])
	}
	for row, of := range b.keyOf {
		if of == 0 {
			continue
		}
		d := ix.dimensions[of]
		e := entry(row) | entry(ix.signature(uint32(row)))<<32
		for _, number := range b.key(uint32(row)) {
			d.entries[d.start[number+1]] = e // counts up until it is the end
			d.start[number+1]++
		}
	}
	for _, d := range ix.keyed {
		if d.many && d.kind == rule.Exact {
			ix.sieve(d)
		}
	}
}

// sieve makes a dimension's filter.
func (ix *Index) sieve(d *dimension) {
	d.filter = newFilter(len(d.entries))
	for number, text := range d.values.texts {
		key := d.values.key([]byte(text))
		mixed := d.values.mix(&key)
		for _, e := range d.posting(uint32(number)) {
			d.filter.add(mixed, int(ix.partition[e.row()/blockRows]))
		}
	}
}

// signature is what a row admits.
func (ix *Index) signature(row uint32) signature {
	admitted := ^signature(0)
	for t := range ix.program.dense(row).terms() {
		for i, d := range ix.signed {
			if t.dimension() == d && !t.exclude() {
				admitted &^= anyValue << (8 * i)
				for _, number := range t.values {
					admitted |= 1 << (number&7 + 8*uint32(i))
				}
			}
		}
	}
	return admitted
}
