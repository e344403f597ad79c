package auction

import (
	"slices"

	"github.com/hayate-ads/hayate/delivery/catalog"
	"github.com/hayate-ads/hayate/delivery/lease"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/money"
)

// consider asks of one line item all that targeting does not, but for its lease.
// (Leases come apart from it, so that what must be asked of several at once can
// be asked in between: frequency counters will be.)
func (s *Scratch) consider(item int) (winner, verdict) {
	line := &s.catalog.LineItems[item]
	if v := s.admits(line, item); v != fits {
		return winner{}, v
	}
	if line.Roadblock() == ad.AllOrNone {
		return winner{}, byRoadblock // seated before, or not at all
	}
	creative, v := s.pick(line)
	return winner{item: item, creative: creative, price: line.Price}, v
}

// admits asks what does not depend on the creative.
func (s *Scratch) admits(line *catalog.LineItem, item int) verdict {
	if s.below(line) {
		return belowFloor
	}
	if len(s.placement.BlockedAdvertisers) > 0 {
		if _, blocked := slices.BinarySearch(s.placement.BlockedAdvertisers, line.Advertiser); blocked {
			return byAdvertiser
		}
	}
	if len(s.shown) == 0 {
		return fits
	}
	if len(line.Labels) > 0 && s.rivalled(line, item) >= 0 {
		return byLabel
	}
	if line.Roadblock() == ad.OnlyOne && s.shows(item) {
		return byRoadblock
	}
	return fits
}

// below tells whether the placement's floor is above what the line item is
// worth. Floors bind the auction tier only: the others are agreements with the
// publisher, who has named their price there, and house ads have none.
func (s *Scratch) below(line *catalog.LineItem) bool {
	return line.Tier == ad.Auction && line.Value < s.placement.MinValue
}

// rivalled finds the ad shown already, of another line item, that shares a label
// with this one: its place in shown, -1 when there is none.
func (s *Scratch) rivalled(line *catalog.LineItem, item int) int {
	return slices.IndexFunc(s.shown, func(other shown) bool {
		return other.item != item && meet(line.Labels, s.catalog.LineItems[other.item].Labels)
	})
}

func (s *Scratch) shows(item int) bool {
	return slices.ContainsFunc(s.shown, func(other shown) bool { return other.item == item })
}

// meet tells whether two ascending lists share a number.
func meet(a, b []uint16) bool {
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0] == b[0]:
			return true
		case a[0] < b[0]:
			a = a[1:]
		default:
			b = b[1:]
		}
	}
	return false
}

// pickSalt keeps the choice among creatives apart from the one among line items:
// their ids are of different kinds and may be equal.
const pickSalt = 0x452821e638d01377

// pick chooses among a line item's creatives that fit, by the seed. Where none
// does, the verdict is of the one that came furthest.
func (s *Scratch) pick(line *catalog.LineItem) (*catalog.Creative, verdict) {
	var picked *catalog.Creative
	var best uint64
	furthest := noMatch
	for i := range line.Creatives {
		creative := &line.Creatives[i]
		if v := s.suits(creative); v != fits {
			furthest = further(furthest, v)
			continue
		}
		if chance := mix(s.seed^pickSalt, uint64(creative.ID)); picked == nil || chance > best {
			picked, best = creative, chance
		}
	}
	if picked != nil {
		return picked, fits
	}
	return nil, furthest
}

// further is the creative that came closer to being shown: a stopped one was
// looked at no further.
func further(a, b verdict) verdict {
	if a == noMatch || a == noCreative {
		return b
	}
	if b == noCreative {
		return a
	}
	return max(a, b)
}

// suits asks what depends on the creative.
func (s *Scratch) suits(creative *catalog.Creative) verdict {
	p := s.placement
	switch {
	case !slices.Contains(p.Shapes, creative.Shape) || s.catalog.CreativeStopped(creative.Index):
		return noCreative
	case creative.Attributes&p.BlockedAttributes != 0:
		return byAttribute
	case len(p.BlockedCategories) > 0 && meet(creative.Categories, p.BlockedCategories):
		return byCategory
	case slices.ContainsFunc(s.shown, func(other shown) bool { return other.creative == creative.Index }):
		return byShown
	}
	return fits
}

// leasable tells whether a line item could reserve its price n times, in the way
// at hand.
func (s *Scratch) leasable(item, n int) bool {
	if s.free() {
		return true
	}
	line := &s.catalog.LineItems[item]
	current := line.Slot.Load()
	if current == nil {
		return false
	}
	micros, impressions := line.Price*money.Micros(n), int64(n)
	if s.way == peeked { // what the decision has shown so far would have reserved
		for _, other := range s.shown {
			if other.item == item {
				micros, impressions = micros+other.price, impressions+1
			}
		}
	}
	return reservable(current, micros, impressions, s.request.Now)
}

// reservable is what Reserve would answer, n times.
func reservable(l *lease.Lease, micros money.Micros, n, now int64) bool {
	if now < l.From || now >= l.Until || (l.Horizon != nil && now >= l.Horizon.Load()) {
		return false
	}
	left, impressions := l.Left()
	return impressions >= n && left >= micros
}

// reserve gets a winner its reservation, in the way at hand.
func (s *Scratch) reserve(found *winner) bool {
	if s.free() {
		return true
	}
	found.lease = s.catalog.LineItems[found.item].Slot.Load()
	if found.lease == nil {
		return false
	}
	if s.way == peeked {
		return s.leasable(found.item, 1)
	}
	var ok bool
	found.index, ok = found.lease.Reserve(found.price, s.request.Now)
	return ok
}
