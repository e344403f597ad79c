package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/oklog/ulid/v2"
)

// ErrSpooled: the spool has another body for this segment. A segment's bytes
// never change, so one of the two is not what its process logged.
var ErrSpooled = errors.New("the spool has other bytes for this segment")

// Spool keeps a sealed segment that its process could not put into the bucket;
// settle brings it there. It is durable when Spool returns nil. The same segment
// may come any number of times: the first stays, and another body than its is
// [ErrSpooled].
func (db *DB) Spool(ctx context.Context, process ulid.ULID, seq uint64, body []byte) error {
	var same *bool // nil: the insert met a row that its statement does not see yet
	err := db.Pool.QueryRow(ctx, `
		WITH added AS (
			INSERT INTO spool (process_id, seq, body) VALUES ($1, $2, $3)
			ON CONFLICT (process_id, seq) DO NOTHING
			RETURNING true
		)
		SELECT coalesce((SELECT true FROM added), (SELECT body = $3 FROM spool WHERE process_id = $1 AND seq = $2))`,
		[16]byte(process), int64(seq), body).Scan(&same)
	switch {
	case err != nil:
		return fmt.Errorf("spool segment %d of process %s: %w", seq, process, err)
	case same == nil:
		return fmt.Errorf("spool segment %d of process %s: another try is just ending, ask again", seq, process)
	case !*same:
		return fmt.Errorf("%w: %d of process %s", ErrSpooled, seq, process)
	}
	return nil
}

// Spooled lists segments in the spool, each stream's in order, 10,000 at most. Of
// each stream there are the first ones, so that none that cannot go on hides others.
func (db *DB) Spooled(ctx context.Context) ([]SegmentKey, error) {
	keys, err := many(ctx, db.Pool, scanSegmentKey, `
		SELECT process_id, seq FROM (
			SELECT process_id, seq, row_number() OVER (PARTITION BY process_id ORDER BY seq) AS place FROM spool
			ORDER BY place, process_id LIMIT 10000) s
		ORDER BY process_id, seq`)
	if err != nil {
		return nil, fmt.Errorf("list the spool: %w", err)
	}
	return keys, nil
}

// SpooledBody returns a segment's bytes; [ErrNotFound] if it is not in the spool
// any more.
func (db *DB) SpooledBody(ctx context.Context, key SegmentKey) ([]byte, error) {
	body, err := one(ctx, db.Pool, pgx.RowTo[[]byte], "SELECT body FROM spool WHERE process_id = $1 AND seq = $2",
		[16]byte(key.Process), int64(key.Seq))
	if err != nil {
		return nil, fmt.Errorf("spooled segment %d of process %s: %w", key.Seq, key.Process, err)
	}
	return body, nil
}

// IsSpooled tells whether the spool has a segment.
func (db *DB) IsSpooled(ctx context.Context, key SegmentKey) (spooled bool, err error) {
	err = db.Pool.QueryRow(ctx, "SELECT EXISTS (SELECT FROM spool WHERE process_id = $1 AND seq = $2)",
		[16]byte(key.Process), int64(key.Seq)).Scan(&spooled)
	if err != nil {
		return false, fmt.Errorf("look for segment %d of process %s in the spool: %w", key.Seq, key.Process, err)
	}
	return spooled, nil
}

// Unspool removes a segment that the bucket has, durably and with the same bytes.
func (db *DB) Unspool(ctx context.Context, key SegmentKey) error {
	_, err := db.Pool.Exec(ctx, "DELETE FROM spool WHERE process_id = $1 AND seq = $2", [16]byte(key.Process), int64(key.Seq))
	if err != nil {
		return fmt.Errorf("take segment %d of process %s out of the spool: %w", key.Seq, key.Process, err)
	}
	return nil
}
