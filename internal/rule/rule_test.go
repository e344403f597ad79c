package rule

import (
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// vocabulary is what random rules ask for; it is small, so that rules and
// requests meet.
var vocabulary = map[Dimension][]string{
	Placement:   {"1", "2", "3"},
	Property:    {"1", "2"},
	Country:     {"DE", "JP", "US"},
	DeviceType:  {"desktop", "mobile"},
	OS:          {"ios", "windows", "other"},
	Keyword:     {"a=1", "a=2", "b=1", "b=2"},
	HourOfWeek:  {"0", "167"},
	Region:      {"JP-13", "US-CA"},
	City:        {"JP/tokyo", "US/new york"},
	PostalCode:  {"JP/100-0001", "GB/SW1A 1AA"},
	Metro:       {"501", "807"},
	Near:        {"35.681,139.767,5000", "35.681,139.767,50000", "35.69,139.7,3000", "0,180,1000", "90,0,20000000", "-33.9,151.2,1"},
	DeviceMake:  {"apple", "sony"},
	DeviceModel: {"iphone", "pixel 8"},
	OSVersion: {"ios 15-17.4", "ios 15-", "ios -17.4", "ios 16-16", "ios 17.5-", "ios 17.4.1-18", "windows 10-11",
		"android -9", "android 10-12", "android 13-"},
	Browser:        {"chrome", "safari"},
	BrowserVersion: {"chrome 120-", "chrome -119", "chrome 100.0.1-130", "safari 17-"},
	Language:       {"ja", "en"},
	Connection:     {"wifi", "4g"},
	Carrier:        {"440-10", "310-260"},
	ASN:            {"2516", "4713"},
	VisitorHour:    {"0", "12", "167"},
	Publisher:      {"1", "2"},
	Exchange:       {"example-x", "other"},
	Deal:           {"example-x/d-17", "example-x/d-18", "other/1"},
	Domain:         {"news.example", "a.news.example", "b.a.news.example", "b.news.example", "shop.co.jp", "www.shop.co.jp"},
	AppBundle:      {"com.example.news", "1207472156"},
	URLPrefix: {"news.example", "news.example/sports", "news.example/sports/golf", "news.example/sport", "a.news.example",
		"news.example/sports/golf/2026", "shop.co.jp/a"},
	Category: {"iab1/IAB17", "iab1/IAB17-1", "iab2/483", "iab2/518", "iab3/483", "iab3/518", "iab3/JLBCU7", "iab1/IAB1",
		"iab1/IAB1-4", "iab2/432", "iab1/IAB1-2", "iab3/464", "iab2/464", "iab2/379", "iab2/390"},
	Segment:       {"acme/4711", "vip"},
	InventoryKind: {"site", "app"},
	Position:      {"above_fold", "sidebar"},
	Size:          {"300x250", "728x90", "320x50"},
	Format:        {"banner", "html", "video"},
	Secure:        {"yes", "no"},
}

// brought is what random requests bring where that is spelled otherwise, beside
// things that nobody asks for and things that cannot be read.
var brought = map[Dimension][]string{
	Near: {"35.681,139.767", "35.70,139.75", "35.9,139.4", "35.3,139.2", "0,-179.995", "0,179.9951", "-33.9,151.2",
		"-33.90001,151.2", "-90,0", "90,0", "x", ""},
	OSVersion: {"ios 14.8", "ios 15", "ios 16.2", "ios 17", "ios 17.4", "ios 17.4.1", "ios 17.5", "ios 99999", "windows 10.0.22631",
		"android 9", "android 9.9", "android 10", "android 14", "other 1", "ios", "ios x"},
	BrowserVersion: {"chrome 119.9", "chrome 120", "chrome 100", "chrome 130.0.0.1", "safari 16.6", "safari 17", "opera 1"},
	Domain: {"news.example", "a.news.example", "b.a.news.example", "x.b.a.news.example", "b.news.example", "shop.co.jp",
		"www.shop.co.jp", "co.jp", "example", "xnews.example", "localhost", "."},
	URLPrefix: {"news.example", "news.example/", "https://news.example/sports", "news.example/sports/golf?a=1", "news.example/sportsx",
		"news.example/sport/#x", "a.news.example/x", "news.example/sports/golf/2026/x", "shop.co.jp/a/b", "//", ""},
	Category: {"iab1/IAB17", "iab1/IAB17-1", "iab1/IAB1-4", "iab1/IAB1-2", "iab1/IAB15-10", "iab2/483", "iab2/518", "iab2/440",
		"iab2/324", "iab2/390", "iab3/483", "iab3/518", "iab3/324", "iab3/390", "iab3/464", "iab9/1", "x"},
}

func drawExpr(t *rapid.T, depth int, dimensions []Dimension) Expr {
	kind := "is"
	if depth > 0 {
		kind = rapid.SampledFrom([]string{"is", "is", "not", "all", "any"}).Draw(t, "kind")
	}
	switch kind {
	case "not":
		inner := drawExpr(t, depth-1, dimensions)
		return Expr{Not: &inner}
	case "all", "any":
		list := make([]Expr, rapid.IntRange(1, 4).Draw(t, "length"))
		for i := range list {
			list[i] = drawExpr(t, depth-1, dimensions)
		}
		if kind == "all" {
			return Expr{All: list}
		}
		return Expr{Any: list}
	}
	d := rapid.SampledFrom(dimensions).Draw(t, "dimension")
	values := rapid.SliceOfN(rapid.SampledFrom(vocabulary[d]), 1, 4).Draw(t, "values")
	return Expr{Is: &Predicate{d, values}}
}

func drawRequest(t *rapid.T, dimensions []Dimension) Request {
	r := Request{}
	for _, d := range dimensions {
		values, most := vocabulary[d], 1
		if brought[d] != nil {
			values = brought[d]
		}
		if d.Many() {
			most = 3
		}
		r[d] = rapid.SliceOfNDistinct(rapid.SampledFrom(values), 0, min(most, len(values)), rapid.ID).Draw(t, d.String())
	}
	return r
}

// drawDimensions draws a few, so that terms of one dimension meet, and more of
// those where values imply others.
func drawDimensions(t *rapid.T) []Dimension {
	all := append(Dimensions(), Near, OSVersion, BrowserVersion, Domain, URLPrefix, Category, Domain, URLPrefix, Category)
	return rapid.SliceOfNDistinct(rapid.SampledFrom(all), 1, 3, rapid.ID).Draw(t, "dimensions")
}

// The normalised rule matches exactly the requests that the expression matches:
// a million pairs with PROOF=1, else some 20,000.
func TestNormaliseKeepsTheMeaning(t *testing.T) {
	t.Parallel()
	want := 20_000
	if os.Getenv("PROOF") == "1" {
		want = 1_000_000
	}
	matched, missed := 0, 0
	for matched+missed < want {
		rapid.Check(t, func(t *rapid.T) {
			dimensions := drawDimensions(t)
			e := drawExpr(t, rapid.IntRange(0, 4).Draw(t, "depth"), dimensions)
			n, err := Normalise(e)
			if wrong := (*Error)(nil); errors.As(err, &wrong) && wrong.Code == TooManyConjunctions {
				t.Skip("too large")
			}
			if err != nil {
				t.Fatalf("normalise: %v", err)
			}
			checkForm(t, n)
			for range 20 {
				r := drawRequest(t, dimensions)
				want := e.Match(r)
				if got := n.Match(r); got != want {
					t.Fatalf("expression answers %v, its normal form %v\nrequest: %v\nnormal form: %+v", want, got, r, n)
				}
				if want {
					matched++
				} else {
					missed++
				}
			}
		})
		if t.Failed() {
			return
		}
	}
	t.Logf("figure rule.pairs %d pairs (%d matched)", matched+missed, matched)
	if matched < want/10 || missed < want/10 {
		t.Errorf("%d requests matched and %d did not: the test tells little", matched, missed)
	}
}

// Every dimension is in the vocabulary, in its spelling.
func TestVocabulary(t *testing.T) {
	t.Parallel()
	for _, d := range Dimensions() {
		if len(vocabulary[d]) < 2 {
			t.Errorf("%s has no vocabulary", d)
		}
		for _, value := range vocabulary[d] {
			if err := d.Check(value); err != nil {
				t.Errorf("%s: %v", d, err)
			}
		}
	}
}

// checkForm checks what [Conjunction] and [Term] promise.
func checkForm(t *rapid.T, n Rule) {
	t.Helper()
	if !slices.IsSortedFunc(n.Conjunctions, compareConjunctions) {
		t.Fatalf("conjunctions are not in order: %+v", n)
	}
	for i, c := range n.Conjunctions {
		if i > 0 && compareConjunctions(n.Conjunctions[i-1], c) == 0 {
			t.Fatalf("repeated conjunction: %+v", c)
		}
		for j, term := range c {
			if len(term.Values) == 0 || !slices.IsSorted(term.Values) || len(slices.Compact(slices.Clone(term.Values))) != len(term.Values) {
				t.Fatalf("values are not sorted, repeat, or are none: %+v", term)
			}
			if j == 0 {
				continue
			}
			before := c[j-1]
			twoIncludes := term.Dimension.Many() && !before.Exclude
			if compareTerms(before, term) >= 0 || (before.Dimension == term.Dimension && !twoIncludes) {
				t.Fatalf("terms are not in order, or not merged: %+v", c)
			}
		}
	}
}

func is(d Dimension, values ...string) Expr { return Expr{Is: &Predicate{d, values}} }
func not(e Expr) Expr                       { return Expr{Not: &e} }
func all(list ...Expr) Expr                 { return Expr{All: list} }
func anyOf(list ...Expr) Expr               { return Expr{Any: list} }

func TestNormalise(t *testing.T) {
	t.Parallel()
	f := func(e Expr, want ...Conjunction) {
		t.Helper()
		got, err := Normalise(e)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(Rule{want}, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	include := func(d Dimension, values ...string) Term { return Term{d, false, values} }
	exclude := func(d Dimension, values ...string) Term { return Term{d, true, values} }
	jp, us := is(Country, "JP"), is(Country, "US")
	f(Expr{}, Conjunction{}) // everything
	f(is(Country, "US", "JP", "US"), Conjunction{include(Country, "JP", "US")})
	f(not(not(jp)), Conjunction{include(Country, "JP")})
	f(anyOf(jp, us), Conjunction{include(Country, "JP", "US")})
	f(all(not(jp), not(us)), Conjunction{exclude(Country, "JP", "US")})
	f(not(anyOf(jp, us)), Conjunction{exclude(Country, "JP", "US")})
	f(all(is(Country, "JP", "US"), is(Country, "DE", "US"), not(jp)), Conjunction{include(Country, "US")})
	f(all(jp, us))      // nowhere
	f(all(jp, not(jp))) // nowhere
	f(anyOf(all(jp, us), is(OS, "ios")), Conjunction{include(OS, "ios")})
	f(all(is(Keyword, "a=1"), is(Keyword, "b=1"), is(Keyword, "b=1"), not(is(Keyword, "c=1"))),
		Conjunction{include(Keyword, "a=1"), include(Keyword, "b=1"), exclude(Keyword, "c=1")})
	f(all(is(Keyword, "a=1", "c=1"), not(is(Keyword, "c=1"))), Conjunction{include(Keyword, "a=1"), exclude(Keyword, "c=1")})
	f(all(anyOf(jp, is(OS, "ios")), is(Placement, "7")),
		Conjunction{include(Placement, "7"), include(Country, "JP")},
		Conjunction{include(Placement, "7"), include(OS, "ios")})
	f(anyOf(all(jp, is(OS, "ios")), all(is(OS, "ios"), jp)), Conjunction{include(Country, "JP"), include(OS, "ios")})
	f(not(all(jp, is(OS, "ios"))), Conjunction{exclude(Country, "JP")}, Conjunction{exclude(OS, "ios")})
}

// A contradiction is no error: it is a rule that matches nothing, which whoever
// asked is told by an empty normal form.
func TestContradictions(t *testing.T) {
	t.Parallel()
	f := func(name string, e Expr) {
		t.Helper()
		n, err := Normalise(e)
		if err != nil || len(n.Conjunctions) != 0 {
			t.Errorf("%s: %+v, %v", name, n, err)
		}
		if n.Match(Request{}) || n.Match(Request{Country: {"JP"}, Domain: {"a.news.example"}, OSVersion: {"ios 15"}}) {
			t.Errorf("%s: matches", name)
		}
	}
	jp := is(Country, "JP")
	f("two countries", all(jp, is(Country, "US")))
	f("a country and not", all(jp, not(jp)))
	f("not one of one", all(is(Country, "JP", "US"), not(jp), not(is(Country, "US"))))
	f("a keyword and not", all(is(Keyword, "a=1"), not(is(Keyword, "a=1"))))
	f("each of several", anyOf(all(jp, not(jp)), all(is(OS, "ios"), is(OS, "windows"))))
	f("not anything or something", not(anyOf(jp, not(jp))))
	f("below what is excluded", all(is(Domain, "a.news.example"), not(is(Domain, "news.example"))))
	f("versions that are excluded in parts", all(is(OSVersion, "ios 15-16"), not(is(OSVersion, "ios -15", "ios 16-"))))
}

// Data that a request lacks satisfies no including predicate.
func TestMatchWithoutData(t *testing.T) {
	t.Parallel()
	f := func(e Expr, want bool) {
		t.Helper()
		if got := e.Match(Request{}); got != want {
			t.Errorf("%+v matches the empty request: %v; want %v", e, got, want)
		}
	}
	f(Expr{}, true)
	f(is(Country, "JP"), false)
	f(not(is(Country, "JP")), true)
	f(all(not(is(Country, "JP")), is(OS, "ios")), false)
}

func TestDimensionNames(t *testing.T) {
	t.Parallel()
	for _, d := range Dimensions() {
		text, err := json.Marshal(d)
		var back Dimension
		if err != nil || json.Unmarshal(text, &back) != nil || back != d || string(text) != strconv.Quote(d.String()) {
			t.Errorf("%s: %s, %v, back %s", d, text, err, back)
		}
	}
	if len(Dimensions()) != int(Secure) {
		t.Errorf("%d dimensions", len(Dimensions()))
	}
	if _, err := json.Marshal(Dimension(0)); err == nil {
		t.Error("dimension 0 has a name")
	}
}
