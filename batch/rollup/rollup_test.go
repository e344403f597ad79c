package rollup

import (
	"strings"
	"testing"
	"time"

	"github.com/hayate-ads/hayate/internal/postgres"
	"github.com/hayate-ads/hayate/internal/postgres/postgrestest"
)

func TestRun(t *testing.T) {
	t.Parallel()
	db := &postgres.DB{Pool: postgrestest.New(t)}
	noon := time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC)
	exec := func(sql string, args ...any) {
		t.Helper()
		if _, err := db.Pool.Exec(t.Context(), sql, args...); err != nil {
			t.Fatal(err)
		}
	}
	deliver := func(hour time.Time) {
		t.Helper()
		if err := db.MakeReportMonth(t.Context(), hour); err != nil {
			t.Fatal(err)
		}
		exec("INSERT INTO report_supply_hour (hour, placement_id, no_fill, decisions) VALUES ($1, 1, '', 5)", hour)
		exec("INSERT INTO report_status (hour) VALUES ($1)", hour)
	}
	roller := &Roller{DB: db}
	run := func(wantMessage string, wantDecisions int64) {
		t.Helper()
		result, err := roller.Run(t.Context())
		if err != nil || !strings.Contains(result.Message, wantMessage) || result.Lag != 0 {
			t.Errorf("%+v, %v; want %q", result, err, wantMessage)
		}
		var decisions int64
		if err := db.Pool.QueryRow(t.Context(), "SELECT COALESCE(sum(decisions), 0) FROM report_supply_day").Scan(&decisions); err != nil || decisions != wantDecisions {
			t.Errorf("%d decisions in days, %v; want %d", decisions, err, wantDecisions)
		}
	}
	run("0 changed hours of 0 days", 0)
	deliver(noon)
	deliver(noon.Add(time.Hour))
	deliver(noon.AddDate(0, 0, 20))
	run("3 changed hours of 2 days", 15)
	run("0 changed hours of 0 days", 15)
	exec("UPDATE report_supply_hour SET decisions = 6 WHERE hour = $1", noon)
	exec("UPDATE report_status SET changed_at = bank_now() + interval '1 s' WHERE hour = $1", noon)
	run("1 changed hours of 1 days", 16)

	exec("ALTER TABLE report_supply_day ADD CHECK (decisions < 12)")
	exec("UPDATE report_supply_hour SET decisions = 8 WHERE hour = $1", noon)
	exec("UPDATE report_status SET changed_at = bank_now() - interval '1 h', rolled_at = NULL WHERE hour = $1", noon)
	if result, err := roller.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "2026-06-15") || result.Lag < 59*time.Minute {
		t.Errorf("%+v, %v; want an error that names the day, and the lag", result, err)
	}
}
