package catalog

import (
	"github.com/hayate-ads/hayate/delivery/target"
	"github.com/hayate-ads/hayate/internal/ad"
)

// companionsOf marks the rows of line items that take all of their placements or
// none, nil where there are none: then requests need not look for them.
func companionsOf(c *Catalog) target.Mask {
	var mask target.Mask
	for i := range c.LineItems {
		if c.LineItems[i].Roadblock() != ad.AllOrNone {
			continue
		}
		if mask == nil {
			mask = make(target.Mask, c.Index.Words())
		}
		from, to := c.Index.RowsOf(i)
		mask.Set(from, to, true)
	}
	return mask
}

// Companions is the mask of the rows of [ad.AllOrNone] line items, be they live
// or not; nil when there are none. It never changes.
func (c *Catalog) Companions() target.Mask { return c.companions }
