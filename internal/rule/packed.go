package rule

import (
	"iter"
	"slices"
)

// Packed is a [Rule] in little room, its values replaced by their numbers in a
// [Table]: for each conjunction the number of words that follow, then for each
// term a head (dimension, sign, number of values) and the values' numbers.
// Whoever holds a million rules holds them like this. Nil matches nothing.
type Packed []uint32

// The parts of a term's head: the dimension lowest, then the sign, then the count.
const (
	packedExclude    = 1 << 7
	packedCountShift = 8
)

// PackedTerm is a [Term] with numbers for values, in the order of the texts.
type PackedTerm struct {
	Dimension Dimension
	Exclude   bool
	Values    []uint32
}

// WellFormed tells whether the words say how long they are, and name numbers
// below values only. The other methods expect it.
func (p Packed) WellFormed(values int) bool {
	for len(p) > 0 {
		n := int(p[0])
		if n >= len(p) {
			return false
		}
		for c := p[1 : 1+n]; len(c) > 0; {
			count := int(c[0] >> packedCountShift)
			if count >= len(c) {
				return false
			}
			for _, number := range c[1 : 1+count] {
				if number >= uint32(values) {
					return false
				}
			}
			c = c[1+count:]
		}
		p = p[1+n:]
	}
	return true
}

// Conjunctions yields the conjunctions in order; the yielded slices share p.
func (p Packed) Conjunctions() iter.Seq[PackedConjunction] {
	return func(yield func(PackedConjunction) bool) {
		for len(p) > 0 {
			end := 1 + int(p[0])
			if !yield(PackedConjunction(p[1:end:end])) {
				return
			}
			p = p[end:]
		}
	}
}

// Len is the number of conjunctions.
func (p Packed) Len() int {
	n := 0
	for ; len(p) > 0; p = p[1+p[0]:] {
		n++
	}
	return n
}

// PackedConjunction is a [Conjunction] of a [Packed].
type PackedConjunction []uint32

// Terms yields the terms in order.
func (c PackedConjunction) Terms() iter.Seq[PackedTerm] {
	return func(yield func(PackedTerm) bool) {
		for len(c) > 0 {
			end := 1 + int(c[0]>>packedCountShift)
			t := PackedTerm{Dimension(c[0] &^ packedExclude & 0xff), c[0]&packedExclude != 0, c[1:end:end]}
			if !yield(t) {
				return
			}
			c = c[end:]
		}
	}
}

// Head is the word that begins a packed term of n values.
func Head(d Dimension, exclude bool, n int) uint32 {
	head := uint32(d) | uint32(n)<<packedCountShift
	if exclude {
		head |= packedExclude
	}
	return head
}

// Table numbers the texts of values, from 0 in the order in which they came. It
// belongs to whoever makes a snapshot, and is only read afterwards.
type Table struct {
	texts   []string
	numbers map[string]uint32 // made by the first Number
}

// NewTable takes texts without repeats as 0, 1, …
func NewTable(texts []string) *Table { return &Table{texts: texts} }

// Len is how many texts there are.
func (t *Table) Len() int {
	if t == nil {
		return 0
	}
	return len(t.texts)
}

// Text is the text of a number below Len.
func (t *Table) Text(number uint32) string { return t.texts[number] }

// Equal tells whether both number the same texts alike.
func (t *Table) Equal(other *Table) bool {
	if t == nil || other == nil {
		return t.Len() == other.Len()
	}
	return slices.Equal(t.texts, other.texts)
}

// Number returns the number of a text, adding it if it is new.
func (t *Table) Number(text string) uint32 {
	if t.numbers == nil {
		t.numbers = make(map[string]uint32, len(t.texts)+1)
		for i, known := range t.texts {
			t.numbers[known] = uint32(i)
		}
	}
	n, known := t.numbers[text]
	if !known {
		n = uint32(len(t.texts))
		t.texts, t.numbers[text] = append(t.texts, text), n
	}
	return n
}

// Pack packs a rule in normal form.
func (t *Table) Pack(r Rule) Packed {
	var p Packed
	for _, c := range r.Conjunctions {
		at := len(p)
		p = append(p, 0)
		for _, term := range c {
			p = append(p, Head(term.Dimension, term.Exclude, len(term.Values)))
			for _, value := range term.Values {
				p = append(p, t.Number(value))
			}
		}
		p[at] = uint32(len(p) - at - 1)
	}
	return p
}

// Unpack is the reverse of Pack.
func (t *Table) Unpack(p Packed) Rule {
	var r Rule
	for packed := range p.Conjunctions() {
		c := Conjunction{}
		for term := range packed.Terms() {
			c = append(c, t.Term(term))
		}
		r.Conjunctions = append(r.Conjunctions, c)
	}
	return r
}

// Term unpacks one term.
func (t *Table) Term(p PackedTerm) Term {
	term := Term{Dimension: p.Dimension, Exclude: p.Exclude, Values: make([]string, len(p.Values))}
	for i, n := range p.Values {
		term.Values[i] = t.texts[n]
	}
	return term
}
