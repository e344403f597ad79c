package visitor

import "sync/atomic"

// cache keeps what many requests ask again: direct-mapped, so of bounded size,
// and read without a lock. What it keeps is never changed.
//
// Only what is missed twice in a row at its slot is kept. So a stranger who sends
// something new with every request, such as random user agents, makes each of
// his requests cost what it would without a cache: nothing is allocated for them,
// and what others ask stays where it is.
type cache[T any] struct{ slots [cacheSlots]slot[T] }

type slot[T any] struct {
	kept   atomic.Pointer[T]
	missed atomic.Uint64 // key of the last miss
}

// cacheSlots is a power of two. Of user agents, some thousand are nine tenths of
// what comes; entries have 200 bytes, and a user agent at most a kilobyte more.
const cacheSlots = 4096

// at is where key belongs. Multiplying spreads keys that have their differences
// in few bits, as offsets in a file do (Knuth, 6.4).
func (c *cache[T]) at(key uint64) *slot[T] {
	return &c.slots[key*0x9e3779b97f4a7c15>>(64-12)]
}

// again tells whether key was missed here the last time, too.
func (s *slot[T]) again(key uint64) bool { return s.missed.Swap(key) == key }
