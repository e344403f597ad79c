package postgres

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// ReportDay is a UTC day with hours that the daily reports do not have as they are now.
type ReportDay struct {
	Day   time.Time // its first instant
	Since time.Time // when the first of its hours changed
	Hours int
}

// ChangedDays lists the days whose hours have changed since they were rolled up,
// oldest first.
func (db *DB) ChangedDays(ctx context.Context) ([]ReportDay, error) {
	days, err := many(ctx, db.Pool, pgx.RowToStructByPos[ReportDay], `
		SELECT date_trunc('day', hour, 'UTC'), min(changed_at), count(*)
		FROM report_status WHERE rolled_at IS NULL OR rolled_at < changed_at
		GROUP BY 1 ORDER BY 1`)
	if err != nil {
		return nil, fmt.Errorf("list changed days: %w", err)
	}
	return days, nil
}

// RollUp makes the daily reports anew for whatever the changed hours of a UTC day
// belong to: for each line item the days of its advertiser's time zone that those
// hours begin in, for placements the UTC day itself. Whole days are made from all
// their hours, so that to run it again, from any point, changes nothing.
func (db *DB) RollUp(ctx context.Context, day time.Time) error {
	return retryDeadlock(func() error {
		return InTx(ctx, db.Pool, func(tx pgx.Tx) error { return rollUp(ctx, tx, day) })
	})
}

// rollUp reads the hours' changed_at before their rows: what comes in between is
// in the days already, and merely rolled up once more.
func rollUp(ctx context.Context, tx pgx.Tx, day time.Time) error {
	// Two at once would both delete and then both insert.
	if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", rollupLock); err != nil {
		return fmt.Errorf("lock the daily reports: %w", err)
	}
	if _, err := tx.Exec(ctx, `
		CREATE TEMPORARY TABLE changed_hour ON COMMIT DROP AS
		SELECT hour, changed_at FROM report_status
		WHERE hour >= $1 AND hour < $2 AND (rolled_at IS NULL OR rolled_at < changed_at)`,
		day, day.Add(24*time.Hour)); err != nil {
		return fmt.Errorf("read changed hours: %w", err)
	}
	if _, err := tx.Exec(ctx, `
		CREATE TEMPORARY TABLE touched_day (report text, owner bigint, day date) ON COMMIT DROP`); err != nil {
		return fmt.Errorf("collect days: %w", err)
	}
	for _, r := range rollups {
		for _, statement := range r.statements() {
			if _, err := tx.Exec(ctx, statement, day); err != nil {
				return fmt.Errorf("roll up %s: %w", r.days, err)
			}
		}
	}
	// In the order in which settle locks them.
	if _, err := tx.Exec(ctx, `SELECT FROM report_status WHERE hour IN (SELECT hour FROM changed_hour) ORDER BY hour FOR UPDATE`); err != nil {
		return fmt.Errorf("lock rolled-up hours: %w", err)
	}
	if _, err := tx.Exec(ctx, `
		UPDATE report_status AS s SET rolled_at = c.changed_at FROM changed_hour AS c WHERE c.hour = s.hour`); err != nil {
		return fmt.Errorf("note rolled-up hours: %w", err)
	}
	return nil
}

// rollupLock is the advisory lock of whoever writes the daily reports.
const rollupLock = 20_100_003

// Columns of the reports beside time and line item or placement: those that name
// a row, and those that add up.
const (
	demandKeys = "creative_id, placement_id, exchange_id"
	demandSums = `impressions, viewables, clicks, wins, conversions, view_conversions, conversion_value_micros,
		video_starts, video_first_quartiles, video_midpoints, video_third_quartiles, video_completes,
		spend_micros, overage_micros, revenue_micros, late_impressions, invalid,
		credited_impressions, credited_micros, credited_revenue_micros`
	audienceKeys = "country, device, invalid"
	audienceSums = "impressions, viewables, clicks, conversions, spend_micros"
	supplyKeys   = "exchange_id, no_fill"
	supplySums   = `decisions, impressions, viewables, clicks, wins, late_impressions, invalid,
		revenue_micros, credited_revenue_micros`
)

// rollup is how one report's days are made from its hours.
type rollup struct {
	hours, days string
	owner       string // whose days they are: a column
	keys, sums  string // the other columns
	joins, day  string // FROM items beside hours AS h, and the day of a row
}

// A line item that nobody knows has UTC days.
const (
	demandZone = `
		LEFT JOIN line_item AS l ON l.id = h.line_item_id
		LEFT JOIN campaign AS c ON c.id = l.campaign_id
		LEFT JOIN advertiser AS a ON a.id = c.advertiser_id`
	demandDay = "(h.hour AT TIME ZONE COALESCE(a.time_zone, 'UTC'))::date"
	supplyDay = "(h.hour AT TIME ZONE 'UTC')::date"
)

var rollups = []rollup{
	{"report_hour", "report_day", "line_item_id", demandKeys, demandSums, demandZone, demandDay},
	{"report_audience_hour", "report_audience_day", "line_item_id", audienceKeys, audienceSums, demandZone, demandDay},
	{"report_supply_hour", "report_supply_day", "placement_id", supplyKeys, supplySums, "", supplyDay},
}

// statements replace the days that have rows in the changed hours. Each takes the
// first instant of the UTC day: the days of all time zones that it has hours of
// lie within a day and a half of it.
func (r rollup) statements() []string {
	source := r.hours + " AS h" + r.joins + " WHERE h.hour >= $1::timestamptz - interval '36 hours' AND h.hour < $1::timestamptz + interval '60 hours'"
	return []string{`
		INSERT INTO touched_day (report, owner, day)
		SELECT DISTINCT '` + r.days + `', h.` + r.owner + `, ` + r.day + ` FROM ` + source + `
			AND h.hour IN (SELECT hour FROM changed_hour)`,
		`DELETE FROM ` + r.days + ` AS d USING touched_day AS t
		WHERE t.report = '` + r.days + `' AND d.` + r.owner + ` = t.owner AND d.day = t.day AND $1::timestamptz IS NOT NULL`,
		`INSERT INTO ` + r.days + ` (` + r.owner + `, day, ` + r.keys + `, ` + r.sums + `)
		SELECT h.` + r.owner + `, ` + r.day + `, ` + r.keys + `, ` + summed(r.sums) + ` FROM ` + source + `
			AND (h.` + r.owner + `, ` + r.day + `) IN (SELECT owner, day FROM touched_day WHERE report = '` + r.days + `')
		GROUP BY h.` + r.owner + `, ` + r.day + `, ` + r.keys,
	}
}

// summed is the list of columns, each of them summed up.
func summed(columns string) string {
	var list []string
	for column := range strings.SplitSeq(columns, ",") {
		list = append(list, sumOf(strings.TrimSpace(column)))
	}
	return strings.Join(list, ", ")
}

// sumOf sums a column up. Conversions' values are what advertisers state: many
// cells full of them shall not make a sum that no column holds.
func sumOf(column string) string {
	sum := "sum(h." + column + ")"
	if column == "conversion_value_micros" {
		sum = fmt.Sprintf("LEAST(%s, %d)", sum, MaxCellValue)
	}
	return sum
}
