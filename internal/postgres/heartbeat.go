package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/oklog/ulid/v2"
)

// stopOverlap is how far before StopsSince stops are repeated. A transaction
// stamps its stop before it commits, so a stop may appear with an older stamp
// than the last answer; no transaction of the console lasts this long.
const stopOverlap = 60 * time.Second

// Heartbeat notes that a process lives and how far its log is safe, and answers
// what it has to know: the bank's time, stops, and leases that others need.
//
// A process that is lost, ended, or whose stream is stalled is answered Lost;
// nothing is noted for it then. One that was granted a lease of which the bank
// knows nothing proves that the database is older than the process: all granting
// and settling halts, and the error is [ErrRebuild].
func (db *DB) Heartbeat(ctx context.Context, beat Heartbeat) (HeartbeatAnswer, error) {
	answer, err := inTx(ctx, db, func(tx pgx.Tx) (HeartbeatAnswer, error) {
		if err := knows(ctx, tx, beat); err != nil {
			return HeartbeatAnswer{}, err
		}
		answer, err := noteHeartbeat(ctx, tx, beat)
		if err != nil || answer.Lost {
			return answer, err
		}
		if answer.Stops, err = changedStops(ctx, tx, beat.StopsSince.Add(-stopOverlap)); err != nil {
			return answer, err
		}
		answer.Recalled, err = many(ctx, tx, scanULID, `
			SELECT id FROM lease WHERE process_id = $1 AND state = 'open' AND recalled ORDER BY id`, beat.Process)
		return answer, err
	})
	if errors.Is(err, ErrRebuild) {
		err = errors.Join(err, halt(ctx, db.Pool, err.Error()))
	}
	if err != nil {
		return HeartbeatAnswer{}, fmt.Errorf("heartbeat of process %s: %w", beat.Process, err)
	}
	return answer, nil
}

// noteHeartbeat keeps the newest of safe_at and safe_segment, which only rise
// together, so that a beat that was held up on its way does no harm. What a
// process claims of the future is cut to now: the watermark rests on it.
func noteHeartbeat(ctx context.Context, tx pgx.Tx, beat Heartbeat) (HeartbeatAnswer, error) {
	var answer HeartbeatAnswer
	err := tx.QueryRow(ctx, `
		INSERT INTO process AS p (id, started_at, heartbeat_at, safe_at, safe_segment)
		SELECT $1, LEAST($2, t.now), t.now, LEAST($3, t.now), $4
		FROM (SELECT bank_now() AS now) t
		ON CONFLICT (id) DO UPDATE SET
			heartbeat_at = excluded.heartbeat_at,
			safe_at      = GREATEST(p.safe_at, excluded.safe_at),
			safe_segment = GREATEST(p.safe_segment, excluded.safe_segment)
		WHERE p.state = 'running' AND p.stalled = ''
		RETURNING p.heartbeat_at`,
		beat.Process, beat.StartedAt, timeOrNull(beat.SafeAt), int64(beat.SafeSegment)).Scan(&answer.Now)
	if errors.Is(err, pgx.ErrNoRows) {
		answer.Lost = true
		err = tx.QueryRow(ctx, "SELECT bank_now()").Scan(&answer.Now)
	}
	answer.Now = answer.Now.UTC()
	return answer, err
}

func changedStops(ctx context.Context, tx pgx.Tx, since time.Time) ([]Stop, error) {
	return many(ctx, tx, pgx.RowToStructByPos[Stop], `
		SELECT kind, item_id, stopped FROM stop WHERE changed_at >= $1 ORDER BY changed_at, kind, item_id`, since)
}

func scanULID(row pgx.CollectableRow) (id ulid.ULID, err error) {
	err = row.Scan((*[16]byte)(&id))
	return id, err
}
