package auction_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/hayate-ads/hayate/delivery/auction"
	"github.com/hayate-ads/hayate/delivery/catalog"
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
		{10, auction.NoCreative, cause("creative_size", "banner 300x250", "banner 728x250")},
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

// TestExplainedChangesMatch: changing a request as an explanation says makes the
// line item match, and nothing less does.
func TestExplainedChangesMatch(t *testing.T) {
	t.Parallel()
	changed := 0
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		c := w.compile(t)
		req := drawRequest(t)
		for _, x := range auction.Explain(c, req) {
			if x.Outcome != auction.NoMatch {
				continue
			}
			next, ok := change(req, x.Placement, x.Causes)
			if !ok {
				continue
			}
			auction.ExplainEach(c, next, auction.Page{LineItem: x.LineItem}, func(y *auction.Explanation) bool {
				if y.LineItem != x.LineItem {
					t.Fatalf("asked for line item %d, got %d", x.LineItem, y.LineItem)
				}
				if y.Outcome == auction.NoMatch {
					t.Fatalf("line item %d: changed %+v, and still: %+v", x.LineItem, x.Causes, y.Causes)
				}
				return true
			})
			changed++
			for i := range x.Causes {
				less := slices.Delete(slices.Clone(x.Causes), i, i+1)
				if next, _ := change(req, x.Placement, less); matches(c, next, x.LineItem) {
					t.Fatalf("line item %d matches without changing %+v", x.LineItem, x.Causes[i])
				}
			}
		}
	})
	if changed == 0 {
		t.Error("nothing was changed")
	}
}

func matches(c *catalog.Catalog, req *auction.Request, lineItem ad.ID) (yes bool) {
	auction.ExplainEach(c, req, auction.Page{LineItem: lineItem}, func(x *auction.Explanation) bool {
		yes = x.Outcome != auction.NoMatch
		return true
	})
	return yes
}

// change makes a request for one placement with the causes' predicates as they
// are wanted. It reports false for what a request cannot change.
func change(req *auction.Request, placement ad.ID, causes []auction.Cause) (*auction.Request, bool) {
	has := req.Query.Plain()
	ok := true
	for _, cause := range causes {
		d, err := rule.ParseDimension(cause.Predicate)
		switch {
		case err != nil || d == rule.HourOfWeek || d == rule.Placement || d == rule.Size:
			ok = false
		case cause.Exclude:
			has[d] = slices.DeleteFunc(has[d], func(v string) bool { return slices.Contains(cause.Wanted, v) })
		case d.Many():
			has[d] = append(has[d], cause.Wanted[0])
		default:
			has[d] = cause.Wanted[:1]
		}
	}
	next := ask(placement)
	for _, d := range rule.Dimensions() {
		for _, value := range has[d] {
			with(next, d, value)
		}
	}
	return next, ok
}

// TestPages: the winner and the near misses come first, pages join, and whoever
// stops listening is asked no more.
func TestPages(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		c := w.compile(t)
		req := drawRequest(t)
		id := req.Placements[0]
		req.Placements = req.Placements[:1]
		page := func(p auction.Page) (rows []auction.Explanation) {
			auction.ExplainEach(c, req, p, func(x *auction.Explanation) bool {
				rows = append(rows, *x)
				return true
			})
			return rows
		}
		all := page(auction.Page{Limit: 100})
		if id != 77 && len(all) != len(c.LineItems) {
			t.Fatalf("%d rows of %d", len(all), len(c.LineItems))
		}
		order := []auction.Reason{auction.Won, auction.Outbid, auction.NoLease, auction.NoCreative, auction.Excluded, auction.BelowFloor, auction.NoMatch, auction.Stopped, auction.OutOfDate}
		distance := func(x *auction.Explanation) int {
			if len(x.Causes) > 0 && x.Causes[0].Predicate == "creative_size" {
				return slices.Index(order, auction.NoMatch)*10 + 1
			}
			return slices.Index(order, x.Outcome)*10 + min(len(x.Causes), 9)*bit(x.Outcome == auction.NoMatch)
		}
		for i := range all {
			if i > 0 && distance(&all[i-1]) > distance(&all[i]) && len(c.LineItems) > 0 {
				t.Fatalf("%q %+v stands before %q %+v", all[i-1].Outcome, all[i-1].Causes, all[i].Outcome, all[i].Causes)
			}
		}
		var joined []auction.Explanation
		for offset := 0; offset < len(all); offset += 3 {
			joined = append(joined, page(auction.Page{Offset: offset, Limit: 3})...)
		}
		if diff := cmp.Diff(ranks(all), ranks(joined)); diff != "" {
			t.Fatalf("pages do not join:\n%s", diff)
		}
		rows := 0
		auction.ExplainEach(c, req, auction.Page{}, func(*auction.Explanation) bool {
			rows++
			return false
		})
		if rows > 1 {
			t.Fatalf("%d rows after no", rows)
		}
	})
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

func ranks(all []auction.Explanation) (ranks []int) {
	for _, x := range all {
		ranks = append(ranks, x.Rank)
	}
	return ranks
}

// TestExclusionsAreTold apart, with what excludes.
func TestExclusionsAreTold(t *testing.T) {
	t.Parallel()
	w := newWorld(2)
	p := w.snapshot.Placements
	p[1].BlockedCategories, p[1].BlockedAttributes = []string{"iab1/IAB7"}, []uint8{3, 9}
	w.add(1, ad.Sponsorship, money.Unit, everything).Labels = []string{"beer"}
	w.add(2, ad.Auction, 9*money.Unit, everything).Labels = []string{"beer"}
	w.add(3, ad.Auction, 8*money.Unit, everything)
	w.snapshot.Creatives[2].Categories = []string{"iab1/IAB7"}
	w.add(4, ad.Auction, 7*money.Unit, everything)
	w.snapshot.Creatives[3].Attributes = []uint8{3, 4}
	w.add(5, ad.Auction, 6*money.Unit, everything).Roadblock = ad.AllOrNone
	w.banner(51, 5)
	w.add(6, ad.Auction, 5*money.Unit, everything)
	w.leaseAll()
	var got []string
	for _, x := range auction.Explain(w.compile(t), ask(1, 2)) {
		for _, cause := range x.Causes {
			got = append(got, fmt.Sprintf("%d in %d: %s, %s: %v, not %v", x.LineItem, x.Placement, x.Outcome, cause.Predicate, cause.Wanted, cause.Got))
		}
	}
	want := []string{
		"2 in 1: outbid, rank: [line item 1: sponsorship, weight 1], not [auction, value 9.00, weight 1]",
		"3 in 1: outbid, rank: [line item 1: sponsorship, weight 1], not [auction, value 8.00, weight 1]",
		"4 in 1: outbid, rank: [line item 1: sponsorship, weight 1], not [auction, value 7.00, weight 1]",
		"5 in 1: outbid, rank: [a better one than what competes for its companions' places], not [auction, value 6.00, weight 1]",
		"6 in 1: outbid, rank: [line item 1: sponsorship, weight 1], not [auction, value 5.00, weight 1]",
		"1 in 2: excluded, creative: [one not shown yet in this request], not [shown already]",
		"2 in 2: excluded, label: [no other line item with one of its labels], not [line item 1]",
		"3 in 2: excluded, creative_category: [iab1/IAB7], not [one of them, or one below]",
		"4 in 2: excluded, attribute: [3], not [3]",
		"5 in 2: outbid, rank: [a better one than what competes for its companions' places], not [auction, value 6.00, weight 1]",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("causes (-want +got):\n%s", diff)
	}
}
