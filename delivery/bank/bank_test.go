package bank_test

import (
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/hayate-ads/hayate/delivery/bank"
	"github.com/hayate-ads/hayate/delivery/eventlog"
	"github.com/hayate-ads/hayate/delivery/lease"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/bucket"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/postgres"
	"github.com/hayate-ads/hayate/internal/postgres/postgrestest"
)

// office is a bank on a real Postgres and a real log, with one line item.
type office struct {
	bank     *bank.Bank
	book     lease.Book
	db       *postgres.DB
	lineItem ad.ID
	process  ulid.ULID
	live     atomic.Bool
	stopped  atomic.Bool
	logged   words
}

func open(t *testing.T, budget money.Micros) *office {
	t.Helper()
	o := &office{db: &postgres.DB{Pool: postgrestest.New(t)}, process: ulid.Make()}
	o.lineItem = sell(t, o.db, budget)
	dir := t.TempDir()
	files, err := bucket.Open(t.Context(), "file://"+filepath.ToSlash(filepath.Join(dir, "bucket"))+"?create_dir=true")
	must(t, err)
	t.Cleanup(func() { files.Close() })
	log, err := eventlog.Open(eventlog.Config{Dir: filepath.Join(dir, "log"), Process: o.process, Bucket: files, Now: func() time.Time { return o.bank.Now() }})
	must(t, err)
	o.bank = bank.New(bank.Config{
		DB: o.db, Process: o.process, Book: &o.book, Log: log, Logger: slog.New(slog.NewTextHandler(&o.logged, nil)),
		Bank: postgres.BankConfig{LeaseTTL: time.Minute, MaxAge: 30 * time.Second, LongestHold: time.Minute, LostAfter: time.Minute, Grace: time.Minute, Margin: time.Second},
		Hold: time.Minute, Silence: 3 * time.Minute, HeartbeatEvery: 100 * time.Millisecond, Timeout: 2 * time.Second, StopsSince: time.Now(),
		Price:    func(id ad.ID) (money.Micros, bool) { return 2000, id == o.lineItem },
		OnChange: func(id ad.ID) { o.live.Store(o.book.Slot(id).Load() != nil) },
		OnStop:   func(stop postgres.Stop) { o.stopped.Store(stop.Stopped) },
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- o.bank.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-done
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := o.bank.Close(ctx); err != nil {
			t.Error(err)
		}
		if err := log.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return o
}

// sell makes an active line item at a CPM of 2.00.
func sell(t *testing.T, db *postgres.DB, budget money.Micros) ad.ID {
	t.Helper()
	start := time.Now().Add(-time.Hour).UTC()
	advertiser, err := db.CreateAdvertiser(t.Context(), postgres.System, ad.Advertiser{Name: "A", Domain: "a.example", TimeZone: "Asia/Tokyo", Status: ad.Active})
	must(t, err)
	campaign, err := db.CreateCampaign(t.Context(), postgres.System, ad.Campaign{AdvertiserID: advertiser.ID, Name: "C", StartsAt: start, Status: ad.Active})
	must(t, err)
	lineItem, err := db.CreateLineItem(t.Context(), postgres.System, ad.LineItem{
		CampaignID: campaign.ID, Name: "L", Tier: ad.Auction, CPM: 2 * money.Unit, LifetimeBudget: &budget, StartsAt: start, Status: ad.Active,
	})
	must(t, err)
	return lineItem.ID
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// until polls a condition that other goroutines and processes bring about.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}

func TestBankLeasesAndCloses(t *testing.T) {
	t.Parallel()
	o := open(t, 10*money.Unit)
	until(t, "a lease in service", func() bool { o.bank.Want(o.lineItem); return o.live.Load() })
	l := o.book.Slot(o.lineItem).Load()
	until(t, "a reservation, once a heartbeat is answered too", func() bool {
		_, ok := l.Reserve(2000, o.bank.Now().UnixMicro())
		return ok
	})
	var leased, limit int64
	must(t, o.db.Pool.QueryRow(t.Context(), `SELECT leased_micros, limit_micros FROM account WHERE owner_id = $1 AND day IS NULL`, o.lineItem).Scan(&leased, &limit))
	if leased == 0 || leased > limit {
		t.Fatalf("leased %d of %d", leased, limit)
	}
}

func TestAStopArrivesByHeartbeat(t *testing.T) {
	t.Parallel()
	o := open(t, 10*money.Unit)
	until(t, "a lease in service", func() bool { o.bank.Want(o.lineItem); return o.live.Load() })
	lineItem, err := o.db.FindLineItem(t.Context(), postgres.System, o.lineItem)
	must(t, err)
	lineItem.Status = ad.Paused
	_, err = o.db.UpdateLineItem(t.Context(), postgres.System, lineItem)
	must(t, err)
	until(t, "the stop to take the lease out of service", func() bool { return o.stopped.Load() && !o.live.Load() })
	if o.book.Slot(o.lineItem).Load() != nil {
		t.Fatal("the slot still holds a lease")
	}
}

// A process that the bank holds for lost goes on under a new id and leases again.
func TestLostProcessIsReborn(t *testing.T) {
	t.Parallel()
	o := open(t, 10*money.Unit)
	until(t, "a lease in service", func() bool { o.bank.Want(o.lineItem); return o.live.Load() })
	before := o.book.Slot(o.lineItem).Load()
	_, err := o.db.Pool.Exec(t.Context(), `UPDATE process SET state = 'lost' WHERE id = $1`, [16]byte(o.process))
	must(t, err)
	until(t, "a new process id", func() bool { return o.bank.Process() != o.process })
	if _, ok := before.Reserve(2000, o.bank.Now().UnixMicro()); ok {
		t.Fatal("a lease of the lost process still reserves")
	}
	until(t, "a lease under the new id", func() bool { o.bank.Want(o.lineItem); return o.live.Load() })
	var holder [16]byte
	now := o.book.Slot(o.lineItem).Load()
	must(t, o.db.Pool.QueryRow(t.Context(), `SELECT process_id FROM lease WHERE id = $1`, [16]byte(now.ID)).Scan(&holder))
	if ulid.ULID(holder) != o.bank.Process() {
		t.Fatalf("the lease belongs to %s, not to %s", ulid.ULID(holder), o.bank.Process())
	}
}

// When the bank's clock jumps ahead, what was reserved before keeps its hold: the
// process's word does not let the watermark jump too.
func TestAJumpOfTheBanksClockDoesNotEndHolds(t *testing.T) {
	t.Parallel()
	o := open(t, 10*money.Unit)
	clock := postgrestest.NewClock(t, o.db.Pool, time.Now().UTC())
	word := func() (heard, safe time.Time) {
		must(t, o.db.Pool.QueryRow(t.Context(), `
			SELECT coalesce(max(heartbeat_at), 'epoch'), coalesce(max(safe_at), 'epoch') FROM process`).Scan(&heard, &safe))
		return heard, safe
	}
	until(t, "a word from the process", func() bool { _, safe := word(); return safe.Unix() > 0 })
	const jump = 10 * time.Minute
	heard := func() {
		t.Helper()
		until(t, "a heartbeat by this clock", func() bool { at, _ := word(); return at.Equal(clock.Now().Truncate(time.Microsecond)) })
	}
	clock.Add(time.Second) // the process has heard of the clock before it jumps
	heard()
	clock.Add(jump)
	heard()
	for range 3 { // beats that know of the jump
		clock.Add(100 * time.Millisecond)
		heard()
	}
	if at, safe := word(); at.Sub(safe) < jump-5*time.Second {
		t.Fatalf("%s after the jump the process calls its log safe up to %s, %s before the bank's clock", jump, safe, at.Sub(safe))
	}
}

// While settle has still to compare the database with the log, the process asks
// again and goes on under its id; it has said so once.
func TestAnUncheckedBankIsAskedAgain(t *testing.T) {
	t.Parallel()
	o := open(t, 10*money.Unit)
	_, err := o.db.Pool.Exec(t.Context(), `UPDATE settlement SET checked = 'another server'`)
	must(t, err)
	until(t, "a batch that was refused", func() bool {
		o.bank.Want(o.lineItem)
		return strings.Contains(o.logged.String(), "asking again")
	})
	tries := func() (n int64) { // the process row is touched by every heartbeat, grants leave no trace: time is counted in beats
		must(t, o.db.Pool.QueryRow(t.Context(), "SELECT EXTRACT(epoch FROM heartbeat_at - started_at)::bigint FROM process").Scan(&n))
		return n
	}
	from := tries()
	until(t, "three more batches' time", func() bool { return tries() > from+3 })
	if n := strings.Count(o.logged.String(), "asking again"); n != 1 || o.live.Load() || o.bank.Process() != o.process {
		t.Fatalf("said %d times, leased %v:\n%s", n, o.live.Load(), o.logged.String())
	}
	_, err = o.db.Pool.Exec(t.Context(), `UPDATE settlement SET checked = '', batch = 0`)
	must(t, err)
	until(t, "a lease in service", func() bool { o.bank.Want(o.lineItem); return o.live.Load() })
}

// A process whose lease the bank does not know any more says so by its heartbeat,
// and everything halts.
func TestAForgottenLeaseHaltsTheBank(t *testing.T) {
	t.Parallel()
	o := open(t, 10*money.Unit)
	until(t, "a lease in service", func() bool { o.bank.Want(o.lineItem); return o.live.Load() })
	_, err := o.db.Pool.Exec(t.Context(), `DELETE FROM lease`)
	must(t, err)
	until(t, "the halt", func() bool {
		var halted string
		must(t, o.db.Pool.QueryRow(t.Context(), "SELECT halted FROM settlement").Scan(&halted))
		return strings.Contains(halted, "batch rebuild") && strings.Contains(halted, o.process.String())
	})
}

// words is a log that can be read while it is written.
type words struct {
	mu sync.Mutex
	b  strings.Builder
}

func (w *words) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.Write(b)
}

func (w *words) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.String()
}
