// Package taxonomy knows the IAB Tech Lab's content taxonomies: what a page, an
// app or a film is about.
//
// A category is written with the family that its id belongs to: "iab1/IAB17-1"
// (1.0), "iab2/518" (2.0, 2.1 and 2.2, which share their ids and their tree) or
// "iab3/518" (3.0 and 3.1, with the descriptive vectors). Where 3.0 and 3.1
// differ, 3.1 holds. A category has one parent at most, and counterparts in the
// other families that are as wide as it, or wider.
//
// The tables iab1.tsv, iab2.tsv and iab3.tsv are made by generate.go from those
// that the IAB Tech Lab publishes (InteractiveAdvertisingBureau/Taxonomies, with
// its mapping of 1.0 to 2.0); 2.x and 3.x share the ids of what they share.
package taxonomy

import (
	_ "embed"
	"iter"
	"slices"
	"strings"
	"sync"
)

//go:embed iab1.tsv
var iab1 string

//go:embed iab2.tsv
var iab2 string

//go:embed iab3.tsv
var iab3 string

// families are the prefixes of all categories, in order.
var families = [...]string{"iab1/", "iab2/", "iab3/"}

// entry is one category. Lists hold places in table.entries.
type entry struct {
	value, name  string
	text         []byte // value again, for those who compare bytes
	family       int
	parent       int32 // -1: none
	counterparts []int32
	implied      []int32 // itself, what it is part of, then the same of its counterparts
}

type table struct {
	entries []entry // of one family after the other, in the order of the tables
	numbers map[string]int32
}

// load reads the tables when they are first asked for: it takes some
// milliseconds, which programs without categories need not spend.
var load = sync.OnceValue(func() *table {
	t := &table{numbers: make(map[string]int32, 2500)}
	var lines [][]string
	for family, text := range [len(families)]string{iab1, iab2, iab3} {
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, "#") {
				continue
			}
			cells := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
			value := families[family] + cells[0]
			t.numbers[value] = int32(len(t.entries))
			t.entries = append(t.entries, entry{value: value, name: cells[2], text: []byte(value), family: family})
			lines = append(lines, cells)
		}
	}
	for i, cells := range lines {
		t.entries[i].resolve(t, cells)
	}
	for i := range t.entries {
		t.entries[i].implied = t.impliedBy(int32(i))
	}
	return t
})

func (e *entry) resolve(t *table, cells []string) {
	e.parent = -1
	if cells[1] != "" {
		e.parent = t.numbers[families[e.family]+cells[1]]
	}
	for _, value := range strings.Fields(cells[3]) {
		e.counterparts = append(e.counterparts, t.numbers[value])
	}
}

// impliedBy follows counterparts away from a category's family only, and through
// 2.x where the family is 1.0 or 3.x: inside a family its own tree alone says
// what is part of what, however the others see it.
func (t *table) impliedBy(number int32) []int32 {
	family := t.entries[number].family
	own := t.withParents(nil, number)
	all := slices.Clone(own)
	second := own
	if family != 1 {
		second = t.across(own, 1)
		all = append(all, second...)
	}
	for _, other := range []int{0, 2} {
		if other != family {
			all = append(all, t.across(second, other)...)
		}
	}
	return all
}

// across lists the counterparts of a list's categories in another family, and
// what they are part of.
func (t *table) across(list []int32, family int) (found []int32) {
	for _, number := range list {
		for _, counterpart := range t.entries[number].counterparts {
			if t.entries[counterpart].family == family {
				found = t.withParents(found, counterpart)
			}
		}
	}
	return found
}

func (t *table) withParents(list []int32, number int32) []int32 {
	for ; number >= 0 && !slices.Contains(list, number); number = t.entries[number].parent {
		list = append(list, number)
	}
	return list
}

func find(value string) *entry {
	t := load()
	if number, known := t.numbers[value]; known {
		return &t.entries[number]
	}
	return nil
}

// Known tells whether there is such a category.
func Known(value string) bool { return find(value) != nil }

// Name is what the IAB calls a category in English, "" if it is not known.
func Name(value string) string {
	if e := find(value); e != nil {
		return e.name
	}
	return ""
}

// All yields all categories and their names: those of 1.0 first, each behind what
// it is part of but for some of the descriptive vectors.
func All() iter.Seq2[string, string] {
	return func(yield func(value, name string) bool) {
		for i := range load().entries {
			if e := &load().entries[i]; !yield(e.value, e.name) {
				return
			}
		}
	}
}

// Ancestors are what a category is part of in its own family, the nearest first.
func Ancestors(value string) (list []string) {
	if e := find(value); e != nil {
		for _, number := range load().withParents(nil, e.parent) {
			list = append(list, load().entries[number].value)
		}
	}
	return list
}

// Mapped are a category's counterparts in the other families, without what these
// are part of. It may have none.
func Mapped(value string) (list []string) {
	e := find(value)
	if e == nil {
		return nil
	}
	for _, number := range e.implied {
		other := &load().entries[number]
		above := slices.ContainsFunc(e.implied, func(n int32) bool { return load().entries[n].parent == number })
		if other.family != e.family && !above {
			list = append(list, other.value)
		}
	}
	return list
}

// AppendImplied appends to dst all that a page of that category is about: the
// category, what it is part of, and the same of its counterparts in the other
// families. The texts are static; nothing is allocated but the room that dst
// lacks. An unknown category implies itself.
func AppendImplied(dst [][]byte, value []byte) [][]byte {
	t := load()
	number, known := t.numbers[string(value)]
	if !known {
		return append(dst, value)
	}
	for _, implied := range t.entries[number].implied {
		dst = append(dst, t.entries[implied].text)
	}
	return dst
}

// Prefix is what the ids of an OpenRTB category taxonomy begin with here, by its
// number in AdCOM 1.0's list "Category Taxonomies", as cattax has it: 1 is
// Content 1.0, 2 is 2.0, 5 is 2.1, 6 is 2.2, 7 is 3.0 and 9 is 3.1. It is "" for
// the others, which are of products and audiences.
func Prefix(cattax int) string {
	switch cattax {
	case 1:
		return families[0]
	case 2, 5, 6:
		return families[1]
	case 7, 9:
		return families[2]
	}
	return ""
}
