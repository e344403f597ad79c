package auction

import (
	"math/bits"
	"slices"
)

// many is how many line items of equal rank that could win are looked at before
// the others are drawn instead, spots how often that is tried, and wide how large
// their group has to be.
const (
	many  = 64
	spots = 64
	wide  = 256
)

// draw lets the line items from one on that rank alike, up to the place to,
// compete by the seed: everyone that could win does so as often as its weight
// says. The walk then goes on behind them.
//
// One pass is enough, whatever their number: the k-th that could win takes the
// place of the one chosen so far with probability weight / sum of weights up to
// and including it, which leaves each with its share of the whole. Where too many
// could win for that, [Scratch.spot] finds one as fairly.
func (s *Scratch) draw(item, to int) (contender, verdict) {
	var chosen contender
	total, n, furthest, met := uint64(0), 0, noMatch, len(s.losses)
	for from := item; item >= 0 && item < to; item = s.next() {
		line := &s.catalog.LineItems[item]
		found, v := s.consider(item)
		if v == fits {
			v = s.backed(item)
		}
		if v != fits {
			s.lose(item, v)
			furthest = max(furthest, v)
			continue
		}
		loser := item
		total += uint64(line.Weight)
		if luck(mix(s.seed, uint64(line.ID)), total) < uint64(line.Weight) {
			loser, chosen.winner = chosen.item, found
		}
		if n++; n > 1 {
			s.lose(loser, outbid)
		}
		if n == many && to-from >= wide {
			if found, ok := s.spot(to); ok {
				s.lose(chosen.item, outbid)
				s.forgive(found.item, met)
				return contender{winner: found, rivals: many - 1}, fits
			}
			s.seek(item + 1)
		}
	}
	s.seek(to)
	if n == 0 {
		return chosen, furthest
	}
	chosen.rivals = n - 1
	return chosen, fits
}

// spotSalt keeps the spots that are drawn apart from everything else.
const spotSalt = 0xc0ac29b7c97c50dd

// spot draws among the group that ends at a place, whoever matches, until it
// meets one that could win: each is met as often as its weight says, so the first
// one that could win is chosen fairly among those that could. It gives up, and
// then nothing is decided, where too few match for that.
func (s *Scratch) spot(to int) (winner, bool) {
	from, _ := s.catalog.Peers(to - 1)
	weight := s.catalog.PeersWeight(from, to)
	mask := s.mask()
	for i := range uint64(spots) {
		item := s.catalog.PeerAt(from, to, luck(mix(s.seed^spotSalt, i), weight))
		if row, end := s.catalog.Index.RowsOf(item); row == end || !has(mask, row) {
			continue
		}
		if s.seek(item); s.next() != item {
			continue
		}
		if found, v := s.consider(item); v == fits && s.leasable(item, 1) {
			return found, true
		}
	}
	return winner{}, false
}

// forgive takes back the loss of a line item that has won after all.
func (s *Scratch) forgive(item, met int) {
	lost := slices.DeleteFunc(s.losses[met:], func(l Loss) bool { return l.Item == uint32(item) })
	s.losses = s.losses[:met+len(lost)]
}

// luck maps a hash evenly onto the numbers below n, exactly but for n parts in 2^64.
func luck(hash, n uint64) uint64 {
	high, _ := bits.Mul64(hash, n)
	return high
}

// mix hashes two numbers into one, so that every bit of both shows everywhere:
// chances must not follow the order of ids or of seeds. (Multiply and fold, with
// two odd constants from the digits of the golden ratio and of pi.)
func mix(a, b uint64) uint64 {
	high, low := bits.Mul64(a^0x9e3779b97f4a7c15, b^0x243f6a8885a308d3)
	high, low = bits.Mul64(high^low^0x9e3779b97f4a7c15, 0xa4093822299f31d1)
	return high ^ low
}
