package catalog

import (
	"fmt"
	"math"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/snapshot"
)

// worth is what decides between line items of one tier: how urgent a guaranteed
// one is, what one of the auction is expected to bring. Sponsorships are equal,
// and so are house ads; their weights decide between them, request by request.
func (l *LineItem) worth() int64 { return worth(l.Tier, l.Urgency, int64(l.Value)) }

func worth(tier ad.Tier, urgency int32, value int64) int64 {
	switch tier {
	case ad.Guaranteed:
		return int64(urgency)
	case ad.Auction:
		return value
	}
	return 0
}

// order is the snapshot's line items by rank: tier, worth from the highest down,
// id. The last decides first, since the sort keeps the order of equals.
func (k *compiler) order() ([]ranked, error) {
	items := k.snapshot.LineItems
	order := make([]ranked, len(items))
	for i := range items {
		order[i] = ranked{uint64(items[i].ID), uint32(i)}
	}
	order = sortByKey(order)
	for i := range order {
		item := &items[order[i].from]
		value, err := valueOf(item, k.snapshot.Rates)
		if err != nil {
			return nil, err
		}
		order[i].key = ^uint64(worth(item.Tier, urgency(item), int64(value)))
	}
	order = sortByKey(order)
	for i := range order {
		item := &items[order[i].from]
		if item.Tier < ad.Sponsorship || item.Tier > ad.House {
			return nil, fmt.Errorf("line item %d has tier %d", item.ID, item.Tier)
		}
		order[i].key = uint64(item.Tier)
	}
	return sortByKey(order), nil
}

func urgency(l *snapshot.LineItem) int32 { return int32(min(max(l.Urgency, 0), math.MaxInt32)) }

// group finds the ends of tiers and the groups of equal rank.
func (k *compiler) group() {
	c := k.catalog
	for i := range c.LineItems {
		item := &c.LineItems[i]
		if i == 0 || item.Tier != c.LineItems[i-1].Tier || item.worth() != c.LineItems[i-1].worth() {
			c.peers = append(c.peers, uint32(i))
		} else {
			item.ahead = c.LineItems[i-1].ahead + uint32(c.LineItems[i-1].Weight)
		}
		item.peers = uint32(len(c.peers) - 1)
		c.tierEnds[item.Tier] = i + 1
	}
	c.peers = append(c.peers, uint32(len(c.LineItems)))
	for tier := range c.tierEnds[1:] {
		c.tierEnds[tier+1] = max(c.tierEnds[tier+1], c.tierEnds[tier])
	}
}

// ranked is something to sort: what decides, and where it comes from.
type ranked struct {
	key  uint64
	from uint32
}

// sortByKey sorts by key, unsigned and ascending, and keeps the order of equals.
// It goes through the keys' bytes from the lowest up and leaves out those in
// which all keys agree: three passes over a million prices, where comparing
// would take twenty. The result may be in other memory than the argument.
func sortByKey(list []ranked) []ranked {
	var counts [8][256]uint32
	sorted := true
	for i, r := range list {
		sorted = sorted && (i == 0 || list[i-1].key <= r.key)
		for b := range counts {
			counts[b][byte(r.key>>(8*b))]++
		}
	}
	if sorted {
		return list
	}
	other := make([]ranked, len(list))
	for b := range counts {
		count := &counts[b]
		if count[byte(list[0].key>>(8*b))] == uint32(len(list)) {
			continue
		}
		at := uint32(0)
		for digit, n := range count {
			count[digit] = at
			at += n
		}
		for _, r := range list {
			digit := byte(r.key >> (8 * b))
			other[count[digit]] = r
			count[digit]++
		}
		list, other = other, list
	}
	return list
}

// destinations turns an order around: where each thing goes, by where it comes
// from. What is read of a snapshot is larger than what is written of it, and lies
// in several pieces, so it is read from front to back: that saves half a second
// in a million line items.
func destinations(order []ranked) []uint32 {
	to := make([]uint32, len(order))
	for i, r := range order {
		to[r.from] = uint32(i)
	}
	return to
}
