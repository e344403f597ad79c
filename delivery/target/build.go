package target

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/hayate-ads/hayate/internal/rule"
)

// builder makes an index in a few passes over all rules. Values are numbers of
// the table throughout; nothing is looked up by text.
type builder struct {
	ix    *Index
	items []Item
	table *rule.Table
	zones []*time.Location

	order  []uint32 // items, in the order of rows
	code   int      // words that the program takes, at most
	asked  [dimensions]asked
	keyOf  []uint8 // of each row: its access key's dimension; 0: none
	broad  plane   // rows without an access key
	choice []rule.Dimension
}

// asked is what the first pass learns of a dimension.
type asked struct {
	number []uint32 // by the table's number: the value's own, and 1; 0: not among them
	rows   int      // with an including term, of that many dimensions
	values int      // in those terms
}

// count looks at one rule: is it well formed, and what does it ask for?
func (b *builder) count(item *Item) error {
	if item.Rule.Len() > math.MaxUint16 {
		return fmt.Errorf("%d conjunctions are more than an item can have", item.Rule.Len())
	}
	for conjunction := range item.Rule.Conjunctions() {
		b.code++
		including := uint64(0)
		for term := range conjunction.Terms() {
			d := term.Dimension
			if d < 1 || int(d) >= dimensions {
				return fmt.Errorf("dimension %d is not indexed", d)
			}
			if d == rule.HourOfWeek && (item.Zone < 0 || item.Zone >= len(b.zones)) {
				return fmt.Errorf("there is no time zone %d", item.Zone)
			}
			a := &b.asked[d]
			if a.number == nil {
				a.number = make([]uint32, b.table.Len())
			}
			for _, number := range term.Values {
				a.number[number] = 1
			}
			if !term.Exclude {
				if including&(1<<d) != 0 && !d.Many() {
					return fmt.Errorf("two including terms on dimension %d in one conjunction", d)
				}
				including |= 1 << d
				a.rows++
				a.values += len(term.Values)
			}
			if b.code++; d == rule.HourOfWeek {
				b.code++
			} else {
				b.code += len(term.Values)
			}
		}
	}
	return nil
}

// number gives the values of each dimension numbers of its own, from 0 on.
func (b *builder) number() {
	for d := range b.asked {
		a := &b.asked[d]
		if a.number == nil {
			continue
		}
		if d == int(rule.HourOfWeek) {
			b.ix.hours.zone = make([]uint16, len(b.items))
			for i := range b.items {
				b.ix.hours.zone[i] = uint16(b.items[i].Zone)
			}
			continue
		}
		n := 0
		for _, mark := range a.number {
			n += int(mark)
		}
		texts := make([]string, 0, n)
		for number, mark := range a.number {
			if mark != 0 {
				texts = append(texts, b.table.Text(uint32(number)))
				a.number[number] = uint32(len(texts))
			}
		}
		of := rule.Dimension(d)
		b.ix.dimensions[d] = &dimension{of: of, many: of.Many(), kind: of.Kind(), values: newDictionary(texts)}
		b.ix.dimensions[d].parse()
		b.ix.dimensions[d].digest()
	}
}

// What planes may cost: in one dimension, since most of them would be almost
// empty, and in all, since each is a bit per row.
const (
	maxValues = 256
	maxPlanes = 320 // 40 bytes a row
)

// chooseDense picks the dimensions that get planes: most rows for a plane first.
func (b *builder) chooseDense() {
	ix := b.ix
	var fit []*dimension
	for _, d := range ix.dimensions {
		if d != nil && !d.many && d.kind == rule.Exact && len(d.values.texts) <= maxValues {
			fit = append(fit, d)
		}
	}
	worth := func(d *dimension) float64 { return float64(b.asked[d.of].rows) / float64(len(d.values.texts)+1) }
	slices.SortStableFunc(fit, func(x, y *dimension) int { return cmp.Compare(worth(y), worth(x)) })
	planes := 0
	for _, d := range fit {
		if n := len(d.values.texts) + 1; planes+n <= maxPlanes {
			planes += n
			d.planes = make([]plane, n)
			for i := range d.planes {
				d.planes[i] = make(plane, ix.words)
			}
			ix.dense = append(ix.dense, d)
		}
	}
	byRows := slices.Clone(ix.dense)
	slices.SortStableFunc(byRows, func(x, y *dimension) int { return cmp.Compare(b.asked[y.of].rows, b.asked[x.of].rows) })
	for i := range min(len(byRows), len(ix.signed)) {
		ix.signed[i] = byRows[i].of
	}
}

// fill numbers the rows' terms into the program and the planes.
func (b *builder) fill() {
	ix := b.ix
	ix.item = make([]uint32, ix.words*64)
	for row := range ix.item {
		ix.item[row] = uint32(len(b.items))
	}
	ix.plain, b.broad = make(plane, ix.words), make(plane, ix.words)
	ix.program = program{at: make([]uint32, 1, ix.words*64+1), code: make([]uint32, 0, b.code)}
	b.keyOf = make([]uint8, ix.words*64)
	var asking [dimensions]plane // rows with an including term
	for _, d := range ix.dense {
		asking[d.of] = make(plane, ix.words)
	}
	var later []barred
	w := writer{b: b}
	for _, item := range b.order {
		row := ix.first[item]
		for conjunction := range b.items[item].Rule.Conjunctions() {
			ix.program.pad(row)
			ix.item[row] = item
			w.write(row, conjunction)
			row++
			ix.program.pad(row)
			later = ix.setPlanes(row-1, &asking, later)
		}
	}
	ix.program.pad(uint32(ix.words * 64))
	for _, d := range ix.dense {
		for _, p := range d.planes {
			for word, bits := range asking[d.of] {
				p[word] |= ^bits
			}
		}
	}
	for _, l := range later {
		l.plane.clear(l.row)
	}
	for i := range ix.partitions {
		for row := ix.partitions[i].from * 64; row < ix.partitions[i].to*64; row++ {
			if ix.item[row] < uint32(len(b.items)) && b.broad.has(uint32(row)) {
				ix.partitions[i].broad++
				ix.sown |= 1 << i
			}
		}
	}
}

// barred is a bit to clear once the planes are filled up with the rows that ask
// for nothing.
type barred struct {
	plane plane
	row   uint32
}

// setPlanes sets a row's bits in the planes, from the program.
func (ix *Index) setPlanes(row uint32, asking *[dimensions]plane, later []barred) []barred {
	for t := range ix.program.dense(row).terms() {
		if t.dimension() == rule.HourOfWeek {
			continue
		}
		d := ix.dimensions[t.dimension()]
		if !t.exclude() {
			asking[d.of].set(row)
		}
		for _, number := range t.values {
			if p := d.plane(number); t.exclude() {
				later = append(later, barred{p, row})
			} else {
				p.set(row)
			}
		}
	}
	return later
}
