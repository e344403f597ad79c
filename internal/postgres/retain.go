package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/oklog/ulid/v2"
)

// What the job 'retain' removes. Every step is one transaction of at most so many
// rows, which may be killed and repeated at any point; its caller goes on until a
// step finds less. What money or a promise still rests on is named in the SQL, not
// by the caller's settings: those only say how much longer things are kept.

// TokenLife is how long after its decision a tracking URL is counted at the
// latest (delivery, lifetime), with an hour for clocks that differ.
const TokenLife = 25 * time.Hour

// FoldHorizon moves the moment before which leases may be folded, and returns it.
// It lies keep before now, and so early that every event that could name an
// earlier lease has been settled: TokenLife before the watermark and before where
// the streams stand that left it. A process that gave no sign for patience is not
// waited for any more: what it still brings of folded leases is not counted.
//
// The horizon is written before anything is removed, under the lock of settle's
// transactions: none that runs on was begun with an older one.
func (db *DB) FoldHorizon(ctx context.Context, keep, patience time.Duration) (time.Time, error) {
	horizon, err := one(ctx, db.Pool, pgx.RowTo[*time.Time], `
		UPDATE settlement SET folded = GREATEST(folded, LEAST(
			bank_now() - make_interval(secs => $1),
			watermark - make_interval(secs => $3),
			(SELECT min(COALESCE(applied_at, started_at)) - make_interval(secs => $3) FROM process
			 WHERE state <> 'ended' AND (state = 'lost' OR stalled <> '')
				AND heartbeat_at > bank_now() - make_interval(secs => $2))))
		WHERE watermark IS NOT NULL AND halted = ''
		RETURNING NULLIF(folded, '-infinity')`, keep.Seconds(), patience.Seconds(), TokenLife.Seconds())
	if errors.Is(err, ErrNotFound) {
		return time.Time{}, nil // nothing was ever settled, or the books are to be made anew first
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("move the horizon of leases: %w", err)
	}
	return timeOrZero(horizon), nil
}

// FoldLeases turns up to limit final leases, minted and last used before horizon,
// into sums by line item and day, and removes their de-duplication bits. It
// returns how many.
func (db *DB) FoldLeases(ctx context.Context, horizon time.Time, limit int) (int, error) {
	if horizon.IsZero() {
		return 0, nil
	}
	var first ulid.ULID
	if err := first.SetTime(ulid.Timestamp(horizon)); err != nil {
		return 0, fmt.Errorf("fold leases before %s: %w", horizon, err)
	}
	n, err := one(ctx, db.Pool, pgx.RowTo[int], `
		WITH gone AS (
			DELETE FROM lease WHERE id IN (
				SELECT id FROM lease
				WHERE id < $1 AND state = 'final' AND GREATEST(deadline, closed_at) < $2
				ORDER BY id LIMIT $3 FOR UPDATE SKIP LOCKED)
			RETURNING id, line_item_id, day, granted_micros, granted_impressions, reserved_micros, reserved_impressions,
				settled_micros, settled_impressions, returned_micros, returned_impressions
		), bits AS (
			DELETE FROM lease_bits b USING gone WHERE b.lease_id = gone.id
		), sums AS (
			INSERT INTO lease_day AS d (line_item_id, day, leases, granted_micros, granted_impressions,
				reserved_micros, reserved_impressions, settled_micros, settled_impressions, returned_micros, returned_impressions)
			SELECT line_item_id, day, count(*), sum(granted_micros), sum(granted_impressions),
				sum(reserved_micros), sum(reserved_impressions), sum(settled_micros), sum(settled_impressions),
				sum(returned_micros), sum(returned_impressions)
			FROM gone GROUP BY line_item_id, day ORDER BY line_item_id, day
			ON CONFLICT (line_item_id, day) DO UPDATE SET
				leases               = d.leases               + excluded.leases,
				granted_micros       = d.granted_micros       + excluded.granted_micros,
				granted_impressions  = d.granted_impressions  + excluded.granted_impressions,
				reserved_micros      = d.reserved_micros      + excluded.reserved_micros,
				reserved_impressions = d.reserved_impressions + excluded.reserved_impressions,
				settled_micros       = d.settled_micros       + excluded.settled_micros,
				settled_impressions  = d.settled_impressions  + excluded.settled_impressions,
				returned_micros      = d.returned_micros      + excluded.returned_micros,
				returned_impressions = d.returned_impressions + excluded.returned_impressions
		)
		SELECT count(*) FROM gone`, first, horizon, limit)
	if err != nil {
		return 0, fmt.Errorf("fold leases: %w", err)
	}
	return n, nil
}

// RemovableSegments returns up to limit segments, beyond after in the order of
// their keys, that nothing needs any more: settled, all that is in them logged and
// settled before this moment, their days reconciled without a difference, and
// their hours in the lake if there is one. Their days are those that anything was
// counted in, from the day before: events come up to a day after the decision that
// reports date them by; to the day after, as it begins earlier elsewhere. Segments that were skipped stay, and
// so does the whole of a stream that stands still: they are the only trace.
func (db *DB) RemovableSegments(ctx context.Context, before time.Time, after SegmentKey, limit int) ([]SegmentKey, error) {
	found, err := many(ctx, db.Pool, scanSegmentKey, `
		SELECT s.process_id, s.seq FROM segment s
		JOIN process p ON p.id = s.process_id
		WHERE (s.process_id, s.seq) > ($2, $3)
			AND s.applied_at < $1 AND COALESCE(s.last_at, s.applied_at) < $1
			AND s.skipped = '' AND p.stalled = '' AND s.seq <= p.applied_segment
			AND (SELECT halted = '' FROM settlement)
			AND (s.first_at IS NULL OR (NOT EXISTS (
				SELECT FROM generate_series((s.first_at AT TIME ZONE 'UTC')::date - 1, (s.last_at AT TIME ZONE 'UTC')::date + 1, interval '1 day') AS n (day)
				WHERE COALESCE((SELECT r.differences <> '[]' FROM reconciliation r
					WHERE r.day = n.day::date ORDER BY r.at DESC, r.id DESC LIMIT 1),
					EXISTS (SELECT FROM report_status h WHERE h.hour >= n.day::date::timestamp AT TIME ZONE 'UTC'
						AND h.hour < (n.day::date + 1)::timestamp AT TIME ZONE 'UTC')))
			AND (NOT EXISTS (SELECT FROM lake_part) OR NOT EXISTS (
				SELECT FROM generate_series(date_trunc('hour', s.first_at, 'UTC'), date_trunc('hour', s.last_at, 'UTC'), interval '1 hour') AS n (hour)
				WHERE NOT EXISTS (SELECT FROM lake_part l
					WHERE l.hour = n.hour AND l.after_batch < s.batch AND s.batch <= l.through_batch AND l.written_at IS NOT NULL)))))
		ORDER BY s.process_id, s.seq LIMIT $4`, before, after.Process, int64(after.Seq), limit)
	if err != nil {
		return nil, fmt.Errorf("find segments past their time: %w", err)
	}
	return found, nil
}

func scanSegmentKey(row pgx.CollectableRow) (k SegmentKey, err error) {
	err = row.Scan((*[16]byte)(&k.Process), &k.Seq)
	return k, err
}

// ForgetSegments removes the rows of segments whose objects are gone.
func (db *DB) ForgetSegments(ctx context.Context, keys []SegmentKey) (int64, error) {
	ids, seqs := make([]ulid.ULID, len(keys)), make([]int64, len(keys))
	for i, k := range keys {
		ids[i], seqs[i] = k.Process, int64(k.Seq)
	}
	return db.remove(ctx, "forget segments", `
		DELETE FROM segment s USING unnest($1::uuid[], $2::bigint[]) AS n (process_id, seq)
		WHERE s.process_id = n.process_id AND s.seq = n.seq AND s.skipped = ''`, ids, seqs)
}

// GoneProcesses returns up to limit processes, beyond after, that ended, or gave
// no sign, before this moment and have no segment and no lease any more. Their
// rows may go when the bucket holds none of their segments either: one that it
// still held would be settled again. So would one that a disk which was away ships
// a second time: rows stay until no report has the hours of such events any more.
func (db *DB) GoneProcesses(ctx context.Context, before time.Time, after ulid.ULID, limit int) ([]ulid.ULID, error) {
	found, err := many(ctx, db.Pool, scanULID, `
		SELECT id FROM process p
		WHERE id > $2 AND state <> 'running' AND stalled = '' AND GREATEST(heartbeat_at, ended_at) < LEAST($1, bank_now() - make_interval(secs => $4))
			AND NOT EXISTS (SELECT FROM segment s WHERE s.process_id = p.id)
			AND NOT EXISTS (SELECT FROM spool s WHERE s.process_id = p.id)
			AND NOT EXISTS (SELECT FROM lease e WHERE e.process_id = p.id AND e.state <> 'final')
		ORDER BY id LIMIT $3`, before, after, limit, dropAfter.Seconds())
	if err != nil {
		return nil, fmt.Errorf("find processes past their time: %w", err)
	}
	return found, nil
}

// ForgetProcesses removes processes' rows.
func (db *DB) ForgetProcesses(ctx context.Context, ids []ulid.ULID) (int64, error) {
	return db.remove(ctx, "forget processes", "DELETE FROM process WHERE id = ANY($1) AND state <> 'running'", ids)
}

// SettledSpool returns up to limit spooled segments, beyond after, that are
// settled: they may go when the bucket has them.
func (db *DB) SettledSpool(ctx context.Context, after SegmentKey, limit int) ([]SegmentKey, error) {
	found, err := many(ctx, db.Pool, scanSegmentKey, `
		SELECT o.process_id, o.seq FROM spool o JOIN segment s ON s.process_id = o.process_id AND s.seq = o.seq
		WHERE (o.process_id, o.seq) > ($1, $2) AND s.skipped = ''
		ORDER BY o.process_id, o.seq LIMIT $3`, after.Process, int64(after.Seq), limit)
	if err != nil {
		return nil, fmt.Errorf("find settled segments in the spool: %w", err)
	}
	return found, nil
}

// ForgetSpool removes spooled segments.
func (db *DB) ForgetSpool(ctx context.Context, keys []SegmentKey) (int64, error) {
	ids, seqs := make([]ulid.ULID, len(keys)), make([]int64, len(keys))
	for i, k := range keys {
		ids[i], seqs[i] = k.Process, int64(k.Seq)
	}
	return db.remove(ctx, "forget the spool", `
		DELETE FROM spool o USING unnest($1::uuid[], $2::bigint[]) AS n (process_id, seq)
		WHERE o.process_id = n.process_id AND o.seq = n.seq`, ids, seqs)
}

// RemoveReasons removes why line items did not serve.
func (db *DB) RemoveReasons(ctx context.Context, before time.Time, limit int) (int64, error) {
	return db.remove(ctx, "remove reasons", `
		DELETE FROM report_reason WHERE ctid = ANY(ARRAY(SELECT ctid FROM report_reason WHERE hour < $1 LIMIT $2))`, before, limit)
}

// RemoveReportDays removes days of all three daily reports.
func (db *DB) RemoveReportDays(ctx context.Context, before time.Time, limit int) (total int64, err error) {
	for _, table := range []string{"report_day", "report_audience_day", "report_supply_day"} {
		n, err := db.remove(ctx, "remove days of reports",
			"DELETE FROM "+table+" WHERE ctid = ANY(ARRAY(SELECT ctid FROM "+table+" WHERE day < $1 LIMIT $2))", before, limit)
		if total += n; err != nil {
			return total, err
		}
	}
	return total, nil
}

// RemoveConversions removes conversions counted before this moment.
func (db *DB) RemoveConversions(ctx context.Context, before time.Time, limit int) (int64, error) {
	return db.remove(ctx, "remove conversions", `
		DELETE FROM conversion WHERE ctid = ANY(ARRAY(SELECT ctid FROM conversion WHERE converted_at < $1 LIMIT $2))`, before, limit)
}

// RemoveRuns removes runs that began before this moment, and all but the newest
// most of each job. A job's last success always stays: its age is told by it.
func (db *DB) RemoveRuns(ctx context.Context, before time.Time, most, limit int) (int64, error) {
	return db.remove(ctx, "remove runs of jobs", `
		DELETE FROM job_run WHERE id = ANY(ARRAY(
			SELECT id FROM (
				SELECT id, job, started_at, row_number() OVER (PARTITION BY job ORDER BY started_at DESC, id DESC) AS age FROM job_run) r
			WHERE (r.started_at < $1 OR r.age > $2) AND r.age > 1
				AND id <> ALL(ARRAY(SELECT DISTINCT ON (job) id FROM job_run WHERE outcome = 'ok' ORDER BY job, started_at DESC, id DESC))
			LIMIT $3))`, before, most, limit)
}

// LakePartsBefore returns up to limit hours of the lake before this moment, never
// those that tell how far it is written.
func (db *DB) LakePartsBefore(ctx context.Context, before time.Time, limit int) ([]time.Time, error) {
	hours, err := many(ctx, db.Pool, pgx.RowTo[time.Time], `
		SELECT DISTINCT hour FROM lake_part
		WHERE hour < $1 AND hour < (SELECT max(hour) FROM lake_part)
			AND hour <> (SELECT hour FROM lake_part ORDER BY through_batch DESC, hour DESC LIMIT 1)
		ORDER BY hour LIMIT $2`, before, limit)
	if err != nil {
		return nil, fmt.Errorf("find hours of the lake past their time: %w", err)
	}
	return hours, nil
}

// ForgetLakeHours removes the rows of hours whose files are gone.
func (db *DB) ForgetLakeHours(ctx context.Context, hours []time.Time) (int64, error) {
	return db.remove(ctx, "forget hours of the lake", "DELETE FROM lake_part WHERE hour = ANY($1)", hours)
}

// ImagesInUse returns those of the hashes that a revision of a creative names.
func (db *DB) ImagesInUse(ctx context.Context, hashes []string) ([]string, error) {
	used, err := many(ctx, db.Pool, pgx.RowTo[string], `
		SELECT DISTINCT image_sha256 FROM creative_revision WHERE image_sha256 = ANY($1)`, hashes)
	if err != nil {
		return nil, fmt.Errorf("look for images in use: %w", err)
	}
	return used, nil
}

// Compared tells whether settle has compared this database with the event log since
// it was started or restored. What an older copy does not know of is nobody's only
// for as long as nobody goes back to the newer one.
func (db *DB) Compared(ctx context.Context) (compared, halted bool, err error) {
	if err := db.Pool.QueryRow(ctx, "SELECT "+isChecked+", halted <> '' FROM settlement").Scan(&compared, &halted); err != nil {
		return false, false, fmt.Errorf("was the database compared with the log: %w", err)
	}
	return compared, halted, nil
}

// BankNow is the clock by which things are old.
func (db *DB) BankNow(ctx context.Context) (time.Time, error) {
	now, err := one(ctx, db.Pool, pgx.RowTo[time.Time], "SELECT bank_now()")
	if err != nil {
		return time.Time{}, fmt.Errorf("ask for the time: %w", err)
	}
	return now.UTC(), nil
}

func (db *DB) remove(ctx context.Context, what, sql string, args ...any) (int64, error) {
	tag, err := db.Pool.Exec(ctx, sql, args...)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", what, err)
	}
	return tag.RowsAffected(), nil
}
