// Package bank is this process's side of the bank: it asks for leases, opens
// them in the log before requests may use them, replaces them as they are used
// up, and closes them, so that the money comes back through the log.
//
// [Core] holds the rules as a state machine without goroutine, clock or IO;
// [Bank] drives it with Postgres, the event log and time (design §5, §3).
package bank

import (
	"sync/atomic"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/hayate-ads/hayate/delivery/lease"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// Rules are the core's durations and its view of the catalog.
type Rules struct {
	Hold      time.Duration // longest hold that this process puts on a reservation
	Silence   time.Duration // after this long without an answer of the bank no money is reserved: 180 s
	AskEvery  time.Duration // at most one batch of wants in this time: 1 s
	PermitTTL time.Duration // life of a permit minted here: 30 m

	// Price returns a line item's price of one impression, false when the
	// catalog does not know the line item.
	Price func(ad.ID) (money.Micros, bool)
	// Least returns how many reservations a line item needs at once: as many as it
	// has ads, where it shows all of them or none. Nil: one.
	Least func(ad.ID) int64
	// Generation changes whenever Price or Least may have: while it stays, they are
	// not looked up again. Nil: they always are.
	Generation func() uint64
	// MintID returns a fresh ULID; the simulator's are seeded.
	MintID func() ulid.ULID
	// Process is under whose id leases run now: tokens must name the same process
	// as their lease, also those that a change of id overtakes.
	Process func() ulid.ULID
}

// Core is the process's bank as a state machine. It is used by one goroutine;
// requests meet it only in the leases that it puts into the slots of its Book.
type Core struct {
	rules     Rules
	book      *lease.Book
	horizon   atomic.Int64 // shared by all leases with money, see lease.Lease.Horizon
	positions map[ad.ID]*position
	order     []*position             // of first sight: a step must not depend on map order
	byLease   map[ulid.ULID]*position // of leases in service or being opened
	askedAt   time.Time
	waiting   bool   // a batch of wants is unanswered
	asking    int    // positions with a wish, sent or not
	batch     int    // how many wishes the next batch holds at most
	sent      int    // how many the last one held
	next      int    // position in order at which it begins
	priced    uint64 // generation of the positions' prices
}

// position is what the core knows of one line item.
type position struct {
	lineItem ad.ID
	price    money.Micros
	least    int64 // reservations that it needs at once, at least 1
	slot     *lease.Slot
	serving  *held         // in the slot
	next     *held         // granted, its OPEN not durable yet
	later    *held         // opened on the eve of its day, which has not begun
	asked    postgres.Want // zero Lease: nothing asked
	retryAt  time.Time     // not asked again before, after a refusal
	ask      money.Micros  // how much to ask for next
	stopped  bool
	aside    bool // as the slot says; kept here since reviews ask it of every position, and slots are far apart
}

// held is a granted lease with what its CLOSE will repeat.
type held struct {
	lease   *lease.Lease
	record  event.Lease
	maxAge  time.Duration
	permit  bool      // minted here, no money in it
	retryAt time.Time // the log refused its OPEN: not logged again before
}

// Outputs is what a step asks its driver to do, in this order: append the Close
// records, append the Open records (and answer each with [Opened]), tell of the
// changes, and send Ask as one batch (answered by [Granted]).
type Outputs struct {
	Close   []event.Lease
	Open    []event.Lease
	Changed []ad.ID // line items whose slot changed: a lease came or went, was asked for or refused
	Ask     []postgres.Want
}

// Inputs of [Core.Step].
type (
	// Wanted: the eligible scan's winner has no lease.
	Wanted struct{ LineItem ad.ID }
	// Granted answers the outstanding batch; nil Grants with Failed set: not answered, ask again with the same ids.
	Granted struct {
		Grants []postgres.Grant
		Failed bool
		Later  bool // failed, and not for the number of wants
	}
	// Opened: the OPEN record of this lease is durable, or the log refused it.
	Opened struct {
		Lease  ulid.ULID
		Failed bool
	}
	// Answered: a heartbeat came back.
	Answered struct{ postgres.HeartbeatAnswer }
	// Tick: some time has passed.
	Tick struct{}
	// Drain: close every lease, ask for none again.
	Drain struct{}
)

// NewCore makes a core whose leases appear in book.
func NewCore(rules Rules, book *lease.Book) *Core {
	return &Core{rules: rules, book: book, batch: firstBatch, positions: make(map[ad.ID]*position), byLease: make(map[ulid.ULID]*position)}
}

// Step takes one input at bank time now and returns what is to be done. Inputs
// about one line item come by the thousand, and touch that one only; the others
// look at every position, and come some ten times a second.
func (c *Core) Step(now time.Time, input any) Outputs {
	var out Outputs
	switch in := input.(type) {
	case Wanted:
		if c.wanted(now, in.LineItem, &out) {
			c.gather(now, &out)
		}
		return out
	case Opened:
		c.opened(now, in, &out)
		return out
	case Granted:
		c.granted(now, in, &out)
	case Answered:
		c.answered(now, in.HeartbeatAnswer, &out)
	case Drain:
		c.closeAll(now, &out)
		return out
	}
	c.review(now, &out)
	c.gather(now, &out)
	return out
}

// wanted notes that a line item could serve, and tells whether the bank is to be
// asked. Price 0 needs no bank.
func (c *Core) wanted(now time.Time, lineItem ad.ID, out *Outputs) bool {
	price, known := c.rules.Price(lineItem)
	if !known {
		return false
	}
	p := c.positions[lineItem]
	if p == nil {
		p = &position{lineItem: lineItem, slot: c.book.Slot(lineItem)}
		c.positions[lineItem] = p
		c.order = append(c.order, p)
	}
	if p.stopped || p.serving != nil || p.next != nil || p.asked.LineItem != 0 || now.Before(p.retryAt) {
		return false
	}
	if price != 0 && c.asking >= c.batch {
		return false // one thing at a time: a request soon repeats it
	}
	c.fresh(now, p, out)
	return p.asked.LineItem != 0
}

// firstAsk is how many impressions a first lease is asked for; later ones
// follow what the last one showed.
const firstAsk = 2_000

// want puts a wish of a new lease into the next batch. The slot says so, so that
// the eligible scan goes on to what ranks below.
func (c *Core) want(p *position, out *Outputs) {
	c.setAside(p, true, out)
	if p.ask < p.price {
		p.ask = p.price * firstAsk
	}
	c.asking++
	p.asked = postgres.Want{
		Lease: c.rules.MintID(), LineItem: p.lineItem,
		Micros:      min(p.ask, lease.MaxMicros),
		Impressions: min(int64(p.ask/p.price)+1, lease.MaxReservations),
		Least:       p.least,
	}
}

// mint makes a permit: a lease of 0 micros, so that every decision has a lease
// and its events de-duplicate like all others (design §5.10).
func (c *Core) mint(now time.Time, p *position, out *Outputs) {
	until := now.Add(c.rules.PermitTTL)
	c.open(p, postgres.Grant{
		Lease: c.rules.MintID(), LineItem: p.lineItem, Impressions: lease.MaxReservations,
		Day: event.Day(now.Unix() / 86400), DayStart: time.Unix(0, 0), DayEnd: until, Deadline: until, MaxAge: c.rules.PermitTTL,
	}, out)
	p.next.permit = true
	p.next.lease.Horizon = nil
}

// open makes the lease of a grant, which may serve once its OPEN is durable.
func (c *Core) open(p *position, g postgres.Grant, out *Outputs) {
	l := lease.New(g.Lease, g.LineItem, g.Micros, g.Impressions)
	l.Process = c.rules.Process()
	l.From = g.DayStart.UnixMicro()
	l.Until = min(g.DayEnd.UnixMicro(), g.Deadline.UnixMicro())
	l.Horizon = &c.horizon
	p.next = &held{lease: l, maxAge: g.MaxAge, record: event.Lease{
		ID: g.Lease, LineItem: g.LineItem, Day: g.Day, Granted: g.Micros, GrantedImpressions: g.Impressions,
	}}
	c.byLease[g.Lease] = p
	out.Open = append(out.Open, p.next.record)
}

// Bounds of a batch of wants. Postgres has seconds for one: a process that starts
// under load among 100,000 line items would else ask for all of them at once, get
// no answer in time, and ask again for ever. A batch that failed is halved.
const (
	firstBatch = 1024
	leastBatch = 16
	mostBatch  = 4096
)

// granted takes the bank's answer: what was granted is opened in the log first.
func (c *Core) granted(now time.Time, in Granted, out *Outputs) {
	c.waiting = false
	if in.Failed {
		if c.sent > leastBatch && !in.Later { // else their number was not the trouble
			c.batch = max(c.sent/2, leastBatch)
		}
		return
	}
	c.batch = min(c.batch*2, mostBatch)
	for _, g := range in.Grants {
		p := c.positions[g.LineItem]
		if p == nil || p.asked.Lease != g.Lease {
			continue
		}
		p.asked = postgres.Want{}
		c.asking--
		if g.Refused != "" {
			p.retryAt = now.Add(patience(g.Refused))
			continue
		}
		c.open(p, g, out)
	}
}

// setAside takes a line item out of the eligible scan, or back into it.
func (c *Core) setAside(p *position, aside bool, out *Outputs) {
	if p.aside != aside {
		p.aside = aside
		p.slot.SetAside(aside)
		out.Changed = append(out.Changed, p.lineItem)
	}
}

// patience is how long a refused line item is not asked for again.
func patience(why postgres.Refusal) time.Duration {
	switch why {
	case postgres.RefusedHolders:
		return 2 * time.Second
	case postgres.RefusedSpent:
		return 5 * time.Second
	default:
		return 10 * time.Second
	}
}

// openRetry is how long a lease waits whose OPEN the log refused.
const openRetry = time.Second

// opened puts a lease whose OPEN is durable into service in place of the old one,
// or keeps it for the day that it is for: until then the old one serves.
func (c *Core) opened(now time.Time, in Opened, out *Outputs) {
	p := c.byLease[in.Lease]
	if p == nil || p.next == nil || p.next.record.ID != in.Lease {
		return
	}
	if in.Failed { // the log is away; the money waits for it
		p.next.retryAt = now.Add(openRetry)
		return
	}
	fresh := p.next
	p.next = nil
	switch {
	case p.stopped:
		c.close(now, fresh, out)
	case fresh.lease.From > now.UnixMicro():
		c.dropLater(now, p, out)
		p.later = fresh
	default:
		c.serve(now, p, fresh, out)
	}
}

// serve puts a lease into service in place of the one that serves.
func (c *Core) serve(now time.Time, p *position, fresh *held, out *Outputs) {
	old := p.serving
	p.serving = fresh
	p.slot.Store(fresh.lease)
	if old == nil {
		out.Changed = append(out.Changed, p.lineItem)
	} else {
		c.close(now, old, out)
	}
}

// dropLater closes the lease that waits for its day, if there is one.
func (c *Core) dropLater(now time.Time, p *position, out *Outputs) {
	if p.later != nil {
		c.close(now, p.later, out)
		p.later = nil
	}
}

// answered moves the horizon and applies what the bank carries back.
func (c *Core) answered(now time.Time, answer postgres.HeartbeatAnswer, out *Outputs) {
	if answer.Lost {
		c.forget(out)
		return
	}
	c.horizon.Store(now.Add(c.rules.Silence).UnixMicro())
	for _, stop := range answer.Stops {
		if stop.Kind == "line_item" {
			c.stop(now, stop, out)
		}
	}
	for _, id := range answer.Recalled {
		switch p := c.byLease[id]; {
		case p == nil:
		case p.later != nil && p.later.record.ID == id:
			c.dropLater(now, p, out)
		case p.serving != nil && p.serving.record.ID == id && p.serving.lease.FirstAt() == 0:
			c.retire(now, p, out)
		}
	}
}

// stop closes a stopped line item's lease at once. Stops of wider things reach
// the line items through the catalog, whose scan no longer offers them; their
// leases return when they age.
func (c *Core) stop(now time.Time, stop postgres.Stop, out *Outputs) {
	p := c.positions[stop.ID]
	if p == nil {
		return
	}
	p.stopped = stop.Stopped
	if !p.stopped {
		return
	}
	c.dropLater(now, p, out)
	if p.serving != nil {
		c.retire(now, p, out)
	}
}

// forget drops everything of a process that the bank holds for lost: its stream
// is sealed with END, which accounts for all its leases, and a new id begins.
func (c *Core) forget(out *Outputs) {
	for _, p := range c.order {
		if p.serving != nil {
			p.serving.lease.Close()
			p.slot.Store(nil)
			out.Changed = append(out.Changed, p.lineItem)
		}
		p.serving, p.next, p.later, p.asked = nil, nil, nil, postgres.Want{}
	}
	clear(c.byLease)
	c.waiting, c.asking = false, 0
}
