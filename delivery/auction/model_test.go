package auction_test

import (
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/hayate-ads/hayate/delivery/auction"
	"github.com/hayate-ads/hayate/delivery/catalog"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/rule"
	"github.com/hayate-ads/hayate/internal/snapshot"
)

func drawWorld(t *rapid.T) *world {
	w := newWorld()
	rules := []rule.Rule{everything, {}, in(rule.Country, "JP"), in(rule.OS, "ios"), in(rule.Keyword, "a=1"),
		in(rule.HourOfWeek, "99"), in(rule.Placement, "1"),
		{Conjunctions: []rule.Conjunction{in(rule.Country, "JP").Conjunctions[0], in(rule.Placement, "2").Conjunctions[0]}}}
	n := rapid.IntRange(0, 12).Draw(t, "line items")
	for id := ad.ID(1); id <= ad.ID(n); id++ {
		cpm := money.Micros(rapid.IntRange(1, 3).Draw(t, "cpm")) * money.Unit
		w.add(id, ad.Tier(rapid.IntRange(1, 4).Draw(t, "tier")), cpm, rapid.SampledFrom(rules).Draw(t, "rule"))
		if rapid.IntRange(0, 3).Draw(t, "over") == 0 {
			w.snapshot.LineItems[id-1].EndsAt = now
		}
		if rapid.Bool().Draw(t, "leased") {
			w.lease(id, 1000, rapid.Int64Range(1, 4).Draw(t, "left"))
		}
	}
	for i := range w.snapshot.Placements {
		p := &w.snapshot.Placements[i]
		p.Floor = money.Micros(rapid.IntRange(0, 4).Draw(t, "floor")) * money.Unit
		p.BlockedAdvertisers = rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) ad.ID { return ad.ID(rapid.IntRange(1, 12).Draw(t, "id")) }), 0, 4, rapid.ID[ad.ID]).Draw(t, "blocked")
		if rapid.IntRange(0, 9).Draw(t, "odd size") == 0 {
			p.Sizes = []ad.Size{{Width: 1, Height: 1}}
		}
	}
	return w
}

func drawRequest(t *rapid.T) *auction.Request {
	req := ask(rapid.SampledFrom([][]ad.ID{{1}, {2}, {1, 2}, {2, 1}, {3, 1}}).Draw(t, "placements")...)
	req.Seed = rapid.Uint64().Draw(t, "seed")
	if rapid.Bool().Draw(t, "japan") {
		req.Query.Country = [2]byte{'J', 'P'}
	}
	req.Query.OS = rapid.SampledFrom([]string{"", "ios"}).Draw(t, "os")
	if rapid.Bool().Draw(t, "keyword") {
		req.Query.Keywords = [][]byte{[]byte("a=1")}
	}
	return req
}

// model decides one placement the plain way: it says which line items may win,
// and the reason where none may.
func (w *world) model(req *auction.Request, placement ad.ID, used []ad.ID) (best []ad.ID, reason auction.Reason) {
	var p *snapshot.Placement
	for i := range w.snapshot.Placements {
		if w.snapshot.Placements[i].ID == placement {
			p = &w.snapshot.Placements[i]
		}
	}
	if p == nil {
		return nil, auction.UnknownPlacement
	}
	if p.Sizes[0].Width != 300 || len(w.snapshot.LineItems) == 0 {
		return nil, auction.NoCreative
	}
	has := rule.Request{rule.Placement: {strconv.Itoa(int(placement))}, rule.HourOfWeek: {"123"}}
	if req.Query.Country[0] != 0 {
		has[rule.Country] = []string{string(req.Query.Country[:])}
	}
	if req.Query.OS != "" {
		has[rule.OS] = []string{req.Query.OS}
	}
	for _, k := range req.Query.Keywords {
		has[rule.Keyword] = append(has[rule.Keyword], string(k))
	}
	worst := []auction.Reason{auction.NoMatch, auction.BelowFloor, auction.Excluded, auction.NoLease}
	closest, lead := 0, &snapshot.LineItem{Tier: ad.House + 1}
	for i := range w.snapshot.LineItems {
		item := &w.snapshot.LineItems[i]
		switch {
		case !item.EndsAt.IsZero() || !item.Targeting.Match(has):
		case item.CPM < p.Floor:
			closest = max(closest, 1)
		case slices.Contains(p.BlockedAdvertisers, item.Advertiser) || slices.Contains(used, item.ID):
			closest = max(closest, 2)
		case !w.payable(item):
			closest = 3
		case item.Tier < lead.Tier || (item.Tier == lead.Tier && item.CPM > lead.CPM):
			best, lead = []ad.ID{item.ID}, item
		case item.Tier == lead.Tier && item.CPM == lead.CPM:
			best = append(best, item.ID)
		}
	}
	if best == nil {
		return nil, worst[closest]
	}
	return best, auction.Filled
}

func (w *world) payable(item *snapshot.LineItem) bool {
	l := w.book.Slot(item.ID).Load()
	if l == nil {
		return false
	}
	left, n := l.Left()
	return n > 0 && left >= money.PerImpression(item.CPM)
}

// TestRunAgreesWithModel also holds Explain to the same outcomes, and Run to
// the same decisions when everything is the same again.
func TestRunAgreesWithModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		c := w.compile(t)
		var s auction.Scratch
		for range 8 {
			req := drawRequest(t)
			explained := auction.Explain(c, req)
			// Placements one by one, to model each before it takes from a lease;
			// what is used already comes last in the order of the request.
			if len(req.Placements) == 2 && req.Placements[0] != 3 {
				checkPair(t, w, c, req, explained)
				continue
			}
			for _, id := range req.Placements {
				best, reason := w.model(req, id, nil)
				one := *req
				one.Placements = []ad.ID{id}
				got := auction.Run(c, &one, &s, nil)[0]
				agree(t, got, best, reason)
				if id == req.Placements[0] {
					checkExplained(t, explained, got, best)
				}
			}
		}
	})
}

func agree(t *rapid.T, got auction.Decision, best []ad.ID, reason auction.Reason) {
	if got.NoFill != reason {
		t.Fatalf("placement %d: reason %q, want %q", got.Placement, got.NoFill, reason)
	}
	if reason == auction.Filled && !slices.Contains(best, got.LineItem.ID) {
		t.Fatalf("placement %d: %d won, want one of %v", got.Placement, got.LineItem.ID, best)
	}
}

func checkExplained(t *rapid.T, all []auction.Explanation, got auction.Decision, best []ad.ID) {
	for _, x := range all {
		if x.Placement != got.Placement {
			continue
		}
		won := got.NoFill == auction.Filled && got.LineItem.ID == x.LineItem
		if won != (x.Outcome == auction.Won) || (!won && slices.Contains(best, x.LineItem) && x.Outcome != auction.Outbid) {
			t.Fatalf("placement %d, line item %d: explained as %q (%s: %q, %q)", x.Placement, x.LineItem, x.Outcome, x.Predicate, x.Wanted, x.Got)
		}
	}
}

// checkPair checks two placements of one request: the second knows what the
// first has shown and what that took from its lease.
func checkPair(t *rapid.T, w *world, c *catalog.Catalog, req *auction.Request, explained []auction.Explanation) {
	var s auction.Scratch
	best, reason := w.model(req, req.Placements[0], nil)
	got := auction.Run(c, req, &s, nil)
	agree(t, got[0], best, reason)
	checkExplained(t, explained, got[0], best)
	if got[1].NoFill != auction.Filled {
		var used []ad.ID
		if got[0].NoFill == auction.Filled {
			used = append(used, got[0].LineItem.ID)
		}
		best, reason = w.model(req, req.Placements[1], used)
		agree(t, got[1], best, reason)
		return
	}
	if got[0].NoFill == auction.Filled && got[0].Creative == got[1].Creative {
		t.Fatalf("creative %d twice in one decision", got[0].Creative.ID)
	}
}

// TestReplay: the same catalog, request and leases give the same decisions.
func TestReplay(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		req := drawRequest(t)
		var before []auction.Decision
		for round := range 2 {
			for _, item := range w.snapshot.LineItems {
				if w.book.Slot(item.ID).Load() != nil {
					w.lease(item.ID, 1000, 3)
				}
			}
			var s auction.Scratch
			got := auction.Run(w.compile(t), req, &s, nil)
			if round == 1 {
				if diff := cmp.Diff(claims(before), claims(got)); diff != "" {
					t.Fatalf("replayed decisions differ:\n%s", diff)
				}
			}
			before = got
		}
	})
}

func claims(decisions []auction.Decision) (all []event.Reservation) {
	for _, d := range decisions {
		all = append(all, d.Claim)
	}
	return all
}
