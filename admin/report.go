package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/hayate-ads/hayate/admin/report"
	"github.com/hayate-ads/hayate/admin/views"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// reportInput is what a report is asked for, by page, CSV and API alike.
type reportInput struct {
	From         string   `json:"from" query:"from" doc:"A date, or RFC 3339; a week ago unless given." example:"2026-04-01"`
	To           string   `json:"to" query:"to" doc:"A date, included, or RFC 3339, excluded; today unless given." example:"2026-04-07"`
	Group        []string `json:"group" query:"group" doc:"What rows are of, by comma. Of demand: hour, day, advertiser, campaign, line_item, creative, placement, exchange; or country, device, invalid, without the last three. Of supply: hour, day, placement, exchange, no_fill. None: one row. Unless given: hour and line_item, or hour and placement." example:"day,line_item"`
	Figures      []string `json:"figures" query:"figures" doc:"Columns of the CSV and the page, by comma; JSON has all."`
	AdvertiserID int64    `json:"advertiser_id" query:"advertiser_id"`
	CampaignID   int64    `json:"campaign_id" query:"campaign_id"`
	LineItemID   int64    `json:"line_item_id" query:"line_item_id"`
	PlacementID  int64    `json:"placement_id" query:"placement_id"`
	PublisherID  int64    `json:"publisher_id" query:"publisher_id" doc:"Of a supply report: whose; operators only."`
	Page         int64    `json:"page" query:"page" doc:"Of the page's table only."`
}

// reportData is a report as read.
type reportData struct {
	postgres.ReportFilter
	report.Range
	postgres.Report
	group   []postgres.Dimension // as asked for
	figures []report.Figure      // likewise
	rows    []reportRow
	noFill  map[string]int64 // of supply: decisions without an ad, by reason
}

// reportRow is a row of a report; of supply with why there was no ad.
type reportRow struct {
	postgres.ReportRow
	noFill map[string]int64
}

// words splits what a query gives by comma, repetition or both; nil is nothing given.
func words(given []string) []string {
	if given == nil {
		return nil
	}
	list := []string{}
	for _, text := range given {
		for word := range strings.SplitSeq(text, ",") {
			if word = strings.TrimSpace(word); word != "" {
				list = append(list, word)
			}
		}
	}
	return list
}

// dimensions is what in asks rows to be of, or otherwise what is usual.
func (in reportInput) dimensions(usual ...postgres.Dimension) []postgres.Dimension {
	given := words(in.Group)
	if given == nil {
		return usual
	}
	list := []postgres.Dimension{}
	for _, word := range given {
		if word != "none" {
			list = append(list, postgres.Dimension(word))
		}
	}
	return list
}

// chosen are the figures that in asks for, in the order of all; those usual, when
// it asks for none; all, when none is usual. One that other groupings have is
// merely left out.
func (in reportInput) chosen(all, others []report.Figure, usual ...string) ([]report.Figure, error) {
	given := words(in.Figures)
	if len(given) == 0 {
		given = usual
	}
	if len(given) == 0 {
		return all, nil
	}
	for _, name := range given {
		if !slices.ContainsFunc(others, func(f report.Figure) bool { return f.Name == name }) {
			return all, ad.Invalid{{Field: "figures", Code: ad.Unknown, Message: fmt.Sprintf("has %.40q, which this report has not", name)}}
		}
	}
	return slices.DeleteFunc(slices.Clone(all), func(f report.Figure) bool { return !slices.Contains(given, f.Name) }), nil
}

// demandFigures are those that a report grouped so can show to this visitor.
func demandFigures(ctx context.Context, group []postgres.Dimension) []report.Figure {
	audience := slices.ContainsFunc(group, func(d postgres.Dimension) bool {
		return d == postgres.ByCountry || d == postgres.ByDevice || d == postgres.ByInvalid
	})
	return slices.DeleteFunc(slices.Clone(report.DemandFigures), func(f report.Figure) bool {
		return f.Operators && !isOperator(ctx) || audience && !f.Audience
	})
}

// readReport reads a report of demand. Its days are those of the advertiser that
// it is about, of nobody's when it is about several: UTC.
func (c *console) readReport(ctx context.Context, in reportInput) (reportData, error) {
	zone, err := c.reportZone(ctx, in)
	if err != nil {
		return reportData{}, err
	}
	d, err := c.askReport(in, zone)
	if err != nil {
		return d, err
	}
	d.group = in.dimensions(postgres.ByHour, postgres.ByLineItem)
	if d.figures, err = in.chosen(demandFigures(ctx, d.group), demandFigures(ctx, nil)); err != nil {
		return d, err
	}
	q := postgres.ReportQuery{ReportFilter: d.ReportFilter, Zone: zone, Group: slices.Clone(d.group), Series: true}
	if slices.Contains(q.Group, postgres.ByLineItem) { // its campaign and advertiser come free
		for _, owner := range []postgres.Dimension{postgres.ByCampaign, postgres.ByAdvertiser} {
			if !slices.Contains(q.Group, owner) {
				q.Group = append(q.Group, owner)
			}
		}
	}
	d.Report, err = c.db.DemandReport(ctx, actorOf(ctx), q)
	for _, row := range d.Rows {
		d.rows = append(d.rows, reportRow{ReportRow: row})
	}
	return d, err
}

// askReport reads dates and ids.
func (c *console) askReport(in reportInput, zone *time.Location) (d reportData, err error) {
	if d.Range, err = report.ParseRange(in.From, in.To, zone, c.now()); err != nil {
		return d, err
	}
	d.ReportFilter = postgres.ReportFilter{
		From: d.Range.From, To: d.Range.To, Advertiser: ad.ID(in.AdvertiserID), Campaign: ad.ID(in.CampaignID), LineItem: ad.ID(in.LineItemID), Placement: ad.ID(in.PlacementID),
	}
	return d, nil
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

// Columns of a page whose form chooses none.
var (
	usualDemand = []string{"impressions", "viewable_rate", "clicks", "ctr", "conversions", "spend", "ecpm"}
	usualSupply = []string{"decisions", "fill_rate", "impressions", "clicks", "ctr", "revenue", "ecpm"}
)

func (c *console) reportPage(w http.ResponseWriter, r *http.Request) error {
	ctx, lang := r.Context(), langOf(r)
	in, err := queryInput(r)
	if err != nil {
		return err
	}
	if in.Group == nil {
		in.Group = []string{string(postgres.ByDay), string(postgres.ByLineItem)}
	}
	d, err := c.readReport(ctx, in)
	p, status := problemsOf(err, lang)
	if status == 0 && err != nil {
		return err
	}
	p.lang = lang
	known, err := c.demandNames(ctx, in)
	if err != nil {
		return err
	}
	page := views.Page{Title: views.T(lang, "nav.report"), Section: "report", Kind: known.scope(lang, in)}
	figures, _ := in.chosen(demandFigures(ctx, d.group), demandFigures(ctx, nil), usualDemand...) // readReport has refused what is wrong
	filter := reportForm(p, in, d, reportChoice{
		page: "/report", fields: known.fields(ctx, p, in), figures: demandFigures(ctx, nil), chosen: figures,
		usual: usualDemand, dimensions: demandDimensions(ctx),
	})
	if status != 0 {
		c.render(w, r, status, views.Report(page, filter, nil, views.ReportNotes{Fresh: p.error("from", "to", "group", "figures")}, views.ReportChart{}, nil))
		return nil
	}
	total := d.Total
	tiles := []views.Tile{
		{Name: views.T(lang, "report.impressions"), Value: views.Count(total.Impressions), Note: views.T(lang, "report.viewable_note", report.Percent(total.Viewables, total.Impressions))},
		{Name: views.T(lang, "report.clicks"), Value: views.Count(total.Clicks), Note: "CTR " + report.CTR(total)},
		{Name: views.T(lang, "report.spend"), Value: report.Round(total.Spend), Note: spendNote(lang, total)},
		{Name: views.T(lang, "report.invalid"), Value: views.Count(total.Invalid), Note: views.T(lang, "report.invalid_note")},
	}
	chart := c.chart(lang, d, func(c postgres.Counts) money.Micros { return c.Spend }, "report.spend")
	chart.Label = views.T(lang, "report.chart_label", total.Impressions, total.Clicks, total.Spend)
	table := reportTable(lang, d, known, figures, r.URL)
	return c.show(w, r, views.Report(page, filter, tiles, notes(lang, d), chart, []views.Table{table}))
}

func spendNote(lang string, total postgres.Counts) string {
	if total.Credited != 0 {
		return views.T(lang, "report.credited_note", report.Round(total.Credited))
	}
	return "eCPM " + report.ECPM(total.Spend, total.Impressions)
}

// demandDimensions are those that this visitor can choose.
func demandDimensions(ctx context.Context) []postgres.Dimension {
	return slices.DeleteFunc(slices.Clone(postgres.DemandDimensions), func(d postgres.Dimension) bool {
		return d == postgres.ByAdvertiser && !isOperator(ctx)
	})
}

// notes say up to when the report is complete, what has come since, and what is
// not told apart.
func notes(lang string, d reportData) views.ReportNotes {
	n := views.ReportNotes{Fresh: views.T(lang, "report.never_settled")}
	when := func(at time.Time) string { return at.In(d.Zone).Format("2006-01-02 15:04:05 MST") }
	if !d.Freshness.IsZero() {
		n.Fresh = views.T(lang, "report.fresh", when(d.Freshness), d.Zone.String())
	}
	if d.Daily {
		n.Others = append(n.Others, views.T(lang, "report.daily"))
	}
	if len(d.Restated) > 0 {
		last := slices.MaxFunc(d.Restated, func(a, b postgres.Restated) int { return a.At.Compare(b.At) })
		n.Others = append(n.Others, views.T(lang, "report.restated", len(d.Restated), when(last.At)))
	}
	if f := d.Folded; f != (postgres.Counts{}) {
		n.Others = append(n.Others, views.T(lang, "report.folded", f.Impressions, report.Percent(f.Impressions, d.Total.Impressions)))
	}
	return n
}

// chart is the data of the chart: one value for each hour or day.
func (c *console) chart(lang string, d reportData, amount func(postgres.Counts) money.Micros, amountKey string) views.ReportChart {
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
	chart, layout := views.ReportChart{Title: views.T(lang, "report.by_hour")}, "01-02 15:04"
	daily := d.Daily || d.Range.To.Sub(d.Range.From) > postgres.MaxSeriesHours
	if daily {
		chart.Title, layout = views.T(lang, "report.by_day"), time.DateOnly
	}
	var at []string
	for _, point := range report.Series(d.Series, d.Range, daily, c.now()) {
		at = append(at, point.At.In(d.Zone).Format(layout))
		all[0].Values = append(all[0].Values, point.Impressions)
		all[1].Values = append(all[1].Values, point.Clicks)
		all[2].Values = append(all[2].Values, json.Number(amount(point.Counts).String()))
	}
	if text, err := json.Marshal(map[string]any{"hours": at, "series": all}); err == nil {
		chart.Data = string(text)
	}
	return chart
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
	known, err := c.demandNames(ctx, in)
	if err != nil {
		return err
	}
	return writeReportCSV(w, "report", d, known)
}

// csvURL is the address of the same report as CSV, with what the page would take
// for granted.
func csvURL(page string, in reportInput) string {
	q := url.Values{}
	for name, id := range map[string]int64{
		"advertiser_id": in.AdvertiserID, "campaign_id": in.CampaignID, "line_item_id": in.LineItemID,
		"placement_id": in.PlacementID, "publisher_id": in.PublisherID,
	} {
		if id != 0 {
			q.Set(name, fmt.Sprint(id))
		}
	}
	for name, text := range map[string]string{"from": in.From, "to": in.To, "group": strings.Join(in.Group, ","), "figures": strings.Join(in.Figures, ",")} {
		if text != "" {
			q.Set(name, text)
		}
	}
	return page + ".csv?" + q.Encode()
}
