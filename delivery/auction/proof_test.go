package auction_test

import (
	"maps"
	"os"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/hayate-ads/hayate/delivery/auction"
	"github.com/hayate-ads/hayate/internal/ad"
)

// manyWorlds runs a property 100 times, or with PROOF=1 as often as it takes for
// 200,000 decisions of [TestRunAgreesWithModel].
func manyWorlds(t *testing.T, property func(*rapid.T)) {
	t.Helper()
	rounds := 1
	if os.Getenv("PROOF") != "" {
		rounds = 110
	}
	for range rounds {
		rapid.Check(t, property)
	}
}

// tally counts what the drawn worlds have led to, so that a property that hardly
// meets its subject does not pass for a proof.
type tally struct {
	mu    sync.Mutex
	n     int
	kinds map[string]int
}

func (c *tally) count(got []auction.Decision, m *model) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.kinds == nil {
		c.kinds = make(map[string]int)
	}
	for at := range got {
		c.n++
		d := &got[at]
		if d.NoFill != auction.Filled {
			c.kinds[string(d.NoFill)]++
			continue
		}
		line := d.LineItem
		c.kinds[line.Tier.String()]++
		if line.Roadblock() == ad.AllOrNone {
			c.kinds["companion"]++
		}
		if d.Claim.Price < line.Price {
			c.kinds["second price"]++
		}
	}
}

func (c *tally) check(t *testing.T) {
	t.Helper()
	t.Logf("figure auction.decisions %d decisions (%v)", c.n, c.kinds)
	want := []string{"sponsorship", "guaranteed", "auction", "house", "companion", "second price",
		"unknown_placement", "no_match", "below_floor", "excluded", "no_creative", "no_lease"}
	for _, kind := range want {
		if c.kinds[kind] == 0 {
			t.Errorf("no decision was of kind %s; of %v", kind, slices.Sorted(maps.Keys(c.kinds)))
		}
	}
	if os.Getenv("PROOF") != "" && c.n < 200_000 {
		t.Errorf("%d decisions, want 200,000", c.n)
	}
}
