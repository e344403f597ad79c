package admin

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hayate-ads/hayate/admin/views"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// recentConversions is how many conversions the page and the API list.
const recentConversions = 200

func conversionsPath(advertiser ad.ID) string { return advertiserPath(advertiser) + "/conversions" }

// conversionsPage says how an advertiser's conversions are measured, and which
// ones were.
func (c *console) conversionsPage(w http.ResponseWriter, r *http.Request) error {
	ctx, lang := r.Context(), langOf(r)
	ch, err := c.advertiserChain(r)
	if err != nil {
		return err
	}
	a := ch.advertiser
	found, err := c.db.Conversions(ctx, actorOf(ctx), a.ID, recentConversions)
	if err != nil {
		return err
	}
	page := views.Page{Title: views.T(lang, "conversion.title"), Kind: views.T(lang, "noun.advertiser"), Section: "advertisers", Crumbs: ch.crumbs(ctx, 1)}
	if isOperator(ctx) && a.Status != ad.Archived {
		page.Actions = []views.Action{{Text: views.T(lang, "conversion.change_windows"), URL: advertiserPath(a.ID) + "/edit"}}
	}
	return c.show(w, r, views.Conversions(page, windowDetails(lang, a), c.conversionSnippets(lang, a), conversionTable(lang, found, ch.zone)))
}

func windowDetails(lang string, a ad.Advertiser) []views.Detail {
	return []views.Detail{
		{Name: views.T(lang, "advertiser.click_window"), Value: days(lang, a.ClickWindowDays)},
		{Name: views.T(lang, "advertiser.view_window"), Value: days(lang, a.ViewWindowDays)},
	}
}

func days(lang string, n int) string {
	switch n {
	case 0:
		return views.T(lang, "conversion.no_view")
	case 1:
		return views.T(lang, "conversion.day", n)
	}
	return views.T(lang, "conversion.days", n)
}

// conversionSnippets are the ways to measure, ready to be copied.
func (c *console) conversionSnippets(lang string, a ad.Advertiser) []views.Snippeted {
	delivery := c.config.DeliveryURL
	return []views.Snippeted{
		{
			Title: views.T(lang, "conversion.pixel"), Text: views.T(lang, "conversion.pixel_text"),
			Code: fmt.Sprintf(`<img src="%s/c/%d?order=ORDER&amp;value=VALUE" width="1" height="1" alt="">`, delivery, a.ID),
		},
		{
			Title: views.T(lang, "conversion.landing"), Text: views.T(lang, "conversion.landing_text"),
			Code: fmt.Sprintf("https://%s/?hy={conversion}", a.Domain),
		},
		{
			Title: views.T(lang, "conversion.postback"), Text: views.T(lang, "conversion.postback_text"),
			Code: fmt.Sprintf(`curl -X POST "%s/t/x/TOKEN?order=ORDER&value=VALUE"`, delivery),
		},
	}
}

func conversionTable(lang string, found []postgres.Conversion, zone *time.Location) views.Table {
	table := views.Table{
		Title: views.T(lang, "conversion.recent"),
		Columns: names(column(lang, "conversion.order"), column(lang, "conversion.at"), column(lang, "noun.line_item"), column(lang, "conversion.after"),
			numbers(lang, "conversion.value")),
		Empty: views.Empty{Title: views.T(lang, "conversion.none"), Text: views.T(lang, "conversion.none_text")},
	}
	for _, v := range found {
		table.Rows = append(table.Rows, []views.Cell{
			{Text: v.Order}, {Text: views.Moment(v.At, zone)}, {Text: v.LineItemName, URL: lineItemPath(v.LineItem)},
			{Badges: []views.Badge{touchBadge(lang, v.PostView)}, Note: views.Moment(v.Touched, zone)}, {Text: v.Value.String(), Number: true},
		})
	}
	return table
}

func touchBadge(lang string, postView bool) views.Badge {
	if postView {
		return views.Badge{Text: views.T(lang, "conversion.post_view"), Kind: "off"}
	}
	return views.Badge{Text: views.T(lang, "conversion.post_click"), Kind: "info"}
}

type conversionBody struct {
	Order      string       `json:"order" doc:"The advertiser's order id; of a conversion without one, its reservation's name."`
	LineItemID ad.ID        `json:"line_item_id"`
	CreativeID ad.ID        `json:"creative_id"`
	After      string       `json:"after" enum:"click,impression"`
	Value      money.Micros `json:"value"`
	TouchedAt  time.Time    `json:"touched_at" doc:"When the click or the impression was."`
	At         time.Time    `json:"at"`
}

func conversionBodyOf(v postgres.Conversion) conversionBody {
	after := "click"
	if v.PostView {
		after = "impression"
	}
	return conversionBody{v.Order, v.LineItem, v.Creative, after, v.Value, v.Touched, v.At}
}

type conversionList struct {
	Items []conversionBody `json:"items" nullable:"false"`
}

func (c *console) apiConversions(api huma.API) {
	op := huma.Operation{
		OperationID: "list-conversions", Method: http.MethodGet, Path: "/api/v1/advertisers/{id}/conversions", Tags: []string{"advertisers"},
		Summary: "List the newest conversions of an advertiser, at most 200",
	}
	huma.Register(api, op, func(ctx context.Context, in *idRequest) (*answer[conversionList], error) {
		return respond(ctx, c, op.OperationID, func() (conversionList, error) {
			body := conversionList{Items: []conversionBody{}}
			if !mayEditDemand(ctx) {
				return body, postgres.ErrForbidden
			}
			if _, err := c.db.FindAdvertiser(ctx, actorOf(ctx), in.ID); err != nil {
				return body, err
			}
			found, err := c.db.Conversions(ctx, actorOf(ctx), in.ID, recentConversions)
			for _, v := range found {
				body.Items = append(body.Items, conversionBodyOf(v))
			}
			return body, err
		})
	})
}
