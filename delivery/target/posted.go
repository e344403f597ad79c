package target

import (
	"math/bits"
	"slices"

	"github.com/hayate-ads/hayate/internal/rule"
)

// posted answers the terms on one dimension of many values for all rows of a
// partition at once, where a walk is to go through most of it: each of the
// request's values has a list of the rows that insist on it and one of the rows
// that refuse it, and setting a bit for each of those is far cheaper than a look
// into the program of every row that the planes leave over.
type posted struct {
	d     *dimension
	free  plane // rows that insist on no value
	plus  lists // rows that insist on a value
	minus lists // rows that refuse it

	filter filter // of partitions and values that lists have rows of; none where a value is cheap to look up
}

// lists are rows by value, ascending.
type lists struct {
	start []uint32 // of each value in rows, and one more
	rows  []uint32
}

func (l *lists) of(number uint32) []uint32 { return l.rows[l.start[number]:l.start[number+1]] }

// A dimension that fewer rows than one in postedShare ask for is not posted: its
// block would be looked at for every row, and the few that ask can be checked.
const postedShare = 128

// postTerms makes the lists, over the partitions that have broad rows: in the
// others access keys reach all there is.
func (b *builder) postTerms() {
	ix := b.ix
	asking, rows := b.askingRows()
	if rows == 0 {
		return
	}
	var of [dimensions]*posted
	for d, n := range asking {
		if n > rows/postedShare {
			of[d] = newPosted(ix.dimensions[d], ix.words)
			ix.posted = append(ix.posted, of[d])
		}
	}
	ix.complex = make(plane, ix.words)
	b.eachPosted(func(row uint32) {
		ix.eachSimple(row, &of, func(p *posted, t term) {
			l := &p.plus
			if t.exclude() {
				l = &p.minus
			} else {
				p.free.clear(row)
			}
			for _, number := range t.values {
				l.start[number+2]++
			}
		})
	})
	for _, p := range ix.posted {
		p.plus.lay()
		p.minus.lay()
	}
	b.eachPosted(func(row uint32) {
		ix.eachSimple(row, &of, func(p *posted, t term) {
			l := &p.plus
			if t.exclude() {
				l = &p.minus
			}
			for _, number := range t.values {
				l.rows[l.start[number+1]] = row // counts up until it is the end
				l.start[number+1]++
			}
		})
	})
	for _, p := range ix.posted {
		if p.d.digests != nil {
			p.sieve(ix)
		}
	}
}

// sieve makes the filter. A request brings dozens of segments, of which in one
// partition few have a row.
func (p *posted) sieve(ix *Index) {
	p.filter = newFilter(len(p.plus.rows) + len(p.minus.rows))
	for number, text := range p.d.values.texts {
		key := p.d.values.key([]byte(text))
		mixed := p.d.values.mix(&key)
		for _, l := range []*lists{&p.plus, &p.minus} {
			for _, row := range l.of(uint32(number)) {
				p.filter.add(mixed, int(ix.partition[row/blockRows]))
			}
		}
	}
}

func newPosted(d *dimension, words int) *posted {
	p := &posted{d: d, free: make(plane, words)}
	for i := range p.free {
		p.free[i] = ^uint64(0)
	}
	n := len(d.values.texts) + 2
	p.plus.start, p.minus.start = make([]uint32, n), make([]uint32, n)
	return p
}

// lay turns counts into places.
func (l *lists) lay() {
	for i := 2; i < len(l.start); i++ {
		l.start[i] += l.start[i-1]
	}
	l.rows = make([]uint32, l.start[len(l.start)-1])
}

// eachPosted goes through the rows of the partitions that have broad rows.
func (b *builder) eachPosted(do func(row uint32)) {
	for i := range b.ix.partitions {
		p := &b.ix.partitions[i]
		if p.broad == 0 {
			continue
		}
		for row := p.from * 64; row < p.from*64+p.rows; row++ {
			do(uint32(row))
		}
	}
}

// askingRows counts the rows by the dimensions that could be posted, and all.
func (b *builder) askingRows() (asking [dimensions]int, rows int) {
	b.eachPosted(func(row uint32) {
		rows++
		for t := range b.ix.program.sparse(row).terms() {
			if b.ix.dimensions[t.dimension()].kind != rule.Computed {
				asking[t.dimension()]++
			}
		}
	})
	return asking, rows
}

// eachSimple goes through a row's terms that lists can answer: the only ones on
// their dimension. Rows with any other are complex.
func (ix *Index) eachSimple(row uint32, of *[dimensions]*posted, do func(*posted, term)) {
	code := ix.program.sparse(row)
	once, twice := uint64(0), uint64(0)
	for t := range code.terms() {
		bit := uint64(1) << t.dimension()
		twice |= once & bit
		once |= bit
	}
	for t := range code.terms() {
		if p := of[t.dimension()]; p != nil && twice>>t.dimension()&1 == 0 {
			do(p, t)
		} else {
			ix.complex.set(row)
		}
	}
}

// met is what the lists say of a request, for the partitions of its walk.
type met struct {
	planes []plane // by posted dimension: rows that insist on a value at hand
	barred plane   // rows that refuse one, in any dimension
}

// startPosted readies the walkers whose partitions lists answer, and tells
// whether those are all.
func (s *Scan) startPosted() bool {
	all := true
	for i := range s.walkers {
		p := &s.ix.partitions[s.walkers[i].partition]
		if p.broad == 0 {
			all = false
			continue
		}
		s.meet(p, s.walkers[i].partition)
	}
	return all
}

// meet sets the bits of one partition's rows.
func (s *Scan) meet(p *partition, partition int) {
	ix, m := s.ix, &s.met
	if len(m.barred) < ix.words || len(m.planes) < len(ix.posted) {
		m.barred, m.planes = make(plane, ix.words), make([]plane, len(ix.posted))
		for i := range m.planes {
			m.planes[i] = make(plane, ix.words)
		}
	}
	clear(m.barred[p.from:p.to])
	from, to := uint32(p.from*64), uint32(p.to*64)
	for i, of := range ix.posted {
		clear(m.planes[i][p.from:p.to])
		if of.filter.bits != nil && s.resolved&(1<<of.d.of) == 0 {
			s.meetFiltered(of, m.planes[i], p, partition)
			continue
		}
		h := s.resolve(of.d)
		if !of.d.many {
			if h.one != none {
				mark(m.planes[i], of.plus.of(h.one), from, to)
				mark(m.barred, of.minus.of(h.one), from, to)
			}
			continue
		}
		for _, number := range h.numbers {
			mark(m.planes[i], of.plus.of(number), from, to)
			mark(m.barred, of.minus.of(number), from, to)
		}
	}
}

// meetFiltered leaves the dimension unresolved, and looks up only what has rows.
func (s *Scan) meetFiltered(of *posted, met plane, p *partition, partition int) {
	q, d := s.query, of.d
	from, to := uint32(p.from*64), uint32(p.to*64)
	for i := q.first[d.of]; i != 0; {
		f := &q.fields[i-1]
		text := f.text
		key := d.values.key(text)
		if mixed := d.values.mix(&key); of.filter.has(mixed, partition) {
			if number := d.values.search(text, &key, mixed); number != none {
				mark(met, of.plus.of(number), from, to)
				mark(s.met.barred, of.minus.of(number), from, to)
			}
		}
		i = f.next
	}
	for i := range s.supply.supplied {
		if has := &s.supply.supplied[i]; has.dimension == d.of {
			for _, number := range has.has.numbers {
				mark(met, of.plus.of(number), from, to)
				mark(s.met.barred, of.minus.of(number), from, to)
			}
		}
	}
}

// mark sets the bits of the rows [from, to) of a list.
func mark(p plane, rows []uint32, from, to uint32) {
	if len(rows) > 0 && rows[0] < from {
		rows = rows[firstOf(rows, from):]
	}
	for _, row := range rows {
		if row >= to {
			return
		}
		p.set(row)
	}
}

// loadPosted computes a block of a partition that lists answer; of the mask it
// holds the block already.
func (s *Scan) loadPosted(w *walker) bool {
	if !s.loadDense(w, w.word) {
		return false
	}
	for i, of := range s.ix.posted {
		if !intersectEither(&w.found, of.free.at(w.word), s.met.planes[i].at(w.word)) {
			return false
		}
	}
	barred, complex := s.met.barred.at(w.word), s.ix.complex.at(w.word)
	some := uint64(0)
	for i := range w.found {
		w.found[i] &^= barred[i]
		w.unsure[i] = w.found[i] & complex[i]
		some |= w.found[i]
	}
	return some != 0
}

// intersectEither keeps in b what x or y holds, and tells whether that is anything.
func intersectEither(b, x, y *block) bool {
	b0, b1, b2, b3 := b[0]&(x[0]|y[0]), b[1]&(x[1]|y[1]), b[2]&(x[2]|y[2]), b[3]&(x[3]|y[3])
	b4, b5, b6, b7 := b[4]&(x[4]|y[4]), b[5]&(x[5]|y[5]), b[6]&(x[6]|y[6]), b[7]&(x[7]|y[7])
	b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7] = b0, b1, b2, b3, b4, b5, b6, b7
	return b0|b1|b2|b3|b4|b5|b6|b7 != 0
}

// AppendItems appends the items of all rows that match from here on, in rank
// order; an item stands there once for each of its rows that does. Whoever wants
// them all is served faster than by Next, which has to expect that each was the
// last.
func (s *Scan) AppendItems(dst []uint32) []uint32 {
	if len(s.walkers) != 1 {
		for row := s.Next(); row >= 0; row = s.Next() {
			dst = append(dst, s.ix.item[row])
		}
		return dst
	}
	w := &s.walkers[0]
	if s.plan == choosing && w.word+2*blockWords < w.end {
		s.startKeyed()
	}
	for {
		dst = s.appendBlock(w, dst)
		if !s.advance(w, w.end) {
			return dst
		}
	}
}

// appendBlock appends what is left of the block at hand. There is room for all of
// it before the first, and words are cut off whole, so that an item costs a
// nanosecond.
func (s *Scan) appendBlock(w *walker, dst []uint32) []uint32 {
	n := len(dst)
	dst = slices.Grow(dst, blockRows)[:n+blockRows]
	set := w.bits
	for step := w.step; step < blockWords; {
		row := (w.word + step) * 64
		if unsure := set & w.unsure[step]; unsure != 0 {
			set &^= s.failing(uint32(row), unsure)
		}
		items := (*[64]uint32)(s.ix.item[row : row+64])
		for ; set != 0; set &= set - 1 {
			dst[n] = items[bits.TrailingZeros64(set)&63]
			n++
		}
		if step++; step < blockWords {
			set = w.found[step]
		}
	}
	w.step, w.bits = blockWords, 0
	return dst[:n]
}

// failing is those among 64 rows' bits whose rows do not match after all.
func (s *Scan) failing(row uint32, unsure uint64) (failing uint64) {
	for ; unsure != 0; unsure &= unsure - 1 {
		bit := uint32(bits.TrailingZeros64(unsure))
		if !s.holds(s.ix.program.sparse(row + bit)) {
			failing |= 1 << bit
		}
	}
	return failing
}
