package postgres_test

import (
	"database/sql"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/pressly/goose/v3"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/postgres"
	"github.com/hayate-ads/hayate/internal/postgres/postgrestest"
)

// Every migration can be taken back, and leaves nothing behind.
func TestMigrationsRoundTrip(t *testing.T) {
	t.Parallel()
	ctx, url := t.Context(), postgrestest.EmptyURL(t)
	if err := postgres.Migrate(ctx, url); err != nil {
		t.Fatal(err)
	}
	db := must[*sql.DB](t)(sql.Open("pgx", url))
	defer db.Close()
	up := schema(t, db)
	if len(up) < 100 {
		t.Fatalf("the schema has %d parts only", len(up))
	}
	provider := must[*goose.Provider](t)(goose.NewProvider(goose.DialectPostgres, db, os.DirFS("migrations")))
	if _, err := provider.DownTo(ctx, 0); err != nil {
		t.Fatal(err)
	}
	if down := schema(t, db); len(down) != 0 {
		t.Errorf("after the way down stand:\n%s", strings.Join(down, "\n"))
	}
	for range 2 { // the second time there is nothing to do
		if err := postgres.Migrate(ctx, url); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(up, schema(t, db)); diff != "" {
		t.Errorf("the second way up leads elsewhere (-first +second):\n%s", diff)
	}
}

// schema lists everything but goose's own table.
func schema(t *testing.T, db *sql.DB) (parts []string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), `
		SELECT format('column %s.%s %s %s %s', table_name, column_name, data_type, is_nullable, column_default)
			FROM information_schema.columns WHERE table_schema = 'public'
		UNION ALL SELECT format('constraint %s %s %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
			FROM pg_constraint WHERE connamespace = 'public'::regnamespace
		UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
		UNION ALL SELECT 'sequence ' || sequencename FROM pg_sequences WHERE schemaname = 'public'
		UNION ALL SELECT pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var part string
		if err := rows.Scan(&part); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(part, "goose_db_version") {
			parts = append(parts, part)
		}
	}
	slices.Sort(parts)
	return parts
}

func TestMigrateAtOnce(t *testing.T) {
	t.Parallel()
	url, results := postgrestest.EmptyURL(t), make(chan error)
	for range 3 {
		go func() { results <- postgres.Migrate(t.Context(), url) }()
	}
	for range 3 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	f := func(url, want string) {
		t.Helper()
		_, err := postgres.Open(t.Context(), url)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v; want one line with %q and without the password", url, err, want)
		}
	}
	f("postgres://u:secret@127.0.0.1:1/x", "database does not answer")
	f("postgres://u:secret@127.0.0.1:x/x", "database address")
	f("nonsense", "database address")
	url := postgrestest.URL(t)
	db := must[*postgres.DB](t)(postgres.Open(t.Context(), url))
	defer db.Close()
	if list, err := db.Advertisers(t.Context(), postgres.System, postgres.Page{}); err != nil || len(list) != 0 {
		t.Errorf("%v, %v", list, err)
	}
}

func TestTryLock(t *testing.T) {
	t.Parallel()
	db, ctx := newDB(t), t.Context()
	first, second := must[*pgxpool.Conn](t)(db.Pool.Acquire(ctx)), must[*pgxpool.Conn](t)(db.Pool.Acquire(ctx))
	defer second.Release()
	if got, err := postgres.TryLock(ctx, first.Conn(), "settle"); !got || err != nil {
		t.Fatalf("first: %v, %v", got, err)
	}
	if got, err := postgres.TryLock(ctx, second.Conn(), "settle"); got || err != nil {
		t.Errorf("second while the first holds it: %v, %v", got, err)
	}
	if got, err := postgres.TryLock(ctx, second.Conn(), "publish"); !got || err != nil {
		t.Errorf("another name: %v, %v", got, err)
	}
	if err := first.Hijack().Close(ctx); err != nil {
		t.Fatal(err)
	}
	// The server notices the closed connection a little later.
	for deadline := time.Now().Add(10 * time.Second); ; {
		got, err := postgres.TryLock(ctx, second.Conn(), "settle")
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("after the first is gone: %v, %v", got, err)
		}
		if got {
			break
		}
	}
}

// Rows of the schema before are whole in the one after, also those that an older
// binary still writes meanwhile; the way back keeps what the older schema has no
// word for, out of service.
func TestAuctionMigrationKeepsRows(t *testing.T) {
	t.Parallel()
	ctx, url := t.Context(), postgrestest.EmptyURL(t)
	raw := must[*sql.DB](t)(sql.Open("pgx", url))
	defer raw.Close()
	provider := must[*goose.Provider](t)(goose.NewProvider(goose.DialectPostgres, raw, os.DirFS("migrations")))
	exec := func(sql string) {
		t.Helper()
		if _, err := raw.ExecContext(ctx, sql); err != nil {
			t.Fatal(err)
		}
	}
	older := func() {
		t.Helper()
		exec(`INSERT INTO line_item (campaign_id, name, tier, cpm, starts_at) SELECT id, 'Old', 3, 1000000, now() FROM campaign;
			INSERT INTO creative (line_item_id, name) SELECT max(id), 'Old' FROM line_item;
			INSERT INTO creative_revision (creative_id, number, format, width, height, landing_url, markup)
				SELECT max(id), 1, 'html', 1, 1, 'https://a.example/', 'x' FROM creative;
			INSERT INTO property (publisher_id, name, kind, domain, revenue_share) SELECT id, 'Old', 'site', 'old.example', 7000 FROM publisher;
			INSERT INTO placement (property_id, name, formats) SELECT max(id), 'Old', '{native}' FROM property`)
	}
	if _, err := provider.UpTo(ctx, 3); err != nil {
		t.Fatal(err)
	}
	exec(`INSERT INTO advertiser (name, domain, time_zone) VALUES ('Old', 'old.example', 'UTC');
		INSERT INTO campaign (advertiser_id, name, starts_at) SELECT id, 'Old', now() FROM advertiser;
		INSERT INTO publisher (name, domain) VALUES ('Old', 'old.example')`)
	older()
	if err := postgres.Migrate(ctx, url); err != nil {
		t.Fatal(err)
	}
	older()

	db := must[*postgres.DB](t)(postgres.Open(ctx, url))
	defer db.Close()
	for id := ad.ID(1); id <= 2; id++ {
		l := must[ad.LineItem](t)(db.FindLineItem(ctx, postgres.System, id))
		c := must[ad.Creative](t)(db.FindCreative(ctx, postgres.System, id))
		p := must[ad.Property](t)(db.FindProperty(ctx, postgres.System, id))
		m := must[ad.Placement](t)(db.FindPlacement(ctx, postgres.System, id))
		if l.Weight != 1 || l.Roadblock != ad.OneOrMore || len(l.Labels)+len(c.Latest.Attributes)+len(p.Categories) != 0 ||
			m.AuctionType != ad.FirstPrice || m.FloorCurrency != "" || m.Position != "" {
			t.Errorf("read as %+v, %+v, %+v, %+v", l, c, p, m)
		}
		l.Name = "Newer"
		must[ad.LineItem](t)(db.UpdateLineItem(ctx, postgres.System, l))
	}
	p := must[ad.Property](t)(db.FindProperty(ctx, postgres.System, 1))
	p.Kind = ad.DOOH
	must[ad.Property](t)(db.UpdateProperty(ctx, postgres.System, p))

	if _, err := provider.DownTo(ctx, 3); err != nil {
		t.Fatal(err)
	}
	var kept string
	row := raw.QueryRowContext(ctx, "SELECT string_agg(concat_ws(' ', name, kind, status), ', ' ORDER BY id) FROM property")
	if err := row.Scan(&kept); err != nil || kept != "Old site archived, Old site active" {
		t.Errorf("kept %q, %v", kept, err)
	}
}
