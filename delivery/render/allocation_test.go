//go:build !race

package render_test

import (
	"testing"

	"github.com/hayate-ads/hayate/delivery/auction"
	"github.com/hayate-ads/hayate/delivery/render"
	"github.com/hayate-ads/hayate/delivery/target/workload"
	"github.com/hayate-ads/hayate/internal/ad"
)

// TestAllocations: from the query to the last byte of the answer, filled or not,
// in every form, nothing is allocated.
func TestAllocations(t *testing.T) {
	m := newMarket(t, workload.Network, 1000)
	f := func(what string, run func(i int)) {
		t.Helper()
		for i := range m.requests {
			run(i) // buffers grow
		}
		i := 0
		n := testing.AllocsPerRun(2*len(m.requests), func() {
			run(i % len(m.requests))
			i++
		})
		if n != 0 {
			t.Errorf("%s: %v allocations, want 0", what, n)
		}
	}
	f("decision as JSON", func(i int) { m.decide(i) })
	f("decision as a document and as a script", func(i int) {
		m.decisions = auction.Run(m.catalog, &m.requests[i], &m.scratch, m.decisions[:0])
		if d := &m.decisions[0]; d.NoFill == auction.Filled {
			m.renderer.Sign(&m.tokens[0], m.signer, d)
			m.body = m.renderer.AppendDocument(m.body[:0], d, &m.tokens[0])
			m.body = m.renderer.AppendJS(m.body[:0], d, &m.tokens[0])
		}
	})
	var wants []ad.ID
	f("wants", func(i int) { wants = auction.Wants(m.catalog, &m.requests[i], &m.scratch, wants[:0]) })
	several := m.requests[0]
	several.Placements = []ad.ID{1, 2, 3, 4, 5, 6, 7, 8, 999_999}
	m.tokens = make([]render.Tokens, len(several.Placements))
	m.requests = []auction.Request{several}
	f("nine placements", func(i int) { m.decide(i) })
}
