package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/oklog/ulid/v2"
)

// Segment is one segment that a batch settles.
type Segment struct {
	SegmentKey
	SHA256   [32]byte
	Records  int
	FirstAt  time.Time // log time of its first record; zero: it has none
	LastAt   time.Time // … and of its last
	Outcomes []byte    // see event.AppendOutcomes
	Skipped  string    // why an operator went on without it; "": it is settled
}

// SegmentKey names a segment.
type SegmentKey struct {
	Process ulid.ULID
	Seq     uint64
}

// BookedSegments returns those of segments that were booked before.
func (t *SettleTx) BookedSegments(ctx context.Context, segments []SegmentKey) (map[SegmentKey]bool, error) {
	ids, seqs := make([]ulid.ULID, len(segments)), make([]int64, len(segments))
	for i, s := range segments {
		ids[i], seqs[i] = s.Process, int64(s.Seq)
	}
	rows, err := t.tx.Query(ctx, `
		SELECT s.process_id, s.seq FROM unnest($1::uuid[], $2::bigint[]) AS n (process_id, seq)
		JOIN segment s USING (process_id, seq)`, ids, seqs)
	if err != nil {
		return nil, fmt.Errorf("look segments up: %w", err)
	}
	booked := make(map[SegmentKey]bool)
	var k SegmentKey
	if _, err := pgx.ForEachRow(rows, []any{(*[16]byte)(&k.Process), &k.Seq}, func() error {
		booked[k] = true
		return nil
	}); err != nil {
		return nil, fmt.Errorf("look segments up: %w", err)
	}
	return booked, nil
}

// AddSegments books segments, with what became of their records, as settled by
// this batch. That one is booked twice breaks the primary key: no charge is ever
// written twice.
func (t *SettleTx) AddSegments(ctx context.Context, segments []Segment) error {
	n := len(segments)
	if n == 0 {
		return nil
	}
	ids, seqs, sums, records := make([]ulid.ULID, n), make([]int64, n), make([][]byte, n), make([]int64, n)
	firstAt, lastAt := make([]*time.Time, n), make([]*time.Time, n)
	outcomes, skipped := make([][]byte, n), make([]string, n)
	for i := range segments {
		s := &segments[i]
		ids[i], seqs[i], sums[i], records[i] = s.Process, int64(s.Seq), s.SHA256[:], int64(s.Records)
		firstAt[i], lastAt[i] = timeOrNull(s.FirstAt), timeOrNull(s.LastAt)
		outcomes[i], skipped[i] = s.Outcomes, s.Skipped
		if outcomes[i] == nil {
			outcomes[i] = []byte{}
		}
	}
	_, err := t.tx.Exec(ctx, `
		INSERT INTO segment (process_id, seq, sha256, records, first_at, last_at, outcomes, skipped, batch)
		SELECT n.process_id, n.seq, n.sha256, n.records, n.first_at, n.last_at, n.outcomes, n.skipped, $9
		FROM unnest($1::uuid[], $2::bigint[], $3::bytea[], $4::bigint[], $5::timestamptz[], $6::timestamptz[], $7::bytea[], $8::text[])
			AS n (process_id, seq, sha256, records, first_at, last_at, outcomes, skipped)`,
		ids, seqs, sums, records, firstAt, lastAt, outcomes, skipped, t.Batch)
	if err != nil {
		return fmt.Errorf("book segments: %w", err)
	}
	return nil
}
