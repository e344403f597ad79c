// Package lease is the part of the bank that requests touch: leases from which
// decisions reserve, without a lock and without memory of their own.
//
// It is the one rule of the money protocol that is not a state machine's step
// (design §5.4). delivery/bank makes leases, hands them out through a [Book] and
// closes them; this package knows neither Postgres nor the log, so that the
// auction can stay pure.
package lease

import (
	"sync/atomic"

	"github.com/oklog/ulid/v2"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/money"
)

// MaxReservations is how many reservations one lease can number.
const MaxReservations = 65_536

// MaxMicros is the most money one lease can hold, some 70 million units: the
// amount shares one 64-bit word with the count and the closed bit.
const MaxMicros money.Micros = 1<<46 - 1

// Lease is an amount of money and a number of impressions that this process may
// reserve within a window of bank time. It is open until [Lease.Close].
type Lease struct {
	ID       ulid.ULID
	Process  ulid.ULID // to whom it was granted; its tokens name it
	LineItem ad.ID
	From     int64 // bank time in Unix microseconds; nothing is reserved before
	Until    int64 // nor at or after: the earlier of the deadline and the day's end

	// Horizon is the bank time beyond which this process reserves no money
	// because the bank has been silent for too long; every answer moves it on.
	// Leases share it. Nil: a permit minted here, which the bank need not renew.
	Horizon *atomic.Int64

	granted     money.Micros
	impressions uint32
	firstAt     atomic.Int64 // bank time of the first reservation, 0: none yet

	// word packs what one reservation changes: micros left in the high 46 bits,
	// reservations made in the next 17, and the closed bit lowest. One
	// compare-and-swap changes all or nothing.
	word atomic.Uint64
}

const (
	closedBit  = 1
	countShift = 1
	countMask  = 1<<17 - 1
	leftShift  = 18
)

// New makes an open lease over granted micros, at most [MaxMicros], and
// impressions, at most [MaxReservations]; larger amounts are cut to those.
func New(id ulid.ULID, lineItem ad.ID, granted money.Micros, impressions int64) *Lease {
	granted = max(0, min(granted, MaxMicros))
	impressions = max(0, min(impressions, MaxReservations))
	l := &Lease{ID: id, LineItem: lineItem, granted: granted, impressions: uint32(impressions)}
	l.word.Store(uint64(granted) << leftShift)
	return l
}

// Reserve takes price from the lease at bank time now and returns the
// reservation's index. It fails when the lease is closed, outside its window, or
// has not enough left; nothing is changed then. A reservation is never given
// back here: its token may be anywhere (design M3).
func (l *Lease) Reserve(price money.Micros, now int64) (index uint32, ok bool) {
	if now < l.From || now >= l.Until || price < 0 {
		return 0, false
	}
	if l.Horizon != nil && now >= l.Horizon.Load() {
		return 0, false
	}
	for {
		word := l.word.Load()
		count := uint32(word >> countShift & countMask)
		if word&closedBit != 0 || count >= l.impressions || uint64(price) > word>>leftShift {
			return 0, false
		}
		if l.word.CompareAndSwap(word, word-uint64(price)<<leftShift+1<<countShift) {
			if count == 0 {
				l.firstAt.Store(now)
			}
			return count, true
		}
	}
}

// Close ends the lease: no reservation succeeds afterwards. It returns what all
// reservations took and how many there were, and may be repeated.
func (l *Lease) Close() (reserved money.Micros, count int64) {
	word := l.word.Or(closedBit) | closedBit
	return l.granted - money.Micros(word>>leftShift), int64(word >> countShift & countMask)
}

// Left returns what can still be reserved: micros and impressions, both 0 when closed.
func (l *Lease) Left() (money.Micros, int64) {
	word := l.word.Load()
	if word&closedBit != 0 {
		return 0, 0
	}
	return money.Micros(word >> leftShift), int64(l.impressions) - int64(word>>countShift&countMask)
}

// Granted returns what the lease began with.
func (l *Lease) Granted() (money.Micros, int64) { return l.granted, int64(l.impressions) }

// FirstAt is the bank time of the first reservation in Unix microseconds, 0
// while the lease is untouched.
func (l *Lease) FirstAt() int64 { return l.firstAt.Load() }
