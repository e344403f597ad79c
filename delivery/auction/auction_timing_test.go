package auction_test

import (
	"testing"

	"github.com/hayate-ads/hayate/delivery/auction"
)

func BenchmarkRun(b *testing.B) {
	f := func(name string, m *market, filled int) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				got := m.run(i)
				for j := range filled {
					if got[j].NoFill != auction.Filled {
						b.Fatalf("request %d: %q", i, got[j].NoFill)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(m.got)), "ns/placement")
		})
	}
	const n = 100_000
	plain := newMarket(b, n, nil)
	f("first_price", plain, 1)
	f("five_placements", plain.ask(1, 2, 3, 4, 5), 5)
	secondPrice(plain)
	f("second_price", plain.ask(1), 1)
	f("second_price/five_placements", plain.ask(1, 2, 3, 4, 5), 5)
	f("unknown_placement", plain.ask(99), 0)
	f("companions/five_placements", newMarket(b, n, companions).ask(1, 2, 3, 4, 5), 5)
	f("equals_100", newMarket(b, 300, equals), 1)
	f("equals_30000", newMarket(b, n, equals), 1)
}

func BenchmarkExplain(b *testing.B) {
	m := newMarket(b, 100_000, nil)
	f := func(name string, page auction.Page) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				won := false
				auction.ExplainEach(m.catalog, m.requests[i%1000], page, func(x *auction.Explanation) bool {
					won = won || x.Outcome == auction.Won
					return true
				})
				if !won && page.LineItem == 0 && page.Offset == 0 {
					b.Fatal("nobody won")
				}
			}
		})
	}
	f("all", auction.Page{})
	f("nearest_1000", auction.Page{Limit: 1000})
	f("nearest_behind_90000", auction.Page{Offset: 90_000, Limit: 1000})
	f("one", auction.Page{LineItem: 50_000})
}
