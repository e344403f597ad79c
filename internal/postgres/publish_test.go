package postgres_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/postgres"
	"github.com/hayate-ads/hayate/internal/rule"
	"github.com/hayate-ads/hayate/internal/snapshot"
)

var dollars = postgres.PublishSettings{Currency: "USD", Rates: snapshot.Rates{Click: 1000, Conversion: 20_000}}

func TestPublishable(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	h.creative = h.approve(t, h.creative)
	// The newest approved revision serves; a newer one under review does not.
	second := sampleRevision()
	second.LandingURL = "https://shop.example/?q=2"
	h.creative = h.approve(t, must[ad.Creative](t)(h.ReviseCreative(ctx, postgres.System, h.creative.ID, h.creative.Version, second)))
	must[ad.Creative](t)(h.ReviseCreative(ctx, postgres.System, h.creative.ID, h.creative.Version, sampleRevision()))
	// Packed last, its value comes first in the order of texts.
	hour := rule.Expr{Is: &rule.Predicate{Dimension: rule.HourOfWeek, Values: []string{"10"}}}
	h.lineItem.Targeting = rule.Expr{All: []rule.Expr{h.lineItem.Targeting, hour}}
	h.lineItem = must[ad.LineItem](t)(h.UpdateLineItem(ctx, postgres.System, h.lineItem))
	h.campaign.EndsAt = end.AddDate(-1, 0, 0)
	h.campaign = must[ad.Campaign](t)(h.UpdateCampaign(ctx, postgres.System, h.campaign))

	must[ad.ExchangeRate](t)(h.SetExchangeRate(ctx, postgres.System, ad.ExchangeRate{Currency: "USD", Value: money.Unit}))
	must[ad.ExchangeRate](t)(h.SetExchangeRate(ctx, postgres.System, ad.ExchangeRate{Currency: "JPY", Value: 6_700}))
	must[ad.ExchangeRate](t)(h.SetExchangeRate(ctx, postgres.System, ad.ExchangeRate{Currency: "EUR", Value: 1_083_200}))
	got, refused, err := h.Publishable(ctx, dollars)
	if err != nil || refused != nil {
		t.Fatalf("refused %v, %v", refused, err)
	}
	if since := time.Since(got.CreatedAt); since < -time.Minute || since > time.Minute {
		t.Errorf("created %s ago", since)
	}
	want := snapshot.Snapshot{
		Generation: got.Generation, CreatedAt: got.CreatedAt, Currency: "USD", Rates: dollars.Rates,
		FX:          []snapshot.ExchangeRate{{Currency: "EUR", Value: 1_083_200}, {Currency: "JPY", Value: 6_700}},
		Values:      rule.NewTable([]string{"10", "JP", "US"}),
		Advertisers: []snapshot.Advertiser{{ID: h.advertiser.ID, Domain: "one.example", TimeZone: "Asia/Tokyo"}},
		LineItems: []snapshot.LineItem{{
			ID: h.lineItem.ID, Campaign: h.campaign.ID, Advertiser: h.advertiser.ID, Tier: ad.Auction,
			CostType: ad.CPM, Cost: 2 * money.Unit, Weight: 7, Roadblock: ad.OnlyOne, Labels: []string{"cars", "luxury"},
			StartsAt: start, EndsAt: h.campaign.EndsAt,
			Targeting: rule.Packed{5, rule.Head(rule.Country, false, 2), 1, 2, rule.Head(rule.HourOfWeek, false, 1), 0},
		}},
		Creatives: []snapshot.Creative{{
			ID: h.creative.ID, LineItem: h.lineItem.ID, Revision: 2, Format: ad.Banner, Width: 728, Height: 90,
			LandingURL: "https://shop.example/?q=2", Image: sampleRevision().Image,
			Categories: []string{"iab1/IAB2"}, Attributes: []uint8{3, 17},
		}},
		Properties: []snapshot.Property{{
			ID: h.property.ID, Publisher: h.publisher.ID, Kind: ad.Site, Domain: "news.one.example", Categories: []string{"iab1/IAB12"}, RevenueShare: 7000,
		}},
		Placements: []snapshot.Placement{{
			ID: h.placement.ID, Property: h.property.ID, Formats: h.placement.Formats, Sizes: h.placement.Sizes,
			Floor: money.Unit, FloorCurrency: "EUR", AuctionType: ad.SecondPrice, Position: "above_fold",
			BlockedAdvertisers: []ad.ID{998, 999}, BlockedCategories: []string{"iab1/IAB26", "iab1/IAB7-39"}, BlockedAttributes: []uint8{1, 8},
		}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("snapshot (-want +got):\n%s", diff)
	}
	if err := snapshot.Check(&got); err != nil {
		t.Error(err)
	}
	if next, _, err := h.Publishable(ctx, dollars); err != nil || next.Generation <= got.Generation {
		t.Errorf("generation %d after %d, %v", next.Generation, got.Generation, err)
	}
}

func TestPublishableRefusesByName(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	add := func(name string, change func(*ad.LineItem)) ad.LineItem {
		t.Helper()
		l := sampleLineItem(h.campaign.ID)
		l.Name = name
		change(&l)
		l = must[ad.LineItem](t)(h.CreateLineItem(ctx, postgres.System, l))
		c := must[ad.Creative](t)(h.CreateCreative(ctx, postgres.System, ad.Creative{LineItemID: l.ID, Name: "C", Latest: sampleRevision()}))
		h.approve(t, c)
		return l
	}
	// h.lineItem has a creative that is not approved.
	add("contradiction", func(l *ad.LineItem) {
		jp := rule.Expr{Is: &rule.Predicate{Dimension: rule.Country, Values: []string{"JP"}}}
		l.Targeting = rule.Expr{All: []rule.Expr{jp, {Not: &jp}}}
	})
	add("dates", func(l *ad.LineItem) { l.StartsAt, l.EndsAt = end.AddDate(1, 0, 0), time.Time{} })
	broken := add("broken", func(*ad.LineItem) {})
	if _, err := h.Pool.Exec(ctx, `UPDATE line_item SET targeting = '{"maybe":[]}' WHERE id = $1`, broken.ID); err != nil {
		t.Fatal(err)
	}
	// Nobody can store such a rule any more; what stands from before is refused here.
	large := add("large", func(*ad.LineItem) {})
	var all []rule.Expr
	for i := range 10 {
		either := func(d rule.Dimension) rule.Expr {
			return rule.Expr{Is: &rule.Predicate{Dimension: d, Values: []string{fmt.Sprint(i + 1)}}}
		}
		all = append(all, rule.Expr{Any: []rule.Expr{either(rule.Placement), either(rule.ASN)}})
	}
	text := must[[]byte](t)(json.Marshal(rule.Expr{All: all}))
	if _, err := h.Pool.Exec(ctx, `UPDATE line_item SET targeting = $2 WHERE id = $1`, large.ID, text); err != nil {
		t.Fatal(err)
	}
	add("over", func(l *ad.LineItem) { l.EndsAt = l.StartsAt.Add(time.Hour) })
	add("paused", func(l *ad.LineItem) { l.Status = ad.Paused })
	fine := add("fine", func(l *ad.LineItem) { l.Targeting = rule.Expr{} })
	got, refused, err := h.Publishable(ctx, dollars)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.LineItems) != 1 || got.LineItems[0].ID != fine.ID || len(got.Creatives) != 1 {
		t.Errorf("published %+v", got.LineItems)
	}
	var names []string
	for _, r := range refused {
		names = append(names, r.Kind+" "+r.Name+": "+r.Reason)
	}
	want := []string{
		"line_item Japan: it has no active creative with an approved revision",
		"line_item contradiction: its targeting contradicts itself and matches nothing",
		"line_item dates: its dates and its campaign's do not overlap",
		`line_item broken: rule: has the unknown field "maybe"; known are all, any, not and is`,
		"line_item large: rule: has 1,024 combinations of alternatives; at most 64 are accepted",
		"placement Top: its floor is in EUR, which has no exchange rate to USD",
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("refused (-want +got):\n%s", diff)
	}
}

// Whatever is paused, its parts leave the snapshot with it, and no reference dangles.
func TestPublishableLeavesOutThePaused(t *testing.T) {
	t.Parallel()
	f := func(want string, pause func(t *testing.T, h *house) error) {
		t.Helper()
		h := newHouse(t)
		h.creative = h.approve(t, h.creative)
		if err := pause(t, h); err != nil {
			t.Fatal(err)
		}
		must[ad.ExchangeRate](t)(h.SetExchangeRate(t.Context(), postgres.System, ad.ExchangeRate{Currency: "EUR", Value: money.Unit}))
		s, _, err := h.Publishable(t.Context(), dollars)
		got := fmt.Sprint(len(s.Advertisers), len(s.LineItems), len(s.Creatives), len(s.Properties), len(s.Placements))
		if err != nil || got != want {
			t.Errorf("advertisers, line items, creatives, properties, placements: %s, %v; want %s", got, err, want)
		}
	}
	f("0 0 0 1 1", func(t *testing.T, h *house) error {
		h.advertiser.Status = ad.Paused
		_, err := h.UpdateAdvertiser(t.Context(), postgres.System, h.advertiser)
		return err
	})
	f("0 0 0 1 1", func(t *testing.T, h *house) error {
		h.campaign.Status = ad.Paused
		_, err := h.UpdateCampaign(t.Context(), postgres.System, h.campaign)
		return err
	})
	f("0 0 0 1 1", func(t *testing.T, h *house) error {
		h.lineItem.Status = ad.Paused
		_, err := h.UpdateLineItem(t.Context(), postgres.System, h.lineItem)
		return err
	})
	f("0 0 0 1 1", func(t *testing.T, h *house) error {
		h.creative.Status = ad.Archived
		_, err := h.UpdateCreative(t.Context(), postgres.System, h.creative)
		return err
	})
	f("1 1 1 0 0", func(t *testing.T, h *house) error {
		h.publisher.Status = ad.Paused
		_, err := h.UpdatePublisher(t.Context(), postgres.System, h.publisher)
		return err
	})
	f("1 1 1 0 0", func(t *testing.T, h *house) error {
		h.property.Status = ad.Paused
		_, err := h.UpdateProperty(t.Context(), postgres.System, h.property)
		return err
	})
	f("1 1 1 1 0", func(t *testing.T, h *house) error {
		h.placement.Status = ad.Paused
		_, err := h.UpdatePlacement(t.Context(), postgres.System, h.placement)
		return err
	})
}
