package admin

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/hayate-ads/hayate/admin/report"
	"github.com/hayate-ads/hayate/admin/views"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/postgres"
)

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
	d, err := c.readSupply(ctx, in)
	p, status := problemsOf(err, lang)
	if status == 0 && err != nil {
		return err
	}
	p.lang = lang
	filter := views.ReportFilter{Action: "/supply", CSV: "/supply.csv?" + csvQuery(in), Fields: append(dateFields(p, in, d.Range), supplyFields(ctx, p, in, publishers, placements)...)}
	if status != 0 {
		c.render(w, r, status, views.Report(page, filter, nil, p.error("from", "to"), "", "", nil))
		return nil
	}
	total := report.Total(d.rows)
	tiles := []views.Tile{
		{Name: views.T(lang, "report.impressions"), Value: views.Count(total.Impressions)},
		{Name: views.T(lang, "report.clicks"), Value: views.Count(total.Clicks), Note: "CTR " + report.CTR(total)},
		{Name: views.T(lang, "report.revenue"), Value: report.Round(total.Revenue)},
		{Name: "eCPM", Value: report.ECPM(total.Revenue, total.Impressions), Note: views.T(lang, "report.revenue_note")},
	}
	chart := c.chart(lang, d, func(c postgres.Counts) money.Micros { return c.Revenue }, "report.revenue")
	label := views.T(lang, "report.supply_label", total.Impressions, total.Clicks, total.Revenue)
	return c.show(w, r, views.Report(page, filter, tiles, freshText(lang, d), chart, label, supplyTables(lang, d, placements)))
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

func placementName(placements []ad.Placement, id ad.ID) string {
	for _, m := range placements {
		if m.ID == id {
			return m.Name
		}
	}
	return fmt.Sprintf("#%d", id)
}

func supplyFigures(c postgres.Counts) []views.Cell {
	return []views.Cell{
		{Text: views.Count(c.Impressions), Number: true}, {Text: views.Count(c.Clicks), Number: true}, {Text: report.CTR(c), Number: true},
		{Text: c.Revenue.String(), Number: true}, {Text: report.ECPM(c.Revenue, c.Impressions), Number: true},
	}
}

// supplyTables are the sums by placement, and the hours.
func supplyTables(lang string, d reportData, placements []ad.Placement) []views.Table {
	columns := func(first ...views.Column) []views.Column {
		return append(first, numbers(lang, "report.impressions"), numbers(lang, "report.clicks"), views.Column{Title: "CTR", Number: true},
			numbers(lang, "report.revenue"), views.Column{Title: "eCPM", Number: true})
	}
	empty := views.Empty{Title: views.T(lang, "report.none"), Text: views.T(lang, "report.none_supply_text")}
	sums := views.Table{Title: views.T(lang, "report.by_placement"), Columns: columns(column(lang, "noun.placement")), Empty: empty}
	hours := views.Table{Title: views.T(lang, "report.supply_table"), Columns: columns(column(lang, "report.hour"), column(lang, "noun.placement")), Empty: empty}
	byPlacement := map[ad.ID][]postgres.ReportRow{}
	for _, row := range d.rows {
		byPlacement[row.Placement] = append(byPlacement[row.Placement], row)
	}
	for _, m := range placements {
		if rows := byPlacement[m.ID]; rows != nil {
			sums.Rows = append(sums.Rows, append([]views.Cell{{Text: m.Name, URL: placementPath(m.ID)}}, supplyFigures(report.Total(rows))...))
		}
	}
	for _, row := range slices.Backward(d.rows) {
		if len(hours.Rows) == tableRows {
			hours.Title = views.T(lang, "report.table_cut", tableRows)
			break
		}
		hours.Rows = append(hours.Rows, append([]views.Cell{{Text: row.Hour.Format("2006-01-02 15:04 MST")}, {Text: placementName(placements, row.Placement)}}, supplyFigures(row.Counts)...))
	}
	if len(sums.Rows) == 0 {
		return []views.Table{hours}
	}
	sums.Total = append([]views.Cell{{Text: views.T(lang, "report.total")}}, supplyFigures(report.Total(d.rows))...)
	return []views.Table{sums, hours}
}

func (c *console) supplyCSV(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	in, _, placements, err := c.supplyInput(r)
	if err != nil {
		return err
	}
	d, err := c.readSupply(ctx, in)
	if err != nil {
		return err
	}
	startCSV(w, "supply", d)
	return report.WriteCSV(w, []string{"hour", "placement_id", "placement", "impressions", "clicks", "ctr", "revenue", "ecpm"}, func(yield func([]string) bool) {
		for _, row := range d.rows {
			if !yield([]string{
				row.Hour.Format(time.RFC3339), fmt.Sprint(row.Placement), placementName(placements, row.Placement), fmt.Sprint(row.Impressions),
				fmt.Sprint(row.Clicks), report.CTR(row.Counts), row.Revenue.String(), report.ECPM(row.Revenue, row.Impressions),
			}) {
				return
			}
		}
	})
}
