package auth

import (
	"net/netip"
	"sync"
	"time"
)

// Lockout slows down guessing. After Limit failures within Window a key (an
// account, or an address) is locked for FirstLock; every further failure doubles
// that, up to MaxLock. A success clears the key.
//
// It lives in memory: another console process counts for itself.
type Lockout struct {
	Limit     int
	Window    time.Duration
	FirstLock time.Duration
	MaxLock   time.Duration
	MaxKeys   int // bounds memory; the oldest failure is forgotten first

	mu   sync.Mutex
	keys map[string]*failures
}

type failures struct {
	count  int
	last   time.Time
	locked time.Time // until
}

// NewLockout returns the house's rule: 10 failures in 15 minutes, then 1, 2, 4,
// up to 60 minutes.
func NewLockout() *Lockout {
	return &Lockout{Limit: 10, Window: 15 * time.Minute, FirstLock: time.Minute, MaxLock: time.Hour, MaxKeys: 50_000}
}

// Wait is how long the key still is locked at now; 0: it may try.
func (l *Lockout) Wait(now time.Time, key string) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if f := l.keys[key]; f != nil && now.Before(f.locked) {
		return f.locked.Sub(now)
	}
	return 0
}

// Fail counts one failure. Callers count before they check a password and call
// Forgive or Clear after a right one, so that many guesses at once all count.
func (l *Lockout) Fail(now time.Time, key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.keys[key]
	if f == nil {
		f = l.add(now, key)
	}
	if now.Sub(f.last) > l.Window && now.Sub(f.locked) > l.Window {
		f.count = 0
	}
	f.count++
	f.last = now
	if over := f.count - l.Limit; over >= 0 {
		f.locked = now.Add(min(l.MaxLock, l.FirstLock<<min(over, 20)))
	}
}

// Forgive takes one failure back: of an attempt counted before it was judged.
func (l *Lockout) Forgive(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if f := l.keys[key]; f != nil && f.count > 0 {
		f.count--
		if f.count < l.Limit {
			f.locked = time.Time{}
		}
	}
}

// Clear forgets the key's failures.
func (l *Lockout) Clear(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.keys, key)
}

func (l *Lockout) add(now time.Time, key string) *failures {
	if l.keys == nil {
		l.keys = map[string]*failures{}
	}
	if len(l.keys) >= l.MaxKeys {
		l.evict(now)
	}
	f := &failures{last: now}
	l.keys[key] = f
	return f
}

// evict makes room: what has run out, else the oldest of a few. Map order is
// random enough, and looking at all keys for each failure would be the attack.
func (l *Lockout) evict(now time.Time) {
	oldest, seen := "", 0
	for key, f := range l.keys {
		if now.Sub(f.last) > l.Window && now.After(f.locked) {
			delete(l.keys, key)
			return
		}
		if o := l.keys[oldest]; o == nil || f.last.Before(o.last) {
			oldest = key
		}
		if seen++; seen == 64 {
			break
		}
	}
	delete(l.keys, oldest)
}

// AddressKey is the key of a client's address: IPv4 whole, IPv6 by its /64,
// since one subscriber holds as many addresses as it likes within that.
func AddressKey(address netip.Addr) string {
	address = address.Unmap().WithZone("")
	if address.Is6() {
		prefix, err := address.Prefix(64)
		if err == nil {
			return prefix.String()
		}
	}
	return address.String()
}
