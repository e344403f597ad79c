package admin

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/hayate-ads/hayate/admin/report"
	"github.com/hayate-ads/hayate/admin/views"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// reportNames gives the things that rows are about their names.
type reportNames interface {
	// name is what a thing is called and where its page is; "": neither is known,
	// or the visitor may not see it.
	name(d postgres.Dimension, id ad.ID) (text, url string)
}

// reportChoice is what a report's form offers and what is chosen.
type reportChoice struct {
	page            string
	fields          []views.Field // what narrows the report
	dimensions      []postgres.Dimension
	figures, chosen []report.Figure
	usual           []string // the figures of a form that was not touched
}

func reportForm(p problems, in reportInput, d reportData, choice reportChoice) views.ReportFilter {
	group := p.field("group", "report.group", "checks", "")
	group.Values = words(in.Group)
	for _, dimension := range choice.dimensions {
		group.Options = append(group.Options, views.Option{Value: string(dimension), Text: dimensionName(p.lang, dimension)})
	}
	figures := p.field("figures", "report.figures", "checks", "")
	for _, figure := range choice.figures {
		figures.Options = append(figures.Options, views.Option{Value: figure.Name, Text: p.t("figure." + figure.Name)})
	}
	for _, figure := range choice.chosen {
		figures.Values = append(figures.Values, figure.Name)
	}
	own := len(in.Figures) > 0 && !slices.Equal(words(in.Figures), choice.usual)
	if !own {
		in.Figures = nil // the CSV has all then
	}
	return views.ReportFilter{
		Action: choice.page, CSV: csvURL(choice.page, in), Fields: append(dateFields(p, in, d.Range), choice.fields...),
		Group: group, Figures: figures, Open: own,
	}
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

func dimensionName(lang string, d postgres.Dimension) string {
	return views.T(lang, "group."+string(d))
}

// tableRows is how much of a report a page of its table shows.
const tableRows = 200

// reportTable is one page of the rows: the newest first where they are of hours or
// days, else the largest.
func reportTable(lang string, d reportData, known reportNames, figures []report.Figure, at *url.URL) views.Table {
	table := views.Table{
		Title: views.T(lang, "report.total"),
		Empty: views.Empty{Title: views.T(lang, "report.none"), Text: views.T(lang, "report.none_text")},
	}
	var by []string
	for _, dimension := range d.group {
		by = append(by, dimensionName(lang, dimension))
		table.Columns = append(table.Columns, views.Column{Title: dimensionName(lang, dimension)})
	}
	if len(by) > 0 {
		table.Title = strings.Join(by, " · ")
	}
	for _, figure := range figures {
		table.Columns = append(table.Columns, numbers(lang, "figure."+figure.Name))
	}
	rows := byTime(d)
	page := tablePage(at)
	first := min((page-1)*tableRows, len(rows))
	last := min(first+tableRows, len(rows))
	if len(rows) > tableRows {
		table.Title += ": " + views.T(lang, "report.table_part", first+1, last, len(rows))
	}
	restated := d.restatedAt()
	for _, row := range rows[first:last] {
		cells := dimensionCells(lang, d, row, known, restated)
		table.Rows = append(table.Rows, append(cells, figureCells(figures, row.Counts)...))
	}
	if last < len(rows) {
		query := at.Query()
		query.Set("page", fmt.Sprint(page+1))
		table.Next = at.Path + "?" + query.Encode()
	}
	if len(d.group) > 0 {
		total := make([]views.Cell, len(d.group))
		total[0].Text = views.T(lang, "report.total")
		table.Total = append(total, figureCells(figures, d.Total)...)
	}
	return table
}

// tablePage is the page that is asked for, from 1.
func tablePage(at *url.URL) int {
	var page int
	if _, err := fmt.Sscan(at.Query().Get("page"), &page); err != nil || page < 1 || page > 1_000_000 {
		return 1
	}
	return page
}

// byTime is the newest first, and of the same hour the largest.
func byTime(d reportData) []reportRow {
	rows := slices.Clone(d.rows)
	slices.SortStableFunc(rows, func(a, b reportRow) int {
		return cmp.Or(b.Hour.Compare(a.Hour), b.Day.Compare(a.Day), cmp.Compare(b.Impressions+b.Decisions, a.Impressions+a.Decisions))
	})
	return rows
}

func figureCells(figures []report.Figure, c postgres.Counts) []views.Cell {
	var cells []views.Cell
	for _, figure := range figures {
		cells = append(cells, views.Cell{Text: figure.Text(c), Number: true})
	}
	return cells
}

// restatedAt is when hours, and days of the report's zone, were last restated, by
// their Unix seconds.
func (d reportData) restatedAt() map[int64]time.Time {
	at := map[int64]time.Time{}
	for _, r := range d.Restated {
		local := r.Hour.In(d.Zone)
		day := time.Date(local.Year(), local.Month(), local.Day(), 0, 0, 0, 0, time.UTC)
		at[r.Hour.Unix()] = r.At
		if r.At.After(at[-day.Unix()]) {
			at[-day.Unix()] = r.At // days are negative, since a day begins with an hour
		}
	}
	return at
}

func dimensionCells(lang string, d reportData, row reportRow, known reportNames, restated map[int64]time.Time) []views.Cell {
	var cells []views.Cell
	for _, dimension := range d.group {
		cell := views.Cell{}
		switch dimension {
		case postgres.ByHour:
			cell.Text = row.Hour.In(d.Zone).Format("2006-01-02 15:04")
			cell.Note = restatedNote(lang, restated[row.Hour.Unix()], d.Zone)
		case postgres.ByDay:
			cell.Text = row.Day.Format(time.DateOnly)
			cell.Note = restatedNote(lang, restated[-row.Day.Unix()], d.Zone)
		case postgres.ByCountry, postgres.ByDevice, postgres.ByInvalid, postgres.ByNoFill:
			cell.Text = wordText(lang, dimension, row.word(dimension))
		default:
			id := row.id(dimension)
			cell.Text, cell.URL = known.name(dimension, id)
			if cell.Text == "" {
				cell.Text = idText(lang, dimension, id)
			}
		}
		cells = append(cells, cell)
	}
	return cells
}

func restatedNote(lang string, at time.Time, zone *time.Location) string {
	if at.IsZero() {
		return ""
	}
	return views.T(lang, "report.restated_at", at.In(zone).Format("01-02 15:04"))
}

// idText is a thing whose name is not known.
func idText(lang string, d postgres.Dimension, id ad.ID) string {
	switch {
	case d == postgres.ByExchange && id == 0:
		return views.T(lang, "group.own")
	case id <= 0:
		return views.T(lang, "group.other")
	}
	return fmt.Sprintf("#%d", id)
}

// wordText is a value of a dimension without things.
func wordText(lang string, d postgres.Dimension, word string) string {
	switch {
	case d == postgres.ByNoFill && word == "":
		return views.T(lang, "group.filled")
	case d == postgres.ByNoFill:
		return noFillText(lang, word)
	case d == postgres.ByInvalid && word == "":
		return views.T(lang, "group.valid")
	case d == postgres.ByCountry && word == "other":
		return views.T(lang, "group.other")
	case word == "":
		return views.T(lang, "group.unknown")
	case d == postgres.ByCountry:
		return word
	}
	key := "devicevalue." + word
	if d == postgres.ByInvalid {
		key = "invalidvalue." + word
	}
	if text, ok := views.Known(lang, key); ok {
		return text
	}
	return word
}

func (r reportRow) id(d postgres.Dimension) ad.ID {
	switch d {
	case postgres.ByAdvertiser:
		return r.Advertiser
	case postgres.ByCampaign:
		return r.Campaign
	case postgres.ByLineItem:
		return r.LineItem
	case postgres.ByCreative:
		return r.Creative
	case postgres.ByPlacement:
		return r.Placement
	}
	return r.Exchange
}

func (r reportRow) word(d postgres.Dimension) string {
	switch d {
	case postgres.ByCountry:
		return r.Country
	case postgres.ByDevice:
		return r.Device
	case postgres.ByInvalid:
		return r.Invalid
	}
	return r.NoFill
}

// writeReportCSV writes all rows: a column for each dimension, for things their id
// and name, and one for each figure. When the report is complete, and what changed
// since, is in the header, where it does not get into anybody's sums.
func writeReportCSV(w http.ResponseWriter, name string, d reportData, known reportNames) error {
	var header []string
	for _, dimension := range d.group {
		switch dimension {
		case postgres.ByHour, postgres.ByDay, postgres.ByCountry, postgres.ByDevice, postgres.ByInvalid, postgres.ByNoFill:
			header = append(header, string(dimension))
		case postgres.ByExchange:
			header = append(header, "exchange_id")
		default:
			header = append(header, string(dimension)+"_id", string(dimension))
		}
	}
	for _, figure := range d.figures {
		header = append(header, figure.Name)
	}
	w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	if !d.Freshness.IsZero() {
		w.Header().Set("Settled-To", d.Freshness.Format(time.RFC3339Nano))
	}
	w.Header().Set("Content-Disposition", fmt.Sprintf(`attachment; filename="%s-%s-%s.csv"`, name, d.Range.From.In(d.Zone).Format(time.DateOnly), d.LastDay().Format(time.DateOnly)))
	return report.WriteCSV(w, append(header, "settled_to", "restated_at"), func(yield func([]string) bool) {
		restated, fresh := d.restatedAt(), ""
		if !d.Freshness.IsZero() {
			fresh = d.Freshness.In(d.Zone).Format(time.RFC3339)
		}
		for _, row := range d.rows {
			cells, at := csvNames(d, row, known, restated)
			for _, figure := range d.figures {
				cells = append(cells, figure.Value(row.Counts))
			}
			if !yield(append(cells, fresh, at)) {
				return
			}
		}
	})
}

// csvNames are a row's names, and when its hour or day was restated.
func csvNames(d reportData, row reportRow, known reportNames, restated map[int64]time.Time) (cells []string, at string) {
	stamp := func(t time.Time) {
		if !t.IsZero() {
			at = t.In(d.Zone).Format(time.RFC3339)
		}
	}
	for _, dimension := range d.group {
		switch dimension {
		case postgres.ByHour:
			cells = append(cells, row.Hour.In(d.Zone).Format(time.RFC3339))
			stamp(restated[row.Hour.Unix()])
		case postgres.ByDay:
			cells = append(cells, row.Day.Format(time.DateOnly))
			stamp(restated[-row.Day.Unix()])
		case postgres.ByCountry, postgres.ByDevice, postgres.ByInvalid, postgres.ByNoFill:
			cells = append(cells, row.word(dimension))
		case postgres.ByExchange:
			cells = append(cells, csvID(dimension, row.Exchange))
		default:
			text, _ := known.name(dimension, row.id(dimension))
			cells = append(cells, csvID(dimension, row.id(dimension)), text)
		}
	}
	return cells, at
}

// csvID is an id; "other" for what is not told apart.
func csvID(d postgres.Dimension, id ad.ID) string {
	if id < 0 || id == 0 && d != postgres.ByExchange {
		return "other"
	}
	return fmt.Sprint(id)
}
