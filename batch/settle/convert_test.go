package settle

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/postgres"
)

func conversion(r event.Reservation, order string, touched time.Time, view bool) event.Record {
	rec := landing(event.Conversion, r)
	rec.Action = &event.Action{OrderID: order, Value: 50 * money.Unit, PostView: view, TouchedAt: touched}
	return rec
}

// TestConversions: once an order, across line items, batches and processes, and
// once a reservation where no order is named; within the advertiser's windows.
func TestConversions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if _, err := w.db.Pool.Exec(t.Context(), "UPDATE advertiser SET click_window_days = 7, view_window_days = 1"); err != nil {
		t.Fatal(err)
	}
	a, b := w.process(), w.process()
	one, other := w.lineItem(1000, 500), w.lineItem(1000, 500)
	first, second := w.grant(a, one.ID, 10), w.grant(a, other.ID, 10)
	r, s := w.token(a, first, 0), w.token(a, second, 1)
	now, day := w.clock.Now().Truncate(time.Second), 24*time.Hour
	w.log(a, conversion(r, "A-1", now, false))
	w.log(a, conversion(s, "A-1", now, false)) // the same order
	w.log(b, conversion(s, "A-1", now, true))
	w.log(b, conversion(r, "", now, true))
	w.ship(a)
	w.ship(b)
	w.settle()
	w.log(a, conversion(r, "", now, false)) // the same reservation
	w.log(a, conversion(s, "", now, false)) // another one
	w.log(a, conversion(r, "A-1", now, false))
	w.log(a, conversion(r, "A-2", now.Add(-7*day), false))
	w.log(a, conversion(r, "A-3", now.Add(-7*day-time.Second), false))
	w.log(a, conversion(r, "A-4", now.Add(-day), true))
	w.log(a, conversion(r, "A-5", now.Add(-day-time.Second), true))
	bad := conversion(r, "A-6", now, false)
	bad.Landing.Invalid = event.InvalidBot
	w.log(a, bad)
	w.log(a, bad)
	stranger := r
	stranger.LineItem += 1000
	w.log(a, conversion(stranger, "A-7", now, false))
	w.ship(a)
	stats := w.settle()
	want := map[Odd]int64{OddWindow: 2, OddLineItem: 1}
	if diff := cmp.Diff(want, stats.Odd); diff != "" || stats.Conversions != 3 || stats.Duplicates != 3 || stats.Invalid != 1 {
		t.Errorf("%s\n%+v", diff, stats)
	}
	var click, view, value, rows int64
	if err := w.db.Pool.QueryRow(t.Context(), `
		SELECT sum(conversions)::bigint, sum(view_conversions)::bigint, sum(conversion_value_micros)::bigint, (SELECT count(*) FROM conversion)
		FROM report_hour`).Scan(&click, &view, &value, &rows); err != nil {
		t.Fatal(err)
	}
	if click != 3 || view != 2 || value != int64(5*50*money.Unit) || rows != 5 {
		t.Errorf("%d after a click, %d after a view, worth %d, %d rows", click, view, value, rows)
	}
	w.judgeLog(t)
}

// A view window of no days counts no conversion after an impression.
func TestNoViewWindow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if _, err := w.db.Pool.Exec(t.Context(), "UPDATE advertiser SET view_window_days = 0"); err != nil {
		t.Fatal(err)
	}
	a := w.process()
	r := w.token(a, w.grant(a, w.lineItem(1000, 500).ID, 10), 0)
	w.log(a, conversion(r, "", w.clock.Now().Truncate(time.Second), true))
	w.ship(a)
	if stats := w.settle(); stats.Odd[OddWindow] != 1 || stats.Conversions != 0 {
		t.Errorf("%+v", stats)
	}
}

// What was decided at a time that no report has is refused, and holds up nothing.
func TestHoursBeyondAllSense(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.process()
	grant := w.grant(a, w.lineItem(1000, 500).ID, 10)
	for i, at := range []time.Time{noon, noon.AddDate(-1, 0, 0), noon.AddDate(1, 0, 0)} {
		r := w.token(a, grant, uint32(i))
		r.DecidedAt = at
		w.log(a, landing(event.Impression, r))
		w.log(a, conversion(r, "", noon, false))
		w.log(a, event.Record{Type: event.Requests, Requests: event.Count{Hour: at, Placement: w.placement, N: 1}})
	}
	w.ship(a)
	stats := w.settle()
	if stats.Odd[OddHour] != 6 || stats.Impressions != 1 || stats.Conversions != 1 {
		t.Errorf("%+v", stats)
	}
	w.judgeLog(t)
}

// Of a lease that was folded away nobody can tell any more what was counted, and
// its OPEN does not mean that the database is an older copy.
func TestFoldedLease(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	item := w.lineItem(1000, 500)
	a := w.process()
	if _, err := w.db.Pool.Exec(t.Context(), "UPDATE settlement SET folded = $1", noon.AddDate(0, 0, -1)); err != nil {
		t.Fatal(err)
	}
	gone := postgres.Grant{Lease: newULID(noon.AddDate(0, 0, -2)), LineItem: item.ID, Micros: 10 * price, Impressions: 10, Day: 20_000}
	w.log(a, event.Record{Type: event.Open, Lease: leaseOf(gone)})
	w.log(a, landing(event.Impression, w.token(a, gone, 0)))
	w.log(a, landing(event.Click, w.token(a, gone, 0)))
	w.log(a, conversion(w.token(a, gone, 0), "A-1", noon, false)) // asks nothing of a lease
	w.log(a, w.closing(gone, 1))
	grant := w.grant(a, item.ID, 10)
	w.log(a, landing(event.Impression, w.token(a, grant, 0)))
	w.ship(a)
	stats := w.settle()
	if stats.Odd[OddFolded] != 4 || stats.Impressions != 1 || stats.Clicks != 0 || stats.Conversions != 1 {
		t.Errorf("%+v", stats)
	}
	var leases int
	if err := w.db.Pool.QueryRow(t.Context(), "SELECT count(*) FROM lease").Scan(&leases); err != nil || leases != 1 {
		t.Errorf("%d leases, %v", leases, err)
	}
	w.judgeLog(t)
}
