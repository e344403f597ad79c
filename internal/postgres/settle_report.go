package postgres

import (
	"github.com/jackc/pgx/v5"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/money"
)

// CellKey names one row of the first cube, report_hour.
type CellKey struct {
	Hour      int64 // Unix seconds of the decision's UTC hour
	LineItem  ad.ID
	Creative  ad.ID
	Placement ad.ID
	Exchange  ad.ID
}

// Cell is what one row of the first cube gains.
type Cell struct {
	Impressions, Viewables, Clicks, Wins int64
	Conversions, ViewConversions         int64
	Video                                [event.Complete + 1]int64 // by quartile
	Late, Invalid                        int64
	ConversionValue                      money.Micros
	Spend, Overage, Revenue              money.Micros
}

// AudienceKey names one row of the second cube, report_audience_hour.
type AudienceKey struct {
	Hour     int64
	LineItem ad.ID
	Country  [2]byte // zero: unknown
	Device   event.DeviceType
	Invalid  event.Invalid
}

// AudienceCell is what one row of the second cube gains. Where the key says
// invalid these are invalid events, and the spend is 0.
type AudienceCell struct {
	Impressions, Viewables, Clicks, Conversions int64
	Spend                                       money.Micros
}

// SupplyKey names one row of the hourly supply report; NoFill "" is a fill.
type SupplyKey struct {
	Hour      int64
	Placement ad.ID
	Exchange  ad.ID
	NoFill    string
}

// SupplyCell is what one row of the supply report gains. Only decisions stand in
// rows with a reason.
type SupplyCell struct {
	Decisions, Impressions, Viewables, Clicks, Wins, Late, Invalid int64
	Revenue                                                        money.Micros
}

func queueReports(_ *pgx.Batch, _ *Settlement) {}
