package batch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/hayate-ads/hayate/internal/postgres"
	"github.com/hayate-ads/hayate/internal/postgres/postgrestest"
)

// syncBuffer is a log that jobs write while a test reads it.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func newRunner(t *testing.T) (*Runner, *syncBuffer) {
	t.Helper()
	log := new(syncBuffer)
	return &Runner{DB: &postgres.DB{Pool: postgrestest.New(t)}, Log: slog.New(slog.NewTextHandler(log, nil))}, log
}

// runs lists a job's runs, oldest first, as "outcome message".
func runs(t *testing.T, r *Runner, job string) []string {
	t.Helper()
	rows, err := r.DB.Pool.Query(t.Context(),
		"SELECT outcome || ' ' || message FROM job_run WHERE job = $1 AND (ended_at IS NULL) = (outcome = 'running') ORDER BY id", job)
	if err != nil {
		t.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func said(message string) postgres.JobResult { return postgres.JobResult{Message: message} }

func TestRunnerNotesHowARunEnds(t *testing.T) {
	t.Parallel()
	r, log := newRunner(t)
	stopped, stop := context.WithCancel(t.Context())
	f := func(ctx context.Context, job Job, want string) {
		t.Helper()
		job.Name = "j" + fmt.Sprint(len(log.String()))
		if job.Timeout == 0 {
			job.Timeout = time.Minute
		}
		err := r.Run(ctx, job)
		all := runs(t, r, job.Name)
		if len(all) != 1 || !strings.HasPrefix(all[0], want) {
			t.Errorf("noted %q, want %q", all, want)
		}
		if isOK := strings.HasPrefix(want, "ok"); isOK != (err == nil) {
			t.Errorf("%s: error %v", want, err)
		} else if err != nil && !strings.Contains(err.Error(), "job "+job.Name+": ") {
			t.Errorf("error %v names no job", err)
		}
	}
	untilOver := func(ctx context.Context) (postgres.JobResult, error) { <-ctx.Done(); return said("so far"), ctx.Err() }
	f(t.Context(), Job{Run: func(context.Context) (postgres.JobResult, error) { return said("3 things done"), nil }}, "ok 3 things done")
	f(t.Context(), Job{Run: func(context.Context) (postgres.JobResult, error) { return said(""), errors.New("no bucket") }}, "failed no bucket")
	f(t.Context(), Job{Run: func(context.Context) (postgres.JobResult, error) { panic("oops") }}, "failed panic: oops")
	f(t.Context(), Job{Timeout: time.Second, Run: untilOver}, "timeout not done within 1s: context deadline exceeded")
	f(stopped, Job{Run: func(ctx context.Context) (postgres.JobResult, error) { stop(); return untilOver(ctx) }}, "failed stopped: context canceled")
	f(t.Context(), Job{Timeout: time.Second, Follow: true, Run: untilOver}, "ok so far")
	f(t.Context(), Job{Follow: true, Run: func(context.Context) (postgres.JobResult, error) { return said(""), errors.New("rebuild") }}, "failed rebuild")
	if !strings.Contains(log.String(), "runner_test.go") {
		t.Errorf("the panic's stack is not in the log:\n%s", log)
	}
}

func TestOneAtATime(t *testing.T) {
	t.Parallel()
	r, _ := newRunner(t)
	working, goOn := make(chan bool), make(chan bool)
	slow := Job{Name: "slow", Timeout: time.Minute, Run: func(context.Context) (postgres.JobResult, error) { working <- true; <-goOn; return said("first"), nil }}
	quick := Job{Name: "slow", Timeout: time.Minute, Run: func(context.Context) (postgres.JobResult, error) { return said("second"), nil }}
	other := Job{Name: "other", Timeout: time.Minute, Run: quick.Run}
	first := make(chan error)
	go func() { first <- r.Run(t.Context(), slow) }()
	<-working
	for _, job := range []Job{quick, other} {
		if err := r.Run(t.Context(), job); err != nil {
			t.Errorf("while another is at it: %v", err)
		}
	}
	close(goOn)
	if err := <-first; err != nil {
		t.Error(err)
	}
	if err := r.Run(t.Context(), quick); err != nil {
		t.Error(err)
	}
	if got, want := fmt.Sprint(runs(t, r, "slow")), "[ok first locked another process is at it ok second]"; got != want {
		t.Errorf("noted %s, want %s", got, want)
	}
	if got, want := fmt.Sprint(runs(t, r, "other")), "[ok second]"; got != want {
		t.Errorf("noted %s, want %s", got, want)
	}
}

// A holder whose session dies may be followed by another at once: it must stop.
func TestLostLockEndsTheRun(t *testing.T) {
	t.Parallel()
	r, _ := newRunner(t)
	job := Job{Name: "slow", Timeout: time.Minute, Run: func(ctx context.Context) (postgres.JobResult, error) {
		const kill = `SELECT count(pg_terminate_backend(pid)) FROM pg_locks
			WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`
		var killed int
		if err := r.DB.Pool.QueryRow(ctx, kill).Scan(&killed); err != nil || killed != 1 {
			t.Errorf("killed %d sessions: %v", killed, err)
		}
		<-ctx.Done()
		return said(""), ctx.Err()
	}}
	started := time.Now()
	if err := r.Run(t.Context(), job); err == nil || !strings.Contains(err.Error(), errLockLost.Error()) {
		t.Errorf("error %v", err)
	}
	if took := time.Since(started); took > 30*time.Second {
		t.Errorf("noticed after %s", took)
	}
	if err := r.Run(t.Context(), Job{Name: "slow", Timeout: time.Minute, Run: func(context.Context) (postgres.JobResult, error) { return said(""), nil }}); err != nil {
		t.Errorf("the next one: %v", err)
	}
}

func TestDatabaseAway(t *testing.T) {
	t.Parallel()
	r, log := newRunner(t)
	away, err := postgres.Connect(t.Context(), "postgres://nobody@127.0.0.1:1/none?connect_timeout=1")
	if err != nil {
		t.Fatal(err)
	}
	defer away.Close()
	r.DB = away
	ran := false
	err = r.Run(t.Context(), Job{Name: "publish", Timeout: time.Minute, Run: func(context.Context) (postgres.JobResult, error) { ran = true; return said(""), nil }})
	if err == nil || ran || !strings.Contains(log.String(), "outcome=failed") {
		t.Errorf("error %v, ran %v:\n%s", err, ran, log)
	}
}
