package auction_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/oklog/ulid/v2"

	"github.com/hayate-ads/hayate/delivery/auction"
	"github.com/hayate-ads/hayate/delivery/catalog"
	"github.com/hayate-ads/hayate/delivery/lease"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/event"
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
// 300x250 whose id is ten times its own, and two placements 1 and 2 for those.
type world struct {
	snapshot snapshot.Snapshot
	book     lease.Book
}

func newWorld() *world {
	w := &world{snapshot: snapshot.Snapshot{Generation: 7, CreatedAt: now, Currency: "USD"}}
	w.snapshot.Properties = []snapshot.Property{{ID: 1, Publisher: 1, Kind: ad.Site, Domain: "news.example"}}
	for id := ad.ID(1); id <= 2; id++ {
		w.snapshot.Placements = append(w.snapshot.Placements, snapshot.Placement{
			ID: id, Property: 1, Formats: []ad.Format{ad.Banner}, Sizes: []ad.Size{{Width: 300, Height: 250}},
		})
	}
	return w
}

func (w *world) add(id ad.ID, tier ad.Tier, cpm money.Micros, targeting rule.Rule) {
	w.snapshot.Advertisers = append(w.snapshot.Advertisers, snapshot.Advertiser{ID: id, Domain: "brand.example", TimeZone: "Asia/Tokyo"})
	w.snapshot.LineItems = append(w.snapshot.LineItems, snapshot.LineItem{
		ID: id, Campaign: id, Advertiser: id, Tier: tier, CPM: cpm, StartsAt: now.Add(-time.Hour), Targeting: targeting,
	})
	w.snapshot.Creatives = append(w.snapshot.Creatives, w.banner(id*10, id))
}

func (w *world) banner(id, lineItem ad.ID) snapshot.Creative {
	return snapshot.Creative{ID: id, LineItem: lineItem, Revision: 1, Format: ad.Banner, Width: 300, Height: 250,
		LandingURL: "https://brand.example/", Image: ad.Image{SHA256: "00", Type: "image/png", Bytes: 1}}
}

// lease gives a line item money for n impressions.
func (w *world) lease(id ad.ID, price money.Micros, n int64) *lease.Lease {
	l := lease.New(ulid.ULID{15: byte(id)}, id, price*money.Micros(n), n)
	l.Process = ulid.ULID{7}
	l.From, l.Until = now.Add(-time.Minute).UnixMicro(), now.Add(time.Minute).UnixMicro()
	w.book.Slot(id).Store(l)
	return l
}

// compile makes the catalog; line items with a lease are live.
func (w *world) compile(t interface{ Fatal(...any) }) *catalog.Catalog {
	c, err := catalog.Compile(&w.snapshot, &w.book)
	if err != nil {
		t.Fatal(err)
	}
	c.Tick(now)
	for _, item := range c.LineItems {
		c.SetLive(item.ID, item.Slot.Load() != nil)
	}
	return c
}

func ask(placements ...ad.ID) *auction.Request {
	return &auction.Request{Placements: placements, Seed: 1, Now: now.UnixMicro(), Process: ulid.ULID{1}, Hold: time.Minute}
}

// check runs the request once and compares winners (line item ids) and reasons.
func check(t *testing.T, c *catalog.Catalog, req *auction.Request, want ...any) {
	t.Helper()
	var s auction.Scratch
	var got []any
	for _, d := range auction.Run(c, req, &s, nil) {
		if d.NoFill != auction.Filled {
			got = append(got, d.NoFill)
		} else {
			got = append(got, int(d.LineItem.ID))
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("decisions (-want +got):\n%s", diff)
	}
}

func TestRank(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.add(1, ad.House, 0, everything)
	w.add(2, ad.Auction, 3*money.Unit, everything)
	w.add(3, ad.Auction, 4*money.Unit, everything)
	w.add(4, ad.Guaranteed, money.Unit, everything)
	w.add(5, ad.Sponsorship, money.Unit, in(rule.Country, "JP"))
	for id := ad.ID(1); id <= 5; id++ {
		w.lease(id, 10_000, 1)
	}
	c := w.compile(t)
	japanese := ask(1)
	japanese.Query.Country = [2]byte{'J', 'P'}
	check(t, c, japanese, 5)
	// Each had one impression, so they win in turn.
	check(t, c, japanese, 4)
	check(t, c, ask(1), 3)
	check(t, c, ask(1, 2), 2, 1)
	check(t, c, ask(1), auction.NoLease)
}

func TestDecision(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.add(4, ad.Auction, 2_500_500, everything)
	l := w.lease(4, 2500, 10)
	c := w.compile(t)
	req := ask(2)
	req.Query.Country, req.Query.Device = [2]byte{'D', 'E'}, event.Tablet
	req.Now += 999
	req.Flags = event.Suspect
	var s auction.Scratch
	got := auction.Run(c, req, &s, nil)[0]
	want := event.Reservation{
		// The lease's process: the request's may be another, when the id has just changed.
		Process: ulid.ULID{7}, Lease: ulid.ULID{15: 4}, Index: 0, LineItem: 4, Creative: 40, Placement: 2,
		Country: [2]byte{'D', 'E'}, Device: event.Tablet, DecidedAt: now, Hold: time.Minute, Generation: 7,
		Price: 2500, BidPrice: 2500, Bills: event.BillsImpression, Flags: event.Suspect,
	}
	if diff := cmp.Diff(want, got.Claim); diff != "" {
		t.Errorf("reservation (-want +got):\n%s", diff)
	}
	if err := got.Claim.Validate(); err != nil {
		t.Error(err)
	}
	if left, n := l.Left(); left != 9*2500 || n != 9 {
		t.Errorf("left %v and %d impressions", left, n)
	}
}

func TestTestsCostNothing(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.add(4, ad.Auction, money.Unit, everything)
	l := w.lease(4, 1000, 10)
	req := ask(1)
	req.Flags = event.Test
	var s auction.Scratch
	got := auction.Run(w.compile(t), req, &s, nil)[0].Claim
	if left, n := l.Left(); left != 10_000 || n != 10 {
		t.Errorf("left %v and %d impressions", left, n)
	}
	if got.LineItem != 4 {
		t.Errorf("line item %d, want 4", got.LineItem)
	}
	w.book.Slot(4).Store(nil)
	if d := auction.Run(w.compile(t), req, &s, nil)[0]; d.NoFill != auction.Filled {
		t.Errorf("a test without a lease: %q; it asks what would be shown, budgets aside", d.NoFill)
	}
	if got.Bills != event.BillsNothing || got.Price != 0 || got.Flags != event.Test {
		t.Errorf("bills %v, price %v, flags %v", got.Bills, got.Price, got.Flags)
	}
}

func TestReasons(t *testing.T) {
	t.Parallel()
	f := func(want auction.Reason, change func(*world), after func(*catalog.Catalog)) {
		t.Helper()
		w := newWorld()
		w.add(4, ad.Auction, 3*money.Unit, in(rule.Country, "JP"))
		w.lease(4, 3000, 10)
		change(w)
		c := w.compile(t)
		after(c)
		req := ask(1)
		req.Query.Country = [2]byte{'J', 'P'}
		var s auction.Scratch
		if got := auction.Run(c, req, &s, nil)[0].NoFill; got != want {
			t.Errorf("reason %q, want %q", got, want)
		}
	}
	same := func(*catalog.Catalog) {}
	none := func(*world) {}
	p := func(w *world) *snapshot.Placement { return &w.snapshot.Placements[0] }
	f(auction.Filled, none, same)
	f(auction.UnknownPlacement, func(w *world) { p(w).ID = 99 }, same)
	f(auction.NoCreative, func(w *world) { p(w).Sizes[0].Width = 301 }, same)
	f(auction.NoCreative, func(w *world) { p(w).Formats = []ad.Format{ad.Video} }, same)
	f(auction.NoCreative, none, func(c *catalog.Catalog) { c.SetStopped("creative", 40, true) })
	f(auction.NoMatch, func(w *world) { w.snapshot.LineItems[0].Targeting = in(rule.Country, "US") }, same)
	f(auction.NoMatch, func(w *world) { w.snapshot.LineItems[0].Targeting = rule.Rule{} }, same)
	f(auction.NoMatch, none, func(c *catalog.Catalog) { c.SetStopped("campaign", 4, true) })
	f(auction.BelowFloor, func(w *world) { p(w).Floor = 3*money.Unit + 1 }, same)
	f(auction.Filled, func(w *world) { p(w).Floor = 3 * money.Unit }, same)
	f(auction.Excluded, func(w *world) { p(w).BlockedAdvertisers = []ad.ID{9, 4} }, same)
	f(auction.NoLease, func(w *world) { w.book.Slot(4).Store(nil) }, same)
	f(auction.NoLease, func(w *world) { w.lease(4, 2999, 1) }, same)
	f(auction.NoLease, func(w *world) { w.lease(4, 3000, 1).Until = now.UnixMicro() }, same)
}

func TestNoCreativeTwice(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.add(4, ad.Auction, 3*money.Unit, everything)
	w.lease(4, 3000, 10)
	w.snapshot.Creatives = append(w.snapshot.Creatives, w.banner(41, 4))
	w.snapshot.Placements = append(w.snapshot.Placements, w.snapshot.Placements[1])
	w.snapshot.Placements[2].ID = 3
	check(t, w.compile(t), ask(1, 2, 3), 4, 4, auction.Excluded)
}

// TestTiesAreFair: among equals every one wins about as often, be they few or
// so many that not all are compared.
func TestTiesAreFair(t *testing.T) {
	t.Parallel()
	f := func(equals, rounds int, most float64) {
		t.Helper()
		w := newWorld()
		for id := ad.ID(1); id <= ad.ID(equals); id++ {
			w.add(id, ad.Auction, money.Unit, everything)
			w.lease(id, 1000, 60_000)
		}
		w.add(ad.ID(equals+1), ad.House, money.Unit, everything)
		w.lease(ad.ID(equals+1), 1000, 60_000)
		c := w.compile(t)
		wins := make(map[ad.ID]int)
		var s auction.Scratch
		req := ask(1)
		for seed := range rounds {
			req.Seed = uint64(seed)
			wins[auction.Run(c, req, &s, nil)[0].LineItem.ID]++
		}
		if len(wins) != equals || wins[ad.ID(equals+1)] != 0 {
			t.Errorf("%d of %d equals won; the house %d times", len(wins), equals, wins[ad.ID(equals+1)])
		}
		for id, n := range wins {
			if share := float64(n) * float64(equals) / float64(rounds); share > most || share < 1/most {
				t.Errorf("line item %d of %d won %.2f times its share", id, equals, share)
			}
		}
	}
	f(2, 20_000, 1.05)
	f(7, 20_000, 1.1)
	f(400, 60_000, 1.4)
}

func TestWants(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.add(1, ad.Auction, money.Unit, everything)
	w.add(2, ad.Auction, 2*money.Unit, everything)
	w.add(3, ad.Auction, 3*money.Unit, in(rule.Country, "JP"))
	w.lease(1, 1000, 5)
	c := w.compile(t)
	var s auction.Scratch
	f := func(want ...ad.ID) {
		t.Helper()
		if got := auction.Wants(c, ask(1, 2), &s, nil); !slices.Equal(got, want) {
			t.Errorf("wants %v, want %v", got, want)
		}
	}
	// 2 would win the first placement; the second one then goes to 1, which is live.
	f(2)
	check(t, c, ask(1), 1)
	w.lease(2, 2000, 5)
	c.SetLive(2, true)
	f()
	check(t, c, ask(1), 2)
	c.SetStopped("line_item", 2, true)
	c.SetLive(1, false)
	f(1)
	if left, n := w.book.Slot(1).Load().Left(); left != 4000 || n != 4 {
		t.Errorf("wanting reserved: left %v, %d", left, n)
	}
}
