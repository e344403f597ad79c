package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/hayate-ads/hayate/internal/ad"
)

// ReasonKey names one row of the hourly report of why line items did not serve.
type ReasonKey struct {
	Hour      int64 // Unix seconds
	LineItem  ad.ID // 0: of line items that a process had no room to count apart
	Reason    string
	Dimension string
}

// ReasonCount is what such a row gains or holds, in placements asked for.
type ReasonCount struct {
	Counted   int64 // cases that the auction came upon, every one
	Estimated int64 // cases that the explained sample of all requests stands for …
	Samples   int64 // … and those seen in it
}

// Add returns a and b together.
func (a ReasonCount) Add(b ReasonCount) ReasonCount {
	return ReasonCount{a.Counted + b.Counted, a.Estimated + b.Estimated, a.Samples + b.Samples}
}

func queueReasons(batch *pgx.Batch, reasons map[ReasonKey]ReasonCount) {
	if len(reasons) == 0 {
		return
	}
	var hours []time.Time
	var lineItems []ad.ID
	var words, dimensions []string
	var counted, estimated, samples []int64
	for key, n := range reasons {
		hours, lineItems = append(hours, time.Unix(key.Hour, 0)), append(lineItems, key.LineItem)
		words, dimensions = append(words, key.Reason), append(dimensions, key.Dimension)
		counted, estimated, samples = append(counted, n.Counted), append(estimated, n.Estimated), append(samples, n.Samples)
	}
	batch.Queue(`
		INSERT INTO report_reason AS r (hour, line_item_id, reason, dimension, counted, estimated, samples)
		SELECT n.hour, n.line_item, n.reason, n.dimension, n.counted, n.estimated, n.samples
		FROM unnest($1::timestamptz[], $2::bigint[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[])
			AS n (hour, line_item, reason, dimension, counted, estimated, samples)
		ON CONFLICT (hour, line_item_id, reason, dimension) DO UPDATE SET
			counted   = r.counted + excluded.counted,
			estimated = r.estimated + excluded.estimated,
			samples   = r.samples + excluded.samples`,
		hours, lineItems, words, dimensions, counted, estimated, samples)
}

// Reason is why one line item did not serve in a span of time, and how often.
type Reason struct {
	Reason    string // a word of the auction's: "no_match", "won" where it served
	Dimension string
	ReasonCount
}

// Reasons is why a line item did not serve.
type Reasons struct {
	Rows      []Reason  // by reason and dimension; what it won is among them
	Unplaced  int64     // cases that processes could not file under a line item, whichever it was
	Freshness time.Time // every request before it is counted; zero: settle has never run
}

// LineItemReasons sums up the hours from From and before To. Operators see all,
// advertisers what is theirs, others nothing: whose it is is asked for here once
// more, and what is not the actor's has no rows.
func (db *DB) LineItemReasons(ctx context.Context, actor Actor, lineItem ad.ID, from, to time.Time) (r Reasons, err error) {
	if err := (ReportFilter{From: from, To: to}).validate(); err != nil {
		return r, err
	}
	if err := actor.only(ad.RoleOperator, ad.RoleAdvertiser); err != nil {
		return r, err
	}
	// The watermark is read first: what it promises is in the rows read after it.
	watermark, err := one(ctx, db.Pool, pgx.RowTo[*time.Time], "SELECT watermark FROM settlement")
	if err != nil {
		return r, fmt.Errorf("watermark: %w", err)
	}
	r.Freshness = timeOrZero(watermark)
	r.Rows, err = many(ctx, db.Pool, pgx.RowToStructByPos[Reason], `
		SELECT h.reason, h.dimension, sum(h.counted)::bigint, sum(h.estimated)::bigint, sum(h.samples)::bigint
		FROM report_reason AS h
		JOIN line_item AS l ON l.id = h.line_item_id
		JOIN campaign AS c ON c.id = l.campaign_id
		WHERE h.line_item_id = $1 AND h.hour >= $2 AND h.hour < $3
			AND ($4::bigint IS NULL OR c.advertiser_id = $4)
		GROUP BY h.reason, h.dimension ORDER BY h.reason, h.dimension`, lineItem, from, to, actor.demand())
	if err != nil {
		return r, fmt.Errorf("reasons: %w", err)
	}
	r.Unplaced, err = one(ctx, db.Pool, pgx.RowTo[int64], `
		SELECT COALESCE(sum(counted), 0)::bigint FROM report_reason WHERE line_item_id = 0 AND hour >= $1 AND hour < $2`, from, to)
	if err != nil {
		return r, fmt.Errorf("reasons: %w", err)
	}
	return r, nil
}
