package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/oklog/ulid/v2"
)

// ErrProcessLost tells a process that the bank has given it up: it seals its
// stream, mints a new id and goes on under that (design §5.3).
var ErrProcessLost = errors.New("the bank has declared this process lost, or its stream ended: seal it and go on under a new id")

// ErrRebuild says that the event log knows of money that this database does not,
// as after a restore from a backup. Nothing is granted or settled until the
// ledger is made again from the log, or money would be spent twice.
var ErrRebuild = errors.New("the database is older than the event log: run `batch rebuild`")

// ProcessState is where a process stands in the bank's eyes.
type ProcessState string

const (
	ProcessRunning ProcessState = "running"
	ProcessLost    ProcessState = "lost"  // no heartbeat for long; its stream may still arrive
	ProcessEnded   ProcessState = "ended" // its stream is settled to the end
)

// Process is one run of a delivery server, as settle sees it.
type Process struct {
	ID          ulid.ULID
	State       ProcessState
	HeartbeatAt time.Time
	SafeSegment uint64 // the process has logged at least up to here …
	Applied     uint64 // … and settle has applied this far; 0: nothing yet
	Stalled     string // why settle cannot go on with its stream, "" if it can
}

// admit makes the process known and refuses one that may not lease. It stands in
// a transaction of its own: settle writes process rows while it holds accounts,
// so a grant that holds accounts must never wait for a process row.
func (db *DB) admit(ctx context.Context, process ulid.ULID) error {
	if err := addProcesses(ctx, db.Pool, []ulid.ULID{process}); err != nil {
		return err
	}
	var state ProcessState
	var stalled, halted string
	var checked bool
	err := db.Pool.QueryRow(ctx, `
		SELECT p.state, p.stalled, s.halted, s.checked
		FROM process p CROSS JOIN (SELECT halted, `+isChecked+` AS checked FROM settlement) s WHERE p.id = $1`,
		process).Scan(&state, &stalled, &halted, &checked)
	switch {
	case err != nil:
		return fmt.Errorf("read process %s: %w", process, err)
	case halted != "":
		return fmt.Errorf("%w (%s)", ErrRebuild, halted)
	case !checked:
		return ErrUnchecked
	case state != ProcessRunning || stalled != "":
		return ErrProcessLost
	}
	return nil
}

// addProcesses inserts those that are unknown, as running since the time in
// their ids: nothing of theirs was logged before.
func addProcesses(ctx context.Context, q querier, ids []ulid.ULID) error {
	starts := make([]time.Time, len(ids))
	for i, id := range ids {
		starts[i] = ulid.Time(id.Time())
	}
	_, err := q.Exec(ctx, `
		INSERT INTO process (id, started_at)
		SELECT n.id, LEAST(n.started_at, bank_now())
		FROM unnest($1::uuid[], $2::timestamptz[]) AS n (id, started_at)
		ORDER BY n.id
		ON CONFLICT (id) DO NOTHING`, ids, starts)
	if err != nil {
		return fmt.Errorf("add processes: %w", err)
	}
	return nil
}

func scanProcess(row pgx.CollectableRow) (p Process, err error) {
	err = row.Scan((*[16]byte)(&p.ID), &p.State, &p.HeartbeatAt, &p.SafeSegment, &p.Applied, &p.Stalled)
	return p, err
}

// processColumns are what scanProcess reads.
const processColumns = "id, state, heartbeat_at, safe_segment, applied_segment, stalled"
