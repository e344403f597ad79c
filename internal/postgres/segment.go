package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/oklog/ulid/v2"
)

// SettledSegment is a segment in the ledger's eyes.
type SettledSegment struct {
	Process  ulid.ULID
	Seq      uint64
	SHA256   [32]byte
	Records  int64
	FirstAt  time.Time // log time of its first record, zero: it has none
	LastAt   time.Time // … and of its last
	Batch    int64     // the transaction that settled it
	Outcomes []byte    // see event.ParseOutcomes
	Skipped  string    // why an operator went on without it; "" it is settled
}

// SegmentRange picks settled segments: those with a record logged at or after
// From and before To, settled by batches after AfterBatch and up to ThroughBatch.
// Zero bounds do not narrow.
type SegmentRange struct {
	From, To                 time.Time
	AfterBatch, ThroughBatch int64
}

// SettledSegments returns segments in the order in which settle applied them:
// by batch, process and sequence. The query is not prepared: which index serves
// it depends on the bounds.
func (q Queries) SettledSegments(ctx context.Context, r SegmentRange) ([]SettledSegment, error) {
	found, err := many(ctx, q.q, scanSettledSegment, `
		SELECT process_id, seq, sha256, records, first_at, last_at, batch, outcomes, skipped
		FROM segment
		WHERE ($1::timestamptz IS NULL OR last_at >= $1) AND ($2::timestamptz IS NULL OR first_at < $2)
			AND batch > $3 AND ($4 = 0 OR batch <= $4)
		ORDER BY batch, process_id, seq`, pgx.QueryExecModeExec, timeOrNull(r.From), timeOrNull(r.To), r.AfterBatch, r.ThroughBatch)
	if err != nil {
		return nil, fmt.Errorf("list settled segments: %w", err)
	}
	return found, nil
}

func scanSettledSegment(row pgx.CollectableRow) (s SettledSegment, err error) {
	var sum []byte
	var first, last *time.Time
	err = row.Scan((*[16]byte)(&s.Process), &s.Seq, &sum, &s.Records, &first, &last, &s.Batch, &s.Outcomes, &s.Skipped)
	copy(s.SHA256[:], sum)
	s.FirstAt, s.LastAt = timeOrZero(first).UTC(), timeOrZero(last).UTC()
	return s, err
}

// Queries reads: from the database as it goes on, or from one moment of it.
type Queries struct{ q querier }

// Queries reads the newest.
func (db *DB) Queries() Queries { return Queries{db.Pool} }

// Frozen runs work with what the database is at one moment: all its queries see
// the same batches settled.
func (db *DB) Frozen(ctx context.Context, work func(Queries) error) error {
	options := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	return pgx.BeginTxFunc(ctx, db.Pool, options, func(tx pgx.Tx) error { return work(Queries{tx}) })
}
