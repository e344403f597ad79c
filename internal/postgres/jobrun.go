package postgres

import (
	"context"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"github.com/hayate-ads/hayate/internal/ad"
)

// Outcome is how a run of a job ended; the list is closed, being a metric tag.
type Outcome string

const (
	RunRunning Outcome = "running"
	RunOK      Outcome = "ok"
	RunFailed  Outcome = "failed"
	RunTimeout Outcome = "timeout"
	RunLocked  Outcome = "locked" // another process holds the job's lock: a normal end
)

// JobRun is one run of a batch job. One whose process died stays "running".
type JobRun struct {
	ID        int64
	Job       string
	StartedAt time.Time
	EndedAt   time.Time // zero: not yet
	Outcome   Outcome
	Message   string
	Lag       time.Duration // see [JobResult]
}

// JobResult is what a run says of itself.
type JobResult struct {
	Message string        // one line: what it did
	Lag     time.Duration // how far behind its input the job was left; 0: it has no such thing
}

// StartRun notes that a job begins and returns the run's id.
func (db *DB) StartRun(ctx context.Context, job string) (int64, error) {
	return one(ctx, db.Pool, pgx.RowTo[int64], "INSERT INTO job_run (job, started_at) VALUES ($1, clock_timestamp()) RETURNING id", job)
}

// longestMessage bounds what is kept of an error.
const longestMessage = 2000

// EndRun notes how a run ended.
func (db *DB) EndRun(ctx context.Context, id int64, outcome Outcome, result JobResult) error {
	message := result.Message
	if len(message) > longestMessage {
		cut := longestMessage
		for !utf8.RuneStart(message[cut]) {
			cut--
		}
		message = message[:cut] + "…"
	}
	var lag *time.Duration
	if result.Lag != 0 {
		lag = &result.Lag
	}
	tag, err := db.Pool.Exec(ctx, `
		UPDATE job_run SET ended_at = clock_timestamp(), outcome = $2, message = $3, lag = $4 WHERE id = $1`,
		id, outcome, message, lag)
	if err == nil && tag.RowsAffected() == 0 {
		err = fmt.Errorf("run %d: %w", id, ErrNotFound)
	}
	return err
}

// LastRuns returns the newest run of each job, in the order of their names. It is
// for operators.
func (db *DB) LastRuns(ctx context.Context, actor Actor) ([]JobRun, error) {
	if err := actor.only(ad.RoleOperator); err != nil {
		return nil, err
	}
	return many(ctx, db.Pool, scanJobRun, `
		SELECT DISTINCT ON (job) id, job, started_at, ended_at, outcome, message, coalesce(lag, '0')
		FROM job_run ORDER BY job, started_at DESC, id DESC`)
}

func scanJobRun(row pgx.CollectableRow) (r JobRun, err error) {
	var end *time.Time
	err = row.Scan(&r.ID, &r.Job, &r.StartedAt, &end, &r.Outcome, &r.Message, &r.Lag)
	r.StartedAt, r.EndedAt = r.StartedAt.UTC(), timeOrZero(end)
	return r, err
}

// TryLock takes the advisory lock of this name for as long as the connection
// lives, or says at once that another one holds it. The lock belongs to the
// session: keep conn out of the pool, and close it to give the lock back.
func TryLock(ctx context.Context, conn *pgx.Conn, name string) (bool, error) {
	// Advisory locks are numbered; the prefix keeps us apart from other users of the database.
	return one(ctx, conn, pgx.RowTo[bool], "SELECT pg_try_advisory_lock(hashtextextended('hayate/' || $1, 0))", name)
}
