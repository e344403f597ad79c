package settle

import (
	"context"
	"fmt"
	"time"

	"github.com/hayate-ads/hayate/batch/segment"
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// scan lists the bucket for processes that the bank does not know, as after a
// disk came back whose process never reached Postgres, and for streams with a gap.
func (f *follower) scan(ctx context.Context) error {
	f.scanned = time.Now()
	ids, err := segment.Processes(ctx, f.cfg.Bucket)
	if err != nil {
		return err
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
		later, err := segment.Later(ctx, f.cfg.Bucket, at.Process, at.Seq)
		if err != nil {
			return err
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
