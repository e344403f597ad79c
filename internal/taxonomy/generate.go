//go:build ignore

// Generate writes iab1.tsv, iab2.tsv and iab3.tsv from the tables that the IAB
// Tech Lab publishes in its repository InteractiveAdvertisingBureau/Taxonomies,
// a checkout of which is its one argument:
//
//	go run generate.go path/to/Taxonomies
//
// A line is a category: id, id of what it is part of, name, and its counterparts
// in the other taxonomies. A counterpart is as wide as the category, or wider: a
// page about wine is about food and drink in each of them, but a page about food
// and drink is not about wine. Where the tables would say so, the counterpart is
// a wider one or none.
package main

import (
	"bufio"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// category is "iab1/IAB17" and so on.
type category = string

type generator struct {
	order        []category
	parent, name map[category]string
	counterparts map[category][]category
}

// misspelled names of the tables.
var misspelled = map[category]string{
	"iab1/IAB2-15": "Motorcycles",
	"iab1/IAB5-1":  "7-12 Education", // a spreadsheet took it for a date
	"iab1/IAB5-4":  "College Administration",
	"iab1/IAB7-38": "Senior Health",
}

// sensitive are counterparts of 1.0 that the implementation guide names for 2.2,
// where the guide's list is not shifted by a line (Warez to Spyware/Malware).
var sensitive = [][2]category{
	{"iab1/IAB25-2", "iab2/I4GWl6"}, {"iab1/IAB25-3", "iab2/Rm3SiT"}, {"iab1/IAB25-4", "iab2/j9PaO9"},
	{"iab1/IAB25-5", "iab2/HxqYV1"}, {"iab1/IAB26", "iab2/XtODT3"}, {"iab1/IAB26-2", "iab2/mm3UXx"},
	{"iab1/IAB26-3", "iab2/6i4dB6"}, {"iab1/IAB26-4", "iab2/mm3UXx"},
}

// inexact are rows of the table that it marks as without equivalent: what they
// are part of has one.
var inexact = []string{"IAB18-4", "IAB18-6", "IAB9-24"}

// narrower are categories of 1.0 that are the only ones with their counterpart
// and cover a part of it only: the way back leads to what they are part of. From
// the counterpart of an unrelated one, no way leads back.
var (
	narrower  = []string{"IAB1-2", "IAB3-4", "IAB7-3", "IAB7-7", "IAB7-16", "IAB8-6", "IAB9-16", "IAB9-17", "IAB20-20"}
	unrelated = []string{"IAB4-10", "IAB11-3", "IAB25-2", "IAB26-3"}
)

// dropped are categories of 2.x that 3.x has not kept, and what they are part of there.
var dropped = [][2]string{
	{"327", "652"}, {"328", "643"}, {"329", "641"}, {"330", "646"}, {"333", "647"}, {"334", "645"}, {"45", "645"},
	{"152", "8VZQHL"}, {"174", "8VZQHL"}, {"175", "8VZQHL"}, {"176", "8VZQHL"}, {"183", "8VZQHL"}, {"184", "8VZQHL"},
}

const (
	genres    = "iab3/SPSHQ5" // 2.x had them as parts of films, television and books
	venues    = "150"         // with events in 2.x, without in 3.x
	mapping   = "Taxonomy Mappings/Content 1.0 to Content 2.0.tsv"
	content   = "Content Taxonomies/Content Taxonomy "
	firstLine = "# id, part of, English name, counterparts; written by generate.go"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 {
		log.Fatal("usage: go run generate.go path/to/Taxonomies")
	}
	g := generator{parent: map[string]string{}, name: map[string]string{}, counterparts: map[string][]string{}}
	for _, row := range rows(content + "1.0.tsv") {
		parent, _, below := strings.Cut(row[0], "-")
		if !below {
			parent = ""
		}
		g.add("iab1/", row[0], parent, row[2])
	}
	for _, row := range rows(content + "2.2.tsv") {
		g.add("iab2/", row[0], row[1], row[2])
	}
	for _, file := range []string{"3.1.tsv", "3.0 Descriptive Vectors.tsv"} {
		for _, row := range rows(content + file) {
			g.add("iab3/", row[0], row[1], row[2])
		}
	}
	g.betweenSecondAndThird()
	g.betweenFirstAndSecond()
	for _, prefix := range []string{"iab1/", "iab2/", "iab3/"} {
		g.write(prefix)
	}
}

// rows of a table that have an id, without titles.
func rows(file string) (list [][]string) {
	text, err := os.ReadFile(filepath.Join(os.Args[1], file))
	if err != nil {
		log.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		row := strings.Split(strings.TrimRight(line, "\r\n"), "\t")
		for i := range row {
			row[i] = strings.Join(strings.Fields(row[i]), " ")
		}
		if row[0] == "" || strings.Contains(row[0], "ID") || strings.Contains(row[0], "Code") || len(row) < 3 {
			continue
		}
		list = append(list, row)
	}
	return list
}

func (g *generator) add(prefix, id, parent, name string) {
	c := prefix + id
	if right := misspelled[c]; right != "" {
		name = right
	}
	if parent != "" {
		parent = prefix + parent
	}
	g.order, g.parent[c], g.name[c] = append(g.order, c), parent, name
}

// betweenSecondAndThird pairs what has kept its id.
func (g *generator) betweenSecondAndThird() {
	for _, c := range g.order {
		id, second := strings.CutPrefix(c, "iab2/")
		third := "iab3/" + id
		if g.name[third] == "" || !second {
			continue
		}
		if g.parent[third] != genres || g.name[third] == g.name[c] {
			g.pair(third, c)
		}
		if id != venues {
			g.pair(c, third)
		}
	}
	for _, d := range dropped {
		g.pair("iab2/"+d[0], "iab3/"+d[1])
	}
}

// betweenFirstAndSecond pairs as the published table does, and back.
func (g *generator) betweenFirstAndSecond() {
	pairs := sensitive
	for _, row := range rows(mapping) {
		id := "IAB" + strings.TrimLeft(row[0], "IAB") // one row lacks its first letter
		if second := "iab2/" + row[3]; g.name[second] != "" && !slices.Contains(inexact, id) {
			pairs = append(pairs, [2]category{"iab1/" + id, second})
		}
	}
	back := map[category][]category{}
	for _, p := range pairs {
		g.pair(p[0], p[1])
		back[p[1]] = append(back[p[1]], p[0])
	}
	for _, c := range g.order {
		if wide := g.common(c, back[c]); wide != "" {
			g.pair(c, wide)
		}
	}
}

func (g *generator) pair(from, to category) {
	g.counterparts[from] = append(g.counterparts[from], to)
}

// common is what all of the categories of 1.0 that have c as their counterpart
// are or are part of; of the same name as c, if there is one.
func (g *generator) common(c category, counterparts []category) category {
	for _, one := range counterparts {
		if plain(g.name[one]) == plain(g.name[c]) {
			return one
		}
	}
	if len(counterparts) == 0 {
		return ""
	}
	lines := g.line(counterparts[0])
	for _, one := range counterparts[1:] {
		lines = slices.DeleteFunc(lines, func(above category) bool { return !slices.Contains(g.line(one), above) })
	}
	if len(lines) == 0 {
		return ""
	}
	switch id := strings.TrimPrefix(lines[0], "iab1/"); {
	case slices.Contains(unrelated, id):
		return ""
	case slices.Contains(narrower, id):
		return g.parent[lines[0]]
	}
	return lines[0]
}

func plain(name string) string {
	return strings.ToLower(strings.NewReplacer("&", "and", "/", " and ", "'", "").Replace(name))
}

// line is a category and all that it is part of, the nearest first.
func (g *generator) line(c category) (line []category) {
	for ; c != ""; c = g.parent[c] {
		line = append(line, c)
	}
	return line
}

func (g *generator) write(prefix string) {
	file, err := os.Create(strings.TrimSuffix(prefix, "/") + ".tsv")
	if err != nil {
		log.Fatal(err)
	}
	w := bufio.NewWriter(file)
	fmt.Fprintln(w, firstLine)
	for _, c := range g.order {
		if id, ours := strings.CutPrefix(c, prefix); ours {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", id, strings.TrimPrefix(g.parent[c], prefix), g.name[c], strings.Join(g.counterparts[c], " "))
		}
	}
	if err := w.Flush(); err != nil {
		log.Fatal(err)
	}
	if err := file.Close(); err != nil {
		log.Fatal(err)
	}
}
