package settle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/postgres"
	"github.com/hayate-ads/hayate/internal/postgres/postgrestest"
)

// executioner ends the settler's session in Postgres as it is about to send its
// nth statement, or right after the server has answered it.
type executioner struct {
	victims *pgxpool.Pool // for the deed
	left    atomic.Int64  // statements until then
	after   bool
}

// settlerName is how settle's sessions are known to Postgres.
const settlerName = "hayate settle"

func (x *executioner) strike(conn *pgx.Conn) {
	if conn.PgConn().ParameterStatus("application_name") != settlerName || x.left.Add(-1) != 0 {
		return
	}
	ctx, pid := context.Background(), conn.PgConn().PID()
	_, _ = x.victims.Exec(ctx, "SELECT pg_terminate_backend($1)", pid)
	for alive := true; alive; {
		if x.victims.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1)", pid).Scan(&alive) != nil {
			return
		}
	}
}

func (x *executioner) TraceQueryStart(ctx context.Context, conn *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	if !x.after {
		x.strike(conn)
	}
	return ctx
}

func (x *executioner) TraceQueryEnd(_ context.Context, conn *pgx.Conn, _ pgx.TraceQueryEndData) {
	if x.after {
		x.strike(conn)
	}
}

func (x *executioner) TraceBatchStart(ctx context.Context, conn *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	if !x.after {
		x.strike(conn)
	}
	return ctx
}

func (x *executioner) TraceBatchQuery(_ context.Context, conn *pgx.Conn, _ pgx.TraceBatchQueryData) {
	if x.after {
		x.strike(conn)
	}
}

func (x *executioner) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

// history ships a day's worth of everything: three processes, two line items,
// landings at each other's, duplicates, a killed process and a lost one.
func (w *world) history() {
	w.t.Helper()
	items := [2]ad.ID{w.lineItem(1000, 500).ID, w.lineItem(300, 100).ID}
	streams := []*stream{w.process(), w.process(), w.process()}
	for round := range 4 {
		for i, s := range streams {
			for j, item := range items {
				grant := w.grant(s, item, 12)
				if grant.Refused != "" {
					continue
				}
				n := min(grant.Impressions, 10)
				for k := range uint32(n) {
					r := w.token(s, grant, k)
					w.log(streams[(i+int(k))%3], landing(event.Impression, r))
					w.log(streams[(i+round)%3], landing(event.Impression, r))
					w.log(streams[(i+j)%3], landing(event.Click, r))
				}
				if (round+j)%2 == 0 {
					w.log(s, w.closing(grant, n))
				}
			}
		}
		for _, s := range streams {
			w.ship(s)
		}
	}
	w.log(streams[0], event.Record{Type: event.End})
	w.ship(streams[0])
}

// TestKilledAtEveryStatement ends the settler at its first statement, the next
// one at its second, and so on, until one comes through. The books are those of
// a settler that nobody disturbed.
func TestKilledAtEveryStatement(t *testing.T) {
	t.Parallel()
	calm := newWorld(t)
	calm.history()
	calm.settle()
	calm.pass(3*time.Minute + 20*time.Second)
	want := calm.totals()
	want.check(t)
	if want.Leased != 0 || want.Open != 0 || want.Charged == 0 {
		t.Fatalf("the history proves nothing: %+v", want)
	}
	for _, after := range []bool{false, true} {
		t.Run(fmt.Sprintf("after=%t", after), func(t *testing.T) {
			t.Parallel()
			w, x := newDoomedWorld(t, after)
			w.cfg.batchBytes = 1 // one segment of each stream in a transaction
			w.history()
			var killed int
			once := func() {
				for n := int64(1); ; n++ {
					x.left.Store(n)
					_, err := Once(t.Context(), w.cfg)
					x.left.Store(0)
					if err == nil {
						return
					}
					killed++
					w.totals().check(t)
				}
			}
			once()
			// Where leases come back: by the watermark, after the END, and of the lost.
			deadly := map[int]bool{4: true, 5: true, 9: true, 10: true, 33: true, 34: true}
			for i := range 40 {
				w.clock.Add(5 * time.Second)
				if deadly[i] {
					once()
				} else {
					w.settle()
				}
			}
			if diff := cmp.Diff(want, w.totals()); diff != "" {
				t.Error(diff)
			}
			if killed < 50 {
				t.Errorf("only %d settlers were killed", killed)
			}
			t.Logf("%d settlers killed", killed)
		})
	}
}

func newDoomedWorld(t *testing.T, after bool) (*world, *executioner) {
	t.Helper()
	url := postgrestest.URL(t)
	x := &executioner{after: after}
	config := must[*pgxpool.Config](t)(pgxpool.ParseConfig(url))
	config.MaxConns = 4
	x.victims = must[*pgxpool.Pool](t)(pgxpool.NewWithConfig(t.Context(), config))
	t.Cleanup(x.victims.Close)
	doomed := config.Copy()
	doomed.ConnConfig.Tracer = x
	pool := must[*pgxpool.Pool](t)(pgxpool.NewWithConfig(t.Context(), doomed))
	t.Cleanup(pool.Close)
	return newWorldOn(t, &postgres.DB{Pool: pool}), x
}

// TestTakeover lets two settlers follow, ends the session of whichever has the
// lock again and again, and expects the other one to go on within 5 s.
func TestTakeover(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	item := w.lineItem(10_000, 5000)
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	errs := make([]error, 2)
	for i := range errs {
		group.Go(func() { errs[i] = Follow(ctx, w.cfg) })
	}
	a := w.process()
	grant := w.grant(a, item.ID, 100)
	for i := range uint32(5) {
		w.log(a, landing(event.Impression, w.token(a, grant, i)))
		w.ship(a)
		w.until(5*time.Second, func() bool { return w.totals().Impressions == int64(i+1) })
		if _, err := w.db.Pool.Exec(ctx, `
			SELECT pg_terminate_backend(l.pid) FROM pg_locks l
			WHERE l.locktype = 'advisory' AND l.objid = 20100001 AND l.granted
				AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())`); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Errorf("a clean stop is answered with %v", err)
	}
	books := w.totals()
	books.check(t)
	if books.Charged != 5*price {
		t.Errorf("charged %s", books.Charged)
	}
}

func (w *world) until(patience time.Duration, done func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Fatalf("not within %v", patience)
		}
	}
}

// TestFrozenSettlerIsPutAside: a settler that stopped within a transaction holds
// the lock and everybody's accounts; Postgres ends it.
func TestFrozenSettlerIsPutAside(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	frozen := must[*postgres.Settler](t)(w.db.Settler(t.Context()))
	if err := frozen.Lock(t.Context()); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	err := frozen.InTx(t.Context(), func(*postgres.SettleTx) error {
		if _, err := Once(t.Context(), w.cfg); !errors.Is(err, postgres.ErrSettlerLocked) {
			t.Errorf("a second settler: %v", err)
		}
		w.until(8*time.Second, func() bool {
			_, err := Once(t.Context(), w.cfg)
			return err == nil
		})
		return nil
	})
	if took := time.Since(began); err == nil || took > 6*time.Second {
		t.Errorf("after %v: %v", took, err)
	}
}

// TestWithoutTheLockNothingIsWritten: the fence inside the transaction.
func TestWithoutTheLockNothingIsWritten(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := must[*postgres.Settler](t)(w.db.Settler(t.Context()))
	defer s.Close(t.Context())
	err := s.InTx(t.Context(), func(*postgres.SettleTx) error { t.Error("it may write"); return nil })
	if !errors.Is(err, postgres.ErrSettlerLocked) || !strings.Contains(err.Error(), "settler") {
		t.Errorf("error %v", err)
	}
}

// TestSettleAmongGrants runs a settler against processes that lease, log, report
// and edit budgets all at once: nobody may fail, wait for ever, or miscount.
func TestSettleAmongGrants(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var logged bytes.Buffer
	w.cfg.Log = slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelWarn}))
	w.cfg.batchBytes = 1
	items := make([]ad.ID, 6)
	for i := range items {
		items[i] = w.lineItem(20_000, 10_000).ID
	}
	ctx, cancel := context.WithCancel(t.Context())
	var settler, processes sync.WaitGroup
	settler.Go(func() {
		if err := Follow(ctx, w.cfg); err != nil {
			t.Errorf("follow: %v", err)
		}
	})
	const workers, rounds, tokens = 4, 12, 5
	for i := range workers {
		processes.Go(func() { w.work(i, rounds, tokens, items) })
	}
	processes.Wait()
	const impressions = workers * rounds * tokens
	w.until(20*time.Second, func() bool { return w.totals().Impressions == impressions })
	cancel()
	settler.Wait()
	w.until(10*time.Second, func() bool { // a session that was cut off ends when the server notices
		_, err := Once(t.Context(), w.cfg)
		return err == nil
	})
	w.pass(w.cfg.Bank.LongestHold + w.cfg.Bank.Margin + 10*time.Second)
	books := w.totals()
	books.check(t)
	if books.ChargedN != impressions || books.Leased != 0 || books.Open != 0 {
		t.Errorf("at the end %+v", books)
	}
	if logged.Len() > 0 {
		t.Errorf("settle had trouble:\n%s", logged.String())
	}
}

// work is the life of one process among others.
func (w *world) work(n, rounds, tokens int, items []ad.ID) {
	s := w.process()
	for round := range rounds {
		wants := make([]postgres.Want, len(items))
		for j := range items {
			item := items[(j*(2*n+1)+round)%len(items)] // each in an order of its own
			wants[j] = postgres.Want{Lease: newULID(w.clock.Now()), LineItem: item, Micros: 10 * price, Impressions: 10}
		}
		grants := must[[]postgres.Grant](w.t)(w.db.Grant(w.t.Context(), s.process, wants, w.cfg.Bank))
		for _, grant := range grants {
			w.log(s, event.Record{Type: event.Open, Lease: leaseOf(grant)})
		}
		for k := range uint32(tokens) {
			w.log(s, landing(event.Impression, w.token(s, grants[round%len(grants)], k)))
		}
		for j, grant := range grants {
			if j != round%len(grants) {
				w.log(s, w.closing(grant, 0))
			}
		}
		w.ship(s)
		w.beat(s)
		if n == 0 {
			item := must[ad.LineItem](w.t)(w.db.FindLineItem(w.t.Context(), postgres.System, items[round%len(items)]))
			*item.DailyBudget += price
			must[ad.LineItem](w.t)(w.db.UpdateLineItem(w.t.Context(), postgres.System, item))
		}
	}
	w.log(s, event.Record{Type: event.End})
	w.ship(s)
}
