package rebuild

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"gocloud.dev/blob/memblob"

	"github.com/hayate-ads/hayate/batch/logtest"
	"github.com/hayate-ads/hayate/batch/settle"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/postgres"
	"github.com/hayate-ads/hayate/internal/postgres/cluster"
)

// house is a world on a server of its own, whose data folder can be copied while
// the server is stopped.
type house struct {
	*world
	dir    string
	server *cluster.Cluster
}

const hayate = "hayate_test"

func newHouse(t *testing.T) *house {
	t.Helper()
	dir := logtest.Must[string](t)(os.MkdirTemp("", "hayate-rebuild-"))
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o711); err != nil { // root's server runs as another user
		t.Fatal(err)
	}
	h := &house{world: &world{t: t}, dir: filepath.Join(dir, "postgres")}
	h.start()
	t.Cleanup(h.stop)
	h.url = h.server.URL("postgres")
	h.admin("CREATE DATABASE " + hayate)
	h.url = h.server.URL(hayate)
	if err := postgres.Migrate(t.Context(), h.url); err != nil {
		t.Fatal(err)
	}
	bucket := memblob.OpenBucket(nil)
	t.Cleanup(func() { _ = bucket.Close() })
	h.World = logtest.New(t, h.open(h.url), bucket, logtest.Noon)
	return h
}

func (h *house) start() {
	h.t.Helper()
	h.server = logtest.Must[*cluster.Cluster](h.t)(cluster.Start(context.Background(), cluster.Config{Dir: h.dir}))
	if h.World != nil {
		h.url = h.server.URL(hayate)
		h.DB = h.open(h.url)
		h.SetClock()
	}
}

func (h *house) stop() {
	if h.World != nil {
		h.DB.Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := h.server.Stop(ctx); err != nil {
		h.t.Error(err)
	}
}

// clone copies a folder with its owners, in place of what is there.
func (h *house) clone(from, to string) {
	h.t.Helper()
	if out, err := exec.Command("sh", "-c", `rm -rf "$2" && cp -a "$1" "$2"`, "sh", from, to).CombinedOutput(); err != nil {
		h.t.Fatal(string(out), err)
	}
}

// The stopped server's folder is copied, run on, put back, and rebuilt.
func TestDataFolderPutBack(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	item, other := h.LineItem(300, 200).ID, h.LineItem(50, 50).ID
	a, b := h.Process(), h.Process()
	h.Settle()
	first, second := h.Grant(a, item, 80), h.Grant(b, other, 10)
	for i := range uint32(20) {
		h.Log(b, logtest.Landing(event.Impression, h.Token(a, first, i)))
	}
	h.Ship(a)
	h.Ship(b)
	h.Settle()

	h.stop()
	h.clone(h.dir, h.dir+"-copy")
	h.start()
	h.Settle() // compares the database with the log, so that it grants again
	for i := range uint32(40) {
		h.Log(a, logtest.Landing(event.Impression, h.Token(a, first, i)))
		h.Log(b, logtest.Landing(event.Click, h.Token(a, first, i)))
	}
	h.Log(a, h.Closing(first, 70))
	h.Ship(a)
	h.Ship(b)
	h.Pass(time.Minute, a, b)
	third := h.Grant(b, item, 90)
	for i := range uint32(90) {
		h.Log(a, logtest.Landing(event.Impression, h.Token(b, third, i)))
	}
	h.Log(b, h.Closing(third, 90))
	h.Log(b, h.Closing(second, 0))
	h.Ship(a)
	h.Ship(b)
	h.Pass(time.Minute, a, b)
	want := h.books()

	h.stop()
	h.clone(h.dir+"-copy", h.dir)
	h.start()
	h.noticed(a)
	if _, err := h.TryBeat(b); !errors.Is(err, postgres.ErrRebuild) {
		t.Error("a heartbeat of a lease that the copy does not know: ", err)
	}
	sum := h.rebuild()
	if sum.Leases != 1 || len(sum.Clipped)+len(sum.Orphans) != 0 || sum.Doubts != 0 {
		t.Errorf("summary: %s", sum)
	}
	h.Pass(time.Minute, a, b)
	if diff := want.diff(h.books()); diff != "" {
		t.Error(diff)
	}
	h.Grant(a, item, 1)
}

// After a plain restart of Postgres leases are granted again within 5 s, by a
// settler that begins then or one that has followed all the time; without one there
// are none. It is the real clock's test: processes that lived have a word first.
func TestRestartGrantsAgain(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	item := h.LineItem(1000, 1000).ID
	if _, err := h.DB.Pool.Exec(t.Context(), "CREATE OR REPLACE FUNCTION bank_now() RETURNS timestamptz LANGUAGE sql VOLATILE RETURN clock_timestamp()"); err != nil {
		t.Fatal(err)
	}
	s, dead := h.Process(), h.Process()
	h.Settle()
	h.Grant(s, item, 1)
	h.Ship(s)
	h.Settle()
	h.Beat(dead) // its last word
	h.stop()
	h.start()
	if _, err := h.TryGrant(s, item, 1); !errors.Is(err, postgres.ErrUnchecked) {
		t.Fatal("a grant before anybody has looked at the database: ", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- settle.Follow(ctx, settle.Config{DB: h.DB, Bucket: h.Bucket, Bank: h.Bank}) }()
	h.grantsAgain(s, item)
	h.stop()
	h.start()
	h.grantsAgain(s, item)
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// grantsAgain makes sure that leases come back within 5 s.
func (h *house) grantsAgain(s *logtest.Stream, item ad.ID) {
	h.t.Helper()
	up := time.Now()
	for {
		h.Beat(s)
		_, err := h.TryGrant(s, item, 1)
		if err == nil {
			break
		}
		if !errors.Is(err, postgres.ErrUnchecked) || time.Since(up) > 30*time.Second {
			h.t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond) // between two looks at a real condition
	}
	took := time.Since(up)
	h.t.Logf("leases came back after %s", took)
	if took > 5*time.Second {
		h.t.Errorf("leases came back after %s", took)
	}
	h.Ship(s)
}
