package target

import (
	"strconv"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/rule"
)

// Slot says what a [Supply] is made of.
type Slot struct {
	Values []Value  // what the placement, its property and its publisher bring
	Shapes []uint16 // at least one of them must be among the item's
}

// Value is one value in a dimension, spelled as [Query] spells it.
type Value struct {
	Dimension rule.Dimension
	Text      string
}

func (s *Slot) id(d rule.Dimension) ad.ID {
	for _, v := range s.Values {
		if v.Dimension == d {
			id, _ := strconv.ParseInt(v.Text, 10, 64)
			return ad.ID(id)
		}
	}
	return 0
}

// Supply is a placement as the index sees it: rows that its id, its property and
// what it can show leave over. It belongs to the index that made it.
type Supply struct {
	planes  []plane
	unions  []union
	cursors []cursor
	empty   bool
}

// Empty tells that no item has any of the slot's shapes.
func (s *Supply) Empty() bool { return s.empty }

// Supply prepares a placement, once, for any number of scans. With dense set it
// spends a bit per row to make them faster.
func (ix *Index) Supply(slot Slot, dense bool) *Supply {
	s := new(Supply)
	s.shapes(ix, slot.Shapes)
	addID(s, &ix.placement, slot.id(rule.Placement))
	addID(s, &ix.property, slot.id(rule.Property))
	if dense {
		s.fold(ix.words)
	}
	return s
}

func (s *Supply) shapes(ix *Index, shapes []uint16) {
	u := union{}
	for _, shape := range shapes {
		if v := ix.shape.values[shape]; v != nil {
			s.cursors = append(s.cursors, cursor{posting: v.plus})
		}
	}
	u.mid = int32(len(s.cursors))
	u.to = u.mid
	s.empty = u.mid == 0
	if u.mid == 1 && s.cursors[0].plane != nil {
		s.planes = append(s.planes, s.cursors[0].plane)
		s.cursors = s.cursors[:0]
		return
	}
	s.unions = append(s.unions, u)
}

func addID(s *Supply, l *lists[ad.ID], id ad.ID) {
	if !l.used {
		return
	}
	v := l.values[id]
	if v == nil {
		s.planes = append(s.planes, l.base)
		return
	}
	u := union{base: l.base, from: int32(len(s.cursors))}
	if !v.plus.empty() {
		s.cursors = append(s.cursors, cursor{posting: v.plus})
	}
	u.mid = int32(len(s.cursors))
	if !v.minus.empty() {
		s.cursors = append(s.cursors, cursor{posting: v.minus})
	}
	u.to = int32(len(s.cursors))
	s.unions = append(s.unions, u)
}

// fold replaces everything by one plane.
func (s *Supply) fold(words int) {
	p := make(plane, words)
	for word := 0; word < words; word += blockWords {
		out := p.at(word)
		for i := range out {
			out[i] = ^uint64(0)
		}
		intersect(out, s.planes, word)
		for i := range s.unions {
			var b block
			s.unions[i].load(&b, s.cursors, word)
			and(out, &b)
		}
	}
	*s = Supply{planes: []plane{p}, empty: s.empty}
}
