package target

import (
	"math/bits"
	"sync/atomic"

	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/rule"
)

// Scan is one goroutine's walk over an index: kept, reused, never copied.
// [Scan.Prepare] takes the query, [Scan.Start] begins a walk for one placement,
// [Scan.Next] steps. Nothing of it allocates once its buffers have grown.
type Scan struct {
	ix       *Index
	mask     Mask
	planes   []plane // all must hold …
	unions   []union // … and all of these, over cursors
	cursors  []cursor
	texts    [][]byte // the query's keywords
	keywords []uint32 // of the query, those that rules name
	// The query's part of planes, unions and cursors comes first and stays from
	// one placement to the next.
	queryPlanes, queryUnions, queryCursors int

	word    int    // where block begins
	step    int    // the word of block that bits is of
	bits    uint64 // of it, not yet returned
	found   block
	scratch block
}

// Prepare resolves q against ix; q must stay unchanged until the last Next.
func (s *Scan) Prepare(ix *Index, q *Query) {
	s.ix = ix
	s.planes, s.unions, s.cursors = s.planes[:0], s.unions[:0], s.cursors[:0]
	var country [2]byte
	copy(country[:], q.Value(rule.Country))
	s.and(ix.country.plane(country))
	s.and(ix.devicePlane(q.Value(rule.DeviceType)))
	s.and(ix.os[osIndex(string(q.Value(rule.OS)))])
	if q.Hours != nil {
		s.and(q.Hours.open)
	} else {
		s.and(ix.hours.unknown)
	}
	s.texts = s.texts[:0]
	for keyword := range q.Values(rule.Keyword) {
		s.texts = append(s.texts, keyword)
	}
	s.prepareKeywords(s.texts)
	s.queryPlanes, s.queryUnions, s.queryCursors = len(s.planes), len(s.unions), len(s.cursors)
}

func (ix *Index) devicePlane(name []byte) plane {
	for d := range ix.device {
		if string(name) == event.DeviceType(d).String() {
			return ix.device[d]
		}
	}
	return ix.noDevice
}

func (s *Scan) and(p plane) {
	if p != nil {
		s.planes = append(s.planes, p)
	}
}

func (s *Scan) prepareKeywords(keywords [][]byte) {
	s.keywords = s.keywords[:0]
	l := &s.ix.keyword
	if !l.used {
		return
	}
	u := union{base: l.base, from: int32(len(s.cursors))}
	minus := 0
	for _, keyword := range keywords {
		v := l.values[string(keyword)]
		if v == nil {
			continue
		}
		s.keywords = append(s.keywords, v.id)
		if !v.plus.empty() {
			s.cursors = append(s.cursors, cursor{posting: v.plus})
		}
		if !v.minus.empty() {
			minus++
		}
	}
	u.mid = int32(len(s.cursors))
	if minus > 0 {
		s.prepareExcluded(keywords)
	}
	u.to = int32(len(s.cursors))
	if u.from == u.to {
		s.planes = append(s.planes, l.base)
		return
	}
	s.unions = append(s.unions, u)
}

// prepareExcluded goes over the keywords again, since what takes rows away
// stands behind what adds them.
func (s *Scan) prepareExcluded(keywords [][]byte) {
	for _, keyword := range keywords {
		if v := s.ix.keyword.values[string(keyword)]; v != nil && !v.minus.empty() {
			s.cursors = append(s.cursors, cursor{posting: v.minus})
		}
	}
}

// Start begins a walk over the rows of mask that match the query on supply.
func (s *Scan) Start(supply *Supply, mask Mask) {
	s.mask = mask
	s.planes = append(s.planes[:s.queryPlanes], supply.planes...)
	s.unions = append(s.unions[:s.queryUnions], supply.unions...)
	s.cursors = append(s.cursors[:s.queryCursors], supply.cursors...)
	for i := s.queryUnions; i < len(s.unions); i++ {
		u := &s.unions[i]
		u.from, u.mid, u.to = u.from+int32(s.queryCursors), u.mid+int32(s.queryCursors), u.to+int32(s.queryCursors)
	}
	s.rewind()
	s.word, s.step, s.bits = -blockWords, blockWords, 0
}

func (s *Scan) rewind() {
	for i := range s.cursors {
		s.cursors[i].next = 0
	}
}

// Next returns the next matching row in rank order, -1 after the last.
func (s *Scan) Next() int {
	for {
		for s.bits == 0 {
			if s.step++; s.step < blockWords {
				s.bits = s.found[s.step]
				continue
			}
			if !s.advance() {
				return -1
			}
			s.step, s.bits = 0, s.found[0]
		}
		row := (s.word+s.step)*64 + bits.TrailingZeros64(s.bits)
		s.bits &= s.bits - 1
		if s.ix.rest.holds(uint32(row), s.keywords) {
			return row
		}
	}
}

// Seek makes row, or what follows it, the next candidate; it may go back.
func (s *Scan) Seek(row int) {
	if target := row / blockRows * blockWords; target <= s.word {
		s.rewind()
	}
	s.word = row/blockRows*blockWords - blockWords
	s.step, s.bits = blockWords, 0
	if !s.advance() {
		s.word = len(s.mask)
		return
	}
	s.step, s.bits = 0, s.found[0]
	if below := row - s.word*64; below > 0 {
		s.step = below / 64
		s.bits = s.found[s.step] &^ (1<<(below%64) - 1)
	}
}

// advance finds the next block that holds a match.
func (s *Scan) advance() bool {
	s.word += blockWords
	for ; s.word < len(s.mask); s.word += blockWords {
		if s.load() {
			return true
		}
	}
	return false
}

// load computes the block at s.word and tells whether it holds a match. Unions
// cost more than planes and come last.
func (s *Scan) load() bool {
	b := &s.found
	mask := (*[blockWords]atomic.Uint64)(s.mask[s.word : s.word+blockWords])
	for i := range mask {
		b[i] = mask[i].Load()
	}
	if !intersect(b, s.planes, s.word) {
		return false
	}
	for i := range s.unions {
		s.unions[i].load(&s.scratch, s.cursors, s.word)
		if !and(b, &s.scratch) {
			return false
		}
	}
	return true
}

// intersect keeps in b what all planes hold at word, and tells whether that is
// anything. The eight words live in registers, which is why they have names.
func intersect(b *block, planes []plane, word int) bool {
	b0, b1, b2, b3, b4, b5, b6, b7 := b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]
	for _, p := range planes {
		q := p.at(word)
		b0, b1, b2, b3 = b0&q[0], b1&q[1], b2&q[2], b3&q[3]
		b4, b5, b6, b7 = b4&q[4], b5&q[5], b6&q[6], b7&q[7]
	}
	b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7] = b0, b1, b2, b3, b4, b5, b6, b7
	return b0|b1|b2|b3|b4|b5|b6|b7 != 0
}

func and(b, other *block) bool {
	some := uint64(0)
	for i := range b {
		b[i] &= other[i]
		some |= b[i]
	}
	return some != 0
}
