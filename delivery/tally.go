package delivery

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/hayate-ads/hayate/delivery/auction"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/snapshot"
)

// outcomes of a decision, in the order of a cell's counts. What names no
// placement of ours is counted as a metric only: anybody can make such names up.
var outcomes = [...]auction.Reason{
	auction.Filled, auction.NoCreative, auction.NoMatch, auction.BelowFloor, auction.Excluded, auction.NoLease,
}

// tally counts decisions per hour, placement and outcome in memory, so that the
// log gets a record per count and second rather than one per decision.
type tally struct {
	mu    sync.Mutex
	cells map[ad.ID]*cell // of every placement ever served: a swapped-out catalog's last counts are not lost
}

// cell counts one placement's decisions. Even and odd hours have counts of
// their own: what was decided just before the hour is flushed just after it, and
// belongs to the former.
type cell [2][len(outcomes)]atomic.Int64

func newTally() *tally { return &tally{cells: make(map[ad.ID]*cell)} }

// of returns the cells of placements.
func (t *tally) of(placements []snapshot.Placement) map[ad.ID]*cell {
	t.mu.Lock()
	defer t.mu.Unlock()
	cells := make(map[ad.ID]*cell, len(placements))
	for i := range placements {
		id := placements[i].ID
		if t.cells[id] == nil {
			t.cells[id] = new(cell)
		}
		cells[id] = t.cells[id]
	}
	return cells
}

// add counts one decision made in the hour, counted from 1970.
func (c *cell) add(hour int64, reason auction.Reason) {
	for i := range outcomes {
		if outcomes[i] == reason {
			c[hour&1][i].Add(1)
			return
		}
	}
}

// flush hands every count above zero to record and starts it again. It must run
// at least once an hour. What record refuses is kept for the next time.
func (t *tally) flush(now time.Time, record func(*event.Record) error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	hour := now.Unix() / 3600
	for placement, c := range t.cells {
		for _, of := range [...]int64{hour - 1, hour} {
			for i := range outcomes {
				count := &c[of&1][i]
				n := count.Swap(0)
				if n == 0 {
					continue
				}
				err := record(&event.Record{Type: event.Requests, Requests: event.Count{
					Hour: time.Unix(of*3600, 0).UTC(), Placement: placement, NoFill: string(outcomes[i]), N: n,
				}})
				if err != nil {
					count.Add(n)
					return err
				}
			}
		}
	}
	return nil
}
