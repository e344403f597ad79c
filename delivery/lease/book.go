package lease

import (
	"iter"
	"sync"
	"sync/atomic"

	"github.com/hayate-ads/hayate/internal/ad"
)

// Slot holds the lease that requests use for one line item at the moment, or
// none. Slots are stable: a catalog resolves its line items' slots once, when it
// is compiled, and a new catalog gets the same ones.
type Slot struct {
	current atomic.Pointer[Lease]
	aside   atomic.Bool
	kept    bool // for good; guarded by the book's mutex
}

// Load returns the current lease, nil when there is none.
func (s *Slot) Load() *Lease { return s.current.Load() }

// Store makes l current; nil takes the line item out of service.
func (s *Slot) Store(l *Lease) { s.current.Store(l) }

// Aside tells whether the line item needs no want: the bank has been asked and
// has not answered, or has refused it and does not want to hear of it for a while.
func (s *Slot) Aside() bool { return s.aside.Load() }

// SetAside says so, or that the bank may be asked again.
func (s *Slot) SetAside(aside bool) { s.aside.Store(aside) }

// pageSlots is how many line items with neighbouring ids share a page: enough
// that a million line items cost a few bytes each beyond their slots, and few
// enough that ids far apart do not cost a kilobyte each.
const (
	pageShift = 4
	pageSlots = 1 << pageShift
)

type page [pageSlots]Slot

// Book finds the slot of a line item. The zero Book is ready to use.
//
// Whoever changes slots, the bank, takes them with Slot. Catalogs, which only
// look, borrow a million at a time with Lend, and say with Keep which of them
// are still in a catalog: the others' memory goes back.
type Book struct {
	mu    sync.Mutex
	pages map[ad.ID]*page // by id >> pageShift
}

// Slot returns the line item's slot, which stays the line item's for good.
func (b *Book) Slot(lineItem ad.ID) *Slot {
	b.mu.Lock()
	defer b.mu.Unlock()
	slot := b.slot(lineItem)
	slot.kept = true
	return slot
}

// Lend returns the same slot, which stays the line item's at least as long as
// each Keep names it.
func (b *Book) Lend(lineItem ad.ID) *Slot {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.slot(lineItem)
}

func (b *Book) slot(lineItem ad.ID) *Slot {
	number := lineItem >> pageShift
	p := b.pages[number]
	if p == nil {
		if b.pages == nil {
			b.pages = make(map[ad.ID]*page)
		}
		p = new(page)
		b.pages[number] = p
	}
	return &p[lineItem&(pageSlots-1)]
}

// Keep forgets what was lent for line items that are not among these. Call it
// when the catalog they are of has taken over, and before the next one borrows:
// who still holds a forgotten slot sees no more leases come.
func (b *Book) Keep(lineItems iter.Seq[ad.ID]) {
	used := make(map[ad.ID]struct{})
	for id := range lineItems {
		used[id>>pageShift] = struct{}{}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for number, p := range b.pages {
		if _, in := used[number]; !in && !p.anyKept() {
			delete(b.pages, number)
		}
	}
}

func (p *page) anyKept() bool {
	for i := range p {
		if p[i].kept {
			return true
		}
	}
	return false
}
