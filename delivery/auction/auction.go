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
	"github.com/hayate-ads/hayate/internal/money"
)

// Request is one request for ads in one or more placements.
type Request struct {
	Query      target.Query // Hours: [Run] and the others take the catalog's when it is nil
	Placements []ad.ID      // decided in this order; no creative shows twice among them
	Seed       uint64       // breaks ties; random per request, never derived from the time
	Now        int64        // bank time in Unix microseconds
	Process    ulid.ULID    // this process, for the reservations
	Hold       time.Duration
	Flags      event.Flags // with event.Test, prices are not reserved and nothing bills
}

// Reason is why a placement stays empty. It is a metric tag and a column of
// reports: the list is closed.
type Reason string

// The reasons; where several line items failed differently it is the one that
// came closest to winning, which is the lower in this list.
const (
	Filled           Reason = ""
	UnknownPlacement Reason = "unknown_placement" // not in this catalog
	NoCreative       Reason = "no_creative"       // nobody has a creative of its formats and sizes
	NoMatch          Reason = "no_match"          // no eligible line item targets this request
	BelowFloor       Reason = "below_floor"       // matches, but priced below the placement's floor
	Excluded         Reason = "excluded"          // matches, but its advertiser is blocked here or its creative is shown already
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

// Scratch is the memory that one goroutine's decisions reuse; the zero value is
// ready, and it is never copied.
type Scratch struct{}

// Run decides every placement of req and appends the decisions, one per
// placement in the same order. The winner is the live line item of the lowest
// tier number, then of the highest price, that targets the request, has a
// creative that fits, reaches the floor, is not blocked, and can reserve its
// price; ties are broken by the seed. Losing touches no lease.
func Run(c *catalog.Catalog, req *Request, s *Scratch, dst []Decision) []Decision {
	panic("unwritten")
}

// Wants appends the line items that would win a placement of req if every
// eligible one had a lease, and are not live: what to ask the bank for. It
// reserves nothing. A line item may be named more than once.
func Wants(c *catalog.Catalog, req *Request, s *Scratch, dst []ad.ID) []ad.ID { panic("unwritten") }

// Explanation says how one line item fared for one placement.
type Explanation struct {
	Placement  ad.ID        `json:"placement"`
	LineItem   ad.ID        `json:"line_item"`
	Campaign   ad.ID        `json:"campaign"`
	Advertiser ad.ID        `json:"advertiser"`
	Rank       int          `json:"rank"` // from 1, over all line items
	Tier       ad.Tier      `json:"tier"`
	CPM        money.Micros `json:"cpm"`
	Outcome    Outcome      `json:"outcome"`
	Predicate  string       `json:"predicate,omitempty"` // what failed: "country", "floor", "advertiser", …
	Wanted     string       `json:"wanted,omitempty"`    // what the line item or the placement asks for
	Got        string       `json:"got,omitempty"`       // what was there instead; "" is shown as "unknown"
	Creative   ad.ID        `json:"creative,omitempty"`  // of the winner
}

// Outcome is what became of a line item.
type Outcome string

// The outcomes, in the order in which a line item meets them.
const (
	Won           Outcome = "won"
	Outbid        Outcome = "outbid" // could have won; Wanted is the winner
	Stopped       Outcome = "stopped"
	OutOfDate     Outcome = "out_of_date"
	Mismatch      Outcome = "no_match"
	Creativeless  Outcome = "no_creative"
	UnderFloor    Outcome = "below_floor"
	ExcludedThere Outcome = "excluded"
	Leaseless     Outcome = "no_lease"
)

// Explain says for every placement of req and every line item, in rank order,
// the first thing that keeps it from winning, with both values, or that it wins.
// It reserves nothing and may allocate; unknown placements have no explanations.
func Explain(c *catalog.Catalog, req *Request) []Explanation { panic("unwritten") }
