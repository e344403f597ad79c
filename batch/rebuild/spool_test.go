package rebuild

import (
	"context"
	"testing"

	"github.com/hayate-ads/hayate/batch/logtest"
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// What lies in the spool of the older copy is brought into the bucket and counted,
// though a later segment of its stream is there already.
func TestSpooledSegments(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	item := w.LineItem(100, 100).ID
	s, other := w.Process(), w.Process()
	lease := w.Grant(s, item, 20)
	w.Ship(s)
	w.Settle()

	w.Log(s, logtest.Landing(event.Impression, w.Token(s, lease, 0)))
	w.Ship(s)
	name := event.SegmentName(s.Process, s.Seq)
	body := logtest.Must[[]byte](t)(w.Bucket.ReadAll(t.Context(), name))
	if err := w.DB.Spool(t.Context(), s.Process, s.Seq, body); err != nil {
		t.Fatal(err)
	}
	if err := w.Bucket.Delete(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	w.Log(s, logtest.Landing(event.Impression, w.Token(s, lease, 1)))
	w.Ship(s)
	w.Beat(s)
	backup := w.backup()
	w.Grant(other, item, 10)
	w.Ship(other)

	w.restore(backup)
	w.noticed(other)
	w.rebuild()
	if p := logtest.Must[postgres.Process](t)(w.DB.FindProcess(context.Background(), s.Process)); p.Stalled != "" || p.Applied != 3 {
		t.Errorf("segment %d is applied, stalled: %q", p.Applied, p.Stalled)
	}
	if got, want := w.books().sum("ledger", "charged"), int64(2*logtest.Price); got != want {
		t.Errorf("charged %d, want %d", got, want)
	}
}
