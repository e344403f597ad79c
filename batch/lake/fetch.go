package lake

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"

	"gocloud.dev/blob"
	"golang.org/x/sync/semaphore"

	"github.com/hayate-ads/hayate/batch/segment"
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// fetcher reads segments ahead of whoever works on them, and keeps their order.
type fetcher struct {
	bucket  *blob.Bucket
	readers int
	ahead   int64
	buffers sync.Pool // of *[]byte
}

// fetched is a segment being read; wait for done before body or err.
type fetched struct {
	postgres.SettledSegment
	done chan struct{}
	body *[]byte
	err  error
}

// recordBytes is what a record takes in a segment, roughly: how much is in
// memory is reckoned before anything is read.
const recordBytes = 128

// each calls work with one segment after the other. It returns the first error,
// of reading or of work.
func (f *fetcher) each(ctx context.Context, segments []postgres.SettledSegment, work func(postgres.SettledSegment, []byte) error) error {
	ctx, cancel := context.WithCancel(ctx)
	queue := make(chan *fetched, f.readers)
	room := semaphore.NewWeighted(f.ahead)
	var readers sync.WaitGroup
	readers.Go(func() {
		defer close(queue)
		for _, s := range segments {
			if room.Acquire(ctx, f.weight(s)) != nil {
				return
			}
			next := &fetched{SettledSegment: s, done: make(chan struct{})}
			select {
			case queue <- next:
				readers.Go(func() { f.read(ctx, next) })
			case <-ctx.Done():
				return
			}
		}
	})
	defer readers.Wait()
	defer cancel() // first
	for next := range queue {
		<-next.done
		if next.err != nil {
			return next.err
		}
		if err := work(next.SettledSegment, *next.body); err != nil {
			return err
		}
		f.buffers.Put(next.body)
		room.Release(f.weight(next.SettledSegment))
	}
	return context.Cause(ctx)
}

func (f *fetcher) weight(s postgres.SettledSegment) int64 {
	return min(event.HeaderSize+s.Records*recordBytes, f.ahead)
}

var errChanged = errors.New("segment is not the one that was settled")

func (f *fetcher) read(ctx context.Context, s *fetched) {
	defer close(s.done)
	s.body, _ = f.buffers.Get().(*[]byte)
	if s.body == nil {
		s.body = new([]byte)
	}
	*s.body, s.err = segment.Read(ctx, f.bucket, s.Process, s.Seq, *s.body)
	if s.err != nil {
		return
	}
	if sum := sha256.Sum256(*s.body); !bytes.Equal(sum[:], s.SHA256[:]) {
		s.err = fmt.Errorf("%s: %w: its SHA-256 is %x, settle noted %x", event.SegmentName(s.Process, s.Seq), errChanged, sum, s.SHA256)
	}
}
