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

func TestRank(t *testing.T) {
	t.Parallel()
	w := newWorld(2)
	w.add(1, ad.House, 0, everything)
	w.add(2, ad.Auction, 3*money.Unit, everything)
	w.add(3, ad.Auction, 4*money.Unit, everything)
	w.add(4, ad.Guaranteed, money.Unit, everything)
	w.add(5, ad.Sponsorship, money.Unit, in(rule.Country, "JP"))
	for id := ad.ID(1); id <= 5; id++ {
		w.lease(id, 10_000, 1)
	}
	c := w.compile(t)
	japanese := with(ask(1), rule.Country, "JP")
	check(t, c, japanese, 5)
	// Each had one impression, so they win in turn.
	check(t, c, japanese, 4)
	check(t, c, ask(1), 3)
	check(t, c, ask(1, 2), 2, 1)
	check(t, c, ask(1), auction.NoLease)
}

func TestDecision(t *testing.T) {
	t.Parallel()
	w := newWorld(2)
	w.add(4, ad.Auction, 2_500_500, everything)
	l := w.lease(4, 2500, 10)
	c := w.compile(t)
	req := ask(2)
	req.Country, req.Device = [2]byte{'D', 'E'}, event.Tablet
	req.Now += 999
	req.Flags = event.Suspect
	var s auction.Scratch
	got := auction.Run(c, req, &s, nil)[0]
	want := event.Reservation{
		// The lease's process: the request's may be another, when the id has just changed.
		Process: ulid.ULID{7}, Lease: ulid.ULID{15: 4}, Index: 0, LineItem: 4, Creative: 40, Placement: 2,
		Country: [2]byte{'D', 'E'}, Device: event.Tablet, DecidedAt: now, Hold: time.Minute, Generation: 7,
		Price: 2500, BidPrice: 2500, Advertiser: 4, Bills: event.BillsImpression, Flags: event.Suspect,
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
	w := newWorld(2)
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

// A test touches no lease either where it takes several reservations, where the
// second price counts, where equals are drawn, or where a click bills.
func TestTestsOfEveryKindCostNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(4)
	for i := range w.snapshot.Placements {
		w.snapshot.Placements[i].AuctionType = ad.SecondPrice
	}
	w.add(1, ad.Auction, 9*money.Unit, everything).Roadblock = ad.AllOrNone
	w.banner(11, 1)
	w.add(2, ad.Auction, 8*money.Unit, everything).Roadblock = ad.OnlyOne
	w.add(3, ad.Auction, 8*money.Unit, everything).Roadblock = ad.OnlyOne
	clicks := w.add(4, ad.Auction, 5*money.Unit, everything)
	clicks.CostType, clicks.Roadblock = ad.CPC, ad.OnlyOne
	var leases []*lease.Lease
	for id := ad.ID(1); id <= 4; id++ {
		leases = append(leases, w.lease(id, 9000, 10))
	}
	c := w.compile(t)
	f := func(flags event.Flags, touched bool) {
		t.Helper()
		req := ask(1, 2, 3, 4)
		req.Flags = flags
		var s auction.Scratch
		for _, d := range auction.Run(c, req, &s, nil) {
			free := d.Claim.Price == 0 && d.Claim.Bills == event.BillsNothing && d.Claim.Lease == ulid.ULID{}
			if d.NoFill != auction.Filled || free == touched {
				t.Errorf("flags %d: %q, %+v", flags, d.NoFill, d.Claim)
			}
		}
		for _, l := range leases {
			left, n := l.Left()
			if (left != 90_000 || n != 10) && !touched {
				t.Errorf("flags %d: line item %d's lease has %v and %d impressions left", flags, l.LineItem, left, n)
			}
		}
	}
	f(event.Test, false)
	f(event.Test|event.Suspect, false)
	f(0, true) // the very request, had it been no test
}

func TestReasons(t *testing.T) {
	t.Parallel()
	f := func(want auction.Reason, change func(*world), after func(*catalog.Catalog)) {
		t.Helper()
		w := newWorld(2)
		w.add(4, ad.Auction, 3*money.Unit, in(rule.Country, "JP"))
		w.lease(4, 3000, 10)
		change(w)
		c := w.compile(t)
		after(c)
		req := with(ask(1), rule.Country, "JP")
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
	f(auction.NoMatch, func(w *world) { w.rules[0] = in(rule.Country, "US") }, same)
	f(auction.NoMatch, func(w *world) { w.rules[0] = rule.Rule{} }, same)
	f(auction.NoMatch, none, func(c *catalog.Catalog) { c.SetStopped("campaign", 4, true) })
	f(auction.BelowFloor, func(w *world) { p(w).Floor = 3*money.Unit + 1 }, same)
	f(auction.Filled, func(w *world) { p(w).Floor = 3 * money.Unit }, same)
	f(auction.Excluded, func(w *world) { p(w).BlockedAdvertisers = []ad.ID{4, 9} }, same)
	f(auction.NoLease, func(w *world) { w.book.Slot(4).Store(nil) }, same)
	f(auction.NoLease, func(w *world) { w.lease(4, 2999, 1) }, same)
	f(auction.NoLease, func(w *world) { w.lease(4, 3000, 1).Until = now.UnixMicro() }, same)
}

func TestNoCreativeTwice(t *testing.T) {
	t.Parallel()
	w := newWorld(3)
	w.add(4, ad.Auction, 3*money.Unit, everything)
	w.lease(4, 3000, 10)
	w.banner(41, 4)
	check(t, w.compile(t), ask(1, 2, 3), 4, 4, auction.Excluded)
}

func TestWants(t *testing.T) {
	t.Parallel()
	w := newWorld(2)
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
