package postgres

import (
	"context"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/oklog/ulid/v2"

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

// JobPlan says that a job ought to run, and how often.
type JobPlan struct {
	Name     string
	Schedule string        // as cron has it; "": it follows the events without end
	Every    time.Duration // longest time from one start to the next
}

// PlanJobs notes which jobs ought to run; those that are not among them are forgotten.
func (db *DB) PlanJobs(ctx context.Context, plans []JobPlan) error {
	names, schedules, every := make([]string, len(plans)), make([]string, len(plans)), make([]float64, len(plans))
	for i, p := range plans {
		names[i], schedules[i], every[i] = p.Name, p.Schedule, p.Every.Seconds()
	}
	// What stands there already is not written again: every run of every job says the same.
	_, err := db.Pool.Exec(ctx, `
		WITH forgotten AS (DELETE FROM job WHERE name <> ALL($1))
		INSERT INTO job AS j (name, schedule, every)
		SELECT n.name, n.schedule, make_interval(secs => n.every)
		FROM unnest($1::text[], $2::text[], $3::double precision[]) AS n (name, schedule, every) ORDER BY n.name
		ON CONFLICT (name) DO UPDATE SET schedule = excluded.schedule, every = excluded.every
		WHERE (j.schedule, j.every) IS DISTINCT FROM (excluded.schedule, excluded.every)`, names, schedules, every)
	if err != nil {
		return fmt.Errorf("note which jobs ought to run: %w", err)
	}
	return nil
}

// JobHealth is how one job does.
type JobHealth struct {
	JobPlan
	Now         time.Time     // by the database's clock
	Since       time.Time     // since when it ought to run
	Last        JobRun        // the newest run that did not leave the work to another; ID 0: it never ran
	SucceededAt time.Time     // end of the newest run that was well; zero: none
	Lag         time.Duration // how far it is behind by now; 0: it has no such thing
}

// SuccessAge is the time since the job's last success; since it ought to run when
// there was none.
func (h JobHealth) SuccessAge() time.Duration {
	at := h.SucceededAt
	if at.Before(h.Since) {
		at = h.Since
	}
	return max(h.Now.Sub(at), 0)
}

// DueAt is when the job ought to have been started next at the latest.
func (h JobHealth) DueAt() time.Time {
	at := h.Last.StartedAt
	if at.Before(h.Since) {
		at = h.Since
	}
	return at.Add(h.Every)
}

// Missed tells whether the job has not succeeded for so long that somebody should
// look: a tenth beyond its interval and 5 minutes, for the run itself.
func (h JobHealth) Missed() bool { return h.SuccessAge() > h.Every+h.Every/10+5*time.Minute }

// JobHealth tells how all jobs do that ought to run, in the order of their names.
// It is for operators.
func (db *DB) JobHealth(ctx context.Context, actor Actor) ([]JobHealth, error) {
	if err := actor.only(ad.RoleOperator); err != nil {
		return nil, err
	}
	// The lag of a job that has not run since is the older by that time; settle's is the watermark's age.
	found, err := many(ctx, db.Pool, scanJobHealth, `
		SELECT j.name, j.schedule, extract(epoch FROM j.every)::double precision, clock_timestamp(), j.since,
			COALESCE(r.id, 0), r.started_at, r.ended_at, COALESCE(r.outcome, ''), COALESCE(r.message, ''), COALESCE(r.lag, '0'),
			w.ended_at,
			CASE WHEN j.name = 'settle' THEN COALESCE((SELECT GREATEST(bank_now() - watermark, '0') FROM settlement), '0')
				WHEN w.lag IS NULL THEN '0' ELSE w.lag + (clock_timestamp() - w.ended_at) END
		FROM job j
		LEFT JOIN LATERAL (SELECT id, started_at, ended_at, outcome, message, lag FROM job_run
			WHERE job = j.name AND outcome <> 'locked' ORDER BY started_at DESC, id DESC LIMIT 1) r ON true
		LEFT JOIN LATERAL (SELECT ended_at, lag FROM job_run
			WHERE job = j.name AND outcome = 'ok' ORDER BY started_at DESC, id DESC LIMIT 1) w ON true
		ORDER BY j.name`)
	if err != nil {
		return nil, fmt.Errorf("how the jobs do: %w", err)
	}
	return found, nil
}

func scanJobHealth(row pgx.CollectableRow) (h JobHealth, err error) {
	var every float64
	var start, end, success *time.Time
	err = row.Scan(&h.Name, &h.Schedule, &every, &h.Now, &h.Since, &h.Last.ID, &start, &end, &h.Last.Outcome, &h.Last.Message, &h.Last.Lag,
		&success, &h.Lag)
	h.Every = time.Duration(every * float64(time.Second)).Round(time.Millisecond)
	h.Now, h.Since, h.SucceededAt = h.Now.UTC(), h.Since.UTC(), timeOrZero(success)
	h.Last.Job, h.Last.StartedAt, h.Last.EndedAt = h.Name, timeOrZero(start), timeOrZero(end)
	return h, err
}

// TruthHealth is what stands between the events and the books.
type TruthHealth struct {
	Now       time.Time
	Watermark time.Time // zero: nothing was ever settled
	Halted    string    // why nothing is granted or settled until `batch rebuild`; "": it is
	Spooled   int64     // segments that wait in the database for the bucket
	Stalled   int64     // streams that settle cannot go on with …
	Stuck     []Stuck   // … and the first of them
	LakeHour  time.Time // the newest hour that the lake has; zero: none
	LakeOpen  int64     // its files that are announced and not written yet
}

// Stuck is a stream that settle cannot go on with before an operator has looked.
type Stuck struct {
	Process ulid.ULID
	Segment uint64 // where it stands
	Why     string
}

// mostStuck streams are shown.
const mostStuck = 20

// TruthHealth tells how the way from the events to the books is. It is for operators.
func (db *DB) TruthHealth(ctx context.Context, actor Actor) (TruthHealth, error) {
	if err := actor.only(ad.RoleOperator); err != nil {
		return TruthHealth{}, err
	}
	found, err := one(ctx, db.Pool, scanTruthHealth, `
		SELECT bank_now(), watermark, halted,
			(SELECT count(*) FROM spool), (SELECT count(*) FROM process WHERE stalled <> ''),
			(SELECT max(hour) FROM lake_part WHERE written_at IS NOT NULL), (SELECT count(*) FROM lake_part WHERE written_at IS NULL)
		FROM settlement`)
	if err != nil {
		return TruthHealth{}, fmt.Errorf("how the books do: %w", err)
	}
	found.Stuck, err = many(ctx, db.Pool, scanStuck, `
		SELECT id, applied_segment + 1, stalled FROM process WHERE stalled <> '' ORDER BY id LIMIT $1`, mostStuck)
	if err != nil {
		return TruthHealth{}, fmt.Errorf("which streams stand still: %w", err)
	}
	return found, nil
}

func scanStuck(row pgx.CollectableRow) (s Stuck, err error) {
	err = row.Scan((*[16]byte)(&s.Process), &s.Segment, &s.Why)
	return s, err
}

func scanTruthHealth(row pgx.CollectableRow) (h TruthHealth, err error) {
	var watermark, hour *time.Time
	err = row.Scan(&h.Now, &watermark, &h.Halted, &h.Spooled, &h.Stalled, &hour, &h.LakeOpen)
	h.Now, h.Watermark, h.LakeHour = h.Now.UTC(), timeOrZero(watermark), timeOrZero(hour)
	return h, err
}

// TryLock takes the advisory lock of this name for as long as the connection
// lives, or says at once that another one holds it. The lock belongs to the
// session: keep conn out of the pool, and close it to give the lock back.
func TryLock(ctx context.Context, conn *pgx.Conn, name string) (bool, error) {
	// Advisory locks are numbered; the prefix keeps us apart from other users of the database.
	return one(ctx, conn, pgx.RowTo[bool], "SELECT pg_try_advisory_lock(hashtextextended('hayate/' || $1, 0))", name)
}
