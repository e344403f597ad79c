package settle

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/postgres"
)

func unserved(estimated bool, cells ...event.ReasonCell) event.Record {
	return event.Record{Type: event.Unserved, Reasons: &event.Reasons{Hour: noon, Estimated: estimated, Cells: cells}}
}

func (w *world) reasons(lineItem ad.ID) []postgres.Reason {
	w.t.Helper()
	got, err := w.db.LineItemReasons(w.t.Context(), postgres.System, lineItem, noon, noon.Add(time.Hour))
	if err != nil {
		w.t.Fatal(err)
	}
	return got.Rows
}

// Reasons of several processes and segments add up, and a segment that settles a
// second time, as after a crash or beside a settler that lost its lock, adds nothing.
func TestReasonsAreSettledOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	item, other := w.lineItem(1000, 500), w.lineItem(1000, 500)
	a, b := w.process(), w.process()
	country := event.ReasonCell{LineItem: item.ID, Reason: "no_match", Dimension: "country", N: 640, Samples: 2}
	w.log(a, unserved(false, event.ReasonCell{LineItem: item.ID, Reason: "no_lease", N: 5}, event.ReasonCell{Reason: "no_lease", N: 9}))
	w.log(a, unserved(true, country, event.ReasonCell{LineItem: other.ID, Reason: "won", N: 640, Samples: 2}))
	w.ship(a)
	w.log(a, unserved(true, country))
	w.ship(a)
	w.log(b, unserved(false, event.ReasonCell{LineItem: item.ID, Reason: "no_lease", N: 7}))
	w.ship(b)
	w.settle()
	want := []postgres.Reason{
		{Reason: "no_lease", ReasonCount: postgres.ReasonCount{Counted: 12}},
		{Reason: "no_match", Dimension: "country", ReasonCount: postgres.ReasonCount{Estimated: 1280, Samples: 4}},
	}
	if diff := cmp.Diff(want, w.reasons(item.ID)); diff != "" {
		t.Fatal(diff)
	}
	// Its streams back at the beginning, settle reads all segments anew.
	if _, err := w.db.Pool.Exec(t.Context(), "UPDATE process SET applied_segment = 0"); err != nil {
		t.Fatal(err)
	}
	w.settle()
	if diff := cmp.Diff(want, w.reasons(item.ID)); diff != "" {
		t.Errorf("settled twice: %s", diff)
	}
	whole, err := w.db.LineItemReasons(t.Context(), postgres.System, other.ID, noon, noon.Add(time.Hour))
	if err != nil || whole.Unplaced != 9 || whole.Freshness.IsZero() || len(whole.Rows) != 1 {
		t.Errorf("of another line item: %+v, %v", whole, err)
	}
}

// A count that no process can have made is odd, and holds up nothing.
func TestReasonsBeyondAllSense(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	item := w.lineItem(1000, 500)
	a := w.process()
	w.log(a, unserved(false, event.ReasonCell{LineItem: item.ID, Reason: "no_lease", N: mostDecisions + 1}))
	w.log(a, unserved(false, event.ReasonCell{LineItem: item.ID, Reason: "no_lease", N: 1}))
	w.ship(a)
	stats := w.settle()
	if stats.Odd[OddRecord] != 1 {
		t.Errorf("odd: %v", stats.Odd)
	}
	if got := w.reasons(item.ID); len(got) != 1 || got[0].Counted != 1 {
		t.Errorf("reasons: %+v", got)
	}
}
