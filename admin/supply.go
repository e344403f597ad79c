package admin

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/hayate-ads/hayate/admin/report"
	"github.com/hayate-ads/hayate/admin/views"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// readSupply reads what a publisher sold. Operators look at one publisher at a
// time, with its eyes.
func (c *console) readSupply(ctx context.Context, in reportInput) (reportData, error) {
	actor, err := c.supplyActor(ctx, in)
	if err != nil {
		return reportData{}, err
	}
	d, err := c.askReport(in, time.UTC)
	if err != nil {
		return d, err
	}
	d.group = in.dimensions(postgres.ByHour, postgres.ByPlacement)
	if d.figures, err = in.chosen(report.SupplyFigures, report.SupplyFigures); err != nil {
		return d, err
	}
	q := postgres.ReportQuery{ReportFilter: d.ReportFilter, Group: slices.Clone(d.group), Series: true}
	if !slices.Contains(q.Group, postgres.ByNoFill) {
		q.Group = append(q.Group, postgres.ByNoFill)
	}
	d.Report, err = c.db.SupplyReport(ctx, actor, q)
	d.sumReasons()
	return d, err
}

func (c *console) supplyActor(ctx context.Context, in reportInput) (postgres.Actor, error) {
	actor := actorOf(ctx)
	if isOperator(ctx) {
		if in.PublisherID == 0 {
			return actor, ad.Invalid{{Field: "publisher_id", Code: ad.Required, Message: "has to be given"}}
		}
		if _, err := c.db.FindPublisher(ctx, actor, ad.ID(in.PublisherID)); err != nil {
			return actor, err
		}
		actor = postgres.Actor{UserID: actor.UserID, Role: ad.RolePublisher, PublisherID: ad.ID(in.PublisherID)}
	} else if in.PublisherID != 0 && ad.ID(in.PublisherID) != actor.PublisherID {
		return actor, postgres.ErrNotFound
	}
	if in.PlacementID != 0 {
		if _, err := c.db.FindPlacement(ctx, actor, ad.ID(in.PlacementID)); err != nil {
			return actor, err
		}
	}
	return actor, nil
}

// sumReasons makes the rows of the group that was asked for of those by reason,
// and keeps in each why there was no ad.
func (d *reportData) sumReasons() {
	d.noFill = map[string]int64{}
	apart, place := slices.Contains(d.group, postgres.ByNoFill), map[postgres.ReportRow]int{}
	for _, row := range d.Rows {
		name := row
		name.Counts = postgres.Counts{}
		if !apart {
			name.NoFill = ""
		}
		at, known := place[name]
		if !known {
			at = len(d.rows)
			place[name] = at
			d.rows = append(d.rows, reportRow{ReportRow: name, noFill: map[string]int64{}})
		}
		d.rows[at].Add(row.Counts)
		if row.NoFill != "" && row.Decisions > 0 {
			d.rows[at].noFill[row.NoFill] += row.Decisions
			d.noFill[row.NoFill] += row.Decisions
		}
	}
}

// supplyPage is a publisher's report: what its placements showed and earned.
func (c *console) supplyPage(w http.ResponseWriter, r *http.Request) error {
	ctx, lang := r.Context(), langOf(r)
	in, publishers, placements, err := c.supplyInput(r)
	if err != nil {
		return err
	}
	page := views.Page{Title: views.T(lang, "nav.supply"), Section: "supply"}
	if isOperator(ctx) && in.PublisherID == 0 {
		add := views.Action{Text: views.T(lang, "publisher.new"), URL: "/publishers/new", Main: true}
		return c.show(w, r, views.List(page, views.Table{Empty: views.Empty{Title: views.T(lang, "publisher.none"), Text: views.T(lang, "publisher.none_text"), Action: &add}}))
	}
	if in.Group == nil {
		in.Group = []string{string(postgres.ByDay), string(postgres.ByPlacement)}
	}
	d, err := c.readSupply(ctx, in)
	p, status := problemsOf(err, lang)
	if status == 0 && err != nil {
		return err
	}
	p.lang = lang
	figures, _ := in.chosen(report.SupplyFigures, report.SupplyFigures, usualSupply...) // readSupply has refused what is wrong
	filter := reportForm(p, in, d, reportChoice{
		page: "/supply", fields: supplyFields(ctx, p, in, publishers, placements),
		dimensions: postgres.SupplyDimensions, figures: report.SupplyFigures, chosen: figures, usual: usualSupply,
	})
	if status != 0 {
		c.render(w, r, status, views.Report(page, filter, nil, views.ReportNotes{Fresh: p.error("from", "to", "group", "figures")}, views.ReportChart{}, nil))
		return nil
	}
	total := d.Total
	tiles := []views.Tile{
		{Name: views.T(lang, "report.decisions"), Value: views.Count(total.Decisions), Note: views.T(lang, "report.fill_note", report.Percent(total.Filled, total.Decisions))},
		{Name: views.T(lang, "report.impressions"), Value: views.Count(total.Impressions), Note: views.T(lang, "report.viewable_note", report.Percent(total.Viewables, total.Impressions))},
		{Name: views.T(lang, "report.clicks"), Value: views.Count(total.Clicks), Note: "CTR " + report.CTR(total)},
		{Name: views.T(lang, "report.revenue"), Value: report.Round(total.Revenue), Note: revenueNote(lang, total)},
	}
	chart := c.chart(lang, d, func(c postgres.Counts) money.Micros { return c.Revenue }, "report.revenue")
	chart.Label = views.T(lang, "report.supply_label", total.Impressions, total.Clicks, total.Revenue)
	table := reportTable(lang, d, supplyNames(placements), figures, r.URL)
	table.Empty.Text = views.T(lang, "report.none_supply_text")
	tables := []views.Table{table}
	if reasons := reasonTable(lang, d); len(reasons.Rows) > 0 {
		tables = append(tables, reasons)
	}
	return c.show(w, r, views.Report(page, filter, tiles, notes(lang, d), chart, tables))
}

func revenueNote(lang string, total postgres.Counts) string {
	if total.CreditedRevenue != 0 {
		return views.T(lang, "report.taken_back_note", report.Round(total.CreditedRevenue))
	}
	return "eCPM " + report.ECPM(total.Revenue, total.Impressions)
}

// supplyInput reads the query; an operator who names no publisher gets the first.
func (c *console) supplyInput(r *http.Request) (in reportInput, publishers []ad.Publisher, placements []ad.Placement, err error) {
	ctx := r.Context()
	if in, err = queryInput(r); err != nil {
		return in, nil, nil, err
	}
	actor := actorOf(ctx)
	if publishers, err = c.db.Publishers(ctx, actor, postgres.Page{Limit: maxNames}); err != nil {
		return in, nil, nil, err
	}
	if in.PublisherID == 0 && isOperator(ctx) && len(publishers) > 0 {
		in.PublisherID = int64(publishers[0].ID)
	}
	placements, err = c.db.Placements(ctx, actor, postgres.PlacementFilter{PublisherID: ad.ID(in.PublisherID), Page: postgres.Page{Limit: maxNames}})
	return in, publishers, placements, err
}

func supplyFields(ctx context.Context, p problems, in reportInput, publishers []ad.Publisher, placements []ad.Placement) []views.Field {
	var fields []views.Field
	if isOperator(ctx) {
		publisher := p.field("publisher_id", "noun.publisher", "select", fmt.Sprint(in.PublisherID))
		for _, o := range publishers {
			publisher.Options = append(publisher.Options, views.Option{Value: fmt.Sprint(o.ID), Text: o.Name})
		}
		fields = append(fields, publisher)
	}
	placement := p.field("placement_id", "noun.placement", "select", fmt.Sprint(in.PlacementID))
	placement.Options = []views.Option{{Text: p.t("report.all")}}
	for _, m := range placements {
		placement.Options = append(placement.Options, views.Option{Value: fmt.Sprint(m.ID), Text: m.Name})
	}
	return append(fields, placement)
}

// reasonTable says why there was no ad, the most frequent reason first.
func reasonTable(lang string, d reportData) views.Table {
	table := views.Table{
		Title:   views.T(lang, "report.no_fill"),
		Columns: names(column(lang, "report.reason"), numbers(lang, "report.decisions"), numbers(lang, "report.share")),
	}
	reasons := slices.SortedFunc(maps.Keys(d.noFill), func(a, b string) int {
		return cmp.Or(cmp.Compare(d.noFill[b], d.noFill[a]), cmp.Compare(a, b))
	})
	for _, reason := range reasons {
		n := d.noFill[reason]
		table.Rows = append(table.Rows, []views.Cell{
			{Text: noFillText(lang, reason), Note: reason}, {Text: views.Count(n), Number: true}, {Text: report.Percent(n, d.Total.Decisions), Number: true},
		})
	}
	return table
}

// noFillText says a reason in words; one that is not known yet stands for itself.
func noFillText(lang, reason string) string {
	if text, ok := views.Known(lang, "fill."+reason); ok {
		return text
	}
	return reason
}

func (c *console) supplyCSV(w http.ResponseWriter, r *http.Request) error {
	in, _, placements, err := c.supplyInput(r)
	if err != nil {
		return err
	}
	d, err := c.readSupply(r.Context(), in)
	if err != nil {
		return err
	}
	return writeReportCSV(w, "supply", d, supplyNames(placements))
}
