package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/money"
)

// ReportFilter narrows a report. From and To are needed; zero ids do not narrow.
type ReportFilter struct {
	From, To   time.Time // decisions at or after From and before To, in whole UTC hours
	Advertiser ad.ID
	Campaign   ad.ID
	LineItem   ad.ID
	Placement  ad.ID
}

// Bounds of one report.
const (
	maxReportRange = 92 * 24 * time.Hour
	maxReportRows  = 200_000
)

// ReportRow is what one line item delivered in one hour; for a publisher, what
// one of its placements did.
type ReportRow struct {
	Hour       time.Time // start, UTC; of the decision, not of the event
	Advertiser ad.ID     // 0 for publishers
	Campaign   ad.ID     // 0 for publishers
	LineItem   ad.ID     // 0 for publishers
	Placement  ad.ID     // for publishers only, else 0
	Counts
}

// Counts are the figures of a report.
type Counts struct {
	Impressions     int64
	Viewables       int64
	Clicks          int64
	Spend           money.Micros // charged to the advertiser; 0 for publishers
	Revenue         money.Micros // the publisher's share; 0 for advertisers
	Overage         money.Micros // delivered but not charged; operators only
	LateImpressions int64
	Invalid         int64 // judged invalid traffic, in none of the above
}

func (f ReportFilter) validate() error {
	switch {
	case f.From.IsZero() || f.To.IsZero():
		return wrong("from", ad.Required, "and to have to be given")
	case !f.To.After(f.From):
		return wrong("to", ad.Order, "has to be after from")
	case f.To.Sub(f.From) > maxReportRange:
		return wrong("from", ad.OutOfRange, "and to must not be more than 92 days apart")
	}
	return nil
}

// ReportByHour returns the hours in which something was delivered, oldest first,
// and the moment before which every event has been counted; zero when settle has
// never run. Operators see all, advertisers what they bought, publishers what
// they sold; reviewers see no figures.
func (db *DB) ReportByHour(ctx context.Context, actor Actor, f ReportFilter) (rows []ReportRow, freshness time.Time, err error) {
	if err := f.validate(); err != nil {
		return nil, time.Time{}, err
	}
	// The watermark is read first: what it promises is in the rows read after it.
	watermark, err := one(ctx, db.Pool, pgx.RowTo[*time.Time], "SELECT watermark FROM settlement")
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("watermark: %w", err)
	}
	switch actor.Role {
	case ad.RoleOperator, ad.RoleAdvertiser:
		rows, err = db.reportDemand(ctx, actor, f)
	case ad.RolePublisher:
		rows, err = db.reportSupply(ctx, actor, f)
	}
	if err == nil && len(rows) > maxReportRows {
		return nil, time.Time{}, wrong("from", ad.OutOfRange, "and to span too many rows: narrow the report")
	}
	return rows, timeOrZero(watermark), err
}

const countColumns = `sum(h.impressions)::bigint, sum(h.viewables)::bigint, sum(h.clicks)::bigint,
	sum(h.spend_micros)::bigint, sum(h.revenue_micros)::bigint, sum(h.overage_micros)::bigint,
	sum(h.late_impressions)::bigint, sum(h.invalid)::bigint`

func (db *DB) reportDemand(ctx context.Context, actor Actor, f ReportFilter) ([]ReportRow, error) {
	rows, err := many(ctx, db.Pool, scanReportRow, `
		SELECT h.hour, c.advertiser_id, l.campaign_id, h.line_item_id, 0::bigint, `+countColumns+`
		FROM report_hour AS h
		JOIN line_item AS l ON l.id = h.line_item_id
		JOIN campaign AS c ON c.id = l.campaign_id
		WHERE h.hour >= $1 AND h.hour < $2
			AND ($3::bigint IS NULL OR c.advertiser_id = $3)
			AND ($4 = 0 OR c.advertiser_id = $4) AND ($5 = 0 OR l.campaign_id = $5)
			AND ($6 = 0 OR h.line_item_id = $6) AND ($7 = 0 OR h.placement_id = $7)
		GROUP BY h.hour, c.advertiser_id, l.campaign_id, h.line_item_id
		ORDER BY h.hour, h.line_item_id LIMIT $8`,
		f.From, f.To, actor.demand(), f.Advertiser, f.Campaign, f.LineItem, f.Placement, maxReportRows+1)
	if actor.Role != ad.RoleOperator {
		for i := range rows {
			rows[i].Revenue, rows[i].Overage = 0, 0
		}
	}
	return rows, err
}

func (db *DB) reportSupply(ctx context.Context, actor Actor, f ReportFilter) ([]ReportRow, error) {
	rows, err := many(ctx, db.Pool, scanReportRow, `
		SELECT h.hour, 0::bigint, 0::bigint, 0::bigint, h.placement_id, `+countColumns+`
		FROM report_hour AS h
		JOIN placement AS m ON m.id = h.placement_id
		JOIN property AS s ON s.id = m.property_id
		WHERE h.hour >= $1 AND h.hour < $2
			AND ($3::bigint IS NULL OR s.publisher_id = $3) AND ($4 = 0 OR h.placement_id = $4)
		GROUP BY h.hour, h.placement_id
		ORDER BY h.hour, h.placement_id LIMIT $5`,
		f.From, f.To, actor.supply(), f.Placement, maxReportRows+1)
	for i := range rows {
		rows[i].Spend, rows[i].Overage = 0, 0
	}
	return rows, err
}

func scanReportRow(row pgx.CollectableRow) (r ReportRow, err error) {
	err = row.Scan(&r.Hour, &r.Advertiser, &r.Campaign, &r.LineItem, &r.Placement,
		&r.Impressions, &r.Viewables, &r.Clicks, &r.Spend, &r.Revenue, &r.Overage, &r.LateImpressions, &r.Invalid)
	r.Hour = r.Hour.UTC()
	return r, err
}

// FillRow counts the decisions of one placement in one hour that had one outcome.
type FillRow struct {
	Hour      time.Time
	Placement ad.ID
	NoFill    string // why there was no ad; "" there was one
	Decisions int64
}

// FillByHour returns how often placements were filled, and why not. It is of the
// filter only From, To and Placement that narrow. Advertisers and reviewers see none.
func (db *DB) FillByHour(ctx context.Context, actor Actor, f ReportFilter) ([]FillRow, error) {
	if err := f.validate(); err != nil {
		return nil, err
	}
	rows, err := many(ctx, db.Pool, scanFillRow, `
		SELECT h.hour, h.placement_id, h.no_fill, sum(h.decisions)::bigint
		FROM report_supply_hour AS h
		JOIN placement AS m ON m.id = h.placement_id
		JOIN property AS s ON s.id = m.property_id
		WHERE h.hour >= $1 AND h.hour < $2
			AND ($3::bigint IS NULL OR s.publisher_id = $3) AND ($4 = 0 OR h.placement_id = $4)
		GROUP BY h.hour, h.placement_id, h.no_fill
		ORDER BY h.hour, h.placement_id, h.no_fill LIMIT $5`,
		f.From, f.To, actor.supply(), f.Placement, maxReportRows+1)
	if err == nil && len(rows) > maxReportRows {
		return nil, wrong("from", ad.OutOfRange, "and to span too many rows: narrow the report")
	}
	return rows, err
}

func scanFillRow(row pgx.CollectableRow) (r FillRow, err error) {
	err = row.Scan(&r.Hour, &r.Placement, &r.NoFill, &r.Decisions)
	r.Hour = r.Hour.UTC()
	return r, err
}
