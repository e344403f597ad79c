//go:build !race

package auction_test

import (
	"testing"

	"github.com/hayate-ads/hayate/delivery/auction"
	"github.com/hayate-ads/hayate/internal/ad"
)

// TestAllocations: once buffers have grown, nothing is allocated, whatever is decided.
func TestAllocations(t *testing.T) {
	f := func(what string, m *market) {
		t.Helper()
		var wants []ad.ID
		i := 0
		run := func() {
			req := m.requests[i%len(m.requests)]
			m.got = auction.Run(m.catalog, req, &m.scratch, m.got[:0])
			_ = m.scratch.Losses()
			wants = auction.Wants(m.catalog, req, &m.scratch, wants[:0])
			i++
		}
		for range m.requests {
			run()
		}
		if n := testing.AllocsPerRun(len(m.requests), run); n != 0 {
			t.Errorf("%s: %v allocations, want 0", what, n)
		}
	}
	m := newMarket(t, 1000, companions)
	f("one placement", m)
	f("placements of all kinds", m.ask(1, 2, 3, 4, 5, 99))
	f("the second price", secondPrice(m))
	f("equals", newMarket(t, 1000, equals).ask(1, 2, 3))
}
