package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/oklog/ulid/v2"

	"github.com/hayate-ads/hayate/internal/ad"
)

// LakePart is one part of an hour in the lake: what batches after AfterBatch and
// up to ThroughBatch say of that hour of log time. Its row is written before its
// file, so that whoever writes the file again, after a crash, writes the same.
type LakePart struct {
	Hour         time.Time
	Part         int // from 0
	AfterBatch   int64
	ThroughBatch int64
}

// LakePlan is what [DB.PlanLake] found.
type LakePlan struct {
	Now      time.Time    // bank time
	Complete time.Time    // every hour that ends by then is planned or written; zero: nothing was ever settled
	Parts    []LakePart   // not written yet, by hour and number
	Added    []LakePart   // those of Parts that are new with this plan
	Skipped  []LakeMissed // segments that are newly known to be in no part
}

// LakeMissed is a segment that an operator gave up: what it held is in no part.
type LakeMissed struct {
	Process ulid.ULID
	Seq     uint64
	Why     string
}

// PlanLake adds the parts that are due: of every hour that the watermark has
// passed, as far as segments touch it that no part of it holds yet. Before they
// are kept, added is called with them, under the lock that lets one plan at a time.
// While settling is halted nothing is added: the database may be older than the
// lake (design §5.2).
func (db *DB) PlanLake(ctx context.Context, added func([]LakePart) error) (plan LakePlan, err error) {
	options := pgx.TxOptions{IsoLevel: pgx.RepeatableRead}
	err = pgx.BeginTxFunc(ctx, db.Pool, options, func(tx pgx.Tx) error {
		// Before the first query, so that what that sees is what the last plan left.
		if _, err := tx.Exec(ctx, "LOCK TABLE lake_part IN SHARE ROW EXCLUSIVE MODE"); err != nil {
			return fmt.Errorf("lock the lake's plan: %w", err)
		}
		plan = LakePlan{}
		if err := plan.read(ctx, tx); err != nil {
			return fmt.Errorf("plan the lake: %w", err)
		}
		if len(plan.Added) == 0 {
			return nil
		}
		return added(plan.Added)
	})
	if err != nil {
		return LakePlan{}, err
	}
	return plan, nil
}

// lakeBounds are between what and what a plan looks: numbers rather than a join,
// so that Postgres sees from them how few segments are meant.
type lakeBounds struct {
	doneBatch, batch       int64      // plans have seen batches up to this one; settled up to that one
	doneComplete, complete *time.Time // plans have seen hours that end by then; the watermark has passed those by then
	halted                 bool
}

func (p *LakePlan) read(ctx context.Context, tx pgx.Tx) (err error) {
	var b lakeBounds
	err = tx.QueryRow(ctx, `
		SELECT bank_now(), batch, date_trunc('hour', watermark, 'UTC'), halted <> '',
			COALESCE((SELECT max(through_batch) FROM lake_part), 0), (SELECT max(hour) + interval '1 hour' FROM lake_part)
		FROM settlement`).Scan(&p.Now, &b.batch, &b.complete, &b.halted, &b.doneBatch, &b.doneComplete)
	if err != nil {
		return err
	}
	p.Now, p.Complete = p.Now.UTC(), timeOrZero(b.complete)
	if b.complete != nil && !b.halted {
		if err := p.add(ctx, tx, b); err != nil {
			return err
		}
	}
	p.Parts, err = many(ctx, tx, scanLakePart, `
		SELECT hour, part, after_batch, through_batch FROM lake_part WHERE written_at IS NULL ORDER BY hour, part`)
	return err
}

func (p *LakePlan) add(ctx context.Context, tx pgx.Tx, b lakeBounds) (err error) {
	// Not prepared: after some runs Postgres would plan for bounds that it does not know.
	p.Added, err = many(ctx, tx, scanLakePart, lakeDue, pgx.QueryExecModeExec, b.doneBatch, timeOrZero(b.doneComplete), b.batch, b.complete)
	if err != nil || len(p.Added) == 0 {
		return err // what was skipped is told with the next part, once
	}
	p.Skipped, err = many(ctx, tx, scanLakeMissed, `
		SELECT process_id, seq, skipped FROM segment
		WHERE skipped <> '' AND batch > $1 AND batch <= $2 ORDER BY process_id, seq`, b.doneBatch, b.batch)
	return err
}

// lakeDue rests on this: a plan covers all hours that are complete at its time,
// up to one batch. So what may be due since are segments of later batches, and
// those that reach beyond the hours of earlier plans. Retain leaves the rows
// alone that tell how far the last plan went.
const lakeDue = `
	WITH touched AS (
		SELECT h.hour, max(s.batch) AS newest
		FROM segment AS s, generate_series(date_trunc('hour', s.first_at, 'UTC'),
			LEAST(s.last_at, $4::timestamptz - interval '1 microsecond'), interval '1 hour') AS h (hour)
		WHERE (s.batch > $1 OR s.last_at >= $2) AND s.batch <= $3 AND s.first_at < $4 AND s.skipped = ''
		GROUP BY h.hour
	), held AS (
		SELECT p.hour, max(p.part) AS part, max(p.through_batch) AS batch
		FROM lake_part AS p JOIN touched USING (hour) GROUP BY p.hour
	)
	INSERT INTO lake_part (hour, part, after_batch, through_batch)
	SELECT t.hour, COALESCE(held.part + 1, 0), COALESCE(held.batch, 0), $3
	FROM touched AS t LEFT JOIN held USING (hour)
	WHERE t.newest > COALESCE(held.batch, 0)
	RETURNING hour, part, after_batch, through_batch`

func scanLakePart(row pgx.CollectableRow) (p LakePart, err error) {
	err = row.Scan(&p.Hour, &p.Part, &p.AfterBatch, &p.ThroughBatch)
	p.Hour = p.Hour.UTC()
	return p, err
}

func scanLakeMissed(row pgx.CollectableRow) (m LakeMissed, err error) {
	err = row.Scan((*[16]byte)(&m.Process), &m.Seq, &m.Why)
	return m, err
}

// WroteLakePart notes that a part's files are in the bucket: so many events in
// so many bytes.
func (db *DB) WroteLakePart(ctx context.Context, p LakePart, events, bytes int64) error {
	_, err := db.Pool.Exec(ctx, `
		UPDATE lake_part SET events = $3, bytes = $4, written_at = bank_now() WHERE hour = $1 AND part = $2`,
		p.Hour, p.Part, events, bytes)
	if err != nil {
		return fmt.Errorf("note part %d of %s: %w", p.Part, p.Hour.Format(time.RFC3339), err)
	}
	return nil
}

// LakeLineItem is a row of the lake's dimension of line items.
type LakeLineItem struct {
	ID             ad.ID
	Name           string
	Tier           ad.Tier
	Campaign       ad.ID
	CampaignName   string
	Advertiser     ad.ID
	AdvertiserName string
	TimeZone       string // the advertiser's: of its days
}

// LakeLineItems calls row for every line item, by id.
func (db *DB) LakeLineItems(ctx context.Context, row func(LakeLineItem) error) error {
	var l LakeLineItem
	return eachRow(ctx, db.Pool, []any{&l.ID, &l.Name, &l.Tier, &l.Campaign, &l.CampaignName, &l.Advertiser, &l.AdvertiserName, &l.TimeZone},
		func() error { return row(l) }, `
		SELECT l.id, l.name, l.tier, c.id, c.name, a.id, a.name, a.time_zone
		FROM line_item AS l JOIN campaign AS c ON c.id = l.campaign_id JOIN advertiser AS a ON a.id = c.advertiser_id
		ORDER BY l.id`)
}

// LakeCreative is a row of the lake's dimension of creatives.
type LakeCreative struct {
	ID       ad.ID
	Name     string
	LineItem ad.ID
}

// LakeCreatives calls row for every creative, by id.
func (db *DB) LakeCreatives(ctx context.Context, row func(LakeCreative) error) error {
	var c LakeCreative
	return eachRow(ctx, db.Pool, []any{&c.ID, &c.Name, &c.LineItem}, func() error { return row(c) },
		`SELECT id, name, line_item_id FROM creative ORDER BY id`)
}

// LakePlacement is a row of the lake's dimension of placements.
type LakePlacement struct {
	ID            ad.ID
	Name          string
	Property      ad.ID
	PropertyName  string
	Kind          string // of the property: site or app
	Publisher     ad.ID
	PublisherName string
}

// LakePlacements calls row for every placement, by id.
func (db *DB) LakePlacements(ctx context.Context, row func(LakePlacement) error) error {
	var p LakePlacement
	return eachRow(ctx, db.Pool, []any{&p.ID, &p.Name, &p.Property, &p.PropertyName, &p.Kind, &p.Publisher, &p.PublisherName},
		func() error { return row(p) }, `
		SELECT m.id, m.name, s.id, s.name, s.kind, p.id, p.name
		FROM placement AS m JOIN property AS s ON s.id = m.property_id JOIN publisher AS p ON p.id = s.publisher_id
		ORDER BY m.id`)
}

// eachRow scans row after row into dest, so that a large table is never in memory.
func eachRow(ctx context.Context, q querier, dest []any, row func() error, sql string) error {
	rows, err := q.Query(ctx, sql)
	if err != nil {
		return err
	}
	_, err = pgx.ForEachRow(rows, dest, row)
	return err
}
