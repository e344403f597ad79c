package auction_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/hayate-ads/hayate/delivery/auction"
	"github.com/hayate-ads/hayate/delivery/catalog"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/rule"
	"github.com/hayate-ads/hayate/internal/snapshot"
)

var (
	small = ad.Size{Width: 300, Height: 250}
	wide  = ad.Size{Width: 728, Height: 90}
)

var drawnRules = []rule.Rule{
	everything, everything, everything,
	{}, in(rule.Country, "JP"), in(rule.OS, "ios"), in(rule.Keyword, "a=1"), in(rule.HourOfWeek, "99"), in(rule.Placement, "1"),
	{Conjunctions: []rule.Conjunction{in(rule.Country, "JP").Conjunctions[0], in(rule.Placement, "2").Conjunctions[0]}},
	{Conjunctions: []rule.Conjunction{{{Dimension: rule.Country, Values: []string{"DE", "JP"}}, {Dimension: rule.Keyword, Exclude: true, Values: []string{"a=1"}}}}},
	{Conjunctions: []rule.Conjunction{{{Dimension: rule.OS, Exclude: true, Values: []string{"ios"}}, {Dimension: rule.Keyword, Values: []string{"a=1"}}, {Dimension: rule.Keyword, Values: []string{"b=2"}}}}},
}

// subset draws some of the values, in order; most often none.
func subset[T any](t *rapid.T, what string, values ...T) []T {
	if rapid.IntRange(0, 2).Draw(t, what+"?") > 0 {
		return nil
	}
	var chosen []T
	for _, value := range values {
		if rapid.Bool().Draw(t, what) {
			chosen = append(chosen, value)
		}
	}
	return chosen
}

func oneIn(t *rapid.T, n int, what string) bool { return rapid.IntRange(1, n).Draw(t, what) == n }

func drawWorld(t *rapid.T) *world {
	w := newWorld(4)
	w.snapshot.FX = []snapshot.ExchangeRate{{Currency: "EUR", Value: 1_099_999}}
	w.snapshot.Rates = snapshot.Rates{Click: 10_000, Conversion: 100_000}
	for i := range w.snapshot.Placements {
		drawPlacement(t, &w.snapshot.Placements[i])
	}
	n := rapid.IntRange(0, 12).Draw(t, "line items")
	for id := ad.ID(1); id <= ad.ID(n); id++ {
		w.drawLineItem(t, id)
	}
	return w
}

func drawPlacement(t *rapid.T, p *snapshot.Placement) {
	p.Sizes = rapid.SampledFrom([][]ad.Size{{small}, {small}, {wide}, {small, wide}, {small, wide}}).Draw(t, "sizes")
	if oneIn(t, 20, "odd size") {
		p.Sizes = []ad.Size{{Width: 1, Height: 1}}
	}
	p.Floor = money.Micros(rapid.IntRange(0, 8).Draw(t, "floor")) * money.Unit / 2
	p.FloorCurrency = rapid.SampledFrom([]string{"USD", "EUR"}).Draw(t, "currency")
	p.AuctionType = rapid.SampledFrom([]ad.AuctionType{ad.FirstPrice, ad.SecondPrice}).Draw(t, "auction")
	p.BlockedAdvertisers = subset(t, "blocked advertisers", ad.ID(1), 2, 3, 4, 5)
	p.BlockedCategories = subset(t, "blocked categories", "iab1/IAB1", "iab1/IAB7-39")
	p.BlockedAttributes = subset(t, "blocked attributes", uint8(1), 2)
}

func (w *world) drawLineItem(t *rapid.T, id ad.ID) {
	tier := ad.Tier(rapid.IntRange(1, 4).Draw(t, "tier"))
	item := w.add(id, tier, money.Micros(rapid.IntRange(1, 6).Draw(t, "cost"))*money.Unit/2, rapid.SampledFrom(drawnRules).Draw(t, "rule"))
	item.Weight = rapid.IntRange(1, 3).Draw(t, "weight")
	item.CostType = rapid.SampledFrom([]ad.CostType{ad.CPM, ad.CPM, ad.CPM, ad.CPC, ad.CPA}).Draw(t, "cost type")
	if item.CostType != ad.CPM {
		item.Cost /= 10
	}
	if item.CostType == ad.CPA {
		item.Cost *= 10
	}
	if tier == ad.House && rapid.Bool().Draw(t, "free") {
		item.Cost = 0
	}
	item.Urgency = 500 * rapid.IntRange(0, 2).Draw(t, "urgency")
	item.Roadblock = rapid.SampledFrom([]ad.Roadblock{ad.OneOrMore, ad.OneOrMore, ad.OneOrMore, ad.OnlyOne, ad.AllOrNone}).Draw(t, "roadblock")
	item.Labels = subset(t, "labels", "beer", "cars")
	if oneIn(t, 8, "over") {
		item.EndsAt = now
	}
	if rapid.IntRange(0, 3).Draw(t, "leased") > 0 {
		w.lease(id, 1000, rapid.Int64Range(1, 20).Draw(t, "left"))
	}
	w.snapshot.Creatives = w.snapshot.Creatives[:len(w.snapshot.Creatives)-1]
	for n := range rapid.IntRange(1, 3).Draw(t, "creatives") {
		c := w.banner(id*10+ad.ID(n), id)
		size := rapid.SampledFrom([]ad.Size{small, small, wide}).Draw(t, "size")
		c.Width, c.Height = size.Width, size.Height
		c.Categories = subset(t, "categories", "iab1/IAB1", "iab1/IAB1-2", "iab1/IAB7-39")
		c.Attributes = subset(t, "attributes", uint8(1), 2, 3)
	}
}

// drawStops stops a few creatives.
func (w *world) drawStops(t *rapid.T, c *catalog.Catalog) map[ad.ID]bool {
	stopped := make(map[ad.ID]bool)
	for i := range w.snapshot.Creatives {
		if oneIn(t, 12, "stopped") {
			stopped[w.snapshot.Creatives[i].ID] = true
			c.SetStopped("creative", w.snapshot.Creatives[i].ID, true)
		}
	}
	return stopped
}

func drawRequest(t *rapid.T) *auction.Request {
	order := rapid.Permutation([]ad.ID{1, 2, 3, 4}).Draw(t, "placements")
	req := ask(order[:rapid.IntRange(1, 4).Draw(t, "n")]...)
	if oneIn(t, 10, "unknown placement") {
		req.Placements = append(slices.Clone(req.Placements), 77)
	}
	req.Seed = rapid.Uint64().Draw(t, "seed")
	if rapid.Bool().Draw(t, "japan") {
		with(req, rule.Country, "JP")
	}
	with(req, rule.OS, rapid.SampledFrom([]string{"", "ios"}).Draw(t, "os"))
	for _, keyword := range subset(t, "keywords", "a=1", "b=2") {
		with(req, rule.Keyword, keyword)
	}
	return req
}

// TestRunAgreesWithModel: winners, prices, creatives, reasons, companions and
// what is left on the leases.
func TestRunAgreesWithModel(t *testing.T) {
	t.Parallel()
	var total tally
	manyWorlds(t, func(t *rapid.T) {
		w := drawWorld(t)
		c := w.compile(t)
		stopped := w.drawStops(t, c)
		var s auction.Scratch
		for range 8 {
			req := drawRequest(t)
			m := w.model(req, stopped)
			fresh := w.model(req, stopped)
			explained := auction.Explain(c, req)
			got := auction.Run(c, req, &s, nil)
			if err := m.decide(got); err != nil {
				t.Fatal(err)
			}
			if err := m.left(); err != nil {
				t.Fatal(err)
			}
			checkLosses(t, fresh, c, got, s.Losses())
			checkExplained(t, fresh, explained, got)
			total.count(got, m)
		}
	})
	total.check(t)
}

// checkLosses holds the losses of a request for one placement to the model.
func checkLosses(t *rapid.T, m *model, c *catalog.Catalog, got []auction.Decision, losses []auction.Loss) {
	if len(got) != 1 || m.placement(0) == nil {
		return
	}
	p := m.placement(0)
	for _, l := range losses {
		item := m.item(c.LineItems[l.Item].ID)
		want := m.reason(item, p)
		switch {
		case want == auction.Filled:
			want = auction.Outbid
		case want == auction.NoMatch && m.matches(item, p):
			want = auction.NoLease // not live, and looked at in the second walk
		}
		companion := item.Roadblock == ad.AllOrNone && l.Reason == auction.NoLease
		if l.Reason != want && !companion {
			t.Fatalf("line item %d lost for %q, want %q", item.ID, l.Reason, want)
		}
		if got[0].NoFill == auction.Filled && got[0].LineItem.ID == item.ID {
			t.Fatalf("line item %d lost (%q) and won", item.ID, l.Reason)
		}
	}
}

// checkExplained: who wins, at which price, and who mismatches.
func checkExplained(t *rapid.T, m *model, explained []auction.Explanation, got []auction.Decision) {
	rows := make(map[ad.ID]int)
	for _, x := range explained {
		rows[x.Placement]++
		at := slices.Index(m.req.Placements, x.Placement)
		item, d := m.item(x.LineItem), &got[at]
		won := d.NoFill == auction.Filled && d.LineItem.ID == x.LineItem
		if won != (x.Outcome == auction.Won) {
			t.Fatalf("placement %d, line item %d: won %v, explained as %q %+v", x.Placement, x.LineItem, won, x.Outcome, x.Causes)
		}
		if won && (x.Price != d.Claim.Price || x.Creative != d.Creative.ID) {
			t.Fatalf("placement %d: %v for creative %d, explained as %v for %d", x.Placement, d.Claim.Price, d.Creative.ID, x.Price, x.Creative)
		}
		matches := m.targets(item, m.placement(at))
		shapely := slices.ContainsFunc(x.Causes, func(c auction.Cause) bool { return c.Predicate == "creative_size" })
		mismatch := x.Outcome == auction.NoMatch || (x.Outcome == auction.NoCreative && shapely)
		if m.current(item) && matches == mismatch {
			t.Fatalf("placement %d, line item %d: matches %v, explained as %q %+v", x.Placement, x.LineItem, matches, x.Outcome, x.Causes)
		}
		if (x.Outcome == auction.OutOfDate) == m.current(item) {
			t.Fatalf("line item %d: explained as %q", x.LineItem, x.Outcome)
		}
	}
	for at, id := range m.req.Placements {
		if m.placement(at) != nil && rows[id] != len(m.snapshot.LineItems) {
			t.Fatalf("placement %d has %d rows", id, rows[id])
		}
	}
}
