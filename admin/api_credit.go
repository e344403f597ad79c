package admin

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/postgres"
)

type creditBody struct {
	Impressions int64        `json:"impressions"`
	Charged     money.Micros `json:"charged" doc:"What the advertiser gets back."`
	Revenue     money.Micros `json:"revenue" doc:"What publishers give back; operators only."`
}

type correctionBody struct {
	ID           ad.ID     `json:"id"`
	AdvertiserID ad.ID     `json:"advertiser_id"`
	LineItemID   ad.ID     `json:"line_item_id,omitempty"`
	CreativeID   ad.ID     `json:"creative_id,omitempty"`
	PlacementID  ad.ID     `json:"placement_id,omitempty"`
	ExchangeID   *ad.ID    `json:"exchange_id,omitempty"`
	From         time.Time `json:"from"`
	To           time.Time `json:"to"`
	Why          string    `json:"why"`
	creditBody
	At     time.Time `json:"at"`
	UserID ad.ID     `json:"user_id,omitempty" doc:"Who made it; operators only."`
}

func correctionBodyOf(k ad.Correction) correctionBody {
	return correctionBody{k.ID, k.AdvertiserID, k.LineItemID, k.CreativeID, k.PlacementID, k.ExchangeID, k.From, k.To, k.Why, creditBody(k.Credit), k.At, k.UserID}
}

type creditLineBody struct {
	LineItemID ad.ID `json:"line_item_id"`
	creditBody
}

type previewBody struct {
	creditBody
	Folded    money.Micros     `json:"folded" doc:"Charged in hours whose cells cannot be told apart: not credited by a correction narrowed to a creative, placement or exchange."`
	LineItems []creditLineBody `json:"line_items" nullable:"false"`
}

func previewBodyOf(v postgres.CorrectionPreview) previewBody {
	body := previewBody{creditBody(v.Credit), v.Folded, []creditLineBody{}}
	for _, line := range v.LineItems {
		body.LineItems = append(body.LineItems, creditLineBody{line.LineItem, creditBody(line.Credit)})
	}
	return body
}

type correctionsQuery struct {
	AdvertiserID ad.ID `query:"advertiser_id" minimum:"0"`
	PageQuery
}

func creditOperation(method, id, path, summary string) huma.Operation {
	return huma.Operation{OperationID: id, Method: method, Path: "/api/v1/" + path, Summary: summary, Tags: []string{"invoices"}}
}

// apiCredits are corrections, invoices and conversions.
func (c *console) apiCredits(api huma.API) {
	c.apiCorrections(api)
	c.apiInvoices(api)
	c.apiConversions(api)
}

func (c *console) apiCorrections(api huma.API) {
	list := creditOperation(http.MethodGet, "list-corrections", "corrections", "List credits for invalid traffic, the newest first")
	huma.Register(api, list, func(ctx context.Context, q *correctionsQuery) (*listAnswer[correctionBody], error) {
		found, err := c.db.Corrections(ctx, actorOf(ctx), postgres.CorrectionFilter{AdvertiserID: q.AdvertiserID, Page: q.page()})
		if err != nil {
			return nil, c.problem(ctx, list.OperationID, err)
		}
		return &listAnswer[correctionBody]{listOf(found, q.PageQuery, correctionBodyOf, func(k ad.Correction) ad.ID { return k.ID })}, nil
	})
	get := creditOperation(http.MethodGet, "get-correction", "corrections/{id}", "Get a credit for invalid traffic")
	huma.Register(api, get, func(ctx context.Context, in *idRequest) (*answer[correctionBody], error) {
		return respond(ctx, c, get.OperationID, func() (correctionBody, error) {
			k, err := c.db.FindCorrection(ctx, actorOf(ctx), in.ID)
			return correctionBodyOf(k), err
		})
	})
	preview := creditOperation(http.MethodPost, "preview-correction", "corrections/preview", "Say what a correction would credit; changes nothing")
	huma.Register(api, preview, func(ctx context.Context, in *newRequest[correctionInput]) (*answer[previewBody], error) {
		return respond(ctx, c, preview.OperationID, func() (previewBody, error) {
			v, err := c.previewCorrection(ctx, in.Body)
			return previewBodyOf(v), err
		})
	})
	create := creditOperation(http.MethodPost, "create-correction", "corrections", "Credit what was charged for invalid traffic")
	create.DefaultStatus = http.StatusCreated
	create.Description = "Send what the preview was asked, with impressions, charged and revenue as it answered. 409 when the figures are others by now, or the correction was made already."
	huma.Register(api, create, func(ctx context.Context, in *newRequest[correctionInput]) (*answer[correctionBody], error) {
		return respond(ctx, c, create.OperationID, func() (correctionBody, error) {
			k, err := c.makeCorrection(ctx, in.Body)
			return correctionBodyOf(k), err
		})
	})
}

type invoiceMonthBody struct {
	AdvertiserID ad.ID        `json:"advertiser_id"`
	Month        string       `json:"month" example:"2026-04"`
	State        string       `json:"state" enum:"open,final" doc:"final: nothing of the month can be charged any more; later credits stand in the month they are made in."`
	Impressions  int64        `json:"impressions" doc:"Charged."`
	Charged      money.Micros `json:"charged"`
	Credited     money.Micros `json:"credited"`
	Total        money.Micros `json:"total" doc:"charged less credited."`
}

func invoiceMonthBodyOf(m postgres.InvoiceMonth) invoiceMonthBody {
	state := "open"
	if m.Final {
		state = "final"
	}
	return invoiceMonthBody{m.Advertiser, m.Month.Format(monthLayout), state, m.Impressions, m.Charged, m.Credited, m.Total()}
}

type invoiceLineBody struct {
	CampaignID  ad.ID        `json:"campaign_id"`
	Campaign    string       `json:"campaign"`
	LineItemID  ad.ID        `json:"line_item_id"`
	LineItem    string       `json:"line_item"`
	Impressions int64        `json:"impressions"`
	Charged     money.Micros `json:"charged"`
}

type invoiceCreditBody struct {
	CorrectionID ad.ID        `json:"correction_id"`
	At           time.Time    `json:"at" doc:"When it was made: it belongs to this month."`
	From         time.Time    `json:"from" doc:"The hours that it corrects."`
	To           time.Time    `json:"to"`
	LineItemID   ad.ID        `json:"line_item_id,omitempty"`
	Why          string       `json:"why"`
	Impressions  int64        `json:"impressions"`
	Credited     money.Micros `json:"credited"`
}

type invoiceBody struct {
	invoiceMonthBody
	Advertiser string              `json:"advertiser"`
	TimeZone   string              `json:"time_zone" doc:"In which the month begins and ends."`
	SettledTo  *time.Time          `json:"settled_to,omitempty" doc:"Every event before this moment is counted; left out: nothing was settled yet."`
	Lines      []invoiceLineBody   `json:"lines" nullable:"false"`
	Credits    []invoiceCreditBody `json:"credits" nullable:"false"`
}

func invoiceBodyOf(v postgres.Invoice) invoiceBody {
	body := invoiceBody{invoiceMonthBodyOf(v.InvoiceMonth), v.AdvertiserName, v.TimeZone, maybe(v.SettledTo), []invoiceLineBody{}, []invoiceCreditBody{}}
	for _, l := range v.Lines {
		body.Lines = append(body.Lines, invoiceLineBody{l.Campaign, l.CampaignName, l.LineItem, l.LineItemName, l.Impressions, l.Charged})
	}
	for _, k := range v.Credits {
		body.Credits = append(body.Credits, invoiceCreditBody{k.Correction, k.At, k.From, k.To, k.LineItem, k.Why, k.Impressions, k.Credited})
	}
	return body
}

type invoiceList struct {
	Items []invoiceMonthBody `json:"items" nullable:"false"`
}

func (c *console) apiInvoices(api huma.API) {
	list := creditOperation(http.MethodGet, "list-invoices", "invoices", "List invoices by month, the newest first, at most 500")
	list.Description = "Operators name a month, an advertiser or both."
	huma.Register(api, list, func(ctx context.Context, in *invoicesInput) (*answer[invoiceList], error) {
		return respond(ctx, c, list.OperationID, func() (invoiceList, error) {
			body := invoiceList{Items: []invoiceMonthBody{}}
			f, err := in.filter()
			if err != nil {
				return body, err
			}
			found, err := c.db.Invoices(ctx, actorOf(ctx), f)
			for _, m := range found {
				body.Items = append(body.Items, invoiceMonthBodyOf(m))
			}
			return body, err
		})
	})
	type invoiceRequest struct {
		ID    ad.ID  `path:"id" doc:"The advertiser's id."`
		Month string `path:"month" doc:"A calendar month of its time zone." example:"2026-04"`
	}
	get := creditOperation(http.MethodGet, "get-invoice", "invoices/{id}/{month}", "What an advertiser owes for a month")
	huma.Register(api, get, func(ctx context.Context, in *invoiceRequest) (*answer[invoiceBody], error) {
		return respond(ctx, c, get.OperationID, func() (invoiceBody, error) {
			month, err := parseMonth(in.Month)
			if err != nil {
				return invoiceBody{}, err
			}
			v, err := c.db.Invoice(ctx, actorOf(ctx), in.ID, month)
			return invoiceBodyOf(v), err
		})
	})
}
