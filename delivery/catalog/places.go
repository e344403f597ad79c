package catalog

import (
	"math/bits"
	"slices"

	"github.com/hayate-ads/hayate/internal/ad"
)

// places finds a thing's place in a slice by its id: open addressing over a
// table of a quarter more entries than things. The ids themselves stay where the
// things are, so that it takes five bytes for each where a map takes forty.
type places struct {
	table []uint32 // places from 1 on; 0 is nobody's
}

// newPlaces takes n ids, without repeats. The first of a repeated one is found.
func newPlaces(n int, id func(place int) ad.ID) places {
	p := places{table: make([]uint32, n+n/4+1)}
	for place := range n {
		at := p.home(id(place))
		for p.table[at] != 0 {
			at = p.next(at)
		}
		p.table[at] = uint32(place + 1)
	}
	return p
}

// home multiplies by 2^64 over the golden ratio, which spreads ids that follow
// one another, as ours do, almost without collisions.
func (p *places) home(id ad.ID) int {
	at, _ := bits.Mul64(uint64(id)*0x9e3779b97f4a7c15, uint64(len(p.table)))
	return int(at)
}

func (p *places) next(at int) int {
	if at++; at < len(p.table) {
		return at
	}
	return 0
}

// find expects the id that newPlaces was given.
func (p *places) find(wanted ad.ID, id func(place int) ad.ID) (place int, ok bool) {
	for at := p.home(wanted); p.table[at] != 0; at = p.next(at) {
		if place := int(p.table[at] - 1); id(place) == wanted {
			return place, true
		}
	}
	return 0, false
}

// groups finds the places of all line items that belong to one thing.
type groups struct {
	ids    []ad.ID  // of the things, ascending
	from   []uint32 // by thing, and one more: where its places begin
	places []uint32
}

func newGroups(n int, id func(place int) ad.ID) groups {
	order := make([]ranked, n)
	for i := range order {
		order[i] = ranked{uint64(id(i)), uint32(i)}
	}
	order = sortByKey(order)
	g := groups{places: make([]uint32, n)}
	for i, o := range order {
		if i == 0 || o.key != order[i-1].key {
			g.ids, g.from = append(g.ids, ad.ID(o.key)), append(g.from, uint32(i))
		}
		g.places[i] = o.from
	}
	g.from = append(g.from, uint32(n))
	return g
}

// all returns the places of a thing's line items.
func (g *groups) all(id ad.ID) []uint32 {
	i, ok := slices.BinarySearch(g.ids, id)
	if !ok {
		return nil
	}
	return g.places[g.from[i]:g.from[i+1]]
}
