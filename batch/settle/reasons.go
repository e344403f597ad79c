package settle

import (
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// soundReasons tells whether the counts can be added up. Their words need no
// look: the format allows nothing but letters, digits and underscores.
func soundReasons(r *event.Reasons) bool {
	for i := range r.Cells {
		if r.Cells[i].N > mostDecisions {
			return false
		}
	}
	return true
}

// reasons adds up why line items did not serve. That a segment is settled once
// is what keeps these counts single.
func (c *Core) reasons(r *event.Reasons) {
	for i := range r.Cells {
		cell := &r.Cells[i]
		count := postgres.ReasonCount{Counted: cell.N}
		if r.Estimated {
			count = postgres.ReasonCount{Estimated: cell.N, Samples: cell.Samples}
		}
		key := postgres.ReasonKey{Hour: r.Hour.Unix(), LineItem: cell.LineItem, Reason: cell.Reason, Dimension: cell.Dimension}
		c.out.Reasons[key] = c.out.Reasons[key].Add(count)
	}
}
