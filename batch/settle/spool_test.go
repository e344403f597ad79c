package settle

import (
	"os"
	"path/filepath"
	"testing"

	"gocloud.dev/blob"

	"github.com/hayate-ads/hayate/internal/bucket"
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// spooled lets a process end while the bucket is away: its last segment goes to
// the spool.
func (w *world) spool(s *stream) {
	w.t.Helper()
	s.seq++
	if err := w.db.Spool(w.t.Context(), s.process, s.seq, encode(s.process, s.seq, s.pending)); err != nil {
		w.t.Fatal(err)
	}
	s.pending = nil
}

func (w *world) inSpool() int {
	w.t.Helper()
	return len(must[[]postgres.SegmentKey](w.t)(w.db.Spooled(w.t.Context())))
}

// onDisk lets a world live on a folder bucket that can be taken away.
func onDisk(t *testing.T) (w *world, away, back func()) {
	w = newWorld(t)
	dir := filepath.Join(t.TempDir(), "bucket")
	objects := must[*blob.Bucket](t)(bucket.Open(t.Context(), "file://"+dir))
	t.Cleanup(func() { _ = objects.Close() })
	w.bucket, w.cfg.Bucket = objects, objects
	move := func(from, to string) {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	away = func() {
		move(dir, dir+".away")
		if err := os.WriteFile(dir, nil, 0o644); err != nil { // so that nothing can be below it
			t.Fatal(err)
		}
	}
	back = func() {
		if err := os.Remove(dir); err != nil {
			t.Fatal(err)
		}
		move(dir+".away", dir)
	}
	return w, away, back
}

// What a process could not ship is settled while the bucket is away, and is in
// the bucket, with the same bytes, once that is back.
func TestSpool(t *testing.T) {
	t.Parallel()
	w, away, back := onDisk(t)
	s := w.process()
	grant := w.grant(s, w.lineItem(1000, 500).ID, 10)
	w.log(s, landing(event.Impression, w.token(s, grant, 0)))
	w.ship(s)
	w.settle()
	away()
	for i := range uint32(2) {
		w.log(s, landing(event.Impression, w.token(s, grant, 1+i)))
		if i == 1 {
			w.log(s, event.Record{Type: event.End})
		}
		w.spool(s)
	}
	f := must[*follower](t)(start(t.Context(), w.cfg))
	defer f.close(t.Context())
	if err := f.settler.Lock(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := f.work(t.Context()); err == nil {
		t.Error("nobody says that the bucket is away")
	}
	if got := w.totals(); got.Charged != 3*price || w.inSpool() != 2 || w.state(s) != "ended" {
		t.Fatalf("while the bucket is away: charged %s, %d in the spool, process %s", got.Charged, w.inSpool(), w.state(s))
	}
	back()
	if err := f.unspool(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := w.inSpool(); n != 0 {
		t.Errorf("%d segments stay in the spool", n)
	}
	w.judgeLog(t) // reads the bucket
	f.close(t.Context())
	w.settle()
	if got := w.totals(); got.Charged != 3*price || got.Impressions != 3 {
		t.Errorf("at the end %+v", got)
	}
}

// The bucket's own object of the name is not touched, unless it is no whole segment.
func TestSpoolMeetsAnotherObject(t *testing.T) {
	t.Parallel()
	f := func(name string, left int, there func(whole []byte) []byte) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			s := w.process()
			grant := w.grant(s, w.lineItem(1000, 500).ID, 10)
			w.log(s, landing(event.Impression, w.token(s, grant, 0)))
			key, body := event.SegmentName(s.process, 1), encode(s.process, 1, s.pending)
			before := there(body)
			if err := w.bucket.WriteAll(t.Context(), key, before, nil); err != nil {
				t.Fatal(err)
			}
			w.spool(s)
			_, err := Once(t.Context(), w.cfg)
			if (err != nil) != (left > 0) || w.inSpool() != left {
				t.Errorf("%v, %d in the spool", err, w.inSpool())
			}
			want := body
			if left > 0 {
				want = before
			}
			if got := must[[]byte](t)(w.bucket.ReadAll(t.Context(), key)); string(got) != string(want) {
				t.Error("the bucket has other bytes")
			}
		})
	}
	f("the same", 0, func(whole []byte) []byte { return whole })
	f("a torn one", 0, func(whole []byte) []byte { return whole[:len(whole)-1] })
	f("another whole one", 1, func(whole []byte) []byte {
		h, _ := event.ParseHeader(whole)
		return encode(h.Process, h.Seq, nil)
	})
}
