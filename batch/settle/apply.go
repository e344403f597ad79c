package settle

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/oklog/ulid/v2"

	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// applyPatience bounds one transaction, so that a server that stopped answering
// ends the session instead of holding it for ever.
const applyPatience = 2 * time.Minute

// apply settles a batch in one transaction. If Postgres refuses its content, the
// batch is halved until the one segment is found whose stream cannot go on.
func (f *follower) apply(ctx context.Context, segments []*segment) error {
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
		return f.stall(ctx, segments[0].Process, "Postgres refuses what it says: "+err.Error())
	}
	half := len(segments) / 2
	if err := f.apply(ctx, segments[:half]); err != nil {
		return err
	}
	return f.apply(ctx, segments[half:])
}

// refused tells whether Postgres found fault with data rather than with itself:
// a data exception or a broken constraint.
func refused(err error) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && (pgErr.Code[:2] == "22" || pgErr.Code[:2] == "23")
}

func (f *follower) applyOnce(ctx context.Context, segments []*segment) (stats Stats, err error) {
	ctx, cancel := context.WithTimeout(ctx, applyPatience)
	defer cancel()
	err = f.settler.InTx(ctx, func(tx *postgres.SettleTx) error {
		fresh, applied, err := book(ctx, tx, segments)
		if err != nil || len(applied) == 0 {
			return err
		}
		core, err := f.load(ctx, tx, fresh)
		if err != nil {
			return err
		}
		for _, s := range fresh {
			for i := range s.records {
				if err := core.Apply(s.Process, &s.records[i]); err != nil {
					return err
				}
			}
		}
		for i := range applied {
			applied[i].Ended = applied[i].Ended || core.Ended(applied[i].Process)
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

// book notes the segments as settled and returns those that were not yet, with
// how far each stream now is. What does not follow on a stream's last settled
// segment is left out: another settler was faster, or the stream stalled.
func book(ctx context.Context, tx *postgres.SettleTx, segments []*segment) (fresh []*segment, applied []postgres.Applied, err error) {
	var ids []ulid.ULID
	for _, s := range segments {
		ids = append(ids, s.Process)
	}
	streams, err := tx.Streams(ctx, ids)
	if err != nil {
		return nil, nil, err
	}
	var next []*segment
	var rows []postgres.Segment
	for _, s := range segments {
		if at, ok := streams[s.Process]; !ok || s.Seq != at+1 {
			continue
		}
		streams[s.Process] = s.Seq
		next, rows = append(next, s), append(rows, s.Segment)
		if n := len(applied); n > 0 && applied[n-1].Process == s.Process {
			applied[n-1].Segment = s.Seq
		} else {
			applied = append(applied, postgres.Applied{Process: s.Process, Segment: s.Seq})
		}
		if n := len(s.records); n > 0 {
			last := &applied[len(applied)-1]
			last.At, last.Ended = s.LastAt, s.records[n-1].Type == event.End
		}
	}
	isNew, err := tx.AddSegments(ctx, rows)
	if err != nil {
		return nil, nil, err
	}
	for i, s := range next {
		if isNew[i] {
			fresh = append(fresh, s)
		}
	}
	return fresh, applied, nil
}

// load reads and locks all that the segments' records name.
func (f *follower) load(ctx context.Context, tx *postgres.SettleTx, segments []*segment) (*Core, error) {
	needs := newNeeds()
	for _, s := range segments {
		for i := range s.records {
			needs.add(s.Process, &s.records[i])
		}
	}
	ids := needs.leaseIDs()
	unknown, err := tx.UnknownLeases(ctx, ids)
	if err != nil {
		return nil, err
	}
	if len(unknown) > 0 {
		added := make([]postgres.NewLease, len(unknown))
		for i, id := range unknown {
			added[i] = needs.leases[id]
		}
		if err := tx.AddLeases(ctx, added); err != nil {
			return nil, err
		}
	}
	state := State{Now: tx.Now, LongestHold: f.cfg.Bank.LongestHold}
	if state.Leases, err = tx.Leases(ctx, ids, needs.endingIDs()); err != nil {
		return nil, err
	}
	if state.Bits, err = tx.Bits(ctx, needs.bitsKeys()); err != nil {
		return nil, err
	}
	if state.Shares, err = tx.Shares(ctx, needs.placementIDs()); err != nil {
		return nil, err
	}
	return NewCore(state), nil
}
