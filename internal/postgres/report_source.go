package postgres

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hayate-ads/hayate/internal/ad"
)

// Dimension is what reports can be grouped by. The words are those of the API.
type Dimension string

const (
	ByHour       Dimension = "hour"
	ByDay        Dimension = "day"
	ByAdvertiser Dimension = "advertiser"
	ByCampaign   Dimension = "campaign"
	ByLineItem   Dimension = "line_item"
	ByCreative   Dimension = "creative"
	ByPlacement  Dimension = "placement"
	ByExchange   Dimension = "exchange"
	ByCountry    Dimension = "country"
	ByDevice     Dimension = "device"
	ByInvalid    Dimension = "invalid"
	ByNoFill     Dimension = "no_fill"
)

// Dimensions of the two reports, in the order in which rows show them. Country,
// device and reason go with no creative, placement or exchange: those are two
// cubes, and any other pair is in the lake.
var (
	DemandDimensions = []Dimension{ByHour, ByDay, ByAdvertiser, ByCampaign, ByLineItem, ByCreative, ByPlacement, ByExchange, ByCountry, ByDevice, ByInvalid}
	SupplyDimensions = []Dimension{ByHour, ByDay, ByPlacement, ByExchange, ByNoFill}
)

// allDimensions is the order of a row's columns.
var allDimensions = []Dimension{ByHour, ByDay, ByAdvertiser, ByCampaign, ByLineItem, ByCreative, ByPlacement, ByExchange, ByCountry, ByDevice, ByInvalid, ByNoFill}

// nothing is what a column that a report is not grouped by says.
var nothing = map[Dimension]string{
	ByHour: "NULL::timestamptz", ByDay: "NULL::date", ByCountry: "''", ByDevice: "''", ByInvalid: "''", ByNoFill: "''",
}

// reportSource is a report's table by hour and its table by day: h is whichever
// is read.
type reportSource struct {
	hours, days string
	day         string // of a row of hours
	joins       string
	narrow      string // the conditions with $3, the scope, to $7
	names       map[Dimension]string
	figures     map[string]string // what adds up, by name; others are 0
	folded      string            // tells rows of 'other'; "": there are none
}

const demandJoins = `
	JOIN line_item AS l ON l.id = h.line_item_id
	JOIN campaign AS c ON c.id = l.campaign_id
	JOIN advertiser AS a ON a.id = c.advertiser_id`

const demandNarrow = `($3::bigint IS NULL OR c.advertiser_id = $3)
	AND ($4::bigint = 0 OR c.advertiser_id = $4) AND ($5::bigint = 0 OR l.campaign_id = $5) AND ($6::bigint = 0 OR h.line_item_id = $6)`

// same are figures that stand in columns of their own names.
func same(names ...string) map[string]string {
	figures := map[string]string{}
	for _, name := range names {
		figures[name] = sumOf(name)
	}
	return figures
}

var demandSource = reportSource{
	hours: "report_hour", days: "report_day",
	day: "(h.hour AT TIME ZONE a.time_zone)::date", joins: demandJoins,
	narrow: demandNarrow + " AND ($7::bigint = 0 OR h.placement_id = $7)",
	names: map[Dimension]string{
		ByAdvertiser: "c.advertiser_id", ByCampaign: "l.campaign_id", ByLineItem: "h.line_item_id",
		ByCreative: "h.creative_id", ByPlacement: "h.placement_id",
		ByExchange: fmt.Sprintf("CASE WHEN h.creative_id = 0 AND h.placement_id = 0 THEN %d ELSE h.exchange_id END", OtherExchange),
	},
	figures: same("impressions", "viewables", "clicks", "wins", "conversions", "view_conversions",
		"video_starts", "video_first_quartiles", "video_midpoints", "video_third_quartiles", "video_completes",
		"late_impressions", "invalid", "credited_impressions",
		"conversion_value_micros", "spend_micros", "revenue_micros", "overage_micros", "credited_micros", "credited_revenue_micros"),
	folded: "h.creative_id = 0 AND h.placement_id = 0",
}

var audienceSource = reportSource{
	hours: "report_audience_hour", days: "report_audience_day",
	day: demandSource.day, joins: demandJoins,
	narrow: demandNarrow + " AND $7::bigint = 0",
	names: map[Dimension]string{
		ByAdvertiser: "c.advertiser_id", ByCampaign: "l.campaign_id", ByLineItem: "h.line_item_id",
		ByCountry: "h.country", ByDevice: "CASE WHEN h.country = 'other' THEN '' ELSE h.device END", ByInvalid: "h.invalid",
	},
	figures: map[string]string{
		"impressions":  "sum(h.impressions) FILTER (WHERE h.invalid = '')",
		"viewables":    "sum(h.viewables) FILTER (WHERE h.invalid = '')",
		"clicks":       "sum(h.clicks) FILTER (WHERE h.invalid = '')",
		"conversions":  "sum(h.conversions) FILTER (WHERE h.invalid = '')",
		"invalid":      "sum(h.impressions + h.viewables + h.clicks + h.conversions) FILTER (WHERE h.invalid <> '')",
		"spend_micros": "sum(h.spend_micros)",
	},
	folded: "h.country = 'other'",
}

var supplySource = reportSource{
	hours: "report_supply_hour", days: "report_supply_day",
	day: supplyDay,
	joins: `
	JOIN placement AS m ON m.id = h.placement_id
	JOIN property AS s ON s.id = m.property_id`,
	narrow: "($3::bigint IS NULL OR s.publisher_id = $3) AND ($7::bigint = 0 OR h.placement_id = $7) AND $4::bigint + $5::bigint + $6::bigint = 0",
	names:  map[Dimension]string{ByPlacement: "h.placement_id", ByExchange: "h.exchange_id", ByNoFill: "h.no_fill"},
	figures: map[string]string{
		"decisions": "sum(h.decisions)", "filled": "sum(h.decisions) FILTER (WHERE h.no_fill = '')",
		"bids":        "sum(h.decisions) FILTER (WHERE h.no_fill = '' AND h.exchange_id <> 0)",
		"impressions": "sum(h.impressions)", "viewables": "sum(h.viewables)", "clicks": "sum(h.clicks)", "wins": "sum(h.wins)",
		"late_impressions": "sum(h.late_impressions)", "invalid": "sum(h.invalid)",
		"revenue_micros": "sum(h.revenue_micros)", "credited_revenue_micros": "sum(h.credited_revenue_micros)",
	},
}

// figureNames is the order in which Counts scans them: counts, then amounts.
var figureNames = []string{
	"decisions", "filled", "bids", "impressions", "viewables", "clicks", "wins", "conversions", "view_conversions",
	"video_starts", "video_first_quartiles", "video_midpoints", "video_third_quartiles", "video_completes",
	"late_impressions", "invalid", "credited_impressions",
	"conversion_value_micros", "spend_micros", "revenue_micros", "overage_micros", "credited_micros", "credited_revenue_micros",
}

// groups tells whether q asks for a dimension that only this source has.
func (q ReportQuery) groups(source reportSource) bool {
	return slices.ContainsFunc(q.Group, func(d Dimension) bool {
		_, has := source.names[d]
		_, first := demandSource.names[d]
		return has && !first
	})
}

// allows refuses dimensions that the source has not.
func (s *reportSource) allows(group []Dimension) error {
	for i, d := range group {
		if slices.Contains(group[:i], d) {
			return wrong("group", ad.Unknown, fmt.Sprintf("names %s twice", d))
		}
		if _, ok := s.names[d]; !ok && d != ByHour && d != ByDay {
			return wrong("group", ad.Unknown, fmt.Sprintf("cannot have %q here: country, device and invalid go with neither creative, placement nor exchange, "+
				"and what a report has not is in the lake", d))
		}
	}
	return nil
}

// name is the expression of a dimension.
func (s *reportSource) name(d Dimension, daily bool) string {
	switch {
	case d == ByHour:
		return "h.hour"
	case d == ByDay && daily:
		return "h.day"
	case d == ByDay:
		return s.day
	}
	return s.names[d]
}

// sql is the statement of a report: $1 and $2 are its bounds, $3 its scope, $4 to
// $7 what narrows it, $8 the most rows. All that varies comes from the tables above.
func (s *reportSource) sql(group []Dimension, daily bool, only string) string {
	var columns, by []string
	for i, d := range allDimensions {
		switch {
		case slices.Contains(group, d):
			columns = append(columns, s.name(d, daily))
			by = append(by, fmt.Sprint(i+1))
		case nothing[d] != "":
			columns = append(columns, nothing[d])
		default:
			columns = append(columns, "0::bigint")
		}
	}
	for _, name := range figureNames {
		figure := s.figures[name]
		if figure == "" {
			figure = "0"
		}
		columns = append(columns, "COALESCE("+figure+", 0)::bigint")
	}
	from := s.hours + " AS h" + s.joins + " WHERE h.hour >= $1 AND h.hour < $2"
	if daily {
		from = s.days + " AS h" + s.joins + " WHERE h.day >= $1::text::date AND h.day < $2::text::date"
	}
	if only != "" {
		only = " AND " + only
	}
	sql := "SELECT " + strings.Join(columns, ", ") + " FROM " + from + " AND " + s.narrow + only
	if len(by) > 0 {
		list := strings.Join(by, ", ")
		sql += " GROUP BY " + list + " ORDER BY " + list
	} else {
		sql += " HAVING count(*) > 0"
	}
	return sql + " LIMIT $8"
}
