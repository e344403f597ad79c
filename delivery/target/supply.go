package target

import (
	"slices"

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

// Supply is a placement as the index sees it: its values looked up, its shapes
// turned into partitions. It belongs to the index that made it. In dimensions of
// [rule.Dimension.Many] its values add to the query's, in others they replace
// them: of its own place a publisher knows best.
type Supply struct {
	slot       Slot
	has        uint64 // dimensions
	supplied   []supplied
	partitions uint32  // those to walk, a bit each
	shapes     []plane // in the first partition, any of these
}

// supplied is what a supply has in one dimension that rules ask for.
type supplied struct {
	dimension rule.Dimension
	has       has
}

// Empty tells that no item has any of the slot's shapes.
func (s *Supply) Empty() bool { return s.partitions == 0 }

// Supply prepares a placement, once, for any number of scans.
func (ix *Index) Supply(slot Slot) *Supply {
	s := &Supply{slot: slot}
	for i := 1; i < len(ix.partitions); i++ {
		if slices.ContainsFunc(slot.Shapes, func(shape uint16) bool { return slices.Contains(ix.partitions[i].shapes, shape) }) {
			s.partitions |= 1 << i
		}
	}
	for i, shape := range slot.Shapes {
		if p := ix.shapes[shape]; p != nil && !slices.Contains(slot.Shapes[:i], shape) {
			s.shapes = append(s.shapes, p)
			s.partitions |= 1
		}
	}
	for _, v := range slot.Values {
		s.add(ix, v)
	}
	return s
}

func (s *Supply) add(ix *Index, v Value) {
	if v.Text == "" || int(v.Dimension) >= dimensions {
		return
	}
	first := s.has&(1<<v.Dimension) == 0
	s.has |= 1 << v.Dimension
	d := ix.dimensions[v.Dimension]
	if d == nil || (!first && !d.many) {
		return
	}
	i := slices.IndexFunc(s.supplied, func(of supplied) bool { return of.dimension == v.Dimension })
	if i < 0 {
		i = len(s.supplied)
		s.supplied = append(s.supplied, supplied{dimension: v.Dimension, has: has{one: none}})
	}
	s.supplied[i].has.add(d, []byte(v.Text), nil)
}
