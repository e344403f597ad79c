package target_test

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hayate-ads/hayate/delivery/target"
	"github.com/hayate-ads/hayate/internal/rule"
)

// drawn are the values of each dimension that random rules name, and those that
// random requests bring; few, so that they meet often.
var drawn = map[rule.Dimension]struct{ named, brought []string }{
	rule.Domain: {[]string{"a.example", "news.a.example", "x.news.a.example", "b.example"},
		[]string{"a.example", "x.news.a.example", "y.b.example", "a.example.b.example"}},
	rule.URLPrefix: {[]string{"a.example", "a.example/news", "a.example/news/today", "b.example/x"},
		[]string{"a.example/news/today?x=1", "https://a.example/newspaper", "b.example/x/", "a.example"}},
	rule.Category: {[]string{"iab1/IAB1", "iab1/IAB1-1", "iab1/IAB17", "iab2/483", "iab3/483"},
		[]string{"iab1/IAB1-1", "iab1/IAB17-3", "iab2/483", "iab2/484", "iab3/483"}},
	rule.Near: {[]string{"35,139,5000", "35,139,50000", "-20,180,900000", "90,0,1000"},
		[]string{"35.01,139.01", "35.3,139", "-20.5,-179.5", "90,50", "somewhere"}},
	rule.OSVersion: {[]string{"ios 15-17.4", "ios 16-", "android -12", "macos 14.1-14.1"},
		[]string{"ios 17.4.1", "ios 14", "android 12.9", "macos 14.1", "ios"}},
	rule.BrowserVersion: {[]string{"chrome 120-", "chrome -119", "safari 17-18"},
		[]string{"chrome 120", "chrome 119.9", "safari 18.7.6.5"}},
	rule.Segment: {[]string{"vip", "acme/4711", "a segment of a name beyond sixteen bytes", "a segment of a name beyond sixteen bites"},
		[]string{"vip", "VIP", "acme/4711", "a segment of a name beyond sixteen bytes", "a segment of a name beyond seventeen bytes"}},
}

func named(d rule.Dimension) []string {
	if values := drawn[d].named; values != nil {
		return values
	}
	return []string{"1", "2", "3", "four", "five-five", "longer than sixteen bytes"}
}

func brought(d rule.Dimension) []string {
	if values := drawn[d].brought; values != nil {
		return values
	}
	return append([]string{"99", "for", "longer than sixteen bits!"}, named(d)...)
}

func zones(t *testing.T) []*time.Location {
	t.Helper()
	var all []*time.Location
	for _, name := range []string{"UTC", "Asia/Tokyo", "America/New_York", "Asia/Kolkata"} {
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, zone)
	}
	return all
}

func drawTerm(t *rapid.T, d rule.Dimension, exclude bool) rule.Term {
	draw, most := rapid.SampledFrom(named(d)), min(3, len(named(d)))
	if d == rule.HourOfWeek {
		draw = rapid.Map(rapid.IntRange(0, 167), strconv.Itoa)
		most = 120
	}
	values := rapid.SliceOfNDistinct(draw, 1, most, rapid.ID[string]).Draw(t, "values")
	slices.Sort(values)
	return rule.Term{Dimension: d, Exclude: exclude, Values: values}
}

// drawConjunction asks of few dimensions, since a request that matches shows more
// than one that does not.
func drawConjunction(t *rapid.T) rule.Conjunction {
	var c rule.Conjunction
	asks := rapid.SliceOfNDistinct(rapid.SampledFrom(rule.Dimensions()), 0, 3, rapid.ID[rule.Dimension]).Draw(t, "asks")
	slices.Sort(asks)
	for _, d := range asks {
		including := rapid.SampledFrom([]int{0, 1, 1, 2, 3}).Draw(t, "including")
		if !d.Many() {
			including = min(including, 1)
		}
		for range including {
			c = append(c, drawTerm(t, d, false))
		}
		if including == 0 || rapid.IntRange(0, 3).Draw(t, "excluding") == 0 {
			c = append(c, drawTerm(t, d, true))
		}
	}
	return c
}

// item is a line item with its rule unpacked.
type item struct {
	rule   rule.Rule
	zone   int
	shapes []uint16
}

func drawItem(t *rapid.T, zones int) item {
	return item{
		rule:   rule.Rule{Conjunctions: rapid.SliceOfN(rapid.Custom(drawConjunction), 0, 3).Draw(t, "rule")},
		zone:   rapid.IntRange(0, zones-1).Draw(t, "zone"),
		shapes: rapid.SliceOfNDistinct(rapid.Uint16Range(0, 3), 0, 2, rapid.ID[uint16]).Draw(t, "shapes"),
	}
}

// drawFiller names so many values of some dimensions that they get no planes.
func drawFiller(t *rapid.T) item {
	var c rule.Conjunction
	for _, d := range rule.Dimensions() {
		if d != rule.HourOfWeek && d.Kind() == rule.Exact && rapid.Bool().Draw(t, "many values") {
			term := rule.Term{Dimension: d, Values: slices.Clone(named(d))}
			for i := range 300 {
				term.Values = append(term.Values, "filler "+strconv.Itoa(i))
			}
			slices.Sort(term.Values)
			c = append(c, term)
		}
	}
	return item{rule: rule.Rule{Conjunctions: []rule.Conjunction{c}}, shapes: []uint16{0, 1, 2, 3}}
}

func index(t interface{ Fatal(...any) }, items []item, zones []*time.Location) *target.Index {
	table := new(rule.Table)
	packed := make([]target.Item, len(items))
	for i, item := range items {
		packed[i] = target.Item{Rule: table.Pack(item.rule), Zone: item.zone, Shapes: item.shapes}
	}
	ix, err := target.New(packed, table, zones)
	if err != nil {
		t.Fatal(err)
	}
	return ix
}

// asked is one random request.
type asked struct {
	query target.Query
	slot  target.Slot
}

func drawAsked(t *rapid.T) asked {
	var a asked
	for _, d := range rule.Dimensions() {
		if d == rule.HourOfWeek {
			continue
		}
		most := rapid.SampledFrom([]int{0, 1, 1, 1, 2, 3}).Draw(t, "values")
		for range most {
			value := rapid.SampledFrom(brought(d)).Draw(t, "value")
			if rapid.IntRange(0, 3).Draw(t, "supplied") == 0 {
				a.slot.Values = append(a.slot.Values, target.Value{Dimension: d, Text: value})
			} else {
				a.query.AddText(d, value)
			}
		}
	}
	a.slot.Shapes = rapid.SliceOfNDistinct(rapid.Uint16Range(0, 4), 1, 3, rapid.ID[uint16]).Draw(t, "shapes")
	return a
}

// plain is the request as an item sees it whose advertiser lives in zone.
func (a *asked) plain(now time.Time, zone *time.Location) rule.Request {
	plain := a.query.Plain()
	supplied := make(map[rule.Dimension]bool)
	for _, v := range a.slot.Values {
		switch {
		case v.Dimension.Many():
			plain[v.Dimension] = append(plain[v.Dimension], v.Text)
		case !supplied[v.Dimension]: // a publisher knows best of its own place
			plain[v.Dimension] = []string{v.Text}
		}
		supplied[v.Dimension] = true
	}
	if a.query.Hours != nil {
		plain[rule.HourOfWeek] = []string{strconv.Itoa(target.HourOfWeek(now, zone))}
	}
	return plain
}

// matches are the places of the items that the plain evaluator finds.
func (a *asked) matches(items []item, zones []*time.Location, now time.Time, dark []int) []int {
	requests := make([]rule.Request, len(zones))
	for i, zone := range zones {
		requests[i] = a.plain(now, zone)
	}
	var found []int
	for i, item := range items {
		fits := slices.ContainsFunc(item.shapes, func(s uint16) bool { return slices.Contains(a.slot.Shapes, s) })
		if fits && !slices.Contains(dark, i) && item.rule.Match(requests[item.zone]) {
			found = append(found, i)
		}
	}
	return found
}

func collect(scan *target.Scan) []int {
	var rows []int
	for row := scan.Next(); row >= 0; row = scan.Next() {
		rows = append(rows, row)
	}
	return rows
}

func itemsOf(ix *target.Index, rows []int) []int {
	var items []int
	for _, row := range rows {
		items = append(items, ix.Item(row))
	}
	return slices.Compact(items)
}

// TestIndexAgreesWithPlainEvaluator is the index's one law: the items it finds,
// in order, are those whose rule the plain evaluator finds satisfied, in every plan.
func TestIndexAgreesWithPlainEvaluator(t *testing.T) {
	t.Parallel()
	zones := zones(t)
	rapid.Check(t, func(t *rapid.T) {
		items := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) item { return drawItem(t, len(zones)) }), 0, 12).Draw(t, "items")
		if rapid.Bool().Draw(t, "filler") {
			items = append(items, drawFiller(t))
		}
		// Copies move the items into other words and blocks, and fill partitions.
		spread := rapid.SampledFrom([]int{1, 1, 7, 60, 600}).Draw(t, "spread")
		for n := len(items); spread > 1; spread-- {
			items = append(items, items[:n]...)
		}
		ix := index(t, items, zones)
		mask := ix.All()
		var dark []int
		if len(items) > 0 {
			dark = rapid.SliceOf(rapid.IntRange(0, len(items)-1)).Draw(t, "dark")
		}
		for _, i := range dark {
			from, to := ix.RowsOf(i)
			mask.Set(from, to, false)
		}
		now := time.Unix(rapid.Int64Range(1.7e9, 1.8e9).Draw(t, "now"), 0)
		var scan target.Scan
		for range 3 {
			a := drawAsked(t)
			if rapid.IntRange(0, 9).Draw(t, "hours") > 0 {
				a.query.Hours = ix.HoursAt(now)
			}
			want := a.matches(items, zones, now, dark)
			scan.Prepare(ix, &a.query)
			supply := ix.Supply(a.slot)
			for _, plan := range plans {
				scan.Force(plan)
				scan.Start(supply, mask)
				rows := collect(&scan)
				if got := itemsOf(ix, rows); !slices.Equal(got, want) {
					t.Fatalf("plan %d: index finds %v, the plain evaluator %v", plan, got, want)
				}
				scan.Start(supply, mask)
				checkAll(t, ix, &scan, rows, rapid.IntRange(0, len(rows)).Draw(t, "before"))
				checkSeek(t, ix, &scan, rows, len(items))
			}
			if len(items) > 0 {
				checkMisses(t, ix, &scan, a, items, rapid.IntRange(0, min(len(items)-1, 12)).Draw(t, "missing"), now, zones)
			}
		}
	})
}

// checkAll asks for all items at once, after some steps, of a walk that found rows.
func checkAll(t *rapid.T, ix *target.Index, scan *target.Scan, rows []int, before int) {
	for range before {
		scan.Next()
	}
	var want []uint32
	for _, row := range rows[before:] {
		want = append(want, uint32(ix.Item(row)))
	}
	if got := scan.AppendItems(nil); !slices.Equal(got, want) {
		t.Fatalf("all items after %d rows: %v, want %v", before, got, want)
	}
}

// checkSeek goes to random rows, forward and back, of a walk that found rows.
func checkSeek(t *rapid.T, ix *target.Index, scan *target.Scan, rows []int, items int) {
	inRank := func(row int) int { // place in rows of what follows row
		for i, found := range rows {
			if row >= ix.Rows() {
				return len(rows)
			}
			if a, b := ix.Item(found), ix.Item(row); a > b || a == b && found >= row {
				return i
			}
		}
		return len(rows)
	}
	for range 4 {
		row := rapid.IntRange(0, ix.Rows()).Draw(t, "seek")
		if len(rows) > 0 && rapid.Bool().Draw(t, "near") {
			row = rows[rapid.IntRange(0, len(rows)-1).Draw(t, "at")] + rapid.IntRange(0, 1).Draw(t, "behind")
		}
		if row < ix.Rows() && items > 0 {
			row, _ = ix.RowsOf(min(ix.Item(row), items-1)) // there are rows that belong to nobody
		}
		scan.Seek(row)
		at := inRank(row)
		for step := range rapid.IntRange(0, 3).Draw(t, "steps") {
			want := -1
			if at+step < len(rows) {
				want = rows[at+step]
			}
			if got := scan.Next(); got != want {
				t.Fatalf("step %d after seeking row %d: row %d, want %d of %v", step, row, got, want, rows)
			}
		}
	}
}

// TestManyPairs compares many pairs of rule and request, a million with PROOF=1,
// on one index of many blocks and partitions, where lists have gaps to skip.
func TestManyPairs(t *testing.T) {
	t.Parallel()
	items, requests := 1000, 20
	if os.Getenv("PROOF") != "" {
		items, requests = 4000, 250
	}
	zones := zones(t)
	draw := rapid.Custom(func(t *rapid.T) item { return drawItem(t, len(zones)) })
	all := make([]item, items)
	for i := range all {
		all[i] = draw.Example(i)
	}
	for i := range 20 {
		all[i*items/20] = rapid.Custom(drawFiller).Example(i)
	}
	ix := index(t, all, zones)
	now := time.Date(2026, 11, 20, 18, 0, 0, 0, time.UTC)
	hours := ix.HoursAt(now)
	var scan target.Scan
	found := 0
	for i := range requests {
		a := rapid.Custom(drawAsked).Example(i)
		a.query.Hours = hours
		want := a.matches(all, zones, now, nil)
		found += len(want)
		for _, plan := range plans {
			scan.Force(plan)
			scan.Prepare(ix, &a.query)
			scan.Start(ix.Supply(a.slot), ix.All())
			if got := itemsOf(ix, collect(&scan)); !slices.Equal(got, want) {
				t.Fatalf("request %d, plan %d: index finds %v, the plain evaluator %v", i, plan, got, want)
			}
			scan.Start(ix.Supply(a.slot), ix.All())
			var at []int
			for _, item := range scan.AppendItems(nil) {
				at = append(at, int(item))
			}
			if got := slices.Compact(at); !slices.Equal(got, want) {
				t.Fatalf("request %d, plan %d: all at once %v, the plain evaluator %v", i, plan, got, want)
			}
		}
	}
	if found < items*requests/100 {
		t.Fatalf("only %d of %d pairs match: this shows little", found, items*requests)
	}
	t.Logf("figure target.pairs %d pairs", items*requests)
}

// TestRuleComesBack: what goes in comes out.
func TestRuleComesBack(t *testing.T) {
	t.Parallel()
	zones := zones(t)
	rapid.Check(t, func(t *rapid.T) {
		items := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) item { return drawItem(t, len(zones)) }), 0, 12).Draw(t, "items")
		ix := index(t, items, zones)
		for i, item := range items {
			got, want := ix.Rule(i), item.rule
			if fmt.Sprint(normal(got)) != fmt.Sprint(normal(want)) {
				t.Fatalf("rule of item %d: %v, want %v", i, got, want)
			}
		}
	})
}

// normal sorts the terms, which random rules do not, as rules in normal form are.
func normal(r rule.Rule) (all [][]string) {
	for _, c := range r.Conjunctions {
		var terms []string
		for _, t := range c {
			terms = append(terms, fmt.Sprintf("%02d %v %q", t.Dimension, t.Exclude, t.Values))
		}
		slices.Sort(terms)
		all = append(all, terms)
	}
	return all
}

var plans = []target.Plan{target.AnyPlan, target.PlainPlan, target.KeyedPlan}
