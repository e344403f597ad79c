package settle

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/oklog/ulid/v2"

	"github.com/hayate-ads/hayate/internal/postgres"
)

// applyPatience bounds one transaction, so that a server that stopped answering
// ends the session instead of holding it for ever.
const applyPatience = 2 * time.Minute

// apply settles a batch in one transaction. If Postgres refuses its content, the
// batch is halved until the one segment is found whose stream cannot go on.
func (f *follower) apply(ctx context.Context, segments []*Digest) error {
	stats, err := f.applyOnce(ctx, segments)
	switch {
	case err == nil:
		f.did(stats)
		return nil
	case errors.Is(err, postgres.ErrRebuild):
		return errors.Join(err, f.settler.Halt(ctx, err.Error()))
	case !refused(err):
		return err
	case len(segments) == 1:
		return f.stall(ctx, segments[0].SegmentKey, refusedWhy+err.Error())
	}
	half := len(segments) / 2
	if err := f.apply(ctx, segments[:half]); err != nil {
		return err
	}
	return f.apply(ctx, segments[half:])
}

// refusedWhy begins the reason of a stream whose segment reads well.
const refusedWhy = "Postgres refuses what it says: "

// refused tells whether Postgres found fault with data rather than with itself:
// a data exception or a broken constraint.
func refused(err error) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && (pgErr.Code[:2] == "22" || pgErr.Code[:2] == "23")
}

func (f *follower) applyOnce(ctx context.Context, segments []*Digest) (stats Stats, err error) {
	ctx, cancel := context.WithTimeout(ctx, applyPatience)
	defer cancel()
	now, err := f.makeRoom(ctx, segments)
	if err != nil {
		return stats, err
	}
	err = f.settler.InTx(ctx, func(tx *postgres.SettleTx) error {
		fresh, applied, err := book(ctx, tx, segments)
		if err != nil || len(applied) == 0 {
			return err
		}
		core, err := f.load(ctx, tx, fresh, now)
		if err != nil {
			return err
		}
		rows := make([]postgres.Segment, len(fresh))
		for i, d := range fresh {
			if err := core.Apply(d); err != nil {
				return err
			}
			rows[i] = d.Segment
		}
		for i := range applied {
			applied[i].Ended = applied[i].Ended || core.Ended(applied[i].Process)
		}
		if err := tx.AddSegments(ctx, rows); err != nil {
			return err
		}
		if err := tx.Write(ctx, core.Settlement()); err != nil {
			return err
		}
		stats = core.Stats()
		stats.Segments = int64(len(fresh))
		return tx.Advance(ctx, applied)
	})
	return stats, err
}

// makeRoom makes sure that the hours of the segments have partitions to be written
// to, those hours that are sane at the moment it returns.
func (f *follower) makeRoom(ctx context.Context, segments []*Digest) (time.Time, error) {
	now, err := f.settler.Now(ctx)
	if err != nil {
		return now, err
	}
	hours := make(map[int64]struct{})
	note := func(hour int64) {
		if postgres.SaneHour(time.Unix(hour, 0), now) {
			hours[hour] = struct{}{}
		}
	}
	for _, d := range segments {
		for i := range d.places {
			note(d.places[i].cell.Hour)
		}
		for i := range d.counts {
			note(d.counts[i].key.Hour)
		}
	}
	return now, f.settler.EnsurePartitions(ctx, slices.Collect(maps.Keys(hours)))
}

// book returns those of the segments that are not settled yet, with how far each
// stream will be. What does not follow on a stream's last settled segment is left
// out: another settler was faster, or the stream stalled.
func book(ctx context.Context, tx *postgres.SettleTx, segments []*Digest) (fresh []*Digest, applied []postgres.Applied, err error) {
	var ids []ulid.ULID
	for _, s := range segments {
		ids = append(ids, s.Process)
	}
	streams, err := tx.Streams(ctx, ids)
	if err != nil {
		return nil, nil, err
	}
	var next []*Digest
	var keys []postgres.SegmentKey
	for _, s := range segments {
		if at, ok := streams[s.Process]; !ok || s.Seq != at+1 {
			continue
		}
		streams[s.Process] = s.Seq
		next, keys = append(next, s), append(keys, s.SegmentKey)
		if n := len(applied); n > 0 && applied[n-1].Process == s.Process {
			applied[n-1].Segment = s.Seq
		} else {
			applied = append(applied, postgres.Applied{Process: s.Process, Segment: s.Seq})
		}
		if s.Records > 0 {
			last := &applied[len(applied)-1]
			last.At, last.Ended = s.LastAt, s.ending
		}
	}
	booked, err := tx.BookedSegments(ctx, keys)
	if err != nil {
		return nil, nil, err
	}
	for _, s := range next {
		if !booked[s.SegmentKey] {
			fresh = append(fresh, s)
		}
	}
	return fresh, applied, nil
}

// load reads and locks all that the segments' records name.
func (f *follower) load(ctx context.Context, tx *postgres.SettleTx, segments []*Digest, hoursAt time.Time) (*Core, error) {
	needs := newNeeds()
	for _, s := range segments {
		needs.add(s)
	}
	state := State{Now: tx.Now, HoursAt: hoursAt, Folded: tx.Folded, LongestHold: f.cfg.Bank.LongestHold}
	ids := needs.leaseIDs()
	if err := addUnknown(ctx, tx, needs, ids); err != nil {
		return nil, err
	}
	var err error
	if state.Leases, err = tx.Leases(ctx, ids, needs.endingIDs()); err != nil {
		return nil, err
	}
	if state.Bits, err = tx.Bits(ctx, needs.bitsKeys()); err != nil {
		return nil, err
	}
	if state.Terms, err = tx.ConversionTerms(ctx, needs.converting()); err != nil {
		return nil, err
	}
	if state.Converted, err = tx.Conversions(ctx, needs.conversionKeys(state.Terms)); err != nil {
		return nil, err
	}
	return NewCore(state), nil
}

// addUnknown makes leases known that only the log knows, but those that are so
// old that they may have been folded away.
func addUnknown(ctx context.Context, tx *postgres.SettleTx, needs *needs, ids []ulid.ULID) error {
	unknown, err := tx.UnknownLeases(ctx, ids)
	if err != nil {
		return err
	}
	var added []postgres.NewLease
	for _, id := range unknown {
		if !ulid.Time(id.Time()).Before(tx.Folded) {
			added = append(added, needs.leases[id])
		}
	}
	if len(added) == 0 {
		return nil
	}
	return tx.AddLeases(ctx, added)
}
