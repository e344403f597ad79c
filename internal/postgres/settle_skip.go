package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/oklog/ulid/v2"
)

// ErrNotNext says that a stream does not stand at the segment that was named.
var ErrNotNext = errors.New("the stream does not stand at this segment")

// FindProcess returns one process; [ErrNotFound] if the bank does not know it.
func (db *DB) FindProcess(ctx context.Context, id ulid.ULID) (Process, error) {
	return one(ctx, db.Pool, scanProcess, "SELECT "+processColumns+" FROM process WHERE id = $1", id)
}

// Skip is a segment that settle goes on without.
type Skip struct {
	SegmentKey
	Why    string    // an operator's reason; reconcile shows it
	SHA256 [32]byte  // of what is there instead; zero: nothing is
	From   time.Time // log time that the loss begins at; zero: where the stream stands
	To     time.Time // … and ends at, if it is known
}

// SkipSegment books a segment as skipped: what it holds is lost, and its stream
// goes on with the next one. It works beside a settler, which sees it between two
// batches. It fails with [ErrNotNext] unless the stream stands at the segment and
// is stalled, and with [ErrRebuild] while everything is halted.
func (db *DB) SkipSegment(ctx context.Context, s Skip) error {
	return InTx(ctx, db.Pool, func(tx pgx.Tx) error {
		var batch int64
		var halted string
		err := tx.QueryRow(ctx, "UPDATE settlement SET batch = batch + 1 RETURNING batch, halted").Scan(&batch, &halted)
		switch {
		case err != nil:
			return fmt.Errorf("begin to skip: %w", err)
		case halted != "":
			return fmt.Errorf("%w (%s)", ErrRebuild, halted)
		}
		var at time.Time
		err = tx.QueryRow(ctx, `
			UPDATE process SET applied_segment = $2, stalled = ''
			WHERE id = $1 AND applied_segment = $2 - 1 AND stalled <> '' AND state <> 'ended'
			RETURNING COALESCE(applied_at, started_at)`, s.Process, int64(s.Seq)).Scan(&at)
		if errors.Is(err, pgx.ErrNoRows) {
			return fmt.Errorf("segment %d of process %s: %w", s.Seq, s.Process, ErrNotNext)
		}
		if err != nil {
			return fmt.Errorf("skip segment %d of process %s: %w", s.Seq, s.Process, err)
		}
		from, to := s.From, s.To
		if from.IsZero() {
			from = at
		}
		if to.Before(from) {
			to = from
		}
		t := &SettleTx{tx: tx, Batch: batch}
		return t.AddSegments(ctx, []Segment{{SegmentKey: s.SegmentKey, SHA256: s.SHA256, FirstAt: from, LastAt: to, Skipped: s.Why}})
	})
}

// Resume lets settle look again at a stalled stream whose next segment was
// repaired. It fails with [ErrNotNext] unless the stream stands there and is stalled.
func (db *DB) Resume(ctx context.Context, key SegmentKey) error {
	tag, err := db.Pool.Exec(ctx, "UPDATE process SET stalled = '' WHERE id = $1 AND applied_segment = $2 - 1 AND stalled <> ''",
		key.Process, int64(key.Seq))
	if err == nil && tag.RowsAffected() == 0 {
		err = ErrNotNext
	}
	if err != nil {
		return fmt.Errorf("segment %d of process %s: %w", key.Seq, key.Process, err)
	}
	return nil
}
