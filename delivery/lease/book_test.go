package lease_test

import (
	"iter"
	"testing"

	"github.com/oklog/ulid/v2"
	"pgregory.net/rapid"

	"github.com/hayate-ads/hayate/delivery/lease"
	"github.com/hayate-ads/hayate/internal/ad"
)

func every(from, to, step ad.ID) iter.Seq[ad.ID] {
	return func(yield func(ad.ID) bool) {
		for id := from; id < to; id += step {
			if !yield(id) {
				return
			}
		}
	}
}

// TestOneSlotForOneLineItem plays catalogs that come and go around a bank, and
// holds the book to its promise: everybody who looks at a line item of the
// current catalog sees the slot that the bank writes to.
func TestOneSlotForOneLineItem(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var book lease.Book
		bank := map[ad.ID]*lease.Slot{}
		var current map[ad.ID]*lease.Slot
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "bank") {
				id := ad.ID(rapid.IntRange(-40, 80).Draw(t, "line item"))
				bank[id] = book.Slot(id)
				bank[id].Store(lease.New(ulid.ULID{}, id, 1, 1))
			} else {
				next := map[ad.ID]*lease.Slot{}
				for _, id := range rapid.SliceOf(rapid.IntRange(-40, 80)).Draw(t, "catalog") {
					next[ad.ID(id)] = book.Lend(ad.ID(id))
				}
				if rapid.Bool().Draw(t, "refused") {
					continue
				}
				current = next
				book.Keep(func(yield func(ad.ID) bool) {
					for id := range current {
						if !yield(id) {
							return
						}
					}
				})
			}
			for id, slot := range current {
				if held := bank[id]; held != nil && held != slot {
					t.Fatalf("line item %d: the catalog has another slot than the bank", id)
				}
			}
			for id, slot := range bank {
				if book.Slot(id) != slot || slot.Load().LineItem != id {
					t.Fatalf("line item %d: the bank's slot is another now", id)
				}
			}
		}
	})
}

// TestBookForgets: line items that are gone cost nothing but, at most, what the
// bank has ever had to do with.
func TestBookForgets(t *testing.T) {
	t.Parallel()
	var book lease.Book
	taken := book.Slot(7)
	const n = 1000
	for generation := range ad.ID(50) {
		from := 1000 + generation*n
		for id := range every(from, from+n, 1) {
			book.Lend(id)
		}
		book.Keep(every(from, from+n, 1))
		if pages := lease.Pages(&book); pages > n/16+2 {
			t.Fatalf("generation %d: the book has %d pages", generation, pages)
		}
	}
	if book.Slot(7) != taken {
		t.Error("the bank's slot is another now")
	}
	book.Keep(every(0, 0, 1))
	if pages := lease.Pages(&book); pages != 1 {
		t.Errorf("with no line item left, %d pages", pages)
	}
}

func BenchmarkLend(b *testing.B) {
	var book lease.Book
	for i := 0; b.Loop(); i = (i + 7919) % 1_000_000 {
		book.Lend(ad.ID(i))
	}
}
