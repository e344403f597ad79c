package auction

import (
	"slices"

	"github.com/hayate-ads/hayate/delivery/catalog"
	"github.com/hayate-ads/hayate/delivery/lease"
	"github.com/hayate-ads/hayate/delivery/target"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/money"
)

// Scratch is the memory that one goroutine's decisions reuse; the zero value is
// ready, and it is never copied.
type Scratch struct {
	catalog *catalog.Catalog
	request *Request
	query   target.Query
	scan    target.Scan
	used    []int // creatives shown already, by index

	// Of the placement at hand:
	placement *catalog.Placement
	seed      uint64
	way       way
	ties      [maxTies]tie
}

// way is how a walk treats leases.
type way int

const (
	leased way = iota // live line items; the winner reserves
	peeked            // live line items that could reserve; nothing does
	anyway            // servable line items, leases aside: to name a reason, and for tests
	asking            // eligible line items, leases aside: to ask for leases
)

// winner of one placement.
type winner struct {
	item     int // in Catalog.LineItems
	creative *catalog.Creative
	seed     uint64
	lease    *lease.Lease // when leased, with the index reserved on it
	index    uint32
}

func (s *Scratch) begin(c *catalog.Catalog, req *Request) {
	s.catalog, s.request = c, req
	s.query = req.Query
	if s.query.Hours == nil {
		s.query.Hours = c.Hours()
	}
	s.used = s.used[:0]
	s.scan.Prepare(c.Index, &s.query)
}

// decide finds the winner of the i-th placement. The reason is [Filled] when
// there is one.
func (s *Scratch) decide(i int, w way) (winner, Reason) {
	s.placement = s.catalog.Placement(s.request.Placements[i])
	if s.placement == nil {
		return winner{}, UnknownPlacement
	}
	if s.placement.Supply.Empty() {
		return winner{}, NoCreative
	}
	s.seed = mix(s.request.Seed, uint64(i)+1)
	found, reason := s.walk(w)
	if reason == Filled || reason == NoLease || w == asking || w == anyway {
		return found, reason
	}
	// Nobody live could win. Who is merely without a lease is worth a second
	// walk: this request needs no tokens and no markup.
	_, other := s.walk(anyway)
	if other == Filled {
		return winner{}, NoLease
	}
	return winner{}, furthest(reason, other)
}

// walk goes through the matching line items from the best rank on, until one
// wins. Of several with equal rank the seed decides.
func (s *Scratch) walk(w way) (winner, Reason) {
	s.way = w
	mask := s.catalog.Live()
	switch w {
	case anyway:
		mask = s.catalog.Servable()
	case asking:
		mask = s.catalog.Eligible()
	}
	s.scan.Start(s.placement.Supply, mask)
	reason := NoMatch
	for row := s.scan.Next(); row >= 0; row = s.scan.Next() {
		item := s.catalog.Index.Item(row)
		line := &s.catalog.LineItems[item]
		if line.Value < s.placement.Floor {
			// So is every one behind it in its tier.
			reason = furthest(reason, BelowFloor)
			s.seek(s.catalog.TierEnd(line.Tier))
			continue
		}
		from, to := s.catalog.Peers(item)
		var found winner
		var failed Reason
		if to-from == 1 {
			found, failed = s.try(item)
			s.skipRows(item, row)
		} else {
			found, failed = s.tryPeers(row, from, to)
		}
		if failed == Filled {
			return found, Filled
		}
		reason = furthest(reason, failed)
	}
	return winner{}, reason
}

// seek goes on with the line item at a place.
func (s *Scratch) seek(item int) {
	if item == len(s.catalog.LineItems) {
		s.scan.Seek(s.catalog.Index.Rows())
		return
	}
	row, _ := s.catalog.Index.RowsOf(item)
	s.scan.Seek(row)
}

// skipRows passes over the further rows of a line item that has been looked at.
func (s *Scratch) skipRows(item, row int) {
	if _, to := s.catalog.Index.RowsOf(item); row+1 < to {
		s.scan.Seek(to)
	}
}

// try lets one line item win: all that targeting does not ask, in the order of
// the reasons.
func (s *Scratch) try(item int) (winner, Reason) {
	found, reason := s.consider(item)
	if reason == Filled {
		reason = s.take(&found)
	}
	return found, reason
}

// consider asks all but the lease.
func (s *Scratch) consider(item int) (winner, Reason) {
	line := &s.catalog.LineItems[item]
	if line.Value < s.placement.Floor {
		return winner{}, BelowFloor
	}
	if len(s.placement.BlockedAdvertisers) > 0 && s.blocks(line.Advertiser) {
		return winner{}, Excluded
	}
	creative, reason := s.pick(line)
	return winner{item: item, creative: creative, seed: s.seed}, reason
}

func (s *Scratch) blocks(advertiser ad.ID) bool {
	_, blocked := slices.BinarySearch(s.placement.BlockedAdvertisers, advertiser)
	return blocked
}

// pick chooses among a line item's creatives that fit, by the seed.
func (s *Scratch) pick(line *catalog.LineItem) (*catalog.Creative, Reason) {
	var picked *catalog.Creative
	var best uint64
	reason := NoCreative
	for i := range line.Creatives {
		creative := &line.Creatives[i]
		if !slices.Contains(s.placement.Shapes, creative.Shape) || s.catalog.CreativeStopped(creative.Index) {
			continue
		}
		if slices.Contains(s.used, creative.Index) {
			reason = Excluded
			continue
		}
		if chance := mix(s.seed, uint64(creative.ID)); picked == nil || chance > best {
			picked, best = creative, chance
		}
	}
	if picked != nil {
		return picked, Filled
	}
	return nil, reason
}

// take gets the winner its lease, in the walk's way.
func (s *Scratch) take(found *winner) Reason {
	if s.way == anyway || s.way == asking {
		return Filled
	}
	line := &s.catalog.LineItems[found.item]
	found.lease = line.Slot.Load()
	if found.lease == nil {
		return NoLease
	}
	ok := false
	if s.way == peeked {
		ok = reservable(found.lease, line.Price, s.request.Now)
	} else {
		found.index, ok = found.lease.Reserve(line.Price, s.request.Now)
	}
	if !ok {
		return NoLease
	}
	return Filled
}

// reservable is what Reserve would answer.
func reservable(l *lease.Lease, price money.Micros, now int64) bool {
	left, impressions := l.Left()
	return now >= l.From && now < l.Until && impressions > 0 && left >= price
}

// closeness orders the reasons as the list of them does.
func closeness(r Reason) int {
	switch r {
	case NoMatch:
		return 1
	case BelowFloor:
		return 2
	case Excluded:
		return 3
	case NoCreative:
		return 4
	case NoLease:
		return 5
	}
	return 0
}

func furthest(a, b Reason) Reason {
	if closeness(b) > closeness(a) {
		return b
	}
	return a
}
