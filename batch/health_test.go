package batch

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hayate-ads/hayate/internal/postgres"
)

// agent is a Datadog agent's port; text is all that it was sent.
func agent(t *testing.T) (text func() string) {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	host, port, _ := net.SplitHostPort(conn.LocalAddr().String())
	t.Setenv("DD_AGENT_HOST", host)
	t.Setenv("DD_DOGSTATSD_PORT", port)
	var mu sync.Mutex
	var all strings.Builder
	go func() {
		for b := make([]byte, 65536); ; {
			n, err := conn.Read(b)
			if err != nil {
				return
			}
			mu.Lock()
			all.Write(b[:n])
			mu.Unlock()
		}
	}()
	return func() string { mu.Lock(); defer mu.Unlock(); return all.String() }
}

// While settle follows, it tells the age of jobs that never ran, and of its own.
func TestHealthIsTold(t *testing.T) {
	text, cfg := agent(t), newConfig(t)
	h, err := open(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer h.close()
	if err := h.runner.plan(t.Context(), h.jobs()); err != nil {
		t.Fatal(err)
	}
	if _, err := h.runner.DB.Pool.Exec(t.Context(), `UPDATE job SET since = now() - interval '1 hour';
		UPDATE settlement SET watermark = now() - interval '100 seconds', halted = 'why';
		INSERT INTO spool (process_id, seq, body) VALUES (gen_random_uuid(), 1, '');
		INSERT INTO job_run (job, started_at, ended_at, outcome, lag) VALUES ('lake', now(), now(), 'ok', '2 hours')`); err != nil {
		t.Fatal(err)
	}
	h.runner.tell(t.Context())
	want := []string{"hayate.job.success_age:36", "job:retain", "job:reconcile", "hayate.job.lag:10", "hayate.job.lag:72", "job:lake",
		"hayate.settle.halted:1", "hayate.settle.stalled:0", "hayate.spool.segments:1"}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		missing := ""
		for _, part := range want {
			if !strings.Contains(text(), part) {
				missing = part
			}
		}
		if missing == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%q was not told:\n%s", missing, text())
		}
	}
}

func TestEvery(t *testing.T) {
	t.Parallel()
	f := func(job Job, want time.Duration) {
		t.Helper()
		if got, err := job.every(); got != want || (err != nil) != (want == 0) {
			t.Errorf("%+v: %s (%v), want %s", job, got, err, want)
		}
	}
	f(Job{Schedule: "@every 15s"}, 15*time.Second)
	f(Job{Schedule: "30 3 * * *"}, day)
	f(Job{Schedule: "3-59/10 * * * *"}, 10*time.Minute)
	f(Job{Follow: true, Timeout: 585 * time.Second}, 586*time.Second)
	f(Job{Schedule: "every day"}, 0)
}

// A restart does not repeat the work of the night.
func TestFreshJobsAreNotRepeated(t *testing.T) {
	t.Parallel()
	r, _ := newRunner(t)
	nightly, often := Job{Name: "retain", Schedule: "30 5 * * *"}, Job{Name: "publish", Schedule: "@every 15s"}
	f := func(job Job, want bool) {
		t.Helper()
		if got := r.isFresh(t.Context(), job); got != want {
			t.Errorf("%s is fresh: %v, want %v", job.Name, got, want)
		}
	}
	if err := r.plan(t.Context(), []Job{nightly, often}); err != nil {
		t.Fatal(err)
	}
	f(nightly, false)
	for _, job := range []Job{nightly, often} {
		job.Timeout, job.Run = time.Minute, func(context.Context) (postgres.JobResult, error) { return said("done"), nil }
		if err := r.Run(t.Context(), job); err != nil {
			t.Fatal(err)
		}
	}
	f(nightly, true)
	f(often, false)
}
