package auction_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/oklog/ulid/v2"

	"github.com/hayate-ads/hayate/delivery/auction"
	"github.com/hayate-ads/hayate/delivery/catalog"
	"github.com/hayate-ads/hayate/delivery/lease"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/rule"
	"github.com/hayate-ads/hayate/internal/snapshot"
)

// now is a Friday, 18:00 UTC.
var now = time.Date(2026, 11, 20, 18, 0, 0, 0, time.UTC)

// everything is the rule of a line item without targeting.
var everything = rule.Rule{Conjunctions: []rule.Conjunction{nil}}

func in(d rule.Dimension, values ...string) rule.Rule {
	return rule.Rule{Conjunctions: []rule.Conjunction{{{Dimension: d, Values: values}}}}
}

// world is a small market: line items of advertiser id, each with one banner of
// 300x250 whose id is ten times its own, and placements from 1 on for those.
type world struct {
	snapshot snapshot.Snapshot
	rules    []rule.Rule // of snapshot.LineItems
	book     lease.Book
}

// newWorld has n placements.
func newWorld(n int) *world {
	w := &world{snapshot: snapshot.Snapshot{Generation: 7, CreatedAt: now, Currency: "USD"}}
	w.snapshot.Properties = []snapshot.Property{{ID: 1, Publisher: 1, Kind: ad.Site, Domain: "news.example"}}
	for id := ad.ID(1); id <= ad.ID(n); id++ {
		w.snapshot.Placements = append(w.snapshot.Placements, snapshot.Placement{
			ID: id, Property: 1, Formats: []ad.Format{ad.Banner}, Sizes: []ad.Size{{Width: 300, Height: 250}},
			FloorCurrency: "USD", AuctionType: ad.FirstPrice,
		})
	}
	return w
}

// add adds a line item with its banner and returns it for changes.
func (w *world) add(id ad.ID, tier ad.Tier, cpm money.Micros, targeting rule.Rule) *snapshot.LineItem {
	w.snapshot.Advertisers = append(w.snapshot.Advertisers, snapshot.Advertiser{ID: id, Domain: "brand.example", TimeZone: "Asia/Tokyo"})
	w.snapshot.LineItems = append(w.snapshot.LineItems, snapshot.LineItem{
		ID: id, Campaign: id, Advertiser: id, Tier: tier, CostType: ad.CPM, Cost: cpm, Weight: 1, StartsAt: now.Add(-time.Hour),
	})
	w.rules = append(w.rules, targeting)
	w.banner(id*10, id)
	return &w.snapshot.LineItems[len(w.snapshot.LineItems)-1]
}

// banner adds a creative and returns it for changes.
func (w *world) banner(id, lineItem ad.ID) *snapshot.Creative {
	w.snapshot.Creatives = append(w.snapshot.Creatives, snapshot.Creative{
		ID: id, LineItem: lineItem, Revision: 1, Format: ad.Banner, Width: 300, Height: 250,
		LandingURL: fmt.Sprintf("https://brand.example/%d", id), Image: ad.Image{SHA256: strings.Repeat("0f", 32), Type: "image/png", Bytes: 1},
	})
	return &w.snapshot.Creatives[len(w.snapshot.Creatives)-1]
}

// lease gives a line item money for n impressions.
func (w *world) lease(id ad.ID, price money.Micros, n int64) *lease.Lease {
	l := lease.New(ulid.ULID{15: byte(id)}, id, price*money.Micros(n), n)
	l.Process = ulid.ULID{7}
	l.From, l.Until = now.Add(-time.Minute).UnixMicro(), now.Add(time.Minute).UnixMicro()
	w.book.Slot(id).Store(l)
	return l
}

// leaseAll gives every line item a lease that lasts.
func (w *world) leaseAll() {
	for _, item := range w.snapshot.LineItems {
		w.lease(item.ID, 100*money.Unit, lease.MaxReservations)
	}
}

// pack numbers the values of the rules in the order of their texts.
func (w *world) pack() {
	var texts []string
	for _, r := range w.rules {
		for _, conjunction := range r.Conjunctions {
			for _, term := range conjunction {
				texts = append(texts, term.Values...)
			}
		}
	}
	slices.Sort(texts)
	w.snapshot.Values = rule.NewTable(slices.Compact(texts))
	for i := range w.rules {
		w.snapshot.LineItems[i].Targeting = w.snapshot.Values.Pack(w.rules[i])
	}
}

// compile makes the catalog; line items with a lease are live.
func (w *world) compile(t interface{ Fatal(...any) }) *catalog.Catalog {
	w.pack()
	c, err := catalog.Compile(&w.snapshot, &w.book)
	if err != nil {
		t.Fatal(err)
	}
	c.Tick(now)
	for i := range c.LineItems {
		c.SetLive(c.LineItems[i].ID, c.LineItems[i].Slot.Load() != nil)
	}
	return c
}

func ask(placements ...ad.ID) *auction.Request {
	return &auction.Request{Placements: placements, Seed: 1, Now: now.UnixMicro(), Process: ulid.ULID{1}, Hold: time.Minute}
}

// with adds a value to the request.
func with(req *auction.Request, d rule.Dimension, value string) *auction.Request {
	req.Query.AddText(d, value)
	return req
}

// outcomes are winners (line item ids) and reasons.
func outcomes(decisions []auction.Decision) (all []any) {
	for _, d := range decisions {
		if d.NoFill != auction.Filled {
			all = append(all, d.NoFill)
		} else {
			all = append(all, int(d.LineItem.ID))
		}
	}
	return all
}

// check runs the request once and compares.
func check(t *testing.T, c *catalog.Catalog, req *auction.Request, want ...any) {
	t.Helper()
	var s auction.Scratch
	if diff := cmp.Diff(want, outcomes(auction.Run(c, req, &s, nil))); diff != "" {
		t.Errorf("decisions (-want +got):\n%s", diff)
	}
}
