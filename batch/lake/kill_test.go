package lake

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/hayate-ads/hayate/internal/bucket"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// The environment of a process that runs the job once and ends.
const (
	killDatabase = "LAKE_TEST_DATABASE"
	killBucket   = "LAKE_TEST_BUCKET"
)

func TestMain(m *testing.M) {
	if os.Getenv(killDatabase) == "" {
		os.Exit(m.Run())
	}
	if err := runApart(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func runApart(ctx context.Context) error {
	db, err := postgres.Open(ctx, os.Getenv(killDatabase))
	if err != nil {
		return err
	}
	defer db.Close()
	b, err := bucket.Open(ctx, os.Getenv(killBucket))
	if err != nil {
		return err
	}
	fmt.Println("begins")
	result, err := (&Writer{DB: db, Bucket: b, RowGroup: 3000}).Run(ctx)
	fmt.Println(result.Message)
	return err
}

// TestKilled runs the job as a process of its own and kills it, most times at a
// random moment, while settle goes on with the hours of the lake and with those
// before. At every moment what readers see is free of duplicates, and in the end
// it is complete.
func TestKilled(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := newWorld(t)
	b, err := bucket.Open(t.Context(), "file://"+dir)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	w.bucket = b
	random := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	const rounds, hours, each = 25, 4, 600
	killed, sent := 0, 0
	for round := range rounds {
		var segments []logged
		for h := range hours {
			at := noon.Add(time.Duration(h) * time.Hour)
			records := w.impressions(at, sent, each)
			sent += each
			segments = append(segments, logged{process: process(byte(h)), seq: uint64(round + 1), records: records})
		}
		w.settle(segments...)
		w.pass(noon.Add(time.Duration(hours) * time.Hour))
		if !w.runAndKill(dir, time.Duration(random.IntN(120))*time.Millisecond) {
			killed++
		}
		if got := summed(w.events()); got.Events != got.Distinct {
			t.Fatalf("after run %d: %d events, of which %d are different", round, got.Events, got.Distinct)
		}
	}
	if killed < rounds/4 {
		t.Errorf("only %d of %d runs were killed at work", killed, rounds)
	}
	if !w.runAndKill(dir, time.Minute) {
		t.Fatal("the last run did not end")
	}
	if got := summed(w.events()); got.Events != sent || got.Distinct != sent {
		t.Errorf("%d of %d runs killed: %d events, %d different ones, want %d", killed, rounds, got.Events, got.Distinct, sent)
	}
	for _, key := range objects(t, b, "lake/") {
		if strings.HasSuffix(key, ".tmp") && strings.HasPrefix(key, "events/") {
			t.Errorf("%s is left of a run that was killed", key)
		}
	}
	w.noted(sent)
	t.Logf("%d of %d runs were killed, %d parts", killed, rounds, len(objects(t, b, "lake/events/")))
}

// runAndKill runs the job, kills it after so long, and tells whether it had ended.
func (w *world) runAndKill(dir string, after time.Duration) (ended bool) {
	w.t.Helper()
	self, err := os.Executable()
	if err != nil {
		w.t.Fatal(err)
	}
	c := exec.CommandContext(w.t.Context(), self)
	c.Env = append(os.Environ(), killDatabase+"="+w.db.Pool.Config().ConnString(), killBucket+"=file://"+dir, "GOMAXPROCS=1")
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		w.t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 100)); err != nil { // "begins"
		w.t.Fatalf("the job did not begin: %v", err)
	}
	kill := time.AfterFunc(after, func() { _ = c.Process.Kill() }) // it may have ended
	err = c.Wait()
	kill.Stop()
	if err == nil {
		return true
	}
	if c.ProcessState.Exited() {
		w.t.Fatalf("the job failed: %v", err)
	}
	return false
}

// noted checks that Postgres counts as many events as the files hold.
func (w *world) noted(want int) {
	w.t.Helper()
	var events, unwritten int
	err := w.db.Pool.QueryRow(w.t.Context(), "SELECT sum(events)::bigint, count(*) FILTER (WHERE written_at IS NULL) FROM lake_part").Scan(&events, &unwritten)
	if err != nil {
		w.t.Fatal(err)
	}
	if events != want || unwritten > 0 {
		w.t.Errorf("lake_part counts %d events and %d parts to be written, want %d and 0", events, unwritten, want)
	}
}
