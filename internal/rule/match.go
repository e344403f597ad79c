package rule

import "slices"

// Match tells whether the request satisfies the expression. It expects a valid
// expression; of an invalid one it answers something.
func (e Expr) Match(r Request) bool {
	switch {
	case e.All != nil:
		return !slices.ContainsFunc(e.All, func(e Expr) bool { return !e.Match(r) })
	case e.Any != nil:
		return slices.ContainsFunc(e.Any, func(e Expr) bool { return e.Match(r) })
	case e.Not != nil:
		return !e.Not.Match(r)
	case e.Is != nil:
		return r.hasOneOf(e.Is.Dimension, e.Is.Values)
	}
	return true
}

// Match tells whether the request satisfies one of the conjunctions.
func (r Rule) Match(request Request) bool {
	return slices.ContainsFunc(r.Conjunctions, func(c Conjunction) bool { return c.Match(request) })
}

// Match tells whether the request satisfies all terms.
func (c Conjunction) Match(r Request) bool {
	return !slices.ContainsFunc(c, func(t Term) bool { return r.hasOneOf(t.Dimension, t.Values) == t.Exclude })
}

func (r Request) hasOneOf(d Dimension, values []string) bool {
	satisfied := slices.Contains[[]string, string]
	if d.Kind() != Exact {
		satisfied = func(values []string, has string) bool {
			return slices.ContainsFunc(values, func(value string) bool { return d.Satisfies(value, has) })
		}
	}
	return slices.ContainsFunc(r[d], func(has string) bool { return satisfied(values, has) })
}
