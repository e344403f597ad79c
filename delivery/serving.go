package delivery

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/hayate-ads/hayate/delivery/catalog"
	"github.com/hayate-ads/hayate/delivery/lease"
	"github.com/hayate-ads/hayate/delivery/render"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/postgres"
	"github.com/hayate-ads/hayate/internal/snapshot"
)

// serving is what requests are answered from. A request takes the pointer to it
// once, so that no answer mixes two generations.
type serving struct {
	catalog *catalog.Catalog
	render  *render.Renderer
	cells   map[ad.ID]*cell // of its placements
}

// board swaps what serves, and keeps it in step with the bank: what changes a
// catalog's bits holds mu, so that a change cannot fall between the deriving of
// a new catalog's bits and its taking over. Requests only load current.
type board struct {
	current atomic.Pointer[serving] // nil: no snapshot yet
	book    *lease.Book
	tally   *tally
	urls    render.Config

	mu    sync.Mutex
	stops map[stopped]struct{} // the bank's word, newer than any snapshot's
}

// stopped names one thing that the bank has stopped.
type stopped struct {
	kind string
	id   ad.ID
}

func newBoard(book *lease.Book, tally *tally, urls render.Config) *board {
	return &board{book: book, tally: tally, urls: urls, stops: make(map[stopped]struct{})}
}

// load compiles a snapshot and lets it serve from bank time now on.
func (b *board) load(s *snapshot.Snapshot, now time.Time) error {
	compiled, err := catalog.Compile(s, b.book)
	if err != nil {
		return err
	}
	renderer, err := render.Compile(compiled, b.urls)
	if err != nil {
		return err
	}
	next := &serving{catalog: compiled, render: renderer, cells: b.tally.of(s.Placements)}
	compiled.Tick(now)

	b.mu.Lock()
	defer b.mu.Unlock()
	for thing := range b.stops {
		compiled.SetStopped(thing.kind, thing.id, true)
	}
	for i := range compiled.LineItems {
		show(compiled, compiled.LineItems[i].ID, compiled.LineItems[i].Slot)
	}
	b.current.Store(next)
	return nil
}

// show sets a line item's bits to what its slot says.
func show(c *catalog.Catalog, lineItem ad.ID, slot *lease.Slot) {
	c.SetLive(lineItem, slot.Load() != nil)
	c.SetAside(lineItem, slot.Aside())
}

// changed is told by the bank when a line item's slot has changed: it gained or
// lost its lease, or is being asked for.
func (b *board) changed(lineItem ad.ID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if now := b.current.Load(); now != nil {
		show(now.catalog, lineItem, b.book.Slot(lineItem))
	}
}

// setStopped is told by the bank what may not serve, or may again.
func (b *board) setStopped(stop postgres.Stop) {
	b.mu.Lock()
	defer b.mu.Unlock()
	thing := stopped{stop.Kind, stop.ID}
	if stop.Stopped {
		b.stops[thing] = struct{}{}
	} else {
		delete(b.stops, thing)
	}
	if now := b.current.Load(); now != nil {
		now.catalog.SetStopped(stop.Kind, stop.ID, stop.Stopped)
	}
}

// tick lets the catalog follow the time.
func (b *board) tick(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if current := b.current.Load(); current != nil {
		current.catalog.Tick(now)
	}
}

// price is what one impression of a line item costs, for the bank.
func (b *board) price(lineItem ad.ID) (money.Micros, bool) {
	current := b.current.Load()
	if current == nil {
		return 0, false
	}
	item := current.catalog.LineItem(lineItem)
	if item == nil {
		return 0, false
	}
	return item.Price, true
}
