package lease

import (
	"testing"

	"github.com/oklog/ulid/v2"
)

// One hot line item, every goroutine on the same lease, replaced when used up as
// the bank would.
func BenchmarkReserve(b *testing.B) {
	var slot Slot
	fresh := func() *Lease {
		l := New(ulid.ULID{1}, 7, MaxMicros, MaxReservations)
		l.Until = 1_000
		return l
	}
	slot.Store(fresh())
	b.SetParallelism(4) // 8 goroutines on 2 cores
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			l := slot.Load()
			if _, ok := l.Reserve(1, 500); !ok {
				if _, left := l.Left(); left > 0 {
					b.Fatal("refused with impressions left")
				}
				slot.Store(fresh())
			}
		}
	})
}
