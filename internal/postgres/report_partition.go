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
