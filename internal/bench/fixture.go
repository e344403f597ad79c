package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sys/unix"

	"github.com/hayate-ads/hayate/delivery/target/workload"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/postgres"
	"github.com/hayate-ads/hayate/internal/postgres/cluster"
	"github.com/hayate-ads/hayate/internal/snapshot"
)

// seed of the published figures; others must behave alike.
const seed = 1

// requestCount is how many different requests the load repeats.
const requestCount = 2_000

// fixture is an installation that holds the standard workload: the line items
// both in Postgres, which leases them, and in a published snapshot.
type fixture struct {
	postgres *cluster.Cluster
	db       *postgres.DB
	env      []string
	bodies   [][]byte // decision requests, one line each
	bucket   string   // folder
	snapshot *snapshot.Snapshot
}

func (f *fixture) close(ctx context.Context) error {
	f.db.Close()
	return f.postgres.Stop(ctx)
}

// setUp makes the fixture for n line items of the network mix.
func (b *bench) setUp(ctx context.Context, n int) (*fixture, error) {
	pg, err := cluster.Start(ctx, cluster.Config{Dir: filepath.Join(b.dir, fmt.Sprint("postgres-", n)), Durable: true})
	if err != nil {
		return nil, err
	}
	f := &fixture{postgres: pg}
	url := pg.URL("postgres")
	if err := postgres.Migrate(ctx, url); err != nil {
		return nil, errors.Join(err, pg.Stop(ctx))
	}
	if f.db, err = postgres.Open(ctx, url); err != nil {
		return nil, errors.Join(err, pg.Stop(ctx))
	}
	items := workload.LineItems(seed, workload.Network, n)
	requests := workload.Requests(seed, workload.Network, requestCount)
	dir := filepath.Join(b.dir, fmt.Sprint("world-", n))
	f.bucket, f.snapshot = filepath.Join(dir, "bucket"), world(items, requests)
	if err := os.MkdirAll(filepath.Join(f.bucket, "snapshots"), 0o755); err != nil {
		return nil, errors.Join(err, f.close(ctx))
	}
	_, point, err := put(f.bucket, f.snapshot)
	err = errors.Join(
		err, point(), f.store(ctx, items),
		writeGeography(filepath.Join(dir, "geo.mmdb"), requests),
		os.WriteFile(filepath.Join(dir, "token.keys"), []byte("1 "+strings.Repeat("a5", 32)+"\n"), 0o600),
	)
	if err != nil {
		return nil, errors.Join(err, f.close(ctx))
	}
	if err := stepBack(filepath.Join(b.dir, fmt.Sprint("postgres-", n))); err != nil {
		return nil, errors.Join(err, f.close(ctx))
	}
	f.bodies = bodies(requests)
	f.env = []string{
		"DATABASE_URL=" + url, "BUCKET_URL=file://" + f.bucket, "STATE_DIR=" + filepath.Join(dir, "state"),
		"TOKEN_KEYS=" + filepath.Join(dir, "token.keys"), "GEOIP_FILE=" + filepath.Join(dir, "geo.mmdb"),
	}
	return f, nil
}

// stepBack lowers the priority of the Postgres that lives in a folder, and with it
// of all connections to come. The bank has a machine of its own wherever latency
// counts; here it would take the processor of the server, or of the load, for
// milliseconds at a time.
func stepBack(dir string) error {
	text, err := os.ReadFile(filepath.Join(dir, "data", "postmaster.pid"))
	if err != nil {
		return err
	}
	first, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(first)
	if err != nil {
		return fmt.Errorf("postmaster.pid: %w", err)
	}
	return unix.Setpriority(unix.PRIO_PROCESS, pid, 15)
}

// store writes the line items where the bank looks. What the workload calls not
// live is paused there, so that it never gets a lease.
func (f *fixture) store(ctx context.Context, items []workload.LineItem) error {
	return postgres.InTx(ctx, f.db.Pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `
			INSERT INTO advertiser (name, domain, time_zone) VALUES ('bench', 'advertiser.example', 'UTC');
			INSERT INTO campaign (advertiser_id, name, starts_at) VALUES (1, 'bench', '2020-01-01')`)
		if err != nil {
			return err
		}
		_, err = tx.CopyFrom(ctx, pgx.Identifier{"line_item"}, []string{"campaign_id", "name", "tier", "cpm", "starts_at", "status"},
			pgx.CopyFromSlice(len(items), func(i int) ([]any, error) {
				status := ad.Active
				if !items[i].Live {
					status = ad.Paused
				}
				return []any{1, fmt.Sprint("line item ", i+1), 3, int64(items[i].CPM), epoch, string(status)}, nil
			}))
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO account (level, owner_id) SELECT 'line_item', id FROM line_item`)
		return err
	})
}
