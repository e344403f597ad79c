// Package target is the targeting index: given what a request brings, it finds
// the line items whose rules match, best rank first. It knows rules, not money.
//
// A rule's conjunctions become rows. Rows whose items can show the same shapes
// stand together in a [partition], in the rank order of their items, so that a
// placement's walk passes over none that it could not show, meets the best first
// and may stop there. A [Mask] says which rows count (live or eligible).
//
// Dimensions of few values have one bitmap per value, and rows are taken 512 at a
// time: what all of a request's bitmaps hold is looked at further. All other
// dimensions are checked row by row, against a program of a few words a row, and
// their values are not looked up in a request before a row asks for one. Where
// few rows match, a walk would look at many for nothing: then rows are reached by
// one value that they insist on. See [Scan] for how the plan is chosen.
//
// An [Index] never changes and may be used by any number of goroutines; each
// brings its own [Scan].
package target

import (
	"fmt"
	"time"

	"github.com/hayate-ads/hayate/internal/rule"
)

// Item is one line item to index.
type Item struct {
	Rule   rule.Packed
	Zone   int      // of its advertiser: the place in the zones given to [New]
	Shapes []uint16 // what it can show, numbers chosen by the caller: see [Slot]
}

// Index finds the items whose rules match a query.
type Index struct {
	rows, words int
	first       []uint32 // of each item, and one more: its first row
	count       []uint16 // of each item: its rows
	item        []uint32 // of each row; the number of items for what is no row
	partitions  []partition
	partition   []uint8          // of each block
	shapes      map[uint16]plane // over partition 0: the rows of each shape

	dimensions [dimensions]*dimension // nil: no rule asks for it
	dense      []*dimension           // those with planes
	keyed      []*dimension           // those with postings
	signed     [4]rule.Dimension      // whose values a signature is made of; 0: none
	plain      plane                  // rows that ask for nothing but what planes tell
	sown       uint32                 // partitions that have broad rows, a bit each
	posted     []*posted              // in partitions with broad rows: dimensions that lists answer
	complex    plane                  // rows there with a term that neither planes nor lists answer
	program    program
	hours      hours
}

// Rows is above the number of every row. There are a few more numbers than rows.
func (ix *Index) Rows() int { return ix.rows }

// Words is the length of a [Mask] over the rows.
func (ix *Index) Words() int { return ix.words }

// Item is the item that a row belongs to.
func (ix *Index) Item(row int) int { return int(ix.item[row]) }

// RowsOf is the range of rows [from, to) of an item, one a conjunction. When the
// item's rule matches nothing it is empty, and stands where the next item does.
func (ix *Index) RowsOf(item int) (from, to int) {
	from = int(ix.first[item])
	return from, from + int(ix.count[item])
}

// All is a mask of all rows.
func (ix *Index) All() Mask {
	mask := make(Mask, ix.words)
	for item := range ix.count {
		from, to := ix.RowsOf(item)
		mask.Set(from, to, true)
	}
	return mask
}

// Rule is the rule of an item, put together again from what the index keeps of
// it. Values that no request can have, such as hours beyond the week, are left out.
func (ix *Index) Rule(item int) rule.Rule {
	var r rule.Rule
	from, to := ix.RowsOf(item)
	for row := from; row < to; row++ {
		r.Conjunctions = append(r.Conjunctions, ix.conjunction(uint32(row)))
	}
	return r
}

// New indexes items, which come in rank order and whose rules' values stand in
// table. It fails, naming the item by its place, on a rule that is not in the
// normal form of rule.Rule or names a dimension that is not indexed. A value
// that is not in its dimension's spelling matches nothing.
func New(items []Item, table *rule.Table, zones []*time.Location) (*Index, error) {
	b := &builder{items: items, table: table, zones: zones}
	for i := range items {
		if err := b.count(&items[i]); err != nil {
			return nil, fmt.Errorf("targeting index: rule of item %d: %w", i, err)
		}
	}
	ix := &Index{hours: hours{zones: zones}}
	b.ix = ix
	if err := b.layOut(); err != nil {
		return nil, err
	}
	b.number()
	b.chooseDense()
	b.chooseKeys()
	b.fill()
	b.post()
	b.postTerms()
	ix.hours.words = ix.words
	ix.hours.unknown = ix.hours.openAt(nil)
	return ix, nil
}
