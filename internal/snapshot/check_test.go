package snapshot_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/rule"
	"github.com/hayate-ads/hayate/internal/snapshot"
	"github.com/hayate-ads/hayate/internal/snapshot/snapshottest"
)

func TestCheckRefuses(t *testing.T) {
	t.Parallel()
	f := func(want string, lie func(*snapshot.Snapshot)) {
		t.Helper()
		s := snapshottest.Make(1, 30)
		lie(s)
		if err := snapshot.Check(s); reason(err) != snapshot.BadContent || !strings.Contains(err.Error(), want) {
			t.Errorf("checked: %v, want %q", err, want)
		}
		if _, err := snapshot.Parse(snapshot.Append(nil, s), snapshot.Limits{}); reason(err) != snapshot.BadContent || !strings.Contains(err.Error(), want) {
			t.Errorf("parsed: %v, want %q", err, want)
		}
	}
	type S = snapshot.Snapshot
	f("generation 0", func(s *S) { s.Generation = 0 })
	f("currency", func(s *S) { s.Currency = "usd" })
	f("exchange rate of currency \"eur\"", func(s *S) { s.FX[0].Currency = "eur" })
	f("exchange rate of currency \"USD\"", func(s *S) { s.FX[1].Currency = "USD" })
	f("rate of EUR follows EUR", func(s *S) { s.FX[1].Currency = "EUR" })
	f("rate of CHF follows EUR", func(s *S) { s.FX[1].Currency = "CHF" })
	f("rate of EUR is out of range", func(s *S) { s.FX[0].Value = 0 })
	f("rate of EUR is out of range", func(s *S) { s.FX[0].Value = -1 })
	f("rates of 1000001", func(s *S) { s.Rates.Click = 1_000_001 })
	f("rates of 1000 and 4294967295", func(s *S) { s.Rates.Conversion = math.MaxUint32 })
	f("value \"a\" follows \"b\"", func(s *S) { s.Values = rule.NewTable([]string{"b", "a"}) })
	f("value \"a\" follows \"a\"", func(s *S) { s.Values = rule.NewTable([]string{"a", "a"}) })
	f("value \"\" follows", func(s *S) { s.Values = rule.NewTable([]string{""}) })
	f("line item 2 has a rule that cannot be read", func(s *S) { s.Values = nil })
	f("advertiser 3 follows 3", func(s *S) { s.Advertisers[1].ID = 3 })
	f("advertiser 3 has no time zone", func(s *S) { s.Advertisers[0].TimeZone = "" })
	f("line item 2 follows 4", func(s *S) { s.LineItems[0], s.LineItems[1] = s.LineItems[1], s.LineItems[0] })
	f("line item 0 follows 0", func(s *S) { s.LineItems[0].ID = 0 })
	f("line item -5 follows 0", func(s *S) { s.LineItems[0].ID = -5 })
	f("line item 2 has no campaign", func(s *S) { s.LineItems[0].Campaign = 0 })
	f("line item 2 is of an advertiser", func(s *S) { s.LineItems[0].Advertiser = 5 })
	f("line item 2 has an unknown tier", func(s *S) { s.LineItems[0].Tier = 5 })
	f("line item 2 has a price", func(s *S) { s.LineItems[0].Cost = -1 })
	f("line item 2 has an unknown type of cost", func(s *S) { s.LineItems[0].CostType = "cpv" })
	f("line item 2 has a weight", func(s *S) { s.LineItems[0].Weight = 0 })
	f("line item 2 has a weight", func(s *S) { s.LineItems[0].Weight = ad.MaxWeight + 1 })
	f("line item 2 has an urgency", func(s *S) { s.LineItems[0].Urgency = -1 })
	f("line item 2 has an urgency", func(s *S) { s.LineItems[0].Urgency = snapshot.MaxUrgency + 1 })
	f("line item 2 has an unknown roadblock", func(s *S) { s.LineItems[0].Roadblock = "none" })
	f("line item 2 has labels", func(s *S) { s.LineItems[0].Labels = []string{"b", "a"} })
	f("line item 2 has labels", func(s *S) { s.LineItems[0].Labels = []string{""} })
	f("line item 60 brings the number of different labels", func(s *S) {
		label(s, snapshot.MaxLabels)
		s.LineItems[29].Labels = []string{"one more"}
	})
	f("line item 2 ends before", func(s *S) { s.LineItems[0].EndsAt = s.LineItems[0].StartsAt })
	f("creative 2 follows 2", func(s *S) { s.Creatives[2].ID = 2 })
	f("creative 1 is of a line item", func(s *S) { s.Creatives[0].LineItem = 1 })
	f("creative 59 is of a line item", func(s *S) { s.LineItems = s.LineItems[:29] })
	f("creative 1 has no revision", func(s *S) { s.Creatives[0].Revision = 0 })
	f("creative 1 has a size", func(s *S) { s.Creatives[0].Height = 10_001 })
	f("creative 1 has no landing", func(s *S) { s.Creatives[0].LandingURL = "" })
	f("creative 1 has an unknown format", func(s *S) { s.Creatives[0].Format = ad.Video })
	f("creative 1 is a banner without", func(s *S) { s.Creatives[0].Image.SHA256 = "" })
	f("creative 1 has an unknown type", func(s *S) { s.Creatives[0].Image.Type = "image/svg+xml" })
	f("creative 1 has categories", func(s *S) { s.Creatives[0].Categories = []string{"iab1/IAB2", "iab1/IAB1"} })
	f("creative 1 has attributes", func(s *S) { s.Creatives[0].Attributes = []uint8{3, 3} })
	f("creative 1 has attributes", func(s *S) { s.Creatives[0].Attributes = []uint8{0} })
	f("creative 1 has attributes", func(s *S) { s.Creatives[0].Attributes = []uint8{snapshot.MaxAttribute + 1} })
	f("creative 2 is HTML without", func(s *S) { s.Creatives[1].Markup = "" })
	f("property 1 follows 1", func(s *S) { s.Properties[1].ID = 1 })
	f("property 1 has no publisher", func(s *S) { s.Properties[0].Publisher = 0 })
	f("property 1 is of an unknown kind", func(s *S) { s.Properties[0].Kind = "" })
	f("property 1 has a revenue share", func(s *S) { s.Properties[0].RevenueShare = 10_001 })
	f("property 1 has categories", func(s *S) { s.Properties[0].Categories = []string{"iab1/IAB1", "iab1/IAB1"} })
	f("placement 5 follows 5", func(s *S) { s.Placements[1].ID = 5 })
	f("placement 5 is of a property", func(s *S) { s.Placements[0].Property = 99 })
	f("placement 5 has a floor", func(s *S) { s.Placements[0].Floor = -1 })
	f("placement 5 has a floor in a currency", func(s *S) { s.Placements[0].FloorCurrency = "GBP" })
	f("placement 5 has a floor in a currency", func(s *S) { s.Placements[0].FloorCurrency = "" })
	f("placement 10 has a floor in a currency", func(s *S) { s.FX = s.FX[1:] })
	f("placement 5 has an unknown type of auction", func(s *S) { s.Placements[0].AuctionType = 0 })
	f("placement 5 has an unknown type of auction", func(s *S) { s.Placements[0].AuctionType = 3 })
	f("placement 5 blocks categories", func(s *S) { s.Placements[0].BlockedCategories = []string{"b", "a"} })
	f("placement 5 blocks attributes", func(s *S) { s.Placements[0].BlockedAttributes = []uint8{64} })
	f("placement 5 has an unknown format", func(s *S) { s.Placements[0].Formats = nil })
	f("placement 5 has an unknown format", func(s *S) { s.Placements[0].Formats[0] = "audio" })
	f("placement 5 has a size", func(s *S) { s.Placements[0].Sizes[0].Width = 0 })
	f("placement 5 blocks advertisers", func(s *S) { s.Placements[0].BlockedAdvertisers = []ad.ID{2, 2} })
}

// label gives the last but one line item n labels, and takes the others' away.
func label(s *snapshot.Snapshot, n int) {
	for i := range s.LineItems {
		s.LineItems[i].Labels = nil
	}
	for i := range n {
		s.LineItems[28].Labels = append(s.LineItems[28].Labels, fmt.Sprintf("%06d", i))
	}
}

func TestMostLabels(t *testing.T) {
	t.Parallel()
	s := snapshottest.Make(1, 30)
	label(s, snapshot.MaxLabels)
	s.LineItems[29].Labels = s.LineItems[28].Labels[:3]
	if err := snapshot.Check(s); err != nil {
		t.Error(err)
	}
}

func TestCheckRefusesRules(t *testing.T) {
	t.Parallel()
	f := func(want string, conjunctions ...rule.Conjunction) {
		t.Helper()
		s := snapshottest.Make(1, 1)
		s.Values = new(rule.Table)
		s.LineItems[0].Targeting = s.Values.Pack(rule.Rule{Conjunctions: conjunctions})
		s.SortValues()
		err := snapshot.Check(s)
		if (want == "") != (err == nil) || (err != nil && !strings.Contains(err.Error(), want)) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	is := func(d rule.Dimension, values ...string) rule.Term { return rule.Term{Dimension: d, Values: values} }
	not := func(d rule.Dimension, values ...string) rule.Term {
		return rule.Term{Dimension: d, Exclude: true, Values: values}
	}
	f("")
	f("", rule.Conjunction{})
	f("", rule.Conjunction{is(rule.Country, "JP", "US"), is(rule.Keyword, "a=1"), is(rule.Keyword, "b=1"), not(rule.Keyword, "c=1")})
	f("too many conjunctions", make([]rule.Conjunction, rule.MaxConjunctions+1)...)
	many := make(rule.Conjunction, rule.MaxTerms+1)
	for i := range many {
		many[i] = is(rule.Keyword, fmt.Sprintf("k=%02d", i))
	}
	f("", many[1:])
	f("too many terms", many)
	f("unknown dimension", rule.Conjunction{is(0, "x")})
	f("unknown dimension", rule.Conjunction{is(rule.Secure+1, "x")})
	f("not normal", rule.Conjunction{is(rule.Country)})
	f("not normal", rule.Conjunction{is(rule.Country, "US", "JP")})
	f("not normal", rule.Conjunction{is(rule.Country, "JP", "JP")})
	f("not normal", rule.Conjunction{is(rule.OS, "ios"), is(rule.Country, "JP")})
	f("not normal", rule.Conjunction{is(rule.Country, "JP"), is(rule.Country, "US")})
	f("not normal", rule.Conjunction{not(rule.Keyword, "a=1"), not(rule.Keyword, "b=1")})
	f("not normal", rule.Conjunction{is(rule.Keyword, "b=1"), is(rule.Keyword, "a=1")})
}

// Whatever words stand where a rule should: they are refused, or they are a rule.
func TestCheckSurvivesAnyWords(t *testing.T) {
	t.Parallel()
	head := rule.Head(rule.Country, false, 2)
	word := rapid.OneOf(rapid.Uint32(), rapid.Uint32Range(0, 8), rapid.Custom(func(t *rapid.T) uint32 {
		return rule.Head(rule.Dimension(rapid.IntRange(0, 40).Draw(t, "dimension")), rapid.Bool().Draw(t, "exclude"), rapid.IntRange(0, 4).Draw(t, "count"))
	}))
	f := func(t rapid.TB, want string, words ...uint32) {
		t.Helper()
		s := snapshottest.Make(1, 1)
		s.Values = rule.NewTable([]string{"a", "b", "c"})
		s.LineItems[0].Targeting = words
		err := snapshot.Check(s)
		back, parseErr := snapshot.Parse(snapshot.Append(nil, s), snapshot.Limits{})
		if (err == nil) != (parseErr == nil) {
			t.Fatalf("checked %v, parsed %v", err, parseErr)
		}
		if want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("% x: %v, want %q", words, err, want)
		}
		if err == nil {
			again := back.Values.Pack(back.Values.Unpack(back.LineItems[0].Targeting))
			if !slices.Equal(again, rule.Packed(words)) {
				t.Errorf("% x are read as % x", words, again)
			}
		}
	}
	const bad = "cannot be read"
	f(t, bad, 1)
	f(t, bad, math.MaxUint32)
	f(t, bad, math.MaxUint32, head, 0, 1)
	f(t, bad, 2, head, 0)          // a value short
	f(t, bad, 3, head, 0)          // the conjunction claims more than there is
	f(t, bad, 3, head, 0, 3)       // a number beyond the table
	f(t, bad, 3, head, 0, 1<<31)   // the same, negative to a careless reader
	f(t, bad, 3, head, 0, 1, 7)    // words after the end
	f(t, bad, 1, 0xffffffff, 0, 1) // a term with 16 million values
	f(t, "not normal", 3, head, 1, 1)
	f(t, "not normal", 1, rule.Head(rule.Country, false, 0))
	f(t, "unknown dimension", 2, rule.Head(0, false, 1), 0)
	f(t, "unknown dimension", 2, rule.Head(127, false, 1), 0)
	rapid.Check(t, func(t *rapid.T) { f(t, "", rapid.SliceOfN(word, 0, 12).Draw(t, "words")...) })
}

func TestSortValues(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := snapshottest.Make(1, 1)
		s.Values = new(rule.Table)
		values := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z]{1,3}`), 1, 9, rapid.ID).Draw(t, "values")
		first := rule.Rule{Conjunctions: []rule.Conjunction{{{Dimension: rule.City, Values: slices.Sorted(slices.Values(values))}}, {}}}
		for _, v := range rapid.Permutation(values).Draw(t, "order") {
			s.Values.Number(v)
		}
		s.LineItems[0].Targeting = s.Values.Pack(first)
		s.SortValues()
		if err := snapshot.Check(s); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(first, s.Values.Unpack(s.LineItems[0].Targeting)); d != "" {
			t.Errorf("the rule changed (-want +got):\n%s", d)
		}
	})
}
