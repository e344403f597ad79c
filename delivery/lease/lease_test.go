package lease

import (
	"math"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/oklog/ulid/v2"
	"pgregory.net/rapid"

	"github.com/hayate-ads/hayate/internal/money"
)

func open(granted money.Micros, impressions int64) *Lease {
	l := New(ulid.ULID{1}, 7, granted, impressions)
	l.From, l.Until = 0, 1_000
	return l
}

// Any sequence of reservations takes what it says, numbers them densely, and
// never more than was granted; after Close nothing succeeds.
func TestReserveIsExact(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		granted := money.Micros(rapid.Int64Range(0, 50_000).Draw(t, "granted"))
		impressions := rapid.Int64Range(0, 40).Draw(t, "impressions")
		l := open(granted, impressions)
		var taken money.Micros
		var count uint32
		for _, price := range rapid.SliceOf(rapid.Int64Range(-1, 5_000)).Draw(t, "prices") {
			index, ok := l.Reserve(money.Micros(price), 500)
			fits := price >= 0 && taken+money.Micros(price) <= granted && int64(count) < impressions
			if ok != fits {
				t.Fatalf("Reserve(%d) after %d of %d: ok = %v, want %v", price, taken, granted, ok, fits)
			}
			if !ok {
				continue
			}
			if index != count {
				t.Fatalf("index %d, want %d", index, count)
			}
			taken, count = taken+money.Micros(price), count+1
		}
		reserved, n := l.Close()
		if reserved != taken || n != int64(count) {
			t.Fatalf("Close() = %d, %d; want %d, %d", reserved, n, taken, count)
		}
		if _, ok := l.Reserve(0, 500); ok {
			t.Fatal("reserved on a closed lease")
		}
		if again, m := l.Close(); again != taken || m != n {
			t.Fatal("a second Close differs")
		}
	})
}

// Time gives nothing back: whoever holds a token may use it long after its hold,
// and anywhere, so only settle knows what was not used (design M3).
func TestTimeGivesNothingBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		const granted, impressions, price = 20_000, 30, 1000
		l := open(granted, impressions)
		l.From, l.Until = 0, math.MaxInt64
		l.Horizon = nil
		var now, taken int64
		for _, pause := range rapid.SliceOfN(rapid.Int64Range(0, 24*3600*1_000_000), 21, 60).Draw(t, "pauses in microseconds") {
			now += pause
			if index, ok := l.Reserve(price, now); ok && int64(index) != taken {
				t.Fatalf("index %d twice", index)
			} else if ok {
				taken++
			}
		}
		if reserved, n := l.Close(); taken != granted/price || n != taken || reserved != granted {
			t.Fatalf("%d reservations of %d from a lease of %d; Close() = %d, %d", taken, price, granted, reserved, n)
		}
	})
}

// Eight goroutines on one lease while it is closed: what Close reports is what
// they got, to the micro.
func TestReserveRacesClose(t *testing.T) {
	t.Parallel()
	l := open(3*60_000, 60_000)
	var got atomic.Int64
	var seen [60_000]atomic.Bool
	var wg sync.WaitGroup
	started := make(chan struct{}, 8)
	for range 8 {
		wg.Go(func() {
			started <- struct{}{}
			for {
				index, ok := l.Reserve(3, 10)
				if !ok {
					return
				}
				if seen[index].Swap(true) {
					t.Errorf("index %d was given twice", index)
				}
				got.Add(3)
			}
		})
	}
	<-started
	reserved, count := l.Close()
	wg.Wait()
	if int64(reserved) != got.Load() || count*3 != int64(reserved) {
		t.Fatalf("Close() = %d micros, %d; the goroutines got %d", reserved, count, got.Load())
	}
}

func TestReserveKeepsItsWindow(t *testing.T) {
	t.Parallel()
	var horizon atomic.Int64
	horizon.Store(600)
	l := New(ulid.ULID{2}, 7, 1_000, 100)
	l.From, l.Until, l.Horizon = 100, 500, &horizon
	f := func(now int64, want bool) {
		t.Helper()
		if _, ok := l.Reserve(1, now); ok != want {
			t.Errorf("Reserve at %d: %v, want %v", now, ok, want)
		}
	}
	f(99, false)
	f(100, true)
	f(499, true)
	f(500, false)
	horizon.Store(300)
	f(299, true)
	f(300, false)
	horizon.Store(0)
	f(200, false)
}

func TestNewCutsToItsWord(t *testing.T) {
	t.Parallel()
	l := New(ulid.ULID{3}, 7, MaxMicros+5, MaxReservations+5)
	l.Until = 1
	if micros, n := l.Granted(); micros != MaxMicros || n != MaxReservations {
		t.Fatalf("granted %d, %d", micros, n)
	}
	for range MaxReservations {
		if _, ok := l.Reserve(0, 0); !ok {
			t.Fatal("refused below the bound")
		}
	}
	if _, ok := l.Reserve(0, 0); ok {
		t.Fatal("numbered beyond the bound")
	}
	if micros, n := l.Left(); micros != MaxMicros || n != 0 {
		t.Fatalf("left %d, %d", micros, n)
	}
}

func TestBookKeepsSlots(t *testing.T) {
	t.Parallel()
	var b Book
	first, again := b.Slot(1), b.Slot(1)
	if first != again || first == b.Slot(2) {
		t.Fatal("a line item has one slot, and its own")
	}
}
