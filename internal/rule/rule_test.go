package rule

import (
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// vocabulary is small, so that random rules and requests meet.
var vocabulary = map[Dimension][]string{
	Placement:  {"1", "2", "3"},
	Country:    {"DE", "JP", "US"},
	DeviceType: {"desktop", "mobile"},
	Keyword:    {"a=1", "a=2", "b=1", "b=2"},
	HourOfWeek: {"0", "167"},
}

var usedDimensions = []Dimension{Placement, Country, DeviceType, Keyword, HourOfWeek}

func drawExpr(t *rapid.T, depth int) Expr {
	kind := "is"
	if depth > 0 {
		kind = rapid.SampledFrom([]string{"is", "is", "not", "all", "any"}).Draw(t, "kind")
	}
	switch kind {
	case "not":
		inner := drawExpr(t, depth-1)
		return Expr{Not: &inner}
	case "all", "any":
		list := make([]Expr, rapid.IntRange(1, 4).Draw(t, "length"))
		for i := range list {
			list[i] = drawExpr(t, depth-1)
		}
		if kind == "all" {
			return Expr{All: list}
		}
		return Expr{Any: list}
	}
	d := rapid.SampledFrom(usedDimensions).Draw(t, "dimension")
	values := rapid.SliceOfN(rapid.SampledFrom(vocabulary[d]), 1, 4).Draw(t, "values")
	return Expr{Is: &Predicate{d, values}}
}

func drawRequest(t *rapid.T) Request {
	r := Request{}
	for _, d := range usedDimensions {
		most := 1
		if d.Many() {
			most = 3
		}
		r[d] = rapid.SliceOfNDistinct(rapid.SampledFrom(vocabulary[d]), 0, most, rapid.ID).Draw(t, d.String())
	}
	return r
}

// The normalised rule matches exactly the requests that the expression matches.
func TestNormaliseKeepsTheMeaning(t *testing.T) {
	t.Parallel()
	matched, missed := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		e := drawExpr(t, rapid.IntRange(0, 4).Draw(t, "depth"))
		n, err := Normalise(e)
		if wrong := (*Error)(nil); errors.As(err, &wrong) && wrong.Code == TooManyConjunctions {
			t.Skip("too large")
		}
		if err != nil {
			t.Fatalf("normalise: %v", err)
		}
		checkForm(t, n)
		for range 8 {
			r := drawRequest(t)
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
	if matched < 20 || missed < 20 {
		t.Errorf("%d requests matched and %d did not: the test tells little", matched, missed)
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

func TestValues(t *testing.T) {
	t.Parallel()
	f := func(d Dimension, valid []string, invalid ...string) {
		t.Helper()
		for _, value := range valid {
			if !d.Valid(value) {
				t.Errorf("%s refuses %q", d, value)
			}
		}
		for _, value := range append(invalid, "", " ", "\x00", "\xff") {
			if d.Valid(value) {
				t.Errorf("%s accepts %q", d, value)
			}
		}
	}
	id := []string{"1", "42", "9223372036854775807"}
	f(Placement, id, "0", "-1", "+1", "01", "1.0", "9223372036854775808", "x")
	f(Property, id, "0", "-1", "+1", "01", "1.0", "9223372036854775808", "x")
	f(Country, []string{"JP", "US", "GB", "XK"}, "jp", "UK", "J", "JPN", "ZZ", "D ", " A", "E A")
	f(DeviceType, []string{"desktop", "mobile", "tablet", "tv", "other"}, "Mobile", "phone")
	f(OS, []string{"windows", "macos", "linux", "android", "ios", "chromeos", "other"}, "iOS", "osx")
	f(HourOfWeek, []string{"0", "9", "167"}, "168", "-1", "00", "1.5")
	f(Keyword, []string{"a=1", "色=赤", "a=b=c", "key=two words"}, "a", "=1", "a=", "A=1", "a=É", "a=\u200a\n", "a=\ufffd", "a="+string(make([]byte, 300)))
	f(Dimension(0), nil, "1")
	f(Dimension(99), nil, "1")
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
