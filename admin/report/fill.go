package report

import "github.com/hayate-ads/hayate/internal/postgres"

// Fill is how often placements were asked for an ad, and what came of it.
type Fill struct {
	Decisions int64
	Filled    int64
	NoFill    map[string]int64 // decisions without an ad, by reason
}

// Add counts a row of the store.
func (f *Fill) Add(row postgres.FillRow) {
	f.Decisions += row.Decisions
	if row.NoFill == "" {
		f.Filled += row.Decisions
		return
	}
	if f.NoFill == nil {
		f.NoFill = map[string]int64{}
	}
	f.NoFill[row.NoFill] += row.Decisions
}

// TotalFill adds up rows.
func TotalFill(rows []postgres.FillRow) (total Fill) {
	for _, row := range rows {
		total.Add(row)
	}
	return total
}
