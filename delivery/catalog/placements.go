package catalog

import (
	"math/bits"

	"github.com/hayate-ads/hayate/internal/ad"
)

// placements finds a placement by id: open addressing over a table at most half
// full, because every request comes by here and a Go map takes four times as long.
type placements struct {
	table []*Placement // a power of two long
	shift int
}

func newPlacements(all []Placement) placements {
	size := bits.Len(uint(2*len(all) + 1))
	p := placements{table: make([]*Placement, 1<<size), shift: 64 - size}
	for i := range all {
		at := p.home(all[i].ID)
		for p.table[at] != nil {
			at = (at + 1) & (len(p.table) - 1)
		}
		p.table[at] = &all[i]
	}
	return p
}

// home multiplies by 2^64 over the golden ratio, which spreads ids that follow
// one another, as ours do, without collisions.
func (p *placements) home(id ad.ID) int {
	return int(uint64(id) * 0x9e3779b97f4a7c15 >> p.shift)
}

// Placement finds a placement, nil when there is none of that id.
func (c *Catalog) Placement(id ad.ID) *Placement {
	p := &c.placements
	for at := p.home(id); ; at = (at + 1) & (len(p.table) - 1) {
		if found := p.table[at]; found == nil || found.ID == id {
			return found
		}
	}
}
