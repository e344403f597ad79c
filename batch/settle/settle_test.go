package settle

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/postgres"
)

func TestChargedOnceAndReturned(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	item := w.lineItem(1000, 500)
	a, b := w.process(), w.process()
	grant := w.grant(a, item.ID, 100)
	if grant.Impressions != 100 {
		t.Fatalf("granted %+v", grant)
	}
	for i := range uint32(10) {
		r := w.token(a, grant, i)
		w.log(a, landing(event.Impression, r))
		w.log(b, landing(event.Impression, r)) // again, elsewhere
		w.log(b, landing(event.Viewable, r))
	}
	w.log(a, landing(event.Click, w.token(a, grant, 3)))
	w.log(b, landing(event.Click, w.token(a, grant, 3)))
	w.log(a, event.Record{Type: event.Requests, Requests: event.Count{Hour: noon, Placement: w.placement, NoFill: "floor", N: 5}})
	w.ship(b) // before the OPEN is known
	w.settle()
	w.ship(a)
	w.settle()
	books := w.totals()
	books.check(t)
	want := totals{
		Settled: 10 * price, Leased: 90 * price, SettledDay: 10 * price, LeasedDay: 90 * price, SettledN: 10, LeasedN: 90,
		Charged: 10 * price, ChargedN: 10, LeaseSettled: 10 * price, LeaseHeld: 90 * price, Open: 1,
		Impressions: 10, Clicks: 1, Views: 10, Spend: 10 * price, Revenue: 10 * 1333, LeaseSettledN: 10, LeaseHeldN: 90, Bits: 21,
	}
	if diff := cmp.Diff(want, books); diff != "" {
		t.Error(diff)
	}

	w.log(a, w.closing(grant, 12)) // two tokens are out and never land
	w.ship(a)
	w.settle()
	if got := w.totals(); got.Leased != 2*price || got.LeasedN != 2 {
		t.Errorf("after CLOSE %s and %d are leased, want what was reserved and not settled: %s and 2", got.Leased, got.LeasedN, 2*price)
	}
	w.pass(hold+w.cfg.Bank.Margin, a, b)
	if got := w.totals(); got.Leased != 2*price {
		t.Errorf("%s is leased when the watermark is not beyond the margin, want %s", got.Leased, 2*price)
	}
	w.pass(time.Second, a, b)
	got := w.totals()
	got.check(t)
	if got.Leased != 0 || got.LeasedN != 0 || got.Open != 0 || got.Settled != 10*price {
		t.Errorf("at the end %+v", got)
	}
	var decisions int64
	if err := w.db.Pool.QueryRow(t.Context(), "SELECT sum(decisions) FROM report_supply_hour WHERE no_fill = 'floor'").Scan(&decisions); err != nil || decisions != 5 {
		t.Errorf("%d decisions, %v; want 5", decisions, err)
	}
}

// TestWatermarkWaitsForEveryStream: a beacon lies unshipped at another process.
func TestWatermarkWaitsForEveryStream(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	item := w.lineItem(1000, 500)
	a, b := w.process(), w.process()
	grant := w.grant(a, item.ID, 5)
	w.log(b, landing(event.Impression, w.token(a, grant, 0)))
	w.log(a, w.closing(grant, 1))
	w.ship(a)
	w.pass(4*hold, a, b)
	if got := w.totals(); got.Leased != price {
		t.Fatalf("%s is leased while a stream is behind, want %s", got.Leased, price)
	}
	w.ship(b)
	w.pass(5*time.Second, a, b)
	got := w.totals()
	got.check(t)
	if got.Leased != 0 || got.Charged != price || got.Overage != 0 {
		t.Errorf("at the end %+v", got)
	}
}

func TestLostProcess(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	item := w.lineItem(1000, 500)
	lost, other := w.process(), w.process()
	grant := w.grant(lost, item.ID, 10)
	first, second := w.token(lost, grant, 0), w.token(lost, grant, 1)
	w.log(lost, landing(event.Impression, first))
	w.ship(lost)
	w.log(lost, landing(event.Impression, second)) // on its disk only
	w.pass(w.cfg.Bank.LeaseTTL+w.cfg.Bank.LongestHold+w.cfg.Bank.Grace-time.Second, other)
	if got := w.totals(); got.Leased != 9*price || got.Charged != price {
		t.Errorf("before its time: %+v", got)
	}
	w.pass(5*time.Second, other)
	if got := w.totals(); got.Leased != 0 || got.Charged != price {
		t.Errorf("after its time: %+v", got)
	}
	if !w.beat(lost).Lost {
		t.Error("it is not told that it is lost")
	}
	// Its disk comes back.
	w.log(lost, event.Record{Type: event.End})
	w.ship(lost)
	w.pass(5*time.Second, other)
	got := w.totals()
	got.check(t)
	if got.Charged != price || got.Overage != price || got.Impressions != 2 || w.state(lost) != "ended" {
		t.Errorf("at the end %+v, process %s", got, w.state(lost))
	}
}

func (w *world) state(s *stream) (state string) {
	w.t.Helper()
	if err := w.db.Pool.QueryRow(w.t.Context(), "SELECT state FROM process WHERE id = $1", s.process).Scan(&state); err != nil {
		w.t.Fatal(err)
	}
	return state
}

// TestClosedLeaseOfALostProcess: the watermark says nothing of a lost process's
// stream, so its closed leases wait for the bank's clock too.
func TestClosedLeaseOfALostProcess(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	item := w.lineItem(1000, 500)
	lost, other := w.process(), w.process()
	grant := w.grant(lost, item.ID, 10)
	r := w.token(lost, grant, 0)
	w.log(lost, w.closing(grant, 2))
	w.ship(lost)
	w.log(lost, landing(event.Impression, r)) // on its disk only
	w.pass(w.cfg.Bank.LeaseTTL, other)
	if got := w.totals(); got.Leased != 2*price || w.state(lost) != "lost" {
		t.Errorf("%s leased, process %s; want what its tokens may still charge", got.Leased, w.state(lost))
	}
	w.log(lost, event.Record{Type: event.End})
	w.ship(lost)
	w.pass(5*time.Second, other)
	got := w.totals()
	got.check(t)
	if got.Charged != price || got.Overage != 0 || got.Leased != 0 {
		t.Errorf("at the end %+v", got)
	}
}

// TestNobodyIsLostWhileTheBankIsAway: silence of the bank is not silence of the processes.
func TestNobodyIsLostWhileTheBankIsAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.process()
	w.settle()
	w.clock.Add(time.Hour)
	w.settle()
	if state := w.state(s); state != "running" {
		t.Errorf("the process is %s", state)
	}
	w.pass(14 * time.Second)
	if state := w.state(s); state != "running" {
		t.Errorf("too early, the process is %s", state)
	}
	w.pass(5 * time.Second)
	if state := w.state(s); state != "lost" {
		t.Errorf("silent while the bank was up, the process is %s", state)
	}
}

// TestEndWithoutClose is a process that was killed and restarted on its disk.
func TestEndWithoutClose(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	item := w.lineItem(1000, 500)
	a, b := w.process(), w.process()
	grant, silent := w.grant(a, item.ID, 10), w.grant(a, item.ID, 10)
	a.pending = a.pending[:1] // the second answer never reached it
	r := w.token(a, grant, 4)
	w.log(a, event.Record{Type: event.End})
	w.ship(a)
	w.settle()
	if w.state(a) != "ended" || silent.Refused != "" {
		t.Fatalf("process %s, grant %+v", w.state(a), silent)
	}
	w.pass(w.cfg.Bank.LongestHold, b)
	if got := w.totals(); got.Leased != 20*price {
		t.Errorf("%s leased within the longest hold, want all", got.Leased)
	}
	w.log(b, landing(event.Impression, r)) // late, while there is room
	w.ship(b)
	w.pass(w.cfg.Bank.Margin+2*time.Second, b)
	got := w.totals()
	got.check(t)
	if got.Leased != 0 || got.Charged != price || got.Open != 0 {
		t.Errorf("at the end %+v", got)
	}
}

// TestGrantBehindTheEnd: a lease granted when the END was already settled.
func TestGrantBehindTheEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	item := w.lineItem(1000, 500)
	a := w.process()
	w.grant(a, item.ID, 10)
	a.pending = []event.Record{{Type: event.End, At: noon}}
	if _, err := w.db.Pool.Exec(t.Context(), "UPDATE lease SET process_id = $1", newULID(noon)); err != nil {
		t.Fatal(err)
	}
	w.ship(a)
	w.settle()
	if _, err := w.db.Pool.Exec(t.Context(), "UPDATE lease SET process_id = $1", a.process); err != nil {
		t.Fatal(err)
	}
	w.pass(w.cfg.Bank.LongestHold + w.cfg.Bank.Margin + 6*time.Second)
	if got := w.totals(); got.Leased != 0 || got.Open != 0 {
		t.Errorf("at the end %+v", got)
	}
}

func TestLateAndOverage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	item := w.lineItem(1000, 500)
	a, b := w.process(), w.process()
	grant := w.grant(a, item.ID, 10)
	own, own2, exchange := w.token(a, grant, 0), w.token(a, grant, 1), w.token(a, grant, 2)
	exchange.Exchange = 9
	w.log(a, w.closing(grant, 3))
	w.ship(a)
	w.pass(hold+10*time.Second, a, b)
	if got := w.totals(); got.Leased != 0 {
		t.Fatalf("%s still leased", got.Leased)
	}
	late := landing(event.Impression, own)
	late.Landing.Late = true
	w.log(b, late)
	w.log(b, landing(event.Impression, own2)) // late by its log time
	w.log(b, landing(event.Impression, exchange))
	w.ship(b)
	w.settle()
	got := w.totals()
	got.check(t)
	if got.LateN != 2 || got.OverageN != 1 || got.Overage != price || got.Charged != 0 || got.Revenue != 0 {
		t.Errorf("books: %+v", got)
	}
}

func TestUncountedRecords(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	item := w.lineItem(1000, 500)
	a, b := w.process(), w.process()
	grant := w.grant(a, item.ID, 10)
	test, invalid, suspect, foreign, other := w.token(a, grant, 0), w.token(a, grant, 1), w.token(a, grant, 2), w.token(b, grant, 3), w.token(a, grant, 4)
	test.Flags, suspect.Flags = event.Test, event.Suspect
	other.LineItem++
	w.log(a, landing(event.Impression, test))
	bad := landing(event.Impression, invalid)
	bad.Landing.Invalid = event.InvalidBot
	w.log(a, bad)
	w.log(a, bad)
	w.log(a, landing(event.Impression, invalid)) // judged valid at another landing: bills
	w.log(a, landing(event.Impression, suspect))
	w.log(a, landing(event.Impression, foreign))
	w.log(a, landing(event.Impression, other))
	dear := w.token(a, grant, 5)
	dear.Price = 50 * price
	w.log(a, landing(event.Impression, dear))
	absurd := w.token(a, grant, 6)
	absurd.Price = postgres.MaxLeaseMicros + 1
	w.log(a, landing(event.Impression, absurd))
	for _, text := range []string{"\xff", "a\x00b"} {
		w.log(a, event.Record{Type: event.Requests, Requests: event.Count{Hour: noon, Placement: 1, NoFill: text, N: 1}})
	}
	w.log(b, w.closing(grant, 1)) // not its own
	wrong := w.closing(grant, 1)
	wrong.Lease.LineItem++
	w.log(a, wrong)
	wrong = w.closing(grant, 1)
	wrong.Lease.Granted++
	wrong.Lease.Reserved = 11 * price
	w.log(a, wrong)
	w.log(a, w.closing(grant, 1))
	w.log(a, event.Record{Type: event.End})
	w.log(a, landing(event.Impression, w.token(a, grant, 7)))
	w.ship(a)
	w.ship(b)
	stats := w.settle()
	want := map[Odd]int64{OddRecord: 3, OddProcess: 2, OddLineItem: 2, OddPrice: 1, OddGrant: 1, OddClose: 1, OddAfterEnd: 1}
	if diff := cmp.Diff(want, stats.Odd); diff != "" {
		t.Error(diff)
	}
	got := w.totals()
	got.check(t)
	if got.Charged != 10*price || got.Overage != 41*price || got.Invalid != 2 || got.Impressions != 2 || stats.Test != 1 || stats.Duplicates != 1 {
		t.Errorf("books: %+v\nstats: %+v", got, stats)
	}
}

func TestPriceZeroIsCountedWithoutMoney(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	item := w.lineItem(1000, 500)
	a := w.process()
	// A permit minted locally while the bank was away.
	permit := postgres.Grant{Lease: newULID(noon), LineItem: item.ID, Day: event.Day(noon.Unix() / 86400), Impressions: 65536}
	w.log(a, event.Record{Type: event.Open, Lease: leaseOf(permit)})
	r := w.token(a, permit, 0)
	r.Price, r.BidPrice, r.Bills = 0, 0, event.BillsNothing
	w.log(a, landing(event.Impression, r))
	w.log(a, landing(event.Impression, r))
	w.log(a, landing(event.Click, r))
	w.log(a, w.closing(permit, 1))
	w.ship(a)
	w.settle()
	got := w.totals()
	if got.Impressions != 1 || got.Clicks != 1 || got.ChargedN != 1 || got.OverageN != 0 || got.Spend != 0 {
		t.Errorf("books: %+v", got)
	}
}

// TestClicksAndConversionsChargeNothingYet: what bills later than the impression
// takes nothing from a lease, whatever price its token names. Each event counts
// once, and the lease's money comes back.
func TestClicksAndConversionsChargeNothingYet(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.process()
	bills := []event.Bills{event.BillsClick, event.BillsConversion}
	for _, b := range bills {
		item := w.lineItem(1000, 500)
		// The line item cost by the impression when this was granted.
		grant := w.grant(a, item.ID, 10)
		permit := postgres.Grant{Lease: newULID(noon), LineItem: item.ID, Day: event.Day(noon.Unix() / 86400), Impressions: 65536}
		w.log(a, event.Record{Type: event.Open, Lease: leaseOf(permit)})
		free, priced := w.token(a, permit, 0), w.token(a, grant, 0)
		free.Price, free.BidPrice, free.Bills, priced.Bills = 0, 0, b, b
		for _, r := range []event.Reservation{free, priced} {
			for _, kind := range []event.Type{event.Impression, event.Click, event.Click, event.Impression} {
				w.log(a, landing(kind, r))
			}
		}
		w.log(a, w.closing(grant, 1))
		w.log(a, w.closing(permit, 0))
	}
	w.ship(a)
	if stats := w.settle(); len(stats.Odd) != 0 || stats.Charged != 0 || stats.Overage != 0 {
		t.Errorf("settled: %+v", stats)
	}
	w.pass(hold+w.cfg.Bank.Margin+5*time.Second, a)
	got, n := w.totals(), int64(len(bills))
	// A permit's impressions are in the ledger, and no account knows of them.
	want := totals{Impressions: 2 * n, Clicks: 2 * n, ChargedN: 2 * n, SettledN: n, LeaseSettledN: n, Bits: 4 * n}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestUnknownLeaseGetsItsDay: an event overtakes the OPEN of a lease that the
// database forgot, at an hour when the advertiser's day is not UTC's.
func TestUnknownLeaseGetsItsDay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	item := w.lineItem(1000, 500)
	if _, err := w.db.Pool.Exec(t.Context(), "UPDATE advertiser SET time_zone = 'Pacific/Kiritimati'"); err != nil {
		t.Fatal(err)
	}
	a := w.process()
	w.log(a, landing(event.Impression, w.token(a, postgres.Grant{Lease: newULID(noon), LineItem: item.ID}, 0)))
	w.log(a, landing(event.Impression, w.token(a, postgres.Grant{Lease: newULID(noon), LineItem: item.ID + 77}, 0)))
	w.ship(a)
	w.settle()
	rows, err := w.db.Pool.Query(t.Context(), "SELECT day::text FROM ledger ORDER BY line_item_id")
	if err != nil {
		t.Fatal(err)
	}
	var days []string
	for rows.Next() {
		var day string
		if err := rows.Scan(&day); err != nil {
			t.Fatal(err)
		}
		days = append(days, day)
	}
	if diff := cmp.Diff([]string{"2026-11-21", "2026-11-20"}, days); diff != "" {
		t.Error(diff)
	}
	if got := w.totals(); got.OverageN != 2 || got.Open != 0 {
		t.Errorf("books: %+v", got)
	}
}

func TestDatabaseOlderThanTheLogStopsEverything(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	item := w.lineItem(1000, 500)
	a := w.process()
	grant := w.grant(a, item.ID, 10)
	w.log(a, landing(event.Impression, w.token(a, grant, 0)))
	w.ship(a)
	if _, err := w.db.Pool.Exec(t.Context(), "DELETE FROM lease; UPDATE account SET leased_micros = 0, leased_impressions = 0"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := Once(t.Context(), w.cfg); !errors.Is(err, postgres.ErrRebuild) || !strings.Contains(err.Error(), "batch rebuild") {
			t.Fatalf("settle: %v", err)
		}
	}
	if err := Follow(t.Context(), w.cfg); !errors.Is(err, postgres.ErrRebuild) {
		t.Errorf("follow: %v", err)
	}
	want := postgres.Want{Lease: newULID(noon), LineItem: item.ID, Micros: price, Impressions: 1}
	if _, err := w.db.Grant(t.Context(), a.process, []postgres.Want{want}, w.cfg.Bank); !errors.Is(err, postgres.ErrRebuild) {
		t.Errorf("grant: %v", err)
	}
	if got := w.totals(); got != (totals{}) {
		t.Errorf("something was written: %+v", got)
	}
}

func TestDamagedStreamIsQuarantinedAlone(t *testing.T) {
	t.Parallel()
	f := func(name string, damage func(w *world, s *stream)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			item := w.lineItem(1000, 500)
			var logged bytes.Buffer
			w.cfg.Log = slog.New(slog.NewTextHandler(&logged, nil))
			sick, well := w.process(), w.process()
			grant, fine := w.grant(sick, item.ID, 5), w.grant(well, item.ID, 5)
			w.log(sick, landing(event.Impression, w.token(sick, grant, 0)))
			w.ship(sick)
			damage(w, sick)
			w.log(well, landing(event.Impression, w.token(well, fine, 0)))
			w.log(well, w.closing(fine, 2))
			w.ship(well)
			for range 3 {
				w.settle()
			}
			if got := w.totals(); got.Charged != 2*price {
				t.Errorf("charged %s, want %s", got.Charged, 2*price)
			}
			if n := strings.Count(logged.String(), "quarantined"); n != 1 {
				t.Errorf("said %d times:\n%s", n, logged.String())
			}
			w.pass(hold+10*time.Second, well)
			if got := w.totals(); got.Leased != 4*price { // the well one's is back, the sick one's is not yet
				t.Errorf("leased %s, want %s", got.Leased, 4*price)
			}
			if !w.beat(sick).Lost {
				t.Error("the process is not told to begin a new stream")
			}
			w.pass(w.cfg.Bank.LeaseTTL+w.cfg.Bank.LongestHold, well)
			if got := w.totals(); got.Leased != 0 {
				t.Errorf("leased %s at the end", got.Leased)
			}
		})
	}
	next := func(s *stream) string { return event.SegmentName(s.process, s.seq+1) }
	f("cut", func(w *world, s *stream) {
		b := encode(s.process, s.seq+1, []event.Record{{Type: event.End, At: noon}})
		if err := w.bucket.WriteAll(w.t.Context(), next(s), b[:len(b)-1], nil); err != nil {
			w.t.Fatal(err)
		}
	})
	f("empty", func(w *world, s *stream) {
		if err := w.bucket.WriteAll(w.t.Context(), next(s), nil, nil); err != nil {
			w.t.Fatal(err)
		}
	})
	f("of another process", func(w *world, s *stream) {
		if err := w.bucket.WriteAll(w.t.Context(), next(s), encode(newULID(noon), s.seq+1, nil), nil); err != nil {
			w.t.Fatal(err)
		}
	})
	f("gap", func(w *world, s *stream) {
		w.put(s.process, s.seq+2, nil)
		if _, err := w.db.Heartbeat(w.t.Context(), postgres.Heartbeat{Process: s.process, StartedAt: noon, SafeAt: noon, SafeSegment: s.seq + 2}); err != nil {
			w.t.Fatal(err)
		}
	})
	f("refused by Postgres", func(w *world, s *stream) {
		w.settle() // so that the month has its partitions
		if _, err := w.db.Pool.Exec(w.t.Context(), "ALTER TABLE report_supply_hour ADD CHECK (placement_id <> 666)"); err != nil {
			w.t.Fatal(err)
		}
		w.put(s.process, s.seq+1, []event.Record{{Type: event.Requests, At: noon, Requests: event.Count{Hour: noon, Placement: 666, N: 1}}})
	})
}

func TestUnknownProcessIsFoundInTheBucket(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	item := w.lineItem(1000, 500)
	a := w.process()
	grant := w.grant(a, item.ID, 5)
	stranger := &stream{process: newULID(noon.AddDate(0, 0, -3))}
	w.log(stranger, landing(event.Impression, w.token(a, grant, 0)))
	w.log(stranger, event.Record{Type: event.End})
	w.ship(stranger)
	if err := w.bucket.WriteAll(t.Context(), "events/readme.txt", nil, nil); err != nil {
		t.Fatal(err)
	}
	w.settle()
	if got := w.totals(); got.Charged != price || w.state(stranger) != "ended" {
		t.Errorf("charged %s, process %s", got.Charged, w.state(stranger))
	}
}

func TestSegmentIsSettledOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	item := w.lineItem(1000, 500)
	a := w.process()
	grant := w.grant(a, item.ID, 50)
	for i := range uint32(40) {
		w.log(a, landing(event.Impression, w.token(a, grant, i)))
		w.log(a, event.Record{Type: event.Requests, Requests: event.Count{Hour: noon, Placement: w.placement, N: 1}})
	}
	w.ship(a)
	w.settle()
	before := w.totals()
	// A process row that was restored to an earlier state.
	if _, err := w.db.Pool.Exec(t.Context(), "UPDATE process SET applied_segment = 0"); err != nil {
		t.Fatal(err)
	}
	if stats := w.settle(); stats.Segments != 0 {
		t.Errorf("settled %d segments again", stats.Segments)
	}
	if diff := cmp.Diff(before, w.totals()); diff != "" {
		t.Error(diff)
	}
	var decisions int64
	if err := w.db.Pool.QueryRow(t.Context(), "SELECT sum(decisions) FROM report_supply_hour").Scan(&decisions); err != nil || decisions != 40 {
		t.Errorf("%d decisions, %v; want 40", decisions, err)
	}
}

// TestLoweredBudgetIsFollowedDown: the limit in force ends at the new budget, or
// at what was spent by then.
func TestLoweredBudgetIsFollowedDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	item := w.lineItem(1000, 500)
	a := w.process()
	grant := w.grant(a, item.ID, 100)
	for i := range uint32(20) {
		w.log(a, landing(event.Impression, w.token(a, grant, i)))
	}
	w.ship(a)
	w.settle()
	low := 10 * price
	item = must[ad.LineItem](t)(w.db.FindLineItem(t.Context(), postgres.System, item.ID))
	item.DailyBudget, item.LifetimeBudget = &low, &low
	must[ad.LineItem](t)(w.db.UpdateLineItem(t.Context(), postgres.System, item))
	limits := func() (life, day int64) {
		e := must[postgres.Exposure](t)(w.db.Exposure(t.Context(), postgres.System, item.ID))
		return int64(*e.Lifetime.Limit / price), int64(*e.Today.Limit / price)
	}
	if life, day := limits(); life != 100 || day != 100 {
		t.Errorf("limits %d and %d while 100 are out", life, day)
	}
	w.log(a, w.closing(grant, 30))
	w.ship(a)
	w.settle()
	if life, day := limits(); life != 30 || day != 30 {
		t.Errorf("limits %d and %d while 30 are reserved", life, day)
	}
	w.pass(hold+10*time.Second, a)
	if life, day := limits(); life != 20 || day != 20 {
		t.Errorf("limits %d and %d when 20 are spent", life, day)
	}
}

func TestFinalLeasesMakeTheRate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.Bank.MaxAge = 600 * time.Second
	item := w.lineItem(100_000, 50_000)
	a := w.process()
	grant := w.grant(a, item.ID, 200)
	if grant.MaxAge != 300*time.Second {
		t.Errorf("age without history: %v", grant.MaxAge)
	}
	for i := range uint32(100) {
		w.log(a, landing(event.Impression, w.token(a, grant, i)))
	}
	w.log(a, w.closing(grant, 200))
	w.ship(a)
	w.pass(hold+10*time.Second, a)
	if again := w.grant(a, item.ID, 10); again.MaxAge != 330*time.Second {
		t.Errorf("age where half render: %v, want 5m30s", again.MaxAge)
	}
}
