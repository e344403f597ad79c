package postgres

import (
	"context"
	"errors"
	"fmt"

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
