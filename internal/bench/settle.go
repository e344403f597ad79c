package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/oklog/ulid/v2"
	"golang.org/x/sys/unix"

	"github.com/hayate-ads/hayate/batch/settle"
	"github.com/hayate-ads/hayate/internal/bucket"
	"github.com/hayate-ads/hayate/internal/postgres"
	"github.com/hayate-ads/hayate/internal/postgres/cluster"
)

// settling is the group of figures about settle: the busiest hour of many leases,
// and the worst case, where no two events have anything in common.
var settling = []figure{
	{[]string{"settle.events_per_second", "settle.memory_mb"}, func(ctx context.Context, b *bench) error {
		return b.settle(ctx, settleLog{events: b.share(20_000_000), leases: 1_000, cellsOf: 5, processes: 8})
	}},
	{[]string{"settle.events_per_second.ungrouped"}, func(ctx context.Context, b *bench) error {
		n := b.share(400_000)
		return b.settle(ctx, settleLog{name: ".ungrouped", events: n, leases: n, cellsOf: 1, processes: 8})
	}},
	{[]string{"settle.report_p99_seconds"}, func(ctx context.Context, b *bench) error { return b.reportDelay(ctx) }},
}

// share is a tenth of n in a quick run.
func (b *bench) share(n int) int {
	if b.quick {
		return n / 10
	}
	return n
}

// settle measures how many events a second a settler books that has all of them
// to do, with Postgres on the same machine and every transaction durable. The
// settler is a process of its own, so that its memory is only its own.
func (b *bench) settle(ctx context.Context, l settleLog) (err error) {
	dir := filepath.Join(b.dir, "settle"+l.name)
	pg, err := cluster.Start(ctx, cluster.Config{Dir: filepath.Join(dir, "postgres"), Durable: true})
	if err != nil {
		return err
	}
	defer func() {
		before := childrensTime()
		err = errors.Join(err, pg.Stop(ctx), os.RemoveAll(dir))
		note("settle%s: Postgres took %.1f s of processor in all", l.name, (childrensTime() - before).Seconds())
	}()
	url := pg.URL("postgres")
	if err := postgres.Migrate(ctx, url); err != nil {
		return err
	}
	db, err := postgres.Open(ctx, url)
	if err != nil {
		return err
	}
	defer db.Close()
	l.dir, l.hour = filepath.Join(dir, "bucket"), time.Now().UTC().Truncate(time.Hour).Add(-time.Hour)
	began := time.Now()
	bytes, err := l.write()
	if err != nil {
		return err
	}
	if err := l.store(ctx, db); err != nil {
		return err
	}
	note("settle%s: %d events of %d leases and %d cells an hour, %d MB in %d streams, made in %s; they are in the page cache",
		l.name, l.events, l.leases, l.leases*l.cellsOf, bytes>>20, l.processes, time.Since(began).Round(time.Second))
	self, err := os.Executable()
	if err != nil {
		return err
	}
	c := exec.CommandContext(ctx, self, "settle", url, l.dir, l.name)
	c.Stdout, c.Stderr, c.Env = b.out, os.Stderr, append(os.Environ(), "ONLY="+b.only)
	if err := c.Run(); err != nil {
		return fmt.Errorf("the settler: %w", err)
	}
	return l.verify(ctx, db)
}

// settlePart is the settler's process: bench settle DATABASE BUCKET NAME.
func settlePart(args []string) (err error) {
	if len(args) != 3 {
		return errors.New("usage: bench settle DATABASE BUCKET NAME")
	}
	b, ctx := &bench{only: os.Getenv("ONLY"), out: os.Stdout}, context.Background()
	db, err := postgres.Open(ctx, args[0])
	if err != nil {
		return err
	}
	defer db.Close()
	objects, err := bucket.Open(ctx, "file://"+args[1])
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, objects.Close()) }()
	var resident []int64 // after each batch, bytes
	batches := 0
	began, cpu := time.Now(), processorTime()
	stats, err := settle.Once(ctx, settle.Config{
		DB: db, Bucket: objects,
		Bank: benchBank,
		Observe: func(s settle.Stats) {
			batches++
			if n, err := residentBytes(); err == nil {
				resident = append(resident, n)
			}
		},
	})
	if err != nil {
		return err
	}
	took := time.Since(began)
	b.print("settle.events_per_second"+args[2], float64(stats.Records)/took.Seconds(), "events/s")
	if args[2] == "" {
		peak := int64(0)
		for _, n := range resident {
			peak = max(peak, n)
		}
		b.print("settle.memory_mb", float64(peak)/(1<<20), "MB")
		note("settle: %d batches; %d MB resident after a tenth of them, %d MB at the end; the settler took %.1f s of processor within %.1f s",
			batches, resident[len(resident)/10]>>20, resident[len(resident)-1]>>20, (processorTime() - cpu).Seconds(), took.Seconds())
	}
	return nil
}

// childrensTime is what processes that we started and that ended took of the
// processor, with their own children.
func childrensTime() time.Duration {
	var use unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_CHILDREN, &use); err != nil {
		return 0
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}

// residentBytes is this process's resident memory.
func residentBytes() (int64, error) {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0, errors.New("/proc/self/statm has another form")
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize()), err
}

// store writes the leases, as if they had been granted, and what they need.
func (l *settleLog) store(ctx context.Context, db *postgres.DB) error {
	return postgres.InTx(ctx, db.Pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `
			INSERT INTO advertiser (name, domain, time_zone) VALUES ('bench', 'advertiser.example', 'UTC');
			INSERT INTO campaign (advertiser_id, name, starts_at) VALUES (1, 'bench', '2020-01-01')`)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `
			INSERT INTO line_item (campaign_id, name, tier, cpm, starts_at)
			SELECT 1, 'line item ' || i, 3, 2000000, '2020-01-01' FROM generate_series(1, $1) i`, l.lineItems()); err != nil {
			return err
		}
		ids, items := make([]ulid.ULID, l.leases), make([]int64, l.leases)
		processes := make([]ulid.ULID, l.leases)
		for i := range ids {
			r := l.reservation(i, 0)
			ids[i], items[i], processes[i] = r.Lease, int64(r.LineItem), r.Process
		}
		day := l.hour.Truncate(24 * time.Hour)
		if _, err := tx.Exec(ctx, `
			INSERT INTO lease (id, process_id, line_item_id, day, granted_micros, granted_impressions, deadline)
			SELECT n.id, n.process_id, n.line_item_id, $4, $5, $6, bank_now() + interval '1 day'
			FROM unnest($1::uuid[], $2::uuid[], $3::bigint[]) AS n (id, process_id, line_item_id)`,
			ids, processes, items, day, int64(l.reservations())*int64(benchPrice), l.reservations()); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `
			INSERT INTO account (level, owner_id, day, leased_micros, leased_impressions)
			SELECT 'line_item', e.line_item_id, d.day, sum(e.granted_micros), sum(e.granted_impressions)
			FROM lease e, (VALUES ($1::date), (NULL)) AS d (day) GROUP BY e.line_item_id, d.day`, day)
		return err
	})
}

// verify makes sure that what was measured was right: every impression charged,
// once.
func (l *settleLog) verify(ctx context.Context, db *postgres.DB) error {
	var charged, spend, impressions, events int64
	err := db.Pool.QueryRow(ctx, `
		SELECT (SELECT sum(charged_micros)::bigint FROM ledger), sum(spend_micros)::bigint, sum(impressions)::bigint,
			sum(impressions + viewables + clicks)::bigint FROM report_hour`).Scan(&charged, &spend, &impressions, &events)
	if err != nil {
		return err
	}
	want := int64(l.leases) * int64(l.reservations())
	if charged != want*int64(benchPrice) || spend != charged || impressions != want || events+l.duplicates != int64(l.events) {
		return fmt.Errorf("%d impressions of %d, %d events, %d micros in the ledger, %d in the report", impressions, want, events, charged, spend)
	}
	return nil
}
