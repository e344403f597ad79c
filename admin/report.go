package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/hayate-ads/hayate/admin/report"
	"github.com/hayate-ads/hayate/admin/views"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// reportInput is what a report is asked for, by page, CSV and API alike.
type reportInput struct {
	From         string `json:"from" query:"from" doc:"A date, or RFC 3339; a week ago unless given." example:"2026-04-01"`
	To           string `json:"to" query:"to" doc:"A date, included, or RFC 3339, excluded; today unless given." example:"2026-04-07"`
	AdvertiserID int64  `json:"advertiser_id" query:"advertiser_id"`
	CampaignID   int64  `json:"campaign_id" query:"campaign_id"`
	LineItemID   int64  `json:"line_item_id" query:"line_item_id"`
	PlacementID  int64  `json:"placement_id" query:"placement_id"`
	PublisherID  int64  `json:"publisher_id" query:"publisher_id" doc:"Of a supply report: whose; operators only."`
}

// reportData is a report as read.
type reportData struct {
	postgres.ReportFilter
	report.Range
	rows  []postgres.ReportRow
	fill  []postgres.FillRow // of a supply report
	fresh time.Time          // every event before it is counted
}

// readReport reads a report of demand. Its days are those of the advertiser that
// it is about, of nobody's when it is about several: UTC.
func (c *console) readReport(ctx context.Context, in reportInput) (reportData, error) {
	zone, err := c.reportZone(ctx, in)
	if err != nil {
		return reportData{}, err
	}
	return c.readRows(ctx, actorOf(ctx), in, zone)
}

func (c *console) readRows(ctx context.Context, actor postgres.Actor, in reportInput, zone *time.Location) (d reportData, err error) {
	if d.Range, err = report.ParseRange(in.From, in.To, zone, c.now()); err != nil {
		return d, err
	}
	d.ReportFilter = postgres.ReportFilter{
		From: d.Range.From, To: d.Range.To, Advertiser: ad.ID(in.AdvertiserID), Campaign: ad.ID(in.CampaignID), LineItem: ad.ID(in.LineItemID), Placement: ad.ID(in.PlacementID),
	}
	d.rows, d.fresh, err = c.db.ReportByHour(ctx, actor, d.ReportFilter)
	return d, err
}

// reportZone also finds what the report is about, so that what the visitor may
// not see is not found rather than empty.
func (c *console) reportZone(ctx context.Context, in reportInput) (*time.Location, error) {
	switch {
	case in.LineItemID != 0:
		ch, err := c.chainOfLineItem(ctx, ad.ID(in.LineItemID))
		return ch.zone, err
	case in.CampaignID != 0:
		ch, err := c.chainOfCampaign(ctx, ad.ID(in.CampaignID))
		return ch.zone, err
	}
	id := sameOr(ad.ID(in.AdvertiserID), actorOf(ctx).AdvertiserID)
	if id == 0 {
		return time.UTC, nil
	}
	a, err := c.db.FindAdvertiser(ctx, actorOf(ctx), id)
	return zoneOf(a), err
}

// readSupply reads what a publisher sold. Operators look at one publisher at a
// time, with its eyes.
func (c *console) readSupply(ctx context.Context, in reportInput) (reportData, error) {
	actor := actorOf(ctx)
	if isOperator(ctx) {
		if in.PublisherID == 0 {
			return reportData{}, ad.Invalid{{Field: "publisher_id", Code: ad.Required, Message: "has to be given"}}
		}
		if _, err := c.db.FindPublisher(ctx, actor, ad.ID(in.PublisherID)); err != nil {
			return reportData{}, err
		}
		actor = postgres.Actor{UserID: actor.UserID, Role: ad.RolePublisher, PublisherID: ad.ID(in.PublisherID)}
	} else if in.PublisherID != 0 && ad.ID(in.PublisherID) != actor.PublisherID {
		return reportData{}, postgres.ErrNotFound
	}
	if in.PlacementID != 0 {
		if _, err := c.db.FindPlacement(ctx, actor, ad.ID(in.PlacementID)); err != nil {
			return reportData{}, err
		}
	}
	d, err := c.readRows(ctx, actor, in, time.UTC)
	if err == nil {
		d.fill, err = c.db.FillByHour(ctx, actor, d.ReportFilter)
	}
	return d, err
}

func queryInput(r *http.Request) (in reportInput, err error) {
	err = fillForm(r.URL.Query(), &in)
	return in, err
}

// reportDetail is the link from a thing's page to its report.
func reportDetail(ctx context.Context, lang, kind string, id ad.ID) views.Detail {
	d := views.Detail{Name: views.T(lang, "nav.report"), Value: "–"}
	if mayEditDemand(ctx) { // reviewers see no figures
		d.Value, d.URL = views.T(lang, "report.open"), fmt.Sprintf("/report?%s_id=%d", kind, id)
	}
	return d
}

// tableRows bounds a report's table; the CSV has all.
const tableRows = 200

func (c *console) reportPage(w http.ResponseWriter, r *http.Request) error {
	ctx, lang := r.Context(), langOf(r)
	in, err := queryInput(r)
	if err != nil {
		return err
	}
	d, err := c.readReport(ctx, in)
	p, status := problemsOf(err, lang)
	if status == 0 && err != nil {
		return err
	}
	p.lang = lang
	known, err := c.demandNames(ctx, d.ReportFilter)
	if err != nil {
		return err
	}
	page := views.Page{Title: views.T(lang, "nav.report"), Section: "report", Kind: known.scope(lang, d.ReportFilter)}
	filter := views.ReportFilter{Action: "/report", CSV: "/report.csv?" + r.URL.RawQuery, Fields: append(dateFields(p, in, d.Range), known.fields(ctx, p, in)...)}
	if status != 0 {
		c.render(w, r, status, views.Report(page, filter, nil, p.error("from", "to"), "", "", nil))
		return nil
	}
	total := report.Total(d.rows)
	tiles := []views.Tile{
		{Name: views.T(lang, "report.impressions"), Value: views.Count(total.Impressions)},
		{Name: views.T(lang, "report.clicks"), Value: views.Count(total.Clicks), Note: "CTR " + report.CTR(total)},
		{Name: views.T(lang, "report.spend"), Value: report.Round(total.Spend), Note: "eCPM " + report.ECPM(total.Spend, total.Impressions)},
		{Name: views.T(lang, "report.invalid"), Value: views.Count(total.Invalid), Note: views.T(lang, "report.invalid_note")},
	}
	chart := c.chart(lang, d, func(c postgres.Counts) money.Micros { return c.Spend }, "report.spend")
	return c.show(w, r, views.Report(page, filter, tiles, freshText(lang, d), chart, views.T(lang, "report.chart_label", total.Impressions, total.Clicks, total.Spend), []views.Table{demandTable(lang, d, known)}))
}

func freshText(lang string, d reportData) string {
	if d.fresh.IsZero() {
		return views.T(lang, "report.never_settled")
	}
	return views.T(lang, "report.fresh", d.fresh.In(d.Zone).Format("2006-01-02 15:04:05 MST"), d.Zone.String())
}

func dateFields(p problems, in reportInput, r report.Range) []views.Field {
	from, to := in.From, in.To
	if !r.From.IsZero() && p.of("from") == "" {
		from = r.From.In(r.Zone).Format(time.DateOnly)
	}
	if !r.To.IsZero() && p.of("to") == "" {
		to = r.LastDay().Format(time.DateOnly)
	}
	return []views.Field{p.field("from", "report.from", "date", from), p.field("to", "report.to", "date", to)}
}

// chart is the data of the chart: one value for each hour.
func (c *console) chart(lang string, d reportData, amount func(postgres.Counts) money.Micros, amountKey string) string {
	type series struct {
		Name   string `json:"name"`
		Kind   string `json:"kind"`
		Axis   int    `json:"axis"`
		Values []any  `json:"values"`
	}
	all := []series{
		{Name: views.T(lang, "report.impressions"), Kind: "line"}, {Name: views.T(lang, "report.clicks"), Kind: "line", Axis: 1},
		{Name: views.T(lang, amountKey), Kind: "bar", Axis: 1},
	}
	var hours []string
	for _, point := range report.Series(d.rows, d.Range, c.now()) {
		hours = append(hours, point.Hour.In(d.Zone).Format("01-02 15:04"))
		all[0].Values = append(all[0].Values, point.Impressions)
		all[1].Values = append(all[1].Values, point.Clicks)
		all[2].Values = append(all[2].Values, json.Number(amount(point.Counts).String()))
	}
	text, err := json.Marshal(map[string]any{"hours": hours, "series": all})
	if err != nil {
		return ""
	}
	return string(text)
}

func demandTable(lang string, d reportData, known demandNames) views.Table {
	table := views.Table{
		Title: views.T(lang, "report.table"),
		Columns: names(column(lang, "report.hour"), column(lang, "noun.line_item"), numbers(lang, "report.impressions"), numbers(lang, "report.clicks"),
			views.Column{Title: "CTR", Number: true}, numbers(lang, "report.spend"), views.Column{Title: "eCPM", Number: true}),
		Empty: views.Empty{Title: views.T(lang, "report.none"), Text: views.T(lang, "report.none_text")},
	}
	figures := func(c postgres.Counts) []views.Cell {
		return []views.Cell{
			{Text: views.Count(c.Impressions), Number: true}, {Text: views.Count(c.Clicks), Number: true}, {Text: report.CTR(c), Number: true},
			{Text: c.Spend.String(), Number: true}, {Text: report.ECPM(c.Spend, c.Impressions), Number: true},
		}
	}
	for _, row := range slices.Backward(d.rows) {
		if len(table.Rows) == tableRows {
			table.Title = views.T(lang, "report.table_cut", tableRows)
			break
		}
		table.Rows = append(table.Rows, append([]views.Cell{
			{Text: row.Hour.In(d.Zone).Format("2006-01-02 15:04")}, {Text: known.lineItem(row.LineItem), URL: lineItemPath(row.LineItem)},
		}, figures(row.Counts)...))
	}
	table.Total = append([]views.Cell{{Text: views.T(lang, "report.total")}, {}}, figures(report.Total(d.rows))...)
	return table
}

func (c *console) reportCSV(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	in, err := queryInput(r)
	if err != nil {
		return err
	}
	d, err := c.readReport(ctx, in)
	if err != nil {
		return err
	}
	known, err := c.demandNames(ctx, d.ReportFilter)
	if err != nil {
		return err
	}
	startCSV(w, "report", d)
	return report.WriteCSV(w, []string{"hour", "campaign_id", "line_item_id", "line_item", "impressions", "clicks", "ctr", "spend", "ecpm"}, func(yield func([]string) bool) {
		for _, row := range d.rows {
			if !yield([]string{
				row.Hour.In(d.Zone).Format(time.RFC3339), fmt.Sprint(row.Campaign), fmt.Sprint(row.LineItem), known.lineItem(row.LineItem), fmt.Sprint(row.Impressions),
				fmt.Sprint(row.Clicks), report.Ratio(row.Clicks, row.Impressions), row.Spend.String(), report.Rate(row.Spend, row.Impressions),
			}) {
				return
			}
		}
	})
}

func startCSV(w http.ResponseWriter, name string, d reportData) {
	w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Disposition", fmt.Sprintf(`attachment; filename="%s-%s-%s.csv"`, name, d.Range.From.In(d.Zone).Format(time.DateOnly), d.LastDay().Format(time.DateOnly)))
}

// demandNames are the names that a report needs.
type demandNames struct {
	advertisers []ad.Advertiser
	campaigns   []ad.Campaign
	items       []ad.LineItem
}

// maxNames bounds the choices of a report's form; what is beyond shows its id.
const maxNames = 1000

func (c *console) demandNames(ctx context.Context, f postgres.ReportFilter) (n demandNames, err error) {
	actor, page := actorOf(ctx), postgres.Page{Limit: maxNames}
	if isOperator(ctx) {
		if n.advertisers, err = c.db.Advertisers(ctx, actor, page); err != nil {
			return n, err
		}
	}
	if n.campaigns, err = c.db.Campaigns(ctx, actor, postgres.CampaignFilter{AdvertiserID: f.Advertiser, Page: page}); err != nil {
		return n, err
	}
	n.items, err = c.db.LineItems(ctx, actor, postgres.LineItemFilter{AdvertiserID: f.Advertiser, CampaignID: f.Campaign, Page: page})
	return n, err
}

func (n demandNames) lineItem(id ad.ID) string {
	for _, l := range n.items {
		if l.ID == id {
			return l.Name
		}
	}
	return fmt.Sprintf("#%d", id)
}

// scope says what a report is about.
func (n demandNames) scope(lang string, f postgres.ReportFilter) string {
	if f.LineItem != 0 {
		return n.lineItem(f.LineItem)
	}
	for _, k := range n.campaigns {
		if k.ID == f.Campaign {
			return k.Name
		}
	}
	for _, a := range n.advertisers {
		if a.ID == f.Advertiser {
			return a.Name
		}
	}
	return views.T(lang, "report.everything")
}

func (n demandNames) fields(ctx context.Context, p problems, in reportInput) []views.Field {
	choice := func(name, key string, chosen int64) views.Field {
		f := p.field(name, key, "select", "")
		f.Options = []views.Option{{Text: p.t("report.all")}}
		if chosen != 0 {
			f.Value = fmt.Sprint(chosen)
		}
		return f
	}
	var fields []views.Field
	if isOperator(ctx) {
		f := choice("advertiser_id", "noun.advertiser", in.AdvertiserID)
		for _, a := range n.advertisers {
			f.Options = append(f.Options, views.Option{Value: fmt.Sprint(a.ID), Text: a.Name})
		}
		fields = append(fields, f)
	}
	campaign := choice("campaign_id", "noun.campaign", in.CampaignID)
	for _, k := range n.campaigns {
		campaign.Options = append(campaign.Options, views.Option{Value: fmt.Sprint(k.ID), Text: k.Name})
	}
	item := choice("line_item_id", "noun.line_item", in.LineItemID)
	for _, l := range n.items {
		item.Options = append(item.Options, views.Option{Value: fmt.Sprint(l.ID), Text: l.Name})
	}
	return append(fields, campaign, item)
}

// csvQuery is a report's query string with what a form would send.
func csvQuery(in reportInput) string {
	q := url.Values{}
	if in.PublisherID != 0 {
		q.Set("publisher_id", fmt.Sprint(in.PublisherID))
	}
	if in.PlacementID != 0 {
		q.Set("placement_id", fmt.Sprint(in.PlacementID))
	}
	if in.From != "" {
		q.Set("from", in.From)
	}
	if in.To != "" {
		q.Set("to", in.To)
	}
	return q.Encode()
}
