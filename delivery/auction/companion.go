package auction

import (
	"cmp"
	"math/bits"
	"slices"

	"github.com/hayate-ads/hayate/delivery/catalog"
	"github.com/hayate-ads/hayate/delivery/target"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/money"
)

// Companions are the creatives of a line item that shows all of them in one
// request or none ([ad.AllOrNone]). They are seated before the placements are
// decided one by one, best rank first, since what they need is several
// placements at once: each creative one of its own, where the line item matches,
// is not excluded, reaches the floor, and where nobody who could win it alone
// ranks above the line item. So a takeover beats its equals, and never displaces
// a better tier or a better price.

const (
	maxSeats      = 64 // slots of one request that companions may take: a bit each
	maxCompanions = 64 // matching line items that are looked at, for each slot
)

// companion is a line item that matches some open slots.
type companion struct {
	item  int
	slots uint64  // by place in the request; 0: settled, one way or the other
	found verdict // when it was last looked at
}

// seating is the trial to give every creative of a companion a slot.
type seating struct {
	allowed   [maxSeats]uint64 // by creative: the slots where it may show
	outranked uint64           // the slots that a better line item could win
	holder    [maxSeats]int8   // by slot: the creative that has it, -1: none
	tried     uint64           // slots, in the search at hand
}

// unsought and nobody stand for a slot's rival.
const (
	unsought = -2
	nobody   = -1
)

// seatCompanions fills slots with companions, best rank first.
func (s *Scratch) seatCompanions() {
	if s.catalog.Companions() == nil {
		return
	}
	s.bar()
	s.gatherCompanions()
	for rest := s.companions; len(rest) > 0; {
		from, to := s.catalog.Peers(rest[0].item)
		n := 1
		for n < len(rest) && rest[n].item < to {
			n++
		}
		if s.hopeless(from) && s.way != peeked {
			return
		}
		s.seatPeers(rest[:n])
		rest = rest[n:]
	}
}

// hopeless tells whether everybody from a place on is outranked everywhere.
func (s *Scratch) hopeless(from int) bool {
	for i := range s.slots[:min(len(s.slots), maxSeats)] {
		if s.slots[i].open() && !s.outranked(i, from) {
			return false
		}
	}
	return true
}

// gatherCompanions finds the companions that match open slots, in rank order.
func (s *Scratch) gatherCompanions() {
	s.companions = s.companions[:0]
	mask := s.mask()
	for i := range s.slots[:min(len(s.slots), maxSeats)] {
		if s.slots[i].open() {
			s.gatherFor(i, mask)
		}
	}
	slices.SortFunc(s.companions, func(a, b companion) int { return cmp.Compare(a.item, b.item) })
	n := 0
	for _, c := range s.companions {
		if n > 0 && s.companions[n-1].item == c.item {
			s.companions[n-1].slots |= c.slots
			continue
		}
		s.companions[n] = c
		n++
	}
	s.companions = s.companions[:n]
}

// bar finds out who competes for the open slots. Whoever ranks below that is no
// companion there, even if what is seated keeps the other away afterwards: so the
// search for companions may end where the market for single placements begins.
func (s *Scratch) bar() {
	for i := range s.slots[:min(len(s.slots), maxSeats)] {
		if l := &s.slots[i]; l.open() {
			l.bar = s.rival(i)
		}
	}
}

func (s *Scratch) gatherFor(i int, mask target.Mask) {
	end := len(s.catalog.LineItems)
	if bar := s.slots[i].bar; bar != nobody && s.way != peeked { // an explanation names those below as well
		_, end = s.catalog.Peers(bar)
	}
	s.turnTo(&s.slots[i])
	s.scan.Start(s.placement.Supply, s.catalog.Companions())
	last, n := -1, 0
	for row := s.scan.Next(); row >= 0 && n < maxCompanions; row = s.scan.Next() {
		item := s.catalog.Index.Item(row)
		if item >= end {
			return
		}
		if item == last || !has(mask, row) {
			continue
		}
		s.companions = append(s.companions, companion{item: item, slots: 1 << i})
		last, n = item, n+1
	}
}

func has(mask target.Mask, row int) bool { return mask[row>>6].Load()&(1<<(row&63)) != 0 }

// drawSalt keeps the lot among companions apart from those of the placements.
const drawSalt = 0x13198a2e03707344

// seatPeers seats companions of equal rank: by the seed and their weights as
// long as several of them find their seats.
func (s *Scratch) seatPeers(equals []companion) {
	for {
		var chosen *companion
		total := uint64(0)
		for i := range equals {
			c := &equals[i]
			if c.slots == 0 {
				continue
			}
			if c.found = s.place(c); c.found != fits {
				continue
			}
			line := &s.catalog.LineItems[c.item]
			total += uint64(line.Weight)
			if luck(mix(s.request.Seed^drawSalt, uint64(line.ID)), total) < uint64(line.Weight) {
				chosen = c
			}
		}
		if chosen == nil {
			return
		}
		if s.place(chosen) == fits { // the seating is of the last one that was tried
			s.seat(chosen)
		}
		chosen.slots = 0
	}
}

// place looks for seats for all creatives of a companion, and at its lease.
func (s *Scratch) place(c *companion) verdict {
	line := &s.catalog.LineItems[c.item]
	n := len(line.Creatives)
	if n == 0 || n > bits.OnesCount64(c.slots) {
		return byRoadblock
	}
	from, _ := s.catalog.Peers(c.item)
	s.seating.outranked = 0
	clear(s.seating.allowed[:n])
	for slots := c.slots; slots != 0; slots &= slots - 1 {
		i := bits.TrailingZeros64(slots)
		if !s.slots[i].open() {
			continue
		}
		if s.outranked(i, from) {
			s.seating.outranked |= 1 << i
		}
		s.turnTo(&s.slots[i])
		if s.admits(line, c.item) != fits {
			continue
		}
		for creative := range line.Creatives {
			if s.suits(&line.Creatives[creative]) == fits {
				s.seating.allowed[creative] |= 1 << i
			}
		}
	}
	switch {
	case !s.seating.complete(n, ^s.seating.outranked):
		if s.seating.complete(n, ^uint64(0)) {
			return outbid
		}
		return byRoadblock
	case !s.leasable(c.item, n):
		return noLease
	}
	return fits
}

// outranked tells whether somebody who could win a slot by itself stands above the
// place from. What is seated meanwhile only takes rivals away, so the first one counts.
func (s *Scratch) outranked(i, from int) bool {
	bar := s.slots[i].bar
	return bar != nobody && bar < from
}

// rival is the best line item that could win a slot by itself as things stand.
func (s *Scratch) rival(i int) int {
	l := &s.slots[i]
	if l.rival == unsought {
		s.turnTo(l)
		l.rival, _ = s.first()
	}
	return l.rival
}

// complete seats n creatives on some of the slots, if there is a way to: each in turn takes a slot
// that is free, or can be freed by moving others (a maximum matching by
// augmenting paths: at most n × slots² steps, and the same seats every time).
func (t *seating) complete(n int, slots uint64) bool {
	for i := range t.holder {
		t.holder[i] = -1
	}
	for creative := range n {
		t.tried = ^slots
		if !t.sit(creative) {
			return false
		}
	}
	return true
}

func (t *seating) sit(creative int) bool {
	for {
		left := t.allowed[creative] &^ t.tried
		if left == 0 {
			return false
		}
		i := bits.TrailingZeros64(left)
		t.tried |= 1 << i
		if t.holder[i] < 0 || t.sit(int(t.holder[i])) {
			t.holder[i] = int8(creative)
			return true
		}
	}
}

// seat reserves for every seated creative and shows them. Their lease was looked
// at before. When other requests have used it up meanwhile, what was reserved of
// it so far stays reserved without a token: nobody can land it, and settle
// returns it with the lease, as it does with any ad that never showed.
func (s *Scratch) seat(c *companion) {
	line := &s.catalog.LineItems[c.item]
	for i, creative := range s.seating.holder[:min(len(s.slots), maxSeats)] {
		if creative < 0 {
			continue
		}
		found := winner{item: c.item, creative: &line.Creatives[creative], price: s.companionPrice(line, i)}
		if s.way == leased && !s.reserve(&found) {
			s.lose(c.item, noLease)
			return
		}
		s.slots[i].winner = found
	}
	for i, creative := range s.seating.holder[:min(len(s.slots), maxSeats)] {
		if creative >= 0 {
			s.show(&s.slots[i], s.slots[i].winner)
		}
	}
	s.forgetRivals()
}

// companionPrice is what a companion pays for one of its slots, given who else
// could win that.
func (s *Scratch) companionPrice(line *catalog.LineItem, i int) money.Micros {
	s.turnTo(&s.slots[i])
	if !s.priced(line) {
		return line.Price
	}
	var second money.Micros
	if rival := s.rival(i); rival != nobody && s.catalog.LineItems[rival].Tier == ad.Auction {
		second = s.catalog.LineItems[rival].Value
	}
	return clearing(line.Cost, s.placement.MinValue, second)
}

// seats are the slots that n creatives may take.
func (t *seating) seats(n int) (slots uint64) {
	for _, allowed := range t.allowed[:n] {
		slots |= allowed
	}
	return slots &^ t.outranked
}

// forgetRivals: what is shown has changed, and with it who could win what is left.
func (s *Scratch) forgetRivals() {
	for i := range s.slots {
		s.slots[i].rival = unsought
	}
}
