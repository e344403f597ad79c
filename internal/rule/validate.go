package rule

import "errors"

// Validate says whether e is what [Parse] accepts: one field set in each node
// (none in the root is the rule that matches everything), no empty list, values
// spelled as their dimension asks, all within the bounds. Its error is an [*Error].
func (e Expr) Validate() error {
	var b budget
	if e.set() == 0 {
		return nil
	}
	err := e.validate(&b, &place{}, 1)
	if tooLarge, ok := errors.AsType[*Error](err); ok && b.exceeded {
		censusOf(&e).refuse(tooLarge)
	}
	return err
}

// set counts the fields that are set. A list without items is set: it must not
// pass for the rule that matches everything.
func (e Expr) set() int {
	n := 0
	for _, set := range [...]bool{e.All != nil, e.Any != nil, e.Not != nil, e.Is != nil} {
		if set {
			n++
		}
	}
	return n
}

func (e Expr) validate(b *budget, at *place, depth int) error {
	if err := b.node(depth); err != nil {
		return err
	}
	switch n := e.set(); {
	case n == 0:
		return at.fail(Empty, "has none of all, any, not and is")
	case n > 1:
		return at.fail(Several, "has more than one of all, any, not and is")
	case e.Not != nil:
		return e.Not.validate(b, &place{above: at, name: "not", index: -1}, depth+1)
	case e.Is != nil:
		at := &place{above: at, name: "is", index: -1}
		if n := len(e.Is.Values); n > MaxValues {
			return at.tooManyValues(n)
		}
		if err := b.values(len(e.Is.Values)); err != nil {
			return err
		}
		return e.Is.validate(at)
	}
	name, list := "all", e.All
	if e.Any != nil {
		name, list = "any", e.Any
	}
	if len(list) == 0 {
		return (&place{above: at, name: name, index: -1}).fail(Empty, "is an empty list")
	}
	for i, item := range list {
		if err := item.validate(b, &place{above: at, name: name, index: i}, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (p *Predicate) validate(at *place) error {
	if !p.Dimension.known() {
		return at.fail(Empty, "names no dimension")
	}
	if len(p.Values) == 0 {
		return at.fail(Empty, "has no values")
	}
	for i, value := range p.Values {
		if err := p.Dimension.Check(value); err != nil {
			at := &place{above: at, name: "values", index: i}
			return at.fail(BadValue, "%v", err)
		}
	}
	return nil
}

// budget counts what an expression has used of its bounds. Reading and
// validating count alike, and before they go on, so that no input makes them
// work or recurse beyond the bounds. What it refuses, a census measures.
type budget struct {
	nodes, total int
	exceeded     bool
}

func (b *budget) exceed(code string) error {
	b.exceeded = true
	return &Error{Code: code, Message: "is too large"}
}

func (b *budget) node(depth int) error {
	if depth > MaxDepth {
		return b.exceed(TooDeep)
	}
	if b.nodes++; b.nodes > MaxNodes {
		return b.exceed(TooManyNodes)
	}
	return nil
}

func (b *budget) values(more int) error {
	if b.total += more; b.total > MaxAllValues {
		return b.exceed(TooManyValues)
	}
	return nil
}

// tooManyValues is the error of one predicate with n values.
func (p *place) tooManyValues(n int) error {
	return p.fail(TooManyValues, "has %s values; at most %s are accepted", grouped(n), grouped(MaxValues))
}
