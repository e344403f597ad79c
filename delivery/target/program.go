package target

import (
	"cmp"
	"iter"
	"slices"

	"github.com/hayate-ads/hayate/internal/rule"
)

// program holds what each row asks for: for every row the number of words that
// its dense terms take, those terms, and its other terms in the order of their
// effort. A term is a head as in [rule.Packed] and the numbers of its values,
// ascending; an hour-of-week term has one number, its place in [hours.terms].
// Rows that ask for nothing take no words.
type program struct {
	at   []uint32 // of each row, and one more: where its words begin
	code []uint32
}

// terms are the words of some terms of a row.
type terms []uint32

// term is a head and its values.
type term struct {
	head   uint32
	values []uint32
}

// The parts of a head, as [rule.Head] puts them together.
const (
	headDimension  = 1<<7 - 1
	headExclude    = 1 << 7
	headCountShift = 8
)

func (t term) dimension() rule.Dimension { return rule.Dimension(t.head & headDimension) }
func (t term) exclude() bool             { return t.head&headExclude != 0 }

func (t terms) terms() iter.Seq[term] {
	return func(yield func(term) bool) {
		for len(t) > 0 {
			end := 1 + t[0]>>headCountShift
			if !yield(term{t[0], t[1:end]}) {
				return
			}
			t = t[end:]
		}
	}
}

// all are a row's terms.
func (p *program) all(row uint32) terms {
	if code := p.code[p.at[row]:p.at[row+1]]; len(code) > 0 {
		return terms(code[1:])
	}
	return nil
}

// dense are the terms of a row that planes answer.
func (p *program) dense(row uint32) terms {
	if code := p.code[p.at[row]:p.at[row+1]]; len(code) > 0 {
		return terms(code[1 : 1+code[0]])
	}
	return nil
}

// sparse are the others.
func (p *program) sparse(row uint32) terms {
	if code := p.code[p.at[row]:p.at[row+1]]; len(code) > 0 {
		return terms(code[1+code[0]:])
	}
	return nil
}

// pad ends the rows that are written, and those below row that there are not.
func (p *program) pad(row uint32) {
	for uint32(len(p.at)) <= row {
		p.at = append(p.at, uint32(len(p.code)))
	}
}

// writer writes rows, one after the other.
type writer struct {
	b     *builder
	terms []rule.PackedTerm
	hour  []uint8 // by the table's number: the hour, and 1; 0 for what is none
}

func (w *writer) write(row uint32, conjunction rule.PackedConjunction) {
	ix := w.b.ix
	p := &ix.program
	w.terms = w.terms[:0]
	for t := range conjunction.Terms() {
		w.terms = append(w.terms, t)
	}
	if len(w.terms) == 0 {
		ix.plain.set(row)
		w.b.broad.set(row)
		return
	}
	at := len(p.code)
	p.code = append(p.code, 0)
	rest := w.terms[:0]
	for _, t := range w.terms {
		if w.isDense(t.Dimension) {
			w.term(row, t)
		} else {
			rest = append(rest, t)
		}
	}
	p.code[at] = uint32(len(p.code) - at - 1)
	if len(rest) == 0 {
		ix.plain.set(row)
	}
	slices.SortStableFunc(rest, func(x, y rule.PackedTerm) int {
		return cmp.Or(cmp.Compare(effort(x.Dimension), effort(y.Dimension)), compareBool(x.Exclude, y.Exclude))
	})
	for _, t := range rest {
		w.term(row, t)
	}
	w.b.chooseKey(row, rest)
}

func compareBool(x, y bool) int {
	switch {
	case x == y:
		return 0
	case y:
		return -1
	}
	return 1
}

func (w *writer) isDense(d rule.Dimension) bool {
	return d == rule.HourOfWeek || w.b.ix.dimensions[d].planes != nil
}

func (w *writer) term(row uint32, t rule.PackedTerm) {
	ix := w.b.ix
	p := &ix.program
	if t.Dimension == rule.HourOfWeek {
		p.code = append(p.code, rule.Head(t.Dimension, t.Exclude, 1), uint32(len(ix.hours.terms)))
		w.addHours(row, t)
		return
	}
	p.code = append(p.code, rule.Head(t.Dimension, t.Exclude, len(t.Values)))
	from := len(p.code)
	number := w.b.asked[t.Dimension].number
	for _, value := range t.Values {
		p.code = append(p.code, number[value]-1)
	}
	if values := p.code[from:]; !slices.IsSorted(values) {
		slices.Sort(values)
	}
}

// conjunction puts a row's terms together again, in normal form.
func (ix *Index) conjunction(row uint32) rule.Conjunction {
	c := rule.Conjunction{}
	for t := range ix.program.all(row).terms() {
		c = append(c, rule.Term{Dimension: t.dimension(), Exclude: t.exclude(), Values: ix.texts(t)})
	}
	slices.SortFunc(c, func(x, y rule.Term) int {
		return cmp.Or(cmp.Compare(x.Dimension, y.Dimension), compareBool(x.Exclude, y.Exclude), slices.Compare(x.Values, y.Values))
	})
	return c
}

// texts are the values of a term, sorted.
func (ix *Index) texts(t term) []string {
	var all []string
	if t.dimension() == rule.HourOfWeek {
		all = ix.hours.terms[t.values[0]].texts()
	} else {
		all = make([]string, 0, len(t.values))
		for _, number := range t.values {
			all = append(all, ix.dimensions[t.dimension()].values.texts[number])
		}
	}
	slices.Sort(all)
	return all
}
