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
// overage or late, so that ledger and report count alike. A lease without any
// impressions is a permit that the bank knows nothing of: there they count at 0.
//
// Clicks and conversions charge nothing: their line items take no money from leases.
func (c *Core) bill(a *applying, l *lease, e *landed) {
	face := e.charge
	if e.marks&markUnpaid != 0 && face > 0 {
		face = 0
		a.outcome(event.Outcome{Index: e.record, Fate: event.Short})
	}
	if face > 0 && e.price > l.Leased() && l.Leased() > 0 {
		c.odd(OddPrice)
	}
	charge := take(l, e, face)
	b := bill{charged: charge.Micros, missing: face - charge.Micros}
	b.short = b.missing > 0 || e.kind == event.Impression && l.Granted.Impressions > 0 && charge.Impressions == 0
	b.late = b.short && b.charged == 0 && e.marks&markLate != 0
	if e.marks&markLate != 0 {
		b.missing = 0 // nobody is owed it
	}
	c.enter(c.entry(l), e, b)
	c.charge(l, charge)
	c.report(a, e, b)
}

// bill is what became of a charge.
type bill struct {
	charged money.Micros
	missing money.Micros // what is owed beyond
	short   bool         // the lease had no room for all of it
	late    bool         // … nor for any of it, after its hold
}

// take is what an event takes of its lease: an impression one of the impressions,
// and what bills its money as far as it goes.
func take(l *lease, e *landed, face money.Micros) postgres.Amount {
	room := l.Room()
	if e.kind != event.Impression {
		return postgres.Amount{Micros: min(face, room.Micros)}
	}
	if room.Impressions <= 0 || face > 0 && room.Micros == 0 {
		return postgres.Amount{}
	}
	return postgres.Amount{Micros: min(face, room.Micros), Impressions: 1}
}

// enter books a bill in the ledger.
func (c *Core) enter(entry *postgres.LedgerEntry, e *landed, b bill) {
	entry.Charged.Micros += b.charged
	entry.Overage.Micros += b.missing
	switch {
	case e.kind != event.Impression:
	case !b.short || b.charged > 0:
		entry.Charged.Impressions++
	case b.late:
		entry.Late++
	default:
		entry.Overage.Impressions++
	}
}

// report adds a bill to the reports, and to the outcomes what the record does not tell.
func (c *Core) report(a *applying, e *landed, b bill) {
	at := c.cell(a, e.place)
	revenue := e.paid
	if b.charged != e.charge {
		revenue = b.charged.MulDiv(int64(e.share), 10_000)
	}
	at.cell.Spend += b.charged
	at.cell.Overage += b.missing
	at.cell.Revenue += revenue
	at.supply.Revenue += revenue
	if b.charged > 0 {
		c.audience(a, e.place).Spend += b.charged
	}
	c.stats.Charged += b.charged
	c.stats.Overage += b.missing
	switch {
	case b.late:
		at.cell.Late++
		at.supply.Late++
		c.stats.Late++
		a.outcome(event.Outcome{Index: e.record, Fate: event.TooLate})
	case b.short:
		a.outcome(event.Outcome{Index: e.record, Fate: event.Short, Charged: b.charged, Overage: b.missing})
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
