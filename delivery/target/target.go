// Package target is the targeting index: given what a request brings, it finds
// the line items whose rules match, best rank first. It knows rules, not money.
//
// A rule's conjunctions become rows, in the rank order of their line items, so
// that a walk in row order meets the best line item first and may stop there.
// Rows are scanned 512 at a time, one bit each: a [Mask] says which rows count
// (live or eligible), and every dimension takes away the rows it forbids.
// Dimensions of few values have one bitmap per value; those of many values have
// posting lists laid over a bitmap of the rows that ask nothing of them.
//
// An [Index] never changes and may be used by any number of goroutines; each
// brings its own [Scan].
package target

import (
	"sync/atomic"
	"time"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/rule"
)

// Item is one line item to index.
type Item struct {
	Rule   rule.Packed
	Zone   int      // of its advertiser: the place in the zones given to [New]
	Shapes []uint16 // what it can show, numbers chosen by the caller: see [Slot]
}

// Mask holds one bit per row, changed while others scan. Its length is
// [Index.Words]; bits beyond the last row stay 0.
type Mask []atomic.Uint64

// Set sets or clears the bits of the rows [from, to).
func (m Mask) Set(from, to int, value bool) {
	for row := from; row < to; row++ {
		if bit := uint64(1) << (row & 63); value {
			m[row>>6].Or(bit)
		} else {
			m[row>>6].And(^bit)
		}
	}
}

// Index finds the items whose rules match a query.
type Index struct {
	rows, words int
	first       []uint32 // of each item, and one more: its first row
	item        []uint32 // of each row
	full        plane    // all rows

	country  country
	device   [int(event.TV) + 1]plane
	noDevice plane          // when nothing is known of the device
	os       [systems]plane // os[0]: when nothing is known of it

	placement, property lists[ad.ID]
	keyword             lists[string]
	shape               lists[uint16]
	rest                rest
	hours               hours
}

// Rows is the number of rows: the conjunctions of all items.
func (ix *Index) Rows() int { return ix.rows }

// Words is the length of a [Mask] over the rows.
func (ix *Index) Words() int { return ix.words }

// Item is the item that a row belongs to.
func (ix *Index) Item(row int) int { return int(ix.item[row]) }

// RowsOf is the range of rows [from, to) of an item; it is empty when the
// item's rule matches nothing.
func (ix *Index) RowsOf(item int) (from, to int) {
	return int(ix.first[item]), int(ix.first[item+1])
}

// All is a mask of all rows.
func (ix *Index) All() Mask {
	mask := make(Mask, ix.words)
	mask.Set(0, ix.rows, true)
	return mask
}

// New indexes items, which come in rank order and whose rules' values stand in
// table. It fails, naming the item by its
// place, on a rule that is not in the normal form of rule.Rule or names a
// dimension that is not indexed. A value that is not in its dimension's spelling
// matches nothing.
func New(items []Item, table *rule.Table, zones []*time.Location) (*Index, error) {
	b, err := gather(items, table, len(zones))
	if err != nil {
		return nil, err
	}
	ix := &Index{rows: b.rows, words: b.words, first: b.first, item: b.item}
	ix.full = b.plane()
	ix.full.fill(b.rows)

	ix.country = newCountry(b.dimension(rule.Country))
	device := b.dimension(rule.DeviceType)
	ix.noDevice = device.plane("")
	for d := range ix.device {
		ix.device[d] = device.plane(event.DeviceType(d).String())
	}
	os := b.dimension(rule.OS)
	for name, i := range osIndexes {
		ix.os[i] = os.plane(name)
	}

	ix.placement = idLists(b.dimension(rule.Placement))
	ix.property = idLists(b.dimension(rule.Property))
	ix.keyword = keywordLists(b.dimension(rule.Keyword))
	ix.shape = shapeLists(items, b)
	ix.rest = newRest(b, &ix.keyword)
	ix.hours = hours{terms: b.hours, zones: zones, words: b.words, full: ix.full}
	ix.hours.unknown = ix.hours.openAt(nil)
	return ix, nil
}
