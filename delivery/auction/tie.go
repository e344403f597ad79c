package auction

import "math/bits"

// maxTies is how many line items of equal rank are compared at a time. Where
// more match, the comparison begins at one that the seed chooses.
const maxTies = 64

// wide is the number of peers from which on the walk begins in their middle.
// Below it comparing all of them is cheap, and exactly fair.
const wide = 256

// tie is a line item that could win, with its chance: the highest one does.
type tie struct {
	winner
	chance uint64
}

// turns are the ranges of line items that a walk over a group goes through. With
// two of them the second one ends where the first began, so that whoever is last
// in rank competes with as many as whoever is first.
type turns struct {
	ranges [2][2]int
	left   int // ranges after the current one, which is ranges[1-left]
}

// tryPeers lets the line items of the group [from, to) that match, from row on,
// compete by the seed, [maxTies] at a time. Afterwards the walk stands behind
// the group.
func (s *Scratch) tryPeers(row, from, to int) (winner, Reason) {
	t := turns{ranges: [2][2]int{1: {from, to}}}
	if to-from >= wide {
		start := from + int(mix(s.seed, uint64(from))%uint64(to-from))
		t = turns{[2][2]int{{start, to}, {from, start}}, 1}
		s.seek(start)
		row = s.scan.Next()
	}
	reason := NoMatch
	for {
		var n int
		n, row, reason = s.gather(row, &t, reason)
		for left := s.ties[:n]; len(left) > 0; left = left[:len(left)-1] {
			best := highest(left)
			if s.take(&left[best].winner) == Filled {
				return left[best].winner, Filled
			}
			reason = NoLease
			left[best] = left[len(left)-1]
		}
		if n < maxTies {
			s.seek(to)
			return winner{}, reason
		}
	}
}

// gather collects up to [maxTies] line items that may compete, from row on. It
// returns how many, the next row, and the furthest that one of the others came.
func (s *Scratch) gather(row int, t *turns, reason Reason) (n, next int, _ Reason) {
	for n < maxTies {
		item := -1
		if row >= 0 {
			item = s.catalog.Index.Item(row)
		}
		if item < 0 || item >= t.ranges[1-t.left][1] {
			if t.left == 0 {
				break
			}
			t.left--
			s.seek(t.ranges[1][0])
			row = s.scan.Next()
			continue
		}
		found, failed := s.consider(item)
		if failed == Filled {
			s.ties[n] = tie{found, mix(s.seed, uint64(s.catalog.LineItems[item].ID))}
			n++
		} else {
			reason = furthest(reason, failed)
		}
		s.skipRows(item, row)
		row = s.scan.Next()
	}
	return n, row, reason
}

func highest(ties []tie) int {
	best := 0
	for i := range ties {
		if ties[i].chance > ties[best].chance {
			best = i
		}
	}
	return best
}

// mix hashes two numbers into one, so that every bit of both shows everywhere:
// chances must not follow the order of ids or of seeds. (Multiply and fold, with
// two odd constants from the digits of the golden ratio and of pi.)
func mix(a, b uint64) uint64 {
	high, low := bits.Mul64(a^0x9e3779b97f4a7c15, b^0x243f6a8885a308d3)
	high, low = bits.Mul64(high^low^0x9e3779b97f4a7c15, 0xa4093822299f31d1)
	return high ^ low
}
