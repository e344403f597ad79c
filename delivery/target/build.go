package target

import (
	"fmt"
	"math"
	"strconv"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/rule"
)

// builder is what one pass over all rules gathers.
type builder struct {
	rows, words int
	first, item []uint32
	dimensions  map[rule.Dimension]*gathered
	hours       []hourTerm
	further     []furtherTerm // keyword terms beyond a row's first
}

// gathered is one dimension: who asks for what.
type gathered struct {
	b      *builder
	asking plane // rows with an including term
	values map[string]*sides
}

// sides are the rows that include a value and those that exclude it, ascending.
type sides struct{ plus, minus []uint32 }

// furtherTerm is an including keyword term that a row has besides its first.
type furtherTerm struct {
	row    uint32
	values []string
}

func (b *builder) plane() plane { return make(plane, b.words) }

func (b *builder) dimension(d rule.Dimension) *gathered {
	g := b.dimensions[d]
	if g == nil {
		g = &gathered{b: b, asking: b.plane(), values: make(map[string]*sides)}
		b.dimensions[d] = g
	}
	return g
}

func gather(items []Item, table *rule.Table, zones int) (*builder, error) {
	b := &builder{first: make([]uint32, 0, len(items)+1), dimensions: make(map[rule.Dimension]*gathered)}
	for i := range items {
		b.rows += items[i].Rule.Len()
	}
	if b.rows > math.MaxInt32 {
		return nil, fmt.Errorf("targeting index: %d conjunctions are more than an index can hold", b.rows)
	}
	b.words = wordsFor(b.rows)
	b.item = make([]uint32, 0, b.rows)
	for i := range items {
		b.first = append(b.first, uint32(len(b.item)))
		for _, conjunction := range table.Unpack(items[i].Rule).Conjunctions {
			if err := b.row(conjunction, items[i].Zone, zones); err != nil {
				return nil, fmt.Errorf("targeting index: rule of item %d: %w", i, err)
			}
			b.item = append(b.item, uint32(i))
		}
	}
	b.first = append(b.first, uint32(len(b.item)))
	return b, nil
}

// row gathers one conjunction as the next row.
func (b *builder) row(conjunction rule.Conjunction, zone, zones int) error {
	row := uint32(len(b.item))
	main := mainKeyword(conjunction)
	for i, term := range conjunction {
		switch {
		case term.Dimension == rule.HourOfWeek:
			if zone < 0 || zone >= zones {
				return fmt.Errorf("there is no time zone %d", zone)
			}
			b.hour(row, zone, term)
		case term.Dimension == rule.Keyword && !term.Exclude && i != main:
			b.further = append(b.further, furtherTerm{row, term.Values})
		default:
			if err := b.term(row, term); err != nil {
				return err
			}
		}
	}
	return nil
}

// mainKeyword picks the including keyword term that the posting lists hold. The
// one with the fewest values leaves over the fewest rows to look at.
func mainKeyword(conjunction rule.Conjunction) int {
	main := -1
	for i, term := range conjunction {
		if term.Dimension == rule.Keyword && !term.Exclude &&
			(main < 0 || len(term.Values) < len(conjunction[main].Values)) {
			main = i
		}
	}
	return main
}

func (b *builder) term(row uint32, term rule.Term) error {
	if term.Dimension < rule.Placement || term.Dimension > rule.HourOfWeek {
		return fmt.Errorf("dimension %d is not indexed", term.Dimension)
	}
	g := b.dimension(term.Dimension)
	if !term.Exclude {
		if g.asking.has(row) {
			return fmt.Errorf("two including terms on dimension %d in one conjunction", term.Dimension)
		}
		g.asking.set(row)
	}
	for _, value := range term.Values {
		s := g.values[value]
		if s == nil {
			s = new(sides)
			g.values[value] = s
		}
		if term.Exclude {
			s.minus = appendRow(s.minus, row)
		} else {
			s.plus = appendRow(s.plus, row)
		}
	}
	return nil
}

func appendRow(rows []uint32, row uint32) []uint32 {
	if n := len(rows); n > 0 && rows[n-1] == row {
		return rows
	}
	return append(rows, row)
}

// none is the rows that ask nothing of the dimension, nil when that is all of them.
func (g *gathered) none() plane {
	p := g.b.plane()
	p.fill(g.b.rows)
	some := false
	for i, bits := range g.asking {
		p[i] &^= bits
		some = some || bits != 0
	}
	if !some {
		return nil
	}
	return p
}

// plane is the rows that a request with that value satisfies; "" is a request
// without one. Values that no rule names share one plane.
func (g *gathered) plane(value string) plane {
	s := g.values[value]
	p := g.none()
	if s == nil {
		return p
	}
	if p == nil {
		p = g.b.plane()
		p.fill(g.b.rows)
	}
	for _, row := range s.plus {
		p.set(row)
	}
	for _, row := range s.minus {
		p.clear(row)
	}
	return p
}

// country has a plane per country that a rule names, found through a table.
type country struct {
	planes []plane // planes[0]: of all others, and of no country
	table  [26 * 26]uint16
}

func newCountry(g *gathered) country {
	c := country{planes: []plane{g.plane("")}}
	for value := range g.values {
		if len(value) != 2 {
			continue // no request has it
		}
		if i := countryIndex([2]byte{value[0], value[1]}); i >= 0 {
			c.table[i] = uint16(len(c.planes))
			c.planes = append(c.planes, g.plane(value))
		}
	}
	return c
}

// countryIndex is -1 for what is no pair of capital letters.
func countryIndex(code [2]byte) int {
	first, second := code[0]-'A', code[1]-'A'
	if first >= 26 || second >= 26 {
		return -1
	}
	return int(first)*26 + int(second)
}

func (c *country) plane(code [2]byte) plane {
	if i := countryIndex(code); i >= 0 {
		return c.planes[c.table[i]]
	}
	return c.planes[0]
}

// systems counts the operating systems and, at 0, any other text.
const systems = 8

var osIndexes = map[string]int{
	"": 0, "windows": 1, "macos": 2, "linux": 3, "android": 4, "ios": 5, "chromeos": 6, "other": 7,
}

// osIndex is osIndexes as a switch, which costs a tenth of the map.
func osIndex(name string) int {
	switch name {
	case "windows":
		return 1
	case "macos":
		return 2
	case "linux":
		return 3
	case "android":
		return 4
	case "ios":
		return 5
	case "chromeos":
		return 6
	case "other":
		return 7
	}
	return 0
}

// lists is a dimension of many values.
type lists[K comparable] struct {
	used   bool  // some row asks something of it
	base   plane // rows that ask nothing of it; nil: none
	values map[K]*value
}

// value is what a dimension of many values knows about one of them.
type value struct {
	id          uint32 // dense, for residual terms
	plus, minus posting
}

// newLists takes a key for each of the dimension's values; values without one
// are of no form that a request could have, and match nothing.
func newLists[K comparable](g *gathered, key func(string) (K, bool)) lists[K] {
	l := lists[K]{used: len(g.values) > 0, base: g.none(), values: make(map[K]*value, len(g.values))}
	if l.base == nil {
		l.base = g.b.plane()
		l.base.fill(g.b.rows)
	}
	for text, s := range g.values {
		k, ok := key(text)
		if !ok {
			continue
		}
		l.values[k] = &value{
			id:    uint32(len(l.values)),
			plus:  newPosting(s.plus, g.b.words),
			minus: newPosting(s.minus, g.b.words),
		}
	}
	return l
}

func idLists(g *gathered) lists[ad.ID] {
	return newLists(g, func(text string) (ad.ID, bool) {
		id, err := strconv.ParseInt(text, 10, 64)
		return ad.ID(id), err == nil && id > 0
	})
}

func keywordLists(g *gathered) lists[string] {
	return newLists(g, func(text string) (string, bool) { return text, true })
}

func shapeLists(items []Item, b *builder) lists[uint16] {
	rows := make(map[uint16][]uint32)
	for i := range items {
		for _, shape := range items[i].Shapes {
			of := rows[shape]
			for row := b.first[i]; row < b.first[i+1]; row++ {
				of = appendRow(of, row)
			}
			rows[shape] = of // known even if the item has no row
		}
	}
	l := lists[uint16]{used: true, values: make(map[uint16]*value, len(rows))}
	for shape, rows := range rows {
		l.values[shape] = &value{plus: newPosting(rows, b.words)}
	}
	return l
}
