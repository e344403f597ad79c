package bank

import (
	"time"

	"github.com/hayate-ads/hayate/delivery/lease"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// review looks at every lease in service: one that can serve no more is closed,
// one that is running out or growing old gets a successor before it ends.
func (c *Core) review(now time.Time, out *Outputs) {
	reprice := c.reprice()
	for _, p := range c.order {
		if reprice { // also of those whose lease is still on its way: it may have become too small
			c.price(p)
		}
		if p.next != nil && !p.next.retryAt.IsZero() && !now.Before(p.next.retryAt) {
			p.next.retryAt = time.Time{}
			out.Open = append(out.Open, p.next.record)
		}
		if p.asked.LineItem == 0 && p.next == nil && !now.Before(p.retryAt) {
			c.setAside(p, false, out)
		}
		if p.later != nil && now.UnixMicro() >= p.later.lease.From {
			fresh := p.later
			p.later = nil
			c.serve(now, p, fresh, out)
		}
		if p.serving == nil {
			continue
		}
		left, impressions := p.serving.lease.Left()
		switch {
		case c.over(now, p, left, impressions):
			touched := p.serving.lease.FirstAt() != 0 || p.tooSmall(left, impressions)
			c.remember(now, p)
			c.retire(now, p, out)
			if touched {
				c.succeed(now, p, out)
			}
		case c.runningOut(now, p, left, impressions):
			c.remember(now, p)
			c.succeed(now, p, out)
		}
	}
}

// reprice tells whether prices may have changed since the last review. Looking
// them up takes more than all the rest of it.
func (c *Core) reprice() bool {
	if c.rules.Generation == nil {
		return true
	}
	// Read before the prices: those of a still newer generation are looked up once more.
	generation := c.rules.Generation()
	changed := generation != c.priced
	c.priced = generation
	return changed
}

// price looks up what a line item costs and needs, and tells whether the catalog
// knows it.
func (c *Core) price(p *position) bool {
	price, known := c.rules.Price(p.lineItem)
	if !known {
		return false
	}
	p.price, p.least = price, 1
	if c.rules.Least != nil {
		p.least = min(max(c.rules.Least(p.lineItem), 1), lease.MaxReservations)
	}
	return true
}

// tooSmall tells whether what a lease has left is of no use to the line item. A
// permit's is as soon as there is a price.
func (p *position) tooSmall(left money.Micros, impressions int64) bool {
	return impressions < p.least || (p.price > 0 && int64(left/p.price) < p.least)
}

// over tells whether a lease can serve no more: used up, past its window, or of
// full age since its first reservation (design §5.8).
func (c *Core) over(now time.Time, p *position, left money.Micros, impressions int64) bool {
	l := p.serving.lease
	if p.tooSmall(left, impressions) || now.UnixMicro() >= l.Until {
		return true
	}
	first := l.FirstAt()
	return first != 0 && now.UnixMicro()-first >= p.serving.maxAge.Microseconds()
}

// runningOut tells whether it is time to ask for a successor: less than a third
// is left, or two batches' time before its age is full.
func (c *Core) runningOut(now time.Time, p *position, left money.Micros, impressions int64) bool {
	l := p.serving.lease
	first := l.FirstAt()
	if first == 0 || p.next != nil || p.asked.LineItem != 0 {
		return false
	}
	granted, count := l.Granted()
	if left < granted/3 || impressions < count/3 {
		return true
	}
	soon := now.Add(2 * c.rules.AskEvery).UnixMicro()
	return soon >= l.Until || soon-first >= p.serving.maxAge.Microseconds()
}

// asideFor is how long a lease should last when nothing else limits it. Longer
// ones tie up money, shorter ones cost the bank statements.
const asideFor = 30 * time.Second

// remember learns from the lease in service how much to ask for: what it
// reserved, scaled to asideFor, moved at most eightfold at once.
func (c *Core) remember(now time.Time, p *position) {
	first := p.serving.lease.FirstAt()
	if first == 0 || p.serving.permit {
		return
	}
	granted, count := p.serving.lease.Granted()
	left, impressions := p.serving.lease.Left()
	// At the line item's price, which says how many impressions a lease is good
	// for, though the second price may have taken less.
	used := max(granted-left, p.price.MulDiv(count-impressions, 1))
	elapsed := max(now.UnixMicro()-first, 100_000)
	ask := used.MulDiv(asideFor.Microseconds(), elapsed)
	p.ask = max(min(ask, granted*8), granted/8, p.price*5)
}

// succeed asks for the next lease of a line item.
func (c *Core) succeed(now time.Time, p *position, out *Outputs) {
	if p.stopped || p.next != nil || p.asked.LineItem != 0 || now.Before(p.retryAt) {
		return
	}
	c.fresh(now, p, out)
}

// fresh gets a line item's next lease, at the price that the catalog has now.
func (c *Core) fresh(now time.Time, p *position, out *Outputs) {
	switch {
	case !c.price(p):
	case p.price == 0:
		c.mint(now, p, out)
	default:
		c.want(p, out)
	}
}

// gather sends wishes as one batch, at most once in AskEvery. A wish that was not
// answered goes out again with the same id, so that nothing is granted twice.
// Where there are more than a batch holds, the next one goes on behind it.
func (c *Core) gather(now time.Time, out *Outputs) {
	if c.waiting || c.asking == 0 || now.Sub(c.askedAt) < c.rules.AskEvery {
		return
	}
	for range c.order {
		p := c.order[c.next%len(c.order)]
		c.next = (c.next + 1) % len(c.order)
		if p.asked.LineItem == 0 {
			continue
		}
		if out.Ask = append(out.Ask, p.asked); len(out.Ask) == c.batch {
			break
		}
	}
	if len(out.Ask) > 0 {
		c.waiting, c.askedAt, c.sent = true, now, len(out.Ask)
	}
}

// retire takes the serving lease out of service and closes it.
func (c *Core) retire(now time.Time, p *position, out *Outputs) {
	old := p.serving
	p.serving = nil
	p.slot.Store(nil)
	out.Changed = append(out.Changed, p.lineItem)
	c.close(now, old, out)
}

// expirySlack covers the moments between this step's now and the closing
// itself, in which a request may still have reserved.
const expirySlack = time.Second

// close ends a lease and writes its CLOSE: what all its tokens may cost and when
// the last hold ends. Nothing is returned here; settle does, from the record.
func (c *Core) close(now time.Time, h *held, out *Outputs) {
	reserved, count := h.lease.Close()
	record := h.record
	record.Reserved, record.ReservedCount = reserved, count
	record.LastExpiry = now
	if count > 0 {
		record.LastExpiry = now.Add(c.rules.Hold + expirySlack)
	}
	delete(c.byLease, record.ID)
	out.Close = append(out.Close, record)
}

// closeAll ends every lease, also those that were granted but never opened:
// their OPEN is logged first so that no CLOSE comes from nowhere.
func (c *Core) closeAll(now time.Time, out *Outputs) {
	for _, p := range c.order {
		if p.serving != nil {
			c.retire(now, p, out)
		}
		if p.next != nil {
			c.close(now, p.next, out)
			p.next = nil
		}
		c.dropLater(now, p, out)
		p.asked, p.stopped = postgres.Want{}, true
	}
	c.asking = 0
}

// Serving returns how many line items have a lease in service, and what those
// leases can still reserve, for metrics.
func (c *Core) Serving() (leases int, left money.Micros) {
	for _, p := range c.order {
		if p.serving != nil {
			micros, _ := p.serving.lease.Left()
			leases, left = leases+1, left+micros
		}
	}
	return leases, left
}
