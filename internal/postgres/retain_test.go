package postgres_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/oklog/ulid/v2"

	"github.com/hayate-ads/hayate/internal/postgres"
	"github.com/hayate-ads/hayate/internal/postgres/postgrestest"
)

// exec runs SQL that sets a scene.
func exec(t testing.TB, db *postgres.DB, sql string, args ...any) {
	t.Helper()
	if _, err := db.Pool.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

// texts reads one column.
func texts(t testing.TB, db *postgres.DB, sql string, args ...any) []string {
	t.Helper()
	rows, err := db.Pool.Query(t.Context(), sql, args...)
	if err != nil {
		t.Fatal(err)
	}
	return must[[]string](t)(pgx.CollectRows(rows, pgx.RowTo[string]))
}

func mintedAt(at time.Time, n byte) (id ulid.ULID) {
	_ = id.SetTime(ulid.Timestamp(at))
	id[15] = n
	return id
}

var today = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// The horizon stands back behind every event that could still come.
func TestFoldHorizon(t *testing.T) {
	t.Parallel()
	const keep, patience = 48 * time.Hour, 7 * 24 * time.Hour
	f := func(what string, want time.Time, scene func(*postgres.DB)) {
		t.Helper()
		db := newDB(t)
		postgrestest.NewClock(t, db.Pool, today)
		exec(t, db, "UPDATE settlement SET watermark = $1", today.Add(-time.Second))
		scene(db)
		for range 2 { // it does not move by itself
			if got := must[time.Time](t)(db.FoldHorizon(t.Context(), keep, patience)); !got.Equal(want) {
				t.Errorf("%s: %s, want %s", what, got, want)
			}
		}
	}
	away := func(state, stalled string, started, applied, heard time.Time) func(*postgres.DB) {
		return func(db *postgres.DB) {
			exec(t, db, "INSERT INTO process (id, started_at, applied_at, heartbeat_at, state, stalled) VALUES ($1, $2, $3, $4, $5, $6)",
				mintedAt(started, 1), started, applied, heard, state, stalled)
		}
	}
	ago := func(d time.Duration) time.Time { return today.Add(-d) }
	f("all is well", ago(keep), func(*postgres.DB) {})
	f("nothing was settled", time.Time{}, func(db *postgres.DB) { exec(t, db, "UPDATE settlement SET watermark = NULL") })
	f("halted", time.Time{}, func(db *postgres.DB) { exec(t, db, "UPDATE settlement SET halted = 'why'") })
	f("settle is behind", ago(72*time.Hour+postgres.TokenLife), func(db *postgres.DB) {
		exec(t, db, "UPDATE settlement SET watermark = $1", ago(72*time.Hour))
	})
	f("lost", ago(50*time.Hour+postgres.TokenLife), away("lost", "", ago(90*time.Hour), ago(50*time.Hour), ago(49*time.Hour)))
	f("stalled", ago(50*time.Hour+postgres.TokenLife), away("running", "gap", ago(90*time.Hour), ago(50*time.Hour), ago(49*time.Hour)))
	f("given up", ago(keep), away("lost", "", ago(400*time.Hour), ago(300*time.Hour), ago(169*time.Hour)))
	f("ended", ago(keep), away("ended", "", ago(90*time.Hour), ago(50*time.Hour), ago(49*time.Hour)))
	f("never back", ago(time.Hour), func(db *postgres.DB) { exec(t, db, "UPDATE settlement SET folded = $1", ago(time.Hour)) })
}

// What leases held goes over into their days to the micro, and nothing else goes.
func TestFoldLeases(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	horizon := today.Add(-48 * time.Hour)
	add := func(n byte, minted, used time.Time, state string) {
		t.Helper()
		id := mintedAt(minted, n)
		exec(t, db, `INSERT INTO lease (id, process_id, line_item_id, day, granted_micros, granted_impressions, reserved_micros, reserved_impressions,
			settled_micros, settled_impressions, returned_micros, returned_impressions, deadline, state, closed_at)
			VALUES ($1, $1, 7, $2, 100, 10, 80, 8, 60, 6, 40, 4, $3, $4, $5)`, id, used, used.Add(-time.Minute), state, used)
		for purpose := range 2 {
			exec(t, db, "INSERT INTO lease_bits (lease_id, purpose, block, bits) VALUES ($1, $2, 0, $3)", id, purpose, make([]byte, 1024))
		}
	}
	old := horizon.Add(-time.Hour)
	for n := range byte(5) {
		add(n, old, old, "final")
	}
	add(10, old, old, "closed")                     // may still be charged
	add(11, old, horizon.Add(time.Second), "final") // used since
	add(12, horizon.Add(time.Minute), old, "final") // minted since: its events are not refused
	exec(t, db, "INSERT INTO lease_day VALUES (7, $1, 1, 1, 1, 1, 1, 1, 1, 1, 1)", old)
	const sums = `SELECT concat_ws(' ', sum(leases), sum(gm), sum(gi), sum(rm), sum(ri), sum(sm), sum(si), sum(tm), sum(ti)) FROM (
		SELECT leases, granted_micros gm, granted_impressions gi, reserved_micros rm, reserved_impressions ri,
			settled_micros sm, settled_impressions si, returned_micros tm, returned_impressions ti FROM lease_day
		UNION ALL SELECT 1, granted_micros, granted_impressions, reserved_micros, reserved_impressions,
			settled_micros, settled_impressions, returned_micros, returned_impressions FROM lease) x`
	before := texts(t, db, sums)
	for _, want := range []int{2, 2, 1, 0} {
		if n := must[int](t)(db.FoldLeases(t.Context(), horizon, 2)); n != want {
			t.Errorf("folded %d, want %d", n, want)
		}
		if d := cmp.Diff(before, texts(t, db, sums)); d != "" {
			t.Errorf("sums changed:\n%s", d)
		}
	}
	if got := texts(t, db, "SELECT count(DISTINCT e.id) || ' leases, ' || count(*) || ' bits' FROM lease e JOIN lease_bits b ON b.lease_id = e.id"); got[0] != "3 leases, 6 bits" {
		t.Errorf("left are %s", got)
	}
	if got := texts(t, db, "SELECT count(*)::text FROM lease_bits"); got[0] != "6" {
		t.Errorf("%s rows of bits are left", got)
	}
}

func TestFoldManyLeases(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	exec(t, db, `INSERT INTO lease (id, process_id, line_item_id, day, granted_micros, granted_impressions, deadline, state)
		SELECT ('01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, gen_random_uuid(), n % 100 + 1, '2024-06-10', 5, 1, '2024-06-10', 'final'
		FROM generate_series(1, 100000) n`)
	exec(t, db, "INSERT INTO lease_bits (lease_id, purpose, block, bits) SELECT id, 4, 0, decode(repeat('ff', 1024), 'hex') FROM lease WHERE random() < 0.2")
	began, total := time.Now(), 0
	for {
		n := must[int](t)(db.FoldLeases(t.Context(), today, 5000))
		if total += n; n < 5000 {
			break
		}
	}
	t.Logf("%d leases in %s", total, time.Since(began))
	if got := texts(t, db, "SELECT sum(leases) || ' ' || sum(granted_micros) || ' ' || (SELECT count(*) FROM lease_bits) FROM lease_day"); got[0] != "100000 500000 0" || total != 100_000 {
		t.Errorf("folded %d: %s", total, got)
	}
}

// Each of the conditions keeps a segment by itself.
func TestRemovableSegments(t *testing.T) {
	t.Parallel()
	old, before := today.AddDate(0, 0, -40), today.AddDate(0, 0, -30)
	p := mintedAt(old, 1)
	f := func(want int, what, change string, args ...any) {
		t.Helper()
		db := newDB(t)
		exec(t, db, "INSERT INTO process (id, started_at, applied_segment) VALUES ($1, $2, 1)", p, old)
		exec(t, db, `INSERT INTO segment (process_id, seq, sha256, records, first_at, last_at, batch, applied_at)
			VALUES ($1, 1, '', 3, $2::timestamptz - interval '13 hours', $2, 5, $2)`, p, old)
		exec(t, db, "INSERT INTO reconciliation (day, events, charged_micros, differences, losses) SELECT $1::date + n, 1, 1, '[]', '[]' FROM generate_series(-2, 1) n", old)
		exec(t, db, "INSERT INTO report_status (hour) SELECT $1::timestamptz + make_interval(days => n) FROM generate_series(-9, 9) n", old)
		exec(t, db, `INSERT INTO lake_part (hour, part, after_batch, through_batch, written_at)
			SELECT date_trunc('hour', $1::timestamptz, 'UTC') - make_interval(hours => n), 0, 0, 5, $1 FROM generate_series(0, 13) n`, old)
		exec(t, db, change, args...)
		if got := must[[]postgres.SegmentKey](t)(db.RemovableSegments(t.Context(), before, postgres.SegmentKey{}, 10)); len(got) != want {
			t.Errorf("%s: %v", what, got)
		}
	}
	f(1, "past its time", "SELECT 1")
	f(0, "settled since", "UPDATE segment SET applied_at = $1", before)
	f(0, "logged since", "UPDATE segment SET last_at = $1", before)
	f(0, "skipped", "UPDATE segment SET skipped = 'torn'")
	f(0, "its stream stands still", "UPDATE process SET stalled = 'torn'")
	f(0, "not applied", "UPDATE process SET applied_segment = 0")
	f(0, "halted", "UPDATE settlement SET halted = 'why'")
	for n := -2; n <= 1; n++ {
		f(0, "a day is not reconciled", "DELETE FROM reconciliation WHERE day = $1::date + $2::int", old, n)
	}
	f(1, "a day on which nothing was counted", "WITH x AS (DELETE FROM report_status WHERE hour = $1) DELETE FROM reconciliation WHERE day = $1::date", old)
	f(0, "a day differs", "INSERT INTO reconciliation (day, events, charged_micros, differences, losses) VALUES ($1, 1, 1, '[{}]', '[]')", old)
	f(1, "a day no longer differs", "INSERT INTO reconciliation (day, at, events, charged_micros, differences, losses) VALUES ($1, '2020-01-01', 1, 1, '[{}]', '[]')", old)
	f(0, "an hour is not in the lake", "DELETE FROM lake_part WHERE hour = date_trunc('hour', $1::timestamptz, 'UTC') - interval '13 hours'", old)
	f(0, "a part is not written", "UPDATE lake_part SET written_at = NULL WHERE hour = date_trunc('hour', $1::timestamptz, 'UTC')", old)
	f(0, "the lake has less", "UPDATE lake_part SET through_batch = 4 WHERE hour = date_trunc('hour', $1::timestamptz, 'UTC')", old)
	f(1, "there is no lake", "DELETE FROM lake_part")
	f(1, "empty", "UPDATE segment SET first_at = NULL, last_at = NULL")
}

func TestRemoveRuns(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	exec(t, db, `INSERT INTO job_run (job, started_at, ended_at, outcome)
		SELECT 'publish', $1::timestamptz - make_interval(secs => 15 * n), $1, CASE WHEN n < 3000 THEN 'failed' ELSE 'ok' END FROM generate_series(0, 6000) n`, today)
	exec(t, db, "INSERT INTO job_run (job, started_at, ended_at, outcome) VALUES ('lake', $1, $1, 'failed')", today.AddDate(-1, 0, 0))
	for n := int64(5000); n >= 5000; {
		n = must[int64](t)(db.RemoveRuns(t.Context(), today.AddDate(0, 0, -30), 1000, 5000))
	}
	got := texts(t, db, "SELECT job || ' ' || outcome || ' ' || count(*) FROM job_run GROUP BY job, outcome ORDER BY 1")
	if d := cmp.Diff([]string{"lake failed 1", "publish failed 1000", "publish ok 1"}, got); d != "" {
		t.Errorf("kept:\n%s", d)
	}
}

func TestRemoveByAge(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	exec(t, db, `INSERT INTO report_reason (hour, line_item_id, reason) SELECT $1::timestamptz + make_interval(hours => n), 1, 'paced' FROM generate_series(-5, 4) n`, today)
	for _, table := range []string{"report_day", "report_audience_day", "report_supply_day"} {
		columns, values := "day, line_item_id, creative_id, placement_id", "1, 1, 1"
		switch table {
		case "report_audience_day":
			columns, values = "day, line_item_id, country, device", "1, 'JP', 'mobile'"
		case "report_supply_day":
			columns, values = "day, placement_id, no_fill", "1, ''"
		}
		exec(t, db, fmt.Sprintf("INSERT INTO %s (%s) SELECT $1::date + n, %s FROM generate_series(-5, 4) n", table, columns, values), today)
	}
	exec(t, db, `INSERT INTO conversion (advertiser_id, order_id, line_item_id, creative_id, placement_id, post_view, value_micros, decided_at, touched_at, converted_at, batch)
		SELECT 1, n::text, 1, 1, 1, false, 1, $1, $1, $1::timestamptz + make_interval(hours => n), 1 FROM generate_series(-5, 4) n`, today)
	f := func(table string, want []int64, left string, remove func() (int64, error)) {
		t.Helper()
		for _, want := range want {
			if n := must[int64](t)(remove()); n != want {
				t.Errorf("%s: removed %d, want %d", table, n, want)
			}
		}
		if got := texts(t, db, "SELECT count(*)::text FROM "+table); got[0] != left {
			t.Errorf("%s: left are %s, want %s", table, got, left)
		}
	}
	ctx, day := t.Context(), today.Truncate(24*time.Hour)
	f("report_reason", []int64{3, 2, 0}, "5", func() (int64, error) { return db.RemoveReasons(ctx, today, 3) })
	f("report_supply_day", []int64{9, 6, 0}, "5", func() (int64, error) { return db.RemoveReportDays(ctx, day, 3) })
	f("conversion", []int64{3, 2, 0}, "5", func() (int64, error) { return db.RemoveConversions(ctx, today, 3) })
}
