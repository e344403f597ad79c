package bank

import (
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// A price that an edit changes while a lease is on its way counts as soon as that
// serves. Else the line item would have a lease that is good for nothing, until
// its deadline, and would win every eligible scan with it.
func TestAPriceThatChangesOnTheWay(t *testing.T) {
	t.Parallel()
	f := func(name string, lineItem ad.ID, granted func(*world)) {
		t.Helper()
		w := newWorld(t.Fatalf)
		w.step(Wanted{lineItem})
		w.price[lineItem] = 5 * money.Unit // more than all that was asked for
		w.edits++
		w.step(Tick{})
		granted(w)
		w.sync(w.opens[len(w.opens)-1], false)
		w.now = w.now.Add(2 * time.Second)
		w.step(Tick{})
		if len(w.asks) == 0 || w.asks[0][0].Micros < w.price[lineItem] {
			t.Fatalf("%s: the bank is not asked for a lease at the new price", name)
		}
		w.answer(false, 1)
		w.sync(w.opens[len(w.opens)-1], false)
		if !w.reserve(lineItem) {
			t.Errorf("%s: it does not serve at its new price", name)
		}
	}
	f("a permit", 3, func(*world) {})
	f("a lease", 1, func(w *world) { w.answer(false, 1) })
}

// Where the second price counts, impressions cost less than the line item's
// price, which alone says how many a lease is good for: a lease lasts as long
// there as elsewhere.
func TestLeasesLastAtTheSecondPrice(t *testing.T) {
	t.Parallel()
	w := newWorld(t.Fatalf)
	l := serve(t, w)
	const second, used, seconds = 20, 1500, 5
	for range used {
		if _, ok := l.Reserve(second, w.now.UnixMicro()); !ok {
			t.Fatal("no reservation")
		}
		w.used[l.ID] += second
		w.tokens[l.ID]++
	}
	w.now = w.now.Add(seconds * time.Second)
	w.step(Tick{})
	if len(w.asks) != 1 {
		t.Fatal("no successor was asked for with a quarter of the impressions left")
	}
	const want = used / seconds * 30
	if got := w.asks[0][0]; got.Impressions < want || got.Micros < want*w.price[1] {
		t.Errorf("asked for %d impressions and %v, want what 30 s take: %d at %v", got.Impressions, got.Micros, want, w.price[1])
	}
}

// A line item that shows several ads or none needs as many reservations at once:
// a lease with fewer left is used up, and none with fewer is asked for.
func TestALeaseTooSmallForAllIsUsedUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t.Fatalf)
	w.least[1] = 4
	w.step(Wanted{1})
	if got := w.asks[0][0].Least; got != 4 {
		t.Fatalf("a lease of at least %d reservations was asked for, want 4", got)
	}
	w.answer(false, 400) // five of them
	w.sync(w.opens[len(w.opens)-1], false)
	if !w.reserve(1) {
		t.Fatal("it does not serve")
	}
	w.reserve(1)
	w.now = w.now.Add(2 * time.Second)
	w.step(Tick{})
	if len(w.closed) != 1 || len(w.asks) != 1 {
		t.Fatalf("with three left: %d leases closed, %d batches asked, want 1 and 1", len(w.closed), len(w.asks))
	}
}

// However small the batches, each wish goes out as often as the others: no one is
// asked for again, after a failure, before all have been.
func TestEveryWishGetsItsTurn(t *testing.T) {
	t.Parallel()
	w := newWorld(t.Fatalf)
	const items = 500
	for id := range ad.ID(items) {
		w.price[100+id] = 1000
		w.step(Wanted{100 + id})
	}
	asked := make(map[ulid.ULID]int)
	count := func(asks [][]postgres.Want) {
		for _, batch := range asks {
			for _, want := range batch {
				asked[want.Lease]++
			}
		}
	}
	for range 200 { // each fails
		count(w.asks)
		w.asks = nil
		w.step(Granted{Failed: true})
		w.now = w.now.Add(time.Second)
		w.step(Tick{})
	}
	least, most := 1<<30, 0
	for _, n := range asked {
		least, most = min(least, n), max(most, n)
	}
	if len(asked) != items || most-least > 2 {
		t.Errorf("%d of %d wishes went out, from %d to %d times each", len(asked), items, least, most)
	}
}

// What is halved after a failure is what was sent, whatever the bound has grown
// to meanwhile; where few were sent, their number was not the trouble.
func TestWhatFailedIsHalved(t *testing.T) {
	t.Parallel()
	f := func(sent, next int, failure Granted) {
		t.Helper()
		w := newWorld(t.Fatalf)
		w.core.batch = mostBatch
		w.core.waiting = true // until all are wanted
		for id := range ad.ID(2 * mostBatch) {
			w.price[100+id] = 1000
		}
		want := func(from, to int) {
			for id := from; id < to; id++ {
				w.core.Step(w.now, Wanted{100 + ad.ID(id)})
			}
		}
		want(0, sent)
		w.core.waiting = false
		w.now = w.now.Add(time.Second)
		if got := len(w.core.Step(w.now, Tick{}).Ask); got != sent {
			t.Fatalf("%d wishes went out, want %d", got, sent)
		}
		w.core.Step(w.now, failure)
		want(sent, 2*mostBatch)
		w.now = w.now.Add(time.Second)
		if got := len(w.core.Step(w.now, Tick{}).Ask); got != next {
			t.Errorf("after %d wishes failed, %d went out, want %d", sent, got, next)
		}
	}
	f(1000, 500, Granted{Failed: true})
	f(20, 16, Granted{Failed: true})
	f(3, mostBatch, Granted{Failed: true})
	f(1000, mostBatch, Granted{Failed: true, Later: true}) // the bank did not look at them
}
