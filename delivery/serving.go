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

// board swaps what serves, and keeps it in step with the bank. What changes a
// catalog's bits holds mu, and tells the catalog that serves as well as the one
// that is being made ready: so no change falls between the deriving of a new
// catalog's bits and its taking over, and deriving a million needs no lock.
// Requests only load current.
type board struct {
	current atomic.Pointer[serving] // nil: no snapshot yet
	book    *lease.Book
	tally   *tally
	urls    render.Config

	mu    sync.Mutex
	next  *catalog.Catalog     // compiled, not serving yet
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

// load compiles a snapshot and lets it serve from bank time now on. Calls take
// turns. The old catalog is garbage as soon as its last request is answered.
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
	compiled.Tick(now) // dates every line item, so before others may wait for its lock
	b.prepare(compiled)
	compiled.Follow()
	b.mu.Lock()
	b.current.Store(next)
	b.next = nil
	b.mu.Unlock()
	b.book.Keep(compiled.IDs())
	return nil
}

// prepare tells a catalog what the bank has stopped, and from then on whatever
// changes.
func (b *board) prepare(next *catalog.Catalog) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for thing := range b.stops {
		next.SetStopped(thing.kind, thing.id, true)
	}
	b.next = next
}

// each calls f for the catalog that serves and the one that is about to.
func (b *board) each(f func(*catalog.Catalog)) {
	if current := b.current.Load(); current != nil {
		f(current.catalog)
	}
	if b.next != nil {
		f(b.next)
	}
}

// changed is told by the bank when a line item's slot has changed: it gained or
// lost its lease, or is being asked for.
func (b *board) changed(lineItem ad.ID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.each(func(c *catalog.Catalog) { c.FollowSlot(lineItem) })
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
	b.each(func(c *catalog.Catalog) { c.SetStopped(stop.Kind, stop.ID, stop.Stopped) })
}

// tick lets the catalog follow the time.
func (b *board) tick(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.each(func(c *catalog.Catalog) { c.Tick(now) })
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

// least is how many reservations a line item needs at once, for the bank: a
// takeover shows all its ads or none.
func (b *board) least(lineItem ad.ID) int64 {
	if current := b.current.Load(); current != nil {
		if item := current.catalog.LineItem(lineItem); item != nil && item.Roadblock() == ad.AllOrNone {
			return int64(len(item.Creatives))
		}
	}
	return 1
}

// generation of what serves, 0: nothing yet.
func (b *board) generation() uint64 {
	if current := b.current.Load(); current != nil {
		return current.catalog.Generation
	}
	return 0
}
