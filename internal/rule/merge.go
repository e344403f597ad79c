package rule

import (
	"cmp"
	"slices"
)

// merge makes a Conjunction of terms that must all hold; it is false when no
// request can satisfy them all.
func merge(terms []Term) (Conjunction, bool) {
	terms = unite(terms, true)
	slices.SortFunc(terms, compareTerms)
	merged := make(Conjunction, 0, len(terms))
	for rest := terms; len(rest) > 0; {
		n := 1
		for n < len(rest) && rest[n].Dimension == rest[0].Dimension {
			n++
		}
		part, possible := mergeDimension(rest[:n])
		if !possible {
			return nil, false
		}
		merged = append(merged, part...)
		rest = rest[n:]
	}
	return merged, true
}

// mergeDimension merges terms of one dimension: any number including, then at
// most one excluding.
func mergeDimension(terms []Term) ([]Term, bool) {
	includes, excludes := terms, []Term(nil)
	if last := len(terms) - 1; terms[last].Exclude {
		includes, excludes = terms[:last], terms[last:]
	}
	if len(includes) == 0 {
		return excludes, true
	}
	d := includes[0].Dimension
	if !d.Many() {
		includes = []Term{{Dimension: d, Values: intersection(includes)}}
	}
	var merged []Term
	for _, include := range includes {
		if len(excludes) > 0 {
			include.Values = outside(d, include.Values, excludes[0].Values)
		}
		if len(include.Values) == 0 {
			return nil, false
		}
		merged = append(merged, include)
	}
	if d.Many() {
		slices.SortFunc(merged, compareTerms)
		merged = slices.CompactFunc(merged, func(a, b Term) bool { return compareTerms(a, b) == 0 })
		return append(merged, excludes...), true
	}
	// The one value that is left in the list is none of the excluded ones.
	return merged, true
}

// intersection of the terms' sorted values.
func intersection(terms []Term) []string {
	common := terms[0].Values
	for _, t := range terms[1:] {
		common = filter(common, t.Values, true)
	}
	return common
}

// without returns the values that are not among the excluded ones, both sorted.
func without(values, excluded []string) []string { return filter(values, excluded, false) }

// filter keeps the values whose presence in other is as wanted, both sorted. It
// copies: several conjunctions share one list.
func filter(values, other []string, wanted bool) []string {
	var kept []string
	for _, value := range values {
		for len(other) > 0 && other[0] < value {
			other = other[1:]
		}
		if (len(other) > 0 && other[0] == value) == wanted {
			kept = append(kept, value)
		}
	}
	return kept
}

func compareTerms(a, b Term) int {
	return cmp.Or(cmp.Compare(a.Dimension, b.Dimension), compareSigns(a.Exclude, b.Exclude), slices.Compare(a.Values, b.Values))
}

func compareSigns(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

func compareConjunctions(a, b Conjunction) int { return slices.CompareFunc(a, b, compareTerms) }

func withoutRepeats(list []Conjunction) []Conjunction {
	slices.SortFunc(list, compareConjunctions)
	return slices.CompactFunc(list, func(a, b Conjunction) bool { return compareConjunctions(a, b) == 0 })
}
