// Package auction decides: given a catalog and a request it names the winner of
// every placement, or why there is none.
//
// Its functions are pure but for one thing, the winner's reservation on its
// lease. The same catalog, request (its seed included) and state of the leases
// give the same decisions, so that a decision can be replayed.
package auction

import (
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
	Seed       uint64    // breaks ties; random per request, never derived from the time
	Now        int64     // bank time in Unix microseconds
	Process    ulid.ULID // this process, for reservations without a lease: a test's
	Hold       time.Duration
	Flags      event.Flags // with event.Test, leases are looked at and not touched, and nothing bills
}

// Reason is why a placement stays empty. It is a metric tag and a column of
// reports: the list is closed.
type Reason string

// The reasons; where several line items failed differently it is the one that
// came closest to winning, which is the lower in this list.
const (
	Filled           Reason = ""
	UnknownPlacement Reason = "unknown_placement" // not in this catalog
	NoMatch          Reason = "no_match"          // no eligible line item targets this request
	BelowFloor       Reason = "below_floor"       // matches, but priced below the placement's floor
	Excluded         Reason = "excluded"          // matches, but its advertiser is blocked here or its creative is shown already
	NoCreative       Reason = "no_creative"       // nobody has a creative of its formats and sizes, or it is stopped
	NoLease          Reason = "no_lease"          // would have won, but has no lease, or too little left on it
)

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
// tier number, then of the highest price, that targets the request, has a
// creative that fits, reaches the floor, is not blocked, and can reserve its
// price; ties are broken by the seed. Losing touches no lease. A test asks what
// would be shown, budgets aside: it needs no lease and touches none, so that
// whoever asks for tests cannot use up what others wait for.
func Run(c *catalog.Catalog, req *Request, s *Scratch, dst []Decision) []Decision {
	s.begin(c, req)
	w := leased
	if req.Flags&event.Test != 0 {
		w = anyway
	}
	for i := range req.Placements {
		dst = append(dst, Decision{Placement: req.Placements[i]})
		d := &dst[len(dst)-1]
		found, reason := s.decide(i, w)
		if reason != Filled {
			d.NoFill = reason
			continue
		}
		s.fill(d, found)
	}
	return dst
}

// Wants appends the line items that would win a placement of req if every
// eligible one had a lease, and are not live: what to ask the bank for. It
// reserves nothing. A line item may be named more than once.
func Wants(c *catalog.Catalog, req *Request, s *Scratch, dst []ad.ID) []ad.ID {
	s.begin(c, req)
	live := c.Live()
	for i := range req.Placements {
		found, reason := s.decide(i, asking)
		if reason != Filled {
			continue
		}
		s.used = append(s.used, found.creative.Index)
		if row, _ := c.Index.RowsOf(found.item); live[row>>6].Load()&(1<<(row&63)) == 0 {
			dst = append(dst, c.LineItems[found.item].ID)
		}
	}
	return dst
}

// fill completes the decision for its winner.
func (s *Scratch) fill(d *Decision, found winner) {
	item := &s.catalog.LineItems[found.item]
	d.LineItem, d.Creative, d.Seed = item, found.creative, found.seed
	s.used = append(s.used, found.creative.Index)
	price, bills := item.Price, event.BillsImpression
	if s.request.Flags&event.Test != 0 {
		price = 0
	}
	if price == 0 {
		bills = event.BillsNothing
	}
	d.Claim = event.Reservation{
		Process: s.request.Process, Index: found.index,
		LineItem: item.ID, Creative: found.creative.ID, Placement: d.Placement,
		Country: s.request.Country, Device: s.request.Device,
		DecidedAt: time.UnixMilli(s.request.Now / 1000).UTC(), Hold: s.request.Hold,
		Generation: s.catalog.Generation, Price: price, BidPrice: price,
		Bills: bills, Flags: s.request.Flags,
	}
	if found.lease != nil { // a test has none
		// The lease's own process, not the request's: that may have changed its id
		// between the two, and settle knows a lease by its process.
		d.Claim.Lease, d.Claim.Process = found.lease.ID, found.lease.Process
	}
}
