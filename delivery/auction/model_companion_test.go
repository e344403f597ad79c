package auction_test

import (
	"fmt"
	"slices"

	"github.com/hayate-ads/hayate/delivery/auction"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/snapshot"
)

// seat holds the engine's companions to the model's rules: group by group of
// equal rank, as long as one of a group could be seated, one is.
func (m *model) seat(got []auction.Decision) error {
	var companions []*snapshot.LineItem
	for i := range m.snapshot.LineItems {
		if m.snapshot.LineItems[i].Roadblock == ad.AllOrNone {
			companions = append(companions, &m.snapshot.LineItems[i])
		}
	}
	for len(companions) > 0 {
		best := companions[0]
		for _, c := range companions {
			if m.better(c, best) {
				best = c
			}
		}
		equals := func(c *snapshot.LineItem) bool { return !m.better(best, c) }
		if err := m.seatEquals(slices.DeleteFunc(slices.Clone(companions), func(c *snapshot.LineItem) bool { return !equals(c) }), got); err != nil {
			return err
		}
		companions = slices.DeleteFunc(companions, equals)
	}
	for at := range got {
		if got[at].NoFill == auction.Filled && m.page[at] == nil && m.item(got[at].LineItem.ID).Roadblock == ad.AllOrNone {
			return fmt.Errorf("placement %d: line item %d is shown without its companions", got[at].Placement, got[at].LineItem.ID)
		}
	}
	return nil
}

// bar notes who could win the empty places as things stand.
func (m *model) bar() {
	m.bars = make([]*snapshot.LineItem, len(m.page))
	for at := range m.page {
		if p := m.placement(at); p != nil && m.page[at] == nil {
			if all := m.candidates(p); len(all) > 0 {
				m.bars[at] = all[0]
			}
		}
	}
}

// seatEquals tries every order in which the engine may have seated them.
func (m *model) seatEquals(equals []*snapshot.LineItem, got []auction.Decision) error {
	err := error(nil)
	for i, c := range equals {
		if !m.seatable(c) {
			continue
		}
		err = fmt.Errorf("the companions of line item %d could be seated and are not", c.ID)
		next := *m
		next.page, next.purse = slices.Clone(m.page), clonePurses(m.purse)
		if wrong := next.seatOne(c, got); wrong != nil {
			err = fmt.Errorf("%w: %w", err, wrong)
			continue
		}
		if wrong := next.seatEquals(slices.Delete(slices.Clone(equals), i, i+1), got); wrong != nil {
			err = wrong
			continue
		}
		*m = next
		return nil
	}
	return err
}

func clonePurses(from map[ad.ID]purse) map[ad.ID]purse {
	to := make(map[ad.ID]purse)
	for id, p := range from {
		to[id] = p
	}
	return to
}

// seatOne takes over the seats that the engine gave to a line item's creatives.
func (m *model) seatOne(c *snapshot.LineItem, got []auction.Decision) error {
	seats := make(map[ad.ID]int) // by creative
	for at := range got {
		if got[at].NoFill != auction.Filled || got[at].LineItem.ID != c.ID {
			continue
		}
		id := got[at].Creative.ID
		if _, twice := seats[id]; twice || m.page[at] != nil || !slices.Contains(m.seatsFor(c, id), at) {
			return fmt.Errorf("creative %d may not show in placement %d", id, got[at].Placement)
		}
		seats[id] = at
	}
	if len(seats) != len(m.creatives(c)) {
		return fmt.Errorf("%d of %d creatives are shown", len(seats), len(m.creatives(c)))
	}
	before := *m
	before.page = slices.Clone(m.page) // what competes for a seat does not see the others
	for _, at := range seats {
		p := m.placement(at)
		rivals := before.candidates(p)
		if len(rivals) > 0 {
			rivals = rivals[:1]
		}
		if err := m.take(at, &got[at], c, before.cost(c, p, rivals)); err != nil {
			return err
		}
	}
	return nil
}

// seatsFor are the places in which one creative of a companion may show.
func (m *model) seatsFor(c *snapshot.LineItem, creative ad.ID) (seats []int) {
	for at := range m.page {
		p := m.placement(at)
		if p == nil || m.page[at] != nil || !m.matches(c, p) || m.belowFloor(c, p) || m.excluded(c, p) {
			continue
		}
		if rivals := m.candidates(p); len(rivals) > 0 && m.better(rivals[0], c) {
			continue
		}
		if m.bars[at] != nil && m.better(m.bars[at], c) {
			continue
		}
		if slices.ContainsFunc(m.fitting(c, p), func(f *snapshot.Creative) bool { return f.ID == creative }) {
			seats = append(seats, at)
		}
	}
	return seats
}

// seatable tries all ways to seat the creatives.
func (m *model) seatable(c *snapshot.LineItem) bool {
	creatives := m.creatives(c)
	if !m.live(c) || !m.pays(c, len(creatives)) {
		return false
	}
	choices := make([][]int, len(creatives))
	for i := range creatives {
		choices[i] = m.seatsFor(c, creatives[i].ID)
	}
	return len(choices) > 0 && seatAll(choices, nil)
}

func seatAll(choices [][]int, taken []int) bool {
	if len(choices) == 0 {
		return true
	}
	return slices.ContainsFunc(choices[0], func(at int) bool {
		return !slices.Contains(taken, at) && seatAll(choices[1:], append(slices.Clone(taken), at))
	})
}

// companionLacksLease: a place would show a companion, had that a lease.
func (m *model) companionLacksLease(at int) bool {
	for i := range m.snapshot.LineItems {
		c := &m.snapshot.LineItems[i]
		if c.Roadblock != ad.AllOrNone || !m.seatable(c) {
			continue
		}
		for _, creative := range m.creatives(c) {
			if slices.Contains(m.seatsFor(c, creative.ID), at) {
				return true
			}
		}
	}
	return false
}
