package delivery

import (
	"context"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hayate-ads/hayate/delivery/auction"
	"github.com/hayate-ads/hayate/delivery/catalog"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/telemetry"
)

// sampler explains now and then one real request in full, in the background: the
// only way to learn what became of the line items that the auction never looked
// at, most of which do not even match. A pass takes one placement of one request
// and a window of the catalog's line items; the windows go round. What a pass
// sees stands for all requests since the one before, times the placements of the
// request, times the windows of the catalog.
//
// It uses at most 1 % of one core: each pass is timed, and the next one waits 99
// times as long. The time is wall time, so that a busy machine, where a pass is
// interrupted, gets fewer of them.
type sampler struct {
	asked   func() int64 // requests since it was asked last
	explain func(*catalog.Catalog, *auction.Request, auction.Page, func(*auction.Explanation) bool)
	metrics *telemetry.Client

	armed atomic.Bool   // the next request is to be copied
	ready chan struct{} // it has been, into request and on
	on    *serving
	req   auction.Request
	all   []ad.ID // its placements

	next int // where the next window begins, in Catalog.LineItems

	mu    sync.Mutex // cells are flushed by another goroutine
	cells map[estimate]guess
}

const (
	samplerShare  = 100                    // one part in so many of a core
	samplerGap    = 100 * time.Millisecond // between passes at least, however cheap
	samplerWindow = 256                    // line items of one pass
	yieldEvery    = 16                     // line items between which requests may have the core
)

// estimate names a cell, guess is what it holds.
type (
	estimate struct {
		hour              int64
		lineItem          ad.ID
		reason, dimension string
	}
	guess struct{ n, samples int64 }
)

func newSampler(asked func() int64, metrics *telemetry.Client) *sampler {
	return &sampler{
		asked: asked, explain: auction.ExplainEach, metrics: metrics,
		ready: make(chan struct{}, 1), cells: make(map[estimate]guess),
	}
}

// offer shows the sampler a request that was decided. It costs one load unless
// the sampler waits for a request, and then a copy into memory of its own.
func (s *sampler) offer(on *serving, req *auction.Request) {
	if !s.armed.Load() || !s.armed.CompareAndSwap(true, false) {
		return
	}
	s.on = on
	copyRequest(&s.req, req)
	s.ready <- struct{}{} // has room: one request is copied at a time
}

// copyRequest copies a request with all that it points to, but for the hours,
// which are the catalog's.
func copyRequest(to, from *auction.Request) {
	placements, query := append(to.Placements[:0], from.Placements...), to.Query
	query.CopyFrom(&from.Query)
	query.Hours = nil
	*to = *from
	to.Placements, to.Query = placements, query
}

// run makes passes until ctx ends.
func (s *sampler) run(ctx context.Context) {
	pause := time.Second // a process that starts has better things to do
	for wait(ctx, pause) {
		pause = samplerGap
		if s.full() {
			continue // until the next flush; the requests meanwhile are counted on
		}
		s.armed.Store(true)
		select {
		case <-ctx.Done():
			return
		case <-s.ready:
		}
		start := time.Now()
		s.pass()
		took := time.Since(start)
		s.on = nil // a catalog that was replaced goes
		s.metrics.Distribution(telemetry.DeliveryExplainTime, took.Seconds())
		pause = max(samplerGap, took*(samplerShare-1))
	}
}

func wait(ctx context.Context, pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// full tells whether another window might not fit. A cell more for each line
// item is the usual case; what is beyond is not taken.
func (s *sampler) full() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.cells)+samplerWindow > maxCells
}

// pass explains the request that was copied.
func (s *sampler) pass() {
	c, items := s.on.catalog, len(s.on.catalog.LineItems)
	requests := s.asked()
	if items == 0 || requests == 0 || len(s.req.Placements) == 0 {
		return
	}
	if s.next >= items {
		s.next = 0
	}
	window := min(samplerWindow, items-s.next)
	s.all = append(s.all[:0], s.req.Placements...)
	weight := requests * int64(len(s.all))
	if windows := (items + samplerWindow - 1) / samplerWindow; windows > 1 {
		weight *= int64(windows)
	}
	chosen := rand.IntN(len(s.all))
	s.req.Placements = append(s.req.Placements[:0], s.all[chosen])
	hour, seen := s.req.Now/3_600_000_000, 0
	s.explain(c, &s.req, auction.Page{Offset: s.next}, func(x *auction.Explanation) bool {
		s.add(hour, x, weight)
		if seen++; seen%yieldEvery == 0 {
			runtime.Gosched()
		}
		return seen < window
	})
	s.next += window
}

func (s *sampler) add(hour int64, x *auction.Explanation, weight int64) {
	key := estimate{hour: hour, lineItem: x.LineItem, reason: string(x.Outcome)}
	if x.Outcome == auction.NoMatch && len(x.Causes) > 0 {
		key.dimension = x.Causes[0].Predicate
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	g, known := s.cells[key]
	if !known && len(s.cells) >= maxCells {
		return // full keeps room for all of a window, but for a turn of the hour
	}
	s.cells[key] = guess{g.n + weight, g.samples + 1}
}

// records takes the estimates made since the last call.
func (s *sampler) records() []event.Record {
	s.mu.Lock()
	cells := s.cells
	s.cells = make(map[estimate]guess)
	s.mu.Unlock()
	out := packer{}
	for key, g := range cells {
		out.add(key.hour, true, event.ReasonCell{LineItem: key.lineItem, Reason: key.reason, Dimension: key.dimension, N: g.n, Samples: g.samples})
	}
	return out.records
}
