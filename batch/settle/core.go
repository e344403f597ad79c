package settle

import (
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/oklog/ulid/v2"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// Odd names a record that cannot be what a sound process writes. Such a record
// is counted under its name and charges nothing beyond what its lease holds.
// The list is closed: it is a metric's tag.
type Odd string

const (
	OddRecord   Odd = "record"    // outside the bounds of its type
	OddProcess  Odd = "process"   // OPEN or CLOSE of another process's lease, or a token that names another process than its lease
	OddLineItem Odd = "line_item" // a token or record that names another line item than its lease
	OddPrice    Odd = "price"     // a price above all that its lease was granted
	OddGrant    Odd = "grant"     // OPEN or CLOSE with another amount than was granted
	OddClose    Odd = "close"     // a second CLOSE, or one that reserved more than was granted
	OddAfterEnd Odd = "after_end" // a record after the stream's END
	OddClearing Odd = "clearing"  // a clearing price above the bid, or two for one reservation within a batch
	OddWindow   Odd = "window"    // a conversion beyond its advertiser's window
	OddHour     Odd = "hour"      // a decision at a time that no report has
	OddFolded   Odd = "folded"    // of a lease so old that its row and bits are gone
)

// State is what a Core starts from: all that the batch's records name, loaded.
type State struct {
	Now         time.Time // bank time
	HoursAt     time.Time // which hours are sane is judged by this moment; not after Now
	Folded      time.Time // leases minted before it may be gone
	LongestHold time.Duration
	Leases      []*postgres.Lease // the Core changes them in place
	Bits        []*postgres.Bits  // likewise
	Terms       map[ad.ID]postgres.ConversionTerms
	Converted   map[postgres.ConversionKey]bool // counted before; the Core adds to it
}

// Core turns records into charges. It is a state machine without IO, clock or
// goroutine: load a [State], apply digests in the order of their streams, take
// the [postgres.Settlement]. One Core serves one transaction.
type Core struct {
	now         time.Time
	hoursAt     time.Time
	folded      time.Time
	longestHold time.Duration
	leases      map[ulid.ULID]*lease
	bits        map[postgres.BitsKey]*bits
	terms       map[ad.ID]postgres.ConversionTerms
	converted   map[postgres.ConversionKey]bool
	cleared     map[cleared]money.Micros
	ended       map[ulid.ULID]bool
	out         postgres.Settlement
	stats       Stats
}

type lease struct {
	*postgres.Lease
	changed bool
}

type bits struct {
	*postgres.Bits
	changed bool
}

// NewCore starts from s.
func NewCore(s State) *Core {
	c := &Core{
		now: s.Now, hoursAt: s.HoursAt, folded: s.Folded, longestHold: s.LongestHold, terms: s.Terms, converted: s.Converted,
		leases: make(map[ulid.ULID]*lease, len(s.Leases)),
		bits:   make(map[postgres.BitsKey]*bits, len(s.Bits)),
		ended:  make(map[ulid.ULID]bool), cleared: make(map[cleared]money.Micros),
		out: postgres.Settlement{
			Accounts: make(map[postgres.BudgetKey]*postgres.AccountChange),
			Ledger:   make(map[postgres.BudgetKey]*postgres.LedgerEntry),
			Cells:    make(map[postgres.CellKey]*postgres.Cell),
			Audience: make(map[postgres.AudienceKey]*postgres.AudienceCell),
			Supply:   make(map[postgres.SupplyKey]*postgres.SupplyCell),
			Reasons:  make(map[postgres.ReasonKey]postgres.ReasonCount),
		},
	}
	if c.converted == nil {
		c.converted = make(map[postgres.ConversionKey]bool)
	}
	for _, l := range s.Leases {
		c.leases[l.ID] = &lease{Lease: l}
	}
	for _, b := range s.Bits {
		c.bits[b.BitsKey] = &bits{Bits: b}
	}
	return c
}

// Settlement returns what all records together change.
func (c *Core) Settlement() *postgres.Settlement { return &c.out }

// Stats counts what was applied.
func (c *Core) Stats() Stats { return c.stats }

// Ended tells whether the stream's END was applied.
func (c *Core) Ended(process ulid.ULID) bool { return c.ended[process] }

// sound tells whether a record can be applied at all. The reader has checked
// most of it; what is left would make Postgres refuse the whole batch (text that
// is not UTF-8, sums beyond 64 bits), and with it every other stream.
func sound(rec *event.Record) bool {
	switch rec.Type {
	case event.Requests:
		return rec.Requests.N <= mostDecisions && plainText(rec.Requests.NoFill)
	case event.Unserved:
		return soundReasons(rec.Reasons)
	case event.Conversion:
		return rec.Landing.Reservation.Price <= postgres.MaxLeaseMicros && rec.Action.Value <= postgres.MaxLeaseMicros
	}
	return !rec.Type.IsLanding() || rec.Landing.Reservation.Price <= postgres.MaxLeaseMicros
}

// mostDecisions is how many decisions one count can sensibly stand for.
const mostDecisions = 1 << 40

func plainText(s string) bool {
	for i := range len(s) {
		if s[i] == 0 {
			return false
		}
	}
	return utf8.ValidString(s)
}

func (c *Core) odd(why Odd) {
	if c.stats.Odd == nil {
		c.stats.Odd = make(map[Odd]int64)
	}
	c.stats.Odd[why]++
}

// own finds the lease of an OPEN or CLOSE and makes sure that it is what the
// record says. A lease with money that the database never granted, or granted
// without money, proves that the database is older than the log.
func (c *Core) own(process ulid.ULID, rec *event.Lease) (*lease, error) {
	l := c.leases[rec.ID]
	switch {
	case c.gone(rec.ID):
		c.odd(OddFolded)
		return nil, nil
	case l == nil || (rec.Granted > 0 && l.Leased() == 0):
		return nil, fmt.Errorf("%w: it does not know of %s leased to process %s as %s for line item %d",
			postgres.ErrRebuild, rec.Granted, process, rec.ID, rec.LineItem)
	case l.Process != process:
		c.odd(OddProcess)
		return nil, nil
	case l.LineItem != rec.LineItem:
		c.odd(OddLineItem)
		return nil, nil
	case l.Leased() != rec.Granted:
		c.odd(OddGrant)
	}
	return l, nil
}

// gone tells whether a lease is not there because it is long over.
func (c *Core) gone(id ulid.ULID) bool {
	return c.leases[id] == nil && ulid.Time(id.Time()).Before(c.folded)
}

func (c *Core) open(process ulid.ULID, rec *event.Lease) error {
	_, err := c.own(process, rec)
	return err
}

func (c *Core) close(process ulid.ULID, rec *event.Lease) error {
	l, err := c.own(process, rec)
	if l == nil || err != nil {
		return err
	}
	if l.State != postgres.LeaseOpen {
		// A lost process's lease may be final by now, and one that only the log
		// knows has been from the start: their CLOSE says nothing new, nor does one
		// that a rebuild has applied before.
		if l.State == postgres.LeaseClosed && !l.LastExpiry.Equal(rec.LastExpiry) {
			c.odd(OddClose)
		}
		return nil
	}
	reserved := postgres.Amount{Micros: rec.Reserved, Impressions: rec.ReservedCount}
	if reserved.Micros > l.Leased() || reserved.Impressions > l.Granted.Impressions {
		c.odd(OddClose)
	}
	reserved.Micros = min(reserved.Micros, l.Granted.Micros)
	reserved.Impressions = min(reserved.Impressions, l.Granted.Impressions)
	lastExpiry := rec.LastExpiry
	if lastExpiry.IsZero() && reserved.Impressions > 0 {
		c.odd(OddClose)
		lastExpiry = c.now.Add(c.longestHold)
	}
	c.shut(l, reserved, lastExpiry)
	return nil
}

// shut closes a lease: what was never reserved is free at once, since no token
// for it was issued.
func (c *Core) shut(l *lease, reserved postgres.Amount, lastExpiry time.Time) {
	l.State, l.Reserved, l.LastExpiry = postgres.LeaseClosed, reserved, lastExpiry
	c.touch(l)
	free, room := l.Granted.Sub(reserved), l.Room()
	c.giveBack(l, postgres.Amount{
		Micros:      min(free.Micros, room.Micros),
		Impressions: min(free.Impressions, room.Impressions),
	})
	if lastExpiry.IsZero() {
		c.Return(l.Lease)
	}
	c.finish(l)
}

// end closes what the stream left open: nobody knows how much of it was
// reserved, so all of it may have been, by tokens that are as young as now.
func (c *Core) end(process ulid.ULID) {
	c.ended[process] = true
	for _, l := range c.leases {
		if l.Process == process && l.State == postgres.LeaseOpen {
			c.Abandon(l.Lease)
		}
	}
}

// Abandon closes an open lease whose process ended without closing it.
func (c *Core) Abandon(pl *postgres.Lease) {
	c.shut(c.known(pl), pl.Granted, c.now.Add(c.longestHold))
}

// Return gives back all that a lease still holds and makes it final. The caller
// has proof that no event can charge it any more: the watermark, or the bank's
// clock for a lost process.
func (c *Core) Return(pl *postgres.Lease) {
	l := c.known(pl)
	c.giveBack(l, l.Room())
	c.finish(l)
	if l.State != postgres.LeaseFinal { // it was never closed
		l.State = postgres.LeaseFinal
		c.touch(l)
	}
}

func (c *Core) known(pl *postgres.Lease) *lease {
	l := c.leases[pl.ID]
	if l == nil {
		l = &lease{Lease: pl}
		c.leases[pl.ID] = l
	}
	return l
}

func (c *Core) giveBack(l *lease, amount postgres.Amount) {
	if amount == (postgres.Amount{}) {
		return
	}
	l.Returned = l.Returned.Add(amount)
	c.touch(l)
	account := c.account(l)
	account.Freed = account.Freed.Add(amount)
	c.stats.Returned += amount.Micros
}

// finish makes a closed lease final that holds nothing any more.
func (c *Core) finish(l *lease) {
	if l.State != postgres.LeaseClosed || l.Room() != (postgres.Amount{}) {
		return
	}
	l.State = postgres.LeaseFinal
	c.touch(l)
	if l.Reserved.Impressions > 0 {
		account := c.account(l)
		account.FinalReserved += l.Reserved.Impressions
		account.FinalSettled += l.Settled.Impressions
	}
}

func (c *Core) touch(l *lease) {
	if !l.changed {
		l.changed = true
		c.out.Leases = append(c.out.Leases, l.Lease)
	}
}

func (c *Core) account(l *lease) *postgres.AccountChange {
	key := postgres.BudgetKey{LineItem: l.LineItem, Day: l.Day}
	account := c.out.Accounts[key]
	if account == nil {
		account = new(postgres.AccountChange)
		c.out.Accounts[key] = account
	}
	return account
}
