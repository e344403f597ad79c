package rebuild

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"gocloud.dev/blob/memblob"

	"github.com/hayate-ads/hayate/batch/logtest"
	"github.com/hayate-ads/hayate/batch/reconcile"
	"github.com/hayate-ads/hayate/internal/postgres"
	"github.com/hayate-ads/hayate/internal/postgres/postgrestest"
)

var copies atomic.Int64

// world is a logtest.World whose database can be copied and put back.
type world struct {
	*logtest.World
	t   testing.TB
	url string
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, url: postgrestest.URL(t)}
	bucket := memblob.OpenBucket(nil)
	t.Cleanup(func() { _ = bucket.Close() })
	w.World = logtest.New(t, w.open(w.url), bucket, logtest.Noon)
	return w
}

func (w *world) open(url string) *postgres.DB {
	w.t.Helper()
	config := logtest.Must[*pgxpool.Config](w.t)(pgxpool.ParseConfig(url))
	config.MaxConns = 4
	pool := logtest.Must[*pgxpool.Pool](w.t)(pgxpool.NewWithConfig(context.Background(), config))
	w.t.Cleanup(pool.Close)
	return &postgres.DB{Pool: pool}
}

// backup copies the database and returns the copy's name.
func (w *world) backup() string {
	w.t.Helper()
	name := fmt.Sprintf("copy_%d", copies.Add(1))
	url := w.url
	w.DB.Close()
	w.admin("CREATE DATABASE " + name + " TEMPLATE " + databaseOf(url))
	w.t.Cleanup(func() { w.admin("DROP DATABASE " + name + " WITH (FORCE)") })
	w.DB = w.open(url)
	return name
}

// restore goes on with a copy. What has happened since is known to the log only.
func (w *world) restore(name string) {
	w.t.Helper()
	w.DB.Close()
	w.url = strings.Replace(w.url, databaseOf(w.url), name, 1)
	w.DB = w.open(w.url)
	w.SetClock()
}

func databaseOf(url string) string {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		panic(err)
	}
	return config.Database
}

func (w *world) admin(statement string) {
	w.t.Helper()
	ctx := context.Background()
	conn := logtest.Must[*pgx.Conn](w.t)(pgx.Connect(ctx, strings.Replace(w.url, databaseOf(w.url), "postgres", 1)))
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, statement); err != nil {
		w.t.Fatal(statement, err)
	}
}

func (w *world) rebuilder() *Rebuilder {
	return &Rebuilder{DB: w.DB, Bucket: w.Bucket, Bank: w.Bank, Log: slog.New(slog.DiscardHandler)}
}

func (w *world) rebuild() Summary {
	w.t.Helper()
	return logtest.Must[Summary](w.T)(w.rebuilder().Run(context.Background()))
}

// noticed makes sure that nothing is settled or granted in an older database.
func (w *world) noticed(s *logtest.Stream) {
	w.T.Helper()
	before := w.books()
	if _, err := w.TryGrant(s, 1, 1); !errors.Is(err, postgres.ErrUnchecked) {
		w.T.Fatal("a grant before the database was compared with the log: ", err)
	}
	if err := w.TrySettle(); !errors.Is(err, postgres.ErrRebuild) {
		w.T.Fatal("settle met an older database: ", err)
	}
	if _, err := w.TryGrant(s, 1, 1); !errors.Is(err, postgres.ErrRebuild) {
		w.T.Fatal("a grant in an older database: ", err)
	}
	if diff := before.diff(w.books()); diff != "" {
		w.T.Fatal("something was settled in an older database:\n" + diff)
	}
}

// reconcile makes sure that the books say what the log says.
func (w *world) reconcile() {
	w.T.Helper()
	x := &reconcile.Auditor{DB: w.DB, Bucket: w.Bucket, Log: slog.New(slog.DiscardHandler)}
	if found, err := x.Day(context.Background(), logtest.Noon); err != nil {
		w.T.Fatal(err, found.Differences)
	}
}

// books are all figures that have to be alike, by what they are of.
type books map[string]int64

// diff names what is not alike; want is b.
func (b books) diff(got books) string {
	var lines []string
	for key, want := range b {
		if got[key] != want {
			lines = append(lines, fmt.Sprintf("%s: %d, want %d", key, got[key], want))
		}
	}
	for key, n := range got {
		if _, there := b[key]; !there && n != 0 {
			lines = append(lines, fmt.Sprintf("%s: %d, want 0", key, n))
		}
	}
	return strings.Join(lines, "\n")
}

const booksSQL = `
	SELECT concat_ws(' ', 'account', owner_id, day, 'settled'), settled_micros FROM account
	UNION ALL SELECT concat_ws(' ', 'account', owner_id, day, 'leased'), leased_micros FROM account
	UNION ALL SELECT concat_ws(' ', 'account', owner_id, day, 'impressions'), settled_impressions FROM account
	UNION ALL SELECT concat_ws(' ', 'ledger', line_item_id, day, 'charged'), sum(charged_micros)::bigint FROM ledger GROUP BY line_item_id, day
	UNION ALL SELECT concat_ws(' ', 'ledger', line_item_id, day, 'charged impressions'), sum(charged_impressions)::bigint FROM ledger GROUP BY line_item_id, day
	UNION ALL SELECT concat_ws(' ', 'ledger', line_item_id, day, 'overage'), sum(overage_micros)::bigint FROM ledger GROUP BY line_item_id, day
	UNION ALL SELECT concat_ws(' ', 'ledger', line_item_id, day, 'overage impressions'), sum(overage_impressions)::bigint FROM ledger GROUP BY line_item_id, day
	UNION ALL SELECT concat_ws(' ', 'ledger', line_item_id, day, 'late'), sum(late_impressions)::bigint FROM ledger GROUP BY line_item_id, day
	UNION ALL SELECT concat_ws(' ', 'report', hour, line_item_id, 'impressions'), sum(impressions)::bigint FROM report_hour GROUP BY hour, line_item_id
	UNION ALL SELECT concat_ws(' ', 'report', hour, line_item_id, 'clicks'), sum(clicks)::bigint FROM report_hour GROUP BY hour, line_item_id
	UNION ALL SELECT concat_ws(' ', 'report', hour, line_item_id, 'spend'), sum(spend_micros)::bigint FROM report_hour GROUP BY hour, line_item_id
	UNION ALL SELECT concat_ws(' ', 'report', hour, line_item_id, 'overage'), sum(overage_micros)::bigint FROM report_hour GROUP BY hour, line_item_id
	UNION ALL SELECT concat_ws(' ', 'report', hour, line_item_id, 'revenue'), sum(revenue_micros)::bigint FROM report_hour GROUP BY hour, line_item_id
	UNION ALL SELECT concat_ws(' ', 'audience', hour, line_item_id, 'impressions'), sum(impressions)::bigint FROM report_audience_hour GROUP BY hour, line_item_id
	UNION ALL SELECT 'conversions', count(*) FROM conversion
	UNION ALL SELECT 'segments', count(*) FROM segment
	UNION ALL SELECT 'bits', COALESCE(sum(bit_count(bits)), 0)::bigint FROM lease_bits`

func (w *world) books() books {
	w.T.Helper()
	rows := logtest.Must[pgx.Rows](w.T)(w.DB.Pool.Query(context.Background(), booksSQL))
	b := books{}
	var key string
	var n int64
	_, err := pgx.ForEachRow(rows, []any{&key, &n}, func() error {
		if n != 0 {
			b[key] = n
		}
		return nil
	})
	if err != nil {
		w.T.Fatal(err)
	}
	return b
}

// sums adds up figures over line items and days, for histories in which events
// may move between charge and overage.
func (b books) sum(prefix string, suffixes ...string) (n int64) {
	for key, v := range b {
		for _, suffix := range suffixes {
			if strings.HasPrefix(key, prefix) && strings.HasSuffix(key, " "+suffix) {
				n += v
			}
		}
	}
	return n
}
