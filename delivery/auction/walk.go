package auction

import (
	"github.com/hayate-ads/hayate/delivery/catalog"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/money"
)

// decide fills the slots: companions first, since they need several placements
// or none, then one placement after the other.
func (s *Scratch) decide() {
	s.seatCompanions()
	for i := range s.slots {
		if l := &s.slots[i]; l.open() {
			s.auction(l)
		}
	}
}

func (s *Scratch) auction(l *slot) {
	s.turnTo(l)
	found, v := s.walk()
	if v != fits {
		l.verdict = v
		return
	}
	s.show(l, found)
}

// start begins a walk over what matches at the placement at hand.
func (s *Scratch) start() {
	s.scan.Start(s.placement.Supply, s.mask())
	s.last = -1
}

// next returns the next matching line item in rank order, -1 after the last.
func (s *Scratch) next() int {
	for row := s.scan.Next(); row >= 0; row = s.scan.Next() {
		if item := s.catalog.Index.Item(row); item != s.last {
			s.last = item
			return item
		}
	}
	return -1
}

// seek makes the line item at a place, or what follows it, the next one. One whose
// rule matches nothing has no row to go to.
func (s *Scratch) seek(item int) {
	s.last = -1
	for ; item < len(s.catalog.LineItems); item++ {
		if row, end := s.catalog.Index.RowsOf(item); row < end {
			s.scan.Seek(row)
			return
		}
	}
	s.scan.Seek(s.catalog.Index.Rows())
}

// attempts bounds how often a walk starts again because what it had found lost
// its lease to other requests in between.
const attempts = 4

// walk goes through the matching line items from the best rank on, until one
// wins. Without a winner the verdict is of whoever came furthest.
func (s *Scratch) walk() (winner, verdict) {
	met := len(s.losses)
	for range attempts {
		s.start()
		s.losses = s.losses[:met]
		furthest := noMatch
		for item := s.next(); item >= 0; item = s.next() {
			found, v := s.compete(item)
			if v != fits {
				furthest = max(furthest, v)
			} else if s.settle(&found) {
				return found.winner, fits
			} else {
				furthest = fits // start again
				break
			}
		}
		if furthest != fits {
			return winner{}, furthest
		}
	}
	return winner{}, noLease
}

// contender is who wins a walk, before the price is known.
type contender struct {
	winner
	rivals   int  // of equal rank, that could have won too
	reserved bool // already, at its own price
}

// compete lets a line item and its equals try to win. The walk goes on behind
// them, or behind the tier when a floor is above them.
func (s *Scratch) compete(item int) (contender, verdict) {
	line := &s.catalog.LineItems[item]
	if s.below(line) { // and so is everybody behind it in its tier
		s.lose(item, belowFloor)
		s.seek(s.catalog.TierEnd(line.Tier))
		return contender{}, belowFloor
	}
	if from, to := s.catalog.Peers(item); to-from > 1 {
		return s.draw(item, to)
	}
	found, v := s.consider(item)
	c := contender{winner: found}
	if v == fits {
		if s.priced(line) {
			v = s.backed(item)
		} else if c.reserved = s.reserve(&c.winner); !c.reserved {
			v = noLease
		}
	}
	if v != fits {
		s.lose(item, v)
	}
	return c, v
}

func (s *Scratch) backed(item int) verdict {
	if s.leasable(item, 1) {
		return fits
	}
	return noLease
}

// settle prices a contender and reserves that. It fails when other requests have
// used up its lease since it was looked at.
func (s *Scratch) settle(c *contender) bool {
	if c.reserved {
		return true
	}
	if line := &s.catalog.LineItems[c.item]; s.priced(line) {
		c.price = clearing(line.Cost, s.placement.MinValue, s.runnerUp(c))
	}
	return s.reserve(&c.winner)
}

// priced tells whether others decide what a line item pays here: where the
// second price counts, in the auction tier, by the thousand impressions.
func (s *Scratch) priced(line *catalog.LineItem) bool {
	return s.placement.AuctionType == ad.SecondPrice && line.Tier == ad.Auction && line.Price > 0 && !s.free()
}

// step is what the winner pays above what it had to beat, per mille.
const step = money.Unit / 100

// clearing is the price of an impression by the second price: a cent per mille
// more than what had to be beaten, be it a line item's value or the floor, and
// never more than the winner's own cost.
func clearing(cost, floor, second money.Micros) money.Micros {
	return money.PerImpression(min(max(second, floor)+step, cost))
}

// runnerUp is the value of the best line item that could have won instead of c,
// with its lease; 0 when nobody in the auction tier could. It goes on with the
// walk that found c.
func (s *Scratch) runnerUp(c *contender) money.Micros {
	if c.rivals > 0 {
		return s.catalog.LineItems[c.item].Value
	}
	for item := s.next(); item >= 0; item = s.next() {
		line := &s.catalog.LineItems[item]
		if line.Tier != ad.Auction || s.below(line) {
			return 0
		}
		if _, v := s.consider(item); v == fits && s.leasable(item, 1) {
			s.lose(item, outbid)
			return line.Value
		}
	}
	return 0
}

// first is the best line item that could win at the placement at hand by itself,
// -1 without one, and then how close anybody came.
func (s *Scratch) first() (item int, furthest verdict) {
	s.start()
	furthest = noMatch
	for item = s.next(); item >= 0; item = s.next() {
		line := &s.catalog.LineItems[item]
		_, v := s.consider(item)
		if v == fits {
			v = s.backed(item)
		}
		if v == fits {
			return item, fits
		}
		furthest = max(furthest, v)
		if v == belowFloor {
			s.seek(s.catalog.TierEnd(line.Tier))
		}
	}
	return -1, furthest
}
