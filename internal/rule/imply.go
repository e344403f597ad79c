package rule

import (
	"cmp"
	"slices"

	"github.com/hayate-ads/hayate/internal/taxonomy"
)

// One value implies another when every request that satisfies the one satisfies
// the other, too: a domain those above it, a category what it is part of in its
// own family, a range or circle those around it. What it implies need not be
// complete, but must be right: terms are simplified by it. (A category also
// satisfies its counterparts, but these do not imply theirs in turn.)

// appendImplied appends what a value of an Expanded dimension implies, itself
// left out.
func appendImplied(dst []string, d Dimension, value string) []string {
	if d == Category {
		return append(dst, taxonomy.Ancestors(value)...)
	}
	var room [MaxSegments + 1][]byte
	for _, wider := range AppendExpansions(room[:0], d, []byte(value)) {
		switch n := len(wider); {
		case n == len(value):
		case d == Domain:
			dst = append(dst, value[len(value)-n:])
		default:
			dst = append(dst, value[:n])
		}
	}
	return dst
}

// widest drops the values of a sorted list that imply others of it.
func widest(d Dimension, values []string) []string {
	if len(values) < 2 {
		return values
	}
	switch d {
	case OSVersion, BrowserVersion:
		return widestVersions(values)
	case Near:
		return widestCircles(values)
	}
	if d.Kind() == Exact {
		return values
	}
	var room []string
	return slices.DeleteFunc(slices.Clone(values), func(value string) bool {
		room = appendImplied(room[:0], d, value)
		return slices.ContainsFunc(room, func(wider string) bool { return contains(values, wider) })
	})
}

// outside drops the values of a sorted list that imply one of the excluded ones,
// also sorted: with those excluded, they are never what a request matches by.
func outside(d Dimension, values, excluded []string) []string {
	values = without(values, excluded)
	var covered func(string) bool
	switch {
	case len(values) == 0 || d.Kind() == Exact:
		return values
	case d == Near:
		covered = coveredByCircles(excluded, len(values))
	case d.Kind() == Computed:
		covered = coveredByVersions(excluded)
	default:
		var room []string
		covered = func(value string) bool {
			room = appendImplied(room[:0], d, value)
			return slices.ContainsFunc(room, func(wider string) bool { return contains(excluded, wider) })
		}
	}
	return slices.DeleteFunc(values, covered) // without has copied them
}

func contains(sorted []string, value string) bool {
	_, found := slices.BinarySearch(sorted, value)
	return found
}

// parsedVersions reads ranges that are valid, in order.
func parsedVersions(values []string) []Versions {
	list := make([]Versions, len(values))
	for i, value := range values {
		list[i], _ = ParseVersions(value)
	}
	slices.SortFunc(list, compareVersions)
	return list
}

// compareVersions orders ranges by where they begin, the longer first.
func compareVersions(a, b Versions) int {
	return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.low, b.low), cmp.Compare(b.high, a.high))
}

func widestVersions(values []string) []string {
	var kept []Versions
	for _, v := range parsedVersions(values) {
		// Of those before, the last kept one reaches highest.
		if last := len(kept) - 1; last < 0 || !kept[last].includes(v) {
			kept = append(kept, v)
		}
	}
	return slices.DeleteFunc(slices.Clone(values), func(value string) bool {
		v, _ := ParseVersions(value)
		_, among := slices.BinarySearchFunc(kept, v, compareVersions)
		return !among
	})
}

// coveredByVersions answers for ranges that lie in what the excluded ones cover
// together.
func coveredByVersions(excluded []string) func(string) bool {
	var spans []Versions // in order, with gaps between them
	for _, v := range parsedVersions(excluded) {
		last := len(spans) - 1
		if last >= 0 && spans[last].name == v.name && (spans[last].high >= v.low || spans[last].high+1 == v.low) {
			spans[last].high = max(spans[last].high, v.high)
			continue
		}
		spans = append(spans, v)
	}
	return func(value string) bool {
		v, _ := ParseVersions(value)
		after, _ := slices.BinarySearchFunc(spans, v, func(span, v Versions) int {
			return cmp.Or(cmp.Compare(span.name, v.name), cmp.Compare(span.low, v.low), -1)
		})
		return after > 0 && spans[after-1].includes(v)
	}
}

// maxCircles bounds how many pairs of circles are compared; beyond it they stay
// as they are.
const maxCircles = 40_000

func widestCircles(values []string) []string {
	if len(values)*len(values) > maxCircles {
		return values
	}
	list := parsedCircles(values)
	return slices.DeleteFunc(slices.Clone(values), func(value string) bool {
		circle, _ := ParseCircle(value)
		return slices.ContainsFunc(list, func(wider Circle) bool { return wider != circle && wider.includes(circle) })
	})
}

func coveredByCircles(excluded []string, n int) func(string) bool {
	if n*len(excluded) > maxCircles {
		return func(string) bool { return false }
	}
	list := parsedCircles(excluded)
	return func(value string) bool {
		circle, _ := ParseCircle(value)
		return slices.ContainsFunc(list, func(wider Circle) bool { return wider.includes(circle) })
	}
}

func parsedCircles(values []string) []Circle {
	list := make([]Circle, len(values))
	for i, value := range values {
		list[i], _ = ParseCircle(value)
	}
	return list
}
