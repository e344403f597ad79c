package settle

import (
	"cmp"
	"slices"
	"time"

	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// applying is a digest whose tables have been matched with the Core's state, each
// entry as it is first needed.
type applying struct {
	*Digest
	leases   []claimed
	bits     []*bits
	cells    []cells
	insane   []bool // places at an hour that no report has
	ended    uint32 // records from this one on come after the stream's END
	outcomes []event.Outcome
}

// claimed is what the bank knows of a lease that landings name.
type claimed struct {
	lease *lease
	odd   Odd // why the landings are refused
}

// cells are where a landing is reported.
type cells struct {
	cell     *postgres.Cell
	audience *postgres.AudienceCell
	supply   *postgres.SupplyCell
}

// Apply applies the next segment of a stream and notes its outcomes in it. Its
// only error is [postgres.ErrRebuild]; nothing of the batch may be written then.
func (c *Core) Apply(d *Digest) error {
	a := &applying{
		Digest: d, leases: make([]claimed, len(d.claims)), bits: make([]*bits, len(d.rows)), cells: make([]cells, len(d.places)),
		insane: make([]bool, len(d.places)), ended: noEnd,
	}
	for i := range d.places {
		a.insane[i] = !c.sane(d.places[i].cell.Hour)
	}
	if c.ended[d.Process] {
		a.ended = 0
	} else if d.end != noEnd {
		a.ended = d.end + 1
	}
	for i, claim := range d.claims {
		a.leases[i] = c.verify(claim)
	}
	c.stats.Records += int64(d.Records)
	landings := d.landings
	for i := range d.others {
		o := &d.others[i]
		for len(landings) > 0 && landings[0].record < o.record {
			c.land(a, &landings[0])
			landings = landings[1:]
		}
		if err := c.other(a, o); err != nil {
			return err
		}
	}
	for i := range landings {
		c.land(a, &landings[i])
	}
	for i := range d.counts {
		c.count(a, &d.counts[i])
	}
	slices.SortFunc(a.outcomes, func(x, y event.Outcome) int { return cmp.Compare(x.Index, y.Index) })
	d.Outcomes = event.AppendOutcomes(nil, a.outcomes)
	return nil
}

// verify compares what landings say of a lease with what the bank knows.
func (c *Core) verify(claim claim) claimed {
	l := c.leases[claim.lease]
	switch {
	case c.gone(claim.lease):
		return claimed{odd: OddFolded}
	case l == nil:
		return claimed{odd: OddRecord}
	case l.Process != claim.process:
		return claimed{odd: OddProcess}
	case l.LineItem != claim.lineItem:
		return claimed{odd: OddLineItem}
	}
	return claimed{lease: l}
}

func (c *Core) sane(hour int64) bool { return postgres.SaneHour(time.Unix(hour, 0), c.hoursAt) }

func (c *Core) count(a *applying, n *count) {
	switch {
	case n.unsound:
		c.refuse(a, n.record, OddRecord)
	case n.record >= a.ended:
		c.refuse(a, n.record, OddAfterEnd)
	case !c.sane(n.key.Hour):
		c.refuse(a, n.record, OddHour)
	default:
		c.supply(n.key).Decisions += n.n
	}
}

// other applies what is neither a plain landing nor a count.
func (c *Core) other(a *applying, o *other) error {
	rec := o.event
	switch {
	case !sound(rec):
		c.refuse(a, o.record, OddRecord)
		return nil
	case o.record >= a.ended:
		c.refuse(a, o.record, OddAfterEnd)
		return nil
	case rec.Type == event.Conversion && a.insane[o.place]:
		c.refuse(a, o.record, OddHour)
		return nil
	}
	switch rec.Type {
	case event.Open:
		return c.open(a.Process, &rec.Lease)
	case event.Close:
		return c.close(a.Process, &rec.Lease)
	case event.End:
		c.end(a.Process)
	case event.Unserved:
		c.reasons(rec.Reasons)
	case event.Conversion:
		c.convert(a, o)
	}
	return nil
}

// refuse counts a record under what is odd with it, and for nothing else.
func (c *Core) refuse(a *applying, record uint32, why Odd) {
	c.odd(why)
	a.outcome(event.Outcome{Index: record, Fate: event.Refused})
}

func (a *applying) outcome(o event.Outcome) { a.outcomes = append(a.outcomes, o) }

// row returns the bits of a row.
func (c *Core) row(a *applying, at uint32) *bits {
	if b := a.bits[at]; b != nil {
		return b
	}
	row := &a.rows[at]
	b := c.blocks(postgres.BitsKey{Lease: a.claims[row.claim].lease, Purpose: row.purpose, Block: row.block})
	a.bits[at] = b
	return b
}

func (c *Core) blocks(key postgres.BitsKey) *bits {
	b := c.bits[key]
	if b == nil {
		b = &bits{Bits: &postgres.Bits{BitsKey: key}}
		c.bits[key] = b
	}
	return b
}

// first sets the bit of an index and tells whether it was unset.
func (c *Core) first(b *bits, index uint32) bool {
	if !b.Mark(index % postgres.BitsPerBlock) {
		return false
	}
	if !b.changed {
		b.changed = true
		c.out.Bits = append(c.out.Bits, b.Bits)
	}
	return true
}

// cell returns the cells of a place; of the second cube only where asked for, as
// it does not know of every kind of event.
func (c *Core) cell(a *applying, at uint32) *cells {
	found, p := &a.cells[at], &a.places[at]
	if found.cell == nil {
		found.cell = ensure(c.out.Cells, p.cell)
		found.supply = c.supply(postgres.SupplyKey{Hour: p.cell.Hour, Placement: p.cell.Placement, Exchange: p.cell.Exchange})
	}
	return found
}

func (c *Core) audience(a *applying, at uint32) *postgres.AudienceCell {
	found, p := &a.cells[at], &a.places[at]
	if found.audience == nil {
		found.audience = ensure(c.out.Audience, postgres.AudienceKey{
			Hour: p.cell.Hour, LineItem: p.cell.LineItem, Country: p.country, Device: p.device, Invalid: p.invalid,
		})
	}
	return found.audience
}

func (c *Core) supply(key postgres.SupplyKey) *postgres.SupplyCell { return ensure(c.out.Supply, key) }

// ensure returns the value of key, which it adds if it has to.
func ensure[K comparable, V any](m map[K]*V, key K) *V {
	v := m[key]
	if v == nil {
		v = new(V)
		m[key] = v
	}
	return v
}
