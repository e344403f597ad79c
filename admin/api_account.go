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

type userBody struct {
	ID           ad.ID  `json:"id"`
	Email        string `json:"email"`
	Name         string `json:"name"`
	Role         string `json:"role"`
	AdvertiserID ad.ID  `json:"advertiser_id,omitempty"`
	PublisherID  ad.ID  `json:"publisher_id,omitempty"`
	Language     string `json:"language"`
	Status       string `json:"status"`
	StampBody
}

func userBodyOf(u ad.User) userBody {
	return userBody{u.ID, u.Email, u.Name, string(u.Role), u.AdvertiserID, u.PublisherID, u.Language, string(u.Status), stampBody(u.Stamp)}
}

func (c *console) apiAccount(api huma.API) {
	users := resource[userInput, userBody]{c, api, "users", saver(c.saveUser, userBodyOf), finder(c.db.FindUser, userBodyOf), finder(c.db.FindUser, userInputOf)}
	users.register()
	registerList(users, func(ctx context.Context, q PageQuery) (listBody[userBody], error) {
		found, err := c.db.Users(ctx, actorOf(ctx), q.page())
		return listOf(found, q, userBodyOf, func(u ad.User) ad.ID { return u.ID }), err
	})
	me := users.operation(http.MethodGet, "", "Me")
	me.OperationID, me.Path, me.Summary = "me", "/api/v1/me", "Who the token or session speaks for"
	huma.Register(api, me, func(ctx context.Context, _ *struct{}) (*answer[userBody], error) {
		return &answer[userBody]{userBodyOf(*userOf(ctx))}, nil
	})
}

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

// apiReport serves the two reports: what was bought, by line item, and what was
// sold, by placement.
func (c *console) apiReport(api huma.API) {
	register := func(path, id, summary string, read func(context.Context, reportInput) (reportData, error), roles func(context.Context) bool) {
		op := huma.Operation{OperationID: id, Method: http.MethodGet, Path: path, Summary: summary, Tags: []string{"report"}}
		huma.Register(api, op, func(ctx context.Context, in *reportInput) (*answer[reportBody], error) {
			return respond(ctx, c, id, func() (reportBody, error) {
				if !roles(ctx) {
					return reportBody{}, postgres.ErrForbidden
				}
				d, err := read(ctx, *in)
				return reportBodyOf(d), err
			})
		})
	}
	register("/api/v1/report", "report", "What was delivered, by hour and line item", c.readReport, mayEditDemand)
	register("/api/v1/supply", "supply-report", "What was sold, by hour and placement", c.readSupply, mayEditSupply)
}
