package catalog_test

import (
	"math"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/hayate-ads/hayate/delivery/catalog"
	"github.com/hayate-ads/hayate/delivery/lease"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/snapshot"
	"github.com/hayate-ads/hayate/internal/snapshot/snapshottest"
)

// TestExpectedValue holds the integer arithmetic to fractions of any size.
func TestExpectedValue(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := snapshottest.Make(1, 1)
		item := &s.LineItems[0]
		item.Cost = money.Micros(rapid.OneOf(rapid.Int64Range(0, 100_000), rapid.Int64Range(0, int64(money.Max))).Draw(t, "cost"))
		item.CostType = rapid.SampledFrom([]ad.CostType{ad.CPM, ad.CPC, ad.CPA}).Draw(t, "cost type")
		s.Rates.Click = rapid.Uint32Range(0, 1_000_000).Draw(t, "clicks")
		s.Rates.Conversion = rapid.Uint32Range(0, 1_000_000).Draw(t, "conversions")
		c, err := catalog.Compile(s, new(lease.Book))
		if err != nil {
			t.Fatal(err)
		}
		got := &c.LineItems[0]
		want, price := big.NewRat(int64(item.Cost), 1), money.Micros(0)
		switch item.CostType {
		case ad.CPM:
			price = money.PerImpression(item.Cost)
		case ad.CPC:
			want.Mul(want, big.NewRat(int64(s.Rates.Click), 1_000_000/1000))
		case ad.CPA:
			want.Mul(want, big.NewRat(int64(s.Rates.Click), 1_000_000/1000)).Mul(want, big.NewRat(int64(s.Rates.Conversion), 1_000_000))
		}
		if rounded := halfEven(want); got.Value != rounded || got.Price != price || got.CostType() != item.CostType {
			t.Fatalf("%s of %v at %+v: value %d and price %d, want %d and %d", item.CostType, item.Cost, s.Rates, got.Value, got.Price, rounded, price)
		}
	})
}

func halfEven(r *big.Rat) money.Micros {
	quotient, rest := new(big.Int).QuoRem(r.Num(), r.Denom(), new(big.Int))
	if c := rest.Lsh(rest, 1).Cmp(r.Denom()); c > 0 || c == 0 && quotient.Bit(0) == 1 {
		quotient.Add(quotient, big.NewInt(1))
	}
	if !quotient.IsInt64() {
		return math.MaxInt64
	}
	return money.Micros(quotient.Int64())
}

func TestFloors(t *testing.T) {
	t.Parallel()
	f := func(floor money.Micros, currency string, want money.Micros) {
		t.Helper()
		s := snapshottest.Make(1, 1)
		s.FX = []snapshot.ExchangeRate{{Currency: "BHD", Value: 2_652_519}, {Currency: "JPY", Value: 6_667}}
		s.Placements[0].Floor, s.Placements[0].FloorCurrency = floor, currency
		if got := compile(t, s).Placement(5).MinValue; got != want {
			t.Errorf("%v %s: %d, want %d", floor, currency, got, want)
		}
	}
	f(0, "USD", 0)
	f(1, "USD", 1)
	f(150*money.Unit, "JPY", 1_000_050)
	f(1, "JPY", 1) // 0.006667 micros, up
	f(money.Unit+1, "BHD", 2_652_522)
	f(money.Max, "BHD", 2_652_519*1_000_000_000_000)
}

// TestTiersRankByWhatCounts: weights alone decide between sponsorships, and
// between house ads, whatever they cost.
func TestTiersRankByWhatCounts(t *testing.T) {
	t.Parallel()
	s := snapshottest.Make(1, 10)
	for i := range s.LineItems {
		item := &s.LineItems[i]
		item.Tier, item.Cost = ad.Tier(i/3%4+1), money.Micros(i+1)*money.Unit
		item.Urgency = 900 + i%2*200
	}
	c := compile(t, s)
	var groups [][]ad.ID
	for i := 0; i < len(c.LineItems); {
		var group []ad.ID
		from, to := c.Peers(i)
		for ; i < to && i >= from; i++ {
			group = append(group, c.LineItems[i].ID)
		}
		groups = append(groups, group)
	}
	want := [][]ad.ID{{2, 4, 6}, {8, 12}, {10}, {18}, {16}, {14}, {20}}
	if diff := cmp.Diff(want, groups); diff != "" {
		t.Errorf("groups of peers (-want +got):\n%s", diff)
	}
}

// TestBlockedCategories: who blocks a category blocks what is below it.
func TestBlockedCategories(t *testing.T) {
	t.Parallel()
	s := snapshottest.Make(1, 1)
	s.Creatives[0].Categories = []string{"iab1/IAB17-12"}
	f := func(blocked string, want bool) {
		t.Helper()
		s.Placements[0].BlockedCategories = []string{blocked}
		c := compile(t, s)
		met := slices.ContainsFunc(c.Placement(5).BlockedCategories, func(n uint16) bool {
			return slices.Contains(c.Creatives[0].Categories, n)
		})
		if met != want {
			t.Errorf("%s blocked: %v, want %v", blocked, met, want)
		}
	}
	f("iab1/IAB17-12", true)
	f("iab1/IAB17", true)
	f("iab1/IAB17-13", false)
	f("iab1/IAB1", false)
	f("iab9/none", false)
}

func TestRefusesWhatCannotBeReckoned(t *testing.T) {
	t.Parallel()
	f := func(want string, spoil func(*snapshot.Snapshot)) {
		t.Helper()
		s := snapshottest.Make(9, 3)
		spoil(s)
		if _, err := catalog.Compile(s, new(lease.Book)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	f("line item 2 has an unknown type of cost, \"cpx\"", func(s *snapshot.Snapshot) { s.LineItems[0].CostType = "cpx" })
	f("line item 2 has an unknown roadblock, \"some\"", func(s *snapshot.Snapshot) { s.LineItems[0].Roadblock = "some" })
	f("line item 2 has a cost of -0.000001", func(s *snapshot.Snapshot) { s.LineItems[0].Cost = -1 })
	f("rates of 1000001 clicks", func(s *snapshot.Snapshot) { s.Rates.Click = 1_000_001 })
	f("one JPY is worth 0.00 USD", func(s *snapshot.Snapshot) { s.FX = []snapshot.ExchangeRate{{Currency: "JPY"}} })
	f("placement 5 has a floor in \"XAU\", a currency without a rate", func(s *snapshot.Snapshot) { s.Placements[0].Floor, s.Placements[0].FloorCurrency = 1, "XAU" })
	f("placement 5 has a floor of -0.000001", func(s *snapshot.Snapshot) { s.Placements[0].Floor = -1 })
	f("creative 1 has the creative attribute 64, beyond 63", func(s *snapshot.Snapshot) { s.Creatives[0].Attributes = []uint8{64} })
	f("placement 5 has the creative attribute 200, beyond 63", func(s *snapshot.Snapshot) { s.Placements[0].BlockedAttributes = []uint8{200} })
	for _, digest := range []string{"", "ab", strings.Repeat("x", 64), strings.Repeat("a", 66)} {
		f("creative 1 has an image without a digest", func(s *snapshot.Snapshot) { s.Creatives[0].Image.SHA256 = digest })
	}
	f("creative 1 has an image of type \"image/svg+xml\"", func(s *snapshot.Snapshot) { s.Creatives[0].Image.Type = "image/svg+xml" })
}
