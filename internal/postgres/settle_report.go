package postgres

import (
	"cmp"
	"time"

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

// ReportConfig bounds the hourly reports. Zero fields mean their defaults.
type ReportConfig struct {
	Cells         int           // rows of one hour and cube before further ones fold into 'other'; 100,000
	CompleteAfter time.Duration // of the watermark beyond an hour's end; what comes later restates the hour; 5 m, the longest hold
}

func (c ReportConfig) withDefaults() ReportConfig {
	c.Cells = cmp.Or(c.Cells, 100_000)
	c.CompleteAfter = cmp.Or(c.CompleteAfter, 5*time.Minute)
	return c
}

// foldedText stands for country and device in rows of 'other'.
const foldedText = "other"

// demandCube writes the first cube.
var demandCube = cube[CellKey, Cell]{
	table: "report_hour",
	keys:  []string{"line_item_id bigint", "creative_id bigint", "placement_id bigint", "exchange_id bigint"},
	figures: []string{
		"impressions", "viewables", "clicks", "wins", "conversions", "view_conversions",
		"video_starts", "video_first_quartiles", "video_midpoints", "video_third_quartiles", "video_completes",
		"late_impressions", "invalid", "conversion_value_micros", "spend_micros", "overage_micros", "revenue_micros",
	},
	hour: func(k CellKey) int64 { return k.Hour },
	compare: func(a, b CellKey) int {
		return cmp.Or(cmp.Compare(a.Hour, b.Hour), cmp.Compare(a.LineItem, b.LineItem), cmp.Compare(a.Creative, b.Creative),
			cmp.Compare(a.Placement, b.Placement), cmp.Compare(a.Exchange, b.Exchange))
	},
	columns: func(keys []CellKey) []any {
		return []any{
			column(keys, func(k CellKey) ad.ID { return k.LineItem }), column(keys, func(k CellKey) ad.ID { return k.Creative }),
			column(keys, func(k CellKey) ad.ID { return k.Placement }), column(keys, func(k CellKey) ad.ID { return k.Exchange }),
		}
	},
	values: (*Cell).each,
	other:  func(k CellKey) CellKey { return CellKey{Hour: k.Hour, LineItem: k.LineItem} },
	add:    (*Cell).Add,
	events: (*Cell).events,
}

// MaxCellValue is what conversions' values in one cell come to at most. Advertisers'
// pages state them, so that nothing else bounds the sum.
const MaxCellValue = money.Max / 10

// each calls f with every figure in the order of the cube's columns.
func (c *Cell) each(f func(int64)) {
	for _, v := range [...]int64{c.Impressions, c.Viewables, c.Clicks, c.Wins, c.Conversions, c.ViewConversions} {
		f(v)
	}
	for _, v := range c.Video {
		f(v)
	}
	for _, v := range [...]int64{c.Late, c.Invalid, int64(c.ConversionValue), int64(c.Spend), int64(c.Overage), int64(c.Revenue)} {
		f(v)
	}
}

// Add sums up.
func (c *Cell) Add(d *Cell) {
	c.Impressions += d.Impressions
	c.Viewables += d.Viewables
	c.Clicks += d.Clicks
	c.Wins += d.Wins
	c.Conversions += d.Conversions
	c.ViewConversions += d.ViewConversions
	for i := range c.Video {
		c.Video[i] += d.Video[i]
	}
	c.Late += d.Late
	c.Invalid += d.Invalid
	c.ConversionValue = min(c.ConversionValue+d.ConversionValue, MaxCellValue)
	c.Spend += d.Spend
	c.Overage += d.Overage
	c.Revenue += d.Revenue
}

// events is how many events c counts: late ones are impressions already.
func (c *Cell) events() int64 {
	n := c.Impressions + c.Viewables + c.Clicks + c.Wins + c.Conversions + c.ViewConversions + c.Invalid
	for _, v := range c.Video {
		n += v
	}
	return n
}

// audienceCube writes the second cube.
var audienceCube = cube[AudienceKey, AudienceCell]{
	table:   "report_audience_hour",
	keys:    []string{"line_item_id bigint", "country text", "device text", "invalid text"},
	figures: []string{"impressions", "viewables", "clicks", "conversions", "spend_micros"},
	hour:    func(k AudienceKey) int64 { return k.Hour },
	compare: func(a, b AudienceKey) int {
		return cmp.Or(cmp.Compare(a.Hour, b.Hour), cmp.Compare(a.LineItem, b.LineItem), cmp.Compare(a.country(), b.country()),
			cmp.Compare(a.Device, b.Device), cmp.Compare(a.Invalid, b.Invalid))
	},
	columns: func(keys []AudienceKey) []any {
		return []any{
			column(keys, func(k AudienceKey) ad.ID { return k.LineItem }), column(keys, AudienceKey.country),
			column(keys, AudienceKey.device), column(keys, func(k AudienceKey) string { return k.Invalid.String() }),
		}
	},
	values: func(c *AudienceCell, f func(int64)) {
		for _, v := range [...]int64{c.Impressions, c.Viewables, c.Clicks, c.Conversions, int64(c.Spend)} {
			f(v)
		}
	},
	other: func(k AudienceKey) AudienceKey {
		return AudienceKey{Hour: k.Hour, LineItem: k.LineItem, Country: foldedCountry, Invalid: k.Invalid}
	},
	add:    (*AudienceCell).Add,
	events: func(c *AudienceCell) int64 { return c.Impressions + c.Viewables + c.Clicks + c.Conversions },
}

// foldedCountry marks the row of 'other': no country's code has such a byte.
var foldedCountry = [2]byte{0, 1}

// normal is k with what no column could tell apart from something else, as a token
// of another version might have it, counted as unknown.
func (k AudienceKey) normal() AudienceKey {
	if k.Country[0] < 'A' || k.Country[0] > 'Z' || k.Country[1] < 'A' || k.Country[1] > 'Z' {
		k.Country = [2]byte{}
	}
	if k.Device > event.TV {
		k.Device = event.OtherDevice
	}
	if k.Invalid > event.InvalidSuspect {
		k.Invalid = event.InvalidOther
	}
	return k
}

// normalAudience is cells by normal keys.
func normalAudience(cells map[AudienceKey]*AudienceCell) map[AudienceKey]*AudienceCell {
	normal := make(map[AudienceKey]*AudienceCell, len(cells))
	for key, cell := range cells {
		key = key.normal()
		if first := normal[key]; first != nil {
			sum := *first
			sum.Add(cell)
			cell = &sum
		}
		normal[key] = cell
	}
	return normal
}

func (k AudienceKey) country() string {
	switch k.Country {
	case foldedCountry:
		return foldedText
	case [2]byte{}:
		return ""
	}
	return string(k.Country[:])
}

func (k AudienceKey) device() string {
	if k.Country == foldedCountry {
		return foldedText
	}
	return k.Device.String()
}

// Add sums up.
func (c *AudienceCell) Add(d *AudienceCell) {
	c.Impressions += d.Impressions
	c.Viewables += d.Viewables
	c.Clicks += d.Clicks
	c.Conversions += d.Conversions
	c.Spend += d.Spend
}

// supplyCube writes the supply report, which never folds: its rows are as many as
// placements and reasons, and publishers are paid by it.
var supplyCube = cube[SupplyKey, SupplyCell]{
	table:   "report_supply_hour",
	keys:    []string{"placement_id bigint", "exchange_id bigint", "no_fill text"},
	figures: []string{"decisions", "impressions", "viewables", "clicks", "wins", "late_impressions", "invalid", "revenue_micros"},
	hour:    func(k SupplyKey) int64 { return k.Hour },
	compare: func(a, b SupplyKey) int {
		return cmp.Or(cmp.Compare(a.Hour, b.Hour), cmp.Compare(a.Placement, b.Placement),
			cmp.Compare(a.Exchange, b.Exchange), cmp.Compare(a.NoFill, b.NoFill))
	},
	columns: func(keys []SupplyKey) []any {
		return []any{
			column(keys, func(k SupplyKey) ad.ID { return k.Placement }), column(keys, func(k SupplyKey) ad.ID { return k.Exchange }),
			column(keys, func(k SupplyKey) string { return k.NoFill }),
		}
	},
	values: func(c *SupplyCell, f func(int64)) {
		for _, v := range [...]int64{c.Decisions, c.Impressions, c.Viewables, c.Clicks, c.Wins, c.Late, c.Invalid, int64(c.Revenue)} {
			f(v)
		}
	},
}

func column[K, V any](keys []K, value func(K) V) []V {
	values := make([]V, len(keys))
	for i, key := range keys {
		values[i] = value(key)
	}
	return values
}
