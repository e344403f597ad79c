package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/hayate-ads/hayate/batch/settle"
	"github.com/hayate-ads/hayate/delivery/eventlog"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/bucket"
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/postgres"
	"github.com/hayate-ads/hayate/internal/postgres/cluster"
)

const (
	reportRate    = 5_000 // events a second
	reportSlot    = 500   // events that share a cell, by which they are recognised
	firstReported = ad.ID(1_000_000)
)

// reportDelay measures how long an event takes from its tracking URL's call to
// the report: through delivery's log (on disk, sealed, shipped) into a bucket,
// and from there through a settler that follows. All in one process, with
// Postgres beside it; not measured is the HTTP before it.
func (b *bench) reportDelay(ctx context.Context) (err error) {
	dir := filepath.Join(b.dir, "report")
	pg, err := cluster.Start(ctx, cluster.Config{Dir: filepath.Join(dir, "postgres"), Durable: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pg.Stop(ctx), os.RemoveAll(dir)) }()
	if err := postgres.Migrate(ctx, pg.URL("postgres")); err != nil {
		return err
	}
	db, err := postgres.Open(ctx, pg.URL("postgres"))
	if err != nil {
		return err
	}
	defer db.Close()
	objects, err := bucket.Open(ctx, "file://"+filepath.Join(dir, "bucket"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, objects.Close()) }()
	const leases, perLease = 100, 2_500
	r := &reporting{
		db: db, log: settleLog{events: leases * perLease, leases: leases, cellsOf: 1, processes: 1, hour: time.Now().UTC().Truncate(time.Hour)},
	}
	r.events = b.share(r.log.leases * r.log.reservations()) // 30 seconds' worth
	if err := r.log.store(ctx, db); err != nil {
		return err
	}
	r.events -= r.events % reportSlot
	if r.appender, err = eventlog.Open(eventlog.Config{
		Dir: filepath.Join(dir, "log"), Process: r.log.process(0), Bucket: objects, Now: func() time.Time { return time.Now().UTC() },
	}); err != nil {
		return err
	}
	following, stop := context.WithCancel(ctx)
	var group sync.WaitGroup
	var followed error
	group.Go(func() {
		followed = settle.Follow(following, settle.Config{DB: db, Bucket: objects, Bank: benchBank})
	})
	delays, err := r.run(ctx)
	stop()
	group.Wait()
	if err = errors.Join(err, followed, r.appender.Close(ctx)); err != nil {
		return err
	}
	slices.Sort(delays)
	at := func(percent int) float64 { return delays[len(delays)*percent/100].Seconds() }
	note("settle.report: %d events at %d/s; from due to visible p50 %.2f s, p99 %.2f s, most %.2f s", r.events, reportRate, at(50), at(99), delays[len(delays)-1].Seconds())
	b.print("settle.report_p99_seconds", at(99), "s")
	return nil
}

// benchBank has the durations of production.
var benchBank = postgres.BankConfig{LongestHold: 300 * time.Second, LostAfter: 90 * time.Second, Grace: 30 * time.Second, Margin: 5 * time.Second}

type reporting struct {
	db       *postgres.DB
	log      settleLog
	appender *eventlog.Log
	events   int
	began    time.Time
}

// due is when event i is to be called, whatever became of those before it.
func (r *reporting) due(i int) time.Time {
	return r.began.Add(time.Duration(i) * time.Second / reportRate)
}

// run logs all events at their times, and returns how long each took to be seen.
func (r *reporting) run(ctx context.Context) ([]time.Duration, error) {
	if _, err := r.db.Heartbeat(ctx, postgres.Heartbeat{Process: r.log.process(0), StartedAt: r.log.hour}); err != nil {
		return nil, err
	}
	r.began = time.Now().Add(time.Second)
	calls := make(chan int, r.events)
	failed := make(chan error, 1)
	for range 64 {
		go func() {
			for i := range calls {
				if err := r.call(i); err != nil {
					select {
					case failed <- err:
					default:
					}
				}
			}
		}()
	}
	go func() {
		defer close(calls)
		for i := range r.events {
			if pause := time.Until(r.due(i)); pause > time.Millisecond {
				time.Sleep(pause)
			}
			calls <- i
		}
	}()
	return r.watch(ctx, failed)
}

// call is event i's.
func (r *reporting) call(i int) error {
	res := r.log.reservation(i%r.log.leases, i/r.log.leases)
	res.DecidedAt, res.Creative, res.Placement = time.Now().UTC().Truncate(time.Millisecond), firstReported+ad.ID(i/reportSlot), 1
	return r.appender.Append(&event.Record{Type: event.Impression, Landing: event.Landing{Reservation: res, Clearing: res.Price}})
}

// watch looks at the report until all is there.
func (r *reporting) watch(ctx context.Context, failed <-chan error) ([]time.Duration, error) {
	var delays []time.Duration
	seen := make(map[ad.ID]bool)
	for patience := r.due(r.events).Add(2 * time.Minute); len(delays) < r.events; {
		if time.Now().After(patience) {
			return nil, fmt.Errorf("only %d of %d events are in the report", len(delays), r.events)
		}
		select {
		case err := <-failed:
			return nil, err
		case <-time.After(50 * time.Millisecond):
		}
		rows, err := r.db.Pool.Query(ctx, "SELECT creative_id FROM report_hour GROUP BY creative_id HAVING sum(impressions) = $1", reportSlot)
		if err != nil {
			return nil, err
		}
		whole, err := pgx.CollectRows(rows, pgx.RowTo[ad.ID])
		if err != nil {
			return nil, err
		}
		now := time.Now()
		for _, creative := range whole {
			if seen[creative] {
				continue
			}
			seen[creative] = true
			first := int(creative-firstReported) * reportSlot
			for i := range reportSlot {
				delays = append(delays, now.Sub(r.due(first+i)))
			}
		}
	}
	return delays, nil
}
