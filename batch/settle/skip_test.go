package settle

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/postgres"
)

func TestParseSegment(t *testing.T) {
	t.Parallel()
	process := newULID(noon)
	key := postgres.SegmentKey{Process: process, Seq: 12}
	for _, name := range []string{event.SegmentName(process, 12), process.String() + "/12", process.String() + "/0000000012"} {
		if got, err := ParseSegment(name); got != key || err != nil {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	for _, name := range []string{
		"", "/", "12", process.String(), process.String() + "/", process.String() + "/0", process.String() + "/-1", process.String() + "/x",
		"nobody/12", "events/2026-11-19/" + process.String() + "/0000000012", "events/" + process.String() + "/12",
	} {
		if _, err := ParseSegment(name); err == nil {
			t.Errorf("%q is taken", name)
		}
	}
}

// stalled is a world where a process's second segment is bad, its first and third
// have an impression each, and settle has noticed.
func stalled(t *testing.T, damage func(w *world, key postgres.SegmentKey)) (w *world, key postgres.SegmentKey, logged *bytes.Buffer) {
	w, logged = newWorld(t), new(bytes.Buffer)
	w.cfg.Log = slog.New(slog.NewTextHandler(logged, nil))
	s := w.process()
	grant := w.grant(s, w.lineItem(1000, 500).ID, 10)
	w.log(s, landing(event.Impression, w.token(s, grant, 0)))
	w.ship(s)
	w.settle()
	s.seq++
	key = postgres.SegmentKey{Process: s.process, Seq: s.seq}
	damage(w, key)
	w.beat(s)
	w.log(s, landing(event.Impression, w.token(s, grant, 1)))
	w.log(s, event.Record{Type: event.End})
	w.ship(s)
	if _, err := w.db.Heartbeat(t.Context(), postgres.Heartbeat{Process: s.process, StartedAt: noon, SafeAt: noon, SafeSegment: s.seq}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		w.settle()
	}
	if got := w.totals(); got.Charged != price {
		t.Fatalf("charged %s before it is skipped", got.Charged)
	}
	return w, key, logged
}

// cut puts a segment with one impression there, but its last byte.
func cut(w *world, key postgres.SegmentKey) {
	r := event.Reservation{
		Process: key.Process, Lease: newULID(noon), LineItem: 1, Creative: 1, Placement: 1,
		DecidedAt: noon, Price: 3 * price, BidPrice: 3 * price, Bills: event.BillsImpression,
	}
	rec := landing(event.Impression, r)
	rec.At = noon
	b := encode(key.Process, key.Seq, []event.Record{rec})
	if err := w.bucket.WriteAll(w.t.Context(), event.SegmentName(key.Process, key.Seq), b[:len(b)-1], nil); err != nil {
		w.t.Fatal(err)
	}
}

func TestSkip(t *testing.T) {
	t.Parallel()
	f := func(name, loss string, damage func(w *world, key postgres.SegmentKey)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, key, logged := stalled(t, damage)
			if command := "batch settle --skip " + event.SegmentName(key.Process, key.Seq); strings.Count(logged.String(), command) != 1 {
				t.Errorf("the log does not name the command %s once:\n%s", command, logged)
			}
			message, err := Skip(t.Context(), w.db, w.bucket, key, "the disk is gone")
			if err != nil || !strings.Contains(message, loss) {
				t.Fatalf("%q, %v; want %q", message, err, loss)
			}
			w.settle()
			if got := w.totals(); got.Charged != 2*price || got.Impressions != 2 {
				t.Errorf("afterwards %+v", got)
			}
			w.judgeLog(t)
			rows := must[[]postgres.SettledSegment](t)(w.db.Queries().SettledSegments(t.Context(), postgres.SegmentRange{}))
			var skipped []postgres.SegmentKey
			for _, s := range rows {
				if s.Skipped == "the disk is gone" && !s.FirstAt.IsZero() {
					skipped = append(skipped, postgres.SegmentKey{Process: s.Process, Seq: s.Seq})
				}
			}
			if diff := cmp.Diff([]postgres.SegmentKey{key}, skipped); diff != "" {
				t.Error(diff)
			}
			if _, err := Skip(t.Context(), w.db, w.bucket, key, "again"); !errors.Is(err, postgres.ErrNotNext) {
				t.Errorf("skipped again: %v", err)
			}
		})
	}
	f("cut", "1 records can be read, 1 of which bill, worth 0.006", cut)
	f("gap", "not in the bucket", func(*world, postgres.SegmentKey) {})
	f("refused by Postgres", "1 records can be read", func(w *world, key postgres.SegmentKey) {
		if _, err := w.db.Pool.Exec(w.t.Context(), "ALTER TABLE report_supply_hour ADD CHECK (placement_id <> 666)"); err != nil {
			w.t.Fatal(err)
		}
		w.put(key.Process, key.Seq, []event.Record{{Type: event.Requests, At: noon, Requests: event.Count{Hour: noon, Placement: 666, N: 1}}})
	})
}

// What must not be skipped is not, and nothing changes.
func TestSkipRefuses(t *testing.T) {
	t.Parallel()
	w, key, _ := stalled(t, cut)
	well := w.process()
	before := w.totals()
	f := func(name string, key postgres.SegmentKey, why string, want string) {
		t.Helper()
		if message, err := Skip(t.Context(), w.db, w.bucket, key, why); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %q, %v; want %q", name, message, err, want)
		}
	}
	const why = "the disk is gone"
	f("no reason", key, " ", "reason")
	f("later", postgres.SegmentKey{Process: key.Process, Seq: key.Seq + 1}, why, "stands at "+event.SegmentName(key.Process, key.Seq))
	f("settled", postgres.SegmentKey{Process: key.Process, Seq: key.Seq - 1}, why, "stands at "+event.SegmentName(key.Process, key.Seq))
	f("unknown", postgres.SegmentKey{Process: newULID(noon), Seq: 1}, why, "does not know")
	f("well", postgres.SegmentKey{Process: well.process, Seq: 1}, why, "not stalled")
	if _, err := Resume(t.Context(), w.db, w.bucket, key); err == nil || !strings.Contains(err.Error(), "still not whole") {
		t.Errorf("resumed: %v", err)
	}
	// Somebody finds the segment's copy.
	if err := w.bucket.Delete(t.Context(), event.SegmentName(key.Process, key.Seq)); err != nil {
		t.Fatal(err)
	}
	w.put(key.Process, key.Seq, nil)
	f("repaired", key, why, "--resume")
	w.settle()
	if diff := cmp.Diff(before, w.totals()); diff != "" {
		t.Error(diff)
	}
	if _, err := Resume(t.Context(), w.db, w.bucket, key); err != nil {
		t.Fatal(err)
	}
	w.settle()
	if got := w.totals(); got.Charged != 2*price {
		t.Errorf("charged %s after it was repaired", got.Charged)
	}
}

// A process whose disk is gone keeps money from others, which only its stream
// could have charged, for 120 s at most: by the bank's clock, with the durations
// of production.
func TestDeadProcessHoldsMoneyTwoMinutes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.Bank = postgres.BankConfig{
		LeaseTTL: 30 * 60e9, MaxAge: 60e9, LongestHold: 300e9, LostAfter: 90e9, Grace: 30e9, Margin: 5e9,
	}
	item := w.lineItem(100, 100)
	a, dead := w.process(), w.process()
	w.pass(10e9, a, dead)
	for {
		grant := w.grant(a, item.ID, 100)
		if grant.Refused != "" {
			break
		}
		w.log(a, w.closing(grant, grant.Impressions)) // all reserved: any of it may have landed at dead
	}
	w.ship(a)
	w.pass(5e9, a, dead)
	killed := w.clock.Now()
	for w.grantable(a, item.ID) == 0 {
		if held := w.clock.Now().Sub(killed); held > 120e9 {
			t.Fatalf("others' money is held for %v", held)
		}
		w.pass(1e9, a)
	}
	held := w.clock.Now().Sub(killed)
	if held < 60e9 {
		t.Errorf("the money is back after %v, before the process was lost", held)
	}
	t.Logf("held for %v", held)
}

// grantable is how many impressions the bank grants of a line item now.
func (w *world) grantable(s *stream, item ad.ID) int64 {
	w.t.Helper()
	want := postgres.Want{Lease: newULID(w.clock.Now()), LineItem: item, Micros: price, Impressions: 1}
	grants := must[[]postgres.Grant](w.t)(w.db.Grant(w.t.Context(), s.process, []postgres.Want{want}, w.cfg.Bank))
	if grants[0].Refused != "" {
		return 0
	}
	return grants[0].Impressions
}
