package settle

import (
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// land counts an impression, click or viewable impression once for each
// reservation, and charges what bills.
func (c *Core) land(rec *event.Record) {
	r := &rec.Landing.Reservation
	if r.Flags&event.Test != 0 {
		c.stats.Test++
		return
	}
	l := c.leases[r.Lease]
	switch {
	case l == nil:
		c.odd(OddRecord)
		return
	case l.Process != r.Process:
		c.odd(OddProcess)
		return
	case l.LineItem != r.LineItem:
		c.odd(OddLineItem)
		return
	}
	purpose := landingPurpose(rec)
	if !c.first(postgres.BitsKey{Lease: r.Lease, Purpose: purpose, Block: block(r.Index)}, r.Index) {
		c.stats.Duplicates++
		return
	}
	cell := c.cell(r)
	switch {
	case purpose&invalidPurpose != 0:
		cell.Invalid++
		c.stats.Invalid++
	case rec.Type == event.Impression:
		cell.Impressions++
		c.stats.Impressions++
		c.bill(l, rec, cell)
	case rec.Type == event.Click:
		cell.Clicks++
		c.stats.Clicks++
	case rec.Type == event.Viewable:
		cell.Viewables++
	}
}

// landingPurpose is under which purpose a landing is de-duplicated.
func landingPurpose(rec *event.Record) uint8 {
	purpose := uint8(rec.Type)
	if rec.Landing.Invalid != event.Valid || rec.Landing.Reservation.Flags&event.Suspect != 0 {
		purpose |= invalidPurpose
	}
	return purpose
}

func block(index uint32) uint8 { return uint8(index / postgres.BitsPerBlock) }

// first sets the bit of (lease, purpose, index) and tells whether it was unset.
func (c *Core) first(key postgres.BitsKey, index uint32) bool {
	b := c.bits[key]
	if b == nil {
		b = &bits{Bits: &postgres.Bits{BitsKey: key}}
		c.bits[key] = b
	}
	at, mask := index%postgres.BitsPerBlock/8, byte(1)<<(index%8)
	if b.Set[at]&mask != 0 {
		return false
	}
	b.Set[at] |= mask
	if !b.changed {
		b.changed = true
		c.out.Bits = append(c.out.Bits, b.Bits)
	}
	return true
}

func (c *Core) cell(r *event.Reservation) *postgres.Cell {
	const hour = 60 * 60
	key := postgres.CellKey{
		Hour: r.DecidedAt.Unix() / hour * hour, LineItem: r.LineItem,
		Creative: r.Creative, Placement: r.Placement, Exchange: r.Exchange,
	}
	cell := c.out.Cells[key]
	if cell == nil {
		cell = new(postgres.Cell)
		c.out.Cells[key] = cell
	}
	return cell
}

// bill charges a first valid impression as far as its lease has room. Every one
// gets into the ledger, as charged, overage or late, so that ledger and report
// count alike; what bills nothing is charged at 0.
func (c *Core) bill(l *lease, rec *event.Record, cell *postgres.Cell) {
	r := &rec.Landing.Reservation
	price, entry := r.Price, c.entry(l)
	if r.Bills != event.BillsImpression {
		price = 0
	}
	if price > l.Granted.Micros && l.Granted.Micros > 0 {
		c.odd(OddPrice)
	}
	var charge postgres.Amount
	if room := l.Room(); room.Impressions > 0 {
		charge = postgres.Amount{Micros: min(price, room.Micros), Impressions: 1}
	}
	missing := price - charge.Micros
	switch {
	case missing == 0 || charge.Micros > 0:
		entry.Charged = entry.Charged.Add(postgres.Amount{Micros: charge.Micros, Impressions: 1})
		c.charge(l, charge)
	case late(rec):
		entry.Late++
		cell.Late++
		c.stats.Late++
	default:
		entry.Overage.Impressions++
	}
	cell.Spend += charge.Micros
	cell.Revenue += charge.Micros.MulDiv(c.shares[r.Placement], 10_000)
	c.stats.Charged += charge.Micros
	if missing > 0 && !late(rec) {
		entry.Overage.Micros += missing
		cell.Overage += missing
		c.stats.Overage += missing
	}
}

// charge moves money from leased to settled, at the lease and at its accounts.
func (c *Core) charge(l *lease, amount postgres.Amount) {
	if amount == (postgres.Amount{}) {
		return
	}
	l.Settled = l.Settled.Add(amount)
	c.touch(l)
	account := c.account(l)
	account.Settled = account.Settled.Add(amount)
	account.Freed = account.Freed.Add(amount)
	c.finish(l)
}

func (c *Core) entry(l *lease) *postgres.LedgerEntry {
	key := postgres.BudgetKey{LineItem: l.LineItem, Day: l.Day}
	entry := c.out.Ledger[key]
	if entry == nil {
		entry = new(postgres.LedgerEntry)
		c.out.Ledger[key] = entry
	}
	return entry
}

// late tells whether an event on own inventory came after its hold: nobody is
// owed anything for it, or delayed beacons would be a way to be paid (design §5.11).
func late(rec *event.Record) bool {
	r := &rec.Landing.Reservation
	return r.Exchange == 0 && (rec.Landing.Late || rec.At.After(r.DecidedAt.Add(r.Hold)))
}
