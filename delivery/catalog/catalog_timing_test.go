package catalog_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/hayate-ads/hayate/delivery/catalog"
	"github.com/hayate-ads/hayate/delivery/lease"
	"github.com/hayate-ads/hayate/delivery/target/workload"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/rule"
	"github.com/hayate-ads/hayate/internal/snapshot"
	"github.com/hayate-ads/hayate/internal/snapshot/snapshottest"
)

// standard is the standard workload with a banner for each line item.
func standard(n int) *snapshot.Snapshot {
	s := &snapshot.Snapshot{
		Generation: 1, CreatedAt: snapshottest.Start, Currency: "USD", Values: new(rule.Table),
		Advertisers: []snapshot.Advertiser{{ID: 1, Domain: "brand.example", TimeZone: "UTC"}},
	}
	for i, item := range workload.LineItems(1, workload.Network, n) {
		id, size := ad.ID(i+1), workload.Sizes[item.Size]
		s.LineItems = append(s.LineItems, snapshot.LineItem{
			ID: id, Campaign: id/5 + 1, Advertiser: 1, Tier: ad.Auction, CostType: ad.CPM, Cost: item.CPM, Weight: 1,
			StartsAt: snapshottest.Start, Targeting: s.Values.Pack(item.Rule),
		})
		s.Creatives = append(s.Creatives, snapshot.Creative{
			ID: id, LineItem: id, Revision: 1, Format: ad.Banner, Width: size.Width, Height: size.Height,
			LandingURL: fmt.Sprintf("https://brand.example/offers/%d?from=ads", id),
			Image:      ad.Image{SHA256: fmt.Sprintf("%064x", id), Type: "image/jpeg", Bytes: 20_000},
		})
	}
	s.SortValues()
	return s
}

func BenchmarkCompile100k(b *testing.B) {
	s, book := standard(100_000), new(lease.Book)
	b.ReportAllocs()
	for b.Loop() {
		c, err := catalog.Compile(s, book)
		if err != nil || len(c.LineItems) != 100_000 {
			b.Fatal(err)
		}
	}
}

// BenchmarkFollow100k derives all bits, as a swap does.
func BenchmarkFollow100k(b *testing.B) {
	s, book := snapshottest.Make(1, 100_000), new(lease.Book)
	for i := range s.LineItems {
		book.Slot(s.LineItems[i].ID).Store(new(lease.Lease))
	}
	for b.Loop() {
		b.StopTimer()
		c, err := catalog.Compile(s, book)
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		c.Tick(snapshottest.Start.Add(200 * time.Hour))
		c.Follow()
	}
}

func BenchmarkSetLive100k(b *testing.B) {
	c := compile(b, snapshottest.Make(1, 100_000))
	c.Tick(snapshottest.Start.Add(200 * time.Hour))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		id := ad.ID(2 * (i%100_000 + 1))
		c.SetLive(id, i/100_000%2 == 0)
	}
}

func BenchmarkPlacement(b *testing.B) {
	c := compile(b, snapshottest.Make(1, 10_000))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		id := ad.ID(5 * (i%1000 + 1))
		if c.Placement(id).ID != id {
			b.Fatal("another placement")
		}
	}
}
