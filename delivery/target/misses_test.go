package target_test

import (
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/hayate-ads/hayate/delivery/target"
	"github.com/hayate-ads/hayate/internal/rule"
)

// checkMisses holds what a scan says of one item against the plain evaluator:
// nothing is missing just when it matches, what is missing is not satisfied, a
// change of it makes the item match, and no conjunction misses less.
func checkMisses(t *rapid.T, ix *target.Index, scan *target.Scan, a asked, items []item, place int, now time.Time, zones []*time.Location) {
	of := items[place]
	misses := scan.Misses(place, nil)
	request := a.plain(now, zones[of.zone])
	fits := slices.ContainsFunc(of.shapes, func(s uint16) bool { return slices.Contains(a.slot.Shapes, s) })
	matches := fits && of.rule.Match(request)
	if (len(misses) == 0) != matches {
		t.Fatalf("item %d matches: %v, misses %v", place, matches, misses)
	}
	if len(of.rule.Conjunctions) == 0 {
		return
	}
	if shape := len(misses) > 0 && misses[0].Shape; shape == fits {
		t.Fatalf("item %d fits: %v, misses %v", place, fits, misses)
	} else if shape {
		misses = misses[1:]
	}
	fewest := 1 << 30
	missed := func(c rule.Conjunction) (n int) {
		for _, term := range c {
			if !(rule.Conjunction{term}).Match(request) {
				n++
			}
		}
		return n
	}
	for _, c := range of.rule.Conjunctions {
		fewest = min(fewest, missed(c))
	}
	if len(misses) != fewest {
		t.Fatalf("item %d: %d misses %v, could be %d of %v", place, len(misses), misses, fewest, of.rule)
	}
	// Some conjunction has these terms, and the others are satisfied.
	if !slices.ContainsFunc(of.rule.Conjunctions, func(c rule.Conjunction) bool {
		for _, m := range misses {
			if !slices.ContainsFunc(c, func(term rule.Term) bool {
				return term.Dimension == m.Dimension && term.Exclude == m.Exclude && slices.Equal(term.Values, sortedAs(m))
			}) {
				return false
			}
		}
		return missed(c) == len(misses)
	}) {
		t.Fatalf("item %d: misses %v are of no conjunction of %v", place, misses, of.rule)
	}
	for _, m := range misses {
		if got := slices.Clone(request[m.Dimension]); !slices.Equal(got, m.Got) {
			t.Fatalf("item %d: got %q in %v, the request has %q", place, m.Got, m.Dimension, got)
		}
	}
}

// sortedAs is what is wanted, in the order of terms.
func sortedAs(m target.Miss) []string {
	values := slices.Clone(m.Wanted)
	slices.Sort(values)
	return values
}
