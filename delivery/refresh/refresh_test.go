package refresh

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"gocloud.dev/blob"

	"github.com/hayate-ads/hayate/internal/bucket"
	"github.com/hayate-ads/hayate/internal/snapshot"
	"github.com/hayate-ads/hayate/internal/snapshot/snapshottest"
)

// world is a bucket in a folder and a process that lives on it.
type world struct {
	*Refresher
	folder string // of the bucket
	log    *bytes.Buffer
	swaps  atomic.Int64 // snapshots put to use
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{folder: t.TempDir(), log: new(bytes.Buffer)}
	w.Refresher = w.process(open(t, w.folder), t.TempDir())
	return w
}

func open(t *testing.T, folder string) *blob.Bucket {
	t.Helper()
	b, err := bucket.Open(t.Context(), (&url.URL{Scheme: "file", Path: folder}).String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

func (w *world) process(b *blob.Bucket, cache string) *Refresher {
	swap := func(*snapshot.Snapshot) error { w.swaps.Add(1); return nil }
	return &Refresher{Bucket: b, CacheDir: cache, Swap: swap, Log: slog.New(slog.NewTextHandler(w.log, nil))}
}

// publish puts a snapshot into the bucket as batch publish does.
func (w *world) publish(t *testing.T, s *snapshot.Snapshot) snapshot.Pointer {
	t.Helper()
	file := snapshot.Append(nil, s)
	p := snapshot.PointTo(s, file)
	w.put(t, p.Key, file)
	w.put(t, snapshot.PointerKey, p.JSON())
	return p
}

func (w *world) put(t *testing.T, key string, content []byte) {
	t.Helper()
	if err := w.Bucket.WriteAll(t.Context(), key, content, nil); err != nil {
		t.Fatal(err)
	}
}

func (w *world) poll(t *testing.T, want snapshot.Reason) {
	t.Helper()
	err := w.Poll(t.Context())
	if got := reason(err); got != want || (want == "" && err != nil) {
		t.Fatalf("poll: %v, want %q", err, want)
	}
}

func (w *world) uses(t *testing.T, generation uint64) {
	t.Helper()
	if got := w.Generation(); got != generation {
		t.Fatalf("generation %d is in use, want %d", got, generation)
	}
}

func reason(err error) snapshot.Reason {
	var refused *snapshot.Error
	if errors.As(err, &refused) {
		return refused.Reason
	}
	return ""
}

func cached(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	slices.Sort(names)
	return names
}

func TestFollowsThePointer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := w.Load(); err != nil {
		t.Fatal(err)
	}
	w.poll(t, snapshot.BadPointer) // nothing published yet
	w.uses(t, 0)
	var keys []string
	for generation := uint64(1); generation <= 4; generation++ {
		p := w.publish(t, snapshottest.Make(generation, 30))
		keys = append(keys, path.Base(p.Key))
		w.poll(t, "")
		w.uses(t, generation)
		if !w.CreatedAt().Equal(p.CreatedAt) {
			t.Errorf("created at %s, want %s", w.CreatedAt(), p.CreatedAt)
		}
		w.poll(t, "") // nothing new
	}
	if got := w.swaps.Load(); got != 4 {
		t.Errorf("%d swaps, want 4", got)
	}
	if d := cmp.Diff(keys[2:], cached(t, w.CacheDir)); d != "" {
		t.Errorf("the cache holds (-want +got):\n%s", d)
	}
	if d := cmp.Diff(map[snapshot.Reason]int64{snapshot.BadPointer: 1}, w.Refused()); d != "" {
		t.Errorf("refused (-want +got):\n%s", d)
	}
}

func TestRestartWithoutTheBucket(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for generation := uint64(1); generation <= 2; generation++ {
		w.publish(t, snapshottest.Make(generation, 30))
		if err := w.Fetch(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.Refresher = w.process(w.Bucket, w.CacheDir)
	}
	if err := os.Rename(w.folder, w.folder+".away"); err != nil {
		t.Fatal(err)
	}
	if err := w.Load(); err != nil {
		t.Fatal(err)
	}
	w.uses(t, 2)
	if err := w.Poll(t.Context()); err == nil {
		t.Error("a poll without a bucket succeeded")
	}
	w.uses(t, 2)
}

func TestCacheAfterKill(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(t, snapshottest.Make(5, 30))
	if err := w.Fetch(t.Context()); err != nil {
		t.Fatal(err)
	}
	good := cached(t, w.CacheDir)
	// What a process killed half-way, a dying disk and a careless person leave behind, all "newer".
	whole := snapshot.Append(nil, snapshottest.Make(9, 30))
	name := path.Base(snapshot.PointTo(snapshottest.Make(9, 30), whole).Key)
	lost := map[string][]byte{
		name + unfinished:            whole[:len(whole)/2],
		name:                         whole[:len(whole)/2],
		"10-0123456789abcdef.snap":   whole,
		"11-0123456789abcdef.snap":   {},
		"notes.txt":                  []byte("hello"),
		"fileblob123" + unfinished:   whole,
		"8-0123456789abcdef.snap.gz": whole,
	}
	for name, content := range lost {
		if err := os.WriteFile(filepath.Join(w.CacheDir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w.Refresher = w.process(w.Bucket, w.CacheDir)
	if err := w.Load(); err != nil {
		t.Fatal(err)
	}
	w.uses(t, 5)
	for _, name := range cached(t, w.CacheDir) {
		if strings.HasSuffix(name, unfinished) {
			t.Errorf("%s is still there", name)
		}
	}
	want := map[snapshot.Reason]int64{snapshot.Truncated: 2, snapshot.BadPointer: 1}
	if d := cmp.Diff(want, w.Refused()); d != "" {
		t.Errorf("refused (-want +got):\n%s", d)
	}
	p := w.publish(t, snapshottest.Make(6, 30))
	w.poll(t, "")
	if d := cmp.Diff(append(good, path.Base(p.Key), "8-0123456789abcdef.snap.gz", "notes.txt"), cached(t, w.CacheDir)); d != "" {
		t.Errorf("the cache holds (-want +got):\n%s", d)
	}
}

func TestFetch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := w.Fetch(t.Context()); reason(err) != snapshot.BadPointer || !strings.Contains(err.Error(), "nothing was published yet") {
		t.Errorf("from an empty bucket: %v", err)
	}
	w.publish(t, snapshottest.Make(1, 30))
	w.Refresher = w.process(w.Bucket, w.CacheDir)
	if err := w.Fetch(t.Context()); err != nil {
		t.Error(err)
	}
	w.put(t, snapshot.PointerKey, []byte("garbage"))
	w.Refresher = w.process(w.Bucket, w.CacheDir)
	if err := w.Fetch(t.Context()); err != nil {
		t.Errorf("a good one is in the cache, yet: %v", err)
	}
	w.Refresher = w.process(w.Bucket, "")
	if err := w.Fetch(t.Context()); err == nil || !strings.Contains(err.Error(), "no folder given") {
		t.Errorf("without a cache: %v", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	w.Refresher = w.process(w.Bucket, file)
	if err := w.Fetch(t.Context()); err == nil || !strings.Contains(err.Error(), "not a directory") {
		t.Errorf("with a file for a cache: %v", err)
	}
}

// A copy that cannot be kept costs nothing but the copy.
func TestServesWithoutRoomForACopy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := w.Load(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(w.CacheDir); err != nil {
		t.Fatal(err)
	}
	for generation := uint64(1); generation <= 3; generation++ {
		w.publish(t, snapshottest.Make(generation, 30))
		w.poll(t, "")
		w.uses(t, generation)
	}
	if n := strings.Count(w.log.String(), "cannot be kept"); n != 1 {
		t.Errorf("logged %d times:\n%s", n, w.log)
	}
}

func TestSwapThatFailsKeepsTheOld(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(t, snapshottest.Make(1, 30))
	w.poll(t, "")
	good := w.Swap
	f := func(generation uint64, swap func(*snapshot.Snapshot) error) {
		t.Helper()
		w.Swap = swap
		w.publish(t, snapshottest.Make(generation, 30))
		w.poll(t, snapshot.BadContent)
		w.uses(t, 1)
	}
	f(2, func(*snapshot.Snapshot) error { return errors.New("no such time zone") })
	f(3, func(*snapshot.Snapshot) error { panic("index out of range") })
	w.Swap = good
	w.publish(t, snapshottest.Make(4, 30))
	w.poll(t, "")
	w.uses(t, 4)
	if d := cmp.Diff(2, len(cached(t, w.CacheDir))); d != "" {
		t.Errorf("files in the cache (-want +got):\n%s", d)
	}
}

func TestShrink(t *testing.T) {
	t.Parallel()
	f := func(want snapshot.Reason, before, after int) {
		t.Helper()
		w := newWorld(t)
		w.publish(t, snapshottest.Make(1, before))
		w.poll(t, "")
		s := snapshottest.Make(2, after)
		w.publish(t, s)
		w.poll(t, want)
		if want == "" {
			return
		}
		// An operator says that it is meant.
		p := snapshot.PointTo(s, snapshot.Append(nil, s))
		p.AllowShrink = true
		w.put(t, snapshot.PointerKey, p.JSON())
		w.poll(t, "")
		w.uses(t, 2)
	}
	f("", 19, 0)
	f(snapshot.Shrunk, 20, 9)
	f("", 20, 10)
	f(snapshot.Shrunk, 100, 0)
	f("", 20, 40)
}

func TestShrinkAfterAStartFromTheCache(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(t, snapshottest.Make(1, 40))
	w.poll(t, "")
	restart := func() {
		t.Helper()
		w.Refresher = w.process(w.Bucket, w.CacheDir)
		if err := w.Load(); err != nil {
			t.Fatal(err)
		}
		w.uses(t, 1)
	}
	if err := w.Load(); err != nil {
		t.Fatal(err)
	}
	restart()
	w.publish(t, snapshottest.Make(2, 5)) // a second later
	w.poll(t, snapshot.Shrunk)
	restart()
	w.publish(t, snapshottest.Make(2*3600, 40)) // two hours later
	w.poll(t, "")
	// From here on it has seen for itself what was published.
	w.publish(t, snapshottest.Make(4*3600, 5))
	w.poll(t, snapshot.Shrunk)
	w.Refresher = w.process(w.Bucket, w.CacheDir)
	if err := w.Load(); err != nil {
		t.Fatal(err)
	}
	w.uses(t, 2*3600)
	w.poll(t, "")
}

// The same refused object is neither fetched nor logged with every poll, and
// tried again after a while.
func TestRefusedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.publish(t, snapshottest.Make(1, 30))
		w.poll(t, "")
		p := w.publish(t, snapshottest.Make(2, 30))
		good, err := w.Bucket.ReadAll(t.Context(), p.Key)
		if err != nil {
			t.Fatal(err)
		}
		w.put(t, p.Key, append(bytes.Clone(good[:100]), make([]byte, len(good)-100)...))
		for range 5 {
			w.poll(t, snapshot.BadChecksum)
			time.Sleep(2 * time.Second)
		}
		if n := w.Refused()[snapshot.BadChecksum]; n != 1 {
			t.Errorf("counted %d times in 10 s", n)
		}
		time.Sleep(30 * time.Second)
		w.poll(t, snapshot.BadChecksum)
		if n := w.Refused()[snapshot.BadChecksum]; n != 2 {
			t.Errorf("counted %d times in 40 s", n)
		}
		if n := strings.Count(w.log.String(), "snapshot refused"); n != 1 {
			t.Errorf("logged %d times:\n%s", n, w.log)
		}
		w.put(t, p.Key, good)
		time.Sleep(31 * time.Second)
		w.poll(t, "")
		w.uses(t, 2)
	})
}

func TestRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Every = time.Millisecond
	w.publish(t, snapshottest.Make(1, 30))
	swapped := make(chan uint64)
	w.Swap = func(s *snapshot.Snapshot) error { swapped <- s.Generation; return nil }
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- w.Run(ctx) }()
	for generation := uint64(1); generation <= 3; generation++ {
		if got := <-swapped; got != generation {
			t.Errorf("generation %d swapped in, want %d", got, generation)
		}
		w.publish(t, snapshottest.Make(generation+1, 30))
	}
	<-swapped
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if strings.Contains(w.log.String(), "cannot be read") {
		t.Errorf("the end was taken for an outage:\n%s", w.log)
	}
}

// Readers of the figures need not take turns with polls.
func TestFiguresMeanwhile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	inSwap, goOn := make(chan bool), make(chan bool)
	w.Swap = func(*snapshot.Snapshot) error { inSwap <- true; <-goOn; return nil }
	w.publish(t, snapshottest.Make(1, 1))
	go func() { _ = w.Poll(t.Context()) }()
	<-inSwap
	_ = fmt.Sprint(w.Generation(), w.CreatedAt(), w.Refused())
	close(goOn)
}
