package settle

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/oklog/ulid/v2"
	"golang.org/x/sync/errgroup"

	"github.com/hayate-ads/hayate/batch/segment"
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// compare looks, once a session and before that touches anything, whether the
// database is an older copy than the log, as after a restore: then the log has
// OPENs of money that the database does not know of, and everything halts. Only a
// database that was started or loaded since the last time needs the look, which
// reads all that is not settled.
func (f *follower) compare(ctx context.Context) error {
	if f.compared {
		return nil
	}
	unchecked, err := f.settler.Unchecked(ctx)
	if err != nil {
		return err
	}
	if unchecked {
		if err := f.compareAll(ctx); err != nil {
			if errors.Is(err, postgres.ErrRebuild) {
				err = errors.Join(err, f.settler.Halt(ctx, err.Error()))
			}
			return err
		}
	}
	f.compared = true
	return nil
}

func (f *follower) compareAll(ctx context.Context) error {
	streams, err := segment.Unsettled(ctx, f.settler, f.cfg.Bucket)
	if err != nil {
		return err
	}
	opened := make([]map[ulid.ULID]event.Lease, len(streams))
	group, reading := errgroup.WithContext(ctx)
	group.SetLimit(readers)
	for i, stream := range streams {
		group.Go(func() (err error) {
			opened[i], err = f.openings(reading, stream)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for i, stream := range streams {
		unknown, err := f.settler.UnknownGrants(ctx, slices.Collect(maps.Keys(opened[i])))
		if err != nil {
			return err
		}
		if len(unknown) > 0 {
			l := opened[i][unknown[0]]
			return fmt.Errorf("%w: it does not know of %s leased to process %s as %s for line item %d, one of %d such leases of that process",
				postgres.ErrRebuild, l.Granted, stream.Process, l.ID, l.LineItem, len(unknown))
		}
	}
	return nil
}

// openings collects the leases with money that a stream opens. Damage ends a
// segment here as it does in settling, which reports it.
func (f *follower) openings(ctx context.Context, stream segment.Stream) (map[ulid.ULID]event.Lease, error) {
	found := make(map[ulid.ULID]event.Lease)
	var b []byte
	for _, seq := range stream.Seqs {
		var err error
		b, err = f.body(ctx, stream.Process, seq, b)
		switch {
		case errors.Is(err, segment.ErrMissing), errors.Is(err, segment.ErrTooLarge):
			continue
		case err != nil:
			return nil, err
		}
		_ = segment.Records(b, stream.Process, seq, func(_ uint32, rec *event.Record) error {
			if rec.Type == event.Open && rec.Lease.Granted > 0 {
				found[rec.Lease.ID] = rec.Lease
			}
			return nil
		})
	}
	return found, nil
}

// Replay settles all that is in the bucket now like [Once], with a session that
// another job has opened, locked and may go on using. It gives nothing back but
// what a CLOSE proves to be unreserved: nobody is lost and the watermark gives no
// lease back before all is settled.
func Replay(ctx context.Context, cfg Config, settler *postgres.Settler) (Stats, error) {
	f := newFollower(cfg, settler)
	if err := f.unspool(ctx); err != nil && !errors.Is(err, errOther) {
		return f.stats, err
	}
	if err := f.scan(ctx); err != nil {
		return f.stats, err
	}
	for more := true; more; {
		var err error
		if more, err = f.round(ctx, true); err != nil {
			return f.stats, err
		}
	}
	return f.stats, nil
}
