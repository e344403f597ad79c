package reconcile

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"
	"gocloud.dev/blob/memblob"

	"github.com/hayate-ads/hayate/batch/lake"
	"github.com/hayate-ads/hayate/batch/logtest"
	"github.com/hayate-ads/hayate/batch/rollup"
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/postgres"
	"github.com/hayate-ads/hayate/internal/postgres/postgrestest"
)

type world struct {
	*logtest.World
	t     *testing.T
	quiet *slog.Logger
}

func newWorld(t *testing.T) *world {
	t.Helper()
	bucket := memblob.OpenBucket(nil)
	t.Cleanup(func() { _ = bucket.Close() })
	db := &postgres.DB{Pool: postgrestest.New(t)}
	return &world{World: logtest.New(t, db, bucket, logtest.Noon), t: t, quiet: slog.New(slog.DiscardHandler)}
}

func (w *world) auditor() *Auditor {
	return &Auditor{DB: w.DB, Bucket: w.Bucket, Log: w.quiet}
}

func (w *world) exec(sql string, args ...any) {
	w.t.Helper()
	if _, err := w.DB.Pool.Exec(w.t.Context(), sql, args...); err != nil {
		w.t.Fatal(err)
	}
}

// day is the day that worlds begin on.
var today = logtest.Noon.Truncate(24 * time.Hour)

// course is a day with all kinds of events: on time, twice, late, invalid, tests,
// from a lease without room, conversions with an order and without, an exchange's.
func (w *world) course() {
	w.t.Helper()
	item := w.LineItem(1000, 1000).ID
	a, b := w.Process(), w.Process()
	lease := w.Grant(a, item, 100)
	small := w.Grant(a, item, 5)
	w.Log(b, event.Record{Type: event.Requests, Requests: event.Count{Hour: logtest.Noon, Placement: w.Placement, NoFill: "floor", N: 17}})
	w.Log(b, event.Record{Type: event.Requests, Requests: event.Count{Hour: logtest.Noon, Placement: w.Placement, N: 105}})
	for i := range uint32(60) {
		r := w.Token(a, lease, i)
		for j, kind := range []event.Type{event.Impression, event.Impression, event.Viewable, event.Click} {
			if int(i)%(j+1) == 0 {
				w.Log([]*logtest.Stream{a, b}[j%2], logtest.Landing(kind, r))
			}
		}
	}
	odd := logtest.Landing(event.Impression, w.Token(a, lease, 60))
	odd.Landing.Invalid = event.InvalidBot
	test := logtest.Landing(event.Impression, w.Token(a, lease, 61))
	test.Landing.Reservation.Flags = event.Test
	suspect := logtest.Landing(event.Click, w.Token(a, lease, 62))
	suspect.Landing.Reservation.Flags = event.Suspect
	foreign := logtest.Landing(event.Impression, w.Token(a, lease, 63))
	foreign.Landing.Reservation.LineItem++
	clicked := logtest.Landing(event.Impression, w.Token(a, lease, 64))
	clicked.Landing.Reservation.Bills = event.BillsClick
	paid := logtest.Landing(event.Click, clicked.Landing.Reservation)
	for _, rec := range []event.Record{odd, odd, test, suspect, foreign, clicked, paid} {
		w.Log(b, rec)
	}
	for quartile := range event.Quartile(3) {
		rec := logtest.Landing(event.Progress, w.Token(a, lease, 65))
		rec.Landing.Quartile = quartile
		w.Log(a, rec)
		w.Log(b, rec)
	}
	bid := w.Token(a, lease, 66)
	bid.Exchange, bid.Bills, bid.BidPrice = 3, event.BillsBilling, 3000
	won, billed := logtest.Landing(event.Win, bid), logtest.Landing(event.Billing, bid)
	won.Landing.Clearing, billed.Landing.Clearing = 2000, 2000
	w.Log(a, won)
	w.Log(b, billed)
	for i, order := range []string{"A-1", "A-1", "A-2", "", ""} {
		rec := logtest.Landing(event.Conversion, w.Token(a, lease, 67))
		rec.Action = &event.Action{OrderID: order, Value: 5_000_000, PostView: i == 2, TouchedAt: w.Now()}
		w.Log(b, rec)
	}
	for i := range uint32(8) { // more than the lease was granted
		w.Log(a, logtest.Landing(event.Impression, w.Token(a, small, i)))
	}
	late := w.Token(a, small, 9)
	w.Log(a, w.Closing(lease, 68))
	w.Log(a, w.Closing(small, 5))
	w.Ship(a)
	w.Ship(b)
	w.Settle()
	w.Pass(time.Minute, a, b)
	w.Log(b, logtest.Landing(event.Impression, late))
	w.Log(a, event.Record{Type: event.End})
	w.Log(a, logtest.Landing(event.Impression, late)) // after the end
	w.Ship(a)
	w.Ship(b)
	w.Add(2 * time.Hour) // the hour is complete
	w.Beat(b)
	w.Settle()
	w.writeLake()
	if _, err := (&rollup.Roller{DB: w.DB}).Run(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) writeLake() {
	w.t.Helper()
	if _, err := (&lake.Writer{DB: w.DB, Bucket: w.Bucket, Log: w.quiet}).Run(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

func TestBooksAgree(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.course()
	found, err := w.auditor().Day(t.Context(), today)
	if err != nil {
		for _, d := range found.Differences {
			t.Error(d)
		}
		t.Fatal(err)
	}
	if found.Events < 100 || found.Charged != 65*logtest.Price+1333 {
		t.Errorf("%d events, %s charged", found.Events, found.Charged)
	}
	kept := logtest.Must[[]postgres.Reconciliation](t)(w.DB.Reconciliations(t.Context(), 1))
	if len(kept) != 1 || kept[0].Events != found.Events || len(kept[0].Differences)+len(kept[0].Losses) != 0 || !kept[0].Day.Equal(today) {
		t.Errorf("kept: %+v", kept)
	}
	// The next day has nothing of it but the leases' names.
	if found, err := w.auditor().Day(t.Context(), today.AddDate(0, 0, 1)); err != nil || found.Events != 0 {
		t.Errorf("the next day: %+v, %v", found, err)
	}
}

// Every book is changed by one, and the change is found and named.
func TestMutants(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.course()
	f := func(change, undo, book, what string) {
		t.Helper()
		w.exec(change)
		found, err := w.auditor().Day(t.Context(), today)
		w.exec(undo)
		if !errors.Is(err, ErrDifferent) {
			t.Fatalf("%s: not found: %v", change, err)
		}
		for _, d := range found.Differences {
			if d.Book == book && d.What == what && d.Key != "" && d.Want != d.Got {
				return
			}
		}
		t.Errorf("%s: no difference of %s in %s among %v", change, what, book, found.Differences)
	}
	f("UPDATE ledger SET charged_micros = charged_micros + 1 WHERE id = (SELECT min(id) FROM ledger)",
		"UPDATE ledger SET charged_micros = charged_micros - 1 WHERE id = (SELECT min(id) FROM ledger)", "ledger", "charged_micros")
	f("UPDATE ledger SET overage_impressions = overage_impressions + 1 WHERE id = (SELECT min(id) FROM ledger)",
		"UPDATE ledger SET overage_impressions = overage_impressions - 1 WHERE id = (SELECT min(id) FROM ledger)", "ledger", "overage_impressions")
	for _, column := range postgres.CellColumns {
		f("UPDATE report_hour SET "+column+" = "+column+" + 1 WHERE exchange_id = 3",
			"UPDATE report_hour SET "+column+" = "+column+" - 1 WHERE exchange_id = 3", "report_hour", column)
	}
	for _, column := range postgres.AudienceColumns {
		f("UPDATE report_audience_hour SET "+column+" = "+column+" + 1 WHERE invalid = 'bot'",
			"UPDATE report_audience_hour SET "+column+" = "+column+" - 1 WHERE invalid = 'bot'", "report_audience_hour", column)
	}
	for _, column := range postgres.SupplyColumns {
		f("UPDATE report_supply_hour SET "+column+" = "+column+" + 1 WHERE no_fill = 'floor'",
			"UPDATE report_supply_hour SET "+column+" = "+column+" - 1 WHERE no_fill = 'floor'", "report_supply_hour", column)
	}
	f("UPDATE report_day SET clicks = clicks + 1 WHERE exchange_id = 3", "UPDATE report_day SET clicks = clicks - 1 WHERE exchange_id = 3", "report_day", "clicks")
	f("UPDATE report_audience_day SET spend_micros = spend_micros + 1 WHERE invalid = 'bot'",
		"UPDATE report_audience_day SET spend_micros = spend_micros - 1 WHERE invalid = 'bot'", "report_audience_day", "spend_micros")
	f("UPDATE report_supply_day SET decisions = decisions - 1 WHERE no_fill = 'floor'",
		"UPDATE report_supply_day SET decisions = decisions + 1 WHERE no_fill = 'floor'", "report_supply_day", "decisions")
	f("UPDATE account SET settled_micros = settled_micros - 1 WHERE day IS NULL",
		"UPDATE account SET settled_micros = settled_micros + 1 WHERE day IS NULL", "account", "settled_micros")
	f("UPDATE account SET settled_micros = settled_micros + 1 WHERE day IS NOT NULL",
		"UPDATE account SET settled_micros = settled_micros - 1 WHERE day IS NOT NULL", "account", "settled_micros")
	f("UPDATE account SET leased_micros = leased_micros + 1 WHERE day IS NULL",
		"UPDATE account SET leased_micros = leased_micros - 1 WHERE day IS NULL", "account", "leased_micros")
	f("UPDATE lease SET settled_micros = settled_micros - 1 WHERE id = (SELECT max(id::text)::uuid FROM lease WHERE settled_micros > 0)",
		"UPDATE lease SET settled_micros = settled_micros + 1 WHERE id = (SELECT max(id::text)::uuid FROM lease WHERE settled_micros > 0)", "lease", "settled_micros")
	f("UPDATE conversion SET value_micros = value_micros + 1 WHERE order_id = 'A-1'",
		"UPDATE conversion SET value_micros = value_micros - 1 WHERE order_id = 'A-1'", "conversion", "value_micros")
	f("UPDATE conversion SET converted_at = converted_at - interval '3 days' WHERE order_id = 'A-2'",
		"UPDATE conversion SET converted_at = converted_at + interval '3 days' WHERE order_id = 'A-2'", "conversion", "rows")
	f("UPDATE segment SET sha256 = '\\x00' || substr(sha256, 2) WHERE seq = 1",
		"UPDATE segment SET seq = seq", "segment", "sha256 is another than was settled")
}

// An outcome that makes no sense is found: a duplicate of nothing, what was
// counted twice, overage of a lease with room.
func TestOutcomesAreChecked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	item := w.LineItem(100, 100).ID
	s := w.Process()
	lease := w.Grant(s, item, 10)
	for range 2 {
		w.Log(s, logtest.Landing(event.Impression, w.Token(s, lease, 0)))
	}
	w.Ship(s)
	w.Settle()
	f := func(outcomes []event.Outcome, book, what string) {
		t.Helper()
		w.exec("UPDATE segment SET outcomes = $1", event.AppendOutcomes([]byte{}, outcomes))
		found, err := w.auditor().Day(t.Context(), today)
		if !errors.Is(err, ErrDifferent) {
			t.Fatalf("%v: %v", outcomes, err)
		}
		for _, d := range found.Differences {
			if d.Book == book && strings.Contains(d.What, what) {
				return
			}
		}
		t.Errorf("%v: no %q in %s among %v", outcomes, what, book, found.Differences)
	}
	f(nil, "segment.outcomes", "counted though not the first")
	f([]event.Outcome{{Index: 1, Fate: event.Duplicate}, {Index: 2, Fate: event.Duplicate}}, "segment.outcomes", "not counted though the first")
	f([]event.Outcome{{Index: 1, Fate: event.Refused}, {Index: 2, Fate: event.Duplicate}}, "segment.outcomes", "refused though")
	f([]event.Outcome{{Index: 1, Fate: event.TooLate}, {Index: 2, Fate: event.Duplicate}}, "segment.outcomes", "though not late")
	f([]event.Outcome{{Index: 1, Fate: event.Short, Charged: 1, Overage: 2}, {Index: 2, Fate: event.Duplicate}}, "segment.outcomes", "of 0.002")
	f([]event.Outcome{{Index: 1, Fate: event.Short, Overage: 2000}, {Index: 2, Fate: event.Duplicate}}, "lease", "room left")
}

// What the lake lacks, or has too much of, is found.
func TestLakeIsCompared(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.course()
	ctx := t.Context()
	name := ""
	objects := w.Bucket.List(nil)
	for {
		object, err := objects.Next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(object.Key, "lake/events/") && name == "" {
			name = object.Key
		}
	}
	whole := logtest.Must[[]byte](t)(w.Bucket.ReadAll(ctx, name))
	rows := logtest.Must[[]lake.Event](t)(parquet.Read[lake.Event](bytes.NewReader(whole), int64(len(whole))))
	if len(rows) < 100 {
		t.Fatalf("%s has %d rows", name, len(rows))
	}
	f := func(what string, rows []lake.Event) {
		t.Helper()
		var b bytes.Buffer
		if err := errors.Join(parquet.Write(&b, rows), w.Bucket.WriteAll(ctx, name, b.Bytes(), nil)); err != nil {
			t.Fatal(err)
		}
		found, err := w.auditor().Day(ctx, today)
		if !errors.Is(err, ErrDifferent) {
			t.Fatalf("%s: %v", what, err)
		}
		for _, d := range found.Differences {
			if d.Book == "lake" && d.What == what && strings.Contains(d.Key, name) {
				return
			}
		}
		t.Errorf("no %s of %s among %v", what, name, found.Differences)
	}
	f("events", rows[1:])
	changed := append([]lake.Event{}, rows...)
	changed[0].Charged++
	f("charged", changed)
	if err := w.Bucket.Delete(ctx, name); err != nil {
		t.Fatal(err)
	}
	if _, err := w.auditor().Day(ctx, today); !errors.Is(err, ErrDifferent) {
		t.Errorf("the file is gone: %v", err)
	}
}

// What is past its retention, or was skipped, is a loss and no difference.
func TestLosses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	item := w.LineItem(100, 100).ID
	s := w.Process()
	lease := w.Grant(s, item, 10)
	for i := range uint32(3) {
		w.Log(s, logtest.Landing(event.Impression, w.Token(s, lease, i)))
		w.Ship(s)
	}
	w.Settle()
	if err := w.Bucket.Delete(t.Context(), event.SegmentName(s.Process, 2)); err != nil {
		t.Fatal(err)
	}
	found, err := w.auditor().Day(t.Context(), today)
	if err != nil || len(found.Losses) != 1 || found.Losses[0].Segment != event.SegmentName(s.Process, 2) {
		t.Errorf("%+v, %v", found, err)
	}
	w.exec("UPDATE ledger SET charged_micros = charged_micros - 4000") // less than the rest of the log says
	if _, err := w.auditor().Day(t.Context(), today); !errors.Is(err, ErrDifferent) {
		t.Errorf("less is booked than the rest of the log says: %v", err)
	}
}

// The job takes each day once, and again when something came late.
func TestRunTakesMissedDays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.course()
	x := w.auditor()
	days := func() int {
		t.Helper()
		return len(logtest.Must[[]time.Time](t)(w.DB.Queries().DaysToReconcile(context.Background(), today.AddDate(0, 0, -7))))
	}
	if n := days(); n != 0 {
		t.Errorf("%d days before the day is over", n)
	}
	w.Add(24 * time.Hour)
	if n := days(); n != 1 {
		t.Errorf("%d days after it, want 1", n)
	}
	if _, err := x.Day(t.Context(), today); err != nil {
		t.Fatal(err)
	}
	if n := days(); n != 0 {
		t.Errorf("%d days when it is compared", n)
	}
	w.exec("UPDATE report_status SET restated_at = bank_now() + interval '1 minute'")
	if n := days(); n != 1 {
		t.Errorf("%d days when it was restated, want 1", n)
	}
}
