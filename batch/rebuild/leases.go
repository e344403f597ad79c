package rebuild

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// bring writes the leases that the database does not know, in one transaction.
// Where they need what older leases of their accounts still hold and no longer
// need, those give it back.
func (x *Rebuilder) bring(ctx context.Context, settler *postgres.Settler, h *history, sum *Summary) error {
	var named []ulid.ULID
	for id, c := range h.leases {
		if !c.opened.IsZero() && c.granted.Micros > 0 {
			named = append(named, id)
		}
	}
	unknown, err := settler.UnknownGrants(ctx, named)
	if err != nil || len(unknown) == 0 {
		return err
	}
	lineItems := make(map[ad.ID]bool)
	for _, id := range unknown {
		lineItems[h.leases[id].lineItem] = true
	}
	return settler.InTx(ctx, func(tx *postgres.SettleTx) error {
		a, err := x.accounts(ctx, tx, h, lineItems, unknown)
		if err != nil {
			return err
		}
		a.allocate()
		written, orphans := a.leases()
		if err := tx.WriteRebuilt(ctx, written); err != nil {
			return err
		}
		sum.Leases += len(unknown)
		sum.Clipped = append(sum.Clipped, a.clips()...)
		sum.Orphans = append(sum.Orphans, orphans...)
		return nil
	})
}

// holding is a lease on its way: what it asks for, and what it gets.
type holding struct {
	claim *claim // nil: the unsettled log does not name it
	lease postgres.RebuiltLease
	fresh bool // the database did not know it
	over  bool // nothing can charge it any more that is not in the bucket
	asks  [3]postgres.Amount
	gets  postgres.Amount
	short postgres.Amount // of what it asks for and nobody else may have had meanwhile
}

// Of what a holding asks for, the order in which it is served.
const (
	mustHave = iota // what its events inside their hold cost
	lateOnes        // what those after it cost
	mayNeed         // what its other tokens may still cost
)

// accounts are the budgets that leases draw on, and those leases.
type accounts struct {
	lifetime map[ad.ID]*postgres.Amount // what is left
	ofDay    map[postgres.BudgetKey]*postgres.Amount
	holdings []*holding // by opening
}

func (x *Rebuilder) accounts(ctx context.Context, tx *postgres.SettleTx, h *history, lineItems map[ad.ID]bool, unknown []ulid.ULID) (*accounts, error) {
	a := &accounts{lifetime: make(map[ad.ID]*postgres.Amount), ofDay: make(map[postgres.BudgetKey]*postgres.Amount)}
	ids := make([]ad.ID, 0, len(lineItems))
	for id := range lineItems {
		ids = append(ids, id)
	}
	known, err := tx.LeasesOf(ctx, ids, unknown)
	if err != nil {
		return nil, err
	}
	for _, l := range known {
		if _, fresh := slices.BinarySearchFunc(unknown, l.ID, ulid.ULID.Compare); fresh {
			continue // known by events of theirs only, without money
		}
		a.holdings = append(a.holdings, x.known(h, l, tx.Now))
	}
	var days []postgres.BudgetKey
	for _, id := range unknown {
		held := x.unknown(h, h.leases[id], tx.Now)
		a.holdings = append(a.holdings, held)
		days = append(days, postgres.BudgetKey{LineItem: held.lease.LineItem, Day: held.lease.Day})
	}
	budgets, err := tx.Budgets(ctx, days)
	if err != nil {
		return nil, err
	}
	for _, b := range budgets {
		left := b.Left
		if b.Day == nil {
			a.lifetime[b.LineItem] = &left
		} else {
			a.ofDay[postgres.BudgetKey{LineItem: b.LineItem, Day: event.Day(b.Day.Unix() / 86400)}] = &left
		}
	}
	slices.SortFunc(a.holdings, func(a, b *holding) int { return a.lease.ID.Compare(b.lease.ID) })
	return a, nil
}

// known is a lease that the database has: it asks for no more than it still holds.
func (x *Rebuilder) known(h *history, l *postgres.Lease, now time.Time) *holding {
	held := &holding{claim: h.leases[l.ID], lease: postgres.RebuiltLease{Lease: *l, Opened: now, Deadline: ulid.Time(l.ID.Time()).Add(x.Bank.LeaseTTL)}}
	c := held.claim
	if c != nil && c.closed && l.State == postgres.LeaseOpen {
		held.close(c.reserved, c.lastExpiry)
	}
	if end, ended := h.ended[l.Process]; ended && held.lease.State == postgres.LeaseOpen {
		held.close(l.Granted, end.Add(x.Bank.LongestHold))
	}
	held.ask(least(held.lease.Room(), held.lease.Reserved.Sub(held.lease.Settled), held.lease.State), x.over(held, now))
	return held
}

// least is what a lease may still be charged.
func least(room, unsettled postgres.Amount, state postgres.LeaseState) postgres.Amount {
	if state == postgres.LeaseOpen {
		return room
	}
	return clip(unsettled, room)
}

// unknown is a lease that only the log has.
func (x *Rebuilder) unknown(h *history, c *claim, now time.Time) *holding {
	held := &holding{claim: c, fresh: true, lease: postgres.RebuiltLease{
		Lease: postgres.Lease{
			ID: c.id, Process: c.process, LineItem: c.lineItem, Day: c.day, Granted: c.granted, State: postgres.LeaseOpen,
		},
		Opened: c.opened, Deadline: c.opened.Add(x.Bank.LeaseTTL),
	}}
	if c.closed {
		held.close(c.reserved, c.lastExpiry)
	} else if end, ended := h.ended[c.process]; ended {
		held.close(c.granted, end.Add(x.Bank.LongestHold))
	}
	room := c.granted
	if held.lease.State == postgres.LeaseClosed {
		room = held.lease.Reserved
	}
	held.ask(room, x.over(held, now))
	return held
}

func (held *holding) close(reserved postgres.Amount, lastExpiry time.Time) {
	held.lease.State, held.lease.Reserved, held.lease.LastExpiry = postgres.LeaseClosed, reserved, lastExpiry
}

// over tells whether the newer database may have given back what the log does not
// charge: the last hold is over, or the lease's process was lost.
func (x *Rebuilder) over(held *holding, now time.Time) bool {
	if held.lease.State == postgres.LeaseClosed {
		return held.lease.LastExpiry.Add(x.Bank.Margin).Before(now)
	}
	return held.lease.Deadline.Add(x.Bank.LongestHold + x.Bank.Grace).Before(now)
}

// ask divides what a lease may still be charged by how surely it will.
func (held *holding) ask(room postgres.Amount, over bool) {
	held.over = over
	if held.claim != nil {
		held.asks[mustHave] = clip(held.claim.must, room)
		room = room.Sub(held.asks[mustHave])
		held.asks[lateOnes] = clip(held.claim.late, room)
		room = room.Sub(held.asks[lateOnes])
	}
	held.asks[mayNeed] = room
}

// clip is wanted, at most room and never negative, micros and impressions apart.
func clip(wanted, room postgres.Amount) postgres.Amount {
	return postgres.Amount{
		Micros:      max(0, min(wanted.Micros, room.Micros)),
		Impressions: max(0, min(wanted.Impressions, room.Impressions)),
	}
}

// allocate serves what is sure before what is not, and of that the newest leases
// first: what an older one did not use may have come back before they were granted.
func (a *accounts) allocate() {
	for _, held := range a.holdings {
		a.serve(held, mustHave)
	}
	for _, held := range a.holdings {
		a.serve(held, lateOnes)
	}
	for _, held := range slices.Backward(a.holdings) {
		a.serve(held, mayNeed)
	}
}

func (a *accounts) serve(held *holding, what int) {
	asks := held.asks[what]
	lifetime := a.lifetime[held.lease.LineItem]
	today := a.ofDay[postgres.BudgetKey{LineItem: held.lease.LineItem, Day: held.lease.Day}]
	var got postgres.Amount
	if lifetime != nil && today != nil {
		got = clip(clip(asks, *lifetime), *today)
		*lifetime, *today = lifetime.Sub(got), today.Sub(got)
	}
	held.gets = held.gets.Add(got)
	if what == mustHave || !held.over {
		held.short = held.short.Add(asks.Sub(got))
	}
}

// leases are what is written: of what a lease does not get, that is clipped which
// its events needed or its tokens may still need, and the rest came back.
func (a *accounts) leases() (written, orphans []postgres.RebuiltLease) {
	for _, held := range a.holdings {
		l := &held.lease
		if held.fresh {
			l.Clipped = held.short.Micros
			l.Granted.Micros -= l.Clipped
			l.Granted.Impressions -= held.short.Impressions
		}
		l.Returned = l.Granted.Sub(l.Settled).Sub(held.gets)
		l.Reserved = clip(l.Reserved, l.Granted)
		if l.State == postgres.LeaseClosed && l.Room() == (postgres.Amount{}) {
			l.State = postgres.LeaseFinal
		}
		if held.fresh && a.lifetime[l.LineItem] == nil {
			l.State = postgres.LeaseFinal
			orphans = append(orphans, *l)
		}
		written = append(written, *l)
	}
	return written, orphans
}

// clips adds up by line item and day what there was no room for.
func (a *accounts) clips() []Clip {
	byDay := make(map[postgres.BudgetKey]*Clip)
	for _, held := range a.holdings {
		l := &held.lease
		if held.short.Micros == 0 || a.lifetime[l.LineItem] == nil {
			continue
		}
		key := postgres.BudgetKey{LineItem: l.LineItem, Day: l.Day}
		if byDay[key] == nil {
			byDay[key] = &Clip{LineItem: l.LineItem, Day: time.Unix(int64(l.Day)*86400, 0).UTC().Format(time.DateOnly)}
		}
		c := byDay[key]
		c.Leases++
		c.Wanted += held.gets.Micros + held.short.Micros
		c.Got += held.gets.Micros
	}
	var clips []Clip
	for _, c := range byDay {
		clips = append(clips, *c)
	}
	slices.SortFunc(clips, func(a, b Clip) int { return cmp.Or(cmp.Compare(a.LineItem, b.LineItem), cmp.Compare(a.Day, b.Day)) })
	return clips
}
