package auction

import (
	"github.com/hayate-ads/hayate/delivery/catalog"
	"github.com/hayate-ads/hayate/delivery/lease"
	"github.com/hayate-ads/hayate/delivery/target"
	"github.com/hayate-ads/hayate/internal/money"
)

// Scratch is the memory that one goroutine's decisions reuse; the zero value is
// ready, and it is never copied.
type Scratch struct {
	catalog  *catalog.Catalog
	request  *Request
	query    target.Query
	scan     target.Scan
	way      way
	counting bool // losses are noted
	losses   []Loss

	slots      []slot  // of the request's placements
	shown      []shown // what fills them so far
	companions []companion
	seating    seating

	// Of the placement at hand:
	placement *catalog.Placement
	seed      uint64
	last      int // the line item that next returned last
}

// way is how leases are treated.
type way int

const (
	leased way = iota // live line items; winners reserve
	peeked            // live line items that could reserve; nothing does
	anyway            // servable line items, leases aside: to name a reason, and for tests
	asking            // eligible line items, leases aside: to ask for leases
)

// slot is one placement of the request.
type slot struct {
	placement *catalog.Placement // nil: not in the catalog
	seed      uint64
	verdict   verdict // fits: it is filled
	winner    winner
	rival     int // the best line item that could win here by itself: see Scratch.rival
	bar       int // the rival before anything was seated
}

// open tells whether the slot may still be filled.
func (l *slot) open() bool { return l.verdict > noShape && l.verdict != fits }

// winner of one placement.
type winner struct {
	item     int // in Catalog.LineItems
	creative *catalog.Creative
	price    money.Micros // of the impression
	lease    *lease.Lease // when leased, with the index reserved on it
	index    uint32
}

// shown is an ad that fills a placement of the request.
type shown struct {
	item     int
	creative int // its index
	price    money.Micros
}

func (s *Scratch) begin(c *catalog.Catalog, req *Request, w way) {
	s.catalog, s.request, s.way, s.counting = c, req, w, false
	s.query = req.Query
	if s.query.Hours == nil {
		s.query.Hours = c.Hours()
	}
	s.scan.Prepare(c.Index, &s.query)
	s.slots, s.shown, s.losses = s.slots[:0], s.shown[:0], s.losses[:0]
	for i, id := range req.Placements {
		l := slot{placement: c.Placement(id), verdict: noMatch, seed: mix(req.Seed, uint64(i)+1), rival: unsought}
		switch {
		case l.placement == nil:
			l.verdict = unknown
		case l.placement.Supply.Empty():
			l.verdict = noShape
		}
		s.slots = append(s.slots, l)
	}
}

// turnTo makes a slot the placement at hand.
func (s *Scratch) turnTo(l *slot) { s.placement, s.seed = l.placement, l.seed }

// show fills a slot.
func (s *Scratch) show(l *slot, found winner) {
	l.verdict, l.winner = fits, found
	s.shown = append(s.shown, shown{found.item, found.creative.Index, found.price})
}

// mask is the rows that count, in the way at hand.
func (s *Scratch) mask() target.Mask {
	switch s.way {
	case anyway:
		return s.catalog.Servable()
	case asking:
		return s.catalog.Eligible()
	}
	return s.catalog.Live()
}

// free tells whether leases do not matter.
func (s *Scratch) free() bool { return s.way == anyway || s.way == asking }
