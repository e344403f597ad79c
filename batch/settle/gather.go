package settle

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oklog/ulid/v2"
	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"
	"golang.org/x/sync/errgroup"

	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/postgres"
)

const (
	batchBytes   = 8 << 20   // of segments in one transaction, roughly
	largest      = 256 << 20 // bytes of one segment; delivery rotates long before
	readers      = 8         // streams read at once
	silentEvery  = 2 * time.Second
	forgottenFor = time.Hour // a lost process this silent is asked for once a minute
)

// segment is one decoded segment.
type segment struct {
	postgres.Segment
	records []event.Record
}

// corrupt is a stream that cannot be read any further.
type corrupt struct {
	process ulid.ULID
	why     string
}

type gathered struct {
	segments []*segment // by process, then sequence
	corrupt  []corrupt
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
	for _, p := range processes {
		group.Go(func() error {
			segments, err := f.readStream(ctx, p, &budget)
			mu.Lock()
			defer mu.Unlock()
			found.segments = append(found.segments, segments...)
			var damage damageError
			if errors.As(err, &damage) {
				found.corrupt = append(found.corrupt, corrupt{p.ID, damage.Error()})
			} else {
				found.err = errors.Join(found.err, err)
			}
			return nil
		})
	}
	_ = group.Wait() // errors are in found
	slices.SortFunc(found.segments, func(a, b *segment) int {
		return cmp.Or(a.Process.Compare(b.Process), cmp.Compare(a.Seq, b.Seq))
	})
	return found
}

func (f *follower) readStream(ctx context.Context, p postgres.Process, budget *atomic.Int64) ([]*segment, error) {
	var segments []*segment
	for seq := p.Applied + 1; budget.Load() > 0; seq++ {
		s, size, err := f.readSegment(ctx, p.ID, seq)
		if s == nil || err != nil {
			return segments, err
		}
		budget.Add(-int64(size))
		segments = append(segments, s)
		if n := len(s.records); n > 0 && s.records[n-1].Type == event.End {
			break
		}
	}
	return segments, nil
}

// damageError says why a segment will never be readable.
type damageError struct{ error }

// readSegment returns nil when the segment is not there yet. What does not
// decode is read a second time before it counts as damaged.
func (f *follower) readSegment(ctx context.Context, process ulid.ULID, seq uint64) (s *segment, size int, err error) {
	name := event.SegmentName(process, seq)
	for range 2 {
		var b []byte
		b, err = f.readObject(ctx, name)
		if gcerrors.Code(err) == gcerrors.NotFound {
			return nil, 0, nil
		}
		if err != nil {
			return nil, 0, fmt.Errorf("read %s: %w", name, err)
		}
		if s, err = decode(b, process, seq); err == nil {
			return s, len(b), nil
		}
	}
	if errors.Is(err, event.ErrVersion) {
		// Nothing is wrong with it: a newer settle can read it.
		return nil, 0, fmt.Errorf("read %s: %w", name, err)
	}
	return nil, 0, damageError{fmt.Errorf("%s: %w", name, err)}
}

func (f *follower) readObject(ctx context.Context, name string) ([]byte, error) {
	r, err := f.cfg.Bucket.NewReader(ctx, name, nil)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if r.Size() > largest {
		return nil, damageError{fmt.Errorf("%d bytes, at most %d are allowed", r.Size(), largest)}
	}
	b := make([]byte, r.Size())
	_, err = io.ReadFull(r, b)
	return b, err
}

// typicalRecord is about what a landing takes in a segment, in bytes.
const typicalRecord = 80

func decode(b []byte, process ulid.ULID, seq uint64) (*segment, error) {
	reader, err := event.NewReader(b, process, seq)
	if err != nil {
		return nil, err
	}
	s := &segment{
		Segment: postgres.Segment{Process: process, Seq: seq, SHA256: sha256.Sum256(b)},
		records: make([]event.Record, 0, len(b)/typicalRecord+1),
	}
	for {
		s.records = append(s.records, event.Record{})
		ok, err := reader.Next(&s.records[len(s.records)-1])
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
	}
	s.records = s.records[:len(s.records)-1]
	s.Records = len(s.records)
	if s.Records > 0 {
		s.LastAt = s.records[s.Records-1].At
	}
	return s, nil
}

// scan lists the bucket for processes that the bank does not know, as after a
// disk came back whose process never reached Postgres, and for streams with a gap.
func (f *follower) scan(ctx context.Context) error {
	f.scanned = time.Now()
	ids, err := f.listProcesses(ctx)
	if err != nil {
		return fmt.Errorf("list the bucket: %w", err)
	}
	unknown, err := f.settler.Unknown(ctx, ids)
	if err != nil {
		return err
	}
	if len(unknown) > 0 {
		if err := f.settler.AddProcesses(ctx, unknown); err != nil {
			return err
		}
	}
	return f.findGaps(ctx)
}

func (f *follower) listProcesses(ctx context.Context) ([]ulid.ULID, error) {
	var ids []ulid.ULID
	err := f.list(ctx, "events/", "/", func(day *blob.ListObject) error {
		return f.list(ctx, day.Key, "/", func(process *blob.ListObject) error {
			if id, err := ulid.ParseStrict(path.Base(process.Key)); err == nil && process.IsDir {
				ids = append(ids, id)
			}
			return nil
		})
	})
	return ids, err
}

func (f *follower) list(ctx context.Context, prefix, delimiter string, each func(*blob.ListObject) error) error {
	objects := f.cfg.Bucket.List(&blob.ListOptions{Prefix: prefix, Delimiter: delimiter})
	for {
		object, err := objects.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := each(object); err != nil {
			return err
		}
	}
}

// findGaps stalls streams whose next segment is missing although a later one is
// there. Segments are shipped in order, so the missing one will never come.
func (f *follower) findGaps(ctx context.Context) error {
	processes, err := f.settler.Processes(ctx)
	if err != nil {
		return err
	}
	for _, p := range processes {
		behind := p.SafeSegment > p.Applied+1 || p.State == postgres.ProcessLost
		if p.Stalled != "" || !behind {
			continue
		}
		next := event.SegmentName(p.ID, p.Applied+1)
		later, err := f.laterThan(ctx, path.Dir(next)+"/", p.Applied+1)
		if err != nil {
			return fmt.Errorf("list the stream of process %s: %w", p.ID, err)
		}
		if later == "" {
			continue
		}
		there, err := f.cfg.Bucket.Exists(ctx, next)
		if err != nil {
			return fmt.Errorf("look for %s: %w", next, err)
		}
		if there {
			continue
		}
		if err := f.stall(ctx, p.ID, fmt.Sprintf("%s is missing, though %s is there", next, later)); err != nil {
			return err
		}
	}
	return nil
}

// laterThan returns the name of a segment beyond seq, "" if there is none.
func (f *follower) laterThan(ctx context.Context, prefix string, seq uint64) (later string, err error) {
	err = f.list(ctx, prefix, "", func(object *blob.ListObject) error {
		n, err := strconv.ParseUint(strings.TrimPrefix(object.Key, prefix), 10, 64)
		if err == nil && n > seq {
			later = object.Key
			return io.EOF
		}
		return nil
	})
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return later, err
}
