package bank

import (
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/hayate-ads/hayate/delivery/lease"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// grantDay answers the oldest batch with leases for one day.
func (w *world) grantDay(start, end time.Time) {
	wants := w.asks[0]
	w.asks = w.asks[1:]
	var grants []postgres.Grant
	for _, want := range wants {
		g := postgres.Grant{
			Lease: want.Lease, LineItem: want.LineItem, Micros: want.Micros, Impressions: want.Impressions,
			Day: 20_777, DayStart: start, DayEnd: end, Deadline: w.now.Add(30 * time.Minute), MaxAge: 10 * time.Minute,
		}
		w.grants[want.Lease] = g
		grants = append(grants, g)
	}
	w.step(Granted{Grants: grants})
	w.sync(w.opens[len(w.opens)-1], false)
}

// eve brings line item 1 into the last minute of its day, with a lease for today
// in service and tomorrow's opened.
func eve(t *testing.T, w *world) (midnight time.Time, today *lease.Lease, tomorrow ulid.ULID) {
	t.Helper()
	midnight = w.now.Add(50 * time.Second)
	w.step(Wanted{1})
	w.grantDay(midnight.Add(-24*time.Hour), midnight)
	today = w.book.Slot(1).Load()
	for range firstAsk * 3 / 4 {
		w.reserve(1)
	}
	w.now = w.now.Add(5 * time.Second)
	w.step(Tick{})
	tomorrow = w.asks[0][0].Lease
	w.grantDay(midnight, midnight.Add(24*time.Hour))
	return midnight, today, tomorrow
}

// The next day's lease is there before midnight and serves from midnight on;
// until then today's goes on, and is followed by others of today.
func TestTomorrowsLeaseWaitsForItsDay(t *testing.T) {
	t.Parallel()
	w := newWorld(t.Fatalf)
	midnight, today, tomorrow := eve(t, w)
	if !w.reserve(1) {
		t.Fatal("nothing serves between the next day's grant and midnight")
	}
	for w.reserve(1) {
	}
	w.now = w.now.Add(time.Second)
	w.step(Tick{})
	w.now = w.now.Add(time.Second)
	w.step(Tick{})
	if _, ok := w.closed[today.ID]; !ok || len(w.asks) == 0 {
		t.Fatalf("a used-up lease of today has no successor: %d batches asked", len(w.asks))
	}
	w.grantDay(midnight.Add(-24*time.Hour), midnight)
	if !w.reserve(1) {
		t.Fatal("today's next lease does not serve")
	}
	w.now = midnight
	w.step(Tick{})
	if l := w.book.Slot(1).Load(); l == nil || l.ID != tomorrow || !w.reserve(1) {
		t.Fatal("tomorrow's lease does not serve from midnight on")
	}
	w.step(Drain{})
	for id := range w.opened {
		if _, ok := w.closed[id]; !ok {
			t.Errorf("lease %s was never closed", id)
		}
	}
}

func TestTomorrowsLeaseIsGivenBack(t *testing.T) {
	t.Parallel()
	f := func(name string, input func(tomorrow ulid.ULID) any) {
		t.Helper()
		w := newWorld(t.Fatalf)
		midnight, _, tomorrow := eve(t, w)
		w.step(input(tomorrow))
		if _, ok := w.closed[tomorrow]; !ok {
			t.Errorf("%s: the lease that waits for its day is not closed", name)
		}
		w.now = midnight
		w.step(Tick{})
		if l := w.book.Slot(1).Load(); l != nil && l.ID == tomorrow {
			t.Errorf("%s: a closed lease serves", name)
		}
	}
	f("stop", func(ulid.ULID) any {
		return Answered{postgres.HeartbeatAnswer{Stops: []postgres.Stop{{Kind: "line_item", ID: 1, Stopped: true}}}}
	})
	f("recall", func(id ulid.ULID) any { return Answered{postgres.HeartbeatAnswer{Recalled: []ulid.ULID{id}}} })
	f("drain", func(ulid.ULID) any { return Drain{} })
}

// A line item that gets a price is asked for at once, though its permit lasts.
func TestAPriceEndsAPermit(t *testing.T) {
	t.Parallel()
	w := newWorld(t.Fatalf)
	w.step(Wanted{3})
	w.sync(w.opens[len(w.opens)-1], false)
	if w.book.Slot(3).Load() == nil {
		t.Fatal("no permit for price 0")
	}
	w.price[3] = 1500
	w.edits++
	w.now = w.now.Add(2 * time.Second)
	w.step(Tick{})
	if len(w.asks) == 0 || w.asks[0][0].LineItem != 3 {
		t.Fatal("the bank is not asked for money")
	}
	w.answer(false, 1)
	w.sync(w.opens[len(w.opens)-1], false)
	if !w.reserve(3) {
		t.Fatal("it does not serve at its new price")
	}
}

// A permit that was minted while this machine's clock ran ahead, before the
// bank's first answer, serves by the bank's clock too.
func TestAPermitOutlastsAClockThatRanAhead(t *testing.T) {
	t.Parallel()
	w := newWorld(t.Fatalf)
	w.now = w.now.Add(time.Hour)
	w.step(Wanted{3})
	w.sync(w.opens[len(w.opens)-1], false)
	w.now = w.now.Add(-time.Hour)
	if !w.reserve(3) {
		t.Fatal("the permit is not valid yet")
	}
}

// A process may be stopped within the step that closes a lease, before the lease
// is closed: what is then still reserved has a later hold than the step knows of.
func TestACloseThatWasHeldUpCoversTheLastHold(t *testing.T) {
	t.Parallel()
	b := &Bank{cfg: Config{Hold: hold}}
	b.core = NewCore(Rules{}, new(lease.Book))
	b.clock = newClock(time.Hour, &b.core.horizon)
	f := func(stepped time.Duration, count int64, moved bool) {
		t.Helper()
		record := event.Lease{LastExpiry: b.clock.now().Add(-stepped).Add(hold + expirySlack), ReservedCount: count}
		if count == 0 {
			record.LastExpiry = b.clock.now().Add(-stepped)
		}
		before := b.clock.now()
		got := b.lastExpiry(record)
		if got.Equal(record.LastExpiry) == moved {
			t.Errorf("step %s ago, %d tokens: last expiry %s became %s", stepped, count, record.LastExpiry, got)
		}
		if count > 0 && got.Before(before.Add(hold)) {
			t.Errorf("step %s ago: a hold may end after %s", stepped, got)
		}
	}
	f(0, 1, false)
	f(80*time.Second, 1, true)
	f(80*time.Second, 0, false)
}

// A price is looked up when there is a new catalog, not with every review: with
// many leases that would take most of a core.
func TestPricesAreLookedUpOncePerCatalog(t *testing.T) {
	t.Parallel()
	w := newWorld(t.Fatalf)
	w.step(Wanted{3})
	w.sync(w.opens[0], false)
	w.step(Tick{})
	before := w.looks
	for range 10 {
		w.now = w.now.Add(100 * time.Millisecond)
		w.step(Tick{})
	}
	if w.looks != before {
		t.Errorf("%d looks at prices in 10 reviews of an unchanged catalog, want 0", w.looks-before)
	}
	w.edits++
	w.step(Tick{})
	if w.looks == before {
		t.Error("a new catalog's prices were not looked up")
	}
}

// However much is wanted at once, a batch stays small enough to be answered; one
// that failed is repeated in smaller parts, and in the end all is granted.
func TestBatchesAreBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t.Fatalf)
	const items = 10_000
	for id := range ad.ID(items) {
		w.price[100+id] = 1000
	}
	largest := 0
	for round := range 30 {
		w.now = w.now.Add(time.Second)
		asked := w.core.Step(w.now, Tick{}).Ask
		for id := range ad.ID(items) {
			if w.book.Slot(100+id).Load() == nil {
				asked = append(asked, w.core.Step(w.now, Wanted{100 + id}).Ask...)
			}
		}
		largest = max(largest, len(asked))
		if round < 3 { // Postgres is busy
			w.core.Step(w.now, Granted{Failed: true})
			continue
		}
		var grants []postgres.Grant
		for _, want := range asked {
			grants = append(grants, postgres.Grant{Lease: want.Lease, LineItem: want.LineItem, Micros: want.Micros, Impressions: want.Impressions,
				DayStart: w.now.Add(-time.Hour), DayEnd: w.now.Add(time.Hour), Deadline: w.now.Add(time.Hour), MaxAge: time.Hour})
		}
		for _, record := range w.core.Step(w.now, Granted{Grants: grants}).Open {
			w.core.Step(w.now, Opened{Lease: record.ID})
		}
	}
	if largest > 4096 { // what Postgres grants well within its time
		t.Errorf("a batch of %d wants, want at most 4096", largest)
	}
	if leases, _ := w.core.Serving(); leases != items {
		t.Errorf("%d of %d line items have a lease in the end", leases, items)
	}
}
