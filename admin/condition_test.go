package admin

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hayate-ads/hayate/internal/rule"
)

func TestConditions(t *testing.T) {
	t.Parallel()
	f := func(text, want string) { // want: the expressions as JSON lines, or what is wrong
		t.Helper()
		var p parser
		var got []string
		for _, e := range p.conditions("conditions", text) {
			got = append(got, strings.Join(strings.Fields(indented(e)), ""))
		}
		for _, wrong := range p.found {
			got = append(got, wrong.Field+" "+wrong.Message)
		}
		if diff := cmp.Diff(want, strings.Join(got, "\n")); diff != "" {
			t.Errorf("%q: %s", text, diff)
		}
	}
	f("", "")
	f("region: JP-13; JP-14", `{"is":{"dimension":"region","values":["JP-13","JP-14"]}}`)
	f("\n  not domain :news.example \r\nsegment: a/1\nsegment: a/2",
		`{"not":{"is":{"dimension":"domain","values":["news.example"]}}}`+"\n"+
			`{"is":{"dimension":"segment","values":["a/1"]}}`+"\n"+`{"is":{"dimension":"segment","values":["a/2"]}}`)
	f("near: 35.681,139.767,5000", `{"is":{"dimension":"near","values":["35.681,139.767,5000"]}}`)
	f("language: ja\nregion", "conditions line 2: has to be a dimension, a colon and values, such as region: JP-13; JP-14")
	f("moon: full", `conditions line 1: no dimension "moon"`)
	f("region:", "conditions line 1: is: has no values")
	f("secure: maybe", `conditions line 1: is.values[0]: "maybe" is not yes or no`)
}

// What the form reads it shows again, and what it cannot show it leaves to the
// expression: an edit that changes nothing must not change the targeting.
func TestConditionsComeBack(t *testing.T) {
	t.Parallel()
	f := func(text, mode, conditions string) {
		t.Helper()
		e, err := rule.Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		form := targetingFormOf(e)
		if form.Mode != mode || form.Conditions != conditions {
			t.Fatalf("%s: mode %s, conditions %q", text, form.Mode, form.Conditions)
		}
		back, wrong := form.expression()
		if len(wrong) > 0 {
			t.Fatalf("%s: %v", text, wrong)
		}
		again, err := rule.Parse(back)
		if err != nil {
			t.Fatal(err)
		}
		was, _ := rule.Normalise(e)
		is, _ := rule.Normalise(again)
		if diff := cmp.Diff(was, is); diff != "" {
			t.Errorf("%s came back as %s: %s", text, back, diff)
		}
	}
	f(`{"is":{"dimension":"region","values":["JP-13","JP-14"]}}`, simpleMode, "region: JP-13; JP-14")
	f(`{"not":{"is":{"dimension":"country","values":["JP"]}}}`, simpleMode, "not country: JP")
	f(`{"all":[{"is":{"dimension":"country","values":["JP"]}},{"is":{"dimension":"keyword","values":["a=1"]}},{"is":{"dimension":"keyword","values":["b=2"]}}]}`,
		simpleMode, "keyword: b=2")
	f(`{"is":{"dimension":"segment","values":["a;b"]}}`, fullMode, "")
	f(`{"any":[{"is":{"dimension":"country","values":["JP"]}},{"is":{"dimension":"segment","values":["x"]}}]}`, fullMode, "")
	f(`{}`, simpleMode, "")
}
