package postgres

import (
	"context"
	"time"

	"github.com/hayate-ads/hayate/internal/ad"
)

// ReportByHour is the report by hour and line item, for publishers by hour and placement.
func (db *DB) ReportByHour(ctx context.Context, actor Actor, f ReportFilter) ([]ReportRow, time.Time, error) {
	read, group := db.DemandReport, []Dimension{ByHour, ByAdvertiser, ByCampaign, ByLineItem}
	if actor.Role == ad.RolePublisher {
		read, group = db.SupplyReport, []Dimension{ByHour, ByPlacement}
	}
	r, err := read(ctx, actor, ReportQuery{ReportFilter: f, Group: group})
	return r.Rows, r.Freshness, err
}

// FillRow counts the decisions of one placement in one hour that had one outcome.
type FillRow struct {
	Hour      time.Time
	Placement ad.ID
	NoFill    string // why there was no ad; "" there was one
	Decisions int64
}

// FillByHour returns how often placements were filled, and why not.
func (db *DB) FillByHour(ctx context.Context, actor Actor, f ReportFilter) (rows []FillRow, err error) {
	r, err := db.SupplyReport(ctx, actor, ReportQuery{ReportFilter: f, Group: []Dimension{ByHour, ByPlacement, ByNoFill}})
	for _, row := range r.Rows {
		if row.Decisions > 0 {
			rows = append(rows, FillRow{row.Hour, row.Placement, row.NoFill, row.Decisions})
		}
	}
	return rows, err
}
