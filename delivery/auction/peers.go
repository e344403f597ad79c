package auction

import "math/bits"

// draw lets the line items from one on that rank alike, up to the place to,
// compete by the seed: everyone that could win does so as often as its weight
// says. The walk then goes on behind them.
//
// One pass is enough, whatever their number: the k-th that could win takes the
// place of the one chosen so far with probability weight / sum of weights up to
// and including it, which leaves each with its share of the whole.
func (s *Scratch) draw(item, to int) (contender, verdict) {
	var chosen contender
	total, furthest := uint64(0), noMatch
	for ; item >= 0 && item < to; item = s.next() {
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
		if total > uint64(line.Weight) {
			chosen.rivals++
			s.lose(loser, outbid)
		}
	}
	s.seek(to)
	if total == 0 {
		return chosen, furthest
	}
	return chosen, fits
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
