package bank

import (
	"sync/atomic"
	"time"
)

// clock is bank time: Postgres's clock at the last answer plus the monotonic
// time since (design §5.3). Before the first answer it is this machine's.
type clock struct {
	anchor  atomic.Pointer[anchor]
	silence time.Duration
	horizon *atomic.Int64 // the core's; zeroed when wall time says that the machine slept
}

// anchor ties one moment of the bank's clock to one of ours.
type anchor struct {
	bank time.Time
	ours time.Time // with its monotonic reading
}

func newClock(silence time.Duration, horizon *atomic.Int64) *clock {
	c := &clock{silence: silence, horizon: horizon}
	now := time.Now()
	c.anchor.Store(&anchor{bank: now.UTC(), ours: now})
	return c
}

// now is bank time. A machine that was suspended has a monotonic clock that
// stood still, so its leases would look younger than they are: when wall time
// has moved beyond the silence that is allowed, the horizon is taken away and
// nothing with money is reserved until the bank answers again.
func (c *clock) now() time.Time {
	a, t := c.anchor.Load(), time.Now()
	if t.Round(0).Sub(a.ours.Round(0)) > c.silence && c.horizon.Load() != 0 {
		c.horizon.Store(0)
	}
	return a.bank.Add(t.Sub(a.ours))
}

// set takes an answer's clock, read at some moment after we sent the question.
// Taking the sending as that moment makes ours run ahead by at most the round
// trip, and so reserve rather too short than too long. It returns by how much
// bank time jumped.
func (c *clock) set(bank, sent time.Time) time.Duration {
	jump := bank.Sub(c.now().Add(-time.Since(sent)))
	c.anchor.Store(&anchor{bank: bank.UTC(), ours: sent})
	return jump
}

// widening holds the watermark back after the bank's clock has jumped ahead, for
// as long as a hold may last: what was reserved before the jump has as much time
// left as before, though by the bank's clock its hold is over (design §5.3).
type widening struct {
	by    time.Duration
	until time.Time
}

// jumped adds a jump that was seen now, for the time of one hold.
func (w widening) jumped(by time.Duration, now time.Time, hold time.Duration) widening {
	if now.Before(w.until) {
		by += w.by
	}
	return widening{by: by, until: now.Add(hold)}
}

// apply takes the jump off what the log is safe up to.
func (w widening) apply(safeAt, now time.Time) time.Time {
	if w.by > 0 && now.Before(w.until) && !safeAt.IsZero() {
		return safeAt.Add(-w.by)
	}
	return safeAt
}
