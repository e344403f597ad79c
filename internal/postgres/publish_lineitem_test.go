package postgres

import (
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/snapshot"
)

func TestUrgency(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	const day = 24 * time.Hour
	f := func(settled money.Micros, elapsed time.Duration, want int) {
		t.Helper()
		budget := 100 * money.Unit
		c := candidate{budget: &budget, settled: settled}
		c.Tier, c.StartsAt, c.EndsAt = ad.Guaranteed, start, start.Add(100*day)
		if got := c.urgency(start.Add(elapsed)); got != want {
			t.Errorf("%s spent after %s: %d, want %d", settled, elapsed, got, want)
		}
	}
	const unit = money.Unit
	f(0, -day, 1000)
	f(0, 0, 1000)
	f(50*unit, 50*day, 1000)
	f(45*unit, 50*day, 1000) // a little behind
	f(55*unit, 50*day, 1000) // a little ahead
	f(25*unit, 50*day, 1500)
	f(75*unit, 50*day, 500)
	f(0, 50*day, 2000)
	f(0, 75*day, 4000)
	f(0, 99*day, 10_000)
	f(99*unit, 99*day, 1000)
	f(98*unit, 99*day, 2000)
	f(0, 100*day-time.Millisecond, 10_000)
	f(0, 200*day, 10_000)    // over already: whoever asks late
	f(100*unit, 50*day, 0)   // spent
	f(101*unit, 50*day, 0)   // the budget was lowered
	f(money.Max, 50*day, 0)  // by much
	f(-unit, 100*day, 10000) // never happens
}

func TestUrgencyWithoutSchedule(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	f := func(want int, change func(*candidate)) {
		t.Helper()
		budget := 100 * money.Unit
		c := candidate{budget: &budget}
		c.Tier, c.StartsAt, c.EndsAt = ad.Guaranteed, start, start.AddDate(0, 1, 0)
		change(&c)
		if got := c.urgency(start.AddDate(0, 0, 20)); got != want {
			t.Errorf("%d, want %d", got, want)
		}
	}
	f(2750, func(c *candidate) {}) // 11 of 31 days are left
	f(1000, func(c *candidate) { c.budget = nil })
	f(1000, func(c *candidate) { *c.budget = 0 })
	f(1000, func(c *candidate) { c.EndsAt = time.Time{} })
	for _, tier := range []ad.Tier{ad.Sponsorship, ad.Auction, ad.House} {
		f(0, func(c *candidate) { c.Tier = tier })
	}
}

// Whatever is booked, urgencies stay in their range, there are few of them, and
// spending more never makes more urgent.
func TestUrgencyBounds(t *testing.T) {
	t.Parallel()
	seen := map[int]bool{}
	rapid.Check(t, func(t *rapid.T) {
		budget := money.Micros(rapid.Int64Range(1, int64(money.Max)).Draw(t, "budget"))
		start := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
		length := time.Duration(rapid.Int64Range(1, int64(99*365*24*time.Hour)).Draw(t, "length"))
		c := candidate{budget: &budget}
		c.Tier, c.StartsAt, c.EndsAt = ad.Guaranteed, start, start.Add(length)
		now := start.Add(time.Duration(rapid.Int64Range(-1, int64(length)).Draw(t, "elapsed")))
		before := snapshot.MaxUrgency
		for _, share := range []int64{0, 1, 10, 50, 90, 99, 100} {
			c.settled = budget.MulDiv(share, 100)
			got := c.urgency(now)
			if got < 0 || got > before || got%250 != 0 {
				t.Fatalf("%d %% spent: urgency %d after %d", share, got, before)
			}
			before = got
			seen[got] = true
		}
	})
	if len(seen) > 20 {
		t.Errorf("%d different urgencies: snapshots would change all the time", len(seen))
	}
}

// Somebody who invents labels keeps own line items out, not the snapshot.
func TestTooManyLabels(t *testing.T) {
	t.Parallel()
	var p publication
	for i := range snapshot.MaxLabels - 1 {
		if reason := p.addLabels([]string{strconv.Itoa(i)}); reason != "" {
			t.Fatal(reason)
		}
	}
	f := func(want bool, labels ...string) {
		t.Helper()
		if got := p.addLabels(labels) == ""; got != want {
			t.Errorf("%v: %v with %d labels", labels, got, len(p.labels))
		}
	}
	f(false, "a", "b")
	f(true, "1", "2", "3")
	f(true, "1", "a")
	f(false, "b")
	f(true, "a")
	f(true)
}
