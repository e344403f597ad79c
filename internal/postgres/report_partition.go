package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Bounds of the hours that reports are kept by. A click counts for at most 90
// days and its conversion for a few more; nothing is decided in the future, but
// for what a process's clock is ahead.
const (
	oldestHour = 120 * 24 * time.Hour
	newestHour = 2 * 24 * time.Hour
)

// ErrHour reports an hour that no event can be of: its partition would be made for
// nobody and never go away again.
var ErrHour = errors.New("no report has this hour")

// reportTables are the tables in monthly partitions.
var reportTables = []string{"report_hour", "report_audience_hour", "report_supply_hour"}

// EnsurePartitions makes the partitions that these hours (Unix seconds) need. It
// is called before [Settler.InTx]: within, it would lock the reports for as long
// as the batch takes. Months that it has seen are not asked for again. It fails
// with [ErrHour], and makes none, when an hour lies more than 120 days back or two
// days ahead: whoever dates events gives such ones a sane hour first.
func (s *Settler) EnsurePartitions(ctx context.Context, hours []int64) error {
	wanted := map[time.Time]time.Time{} // month to one of its hours
	for _, hour := range hours {
		at := time.Unix(hour, 0).UTC()
		if month := monthOf(at); !s.months[month] {
			wanted[month] = at
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	err := pgx.BeginFunc(ctx, s.conn, func(tx pgx.Tx) error {
		now, err := one(ctx, tx, pgx.RowTo[time.Time], "SELECT bank_now()")
		if err != nil {
			return fmt.Errorf("bank time: %w", err)
		}
		for _, hour := range hours {
			if at := time.Unix(hour, 0).UTC(); !s.months[monthOf(at)] && !SaneHour(at, now) {
				return fmt.Errorf("%w: %s, it is %s", ErrHour, at.Format(time.RFC3339), now.UTC().Format(time.RFC3339))
			}
		}
		for month := range wanted {
			if err := makePartitions(ctx, tx, month); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("make partitions: %w", err)
	}
	if s.months == nil {
		s.months = map[time.Time]bool{}
	}
	for month := range wanted {
		s.months[month] = true
	}
	return nil
}

// SaneHour tells whether events of this hour can exist at now.
func SaneHour(hour, now time.Time) bool {
	return !hour.Before(now.Add(-oldestHour)) && !hour.After(now.Add(newestHour))
}

// MakeReportMonth makes the partitions of the month that at lies in, whichever it
// is: for demo data and tests.
func (db *DB) MakeReportMonth(ctx context.Context, at time.Time) error {
	return InTx(ctx, db.Pool, func(tx pgx.Tx) error { return makePartitions(ctx, tx, at) })
}

// makePartitions takes a lock first, since two at once would both find the table
// missing.
func makePartitions(ctx context.Context, tx pgx.Tx, at time.Time) error {
	if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", partitionLock); err != nil {
		return fmt.Errorf("lock partitions: %w", err)
	}
	for _, table := range reportTables {
		if _, err := tx.Exec(ctx, "SELECT make_partition($1, $2)", table, at); err != nil {
			return fmt.Errorf("partition of %s: %w", table, err)
		}
	}
	return nil
}

// partitionLock is the advisory lock of those who make or drop partitions.
const partitionLock = 20_100_002

func monthOf(at time.Time) time.Time {
	at = at.UTC()
	return time.Date(at.Year(), at.Month(), 1, 0, 0, 0, 0, time.UTC)
}

// dropAfter is the age at which a month's last hour can get no event any more, nor
// any hour of a day, in whichever time zone, that begins in the month.
const dropAfter = oldestHour + 48*time.Hour

// dropPatience is for how long readers of the reports may hold up a drop, and with
// it everybody who comes after.
const dropPatience = "2s"

// DropReportPartitions drops the months of the hourly reports that end at or
// before the given moment, with what is noted of their hours, and returns the
// tables that are gone. The daily reports stay. It leaves a month that can still
// get an event, being less than 122 days over, whose hours are not all settled, or
// whose days lack something. One that is being read it leaves too, with an error.
func (db *DB) DropReportPartitions(ctx context.Context, before time.Time) (dropped []string, err error) {
	months, err := many(ctx, db.Pool, pgx.RowTo[time.Time], `
		SELECT m.month FROM (
			SELECT DISTINCT to_date(right(c.relname, 7), 'YYYY_MM')::timestamp AT TIME ZONE 'UTC' AS month
			FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
			WHERE i.inhparent = ANY($1::text[]::regclass[])) AS m
		CROSS JOIN LATERAL (SELECT (m.month AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC' AS ends) AS e
		WHERE e.ends <= LEAST($2, bank_now() - make_interval(secs => $3), (SELECT watermark FROM settlement))
			AND NOT EXISTS (SELECT FROM report_status AS s
				WHERE s.hour >= m.month AND s.hour < e.ends AND (s.rolled_at IS NULL OR s.rolled_at < s.changed_at))
		ORDER BY 1`, reportTables, before, dropAfter.Seconds())
	if err != nil {
		return nil, fmt.Errorf("list partitions: %w", err)
	}
	for _, month := range months {
		names, err := db.dropMonth(ctx, month.UTC())
		if err != nil {
			return dropped, fmt.Errorf("drop reports of %s: %w", month.UTC().Format("2006-01"), err)
		}
		dropped = append(dropped, names...)
	}
	return dropped, nil
}

func (db *DB) dropMonth(ctx context.Context, month time.Time) (names []string, err error) {
	err = InTx(ctx, db.Pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SET LOCAL lock_timeout = '"+dropPatience+"'"); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", partitionLock); err != nil {
			return err
		}
		for _, table := range reportTables {
			name := table + month.Format("_2006_01")
			if _, err := tx.Exec(ctx, "DROP TABLE IF EXISTS "+pgx.Identifier{name}.Sanitize()); err != nil {
				return err
			}
			names = append(names, name)
		}
		for _, table := range []string{"report_status", "report_reason"} {
			if _, err := tx.Exec(ctx, "DELETE FROM "+table+" WHERE hour >= $1 AND hour < $2", month, month.AddDate(0, 1, 0)); err != nil {
				return err
			}
		}
		return nil
	})
	return names, err
}
