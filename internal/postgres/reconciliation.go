package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/oklog/ulid/v2"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/money"
)

// A Difference is one figure of the books that is not what the event log says.
type Difference struct {
	Book string `json:"book"` // the table
	Key  string `json:"key"`  // the row
	What string `json:"what"` // the column, or what is wrong
	Want int64  `json:"want"` // by the log
	Got  int64  `json:"got"`  // by the book
}

func (d Difference) String() string {
	return fmt.Sprintf("%s, %s: %s is %d, the log says %d", d.Book, d.Key, d.What, d.Got, d.Want)
}

// A Loss is a segment whose records cannot be read any more: an operator skipped
// it, or it is past its retention. What it said is missing from both sides.
type Loss struct {
	Segment string `json:"segment"`
	Why     string `json:"why"`
}

// Reconciliation is what comparing one day came to.
type Reconciliation struct {
	Day         time.Time // UTC
	At          time.Time // set by the database
	Events      int64     // of the day, recomputed from the log
	Charged     money.Micros
	Differences []Difference // the first thousands
	Losses      []Loss
}

// SaveReconciliation keeps what was found.
func (db *DB) SaveReconciliation(ctx context.Context, r Reconciliation) error {
	differences, err := json.Marshal(append([]Difference{}, r.Differences...))
	if err != nil {
		return fmt.Errorf("reconciliation: %w", err)
	}
	losses, err := json.Marshal(append([]Loss{}, r.Losses...))
	if err != nil {
		return fmt.Errorf("reconciliation: %w", err)
	}
	_, err = db.Pool.Exec(ctx, `
		INSERT INTO reconciliation (day, events, charged_micros, differences, losses) VALUES ($1, $2, $3, $4, $5)`,
		r.Day, r.Events, r.Charged, differences, losses)
	if err != nil {
		return fmt.Errorf("keep the reconciliation of %s: %w", r.Day.Format(time.DateOnly), err)
	}
	return nil
}

// Reconciliations returns the newest ones, newest first.
func (db *DB) Reconciliations(ctx context.Context, limit int) ([]Reconciliation, error) {
	found, err := many(ctx, db.Pool, scanReconciliation, `
		SELECT day, at, events, charged_micros, differences, losses FROM reconciliation ORDER BY id DESC LIMIT $1`, limit)
	if err != nil {
		return nil, fmt.Errorf("list reconciliations: %w", err)
	}
	return found, nil
}

func scanReconciliation(row pgx.CollectableRow) (r Reconciliation, err error) {
	var differences, losses []byte
	if err = row.Scan(&r.Day, &r.At, &r.Events, &r.Charged, &differences, &losses); err != nil {
		return r, err
	}
	r.At = r.At.UTC()
	if err = json.Unmarshal(differences, &r.Differences); err == nil {
		err = json.Unmarshal(losses, &r.Losses)
	}
	return r, err
}

// DaysToReconcile lists the UTC days before today that have events and were never
// compared, or whose hours were restated since they were; oldest first. Days
// before from are left alone.
func (q Queries) DaysToReconcile(ctx context.Context, from time.Time) ([]time.Time, error) {
	days, err := many(ctx, q.q, pgx.RowTo[time.Time], `
		SELECT d.day FROM (
			SELECT (hour AT TIME ZONE 'UTC')::date AS day, max(restated_at) AS restated_at
			FROM report_status WHERE hour >= $1 GROUP BY 1) d
		LEFT JOIN (SELECT day, max(at) AS at FROM reconciliation GROUP BY day) r USING (day)
		WHERE d.day < (bank_now() AT TIME ZONE 'UTC')::date AND (r.at IS NULL OR d.restated_at > r.at)
		ORDER BY d.day`, from)
	if err != nil {
		return nil, fmt.Errorf("list days to reconcile: %w", err)
	}
	return days, nil
}

// AudienceRow names a row of the second cube as it is stored.
type AudienceRow struct {
	Hour                     int64
	LineItem                 ad.ID
	Country, Device, Invalid string
}

// The columns that are compared, in the order in which [Books] has them.
var (
	CellColumns = []string{"impressions", "viewables", "clicks", "wins", "conversions", "view_conversions",
		"conversion_value_micros", "video_starts", "video_first_quartiles", "video_midpoints", "video_third_quartiles",
		"video_completes", "spend_micros", "overage_micros", "revenue_micros", "late_impressions", "invalid"}
	AudienceColumns = []string{"impressions", "viewables", "clicks", "conversions", "spend_micros"}
	SupplyColumns   = []string{"decisions", "impressions", "viewables", "clicks", "wins", "late_impressions", "invalid", "revenue_micros"}
	LedgerColumns   = []string{"charged_micros", "charged_impressions", "overage_micros", "overage_impressions", "late_impressions"}
)

// BookedConversion is a row of the table conversion.
type BookedConversion struct {
	LineItem    ad.ID
	ConvertedAt time.Time
	Value       money.Micros
}

// Owner is whose a line item is, and by what clock its days are cut.
type Owner struct {
	Advertiser ad.ID
	TimeZone   string
}

// Books are what the tables say of one UTC day, at one moment.
type Books struct {
	Cells       map[CellKey][]int64
	Audience    map[AudienceRow][]int64
	Supply      map[SupplyKey][]int64
	Ledger      map[ad.ID][]int64    // of the advertisers' days of this date, credits left out
	Leases      map[ulid.ULID]*Lease // of the same days, as far as they are not folded
	Conversions map[ConversionKey]BookedConversion
	Lake        []LakePart      // written parts of the day's hours of log time
	Days        []DayBook       // none while the job rollup has to catch up
	Owners      map[ad.ID]Owner // of all line items
	Amiss       []Difference    // where tables disagree with each other
}

// Books reads them. It is called within [DB.Frozen].
func (q Queries) Books(ctx context.Context, day time.Time) (*Books, error) {
	b := &Books{
		Cells: map[CellKey][]int64{}, Audience: map[AudienceRow][]int64{}, Supply: map[SupplyKey][]int64{},
		Ledger: map[ad.ID][]int64{}, Leases: map[ulid.ULID]*Lease{}, Conversions: map[ConversionKey]BookedConversion{},
		Owners: map[ad.ID]Owner{},
	}
	for _, read := range []func(context.Context, *Books, time.Time) error{
		q.bookCells, q.bookAudience, q.bookSupply, q.bookLedger, q.bookLeases, q.bookConversions, q.bookLake, q.bookDays, q.bookOwners, q.bookAmiss,
	} {
		if err := read(ctx, b, day); err != nil {
			return nil, fmt.Errorf("read the books of %s: %w", day.Format(time.DateOnly), err)
		}
	}
	return b, nil
}

// figures is a destination for n columns, and a copy of what it got.
func figures(n int) (values []int64, into []any) {
	values, into = make([]int64, n), make([]any, n)
	for i := range values {
		into[i] = &values[i]
	}
	return values, into
}

func clone(values []int64) []int64 { return append([]int64(nil), values...) }

func (q Queries) bookCells(ctx context.Context, b *Books, day time.Time) error {
	var hour time.Time
	var key CellKey
	values, into := figures(len(CellColumns))
	return q.each(ctx, append([]any{&hour, &key.LineItem, &key.Creative, &key.Placement, &key.Exchange}, into...), func() {
		key.Hour = hour.Unix()
		b.Cells[key] = clone(values)
	}, `SELECT hour, line_item_id, creative_id, placement_id, exchange_id, `+columns(CellColumns)+`
		FROM report_hour WHERE hour >= $1 AND hour < $2`, day, day.AddDate(0, 0, 1))
}

func (q Queries) bookAudience(ctx context.Context, b *Books, day time.Time) error {
	var hour time.Time
	var key AudienceRow
	values, into := figures(len(AudienceColumns))
	return q.each(ctx, append([]any{&hour, &key.LineItem, &key.Country, &key.Device, &key.Invalid}, into...), func() {
		key.Hour = hour.Unix()
		b.Audience[key] = clone(values)
	}, `SELECT hour, line_item_id, country, device, invalid, `+columns(AudienceColumns)+`
		FROM report_audience_hour WHERE hour >= $1 AND hour < $2`, day, day.AddDate(0, 0, 1))
}

func (q Queries) bookSupply(ctx context.Context, b *Books, day time.Time) error {
	var hour time.Time
	var key SupplyKey
	values, into := figures(len(SupplyColumns))
	return q.each(ctx, append([]any{&hour, &key.Placement, &key.Exchange, &key.NoFill}, into...), func() {
		key.Hour = hour.Unix()
		b.Supply[key] = clone(values)
	}, `SELECT hour, placement_id, exchange_id, no_fill, `+columns(SupplyColumns)+`
		FROM report_supply_hour WHERE hour >= $1 AND hour < $2`, day, day.AddDate(0, 0, 1))
}

func (q Queries) bookLedger(ctx context.Context, b *Books, day time.Time) error {
	var lineItem ad.ID
	values, into := figures(len(LedgerColumns))
	return q.each(ctx, append([]any{&lineItem}, into...), func() { b.Ledger[lineItem] = clone(values) }, `
		SELECT line_item_id, sum(charged_micros)::bigint, sum(charged_impressions)::bigint,
			sum(overage_micros)::bigint, sum(overage_impressions)::bigint, sum(late_impressions)::bigint
		FROM ledger WHERE day = $1 AND correction_id IS NULL GROUP BY line_item_id`, day)
}

func (q Queries) bookLeases(ctx context.Context, b *Books, day time.Time) error {
	leases, err := many(ctx, q.q, scanLease, "SELECT "+leaseColumns+" FROM lease e WHERE e.day = $1", day)
	for _, l := range leases {
		b.Leases[l.ID] = l
	}
	return err
}

func (q Queries) bookConversions(ctx context.Context, b *Books, day time.Time) error {
	var name ConversionKey
	var c BookedConversion
	return q.each(ctx, []any{&name.Advertiser, &name.Order, &c.LineItem, &c.ConvertedAt, &c.Value}, func() {
		booked := c
		booked.ConvertedAt = c.ConvertedAt.UTC()
		b.Conversions[name] = booked
	}, `SELECT advertiser_id, order_id, line_item_id, converted_at, value_micros
		FROM conversion WHERE converted_at >= $1 AND converted_at < $2`, day, day.AddDate(0, 0, 1))
}

// LastConversion is when the last conversion came that counts for a decision of
// the day; zero when there is none.
func (q Queries) LastConversion(ctx context.Context, day time.Time) (time.Time, error) {
	at, err := one(ctx, q.q, pgx.RowTo[*time.Time], `
		SELECT max(converted_at) FROM conversion WHERE decided_at >= $1 AND decided_at < $2`, day, day.AddDate(0, 0, 1))
	if err != nil {
		return time.Time{}, fmt.Errorf("find the day's last conversion: %w", err)
	}
	return timeOrZero(at), nil
}

func (q Queries) bookLake(ctx context.Context, b *Books, day time.Time) (err error) {
	b.Lake, err = many(ctx, q.q, scanLakePart, `
		SELECT hour, part, after_batch, through_batch FROM lake_part
		WHERE hour >= $1 AND hour < $2 AND written_at IS NOT NULL ORDER BY hour, part`, day, day.AddDate(0, 0, 1))
	return err
}

// bookOwners reads those of all line items: which of them the log names is not
// known yet, and a row is small.
func (q Queries) bookOwners(ctx context.Context, b *Books, _ time.Time) error {
	var lineItem ad.ID
	var owner Owner
	return q.each(ctx, []any{&lineItem, &owner.Advertiser, &owner.TimeZone}, func() { b.Owners[lineItem] = owner }, `
		SELECT l.id, a.id, a.time_zone FROM line_item l
		JOIN campaign c ON c.id = l.campaign_id JOIN advertiser a ON a.id = c.advertiser_id`)
}

// SettledBatches returns the first and the last batch that settled a segment with
// a record logged at or after from and before to; 0 and 0: none did.
func (q Queries) SettledBatches(ctx context.Context, from, to time.Time) (first, last int64, err error) {
	err = q.q.QueryRow(ctx, `
		SELECT COALESCE(min(batch), 0), COALESCE(max(batch), 0) FROM segment WHERE last_at >= $1 AND first_at < $2`, from, to).Scan(&first, &last)
	if err != nil {
		return 0, 0, fmt.Errorf("find the batches of a time: %w", err)
	}
	return first, last, nil
}

// SkippedSegments returns segments that an operator went on without in a time:
// nobody knows when they were logged.
func (q Queries) SkippedSegments(ctx context.Context, from, to time.Time) ([]SettledSegment, error) {
	found, err := many(ctx, q.q, scanSettledSegment, `
		SELECT process_id, seq, sha256, records, first_at, last_at, batch, outcomes, skipped
		FROM segment WHERE skipped <> '' AND applied_at >= $1 AND applied_at < $2 ORDER BY process_id, seq`, from, to)
	if err != nil {
		return nil, fmt.Errorf("list skipped segments: %w", err)
	}
	return found, nil
}

// bookAmiss compares what the tables can say of each other without the log:
// accounts with the ledger and with leases, credits with both.
func (q Queries) bookAmiss(ctx context.Context, b *Books, day time.Time) error {
	var d Difference
	return q.each(ctx, []any{&d.Book, &d.Key, &d.What, &d.Want, &d.Got}, func() { b.Amiss = append(b.Amiss, d) }, `
		WITH touched AS (
			SELECT line_item_id AS id FROM ledger WHERE day = $1
			UNION SELECT owner_id FROM account WHERE level = 'line_item' AND day = $1
		), booked AS (
			SELECT line_item_id AS id, sum(charged_micros)::bigint AS life,
				COALESCE(sum(charged_micros) FILTER (WHERE day = $1), 0)::bigint AS today
			FROM ledger WHERE line_item_id IN (SELECT id FROM touched) GROUP BY line_item_id
		), held AS (
			SELECT line_item_id AS id, day, sum(granted_micros - settled_micros - returned_micros)::bigint AS micros
			FROM lease WHERE state <> 'final' GROUP BY line_item_id, day
		)
		SELECT 'account', 'line item ' || a.owner_id || COALESCE(', day ' || a.day, ', lifetime'), 'settled_micros',
			COALESCE(CASE WHEN a.day IS NULL THEN b.life ELSE b.today END, 0), a.settled_micros
		FROM account a JOIN touched t ON t.id = a.owner_id LEFT JOIN booked b ON b.id = a.owner_id
		WHERE a.level = 'line_item' AND (a.day IS NULL OR a.day = $1)
			AND a.settled_micros <> COALESCE(CASE WHEN a.day IS NULL THEN b.life ELSE b.today END, 0)
		UNION ALL
		SELECT 'account', 'line item ' || b.id || ', lifetime', 'settled_micros', b.life, 0
		FROM booked b WHERE b.life <> 0
			AND NOT EXISTS (SELECT FROM account a WHERE a.level = 'line_item' AND a.owner_id = b.id AND a.day IS NULL)
		UNION ALL
		SELECT 'account', 'line item ' || a.owner_id || COALESCE(', day ' || a.day, ', lifetime'), 'leased_micros', h.micros, a.leased_micros
		FROM account a CROSS JOIN LATERAL (
			SELECT COALESCE(sum(h.micros), 0)::bigint AS micros FROM held h
			WHERE h.id = a.owner_id AND (a.day IS NULL OR h.day = a.day)) h
		WHERE a.level = 'line_item' AND (a.leased_micros <> 0 OR a.owner_id IN (SELECT id FROM held))
			AND a.leased_micros <> h.micros
		UNION ALL
		SELECT 'correction', 'correction ' || c.id, 'credited_micros', c.credited_micros, l.credited
		FROM correction c CROSS JOIN LATERAL (
			SELECT COALESCE(-sum(charged_micros), 0)::bigint AS credited FROM ledger WHERE correction_id = c.id) l
		WHERE c.from_hour < $1::date + interval '1 day' AND c.to_hour > $1::date AND c.credited_micros <> l.credited
		ORDER BY 1, 2, 3`, day)
}

func (q Queries) each(ctx context.Context, into []any, row func(), sql string, args ...any) error {
	rows, err := q.q.Query(ctx, sql, args...)
	if err != nil {
		return err
	}
	_, err = pgx.ForEachRow(rows, into, func() error { row(); return nil })
	return err
}

func columns(names []string) string {
	var s string
	for i, name := range names {
		if i > 0 {
			s += ", "
		}
		s += name
	}
	return s
}
