package catalog_test

import (
	"testing"
	"time"

	"github.com/hayate-ads/hayate/delivery/catalog"
	"github.com/hayate-ads/hayate/delivery/lease"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/snapshot/snapshottest"
)

func BenchmarkCompile100k(b *testing.B) {
	s, book := snapshottest.Make(1, 100_000), new(lease.Book)
	b.ReportAllocs()
	for b.Loop() {
		c, err := catalog.Compile(s, book)
		if err != nil || len(c.LineItems) != 100_000 {
			b.Fatal(err)
		}
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
