package settle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
	"gocloud.dev/blob"

	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/postgres"
)

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
	f.listed = true
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
		at := postgres.SegmentKey{Process: p.ID, Seq: p.Applied + 1}
		if p.Stalled != "" || !behind || f.isSpooled(at) {
			continue
		}
		next := event.SegmentName(at.Process, at.Seq)
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
		if !there { // before the spool was brought in, or as far as it is listed
			there, err = f.cfg.DB.IsSpooled(ctx, at)
		}
		if err != nil {
			return err
		}
		if there {
			continue
		}
		if err := f.stall(ctx, at, fmt.Sprintf("%s is missing, though %s is there", next, later)); err != nil {
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
