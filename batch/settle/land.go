package settle

import (
	"github.com/oklog/ulid/v2"

	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// land counts a landing once for each reservation and purpose, and charges what bills.
func (c *Core) land(a *applying, l *landed) {
	switch {
	case l.marks&markUnsound != 0:
		c.refuse(a, l.record, OddRecord)
		return
	case l.record >= a.ended:
		c.refuse(a, l.record, OddAfterEnd)
		return
	case l.marks&markTest != 0:
		c.stats.Test++
		a.outcome(event.Outcome{Index: l.record, Fate: event.Refused})
		return
	}
	row := &a.rows[l.row]
	of := a.leases[row.claim]
	if of.odd != "" {
		c.refuse(a, l.record, of.odd)
		return
	}
	if a.insane[l.place] {
		c.refuse(a, l.record, OddHour)
		return
	}
	first := c.first(c.row(a, l.row), uint32(l.index))
	if l.marks&(markExchange|markInvalid) == markExchange && l.charge > 0 {
		c.compare(of.lease, l, first)
	}
	if !first {
		c.stats.Duplicates++
		a.outcome(event.Outcome{Index: l.record, Fate: event.Duplicate})
		return
	}
	at := c.cell(a, l.place)
	if l.marks&markInvalid != 0 {
		c.invalid(a, l.kind, l.place)
		return
	}
	c.tally(a, l, at)
	if l.kind == event.Impression || l.charge > 0 {
		c.bill(a, of.lease, l)
	}
}

// invalid counts an event found invalid, with its reason.
func (c *Core) invalid(a *applying, kind event.Type, place uint32) {
	c.stats.Invalid++
	at := c.cell(a, place)
	at.cell.Invalid++
	at.supply.Invalid++
	switch kind {
	case event.Impression:
		c.audience(a, place).Impressions++
	case event.Viewable:
		c.audience(a, place).Viewables++
	case event.Click:
		c.audience(a, place).Clicks++
	case event.Conversion:
		c.audience(a, place).Conversions++
	}
}

// tally counts a first valid event.
func (c *Core) tally(a *applying, l *landed, at *cells) {
	switch l.kind {
	case event.Impression:
		c.stats.Impressions++
		at.cell.Impressions++
		at.supply.Impressions++
		c.audience(a, l.place).Impressions++
	case event.Click:
		c.stats.Clicks++
		at.cell.Clicks++
		at.supply.Clicks++
		c.audience(a, l.place).Clicks++
	case event.Viewable:
		at.cell.Viewables++
		at.supply.Viewables++
		c.audience(a, l.place).Viewables++
	case event.Win:
		c.stats.Wins++
		at.cell.Wins++
		at.supply.Wins++
	case event.Progress:
		at.cell.Video[a.rows[l.row].purpose&^progressPurpose]++
	}
}

// bill charges a first valid event of the type that bills as far as its lease has
// room, and every first valid impression takes its part of the lease's
// impressions, whatever bills. Every impression gets into the ledger, as charged,
// overage or late, so that ledger and report count alike.
//
// Clicks and conversions charge nothing: their line items take no money from leases.
func (c *Core) bill(a *applying, l *lease, e *landed) {
	face := e.charge
	if e.marks&markUnpaid != 0 && e.charge > 0 {
		face = 0
		a.outcome(event.Outcome{Index: e.record, Fate: event.Short})
	}
	if e.charge > 0 && face > 0 && e.price > l.Leased() && l.Leased() > 0 {
		c.odd(OddPrice)
	}
	entry, charge := c.entry(l), c.take(l, e, face)
	missing := face - charge.Micros
	overdue := e.marks&markLate != 0
	if e.kind == event.Impression {
		switch {
		case missing == 0 || charge.Micros > 0:
			entry.Charged.Impressions++
		case overdue:
			entry.Late++
		default:
			entry.Overage.Impressions++
		}
	}
	entry.Charged.Micros += charge.Micros
	c.charge(l, charge)
	c.report(a, e, charge.Micros, missing)
	if missing > 0 && !overdue {
		entry.Overage.Micros += missing
	}
}

// take is what an event takes of its lease: an impression one of the impressions,
// and what bills its money as far as it goes.
func (c *Core) take(l *lease, e *landed, face money.Micros) postgres.Amount {
	room := l.Room()
	if e.kind != event.Impression {
		return postgres.Amount{Micros: min(face, room.Micros)}
	}
	if room.Impressions <= 0 || face > 0 && room.Micros == 0 {
		return postgres.Amount{}
	}
	return postgres.Amount{Micros: min(face, room.Micros), Impressions: 1}
}

// report adds a charge, and what is missing to the face value, to the reports.
func (c *Core) report(a *applying, e *landed, charged, missing money.Micros) {
	at := c.cell(a, e.place)
	revenue := e.paid
	if charged != e.charge {
		revenue = charged.MulDiv(int64(e.share), 10_000)
	}
	at.cell.Spend += charged
	at.cell.Revenue += revenue
	at.supply.Revenue += revenue
	if charged > 0 {
		c.audience(a, e.place).Spend += charged
	}
	c.stats.Charged += charged
	switch {
	case missing == 0:
	case e.marks&markLate == 0:
		at.cell.Overage += missing
		c.stats.Overage += missing
		a.outcome(event.Outcome{Index: e.record, Fate: event.Short, Charged: charged, Overage: missing})
	case charged > 0:
		a.outcome(event.Outcome{Index: e.record, Fate: event.Short, Charged: charged})
	default:
		at.cell.Late++
		at.supply.Late++
		c.stats.Late++
		a.outcome(event.Outcome{Index: e.record, Fate: event.TooLate})
	}
}

// cleared names a reservation that an exchange was charged for.
type cleared struct {
	lease ulid.ULID
	index uint16
}

// compare looks for clearing prices that contradict the bid or each other. The
// first one charges; what an earlier batch was told is not known any more.
func (c *Core) compare(l *lease, e *landed, first bool) {
	key := cleared{l.ID, e.index}
	before, known := c.cleared[key]
	if first {
		c.cleared[key] = e.charge
	}
	if e.marks&markAboveBid != 0 || known && before != e.charge {
		c.odd(OddClearing)
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
	return ensure(c.out.Ledger, postgres.BudgetKey{LineItem: l.LineItem, Day: l.Day})
}
