package settle

import (
	"strings"
	"testing"

	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// A process whose spooled segments cannot go on keeps no other's from being
// settled, however many they are.
func TestSpoolIsFair(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stuck, other := w.process(), w.process()
	grant := w.grant(other, w.lineItem(1000, 500).ID, 10)
	w.log(other, landing(event.Impression, w.token(other, grant, 0)))
	w.spool(other)
	w.put(stuck.process, 1, nil) // and the spool has another body for it
	_, err := w.db.Pool.Exec(t.Context(), `
		INSERT INTO spool (process_id, seq, body) SELECT $1, n, 'stuck' FROM generate_series(1, 12000) n`, stuck.process)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Once(t.Context(), w.cfg); err == nil {
		t.Error("nobody says that a spooled segment is stuck")
	}
	w.settles(t, 1)
}

// settles lets a settler that goes on after errors work, and judges what it charged.
func (w *world) settles(t *testing.T, impressions int64) {
	t.Helper()
	f := must[*follower](t)(start(t.Context(), w.cfg))
	defer f.close(t.Context())
	if err := f.settler.Lock(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		_, _ = f.work(t.Context())
	}
	if got := w.totals(); got.Impressions != impressions {
		t.Errorf("%d impressions were settled, want %d", got.Impressions, impressions)
	}
}

// What is in the spool is not missing, though a later segment is in the bucket
// and nobody has looked at the spool yet; it cannot be skipped either.
func TestSpooledSegmentIsNotMissing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.process()
	grant := w.grant(s, w.lineItem(1000, 500).ID, 10)
	w.log(s, landing(event.Impression, w.token(s, grant, 0)))
	w.spool(s)
	w.log(s, landing(event.Impression, w.token(s, grant, 1)))
	w.ship(s)
	w.beat(s)
	f := must[*follower](t)(start(t.Context(), w.cfg))
	defer f.close(t.Context())
	if err := f.scan(t.Context()); err != nil {
		t.Fatal(err)
	}
	if p := must[postgres.Process](t)(w.db.FindProcess(t.Context(), s.process)); p.Stalled != "" {
		t.Errorf("stalled: %s", p.Stalled)
	}
	if err := f.settler.Stall(t.Context(), s.process, "a gap, once"); err != nil {
		t.Fatal(err)
	}
	_, err := Skip(t.Context(), w.db, w.bucket, postgres.SegmentKey{Process: s.process, Seq: 1}, "gone")
	if err == nil || !strings.Contains(err.Error(), "spool") {
		t.Errorf("skipped what is in the spool: %v", err)
	}
}
