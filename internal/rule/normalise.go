package rule

import (
	"fmt"
	"math"
	"slices"
)

// Normalise brings an expression into disjunctive normal form: NOT moves down to
// the predicates, AND is distributed over OR, terms of one dimension are merged,
// what contradicts itself or repeats is dropped. The result matches exactly the
// requests that e matches. It may have no conjunction: the expression is valid
// and matches nothing, which whoever asked should be told.
//
// It refuses what [Expr.Validate] refuses, and a rule beyond MaxConjunctions,
// MaxTerms or MaxRuleValues, with an [*Error]. The sizes are computed before
// anything of that size is built; they count what is dropped later, too.
func Normalise(e Expr) (Rule, error) {
	if err := e.Validate(); err != nil {
		return Rule{}, err
	}
	root := flatten(e, false)
	if err := root.size().within(); err != nil {
		return Rule{}, err
	}
	rule := Rule{}
	for _, raw := range root.distribute() {
		c, possible := merge(raw)
		if !possible {
			continue
		}
		if len(c) > MaxTerms {
			return Rule{}, &Error{Code: TooManyTerms, Message: fmt.Sprintf("asks for %s things at once; at most %d are accepted", grouped(len(c)), MaxTerms)}
		}
		rule.Conjunctions = append(rule.Conjunctions, c)
	}
	rule.Conjunctions = withoutRepeats(rule.Conjunctions)
	return rule, nil
}

// node is an expression without NOT: a group of terms and of inner groups of the
// other kind, which have at least two parts each.
type node struct {
	or    bool
	terms []Term
	inner []node
}

// flatten pushes NOT down and merges a group into its parent when both are of
// the same kind, so that only real alternations count towards the size.
func flatten(e Expr, negate bool) node {
	switch {
	case e.Not != nil:
		return flatten(*e.Not, !negate)
	case e.Is != nil:
		values := slices.Clone(e.Is.Values)
		slices.Sort(values)
		values = widest(e.Is.Dimension, slices.Compact(values))
		return node{or: negate, terms: []Term{{e.Is.Dimension, negate, values}}}
	}
	// NOT (a AND b) is NOT a OR NOT b, and the other way round.
	n, list := node{or: negate}, e.All
	if e.Any != nil {
		n.or, list = !negate, e.Any
	}
	for _, item := range list {
		n.add(flatten(item, negate))
	}
	if n.or {
		// "one of these" or "one of those" is one term; a list of countries made of
		// many predicates is no alternation.
		n.terms = unite(n.terms, false)
	} else {
		n.terms = unite(n.terms, true)
	}
	return n
}

func (n *node) add(child node) {
	if child.or == n.or || len(child.terms)+len(child.inner) == 1 {
		n.terms = append(n.terms, child.terms...)
		n.inner = append(n.inner, child.inner...)
		return
	}
	n.inner = append(n.inner, child)
}

// unite merges the terms of one dimension that have this sign into one with the
// union of their values.
func unite(terms []Term, exclude bool) []Term {
	var lists [len(dimensions)][]string
	var count [len(dimensions)]int
	for _, t := range terms {
		if t.Exclude == exclude {
			lists[t.Dimension] = append(lists[t.Dimension], t.Values...)
			count[t.Dimension]++
		}
	}
	rest := slices.DeleteFunc(slices.Clone(terms), func(t Term) bool { return t.Exclude == exclude })
	for d, values := range lists {
		if count[d] > 1 {
			slices.Sort(values)
			values = widest(Dimension(d), slices.Compact(values))
		}
		if count[d] > 0 {
			rest = append(rest, Term{Dimension(d), exclude, values})
		}
	}
	return rest
}

// size is how large a distributed node would be; both numbers stay at
// math.MaxInt once they reach it.
type size struct{ conjunctions, values int }

func (n node) size() size {
	if n.or {
		total := size{conjunctions: len(n.terms)}
		for _, t := range n.terms {
			total.values = plus(total.values, len(t.Values))
		}
		for _, inner := range n.inner {
			s := inner.size()
			total = size{plus(total.conjunctions, s.conjunctions), plus(total.values, s.values)}
		}
		return total
	}
	total := size{conjunctions: 1}
	for _, t := range n.terms {
		total.values = plus(total.values, len(t.Values))
	}
	for _, inner := range n.inner {
		s := inner.size()
		total = size{
			times(total.conjunctions, s.conjunctions),
			plus(times(total.values, s.conjunctions), times(s.values, total.conjunctions)),
		}
	}
	return total
}

func (s size) within() error {
	if s.conjunctions > MaxConjunctions {
		return &Error{Code: TooManyConjunctions, Message: fmt.Sprintf("has %s combinations of alternatives; at most %d are accepted", atMost(s.conjunctions), MaxConjunctions)}
	}
	if s.values > MaxRuleValues {
		return &Error{Code: TooManyValues, Message: fmt.Sprintf("has %s values once its alternatives are combined; at most %s are accepted", atMost(s.values), grouped(MaxRuleValues))}
	}
	return nil
}

// atMost writes a size, beyond a number that people can read as more than that.
func atMost(n int) string {
	const readable = 1_000_000_000_000
	if n > readable {
		return "more than " + grouped(readable)
	}
	return grouped(n)
}

func plus(a, b int) int {
	if a > math.MaxInt-b {
		return math.MaxInt
	}
	return a + b
}

func times(a, b int) int {
	if a != 0 && b > math.MaxInt/a {
		return math.MaxInt
	}
	return a * b
}

// distribute returns the conjunctions of n, unmerged. An AND has at most six
// inner groups here, as each at least doubles the size that was checked.
func (n node) distribute() [][]Term {
	if n.or {
		var all [][]Term
		for _, t := range n.terms {
			all = append(all, []Term{t})
		}
		for _, inner := range n.inner {
			all = append(all, inner.distribute()...)
		}
		return all
	}
	all := [][]Term{n.terms}
	for _, inner := range n.inner {
		alternatives := inner.distribute()
		product := make([][]Term, 0, len(all)*len(alternatives))
		for _, left := range all {
			for _, right := range alternatives {
				product = append(product, slices.Concat(left, right))
			}
		}
		all = product
	}
	return all
}
