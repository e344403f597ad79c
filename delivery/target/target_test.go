package target_test

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hayate-ads/hayate/delivery/target"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/rule"
)

// The values of each dimension that the random rules and requests draw from;
// few, so that they meet often.
var drawn = map[rule.Dimension][]string{
	rule.Placement:  {"1", "2", "3", "x"},
	rule.Property:   {"1", "2", "3", "4"},
	rule.Country:    {"JP", "US", "DE", "AA", "ZZ"},
	rule.DeviceType: {"desktop", "mobile", "tablet", "tv", "other", "toaster"},
	rule.OS:         {"windows", "macos", "linux", "android", "ios", "chromeos", "other"},
	rule.Keyword:    {"a=1", "a=2", "b=1", "b=2", "c=ü"},
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
	draw := rapid.Custom(func(t *rapid.T) string {
		if d == rule.HourOfWeek {
			return strconv.Itoa(rapid.IntRange(0, 167).Draw(t, "hour"))
		}
		return rapid.SampledFrom(drawn[d]).Draw(t, "value")
	})
	most := 3
	if d == rule.HourOfWeek {
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
	asks := rapid.SliceOfNDistinct(rapid.IntRange(int(rule.Placement), int(rule.HourOfWeek)), 0, 3, rapid.ID[int]).Draw(t, "asks")
	slices.Sort(asks)
	for _, ask := range asks {
		d := rule.Dimension(ask)
		including := rapid.SampledFrom([]int{0, 1, 1, 2, 3}).Draw(t, "including")
		if d != rule.Keyword {
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

func drawItem(t *rapid.T, zones int) target.Item {
	return target.Item{
		Rule:   rule.Rule{Conjunctions: rapid.SliceOfN(rapid.Custom(drawConjunction), 0, 3).Draw(t, "rule")},
		Zone:   rapid.IntRange(0, zones-1).Draw(t, "zone"),
		Shapes: rapid.SliceOfNDistinct(rapid.Uint16Range(0, 3), 0, 3, rapid.ID[uint16]).Draw(t, "shapes"),
	}
}

// asked is one random request, in the form of the index and, but for the hour,
// in that of the plain evaluator.
type asked struct {
	query target.Query
	slot  target.Slot
	plain rule.Request
}

func drawAsked(t *rapid.T) asked {
	maybe := func(d rule.Dimension) string {
		if rapid.IntRange(0, 5).Draw(t, "known") == 0 {
			return ""
		}
		return rapid.SampledFrom(append([]string{"AQ", "99"}, drawn[d]...)).Draw(t, "has")
	}
	a := asked{plain: rule.Request{}}
	have := func(d rule.Dimension, value string) {
		if value != "" {
			a.plain[d] = append(a.plain[d], value)
		}
	}
	a.slot = target.Slot{
		Placement: ad.ID(rapid.IntRange(1, 4).Draw(t, "placement")),
		Property:  ad.ID(rapid.IntRange(1, 5).Draw(t, "property")),
		Shapes:    rapid.SliceOfNDistinct(rapid.Uint16Range(0, 4), 1, 3, rapid.ID[uint16]).Draw(t, "shapes"),
	}
	have(rule.Placement, strconv.Itoa(int(a.slot.Placement)))
	have(rule.Property, strconv.Itoa(int(a.slot.Property)))
	if c := maybe(rule.Country); c != "" && c != "99" {
		copy(a.query.Country[:], c)
		have(rule.Country, c)
	}
	a.query.NoDevice = rapid.IntRange(0, 5).Draw(t, "no device") == 0
	a.query.Device = event.DeviceType(rapid.IntRange(0, 4).Draw(t, "device"))
	if !a.query.NoDevice {
		have(rule.DeviceType, a.query.Device.String())
	}
	a.query.OS = rapid.SampledFrom(append([]string{""}, drawn[rule.OS]...)).Draw(t, "os")
	have(rule.OS, a.query.OS)
	for range rapid.IntRange(0, 4).Draw(t, "keywords") {
		if k := maybe(rule.Keyword); k != "" {
			a.query.Keywords = append(a.query.Keywords, []byte(k))
			have(rule.Keyword, k)
		}
	}
	return a
}

// withHour is the request as an item sees it whose advertiser lives in zone.
func (a asked) withHour(now time.Time, zone *time.Location) rule.Request {
	plain := rule.Request{rule.HourOfWeek: {strconv.Itoa(target.HourOfWeek(now, zone))}}
	for d, values := range a.plain {
		plain[d] = values
	}
	if a.query.Hours == nil {
		delete(plain, rule.HourOfWeek)
	}
	return plain
}

// TestIndexAgreesWithPlainEvaluator is the index's one law: the items it finds,
// in order, are those whose rule the plain evaluator finds satisfied.
func TestIndexAgreesWithPlainEvaluator(t *testing.T) {
	t.Parallel()
	zones := zones(t)
	rapid.Check(t, func(t *rapid.T) {
		items := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) target.Item { return drawItem(t, len(zones)) }), 0, 12).Draw(t, "items")
		// Copies move the items into other words and blocks.
		spread := rapid.SampledFrom([]int{1, 1, 7, 60}).Draw(t, "spread")
		for n := len(items); spread > 1; spread-- {
			items = append(items, items[:n]...)
		}
		ix, err := target.New(items, zones)
		if err != nil {
			t.Fatal(err)
		}
		mask := ix.All()
		dark := rapid.SliceOf(rapid.IntRange(0, max(0, len(items)-1))).Draw(t, "dark")
		for _, i := range dark {
			if len(items) > 0 {
				from, to := ix.RowsOf(i)
				mask.Set(from, to, false)
			}
		}
		now := time.Unix(rapid.Int64Range(1.7e9, 1.8e9).Draw(t, "now"), 0)
		var scan target.Scan
		for range 20 {
			a := drawAsked(t)
			if rapid.IntRange(0, 9).Draw(t, "hours") > 0 {
				a.query.Hours = ix.HoursAt(now)
			}
			want := plainly(items, a, zones, now, dark)
			scan.Prepare(ix, &a.query)
			for _, dense := range []bool{false, true} {
				scan.Start(ix.Supply(a.slot, dense), mask)
				rows := collect(&scan)
				if got := itemsOf(ix, rows); !slices.Equal(got, want) {
					t.Fatalf("dense %v: index finds %v, the plain evaluator %v", dense, got, want)
				}
				checkSeek(t, ix, &scan, rows)
			}
		}
	})
}

// TestManyPairs compares a million pairs of rule and request on one index of
// many blocks, where lists have gaps to skip.
func TestManyPairs(t *testing.T) {
	t.Parallel()
	const items, requests = 4000, 250
	zones := zones(t)
	item := rapid.Custom(func(t *rapid.T) target.Item { return drawItem(t, len(zones)) })
	all := make([]target.Item, items)
	for i := range all {
		all[i] = item.Example(i)
	}
	ix, err := target.New(all, zones)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 20, 18, 0, 0, 0, time.UTC)
	hours := ix.HoursAt(now)
	var scan target.Scan
	found := 0
	for i := range requests {
		a := rapid.Custom(drawAsked).Example(i)
		a.query.Hours = hours
		// Without the first items of every other request, lists have to skip.
		from, mask := i%2*i*10, ix.All()
		if first, _ := ix.RowsOf(from); first > 0 {
			mask.Set(0, first, false)
		}
		var want []int
		for _, item := range plainly(all, a, zones, now, nil) {
			found++
			if item >= from {
				want = append(want, item)
			}
		}
		scan.Prepare(ix, &a.query)
		scan.Start(ix.Supply(a.slot, false), mask)
		got := itemsOf(ix, collect(&scan))
		if !slices.Equal(got, want) {
			t.Fatalf("request %d: index finds %v, the plain evaluator %v", i, got, want)
		}
	}
	if found < items*requests/100 {
		t.Fatalf("only %d of %d pairs match: this shows little", found, items*requests)
	}
}

func plainly(items []target.Item, a asked, zones []*time.Location, now time.Time, dark []int) []int {
	var found []int
	for i, item := range items {
		fits := slices.ContainsFunc(item.Shapes, func(s uint16) bool { return slices.Contains(a.slot.Shapes, s) })
		if fits && !slices.Contains(dark, i) && item.Rule.Match(a.withHour(now, zones[item.Zone])) {
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

// checkSeek goes to random rows, forward and back, of a walk that found rows.
func checkSeek(t *rapid.T, ix *target.Index, scan *target.Scan, rows []int) {
	for range 4 {
		row := rapid.IntRange(0, ix.Rows()).Draw(t, "seek")
		steps := rapid.IntRange(0, 3).Draw(t, "steps")
		scan.Seek(row)
		at, _ := slices.BinarySearch(rows, row)
		for step := range steps {
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

// TestMissingDataIncludesNothing spells out the rule that privacy rests on.
func TestMissingDataIncludesNothing(t *testing.T) {
	t.Parallel()
	f := func(d rule.Dimension, value string) {
		t.Helper()
		for _, exclude := range []bool{false, true} {
			term := rule.Term{Dimension: d, Exclude: exclude, Values: []string{value}}
			item := target.Item{Rule: rule.Rule{Conjunctions: []rule.Conjunction{{term}}}, Shapes: []uint16{0}}
			ix, err := target.New([]target.Item{item}, []*time.Location{time.UTC})
			if err != nil {
				t.Fatal(err)
			}
			var scan target.Scan
			scan.Prepare(ix, &target.Query{NoDevice: true})
			scan.Start(ix.Supply(target.Slot{Shapes: []uint16{0}}, false), ix.All())
			if found := scan.Next() >= 0; found != exclude {
				t.Errorf("dimension %d, exclude %v: found %v", d, exclude, found)
			}
		}
	}
	f(rule.Country, "JP")
	f(rule.DeviceType, "other")
	f(rule.OS, "other")
	f(rule.Keyword, "a=1")
	f(rule.HourOfWeek, "0")
	f(rule.Placement, "1")
	f(rule.Property, "1")
}

func TestHourOfWeek(t *testing.T) {
	t.Parallel()
	f := func(zone, at string, want int) {
		t.Helper()
		location, err := time.LoadLocation(zone)
		if err != nil {
			t.Fatal(err)
		}
		now, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		if got := target.HourOfWeek(now, location); got != want {
			t.Errorf("%s in %s: hour %d, want %d", at, zone, got, want)
		}
	}
	f("UTC", "2026-11-16T00:00:00Z", 0) // a Monday
	f("UTC", "2026-11-22T23:59:59Z", 167)
	f("Asia/Tokyo", "2026-11-15T15:00:00Z", 0)
	f("Asia/Kolkata", "2026-11-15T18:29:59Z", 167)
	f("Asia/Kolkata", "2026-11-15T18:30:00Z", 0)
	// New York: 01:30 comes twice on 2026-11-01, 02:30 not at all on 2026-03-08.
	f("America/New_York", "2026-11-01T05:30:00Z", 145)
	f("America/New_York", "2026-11-01T06:30:00Z", 145)
	f("America/New_York", "2026-11-01T07:30:00Z", 146)
	f("America/New_York", "2026-03-08T06:30:00Z", 145)
	f("America/New_York", "2026-03-08T07:30:00Z", 147)
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	f := func(want string, terms ...rule.Term) {
		t.Helper()
		item := target.Item{Rule: rule.Rule{Conjunctions: []rule.Conjunction{terms}}}
		_, err := target.New([]target.Item{item}, nil)
		if fmt.Sprint(err) != want {
			t.Errorf("error %v, want %s", err, want)
		}
	}
	f(`targeting index: rule of item 0: dimension 99 is not indexed`, rule.Term{Dimension: 99, Values: []string{"x"}})
	f(`targeting index: rule of item 0: two including terms on dimension 3 in one conjunction`,
		rule.Term{Dimension: rule.Country, Values: []string{"JP"}}, rule.Term{Dimension: rule.Country, Values: []string{"US"}})
	f(`targeting index: rule of item 0: there is no time zone 0`, rule.Term{Dimension: rule.HourOfWeek, Values: []string{"1"}})
}
