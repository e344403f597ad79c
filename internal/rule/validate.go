package rule

// Validate says whether e is what [Parse] accepts: one field set in each node
// (none in the root is the rule that matches everything), no empty list, values
// spelled as their dimension asks, all within the bounds. Its error is an [*Error].
func (e Expr) Validate() error {
	var b budget
	if e.set() == 0 {
		return nil
	}
	return e.validate(&b, &place{}, 1)
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
	if err := b.node(at, depth); err != nil {
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
		if err := b.values(at, len(e.Is.Values), len(e.Is.Values)); err != nil {
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
// work or recurse beyond the bounds.
type budget struct{ nodes, total int }

func (b *budget) node(at *place, depth int) error {
	if depth > MaxDepth {
		return at.fail(TooDeep, "is nested too deep; at most %d levels are accepted", MaxDepth)
	}
	if b.nodes++; b.nodes > MaxNodes {
		return at.fail(TooManyNodes, "the expression has more than %d nodes", MaxNodes)
	}
	return nil
}

func (b *budget) values(at *place, inPredicate, more int) error {
	if inPredicate > MaxValues {
		return at.fail(TooManyValues, "has more than %d values", MaxValues)
	}
	if b.total += more; b.total > MaxAllValues {
		return at.fail(TooManyValues, "the expression has more than %d values in all", MaxAllValues)
	}
	return nil
}
