package admin

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hayate-ads/hayate/admin/report"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// figuresBody are a report's figures. Rates are decimals, left out where they are
// not defined.
type figuresBody struct {
	Impressions         int64        `json:"impressions"`
	Clicks              int64        `json:"clicks"`
	Viewables           int64        `json:"viewables"`
	Wins                int64        `json:"wins" doc:"Win notices of exchanges."`
	Invalid             int64        `json:"invalid" doc:"Events judged invalid traffic; in no other figure."`
	LateImpressions     int64        `json:"late_impressions" doc:"Of impressions: reported after their hold, without room left to charge them."`
	CTR                 string       `json:"ctr,omitempty" doc:"clicks by impressions." example:"0.012346"`
	ViewableRate        string       `json:"viewable_rate,omitempty" doc:"viewables by impressions."`
	ECPM                string       `json:"ecpm,omitempty" doc:"Spend, of supply revenue, per thousand impressions, to a hundredth."`
	Revenue             money.Micros `json:"revenue" doc:"The publisher's share; of supply reports, and for operators."`
	CreditedRevenue     money.Micros `json:"credited_revenue" doc:"Of revenue: taken back, its traffic having been found invalid afterwards."`
	CreditedImpressions int64        `json:"credited_impressions" doc:"Of impressions: found invalid afterwards."`
}

func figuresOf(c postgres.Counts, amount money.Micros) figuresBody {
	return figuresBody{
		Impressions: c.Impressions, Clicks: c.Clicks, Viewables: c.Viewables, Wins: c.Wins, Invalid: c.Invalid, LateImpressions: c.LateImpressions,
		CTR: report.Ratio(c.Clicks, c.Impressions), ViewableRate: report.Ratio(c.Viewables, c.Impressions), ECPM: report.Rate(amount, c.Impressions),
		Revenue: c.Revenue, CreditedRevenue: c.CreditedRevenue, CreditedImpressions: c.CreditedImpressions,
	}
}

// demandFiguresBody are those of a report of what was bought.
type demandFiguresBody struct {
	figuresBody
	Conversions         int64        `json:"conversions" doc:"After a click or an impression."`
	ClickConversions    int64        `json:"click_conversions" doc:"After a click. By country, device and reason all count here."`
	ViewConversions     int64        `json:"view_conversions" doc:"After an impression."`
	ConversionRate      string       `json:"conversion_rate,omitempty" doc:"conversions by clicks."`
	ConversionValue     money.Micros `json:"conversion_value" doc:"As the advertiser stated it."`
	VideoStarts         int64        `json:"video_starts"`
	VideoFirstQuartiles int64        `json:"video_first_quartiles"`
	VideoMidpoints      int64        `json:"video_midpoints"`
	VideoThirdQuartiles int64        `json:"video_third_quartiles"`
	VideoCompletes      int64        `json:"video_completes"`
	Spend               money.Micros `json:"spend" doc:"Charged."`
	Credited            money.Micros `json:"credited" doc:"Of spend: given back, its traffic having been found invalid afterwards."`
	NetSpend            money.Micros `json:"net_spend" doc:"spend less credited."`
	CPA                 string       `json:"cpa,omitempty" doc:"spend by conversions, to a hundredth."`
	Overage             money.Micros `json:"overage" doc:"Delivered and not charged; for operators."`
}

func demandFiguresOf(c postgres.Counts) demandFiguresBody {
	n := report.Conversions(c)
	return demandFiguresBody{
		figuresBody: figuresOf(c, c.Spend), Conversions: n, ClickConversions: c.Conversions, ViewConversions: c.ViewConversions,
		ConversionRate: report.Ratio(n, c.Clicks), ConversionValue: c.ConversionValue,
		VideoStarts: c.Video[event.Start], VideoFirstQuartiles: c.Video[event.FirstQuartile], VideoMidpoints: c.Video[event.Midpoint],
		VideoThirdQuartiles: c.Video[event.ThirdQuartile], VideoCompletes: c.Video[event.Complete],
		Spend: c.Spend, Credited: c.Credited, NetSpend: c.Spend - c.Credited, CPA: report.Per(c.Spend, n), Overage: c.Overage,
	}
}

// reportNameBody is what a row is of: the dimensions that the report is grouped by.
type reportNameBody struct {
	Hour         *time.Time `json:"hour,omitempty"`
	Day          string     `json:"day,omitempty" doc:"A date of the advertiser's time zone; of supply, of UTC." example:"2026-04-01"`
	AdvertiserID ad.ID      `json:"advertiser_id,omitempty"`
	CampaignID   ad.ID      `json:"campaign_id,omitempty"`
	LineItemID   ad.ID      `json:"line_item_id,omitempty"`
	CreativeID   *ad.ID     `json:"creative_id,omitempty" doc:"0: other, beyond what an hour's report tells apart."`
	PlacementID  *ad.ID     `json:"placement_id,omitempty" doc:"0: other."`
	ExchangeID   *ad.ID     `json:"exchange_id,omitempty" doc:"0: own inventory; -1: other."`
	Country      *string    `json:"country,omitempty" doc:"ISO 3166-1 alpha-2; empty: unknown; other."`
	Device       *string    `json:"device,omitempty" doc:"As targeting names device types; empty with country other."`
	InvalidAs    *string    `json:"invalid_reason,omitempty" doc:"Why the row's events are invalid traffic; empty: they are valid."`
	NoFillReason *string    `json:"no_fill_reason,omitempty" doc:"Why there was no ad; empty: there was one."`
	RestatedAt   *time.Time `json:"restated_at,omitempty" doc:"When something came last after the hour, or one of the day, had been complete."`
}

func reportNameOf(d reportData, row reportRow, restated map[int64]time.Time) (n reportNameBody) {
	n.AdvertiserID, n.CampaignID, n.LineItemID = row.Advertiser, row.Campaign, row.LineItem
	for _, dimension := range d.group {
		switch dimension {
		case postgres.ByHour:
			n.Hour, n.RestatedAt = &row.Hour, maybe(restated[row.Hour.Unix()])
		case postgres.ByDay:
			n.Day, n.RestatedAt = row.Day.Format(time.DateOnly), maybe(restated[-row.Day.Unix()])
		case postgres.ByCreative:
			n.CreativeID = &row.Creative
		case postgres.ByPlacement:
			n.PlacementID = &row.Placement
		case postgres.ByExchange:
			n.ExchangeID = &row.Exchange
		case postgres.ByCountry:
			n.Country = &row.Country
		case postgres.ByDevice:
			n.Device = &row.Device
		case postgres.ByInvalid:
			n.InvalidAs = &row.Invalid
		case postgres.ByNoFill:
			n.NoFillReason = &row.NoFill
		}
	}
	return n
}

// reportHeadBody says what a report covers and how complete it is.
type reportHeadBody struct {
	From      time.Time            `json:"from"`
	To        time.Time            `json:"to"`
	Group     []postgres.Dimension `json:"group" nullable:"false"`
	Daily     bool                 `json:"daily" doc:"Made from whole days: longer than 92 days, or of hours that are no longer kept."`
	SettledTo *time.Time           `json:"settled_to,omitempty" doc:"Every event before this moment is counted; left out: nothing was settled yet."`
	Restated  []reportRestatedBody `json:"restated" nullable:"false" doc:"Hours for which something came after they had been complete."`
}

type reportRestatedBody struct {
	Hour   time.Time `json:"hour"`
	At     time.Time `json:"at" doc:"When the last of it came."`
	Events int64     `json:"events,omitempty" doc:"How much, of all that was delivered; for operators."`
}

func reportHeadOf(d reportData) reportHeadBody {
	head := reportHeadBody{
		From: d.Range.From, To: d.Range.To, Group: d.group, Daily: d.Daily, SettledTo: maybe(d.Freshness), Restated: []reportRestatedBody{},
	}
	for _, r := range d.Restated {
		head.Restated = append(head.Restated, reportRestatedBody(r))
	}
	return head
}

type reportRowBody struct {
	reportNameBody
	demandFiguresBody
}

type reportBody struct {
	reportHeadBody
	Total demandFiguresBody `json:"total"`
	Other demandFiguresBody `json:"other" doc:"Of total: what came when an hour had more combinations than are told apart. Its creative, placement and exchange, or country and device, are other."`
	Rows  []reportRowBody   `json:"rows" nullable:"false"`
}

func reportBodyOf(d reportData) reportBody {
	body := reportBody{reportHeadBody: reportHeadOf(d), Total: demandFiguresOf(d.Total), Other: demandFiguresOf(d.Folded), Rows: []reportRowBody{}}
	restated := d.restatedAt()
	for _, row := range d.rows {
		body.Rows = append(body.Rows, reportRowBody{reportNameOf(d, row, restated), demandFiguresOf(row.Counts)})
	}
	return body
}

// supplyFiguresBody are a supply report's figures.
type supplyFiguresBody struct {
	figuresBody
	NetRevenue money.Micros     `json:"net_revenue" doc:"revenue less credited_revenue."`
	Bids       int64            `json:"bids" doc:"How often an ad was offered to an exchange."`
	WinRate    string           `json:"win_rate,omitempty" doc:"wins by bids."`
	Decisions  int64            `json:"decisions" doc:"How often an ad was asked for."`
	Filled     int64            `json:"filled" doc:"How often there was one."`
	FillRate   string           `json:"fill_rate,omitempty" doc:"filled by decisions, a decimal; left out: no decision." example:"0.84"`
	NoFill     map[string]int64 `json:"no_fill,omitempty" doc:"Decisions without an ad, by reason."`
}

func supplyFiguresOf(c postgres.Counts, noFill map[string]int64) supplyFiguresBody {
	return supplyFiguresBody{
		figuresBody: figuresOf(c, c.Revenue), NetRevenue: c.Revenue - c.CreditedRevenue, Bids: c.Bids, WinRate: report.Ratio(c.Wins, c.Bids),
		Decisions: c.Decisions, Filled: c.Filled, FillRate: report.Ratio(c.Filled, c.Decisions), NoFill: noFill,
	}
}

type supplyRowBody struct {
	reportNameBody
	supplyFiguresBody
}

type supplyBody struct {
	reportHeadBody
	Total supplyFiguresBody `json:"total"`
	Rows  []supplyRowBody   `json:"rows" nullable:"false"`
}

func supplyBodyOf(d reportData) supplyBody {
	body := supplyBody{reportHeadBody: reportHeadOf(d), Total: supplyFiguresOf(d.Total, d.noFill), Rows: []supplyRowBody{}}
	restated := d.restatedAt()
	for _, row := range d.rows {
		body.Rows = append(body.Rows, supplyRowBody{reportNameOf(d, row, restated), supplyFiguresOf(row.Counts, row.noFill)})
	}
	return body
}

// apiReport serves the two reports: what was bought, by line item, and what was
// sold, by placement.
func (c *console) apiReport(api huma.API) {
	demand := huma.Operation{OperationID: "report", Method: http.MethodGet, Path: "/api/v1/report", Summary: "What was delivered, by hour and line item or whatever else"}
	reportRoute[reportBody]{demand, mayEditDemand, c.readReport, reportBodyOf}.register(c, api)
	supply := huma.Operation{OperationID: "supply-report", Method: http.MethodGet, Path: "/api/v1/supply", Summary: "What was asked for and sold, by hour and placement or whatever else"}
	reportRoute[supplyBody]{supply, mayEditSupply, c.readSupply, supplyBodyOf}.register(c, api)
}

// reportRoute is one report: who may read it, from where, and as what.
type reportRoute[Body any] struct {
	op   huma.Operation
	may  func(context.Context) bool
	read func(context.Context, reportInput) (reportData, error)
	body func(reportData) Body
}

func (r reportRoute[Body]) register(c *console, api huma.API) {
	op := r.op
	op.Tags = []string{"report"}
	huma.Register(api, op, func(ctx context.Context, in *reportInput) (*answer[Body], error) {
		return respond(ctx, c, op.OperationID, func() (b Body, err error) {
			if !r.may(ctx) {
				return b, postgres.ErrForbidden
			}
			d, err := r.read(ctx, *in)
			if err != nil {
				return b, err
			}
			return r.body(d), nil
		})
	})
}

// accountBody is one budget of a line item.
type accountBody struct {
	Wanted  *money.Micros `json:"wanted,omitempty" doc:"The budget as set; left out: no limit."`
	Limit   *money.Micros `json:"limit,omitempty" doc:"The limit in force: above wanted while more than a lowered budget is out; left out: none."`
	Settled money.Micros  `json:"settled" doc:"Charged."`
	Leased  money.Micros  `json:"leased" doc:"Held by delivery: will be charged or come back."`
}

type exposureBody struct {
	LineItemID ad.ID       `json:"line_item_id"`
	Lifetime   accountBody `json:"lifetime"`
	Day        string      `json:"day" doc:"Today's date in the advertiser's time zone." example:"2026-04-01"`
	Today      accountBody `json:"today"`
}

// apiExposure serves how far a line item's budgets are used.
func (c *console) apiExposure(api huma.API) {
	op := huma.Operation{
		OperationID: "get-exposure", Method: http.MethodGet, Path: "/api/v1/line-items/{id}/exposure", Tags: []string{"line-items"},
		Summary: "How far the budgets of a line item are used",
	}
	huma.Register(api, op, func(ctx context.Context, in *idRequest) (*answer[exposureBody], error) {
		return respond(ctx, c, op.OperationID, func() (exposureBody, error) {
			e, err := c.db.Exposure(ctx, actorOf(ctx), in.ID)
			return exposureBody{in.ID, accountBody(e.Lifetime), e.Day.Format(time.DateOnly), accountBody(e.Today)}, err
		})
	})
}
