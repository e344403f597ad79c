package batch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/hayate-ads/hayate/internal/postgres"
	"github.com/hayate-ads/hayate/internal/telemetry"
)

// Runner runs jobs: lock, timeout, a row in job_run, log line and metrics.
type Runner struct {
	DB      *postgres.DB
	Log     *slog.Logger
	Metrics *telemetry.Client // nil: none
}

const (
	checkLock = 2 * time.Second // a holder makes sure that it still holds its lock
	patience  = 5 * time.Second // for the database to answer where the job's own time is over
)

// errLockLost ends a run whose lock may be somebody else's by now.
var errLockLost = errors.New("the session that holds the lock is gone")

// Run runs job once. Another process at the same work is a normal end: nil. An
// error is a run that failed, was stopped or took too long; it is logged already.
func (r *Runner) Run(ctx context.Context, job Job) error {
	started := time.Now()
	outcome, result, err := r.run(ctx, job)
	level := slog.LevelError
	switch {
	case outcome == postgres.RunLocked:
		level = slog.LevelDebug
	case err == nil || ctx.Err() != nil: // done, or told to stop
		level = slog.LevelInfo
	}
	took := time.Since(started).Seconds()
	r.Log.Log(ctx, level, "job ended", "job", job.Name, "outcome", string(outcome), "message", result.Message, "seconds", took)
	r.Metrics.Count(telemetry.JobRuns, 1, "job:"+job.Name, "outcome:"+string(outcome))
	r.Metrics.Distribution(telemetry.JobDuration, took, "job:"+job.Name)
	if err != nil {
		return fmt.Errorf("job %s: %s", job.Name, result.Message)
	}
	return nil
}

func (r *Runner) run(ctx context.Context, job Job) (outcome postgres.Outcome, result postgres.JobResult, err error) {
	turn, cancel := context.WithTimeout(ctx, job.Timeout)
	defer cancel()
	held := turn
	if !job.Follow {
		lock, err := r.lock(turn, job.Name)
		if err != nil {
			return postgres.RunFailed, postgres.JobResult{Message: err.Error()}, err
		}
		if lock == nil {
			result.Message = "another process is at it"
			r.note(ctx, job.Name, postgres.RunLocked, result)
			return postgres.RunLocked, result, nil
		}
		defer lock.release()
		held = lock.ctx
	}
	id, err := r.DB.StartRun(turn, job.Name)
	if err != nil {
		return postgres.RunFailed, postgres.JobResult{Message: "note the start: " + err.Error()}, err
	}
	result, err = r.guard(held, job)
	outcome, result.Message = judge(held, job, result.Message, err)
	if outcome == postgres.RunOK {
		err = nil
	}
	r.end(ctx, id, outcome, result)
	return outcome, result, err
}

// guard makes a job's panic its failure, so that one job's bug does not stop the
// others of a schedule.
func (r *Runner) guard(ctx context.Context, job Job) (result postgres.JobResult, err error) {
	defer func() {
		if p := recover(); p != nil {
			result, err = postgres.JobResult{}, fmt.Errorf("panic: %v", p)
			r.Log.Error("job panicked", "job", job.Name, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		}
	}()
	return job.Run(ctx)
}

// judge tells why a run ended as it did.
func judge(ctx context.Context, job Job, message string, err error) (postgres.Outcome, string) {
	over := ctx.Err() != nil && errors.Is(err, ctx.Err())
	switch {
	case err == nil, job.Follow && over:
		return postgres.RunOK, message
	case errors.Is(context.Cause(ctx), errLockLost):
		return postgres.RunFailed, errLockLost.Error() + ": " + err.Error()
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return postgres.RunTimeout, fmt.Sprintf("not done within %s: %s", job.Timeout, err)
	case ctx.Err() != nil:
		return postgres.RunFailed, "stopped: " + err.Error()
	}
	return postgres.RunFailed, err.Error()
}

// note writes a run that ended as it began.
func (r *Runner) note(ctx context.Context, job string, outcome postgres.Outcome, result postgres.JobResult) {
	id, err := r.DB.StartRun(ctx, job)
	if err != nil {
		r.Log.Warn("job run not noted", "job", job, "error", err)
		return
	}
	r.end(ctx, id, outcome, result)
}

// end writes how a run ended, even when its time is over. The work is done or
// not, whatever the note says: a failure here is only logged.
func (r *Runner) end(ctx context.Context, id int64, outcome postgres.Outcome, result postgres.JobResult) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	if err := r.DB.EndRun(ctx, id, outcome, result); err != nil {
		r.Log.Warn("job run not noted", "run", id, "error", err)
	}
}

// lock is an advisory lock on a session of its own. Its context ends with the
// run's, or as soon as the session is found dead.
type lock struct {
	ctx     context.Context
	cancel  context.CancelCauseFunc
	conn    *pgx.Conn
	watched chan struct{} // closed when the watch has ended
}

// lock takes the job's lock, or returns nil when another process holds it.
func (r *Runner) lock(ctx context.Context, job string) (*lock, error) {
	conn, err := pgx.ConnectConfig(ctx, r.DB.Pool.Config().ConnConfig)
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	// The server shall notice within seconds when this machine is gone. On a local socket this means nothing.
	_, err = conn.Exec(ctx, "SET tcp_keepalives_idle = 2; SET tcp_keepalives_interval = 1; SET tcp_keepalives_count = 3")
	taken := false
	if err == nil {
		taken, err = postgres.TryLock(ctx, conn, "job/"+job)
	}
	if err != nil || !taken {
		closeConn(conn)
		if err != nil {
			return nil, fmt.Errorf("lock: %w", err)
		}
		return nil, nil
	}
	l := &lock{conn: conn, watched: make(chan struct{})}
	l.ctx, l.cancel = context.WithCancelCause(ctx)
	go l.watch()
	return l, nil
}

func (l *lock) watch() {
	defer close(l.watched)
	ticker := time.NewTicker(checkLock)
	defer ticker.Stop()
	for {
		select {
		case <-l.ctx.Done():
			return
		case <-ticker.C:
		}
		ctx, cancel := context.WithTimeout(l.ctx, patience)
		err := l.conn.Ping(ctx)
		cancel()
		if err != nil && l.ctx.Err() == nil {
			l.cancel(errLockLost)
			return
		}
	}
}

func (l *lock) release() {
	l.cancel(nil)
	<-l.watched
	closeConn(l.conn)
}

// closeConn gives the lock back, and then the session: the server takes a moment to
// end one, in which the next run would find the lock taken. It does not wait long for
// a server that is away: that ends the session by itself.
func closeConn(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, _ = conn.Exec(ctx, "SELECT pg_advisory_unlock_all()")
	_ = conn.Close(ctx)
}
