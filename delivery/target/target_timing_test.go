package target_test

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/hayate-ads/hayate/delivery/target"
	"github.com/hayate-ads/hayate/delivery/target/workload"
)

// benchmark is the workload of n line items, indexed, with requests resolved.
type benchmark struct {
	ix       *target.Index
	mask     target.Mask
	queries  []target.Query
	supplies []*target.Supply
}

func newBenchmark(tb testing.TB, mix workload.Mix, n int) *benchmark {
	tb.Helper()
	items := workload.LineItems(1, mix, n)
	indexed := make([]target.Item, n)
	for i := range items {
		indexed[i] = target.Item{Rule: items[i].Rule, Shapes: []uint16{uint16(items[i].Size)}}
	}
	ix, err := target.New(indexed, []*time.Location{time.UTC})
	if err != nil {
		tb.Fatal(err)
	}
	b := &benchmark{ix: ix, mask: ix.All()}
	for i := range items {
		if from, to := ix.RowsOf(i); !items[i].Live {
			b.mask.Set(from, to, false)
		}
	}
	monday := time.Date(2026, 11, 16, 0, 0, 0, 0, time.UTC)
	var hours [7 * 24]*target.Hours
	for hour := range hours {
		hours[hour] = ix.HoursAt(monday.Add(time.Duration(hour) * time.Hour))
	}
	for _, r := range workload.Requests(1, mix, 1000) {
		b.queries = append(b.queries, target.Query{Country: r.Country, Device: r.Device, OS: r.OS, Keywords: r.Keywords,
			Hours: hours[r.Hour]})
		b.supplies = append(b.supplies, ix.Supply(target.Slot{Property: r.Site, Shapes: []uint16{uint16(r.Size)}}, n <= 1000))
	}
	return b
}

func BenchmarkBest(b *testing.B) {
	for name, mix := range map[string]workload.Mix{"network": workload.Network, "publisher": workload.Publisher} {
		for _, n := range []int{1_000, 100_000} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				w := newBenchmark(b, mix, n)
				var scan target.Scan
				best := func(i int) int {
					scan.Prepare(w.ix, &w.queries[i])
					scan.Start(w.supplies[i], w.mask)
					return scan.Next()
				}
				want := make([]int, len(w.queries))
				for i := range want {
					want[i] = best(i)
				}
				b.ReportAllocs()
				for i := 0; b.Loop(); i = (i + 1) % len(want) {
					if got := best(i); got != want[i] {
						b.Fatal("request " + strconv.Itoa(i) + ": another best")
					}
				}
			})
		}
	}
}
