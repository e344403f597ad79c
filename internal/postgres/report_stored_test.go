package postgres

// What the hours hold, read back for the tests of what writes them.

import (
	"context"
	"fmt"
	"time"

	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/money"
)

// StoredCell is a row of the first cube as it stands, with what was credited of it.
type StoredCell struct {
	Cell
	CreditedImpressions int64
	Credited            money.Micros // of Spend
	CreditedRevenue     money.Micros // of Revenue
}

// HourCells returns the rows of the first cube from the hour From and before To.
// A key without creative and placement is the row of 'other'.
func (q Queries) HourCells(ctx context.Context, from, to time.Time) (map[CellKey]StoredCell, error) {
	cells := map[CellKey]StoredCell{}
	var hour time.Time
	var k CellKey
	var c StoredCell
	err := q.each(ctx, []any{
		&hour, &k.LineItem, &k.Creative, &k.Placement, &k.Exchange,
		&c.Impressions, &c.Viewables, &c.Clicks, &c.Wins, &c.Conversions, &c.ViewConversions,
		&c.Video[event.Start], &c.Video[event.FirstQuartile], &c.Video[event.Midpoint], &c.Video[event.ThirdQuartile], &c.Video[event.Complete],
		&c.Late, &c.Invalid, &c.ConversionValue, &c.Spend, &c.Overage, &c.Revenue,
		&c.CreditedImpressions, &c.Credited, &c.CreditedRevenue,
	}, func() {
		k.Hour = hour.Unix()
		cells[k] = c
	}, `
		SELECT hour, line_item_id, creative_id, placement_id, exchange_id,
			impressions, viewables, clicks, wins, conversions, view_conversions,
			video_starts, video_first_quartiles, video_midpoints, video_third_quartiles, video_completes,
			late_impressions, invalid, conversion_value_micros, spend_micros, overage_micros, revenue_micros,
			credited_impressions, credited_micros, credited_revenue_micros
		FROM report_hour WHERE hour >= $1 AND hour < $2`, from, to)
	if err != nil {
		return nil, fmt.Errorf("read report hours: %w", err)
	}
	return cells, nil
}

// Folded tells whether k is the row of 'other', whose country and device are none.
func (k AudienceKey) Folded() bool { return k.Country == foldedCountry }

// HourAudience returns the rows of the second cube from the hour From and before To.
func (q Queries) HourAudience(ctx context.Context, from, to time.Time) (map[AudienceKey]AudienceCell, error) {
	cells := map[AudienceKey]AudienceCell{}
	var hour time.Time
	var k AudienceKey
	var c AudienceCell
	var country, device, invalid string
	err := q.each(ctx, []any{&hour, &k.LineItem, &country, &device, &invalid, &c.Impressions, &c.Viewables, &c.Clicks, &c.Conversions, &c.Spend}, func() {
		k.Hour, k.Country, k.Device, k.Invalid = hour.Unix(), [2]byte{}, event.OtherDevice, event.Valid
		if country == foldedText {
			k.Country = foldedCountry
		} else {
			copy(k.Country[:], country)
		}
		for d := range event.TV + 1 {
			if d.String() == device {
				k.Device = d
			}
		}
		for i := range event.InvalidSuspect + 1 {
			if i.String() == invalid {
				k.Invalid = i
			}
		}
		cells[k] = c
	}, `
		SELECT hour, line_item_id, country, device, invalid, impressions, viewables, clicks, conversions, spend_micros
		FROM report_audience_hour WHERE hour >= $1 AND hour < $2`, from, to)
	if err != nil {
		return nil, fmt.Errorf("read audience hours: %w", err)
	}
	return cells, nil
}

// StoredSupply is a row of the supply report as it stands.
type StoredSupply struct {
	SupplyCell
	CreditedRevenue money.Micros // of Revenue
}

// HourSupply returns the rows of the supply report from the hour From and before To.
func (q Queries) HourSupply(ctx context.Context, from, to time.Time) (map[SupplyKey]StoredSupply, error) {
	cells := map[SupplyKey]StoredSupply{}
	var hour time.Time
	var k SupplyKey
	var c StoredSupply
	err := q.each(ctx, []any{
		&hour, &k.Placement, &k.Exchange, &k.NoFill,
		&c.Decisions, &c.Impressions, &c.Viewables, &c.Clicks, &c.Wins, &c.Late, &c.Invalid, &c.Revenue, &c.CreditedRevenue,
	}, func() {
		k.Hour = hour.Unix()
		cells[k] = c
	}, `
		SELECT hour, placement_id, exchange_id, no_fill,
			decisions, impressions, viewables, clicks, wins, late_impressions, invalid, revenue_micros, credited_revenue_micros
		FROM report_supply_hour WHERE hour >= $1 AND hour < $2`, from, to)
	if err != nil {
		return nil, fmt.Errorf("read supply hours: %w", err)
	}
	return cells, nil
}
