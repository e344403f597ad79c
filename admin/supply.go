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
	fill := report.TotalFill(d.fill)
	tiles := []views.Tile{
		{Name: views.T(lang, "report.decisions"), Value: views.Count(fill.Decisions), Note: views.T(lang, "report.fill_note", report.Percent(fill.Filled, fill.Decisions))},
		{Name: views.T(lang, "report.impressions"), Value: views.Count(total.Impressions)},
		{Name: views.T(lang, "report.clicks"), Value: views.Count(total.Clicks), Note: "CTR " + report.CTR(total)},
		{Name: views.T(lang, "report.revenue"), Value: report.Round(total.Revenue), Note: "eCPM " + report.ECPM(total.Revenue, total.Impressions)},
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

// supplyRow is what one placement did in one hour: in decisions, and in what came
// of those that had an ad. Events may come without a decision of their hour in
// sight, and decisions without events.
type supplyRow struct {
	hour      time.Time
	placement ad.ID
	postgres.Counts
	report.Fill
}

// supplyRows puts the rows of both reports together, oldest first.
func supplyRows(d reportData) []supplyRow {
	type cell struct {
		hour      int64
		placement ad.ID
	}
	rows, place := []supplyRow{}, map[cell]int{}
	at := func(hour time.Time, placement ad.ID) *supplyRow {
		key := cell{hour.Unix(), placement}
		if _, known := place[key]; !known {
			place[key] = len(rows)
			rows = append(rows, supplyRow{hour: hour, placement: placement})
		}
		return &rows[place[key]]
	}
	for _, row := range d.rows {
		at(row.Hour, row.Placement).Counts = row.Counts
	}
	for _, row := range d.fill {
		at(row.Hour, row.Placement).Fill.Add(row)
	}
	slices.SortFunc(rows, func(a, b supplyRow) int {
		return cmp.Or(a.hour.Compare(b.hour), cmp.Compare(a.placement, b.placement))
	})
	return rows
}

func supplyFigures(c postgres.Counts, f report.Fill) []views.Cell {
	return []views.Cell{
		{Text: views.Count(f.Decisions), Number: true}, {Text: report.Percent(f.Filled, f.Decisions), Number: true},
		{Text: views.Count(c.Impressions), Number: true}, {Text: views.Count(c.Clicks), Number: true}, {Text: report.CTR(c), Number: true},
		{Text: c.Revenue.String(), Number: true}, {Text: report.ECPM(c.Revenue, c.Impressions), Number: true},
	}
}

// supplyTables are the sums by placement, why there was no ad, and the hours.
func supplyTables(lang string, d reportData, placements []ad.Placement) []views.Table {
	columns := func(first ...views.Column) []views.Column {
		return append(first, numbers(lang, "report.decisions"), numbers(lang, "report.fill_rate"), numbers(lang, "report.impressions"), numbers(lang, "report.clicks"),
			views.Column{Title: "CTR", Number: true}, numbers(lang, "report.revenue"), views.Column{Title: "eCPM", Number: true})
	}
	rows := supplyRows(d)
	empty := views.Empty{Title: views.T(lang, "report.none"), Text: views.T(lang, "report.none_supply_text")}
	hours := views.Table{Title: views.T(lang, "report.supply_table"), Columns: columns(column(lang, "report.hour"), column(lang, "noun.placement")), Empty: empty}
	for _, row := range slices.Backward(rows) {
		if len(hours.Rows) == tableRows {
			hours.Title = views.T(lang, "report.table_cut", tableRows)
			break
		}
		hours.Rows = append(hours.Rows, append([]views.Cell{{Text: row.hour.Format("2006-01-02 15:04 MST")}, {Text: placementName(placements, row.placement)}}, supplyFigures(row.Counts, row.Fill)...))
	}
	if len(rows) == 0 {
		return []views.Table{hours}
	}
	sums := views.Table{Title: views.T(lang, "report.by_placement"), Columns: columns(column(lang, "noun.placement"))}
	counts, fills := map[ad.ID][]postgres.ReportRow{}, map[ad.ID][]postgres.FillRow{}
	for _, row := range d.rows {
		counts[row.Placement] = append(counts[row.Placement], row)
	}
	for _, row := range d.fill {
		fills[row.Placement] = append(fills[row.Placement], row)
	}
	for _, m := range placements {
		if counts[m.ID] != nil || fills[m.ID] != nil {
			sums.Rows = append(sums.Rows, append([]views.Cell{{Text: m.Name, URL: placementPath(m.ID)}}, supplyFigures(report.Total(counts[m.ID]), report.TotalFill(fills[m.ID]))...))
		}
	}
	sums.Total = append([]views.Cell{{Text: views.T(lang, "report.total")}}, supplyFigures(report.Total(d.rows), report.TotalFill(d.fill))...)
	tables := []views.Table{sums}
	if reasons := reasonTable(lang, report.TotalFill(d.fill)); len(reasons.Rows) > 0 {
		tables = append(tables, reasons)
	}
	return append(tables, hours)
}

// reasonTable says why there was no ad, the most frequent reason first.
func reasonTable(lang string, f report.Fill) views.Table {
	table := views.Table{
		Title:   views.T(lang, "report.no_fill"),
		Columns: names(column(lang, "report.reason"), numbers(lang, "report.decisions"), numbers(lang, "report.share")),
	}
	reasons := slices.SortedFunc(maps.Keys(f.NoFill), func(a, b string) int {
		return cmp.Or(cmp.Compare(f.NoFill[b], f.NoFill[a]), cmp.Compare(a, b))
	})
	for _, reason := range reasons {
		n := f.NoFill[reason]
		table.Rows = append(table.Rows, []views.Cell{
			{Text: noFillText(lang, reason), Note: reason}, {Text: views.Count(n), Number: true}, {Text: report.Percent(n, f.Decisions), Number: true},
		})
	}
	return table
}

// noFillText says a reason in words; one that is not known yet stands for itself.
func noFillText(lang, reason string) string {
	if slices.Contains([]string{"unknown_placement", "no_match", "below_floor", "excluded", "no_creative", "no_lease"}, reason) {
		return views.T(lang, "fill."+reason)
	}
	return reason
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
	columns := []string{"hour", "placement_id", "placement", "decisions", "filled", "fill_rate", "impressions", "clicks", "ctr", "revenue", "ecpm"}
	return report.WriteCSV(w, columns, func(yield func([]string) bool) {
		for _, row := range supplyRows(d) {
			if !yield([]string{
				row.hour.Format(time.RFC3339), fmt.Sprint(row.placement), placementName(placements, row.placement),
				fmt.Sprint(row.Fill.Decisions), fmt.Sprint(row.Fill.Filled), report.Ratio(row.Fill.Filled, row.Fill.Decisions), fmt.Sprint(row.Impressions),
				fmt.Sprint(row.Clicks), report.Ratio(row.Clicks, row.Impressions), row.Revenue.String(), report.Rate(row.Revenue, row.Impressions),
			}) {
				return
			}
		}
	})
}
