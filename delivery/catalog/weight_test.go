package catalog_test

import (
	"testing"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/snapshot/snapshottest"
)

// TestPeerAt: going through all shares meets every peer as often as it weighs.
func TestPeerAt(t *testing.T) {
	t.Parallel()
	s := snapshottest.Make(1, 60)
	for i := range s.LineItems {
		s.LineItems[i].Weight = 1 + i%5
	}
	c := compile(t, s)
	for from := 0; from < len(c.LineItems); {
		_, to := c.Peers(from)
		met := make(map[ad.ID]int)
		for share := range c.PeersWeight(from, to) {
			item := c.PeerAt(from, to, share)
			if item < from || item >= to {
				t.Fatalf("share %d of [%d, %d) falls on %d", share, from, to, item)
			}
			met[c.LineItems[item].ID]++
		}
		for i := from; i < to; i++ {
			if l := &c.LineItems[i]; met[l.ID] != int(l.Weight) {
				t.Errorf("line item %d of weight %d is met %d times", l.ID, l.Weight, met[l.ID])
			}
		}
		from = to
	}
}
