package rebuild

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/hayate-ads/hayate/batch/logtest"
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// A rebuild that ends at any step changes nothing about what the next one reaches,
// and nothing is granted or settled in between.
func TestKilledAtEveryStep(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	item := w.LineItem(100, 100).ID
	s := w.Process()
	w.Settle()
	first := w.Grant(s, item, 60)
	w.Ship(s)
	w.Settle()
	backup := w.backup()
	for i := range uint32(50) {
		w.Log(s, logtest.Landing(event.Impression, w.Token(s, first, i)))
	}
	w.Log(s, w.Closing(first, 60))
	w.Ship(s)
	w.Pass(time.Minute, s)
	second := w.Grant(s, item, 50) // lives on what the first gave back
	for i := range uint32(50) {
		w.Log(s, logtest.Landing(event.Impression, w.Token(s, second, i)))
	}
	w.Log(s, w.Closing(second, 50))
	w.Ship(s)
	w.Pass(time.Minute, s)
	want := w.books()

	w.restore(backup) // that nobody has noticed yet
	for _, step := range []string{"begun", "read", "leases", "batch", "settled"} {
		ctx, kill := context.WithCancel(t.Context())
		x := w.rebuilder()
		x.step = func(name string) {
			if name == step {
				kill()
			}
		}
		if _, err := x.Run(ctx); err == nil {
			t.Fatalf("killed at %s, it ended well", step)
		}
		kill()
		if _, err := w.TryGrant(s, item, 1); !errors.Is(err, postgres.ErrRebuild) {
			t.Errorf("a grant after a rebuild killed at %s: %v", step, err)
		}
		if err := w.TrySettle(); !errors.Is(err, postgres.ErrRebuild) {
			t.Errorf("settle after a rebuild killed at %s: %v", step, err)
		}
	}
	sum := w.rebuild()
	if len(sum.Clipped) != 0 {
		t.Error(sum)
	}
	w.Pass(time.Minute, s)
	if diff := want.diff(w.books()); diff != "" {
		t.Error(diff)
	}
	var rebuilt int64
	if err := w.DB.Pool.QueryRow(t.Context(), "SELECT rebuilt FROM settlement").Scan(&rebuilt); err != nil || rebuilt != 1 {
		t.Error(fmt.Sprint("rebuilt ", rebuilt, " times: "), err)
	}
}
