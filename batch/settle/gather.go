package settle

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oklog/ulid/v2"
	"golang.org/x/sync/errgroup"

	"github.com/hayate-ads/hayate/batch/segment"
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/postgres"
)

const (
	batchBytes   = 64 << 20 // of segments in one transaction, or of what they lead to in memory, roughly
	readers      = 8        // streams read at once
	silentEvery  = 2 * time.Second
	forgottenFor = time.Hour // a lost process this silent is asked for once a minute
)

// corrupt is a stream that cannot be read any further.
type corrupt struct {
	postgres.SegmentKey // where it stands
	why                 string
}

type gathered struct {
	segments []*Digest // by process, then sequence
	corrupt  []corrupt
	full     bool  // there may be more
	err      error // what could not be read this time
}

// due picks the processes to ask the bucket for: running ones each time, lost
// ones less and less often.
func (f *follower) due(processes []postgres.Process, all bool) []postgres.Process {
	now := time.Now()
	var due []postgres.Process
	for _, p := range processes {
		if p.Stalled != "" {
			continue
		}
		if p.State == postgres.ProcessLost && !all {
			every := silentEvery
			if now.Sub(p.HeartbeatAt) > forgottenFor {
				every = scanEvery
			}
			if now.Sub(f.asked[p.ID]) < every {
				continue
			}
			f.asked[p.ID] = now
		}
		due = append(due, p)
	}
	return due
}

// gather reads and decodes the next segments of these streams, asking for each
// by its name, until a batch is full. One stream's trouble holds up no other's.
func (f *follower) gather(ctx context.Context, processes []postgres.Process) gathered {
	var found gathered
	var mu sync.Mutex
	var budget atomic.Int64
	budget.Store(f.cfg.batchBytes)
	group := new(errgroup.Group)
	group.SetLimit(readers)
	for _, i := range rand.Perm(len(processes)) { // nobody is always the last
		p := processes[i]
		group.Go(func() error {
			r := f.reader()
			segments, err := r.readStream(ctx, p, &budget)
			f.idle.Put(r)
			mu.Lock()
			defer mu.Unlock()
			found.segments = append(found.segments, segments...)
			var damage damageError
			if errors.As(err, &damage) {
				at := postgres.SegmentKey{Process: p.ID, Seq: p.Applied + uint64(len(segments)) + 1}
				found.corrupt = append(found.corrupt, corrupt{at, damage.Error()})
			} else {
				found.err = errors.Join(found.err, err)
			}
			return nil
		})
	}
	_ = group.Wait() // errors are in found
	found.full = budget.Load() <= 0
	slices.SortFunc(found.segments, func(a, b *Digest) int {
		return cmp.Or(a.Process.Compare(b.Process), cmp.Compare(a.Seq, b.Seq))
	})
	return found
}

// reader reads segments, one after the other; it keeps what it needs for that.
type reader struct {
	digester *digester
	source   func(ctx context.Context, process ulid.ULID, seq uint64, buf []byte) ([]byte, error)
	buf      []byte
}

func (f *follower) reader() *reader {
	if r, ok := f.idle.Get().(*reader); ok {
		return r
	}
	return &reader{digester: newDigester(), source: f.body}
}

func (r *reader) readStream(ctx context.Context, p postgres.Process, budget *atomic.Int64) ([]*Digest, error) {
	var segments []*Digest
	for seq := p.Applied + 1; budget.Load() > 0; seq++ {
		s, size, err := r.readSegment(ctx, p.ID, seq)
		if s == nil || err != nil {
			return segments, err
		}
		budget.Add(-max(int64(size), s.size()))
		segments = append(segments, s)
		if s.ending {
			break
		}
	}
	return segments, nil
}

// damageError says why a segment will never be readable.
type damageError struct{ error }

// readSegment returns nil when the segment is not there yet. What does not
// decode is read a second time before it counts as damaged.
func (r *reader) readSegment(ctx context.Context, process ulid.ULID, seq uint64) (d *Digest, size int, err error) {
	for range 2 {
		r.buf, err = r.source(ctx, process, seq, r.buf)
		switch {
		case errors.Is(err, segment.ErrMissing):
			return nil, 0, nil
		case errors.Is(err, segment.ErrTooLarge):
			return nil, 0, damageError{err}
		case err != nil:
			return nil, 0, err
		}
		if d, err = r.digester.digest(r.buf, process, seq); err == nil {
			return d, len(r.buf), nil
		}
	}
	err = fmt.Errorf("%s: %w", event.SegmentName(process, seq), err)
	if errors.Is(err, event.ErrVersion) {
		return nil, 0, err // nothing is wrong with it: a newer settle can read it
	}
	return nil, 0, damageError{err}
}
