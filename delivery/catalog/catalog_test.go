package catalog_test

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/hayate-ads/hayate/delivery/catalog"
	"github.com/hayate-ads/hayate/delivery/lease"
	"github.com/hayate-ads/hayate/delivery/target"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/rule"
	"github.com/hayate-ads/hayate/internal/snapshot"
	"github.com/hayate-ads/hayate/internal/snapshot/snapshottest"
)

func compile(t testing.TB, s *snapshot.Snapshot) *catalog.Catalog {
	t.Helper()
	c, err := catalog.Compile(s, new(lease.Book))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// ids are the line items whose rows are set in mask; a line item with some rows
// set and some not shows as negative.
func ids(c *catalog.Catalog, mask target.Mask) []ad.ID {
	var found []ad.ID
	for i := range c.LineItems {
		from, to := c.Index.RowsOf(i)
		n := 0
		for row := from; row < to; row++ {
			n += int(mask[row>>6].Load() >> (row & 63) & 1)
		}
		switch n {
		case 0:
		case to - from:
			found = append(found, c.LineItems[i].ID)
		default:
			found = append(found, -c.LineItems[i].ID)
		}
	}
	slices.Sort(found)
	return found
}

func TestRankAndLookup(t *testing.T) {
	t.Parallel()
	s := snapshottest.Make(3, 500)
	book := new(lease.Book)
	c, err := catalog.Compile(s, book)
	if err != nil {
		t.Fatal(err)
	}
	if c.Generation != 3 || c.Currency != "USD" || !c.CreatedAt.Equal(s.CreatedAt) {
		t.Errorf("generation %d, currency %s, created %v", c.Generation, c.Currency, c.CreatedAt)
	}
	for i := range c.LineItems {
		item := &c.LineItems[i]
		if i > 0 && !inRank(&c.LineItems[i-1], item) {
			t.Errorf("line item %d stands behind %d", item.ID, c.LineItems[i-1].ID)
		}
		checkPeers(t, c, i)
		if c.LineItem(item.ID) != item || item.Slot != book.Slot(item.ID) || item.Price != money.PerImpression(item.Cost) {
			t.Errorf("line item %d: lookup, slot or price are wrong", item.ID)
		}
		if len(item.Creatives) != 2 || item.Creatives[0].Item != uint32(i) || item.Creatives[1].Item != uint32(i) {
			t.Errorf("line item %d has creatives %v", item.ID, item.Creatives)
		}
	}
	for i := range c.Creatives {
		if c.Creatives[i].Index != i {
			t.Errorf("creative %d at %d says %d", c.Creatives[i].ID, i, c.Creatives[i].Index)
		}
	}
	for _, p := range s.Placements {
		got := c.Placement(p.ID)
		if got == nil || cmp.Diff(p, got.Placement) != "" || len(got.Shapes) != 2 || got.Domain == "" {
			t.Errorf("placement %d found as %+v", p.ID, got)
		}
	}
	for _, id := range []ad.ID{0, -1, 1, 1 << 60} {
		if got := c.Placement(id); got != nil {
			t.Errorf("placement %d found as %d", id, got.ID)
		}
	}
	if c.LineItem(1) != nil {
		t.Error("a line item that is not there is found")
	}
}

func inRank(a, b *catalog.LineItem) bool {
	if a.Tier != b.Tier {
		return a.Tier < b.Tier
	}
	if a, b := worth(a), worth(b); a != b {
		return a > b
	}
	return a.ID < b.ID
}

// worth is what decides inside of a tier.
func worth(item *catalog.LineItem) int64 {
	switch item.Tier {
	case ad.Guaranteed:
		return int64(item.Urgency)
	case ad.Auction:
		return int64(item.Value)
	}
	return 0
}

func checkPeers(t *testing.T, c *catalog.Catalog, i int) {
	t.Helper()
	item := &c.LineItems[i]
	from, to := c.Peers(i)
	for j := range c.LineItems {
		same := c.LineItems[j].Tier == item.Tier && worth(&c.LineItems[j]) == worth(item)
		if same != (from <= j && j < to) {
			t.Fatalf("line item at %d has peers [%d, %d), the one at %d is wrong", i, from, to, j)
		}
		if (j >= c.TierEnd(item.Tier)) != (c.LineItems[j].Tier > item.Tier) {
			t.Fatalf("tier %d ends at %d, the line item at %d is of tier %d", item.Tier, c.TierEnd(item.Tier), j, c.LineItems[j].Tier)
		}
	}
}

func TestEmptySnapshot(t *testing.T) {
	t.Parallel()
	c := compile(t, &snapshot.Snapshot{Generation: 1})
	c.Tick(snapshottest.Start)
	if c.Placement(1) != nil || c.LineItem(1) != nil || len(ids(c, c.Live())) != 0 {
		t.Error("an empty snapshot holds something")
	}
}

// TestBits drives the bits with random changes and compares them with what a
// plain look at dates, stops and leases says.
func TestBits(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := snapshottest.Make(1, 40)
		c, err := catalog.Compile(s, new(lease.Book))
		if err != nil {
			t.Fatal(err)
		}
		now := snapshottest.Start
		stops := map[string]map[ad.ID]bool{"advertiser": {}, "campaign": {}, "line_item": {}, "creative": {}}
		live, aside := map[ad.ID]bool{}, map[ad.ID]bool{}
		c.Tick(now)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch rapid.IntRange(0, 4).Draw(t, "step") {
			case 0:
				// Hours that line items begin and end at, now and then backwards.
				now = snapshottest.Start.Add(time.Duration(rapid.IntRange(-10, 900).Draw(t, "hours")) * time.Hour)
				c.Tick(now)
			case 1:
				id, on := ad.ID(rapid.IntRange(1, 90).Draw(t, "line item")), rapid.Bool().Draw(t, "live")
				live[id] = on
				c.SetLive(id, on)
			case 2:
				id, on := ad.ID(rapid.IntRange(1, 90).Draw(t, "line item")), rapid.Bool().Draw(t, "aside")
				aside[id] = on
				c.SetAside(id, on)
			default:
				kind := rapid.SampledFrom([]string{"advertiser", "campaign", "line_item", "creative"}).Draw(t, "kind")
				// A few ids, so that a line item is stopped by several things at once.
				id, on := ad.ID(rapid.SampledFrom([]int{2, 3, 4, 6, 8, 40}).Draw(t, "id")), rapid.Bool().Draw(t, "stopped")
				stops[kind][id] = on
				c.SetStopped(kind, id, on)
			}
		}
		var eligible, leased []ad.ID
		for i := range s.LineItems {
			item := &s.LineItems[i]
			over := !item.EndsAt.IsZero() && !now.Before(item.EndsAt)
			if item.StartsAt.After(now) || over || stops["advertiser"][item.Advertiser] || stops["campaign"][item.Campaign] || stops["line_item"][item.ID] {
				continue
			}
			if live[item.ID] || !aside[item.ID] {
				eligible = append(eligible, item.ID)
			}
			if live[item.ID] {
				leased = append(leased, item.ID)
			}
		}
		if diff := cmp.Diff(eligible, ids(c, c.Eligible())); diff != "" {
			t.Fatalf("eligible (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(leased, ids(c, c.Live())); diff != "" {
			t.Fatalf("live (-want +got):\n%s", diff)
		}
		for i := range c.Creatives {
			if c.CreativeStopped(i) != stops["creative"][c.Creatives[i].ID] {
				t.Fatalf("creative %d: stopped %v", c.Creatives[i].ID, c.CreativeStopped(i))
			}
		}
	})
}

// TestBitsBesideReaders is for the race detector.
func TestBitsBesideReaders(t *testing.T) {
	t.Parallel()
	c := compile(t, snapshottest.Make(1, 200))
	var writers, readers sync.WaitGroup
	done := make(chan struct{})
	readers.Go(func() {
		var scan target.Scan
		for {
			select {
			case <-done:
				return
			default:
			}
			scan.Prepare(c.Index, &target.Query{Hours: c.Hours()})
			scan.Start(c.Placement(5).Supply, c.Live())
			for scan.Next() >= 0 {
			}
			c.CreativeStopped(3)
		}
	})
	for worker := range 4 {
		writers.Go(func() {
			for i := range 300 {
				c.SetLive(ad.ID(i), (i+worker)%2 == 0)
				c.SetStopped("advertiser", ad.ID(i%60), i%3 == 0)
				c.SetStopped("creative", ad.ID(i), i%2 == 0)
				c.Tick(snapshottest.Start.Add(time.Duration(i+worker) * time.Hour))
			}
		})
	}
	writers.Wait()
	close(done)
	readers.Wait()
}

// TestHoursFollowTheClock: a line item for Monday 00 in Tokyo begins and ends on
// the minute.
func TestHoursFollowTheClock(t *testing.T) {
	t.Parallel()
	s := snapshottest.Make(1, 1)
	s.Advertisers[0].TimeZone = "Asia/Tokyo"
	s.LineItems[0].Targeting = s.Values.Pack(rule.Rule{Conjunctions: []rule.Conjunction{{{Dimension: rule.HourOfWeek, Values: []string{"0"}}}}})
	c := compile(t, s)
	var scan target.Scan
	f := func(at string, want bool) {
		t.Helper()
		now, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		c.Tick(now)
		scan.Prepare(c.Index, &target.Query{Hours: c.Hours()})
		scan.Start(c.Placement(5).Supply, c.Index.All())
		if got := scan.Next() >= 0; got != want {
			t.Errorf("%s: open %v, want %v", at, got, want)
		}
	}
	f("2026-11-15T14:59:59Z", false)
	f("2026-11-15T15:00:00Z", true)
	f("2026-11-15T15:59:59Z", true)
	f("2026-11-15T16:00:00Z", false)
	f("2026-11-15T15:30:00Z", true)
}

func TestCompileRefuses(t *testing.T) {
	t.Parallel()
	f := func(want string, spoil func(*snapshot.Snapshot)) {
		t.Helper()
		s := snapshottest.Make(9, 3)
		spoil(s)
		if _, err := catalog.Compile(s, new(lease.Book)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	f("catalog of generation 9: time zone of advertiser 3: unknown time zone Mars/Olympus", func(s *snapshot.Snapshot) { s.Advertisers[0].TimeZone = "Mars/Olympus" })
	f("line item 2 is of advertiser 4, which is not there", func(s *snapshot.Snapshot) { s.LineItems[0].Advertiser = 4 })
	f("line item 2 has tier 9", func(s *snapshot.Snapshot) { s.LineItems[0].Tier = 9 })
	f("creative 1 is of line item 99, which is not there", func(s *snapshot.Snapshot) { s.Creatives[0].LineItem = 99 })
	f("placement 5 is of property 99, which is not there", func(s *snapshot.Snapshot) { s.Placements[0].Property = 99 })
	for _, landing := range []string{"", "javascript:alert(1)", "//a.example", "https://a.example/\r\nSet-Cookie: x", "https://a.example/ b", "https://a.example/\u0085"} {
		f("creative 1 has a landing URL that is no place for a redirect", func(s *snapshot.Snapshot) { s.Creatives[0].LandingURL = landing })
	}
}
