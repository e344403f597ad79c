package report

import (
	"strconv"

	"github.com/hayate-ads/hayate/admin/views"
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// Figure is one column of a report: a count, an amount, or a rate of two of them.
type Figure struct {
	Name      string                       // in CSV, queries and texts
	Text      func(postgres.Counts) string // for people: a dash for what is undefined
	Value     func(postgres.Counts) string // for programs: "" likewise
	Operators bool                         // for operators only
	Audience  bool                         // by country, device and reason there is this too
}

// DemandFigures are the columns of a report of what was bought.
var DemandFigures = []Figure{
	count("impressions", func(c postgres.Counts) int64 { return c.Impressions }).audience(),
	count("viewables", func(c postgres.Counts) int64 { return c.Viewables }).audience(),
	share("viewable_rate", func(c postgres.Counts) (int64, int64) { return c.Viewables, c.Impressions }).audience(),
	count("clicks", func(c postgres.Counts) int64 { return c.Clicks }).audience(),
	share("ctr", func(c postgres.Counts) (int64, int64) { return c.Clicks, c.Impressions }).audience(),
	count("wins", func(c postgres.Counts) int64 { return c.Wins }),
	count("conversions", Conversions).audience(),
	count("click_conversions", func(c postgres.Counts) int64 { return c.Conversions }),
	count("view_conversions", func(c postgres.Counts) int64 { return c.ViewConversions }),
	share("conversion_rate", func(c postgres.Counts) (int64, int64) { return Conversions(c), c.Clicks }).audience(),
	amount("conversion_value", func(c postgres.Counts) money.Micros { return c.ConversionValue }),
	count("video_starts", func(c postgres.Counts) int64 { return c.Video[event.Start] }),
	count("video_first_quartiles", func(c postgres.Counts) int64 { return c.Video[event.FirstQuartile] }),
	count("video_midpoints", func(c postgres.Counts) int64 { return c.Video[event.Midpoint] }),
	count("video_third_quartiles", func(c postgres.Counts) int64 { return c.Video[event.ThirdQuartile] }),
	count("video_completes", func(c postgres.Counts) int64 { return c.Video[event.Complete] }),
	amount("spend", func(c postgres.Counts) money.Micros { return c.Spend }).audience(),
	amount("credited", func(c postgres.Counts) money.Micros { return c.Credited }),
	amount("net_spend", func(c postgres.Counts) money.Micros { return c.Spend - c.Credited }),
	price("ecpm", func(c postgres.Counts) (money.Micros, int64, int64) { return c.Spend, 1000, c.Impressions }).audience(),
	price("cpa", func(c postgres.Counts) (money.Micros, int64, int64) { return c.Spend, 1, Conversions(c) }).audience(),
	count("credited_impressions", func(c postgres.Counts) int64 { return c.CreditedImpressions }),
	count("late_impressions", func(c postgres.Counts) int64 { return c.LateImpressions }),
	count("invalid", func(c postgres.Counts) int64 { return c.Invalid }).audience(),
	amount("revenue", func(c postgres.Counts) money.Micros { return c.Revenue }).operators(),
	amount("credited_revenue", func(c postgres.Counts) money.Micros { return c.CreditedRevenue }).operators(),
	amount("overage", func(c postgres.Counts) money.Micros { return c.Overage }).operators(),
}

// SupplyFigures are the columns of a report of what was asked for and sold.
var SupplyFigures = []Figure{
	count("decisions", func(c postgres.Counts) int64 { return c.Decisions }),
	count("filled", func(c postgres.Counts) int64 { return c.Filled }),
	share("fill_rate", func(c postgres.Counts) (int64, int64) { return c.Filled, c.Decisions }),
	count("bids", func(c postgres.Counts) int64 { return c.Bids }),
	count("wins", func(c postgres.Counts) int64 { return c.Wins }),
	share("win_rate", func(c postgres.Counts) (int64, int64) { return c.Wins, c.Bids }),
	count("impressions", func(c postgres.Counts) int64 { return c.Impressions }),
	count("viewables", func(c postgres.Counts) int64 { return c.Viewables }),
	share("viewable_rate", func(c postgres.Counts) (int64, int64) { return c.Viewables, c.Impressions }),
	count("clicks", func(c postgres.Counts) int64 { return c.Clicks }),
	share("ctr", func(c postgres.Counts) (int64, int64) { return c.Clicks, c.Impressions }),
	amount("revenue", func(c postgres.Counts) money.Micros { return c.Revenue }),
	amount("credited_revenue", func(c postgres.Counts) money.Micros { return c.CreditedRevenue }),
	amount("net_revenue", func(c postgres.Counts) money.Micros { return c.Revenue - c.CreditedRevenue }),
	price("ecpm", func(c postgres.Counts) (money.Micros, int64, int64) { return c.Revenue, 1000, c.Impressions }),
	count("late_impressions", func(c postgres.Counts) int64 { return c.LateImpressions }),
	count("invalid", func(c postgres.Counts) int64 { return c.Invalid }),
}

// Conversions is those of both kinds.
func Conversions(c postgres.Counts) int64 { return c.Conversions + c.ViewConversions }

func (f Figure) audience() Figure {
	f.Audience = true
	return f
}

func (f Figure) operators() Figure {
	f.Operators = true
	return f
}

func count(name string, n func(postgres.Counts) int64) Figure {
	return Figure{
		Name:  name,
		Text:  func(c postgres.Counts) string { return views.Count(n(c)) },
		Value: func(c postgres.Counts) string { return strconv.FormatInt(n(c), 10) },
	}
}

func amount(name string, of func(postgres.Counts) money.Micros) Figure {
	text := func(c postgres.Counts) string { return of(c).String() }
	return Figure{Name: name, Text: text, Value: text}
}

func share(name string, parts func(postgres.Counts) (part, whole int64)) Figure {
	return Figure{
		Name:  name,
		Text:  func(c postgres.Counts) string { return Percent(parts(c)) },
		Value: func(c postgres.Counts) string { return Ratio(parts(c)) },
	}
}

// price is an amount by so many of something, to a hundredth of a unit.
func price(name string, parts func(postgres.Counts) (amount money.Micros, per, of int64)) Figure {
	value := func(c postgres.Counts, none string) string {
		amount, per, of := parts(c)
		if of <= 0 {
			return none
		}
		return Round(max(amount, 0).MulDiv(per, of))
	}
	return Figure{
		Name:  name,
		Text:  func(c postgres.Counts) string { return value(c, "–") },
		Value: func(c postgres.Counts) string { return value(c, "") },
	}
}
