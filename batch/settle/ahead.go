package settle

import (
	"context"

	"github.com/hayate-ads/hayate/internal/postgres"
)

// ahead is a batch that is read while the one before it is written. If that one
// fails the batch is of no use, and is dropped; should it be used all the same,
// nothing is booked of it that does not follow on what is settled.
type ahead struct {
	cancel context.CancelFunc
	done   chan struct{}
	found  gathered // when done
}

// next is the batch that was fetched ahead, or one gathered now.
func (f *follower) next(ctx context.Context, processes []postgres.Process, all bool) gathered {
	if a := f.ahead; a != nil {
		f.ahead = nil
		defer a.cancel()
		select {
		case <-a.done:
			return a.found
		case <-ctx.Done():
			<-a.done
			return gathered{err: ctx.Err()}
		}
	}
	return f.gather(ctx, f.due(processes, all))
}

// fetchAhead begins to read what follows on a batch, of streams that it had
// nothing of too.
func (f *follower) fetchAhead(ctx context.Context, processes []postgres.Process, found gathered) {
	applied, over := make(map[[16]byte]uint64), make(map[[16]byte]bool)
	for _, d := range found.segments {
		applied[d.Process] = d.Seq
		over[d.Process] = d.ending
	}
	for _, bad := range found.corrupt {
		over[bad.Process] = true
	}
	var next []postgres.Process
	for _, p := range processes {
		if over[p.ID] || p.Stalled != "" || p.State == postgres.ProcessLost && applied[p.ID] == 0 {
			continue
		}
		p.Applied = max(p.Applied, applied[p.ID])
		next = append(next, p)
	}
	ctx, cancel := context.WithCancel(ctx)
	a := &ahead{cancel: cancel, done: make(chan struct{})}
	f.ahead = a
	go func() {
		defer close(a.done)
		a.found = f.gather(ctx, next)
	}()
}

// drop gives a batch up that is not wanted any more.
func (a *ahead) drop() {
	if a != nil {
		a.cancel()
		<-a.done
	}
}
