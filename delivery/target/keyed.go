package target

import "math/bits"

// keyed is what the keyed plan works with. The rows that it reaches become bits,
// so that they need no sorting and the walk over blocks picks them up in order.
type keyed struct {
	request  signature // of the request; 0 before it is asked for
	reached  plane     // rows reached by their access keys; all 0 between walks
	some     []uint64  // a bit per block that reached has any in
	used     bool      // some is not all 0
	values   []reason  // of the request, whose postings are to be looked at
	postings [][]entry // theirs
	hits     []hit     // room for those of their rows that are in the partitions at hand
	touched  uint32    // of no meaning: keeps reads ahead from being left out

	long    [][]entry // the long postings of the request's values
	cursors []cursor  // over them, by walker
}

// cursor walks the part of a posting that lies in a walker's partition.
type cursor struct {
	entries []entry
	next    int // the first not looked at
}

// window is the blocks for which a walker has looked at the long postings: it
// goes on in growing steps, so that whoever wants only the best pays for few.
type window struct {
	from, to      int // words
	size          int // of the next step
	cursors       int // the walker's begin here …
	cursorsBehind int // … and end here
}

const (
	// short postings are looked at as a whole, for all walkers.
	short = 32
	// firstWindow is in words: four blocks.
	firstWindow = 4 * blockWords
	windowGrows = 4
)

// begin makes the walk ready and chooses its plan.
func (s *Scan) begin() {
	if s.keyed.used {
		s.clearReached()
	}
	s.loads, s.plan = 0, s.forced
	if s.plan != choosing {
		if s.plan == keyedPlan {
			s.startKeyed()
		}
		return
	}
	rows, broad := 0, 0
	for i := range s.walkers {
		p := &s.ix.partitions[s.walkers[i].partition]
		rows, broad = rows+p.rows, broad+p.broad
	}
	if rows > atOnceRows && broad <= rows/atOnceShare {
		s.startKeyed()
	}
}

// The keyed plan is taken at once among more rows than the first, when at most
// one in the second is broad.
const (
	atOnceRows  = 64
	atOnceShare = 64
)

// startKeyed takes the keyed plan from the walkers' places on.
func (s *Scan) startKeyed() {
	s.plan = keyedPlan
	if s.startPosted() {
		return
	}
	k, ix := &s.keyed, s.ix
	if len(k.reached) < ix.words {
		k.reached, k.some = make(plane, ix.words), make([]uint64, ix.words/blockWords/64+1)
	}
	k.used = true
	k.request = 0 // not known yet
	k.long, k.cursors, k.values = k.long[:0], k.cursors[:0], k.values[:0]
	for _, d := range ix.keyed {
		s.reachBy(d)
	}
	s.reachShort()
	for i := range s.walkers {
		s.openWindow(&s.walkers[i])
	}
}

// signature is the request's, made when a row first is compared with it: the
// postings of most requests have none in the partitions at hand.
func (s *Scan) signature() signature {
	k := &s.keyed
	if k.request == 0 {
		for i, d := range s.ix.signed {
			bit := uint32(0)
			if d != 0 {
				bit = s.resolve(s.ix.dimensions[d]).one & 7
			}
			k.request |= 1 << (bit + 8*uint32(i))
		}
	}
	return k.request
}

// reachBy goes by the request's values in one dimension.
func (s *Scan) reachBy(d *dimension) {
	if d.filter.bits != nil && len(s.walkers) == 1 && s.resolved&(1<<d.of) == 0 {
		s.reachFiltered(d)
		return
	}
	h := s.resolve(d)
	if !d.many {
		if h.one != none {
			s.noteValue(d, h.one)
		}
		return
	}
	for _, number := range h.numbers {
		s.noteValue(d, number)
	}
}

// passed is a field that the filter has let pass.
type passed struct {
	mixed uint64
	field int32 // counted from 1
}

// reachFiltered leaves the dimension unresolved: most of its values are of no use
// here, and perhaps no row asks for them. Fields and filter are read in a loop of
// their own, without a branch on what they hold, so that their cache misses overlap.
func (s *Scan) reachFiltered(d *dimension) {
	q, partition := s.query, s.walkers[0].partition
	for at, end := q.first[d.of], q.last[d.of]; at != 0 && at <= end; {
		var few [16]passed
		n := 0
		for ; at <= end && n < len(few); at++ {
			f := &q.fields[at-1]
			key := d.values.keyOf(f.text)
			mixed := d.values.mix(&key)
			few[n&15] = passed{mixed, at}
			if d.filter.has(mixed, partition) && f.dimension == d.of {
				n++
			}
		}
		for _, f := range few[:n] {
			text := q.fields[f.field-1].text
			key := d.values.keyOf(text)
			if number := d.values.search(text, &key, f.mixed); number != none {
				s.noteValue(d, number)
			}
		}
	}
	for i := range s.supply.supplied {
		if of := &s.supply.supplied[i]; of.dimension == d.of {
			for _, number := range of.has.numbers {
				s.noteValue(d, number)
			}
		}
	}
}

func (s *Scan) noteValue(d *dimension, number uint32) {
	s.keyed.values = append(s.keyed.values, reason{uint32(d.of), number})
}

// reachShort looks at the short postings of the values noted; long ones wait. It
// takes step after step for all rows together: each step reads memory that is in
// no cache, at a place that the step before it has told, and only what does not
// wait for each other is read at the same time.
func (s *Scan) reachShort() {
	k, ix := &s.keyed, s.ix
	k.postings = k.postings[:0]
	for _, by := range k.values {
		k.postings = append(k.postings, ix.dimensions[by.of].posting(by.number))
	}
	n, at := 0, s.supply.partitions&^ix.sown
	for i, entries := range k.postings {
		if len(entries) > short {
			k.long = append(k.long, entries)
			continue
		}
		if n+short > len(k.hits) {
			k.hits = append(k.hits, make([]hit, n+2*short)...)
		}
		for _, e := range entries {
			k.hits[n] = hit{entry: e, by: k.values[i]}
			n += int(at >> ix.partition[e.row()/blockRows] & 1)
		}
	}
	if n > 0 {
		s.reachHits(k.hits[:n])
	}
}

// hit is a row of a posting.
type hit struct {
	entry entry
	by    reason
}

func (s *Scan) reachHits(hits []hit) {
	request, n := s.signature(), 0
	for _, h := range hits {
		hits[n] = h
		if admits(signature(h.entry>>32), request) {
			n++
		}
	}
	hits = hits[:n]
	at, code, touched := s.ix.program.at, s.ix.program.code, uint32(0)
	for _, h := range hits {
		row := h.entry.row()
		touched += at[row] + uint32(s.mask[row>>6].Load())
	}
	for _, h := range hits {
		if from := int(at[h.entry.row()]); from < len(code) {
			touched += code[from]
		}
	}
	s.keyed.touched = touched
	for _, h := range hits {
		s.reach(h.entry.row(), h.by)
	}
}

// openWindow gathers the parts of the long postings that are in a walker's partition.
func (s *Scan) openWindow(w *walker) {
	k, p := &s.keyed, &s.ix.partitions[w.partition]
	at := max(w.word, p.from)
	w.window = window{from: at, to: at, size: firstWindow, cursors: len(k.cursors)}
	for _, entries := range k.long {
		s.openCursor(entries, p)
	}
	w.window.cursorsBehind = len(k.cursors)
	s.skipCursors(w)
}

func (s *Scan) openCursor(entries []entry, p *partition) {
	entries = entries[firstAt(entries, uint32(p.from*64)):]
	entries = entries[:firstAt(entries, uint32(p.to*64))]
	if len(entries) > 0 {
		s.keyed.cursors = append(s.keyed.cursors, cursor{entries: entries})
	}
}

// firstAt is the place of the first entry whose row is not below row.
func firstAt(entries []entry, row uint32) int {
	low, high := 0, len(entries)
	for low < high {
		if mid := (low + high) / 2; entries[mid].row() < row {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low
}

func (s *Scan) skipCursors(w *walker) {
	row := uint32(w.window.to * 64)
	for i := w.window.cursors; i < w.window.cursorsBehind; i++ {
		c := &s.keyed.cursors[i]
		c.next += firstAt(c.entries[c.next:], row)
	}
}

// skip makes a walker's window ready for a walk from its place on, which it has
// just sought.
func (s *Scan) skip(w *walker) {
	if s.plan != keyedPlan {
		return
	}
	at := w.word + blockWords
	if at >= w.window.from && at <= w.window.to {
		return
	}
	if at < w.window.from {
		for i := w.window.cursors; i < w.window.cursorsBehind; i++ {
			s.keyed.cursors[i].next = 0
		}
	}
	w.window.from, w.window.to, w.window.size = at, at, firstWindow
	s.skipCursors(w)
}

// widen looks at the long postings for the next blocks.
func (s *Scan) widen(w *walker) {
	to := min(w.window.to+w.window.size, w.end)
	w.window.to, w.window.size = to, w.window.size*windowGrows
	for i := w.window.cursors; i < w.window.cursorsBehind; i++ {
		c := &s.keyed.cursors[i]
		for ; c.next < len(c.entries); c.next++ {
			e := c.entries[c.next]
			if e.row() >= uint32(to*64) {
				break
			}
			if admits(signature(e>>32), s.signature()) {
				s.reach(e.row(), reason{})
			}
		}
	}
}

// reason is the request's value that a row was reached by; the zero one is none.
type reason struct {
	of     uint32 // dimension
	number uint32
}

// reach looks at one row, all of it, and marks it when it matches.
func (s *Scan) reach(row uint32, by reason) {
	k := &s.keyed
	if !s.mask.has(row) {
		return
	}
	if s.ix.partition[row/blockRows] == 0 && !anyHas(s.supply.shapes, row) {
		return
	}
	if !s.holdsBy(row, by) {
		return
	}
	k.reached.set(row)
	k.some[row/blockRows/64] |= 1 << (row / blockRows % 64)
}

func anyHas(planes []plane, row uint32) bool {
	for _, p := range planes {
		if p.has(row) {
			return true
		}
	}
	return false
}

// loadKeyed keeps in the block the rows that were reached, which are sure to match.
func (s *Scan) loadKeyed(w *walker) bool {
	for w.word >= w.window.to {
		s.widen(w)
	}
	w.unsure = block{}
	return and(&w.found, s.keyed.reached.at(w.word))
}

// hop is advance where no row is broad: from one block with reached rows to the next.
func (s *Scan) hop(w *walker, end int) bool {
	for ; w.word < end; w.word += blockWords {
		for w.word >= w.window.to {
			s.widen(w)
		}
		w.word = s.keyed.next(w.word, min(end, w.window.to))
		if w.word >= end {
			return false
		}
		if w.word == w.window.to {
			w.word -= blockWords // to widen
			continue
		}
		s.mask.load(&w.found, w.word)
		if s.loadKeyed(w) {
			w.step, w.bits = 0, w.found[0]
			return true
		}
	}
	return false
}

// next is where the first block from word on begins that has reached rows, end
// when there is none before it.
func (k *keyed) next(word, end int) int {
	for at := word / blockWords; at*blockWords < end; at = (at/64 + 1) * 64 {
		if set := k.some[at/64] >> (at % 64); set != 0 {
			return min((at+bits.TrailingZeros64(set))*blockWords, end)
		}
	}
	return end
}

// clearReached takes back all bits.
func (s *Scan) clearReached() {
	k := &s.keyed
	for i, set := range k.some {
		for ; set != 0; set &= set - 1 {
			word := (i*64 + bits.TrailingZeros64(set)) * blockWords
			*k.reached.at(word) = block{}
		}
		k.some[i] = 0
	}
	k.used = false
}

// forget makes the scan ready for another index.
func (s *Scan) forget() {
	for d := range s.has {
		s.has[d].clear()
	}
	if s.keyed.used {
		s.clearReached()
	}
}
