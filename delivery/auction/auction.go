// Package auction decides: given a catalog and a request it names the winner of
// every placement, or why there is none.
//
// Its functions are pure but for one thing, the winner's reservation on its
// lease. The same catalog, request (its seed included) and state of the leases
// give the same decisions, so that a decision can be replayed.
package auction

import (
	"math/bits"
	"slices"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/hayate-ads/hayate/delivery/catalog"
	"github.com/hayate-ads/hayate/delivery/target"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/event"
)

// Request is one request for ads in one or more placements.
type Request struct {
	Query      target.Query // Hours: [Run] and the others take the catalog's when it is nil
	Country    [2]byte      // of the visitor, for reports: ISO 3166-1 alpha-2, zero: unknown
	Device     event.DeviceType
	Placements []ad.ID   // decided in this order; no creative shows twice among them
	Seed       uint64    // decides among equals; random per request, never derived from the time
	Now        int64     // bank time in Unix microseconds
	Process    ulid.ULID // this process, for reservations without a lease: a test's
	Hold       time.Duration
	Flags      event.Flags // with event.Test, leases are looked at and not touched, and nothing bills
}

// Decision is the answer for one placement.
type Decision struct {
	Placement ad.ID
	NoFill    Reason            // [Filled] when there is a winner; else the rest is zero
	LineItem  *catalog.LineItem // of the catalog that decided
	Creative  *catalog.Creative // likewise
	Seed      uint64            // of this decision, for cache busters: derived from the request's
	Claim     event.Reservation // complete: what its tokens say
}

// Run decides every placement of req and appends the decisions, one per
// placement in the same order. The winner is the live line item of the lowest
// tier number, then of the highest urgency (guaranteed) or value (auction), that
// targets the request, reaches the floor, is not excluded, has a creative that
// fits, and can reserve its price. Among equals the seed decides, by weight.
// Losing touches no lease. A test asks what would be shown, budgets aside: it
// needs no lease and touches none, so that whoever asks for tests cannot use up
// what others wait for.
//
// The placements of a request are one decision: no creative shows twice, nor do
// two line items that share a label, and roadblocks are kept. They are decided in
// the order of the request, each with what the ones before left over: the
// publisher, who knows what each of them is worth, says by that order which one
// chooses first. The engine reorders nothing, neither for its own revenue nor for
// an advertiser's; only companions, who need several placements or none, come
// before (and then no placement gets a line item that ranks below what it could
// have had).
func Run(c *catalog.Catalog, req *Request, s *Scratch, dst []Decision) []Decision {
	w := leased
	if req.Flags&event.Test != 0 {
		w = anyway
	}
	s.begin(c, req, w)
	s.counting = w == leased
	s.decide()
	s.lookAgain()
	for i := range s.slots {
		dst = append(dst, Decision{Placement: req.Placements[i], NoFill: reasons[s.slots[i].verdict]})
		if s.slots[i].verdict == fits {
			s.fill(&dst[len(dst)-1], &s.slots[i])
		}
	}
	return dst
}

// Wants appends the line items that would win a placement of req if every
// eligible one had a lease, and are not live: what to ask the bank for. It
// reserves nothing. A line item may be named more than once.
func Wants(c *catalog.Catalog, req *Request, s *Scratch, dst []ad.ID) []ad.ID {
	s.begin(c, req, asking)
	s.decide()
	live := c.Live()
	for i := range s.slots {
		if s.slots[i].verdict != fits {
			continue
		}
		item := s.slots[i].winner.item
		if row, _ := c.Index.RowsOf(item); !has(live, row) {
			dst = append(dst, c.LineItems[item].ID)
		}
	}
	return dst
}

// fill completes the decision for its winner.
func (s *Scratch) fill(d *Decision, l *slot) {
	found := &l.winner
	item := &s.catalog.LineItems[found.item]
	d.LineItem, d.Creative, d.Seed = item, found.creative, l.seed
	price, bills := found.price, billing(item)
	if s.request.Flags&event.Test != 0 {
		price, bills = 0, event.BillsNothing
	}
	d.Claim = event.Reservation{
		Process: s.request.Process, Index: found.index,
		LineItem: item.ID, Creative: found.creative.ID, Placement: d.Placement,
		Country: s.request.Country, Device: s.request.Device,
		DecidedAt: time.UnixMilli(s.request.Now / 1000).UTC(), Hold: s.request.Hold,
		Generation: s.catalog.Generation, Price: price, BidPrice: price,
		Share: l.placement.Share, Advertiser: item.Advertiser, Bills: bills, Flags: s.request.Flags,
	}
	if found.lease != nil { // a test has none
		// The lease's own process, not the request's: that may have changed its id
		// between the two, and settle knows a lease by its process.
		d.Claim.Lease, d.Claim.Process = found.lease.ID, found.lease.Process
	}
}

// billing is the event that charges for a line item's ads. What bills a click or
// a conversion reserves nothing for the impression.
func billing(line *catalog.LineItem) event.Bills {
	switch {
	case line.CostType() == ad.CPC:
		return event.BillsClick
	case line.CostType() == ad.CPA:
		return event.BillsConversion
	case line.Price == 0:
		return event.BillsNothing
	}
	return event.BillsImpression
}

// lookAgain names the reason of placements for which nobody live could win: who
// is merely without a lease is worth another walk, since this request needs no
// tokens and no markup there, and shows the bank what to lease.
func (s *Scratch) lookAgain() {
	if s.way != leased || !slices.ContainsFunc(s.slots, wanting) {
		return
	}
	s.way = anyway
	s.forgetRivals()
	s.lookForCompanions()
	for i := range s.slots {
		l := &s.slots[i]
		if !wanting(*l) {
			continue
		}
		s.turnTo(l)
		item, v := s.first()
		if v == fits {
			s.lose(item, noLease)
			v = noLease
		}
		l.verdict = max(l.verdict, v)
	}
}

// wanting tells whether the reason of an empty slot may be another one.
func wanting(l slot) bool { return l.open() && l.verdict != noLease }

// lookForCompanions finds those that only lack a lease.
func (s *Scratch) lookForCompanions() {
	if s.catalog.Companions() == nil {
		return
	}
	s.bar()
	s.gatherCompanions()
	for i := range s.companions {
		if s.place(&s.companions[i]) != fits {
			continue
		}
		item := s.companions[i].item
		s.lose(item, noLease)
		for seats := s.seating.seats(len(s.catalog.LineItems[item].Creatives)); seats != 0; seats &= seats - 1 {
			s.slots[bits.TrailingZeros64(seats)].verdict = noLease
		}
	}
}
