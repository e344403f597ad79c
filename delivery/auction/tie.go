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

// tryPeers lets the line items of the group [from, to) that match, from row on,
// compete by the seed. Afterwards the walk stands behind the group.
func (s *Scratch) tryPeers(row, from, to int) (winner, Reason) {
	if to-from < wide {
		return s.tryRange(row, to)
	}
	start := from + int(mix(s.seed, uint64(from))%uint64(to-from))
	s.seek(start)
	found, reason := s.tryRange(s.scan.Next(), to)
	if reason == Filled {
		return found, Filled
	}
	s.scan.Seek(row)
	found, other := s.tryRange(s.scan.Next(), start)
	if other != Filled {
		s.seek(to)
	}
	return found, orFilled(other, furthest(reason, other))
}

func orFilled(reason, otherwise Reason) Reason {
	if reason == Filled {
		return Filled
	}
	return otherwise
}

// tryRange lets the matching line items from row on, but before the place to,
// compete, [maxTies] at a time. The walk ends before to.
func (s *Scratch) tryRange(row, to int) (winner, Reason) {
	reason := NoMatch
	for {
		n := 0
		for ; n < maxTies && row >= 0; row = s.scan.Next() {
			item := s.catalog.Index.Item(row)
			if item >= to {
				break
			}
			found, failed := s.consider(item)
			s.skipRows(item, row)
			if failed != Filled {
				reason = furthest(reason, failed)
				continue
			}
			s.ties[n] = tie{found, mix(s.seed, uint64(s.catalog.LineItems[item].ID))}
			n++
		}
		for left := s.ties[:n]; len(left) > 0; left = left[:len(left)-1] {
			best := highest(left)
			if failed := s.take(&left[best].winner); failed == Filled {
				return left[best].winner, Filled
			}
			reason = furthest(reason, NoLease)
			left[best] = left[len(left)-1]
		}
		if n < maxTies {
			s.back(row)
			return winner{}, reason
		}
	}
}

// back undoes the step that found row, which is beyond the group.
func (s *Scratch) back(row int) {
	if row >= 0 {
		s.scan.Seek(row)
	}
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
