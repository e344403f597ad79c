package auction_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hayate-ads/hayate/delivery/auction"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/rule"
)

func TestExplain(t *testing.T) {
	t.Parallel()
	w := newWorld(2)
	w.snapshot.Placements[0].Floor = 2 * money.Unit
	w.snapshot.Placements[0].BlockedAdvertisers = []ad.ID{7}
	w.add(1, ad.Auction, 5*money.Unit, everything)
	w.add(2, ad.Auction, 4*money.Unit, everything)
	w.add(3, ad.Auction, 6*money.Unit, in(rule.Country, "DE", "US"))
	w.add(4, ad.Auction, 7*money.Unit, in(rule.Keyword, "a=1"))
	w.add(5, ad.Auction, money.Unit, everything)
	w.add(6, ad.Auction, 8*money.Unit, everything)
	w.add(7, ad.Auction, 8*money.Unit, everything)
	w.add(8, ad.Auction, 9*money.Unit, in(rule.HourOfWeek, "0"))
	w.add(9, ad.Auction, 10*money.Unit, everything)
	w.add(10, ad.Auction, 11*money.Unit, everything)
	w.add(11, ad.Auction, 12*money.Unit, everything)
	w.snapshot.LineItems[8].StartsAt = now.Add(time.Hour)
	w.snapshot.Creatives[9].Width = 728
	for _, item := range w.snapshot.LineItems {
		if item.ID != 6 {
			w.lease(item.ID, 1_000_000, 1)
		}
	}
	c := w.compile(t)
	c.SetStopped("advertiser", 11, true)
	req := with(ask(1), rule.Country, "JP")
	type line struct {
		ID      ad.ID
		Outcome auction.Reason
		Causes  []auction.Cause
	}
	var got []line
	for _, x := range auction.Explain(c, req) {
		got = append(got, line{x.LineItem, x.Outcome, x.Causes})
	}
	texts := func(t ...string) []string { return t }
	cause := func(predicate, wanted, got string) []auction.Cause {
		return []auction.Cause{{Predicate: predicate, Wanted: texts(wanted), Got: texts(got)}}
	}
	want := []line{
		{11, auction.Stopped, cause("advertiser", "running", "stopped")},
		{10, auction.NoCreative, cause("size", "banner 300x250", "banner 728x250")},
		{9, auction.OutOfDate, cause("dates", "from 2026-11-20T19:00:00Z", "2026-11-20T18:00:00Z")},
		{8, auction.NoMatch, []auction.Cause{{Predicate: "hour_of_week", Wanted: texts("0"), Got: texts("123"), Zone: "Asia/Tokyo"}}},
		{6, auction.NoLease, cause("lease", "0.008", "no lease")},
		{7, auction.Excluded, []auction.Cause{{Predicate: "advertiser", Exclude: true, Wanted: texts("7"), Got: texts("7")}}},
		{4, auction.NoMatch, []auction.Cause{{Predicate: "keyword", Wanted: texts("a=1")}}},
		{3, auction.NoMatch, []auction.Cause{{Predicate: "country", Wanted: texts("DE", "US"), Got: texts("JP")}}},
		{1, auction.Won, nil},
		{2, auction.Outbid, cause("rank", "line item 1: auction, value 5.00, weight 1", "auction, value 4.00, weight 1")},
		{5, auction.BelowFloor, cause("floor", "2.00", "1.00")},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("explanations (-want +got):\n%s", diff)
	}
}
