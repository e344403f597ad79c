package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/money"
)

// Conversion is one that was counted.
type Conversion struct {
	Order        string // the advertiser's order id; of a conversion without one, its reservation's name
	LineItem     ad.ID
	LineItemName string
	Creative     ad.ID
	PostView     bool // after an impression; else after a click
	Value        money.Micros
	Touched      time.Time // the click or impression
	At           time.Time
}

// Conversions lists an advertiser's conversions, the newest first, at most limit.
// Operators see everybody's, advertisers their own.
func (db *DB) Conversions(ctx context.Context, actor Actor, advertiser ad.ID, limit int) ([]Conversion, error) {
	return many(ctx, db.Pool, scanConversion, `
		SELECT v.order_id, v.line_item_id, COALESCE(l.name, ''), v.creative_id, v.post_view, v.value_micros, v.touched_at, v.converted_at
		FROM conversion AS v LEFT JOIN line_item AS l ON l.id = v.line_item_id
		WHERE v.advertiser_id = $1 AND ($2::bigint IS NULL OR v.advertiser_id = $2)
		ORDER BY v.converted_at DESC, v.order_id LIMIT $3`, advertiser, actor.buyer(), min(max(limit, 1), 1000))
}

func scanConversion(row pgx.CollectableRow) (v Conversion, err error) {
	err = row.Scan(&v.Order, &v.LineItem, &v.LineItemName, &v.Creative, &v.PostView, &v.Value, &v.Touched, &v.At)
	v.Touched, v.At = v.Touched.UTC(), v.At.UTC()
	return v, err
}
