package postgres

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hayate-ads/hayate/internal/money"
)

func TestAllot(t *testing.T) {
	t.Parallel()
	left := func(micros money.Micros) Amount { return Amount{Micros: micros, Impressions: unlimited.Impressions} }
	want := func(micros money.Micros, impressions int64) Want {
		return Want{Micros: micros, Impressions: impressions}
	}
	f := func(name string, a allotment, w Want, impressions int64, refused Refusal) {
		t.Helper()
		amount, why := a.allot(w)
		if why != refused || amount.Impressions != impressions || amount.Micros != a.price*money.Micros(impressions) {
			t.Errorf("%s: %+v, %q; want %d impressions, %q", name, amount, why, impressions, refused)
		}
	}
	f("no budget: what it asks", allotment{price: 10, left: unlimited, live: 3}, want(1000, 65536), 100, "")
	f("a broken price is rounded up", allotment{price: 10, left: unlimited, live: 3}, want(1001, 65536), 101, "")
	f("the fewer of the two", allotment{price: 10, left: unlimited, live: 3}, want(1000, 7), 7, "")
	f("at most what a lease can number", allotment{price: 1, left: unlimited, live: 1}, want(MaxLeaseMicros, 65536), 65536, "")
	f("at most what a lease can hold", allotment{price: 1 << 40, left: unlimited, live: 1}, want(MaxLeaseMicros, 65536), 63, "")
	f("a price beyond any lease", allotment{price: 1 << 46, left: unlimited, live: 1}, want(MaxLeaseMicros, 1), 0, RefusedSpent)
	f("not less than the smallest lease", allotment{price: 10, left: left(10_000), live: 1}, want(10, 1), 5, "")
	f("half of what is left", allotment{price: 10, left: left(10_000), live: 1}, want(10_000, 65536), 500, "")
	f("shared by all processes", allotment{price: 10, left: left(10_000), live: 4}, want(10_000, 65536), 125, "")
	f("few left: single ones", allotment{price: 10, left: left(1_990), live: 1000}, want(10, 1), 1, "")
	f("few left: shared by as many as can hold them", allotment{price: 10, left: left(1_990), live: 10}, want(1_990, 199), 9, "")
	f("one left", allotment{price: 10, left: left(19), live: 9}, want(10_000, 65536), 1, "")
	f("none left", allotment{price: 10, left: left(9), live: 9}, want(10_000, 65536), 0, RefusedSpent)
	f("one left, held by another", allotment{price: 10, left: left(19), live: 9, holders: 1}, want(10, 1), 0, RefusedHolders)
	f("one left, held by itself", allotment{price: 10, left: left(19), live: 9, holders: 1, holds: true}, want(10, 1), 1, "")
	f("price 0: a permit", allotment{price: 0, left: left(0), live: 2}, want(0, 65536), 65536, "")
	three := func(micros money.Micros) Want { return Want{Micros: micros, Impressions: 65536, Least: 3} }
	f("three at once of four left", allotment{price: 10, left: left(49), live: 9}, three(10), 3, "")
	f("three at once of two left", allotment{price: 10, left: left(29), live: 9}, three(10), 0, RefusedSpent)
	f("three at once, held by as many as have three", allotment{price: 10, left: left(130), live: 9, holders: 2}, three(10), 0, RefusedHolders)
	f("three at once beyond any lease", allotment{price: 1 << 45, left: unlimited, live: 1}, three(MaxLeaseMicros), 0, RefusedSpent)
	f("three at once of plenty", allotment{price: 10, left: left(10_000), live: 1}, three(1000), 100, "")
	f("impressions limit too", allotment{price: 10, left: Amount{Micros: 1 << 40, Impressions: 300}, live: 1}, want(1<<40, 65536), 150, "")
}

func TestAllotStaysWithinWhatIsLeft(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a := allotment{
			price: money.Micros(rapid.Int64Range(0, 1<<47).Draw(t, "price") >> rapid.IntRange(0, 47).Draw(t, "shift")),
			left: Amount{
				Micros:      money.Micros(rapid.Int64Range(0, 1<<62).Draw(t, "micros") >> rapid.IntRange(0, 62).Draw(t, "shift")),
				Impressions: rapid.Int64Range(0, 1<<62).Draw(t, "impressions") >> rapid.IntRange(0, 62).Draw(t, "shift"),
			},
			live: rapid.Int64Range(0, 100).Draw(t, "live"), holders: rapid.Int64Range(0, 100).Draw(t, "holders"),
			holds: rapid.Bool().Draw(t, "holds"),
		}
		least := rapid.SampledFrom([]int64{0, 1, 2, 7, 64, 65_537}).Draw(t, "least")
		amount, refused := a.allot(Want{
			Least:       least,
			Micros:      money.Micros(rapid.Int64Range(0, int64(MaxLeaseMicros)).Draw(t, "wanted")),
			Impressions: rapid.Int64Range(1, MaxLeaseImpressions).Draw(t, "wanted impressions"),
		})
		switch {
		case refused != "" && amount != (Amount{}):
			t.Fatalf("refused as %s, and granted %+v", refused, amount)
		case refused == "" && amount.Impressions < max(least, 1):
			t.Fatalf("granted %+v", amount)
		case amount.Micros > a.left.Micros || amount.Impressions > a.left.Impressions:
			t.Fatalf("granted %+v of %+v", amount, a.left)
		case amount.Micros > MaxLeaseMicros || amount.Impressions > MaxLeaseImpressions:
			t.Fatalf("granted %+v, more than a lease can hold", amount)
		case amount.Micros != a.price*money.Micros(amount.Impressions):
			t.Fatalf("granted %+v at price %d", amount, a.price)
		}
	})
}

func TestLeaseAge(t *testing.T) {
	t.Parallel()
	f := func(reserved, settled int64, want time.Duration) {
		t.Helper()
		none := &grantAccount{}
		measured := &grantAccount{finalReserved: reserved, finalSettled: settled}
		if got := leaseAge(600*time.Second, none, measured); got != want {
			t.Errorf("today %d of %d: %v, want %v", settled, reserved, got, want)
		}
		if got := leaseAge(600*time.Second, measured, none); got != want {
			t.Errorf("lifetime %d of %d: %v, want %v", settled, reserved, got, want)
		}
	}
	f(0, 0, 300*time.Second)
	f(99, 99, 300*time.Second)
	f(1000, 0, 60*time.Second)
	f(1000, 100, 60*time.Second)
	f(1000, 500, 330*time.Second)
	f(1000, 900, 600*time.Second)
	f(1000, 1000, 600*time.Second)
	if got := leaseAge(5*time.Second, &grantAccount{}, &grantAccount{}); got != 5*time.Second {
		t.Errorf("a ceiling below the youngest age: %v", got)
	}
}
