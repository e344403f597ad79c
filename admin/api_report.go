package admin

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hayate-ads/hayate/admin/report"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// figuresBody are a report's figures.
type figuresBody struct {
	Impressions int64        `json:"impressions"`
	Clicks      int64        `json:"clicks"`
	Viewables   int64        `json:"viewables"`
	Invalid     int64        `json:"invalid" doc:"Events judged invalid traffic; in no other figure."`
	Spend       money.Micros `json:"spend"`
	Revenue     money.Micros `json:"revenue" doc:"The publisher's share; of supply reports."`
}

func figuresOf(c postgres.Counts) figuresBody {
	return figuresBody{c.Impressions, c.Clicks, c.Viewables, c.Invalid, c.Spend, c.Revenue}
}

type reportRowBody struct {
	Hour         time.Time `json:"hour"`
	AdvertiserID ad.ID     `json:"advertiser_id,omitempty"`
	CampaignID   ad.ID     `json:"campaign_id,omitempty"`
	LineItemID   ad.ID     `json:"line_item_id,omitempty"`
	PlacementID  ad.ID     `json:"placement_id,omitempty"`
	figuresBody
}

type reportBody struct {
	From      time.Time       `json:"from"`
	To        time.Time       `json:"to"`
	SettledTo *time.Time      `json:"settled_to,omitempty" doc:"Every event before this moment is counted; left out: nothing was settled yet."`
	Total     figuresBody     `json:"total"`
	Rows      []reportRowBody `json:"rows" nullable:"false"`
}

func reportBodyOf(d reportData) reportBody {
	body := reportBody{From: d.Range.From, To: d.Range.To, SettledTo: maybe(d.fresh), Total: figuresOf(report.Total(d.rows)), Rows: []reportRowBody{}}
	for _, row := range d.rows {
		body.Rows = append(body.Rows, reportRowBody{row.Hour, row.Advertiser, row.Campaign, row.LineItem, row.Placement, figuresOf(row.Counts)})
	}
	return body
}

// supplyFiguresBody are a supply report's figures.
type supplyFiguresBody struct {
	figuresBody
	Decisions int64            `json:"decisions" doc:"How often an ad was asked for."`
	Filled    int64            `json:"filled" doc:"How often there was one."`
	FillRate  string           `json:"fill_rate,omitempty" doc:"filled by decisions, a decimal; left out: no decision." example:"0.84"`
	NoFill    map[string]int64 `json:"no_fill,omitempty" doc:"Decisions without an ad, by reason."`
}

func supplyFiguresOf(c postgres.Counts, f report.Fill) supplyFiguresBody {
	return supplyFiguresBody{figuresOf(c), f.Decisions, f.Filled, report.Ratio(f.Filled, f.Decisions), f.NoFill}
}

type supplyRowBody struct {
	Hour        time.Time `json:"hour"`
	PlacementID ad.ID     `json:"placement_id"`
	supplyFiguresBody
}

type supplyBody struct {
	From      time.Time         `json:"from"`
	To        time.Time         `json:"to"`
	SettledTo *time.Time        `json:"settled_to,omitempty" doc:"Every event before this moment is counted; left out: nothing was settled yet."`
	Total     supplyFiguresBody `json:"total"`
	Rows      []supplyRowBody   `json:"rows" nullable:"false"`
}

func supplyBodyOf(d reportData) supplyBody {
	body := supplyBody{From: d.Range.From, To: d.Range.To, SettledTo: maybe(d.fresh), Total: supplyFiguresOf(report.Total(d.rows), report.TotalFill(d.fill)), Rows: []supplyRowBody{}}
	for _, row := range supplyRows(d) {
		body.Rows = append(body.Rows, supplyRowBody{row.hour, row.placement, supplyFiguresOf(row.Counts, row.Fill)})
	}
	return body
}

// apiReport serves the two reports: what was bought, by line item, and what was
// sold, by placement.
func (c *console) apiReport(api huma.API) {
	demand := huma.Operation{OperationID: "report", Method: http.MethodGet, Path: "/api/v1/report", Summary: "What was delivered, by hour and line item"}
	reportRoute[reportBody]{demand, mayEditDemand, c.readReport, reportBodyOf}.register(c, api)
	supply := huma.Operation{OperationID: "supply-report", Method: http.MethodGet, Path: "/api/v1/supply", Summary: "What was asked for and sold, by hour and placement"}
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
