package target

import (
	"math/bits"

	"github.com/hayate-ads/hayate/internal/rule"
)

// Scan is one goroutine's walk over an index: kept, reused, never copied.
// [Scan.Prepare] takes the query, [Scan.Start] begins a walk for one placement,
// [Scan.Next] steps. Nothing of it allocates once its buffers have grown.
//
// A walk has two plans. The plain one goes over all rows of the partitions at
// hand: the best when many rows match, since the first block has a match then,
// and the caller mostly wants no more. The keyed one takes over when the first
// blocks were not enough, or at once when there are hardly any broad rows, which
// are those without an access key. In a partition without any it goes from one row
// that is reached by its key to the next; in the others it still goes over all
// blocks, but lists answer what would have to be checked row by row: see [posted].
type Scan struct {
	ix         *Index
	query      *Query
	supply     *Supply
	mask       Mask
	has        [dimensions]has
	resolved   uint64  // dimensions whose has is true
	sketched   uint64  // dimensions whose has is sketched
	planes     []plane // of the request, once a block is looked at: a row that one of them lacks does not match
	expansions [][]byte

	walkers []walker
	loads   int // blocks looked at in the plain plan
	plan    plan
	forced  plan // what tests ask for
	keyed   keyed
	met     met
}

// plan is how a walk finds its rows.
type plan uint8

const (
	choosing  plan = iota // plain until it takes too long
	plainPlan             // whatever it takes
	keyedPlan
)

// walker is the walk over one partition.
type walker struct {
	partition int
	word, end int    // where the block at hand begins; where the partition ends
	step      int    // the word of the block that bits is of
	bits      uint64 // of it, not yet looked at
	rank      uint32 // item of the next candidate, or a bound of it
	found     block  // candidates
	unsure    block  // those among them whose terms have to be checked
	window    window // of the keyed plan
}

// Prepare takes q to look rows of ix up by; q must stay unchanged until the last Next.
func (s *Scan) Prepare(ix *Index, q *Query) {
	if s.ix != ix {
		s.forget()
	}
	s.ix, s.query, s.supply, s.resolved, s.sketched = ix, q, nil, 0, 0
}

// Start begins a walk over the rows of mask that match the query on supply.
func (s *Scan) Start(supply *Supply, mask Mask) {
	if s.supply != nil {
		s.resolved &^= s.supply.has
		s.sketched &^= s.supply.has
	}
	s.resolved &^= supply.has
	s.sketched &^= supply.has
	s.supply, s.mask = supply, mask
	s.planes, s.walkers = s.planes[:0], s.walkers[:0]
	for set := supply.partitions; set != 0; set &= set - 1 {
		s.addWalker(bits.TrailingZeros32(set))
	}
	s.begin()
}

func (s *Scan) addWalker(partition int) {
	if len(s.walkers) < cap(s.walkers) {
		s.walkers = s.walkers[:len(s.walkers)+1] // its blocks need not be cleared
	} else {
		s.walkers = append(s.walkers, walker{})
	}
	p := &s.ix.partitions[partition]
	w := &s.walkers[len(s.walkers)-1]
	w.partition, w.end = partition, p.to
	w.place(s.ix, uint32(p.from*64))
}

// place lets the walker go on at row, which is in its partition or at its end.
func (w *walker) place(ix *Index, row uint32) {
	w.word = int(row)/blockRows*blockWords - blockWords
	w.step, w.bits = blockWords, 0
	w.rank = none
	if w.word+blockWords < w.end {
		w.rank = ix.item[row]
	}
}

// Next returns the next matching row in rank order, -1 after the last.
func (s *Scan) Next() int {
	if len(s.walkers) != 1 {
		return s.nextOfAll()
	}
	w := &s.walkers[0]
	for {
		for w.bits == 0 {
			if w.step++; w.step < blockWords {
				w.bits = w.found[w.step]
				continue
			}
			if !s.advance(w, w.end) {
				return -1
			}
		}
		if row := w.take(s); row >= 0 {
			return row
		}
	}
}

// take returns the next candidate when it matches, else -1.
func (w *walker) take(s *Scan) int {
	bit := bits.TrailingZeros64(w.bits)
	w.bits &= w.bits - 1
	row := (w.word+w.step)*64 + bit
	if w.unsure[w.step]>>bit&1 != 0 && !s.holds(s.ix.program.sparse(uint32(row))) {
		return -1
	}
	return row
}

// nextOfAll takes the candidate of the best rank among all walkers. None of them
// looks further ahead than it must for that.
func (s *Scan) nextOfAll() int {
	for {
		var best *walker
		rank := uint32(none)
		for i := range s.walkers {
			if w := &s.walkers[i]; w.rank < rank {
				best, rank = w, w.rank
			}
		}
		if best == nil {
			return -1
		}
		if best.bits == 0 {
			s.toCandidate(best)
			continue
		}
		row := best.take(s)
		if best.bits != 0 {
			best.rank = s.ix.item[(best.word+best.step)*64+bits.TrailingZeros64(best.bits)]
		}
		if row >= 0 {
			return row
		}
	}
}

// toCandidate moves a walker to its next candidate, but not far.
func (s *Scan) toCandidate(w *walker) {
	for w.bits == 0 {
		if w.step++; w.step < blockWords {
			w.bits = w.found[w.step]
			continue
		}
		end := w.word + 2*blockWords
		if s.plan == keyedPlan && s.ix.partitions[w.partition].broad == 0 {
			end = max(end, w.window.to) // those blocks are known already
		}
		if !s.advance(w, min(end, w.end)) {
			w.rank = none
			if next := w.word; next < w.end {
				w.word -= blockWords
				w.rank = s.ix.item[next*64]
			}
			return
		}
	}
	w.rank = s.ix.item[(w.word+w.step)*64+bits.TrailingZeros64(w.bits)]
}

// Seek makes row, or what follows it in rank, the next candidate; it may go back.
func (s *Scan) Seek(row int) {
	ix := s.ix
	item := none
	if row < ix.rows {
		item = ix.item[row]
	}
	for i := range s.walkers {
		w := &s.walkers[i]
		p := &ix.partitions[w.partition]
		from, to := uint32(p.from*64), uint32(p.to*64)
		at := uint32(row)
		if item == none {
			at = to
		} else if at < from || at >= to {
			at = from + uint32(firstOf(ix.item[from:from+uint32(p.rows)], item))
		}
		s.seek(w, at)
	}
}

// firstOf is the place of the first item in a list that is not below item.
func firstOf(items []uint32, item uint32) int {
	low, high := 0, len(items)
	for low < high {
		if mid := (low + high) / 2; items[mid] < item {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low
}

// seek places a walker, and leaves out the block's rows before the one sought.
func (s *Scan) seek(w *walker, row uint32) {
	w.place(s.ix, row)
	s.skip(w)
	before := int(row) % blockRows
	if before == 0 || w.word+blockWords >= w.end {
		return
	}
	w.word += blockWords
	s.load(w)
	w.step = before / 64
	for i := range w.step {
		w.found[i] = 0
	}
	w.found[w.step] &^= 1<<(before%64) - 1
	w.bits = w.found[w.step]
	if w.bits != 0 {
		w.rank = s.ix.item[(w.word+w.step)*64+bits.TrailingZeros64(w.bits)]
	}
}

// patience is how many blocks a walker looks at in the plain plan before the
// keyed one takes over, and how many must be left for that to be worth it. To
// ready lists for a whole partition costs about as much as the plain plan takes
// for one in sixteen of its blocks.
func (s *Scan) patience(w *walker) int {
	if p := &s.ix.partitions[w.partition]; p.broad > 0 {
		return 1 + (p.to-p.from)/(16*blockWords)
	}
	return 1
}

// advance finds the next block before end that holds a candidate, and goes to its
// first word.
func (s *Scan) advance(w *walker, end int) bool {
	w.word += blockWords
	if s.plan == choosing && s.loads >= len(s.walkers) {
		if n := s.patience(w); w.word+n*blockWords < w.end && s.loads >= n*len(s.walkers) {
			s.startKeyed()
		}
	}
	if s.plan == keyedPlan && s.ix.partitions[w.partition].broad == 0 {
		return s.hop(w, end)
	}
	for ; w.word < end; w.word += blockWords {
		if s.load(w) {
			w.step, w.bits = 0, w.found[0]
			return true
		}
	}
	return false
}

// load computes the block at hand and tells whether it holds a candidate.
func (s *Scan) load(w *walker) bool {
	s.loads++
	s.mask.load(&w.found, w.word)
	if s.plan == keyedPlan {
		if s.ix.partitions[w.partition].broad > 0 {
			return s.loadPosted(w)
		}
		return s.loadKeyed(w)
	}
	if !s.loadDense(w, w.word) {
		return false
	}
	for i, plain := range s.ix.plain.at(w.word) {
		w.unsure[i] = w.found[i] &^ plain
	}
	return true
}

// choosePlanes finds the request's planes when a block is first looked at: a walk
// that reaches all its rows by keys needs none.
func (s *Scan) choosePlanes() {
	for _, d := range s.ix.dense {
		s.planes = append(s.planes, d.plane(s.resolve(d).one))
	}
	if open := s.open(); open != nil {
		s.planes = append(s.planes, open)
	}
}

// loadDense keeps in the block what all planes hold.
func (s *Scan) loadDense(w *walker, word int) bool {
	if w.partition == 0 {
		var shown block
		unite(&shown, s.supply.shapes, word)
		if !and(&w.found, &shown) {
			return false
		}
	}
	if len(s.planes) == 0 {
		s.choosePlanes()
	}
	return intersect(&w.found, s.planes, word)
}

// satisfied tells whether the request satisfies one term of an item.
func (s *Scan) satisfied(item int, t term) bool {
	if t.dimension() == rule.HourOfWeek {
		return s.atHour(item, &s.ix.hours.terms[t.values[0]]) != t.exclude()
	}
	d := s.ix.dimensions[t.dimension()]
	return s.resolve(d).oneOf(d, t.values) != t.exclude()
}

func (s *Scan) atHour(item int, t *hourTerm) bool {
	return s.query.Hours != nil && t.has(s.query.Hours.ofZone[s.ix.hours.zone[item]])
}
