package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/money"
)

// ConversionTerms say whose conversions a line item's are, and for how long
// after a click or an impression one is counted.
type ConversionTerms struct {
	Advertiser  ad.ID
	ClickWindow time.Duration
	ViewWindow  time.Duration // 0: none is
}

// ConversionTerms returns the terms of these line items, as they are now.
func (t *SettleTx) ConversionTerms(ctx context.Context, lineItems []ad.ID) (map[ad.ID]ConversionTerms, error) {
	terms := make(map[ad.ID]ConversionTerms, len(lineItems))
	if len(lineItems) == 0 {
		return terms, nil
	}
	rows, err := t.tx.Query(ctx, `
		SELECT l.id, a.id, a.click_window_days, a.view_window_days
		FROM line_item l JOIN campaign c ON c.id = l.campaign_id JOIN advertiser a ON a.id = c.advertiser_id
		WHERE l.id = ANY($1)`, lineItems)
	if err != nil {
		return nil, fmt.Errorf("read conversion windows: %w", err)
	}
	const day = 24 * time.Hour
	var id, advertiser ad.ID
	var click, view int64
	if _, err := pgx.ForEachRow(rows, []any{&id, &advertiser, &click, &view}, func() error {
		terms[id] = ConversionTerms{Advertiser: advertiser, ClickWindow: time.Duration(click) * day, ViewWindow: time.Duration(view) * day}
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read conversion windows: %w", err)
	}
	return terms, nil
}

// ConversionKey is under what a conversion is counted once.
type ConversionKey struct {
	Advertiser ad.ID
	Order      string // the advertiser's order id; without one lease/idx of the reservation
}

// NewConversion is a conversion that a batch counts.
type NewConversion struct {
	ConversionKey
	LineItem, Creative, Placement, Exchange ad.ID
	PostView                                bool
	Value                                   money.Micros
	DecidedAt, TouchedAt, At                time.Time
}

// Conversions returns those of keys that were counted before.
func (t *SettleTx) Conversions(ctx context.Context, keys []ConversionKey) (map[ConversionKey]bool, error) {
	counted := make(map[ConversionKey]bool)
	if len(keys) == 0 {
		return counted, nil
	}
	advertisers, orders := make([]ad.ID, len(keys)), make([]string, len(keys))
	for i, k := range keys {
		advertisers[i], orders[i] = k.Advertiser, k.Order
	}
	found, err := many(ctx, t.tx, pgx.RowToStructByPos[ConversionKey], `
		SELECT c.advertiser_id, c.order_id FROM unnest($1::bigint[], $2::text[]) AS n (advertiser_id, order_id)
		JOIN conversion c USING (advertiser_id, order_id)`, advertisers, orders)
	if err != nil {
		return nil, fmt.Errorf("look conversions up: %w", err)
	}
	for _, k := range found {
		counted[k] = true
	}
	return counted, nil
}

func (t *SettleTx) queueConversions(batch *pgx.Batch, conversions []NewConversion) {
	n := len(conversions)
	if n == 0 {
		return
	}
	var ids [5][]ad.ID
	var times [3][]time.Time
	orders, postViews, values := make([]string, n), make([]bool, n), make([]money.Micros, n)
	for i := range conversions {
		c := &conversions[i]
		orders[i], postViews[i], values[i] = c.Order, c.PostView, c.Value
		for j, id := range [5]ad.ID{c.Advertiser, c.LineItem, c.Creative, c.Placement, c.Exchange} {
			ids[j] = append(ids[j], id)
		}
		for j, at := range [3]time.Time{c.DecidedAt, c.TouchedAt, c.At} {
			times[j] = append(times[j], at)
		}
	}
	batch.Queue(`
		INSERT INTO conversion (advertiser_id, line_item_id, creative_id, placement_id, exchange_id,
			order_id, post_view, value_micros, decided_at, touched_at, converted_at, batch)
		SELECT n.advertiser_id, n.line_item_id, n.creative_id, n.placement_id, n.exchange_id,
			n.order_id, n.post_view, n.value_micros, n.decided_at, n.touched_at, n.converted_at, $12
		FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[],
				$6::text[], $7::boolean[], $8::bigint[], $9::timestamptz[], $10::timestamptz[], $11::timestamptz[])
			AS n (advertiser_id, line_item_id, creative_id, placement_id, exchange_id,
				order_id, post_view, value_micros, decided_at, touched_at, converted_at)`,
		ids[0], ids[1], ids[2], ids[3], ids[4], orders, postViews, values, times[0], times[1], times[2], t.Batch)
}
