package admin

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/hayate-ads/hayate/admin/report"
	"github.com/hayate-ads/hayate/admin/views"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// monthLayout is how months stand in addresses, on pages and in the API.
const monthLayout = "2006-01"

func invoicePath(advertiser ad.ID, month string) string {
	return fmt.Sprintf("/invoices/%d/%s", advertiser, month)
}

// parseMonth reads a month; what is none is not found, as it stands in addresses.
func parseMonth(text string) (time.Time, error) {
	month, err := time.Parse(monthLayout, text)
	if err != nil || month.Year() < 2000 || month.Year() > 2099 {
		return time.Time{}, postgres.ErrNotFound
	}
	return month, nil
}

// invoicesInput narrows the list. Without a month it is all of an advertiser's;
// without an advertiser everybody's of one month, this one unless given.
type invoicesInput struct {
	AdvertiserID int64  `json:"advertiser_id" query:"advertiser_id" minimum:"0"`
	Month        string `json:"month" query:"month" doc:"A calendar month of the advertisers' time zones." example:"2026-04"`
}

func (in invoicesInput) filter() (f postgres.InvoiceFilter, err error) {
	f.Advertiser = ad.ID(in.AdvertiserID)
	if text := strings.TrimSpace(in.Month); text != "" {
		if f.Month, err = parseMonth(text); err != nil {
			return f, ad.Invalid{{Field: "month", Code: ad.BadSyntax, Message: "has to be a month such as 2026-04"}}
		}
	}
	return f, nil
}

// offeredMonths is how many months the list's form offers.
const offeredMonths = 24

func (c *console) invoicesPage(w http.ResponseWriter, r *http.Request) error {
	ctx, lang := r.Context(), langOf(r)
	var in invoicesInput
	if err := fillForm(r.URL.Query(), &in); err != nil {
		return err
	}
	if isOperator(ctx) && in == (invoicesInput{}) {
		in.Month = c.now().UTC().Format(monthLayout)
	}
	f, err := in.filter()
	if err != nil {
		return err
	}
	found, err := c.db.Invoices(ctx, actorOf(ctx), f)
	if err != nil {
		return err
	}
	advertisers, err := c.db.Advertisers(ctx, actorOf(ctx), postgres.Page{Limit: maxNames})
	if err != nil {
		return err
	}
	table := views.Table{
		Columns: names(column(lang, "invoice.month"), column(lang, "noun.advertiser"), column(lang, "noun.status"), numbers(lang, "report.impressions"),
			numbers(lang, "invoice.charges"), numbers(lang, "invoice.credits"), numbers(lang, "report.total")),
		Empty: views.Empty{Title: views.T(lang, "invoice.none"), Text: views.T(lang, "invoice.none_text")},
	}
	for _, m := range found {
		month := m.Month.Format(monthLayout)
		table.Rows = append(table.Rows, []views.Cell{
			{Text: month, URL: invoicePath(m.Advertiser, month)}, {Text: nameOf(advertisers, m.Advertiser)}, {Badges: []views.Badge{invoiceBadge(lang, m.Final)}},
			{Text: views.Count(m.Impressions), Number: true}, {Text: m.Charged.String(), Number: true},
			{Text: (-m.Credited).String(), Number: true}, {Text: m.Total().String(), Number: true},
		})
	}
	page := views.Page{Title: views.T(lang, "nav.invoices"), Section: "invoices"}
	return c.show(w, r, views.Invoices(page, c.invoiceFields(ctx, lang, in, advertisers), table))
}

func (c *console) invoiceFields(ctx context.Context, lang string, in invoicesInput, advertisers []ad.Advertiser) []views.Field {
	p := problems{lang: lang}
	month := p.field("month", "invoice.month", "select", in.Month)
	month.Options = []views.Option{{Text: p.t("report.all")}}
	first := c.now().UTC()
	first = time.Date(first.Year(), first.Month(), 1, 0, 0, 0, 0, time.UTC)
	known := in.Month == ""
	for i := range offeredMonths {
		text := first.AddDate(0, -i, 0).Format(monthLayout)
		month.Options = append(month.Options, views.Option{Value: text, Text: text})
		known = known || text == in.Month
	}
	if !known {
		month.Options = append(month.Options, views.Option{Value: in.Month, Text: in.Month})
	}
	if !isOperator(ctx) {
		return []views.Field{month}
	}
	advertiser := p.field("advertiser_id", "noun.advertiser", "select", fmt.Sprint(in.AdvertiserID))
	advertiser.Options = []views.Option{{Value: "", Text: p.t("report.all")}}
	for _, a := range advertisers {
		advertiser.Options = append(advertiser.Options, views.Option{Value: fmt.Sprint(a.ID), Text: a.Name})
	}
	return []views.Field{month, advertiser}
}

func invoiceBadge(lang string, final bool) views.Badge {
	if final {
		return views.Badge{Text: views.T(lang, "invoice.final"), Kind: "good"}
	}
	return views.Badge{Text: views.T(lang, "invoice.open"), Kind: "wait"}
}

// findInvoice reads the invoice that an address names.
func (c *console) findInvoice(r *http.Request) (postgres.Invoice, error) {
	id, err := pathID(r, "id")
	if err != nil {
		return postgres.Invoice{}, err
	}
	month, err := parseMonth(r.PathValue("month"))
	if err != nil {
		return postgres.Invoice{}, err
	}
	return c.db.Invoice(r.Context(), actorOf(r.Context()), id, month)
}

func (c *console) invoicePage(w http.ResponseWriter, r *http.Request) error {
	lang := langOf(r)
	v, err := c.findInvoice(r)
	if err != nil {
		return err
	}
	month := v.Month.Format(monthLayout)
	title := views.T(lang, "invoice.title", v.AdvertiserName, month)
	page := views.Page{
		Title: title, Kind: views.T(lang, "invoice.noun"), Section: "invoices", Badges: []views.Badge{invoiceBadge(lang, v.Final)},
		Crumbs:  []views.Link{{Text: views.T(lang, "nav.invoices"), URL: fmt.Sprintf("/invoices?advertiser_id=%d", v.Advertiser)}},
		Actions: []views.Action{{Text: "CSV", URL: invoicePath(v.Advertiser, month) + "/csv"}},
	}
	state := views.T(lang, "invoice.open_text")
	if v.Final {
		state = views.T(lang, "invoice.final_text")
	}
	details := []views.Detail{
		{Name: views.T(lang, "noun.advertiser"), Value: v.AdvertiserName, Note: fmt.Sprintf("#%d", v.Advertiser)},
		{Name: views.T(lang, "invoice.month"), Value: month, Note: views.T(lang, "noun.in_zone", v.TimeZone)},
		{Name: views.T(lang, "noun.status"), Badges: []views.Badge{invoiceBadge(lang, v.Final)}, Note: state},
		{Name: views.T(lang, "invoice.settled"), Value: views.Moment(v.SettledTo, zoneNamed(v.TimeZone))},
		{Name: views.T(lang, "report.total"), Value: v.Total().String()},
	}
	tables := []views.Table{chargeTable(lang, v)}
	if len(v.Credits) > 0 {
		tables = append(tables, creditTable(lang, v))
	}
	return c.show(w, r, views.Invoice(page, details, tables))
}

func zoneNamed(name string) *time.Location { return zoneOf(ad.Advertiser{TimeZone: name}) }

func chargeTable(lang string, v postgres.Invoice) views.Table {
	table := views.Table{
		Title:   views.T(lang, "invoice.charges"),
		Columns: names(column(lang, "noun.campaign"), column(lang, "noun.line_item"), numbers(lang, "report.impressions"), numbers(lang, "invoice.amount")),
		Empty:   views.Empty{Title: views.T(lang, "invoice.no_charges"), Text: views.T(lang, "invoice.no_charges_text")},
		Total:   []views.Cell{{Text: views.T(lang, "report.total")}, {}, {Text: views.Count(v.Impressions), Number: true}, {Text: v.Charged.String(), Number: true}},
	}
	for _, l := range v.Lines {
		table.Rows = append(table.Rows, []views.Cell{
			{Text: l.CampaignName, URL: campaignPath(l.Campaign)}, {Text: l.LineItemName, URL: lineItemPath(l.LineItem)},
			{Text: views.Count(l.Impressions), Number: true}, {Text: l.Charged.String(), Number: true},
		})
	}
	return table
}

func creditTable(lang string, v postgres.Invoice) views.Table {
	zone := zoneNamed(v.TimeZone)
	table := views.Table{
		Title: views.T(lang, "invoice.credits"),
		Columns: names(column(lang, "correction.made"), column(lang, "correction.why"), column(lang, "correction.hours"), numbers(lang, "report.impressions"),
			numbers(lang, "invoice.amount")),
		Total: []views.Cell{{Text: views.T(lang, "report.total")}, {}, {}, {}, {Text: (-v.Credited).String(), Number: true}},
	}
	for _, k := range v.Credits {
		table.Rows = append(table.Rows, []views.Cell{
			{Text: views.Moment(k.At, zone), Note: fmt.Sprintf("#%d", k.Correction)}, {Text: k.Why, Note: k.LineItemName},
			{Text: k.From.In(zone).Format("2006-01-02 15:04") + " – " + k.To.In(zone).Format("2006-01-02 15:04")},
			{Text: views.Count(-k.Impressions), Number: true}, {Text: (-k.Credited).String(), Number: true},
		})
	}
	return table
}

func (c *console) invoiceCSV(w http.ResponseWriter, r *http.Request) error {
	v, err := c.findInvoice(r)
	if err != nil {
		return err
	}
	zone := zoneNamed(v.TimeZone)
	w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Disposition", fmt.Sprintf(`attachment; filename="invoice-%d-%s.csv"`, v.Advertiser, v.Month.Format(monthLayout)))
	header := []string{"kind", "campaign_id", "campaign", "line_item_id", "line_item", "impressions", "amount", "correction_id", "made_at", "from", "to", "why"}
	return report.WriteCSV(w, header, func(yield func([]string) bool) {
		for _, l := range v.Lines {
			if !yield([]string{"charge", fmt.Sprint(l.Campaign), l.CampaignName, fmt.Sprint(l.LineItem), l.LineItemName, fmt.Sprint(l.Impressions), l.Charged.String(), "", "", "", "", ""}) {
				return
			}
		}
		for _, k := range v.Credits {
			item := ""
			if k.LineItem != 0 {
				item = fmt.Sprint(k.LineItem)
			}
			if !yield([]string{
				"credit", "", "", item, k.LineItemName, fmt.Sprint(-k.Impressions), (-k.Credited).String(), fmt.Sprint(k.Correction),
				k.At.In(zone).Format(time.RFC3339), k.From.In(zone).Format(time.RFC3339), k.To.In(zone).Format(time.RFC3339), k.Why,
			}) {
				return
			}
		}
	})
}
