package admin

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/a-h/templ"
	"github.com/danielgtaylor/huma/v2"

	"github.com/hayate-ads/hayate/admin/views"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/money"
)

const exchangeRatesPath = "/exchange-rates"

// exchangeRateInput is what people and programs send. On the page an empty value
// takes the rate away; programs say DELETE.
type exchangeRateInput struct {
	Currency string `json:"currency,omitempty" doc:"ISO 4217; over the API it stands in the path." example:"JPY"`
	Value    string `json:"value" doc:"What one unit of it is worth in the currency of all budgets, a decimal." example:"0.0067"`
	Version  int64  `json:"version,omitempty" doc:"Of a change: the version it was made from. A rate that is new has none."`
}

func (in exchangeRateInput) parse() (ad.ExchangeRate, error) {
	var p parser
	rate := ad.ExchangeRate{
		Currency: strings.ToUpper(strings.TrimSpace(in.Currency)), Value: p.amount("value", in.Value), Stamp: ad.Stamp{Version: in.Version},
	}
	return rate, p.check(rate)
}

func (c *console) saveExchangeRate(ctx context.Context, in exchangeRateInput) (ad.ExchangeRate, error) {
	rate, err := in.parse()
	if err != nil {
		return rate, err
	}
	return c.db.SetExchangeRate(ctx, actorOf(ctx), rate)
}

func (c *console) exchangeRatesPage(w http.ResponseWriter, r *http.Request) error {
	rates, err := c.db.ExchangeRates(r.Context(), actorOf(r.Context()))
	if err != nil {
		return err
	}
	var in exchangeRateInput
	for _, rate := range rates {
		if rate.Currency == r.URL.Query().Get("currency") {
			in = exchangeRateInput{Currency: rate.Currency, Value: rate.Value.String(), Version: rate.Version}
		}
	}
	return c.show(w, r, exchangeRatesView(rates, in, problems{lang: langOf(r)}))
}

func exchangeRatesView(rates []ad.ExchangeRate, in exchangeRateInput, p problems) templ.Component {
	table := views.Table{
		Columns: names(column(p.lang, "rate.currency"), numbers(p.lang, "rate.value"), column(p.lang, "stamp.updated")),
		Empty:   views.Empty{Title: p.t("rate.none"), Text: p.t("rate.none_text")},
	}
	for _, rate := range rates {
		table.Rows = append(table.Rows, []views.Cell{
			{Text: rate.Currency, URL: exchangeRatesPath + "?currency=" + rate.Currency}, {Text: rate.Value.String(), Number: true},
			{Text: views.Moment(rate.UpdatedAt, time.UTC)},
		})
	}
	form := p.form(exchangeRatesPath, in.Version, views.Section{Title: p.t("rate.set"), Fields: []views.Field{
		p.hint(p.required("currency", "rate.currency", "text", in.Currency), "rate.currency_hint"),
		p.hint(p.field("value", "rate.value", "money", in.Value), "rate.value_hint"),
	}})
	return views.ListAndForm(views.Page{Title: p.t("nav.rates"), Section: "rates"}, table, form)
}

func (c *console) postExchangeRate(w http.ResponseWriter, r *http.Request) error {
	var in exchangeRateInput
	if err := readForm(w, r, maxForm, &in); err != nil {
		return err
	}
	err := c.postedExchangeRate(r.Context(), in)
	if err == nil {
		return c.redirect(w, r, exchangeRatesPath, "notice.saved")
	}
	rates, readErr := c.db.ExchangeRates(r.Context(), actorOf(r.Context()))
	if readErr != nil {
		return readErr
	}
	return c.refill(w, r, err, func(p problems) templ.Component { return exchangeRatesView(rates, in, p) })
}

func (c *console) postedExchangeRate(ctx context.Context, in exchangeRateInput) error {
	if strings.TrimSpace(in.Value) == "" && in.Version > 0 {
		return c.db.DeleteExchangeRate(ctx, actorOf(ctx), strings.ToUpper(strings.TrimSpace(in.Currency)), in.Version)
	}
	_, err := c.saveExchangeRate(ctx, in)
	return err
}

type exchangeRateBody struct {
	Currency string       `json:"currency"`
	Value    money.Micros `json:"value" doc:"Of one unit, in the currency of all budgets."`
	StampBody
}

func exchangeRateBodyOf(r ad.ExchangeRate) exchangeRateBody {
	return exchangeRateBody{r.Currency, r.Value, stampBody(r.Stamp)}
}

type exchangeRateList struct {
	Items []exchangeRateBody `json:"items" nullable:"false"`
}

// apiExchangeRates is for operators; a rate's name is its currency.
func (c *console) apiExchangeRates(api huma.API) {
	operation := func(method, id, path, summary string) huma.Operation {
		return huma.Operation{OperationID: id, Method: method, Path: "/api/v1/exchange-rates" + path, Summary: summary, Tags: []string{"exchange-rates"}}
	}
	list := operation(http.MethodGet, "list-exchange-rates", "", "List the exchange rates that floors are converted by")
	huma.Register(api, list, func(ctx context.Context, _ *struct{}) (*answer[exchangeRateList], error) {
		return respond(ctx, c, list.OperationID, func() (exchangeRateList, error) {
			body := exchangeRateList{Items: []exchangeRateBody{}}
			rates, err := c.db.ExchangeRates(ctx, actorOf(ctx))
			for _, rate := range rates {
				body.Items = append(body.Items, exchangeRateBodyOf(rate))
			}
			return body, err
		})
	})
	type put struct {
		Currency string `path:"currency" doc:"ISO 4217." example:"JPY"`
		Body     exchangeRateInput
	}
	set := operation(http.MethodPut, "set-exchange-rate", "/{currency}", "Set the exchange rate of a currency")
	huma.Register(api, set, func(ctx context.Context, in *put) (*answer[exchangeRateBody], error) {
		return respond(ctx, c, set.OperationID, func() (exchangeRateBody, error) {
			in.Body.Currency = in.Currency
			rate, err := c.saveExchangeRate(ctx, in.Body)
			return exchangeRateBodyOf(rate), err
		})
	})
	type removal struct {
		Currency string `path:"currency" doc:"ISO 4217."`
		Version  int64  `query:"version" required:"true" minimum:"1" doc:"The version that was read."`
	}
	remove := operation(http.MethodDelete, "delete-exchange-rate", "/{currency}", "Delete an exchange rate that no active floor needs")
	huma.Register(api, remove, func(ctx context.Context, in *removal) (*struct{}, error) {
		err := c.db.DeleteExchangeRate(ctx, actorOf(ctx), in.Currency, in.Version)
		return nil, c.problem(ctx, remove.OperationID, err)
	})
}
