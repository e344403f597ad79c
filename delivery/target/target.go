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
	"github.com/hayate-ads/hayate/internal/rule"
)

// Item is one line item to index.
type Item struct {
	Rule   rule.Rule
	Zone   int      // of its advertiser: the place in the zones given to [New]
	Shapes []uint16 // what it can show, numbers chosen by the caller: see [Index.Supply]
}

// Mask holds one bit per row, changed while others scan. Its length is
// [Index.Words].
type Mask []atomic.Uint64

// Index finds the items whose rules match a query.
type Index struct{}

// New indexes items, which come in rank order. It fails, naming the item by its
// place, on a value that its dimension does not know.
func New(items []Item, zones []*time.Location) (*Index, error) { panic("unwritten") }

// Rows is the number of rows: the conjunctions of all items.
func (ix *Index) Rows() int { panic("unwritten") }

// Words is the length of a [Mask] over the rows.
func (ix *Index) Words() int { panic("unwritten") }

// Item is the item that a row belongs to.
func (ix *Index) Item(row int) int { panic("unwritten") }

// RowsOf is the range of rows [from, to) of an item; it is empty when the
// item's rule matches nothing.
func (ix *Index) RowsOf(item int) (from, to int) { panic("unwritten") }

// Supply is a placement as the index sees it: rows that its id, its property and
// what it can show leave over. It belongs to the index that made it.
type Supply struct{}

// Slot says what a [Supply] is made of.
type Slot struct {
	Placement ad.ID
	Property  ad.ID
	Shapes    []uint16 // at least one of them must be among the item's
}

// Supply prepares a placement, once, for any number of scans. With dense set it
// spends a bit per row to make them faster.
func (ix *Index) Supply(slot Slot, dense bool) *Supply { panic("unwritten") }

// Empty tells that no item can be shown there, whatever the query.
func (s *Supply) Empty() bool { panic("unwritten") }

// Hours is the state of all hour-of-week terms at one moment: immutable, and
// true until an hour begins in one of the zones.
type Hours struct{}

// HoursAt computes the hour of week in every zone at now (daylight saving by
// the zones' rules) and with it which rows are open. It costs a pass over the
// rows that name hours: call it when the minute changes, not per request.
func (ix *Index) HoursAt(now time.Time) *Hours { panic("unwritten") }

// HourOfWeek is 0 for Monday from 00:00 to 167 for Sunday from 23:00, in zone at now.
func HourOfWeek(now time.Time, zone *time.Location) int { panic("unwritten") }

// Scan is one goroutine's walk over an index: kept, reused, never copied.
// [Scan.Prepare] takes the query, [Scan.Start] begins a walk for one placement,
// [Scan.Next] steps. Nothing of it allocates once its buffers have grown.
type Scan struct{}

// Prepare resolves q against ix; q must stay unchanged until the last Next.
func (s *Scan) Prepare(ix *Index, q *Query) { panic("unwritten") }

// Start begins a walk over the rows of mask that match the query on supply.
func (s *Scan) Start(supply *Supply, mask Mask) { panic("unwritten") }

// Next returns the next matching row in rank order, -1 after the last.
func (s *Scan) Next() int { panic("unwritten") }

// Seek makes row, or what follows it, the next candidate; it may go back.
func (s *Scan) Seek(row int) { panic("unwritten") }
