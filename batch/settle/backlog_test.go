package settle

import (
	"errors"
	"testing"
	"time"

	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// After settle was away, a lost process's lease keeps its money for the events in
// the bucket, whichever stream they are in, before the clock gives it back.
func TestBacklogBeforeLostLeases(t *testing.T) {
	t.Parallel()
	f := func(name string, at func(lost, alive *stream) *stream) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			lost, alive := w.process(), w.process()
			grant := w.grant(lost, w.lineItem(1000, 500).ID, 10)
			w.ship(lost)
			w.pass(10*time.Second, lost, alive)
			shown := at(lost, alive)
			for i := range uint32(3) {
				w.log(shown, landing(event.Impression, w.token(lost, grant, i)))
				w.ship(shown)
			}
			w.beat(alive)
			if _, err := w.db.Pool.Exec(t.Context(), "UPDATE process SET state = 'lost' WHERE id = $1", lost.process); err != nil {
				t.Fatal(err)
			}
			w.clock.Add(10 * time.Minute) // nobody settles
			w.beat(alive)
			w.cfg.batchBytes = 1
			follower := must[*follower](t)(start(t.Context(), w.cfg))
			defer follower.close(t.Context())
			if err := follower.settler.Lock(t.Context()); err != nil {
				t.Fatal(err)
			}
			for range 6 {
				follower.swept = time.Time{}
				if _, err := follower.work(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if got := w.totals(); got.Charged != 3*price || got.Overage != 0 || got.LeaseHeld != 0 {
				t.Errorf("charged %s, overage %s, still leased %s", got.Charged, got.Overage, got.LeaseHeld)
			}
		})
	}
	f("landed at another process", func(_, alive *stream) *stream { return alive })
	f("landed at the lost one", func(lost, _ *stream) *stream { return lost })
}

// A batch that was fetched ahead leaves lost processes out: it is not the end of
// what the bucket holds.
func TestFetchedAheadIsNotAll(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	lost := w.process()
	grant := w.grant(lost, w.lineItem(1000, 500).ID, 10)
	w.log(lost, landing(event.Impression, w.token(lost, grant, 0)))
	w.ship(lost)
	if _, err := w.db.Pool.Exec(t.Context(), "UPDATE process SET state = 'lost'"); err != nil {
		t.Fatal(err)
	}
	f := must[*follower](t)(start(t.Context(), w.cfg))
	defer f.close(t.Context())
	if err := errors.Join(f.settler.Lock(t.Context()), f.scan(t.Context())); err != nil {
		t.Fatal(err)
	}
	f.fetchAhead(t.Context(), must[[]postgres.Process](t)(f.settler.Processes(t.Context())), gathered{full: true})
	for more := true; more; {
		var err error
		if more, err = f.round(t.Context(), true); err != nil {
			t.Fatal(err)
		}
	}
	if got := w.totals(); got.Charged != price {
		t.Errorf("charged %s, want %s; all was seen: %t", got.Charged, price, f.seen)
	}
}
