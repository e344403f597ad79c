package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/a-h/templ"

	"github.com/hayate-ads/hayate/admin/views"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/postgres"
)

const correctionsPath = "/corrections"

// correctionInput is what people and programs send, to preview a correction and,
// with the figures that the preview answered, to make it.
type correctionInput struct {
	AdvertiserID int64  `json:"advertiser_id" minimum:"1"`
	LineItemID   int64  `json:"line_item_id,omitempty" minimum:"0" doc:"Left out: all of the advertiser's."`
	CreativeID   int64  `json:"creative_id,omitempty" minimum:"0"`
	PlacementID  int64  `json:"placement_id,omitempty" minimum:"0"`
	ExchangeID   *int64 `json:"exchange_id,omitempty" minimum:"0" doc:"0: own inventory only; left out: whatever the way."`
	From         string `json:"from" doc:"RFC 3339, or without an offset in UTC: a whole hour of UTC, of the decisions." example:"2026-04-01T09:00:00Z"`
	To           string `json:"to" doc:"The same, not included; at most 92 days later." example:"2026-04-01T12:00:00Z"`
	Why          string `json:"why" doc:"1 to 500 characters. The invoice shows it." example:"Clicks and impressions of a data centre"`
	Impressions  int64  `json:"impressions,omitempty" doc:"To make the correction: what the preview answered."`
	Charged      string `json:"charged,omitempty" doc:"To make the correction: what the preview answered." example:"12.50"`
	Revenue      string `json:"revenue,omitempty" doc:"To make the correction: what the preview answered." example:"8.75"`
}

func (in correctionInput) parse() (k ad.Correction, expected ad.Credit, err error) {
	var p parser
	k = ad.Correction{
		AdvertiserID: ad.ID(in.AdvertiserID), LineItemID: ad.ID(in.LineItemID), CreativeID: ad.ID(in.CreativeID), PlacementID: ad.ID(in.PlacementID),
		From: p.moment("from", in.From, time.UTC), To: p.moment("to", in.To, time.UTC), Why: in.Why,
	}
	if in.ExchangeID != nil {
		exchange := ad.ID(*in.ExchangeID)
		k.ExchangeID = &exchange
	}
	expected = ad.Credit{Impressions: in.Impressions, Charged: p.amount("charged", in.Charged), Revenue: p.amount("revenue", in.Revenue)}
	return k, expected, p.check(k)
}

func (c *console) previewCorrection(ctx context.Context, in correctionInput) (postgres.CorrectionPreview, error) {
	k, _, err := in.parse()
	if err != nil {
		return postgres.CorrectionPreview{}, err
	}
	return c.db.PreviewCorrection(ctx, actorOf(ctx), k)
}

func (c *console) makeCorrection(ctx context.Context, in correctionInput) (ad.Correction, error) {
	k, expected, err := in.parse()
	if err != nil {
		return k, err
	}
	return c.db.Correct(ctx, actorOf(ctx), k, expected)
}

func (c *console) correctionsPage(w http.ResponseWriter, r *http.Request) error {
	ctx, lang := r.Context(), langOf(r)
	found, err := c.db.Corrections(ctx, actorOf(ctx), postgres.CorrectionFilter{Page: pageOf(r)})
	if err != nil {
		return err
	}
	advertisers, err := c.db.Advertisers(ctx, actorOf(ctx), postgres.Page{Limit: maxNames})
	if err != nil {
		return err
	}
	found, next := cut(found, correctionsPath, func(k ad.Correction) ad.ID { return k.ID })
	add := views.Action{Text: views.T(lang, "correction.new"), URL: correctionsPath + "/new", Main: true}
	page := views.Page{Title: views.T(lang, "nav.corrections"), Section: "corrections", Actions: []views.Action{add}}
	table := views.Table{
		Columns: names(column(lang, "correction.made"), column(lang, "noun.advertiser"), column(lang, "correction.hours"), column(lang, "correction.why"),
			numbers(lang, "report.impressions"), numbers(lang, "correction.credited")),
		Empty: views.Empty{Title: views.T(lang, "correction.none"), Text: views.T(lang, "correction.none_text"), Action: &add}, Next: next,
	}
	for _, k := range found {
		table.Rows = append(table.Rows, []views.Cell{
			{Text: views.Moment(k.At, time.UTC), URL: fmt.Sprintf("%s/%d", correctionsPath, k.ID)}, {Text: nameOf(advertisers, k.AdvertiserID), URL: advertiserPath(k.AdvertiserID)},
			{Text: utcHours(k.From, k.To)}, {Text: k.Why}, {Text: views.Count(k.Impressions), Number: true}, {Text: k.Charged.String(), Number: true},
		})
	}
	return c.show(w, r, views.List(page, table))
}

func nameOf(advertisers []ad.Advertiser, id ad.ID) string {
	for _, a := range advertisers {
		if a.ID == id {
			return a.Name
		}
	}
	return fmt.Sprintf("#%d", id)
}

// utcHours writes the hours of a correction: reports count by hours of UTC.
func utcHours(from, to time.Time) string {
	return from.UTC().Format("2006-01-02 15:04") + " – " + to.UTC().Format("2006-01-02 15:04 MST")
}

func (c *console) newCorrectionPage(w http.ResponseWriter, r *http.Request) error {
	var in correctionInput
	if err := fillForm(r.URL.Query(), &in); err != nil {
		return err
	}
	form, err := c.correctionForm(r, in, problems{lang: langOf(r)})
	if err != nil {
		return err
	}
	return c.show(w, r, form)
}

func (c *console) correctionForm(r *http.Request, in correctionInput, p problems) (templ.Component, error) {
	ctx := r.Context()
	advertisers, err := c.db.Advertisers(ctx, actorOf(ctx), postgres.Page{Limit: maxNames})
	if err != nil {
		return nil, err
	}
	number := func(id int64) string {
		if id == 0 {
			return ""
		}
		return fmt.Sprint(id)
	}
	advertiser := p.required("advertiser_id", "noun.advertiser", "select", number(in.AdvertiserID))
	advertiser.Options = []views.Option{{Text: "–"}}
	for _, a := range advertisers {
		advertiser.Options = append(advertiser.Options, views.Option{Value: fmt.Sprint(a.ID), Text: a.Name})
	}
	exchange := p.hint(p.field("exchange_id", "correction.exchange", "text", ""), "correction.exchange_hint")
	if in.ExchangeID != nil {
		exchange.Value = fmt.Sprint(*in.ExchangeID)
	}
	why := p.hint(p.required("why", "correction.why", "text", in.Why), "correction.why_hint")
	why.Wide = true
	form := p.form(correctionsPath+"/preview", 0,
		views.Section{Title: p.t("correction.whose"), Fields: []views.Field{
			advertiser, p.hint(p.field("line_item_id", "correction.line_item", "text", number(in.LineItemID)), "correction.any_hint"),
		}},
		views.Section{Title: p.t("correction.hours"), Hint: p.t("correction.hours_hint"), Fields: []views.Field{
			p.required("from", "correction.from", "datetime", in.From), p.required("to", "correction.to", "datetime", in.To),
		}},
		views.Section{Title: p.t("correction.narrow"), Hint: p.t("correction.narrow_hint"), Fields: []views.Field{
			p.field("creative_id", "correction.creative", "text", number(in.CreativeID)), p.field("placement_id", "correction.placement", "text", number(in.PlacementID)), exchange,
		}},
		views.Section{Fields: []views.Field{why}})
	form.Submit, form.Cancel = p.t("correction.preview"), correctionsPath
	page := views.Page{Title: p.t("correction.new"), Section: "corrections", Crumbs: []views.Link{{Text: p.t("nav.corrections"), URL: correctionsPath}}}
	return views.Edit(page, form), nil
}

// postCorrectionPreview shows what would be credited, with the button that does it.
func (c *console) postCorrectionPreview(w http.ResponseWriter, r *http.Request) error {
	var in correctionInput
	if err := readForm(w, r, maxForm, &in); err != nil {
		return err
	}
	preview, err := c.previewCorrection(r.Context(), in)
	if err != nil {
		return c.refillCorrection(w, r, in, err)
	}
	return c.show(w, r, c.correctionPreview(r, in, preview, ""))
}

func (c *console) refillCorrection(w http.ResponseWriter, r *http.Request, in correctionInput, err error) error {
	p, status := problemsOf(err, langOf(r))
	if status == 0 {
		return err
	}
	form, err := c.correctionForm(r, in, p)
	if err != nil {
		return err
	}
	c.render(w, r, status, form)
	return nil
}

func (c *console) correctionPreview(r *http.Request, in correctionInput, v postgres.CorrectionPreview, problem string) templ.Component {
	lang := langOf(r)
	fields := url.Values{"advertiser_id": {fmt.Sprint(in.AdvertiserID)}, "from": {in.From}, "to": {in.To}, "why": {in.Why}}
	for name, id := range map[string]int64{"line_item_id": in.LineItemID, "creative_id": in.CreativeID, "placement_id": in.PlacementID} {
		if id != 0 {
			fields.Set(name, fmt.Sprint(id))
		}
	}
	if in.ExchangeID != nil {
		fields.Set("exchange_id", fmt.Sprint(*in.ExchangeID))
	}
	back := views.Link{Text: views.T(lang, "correction.change"), URL: correctionsPath + "/new?" + fields.Encode()}
	page := views.Page{Title: views.T(lang, "correction.preview_title"), Section: "corrections", Crumbs: []views.Link{{Text: views.T(lang, "nav.corrections"), URL: correctionsPath}}}
	var confirm *views.Action
	if v.Credit != (ad.Credit{}) {
		confirm = &views.Action{Text: views.T(lang, "correction.confirm", v.Charged), URL: correctionsPath, Main: true, Post: true, Confirm: views.T(lang, "correction.confirm_ask")}
		fields.Set("impressions", fmt.Sprint(v.Impressions))
		fields.Set("charged", v.Charged.String())
		fields.Set("revenue", v.Revenue.String())
		for name, values := range fields {
			confirm.Fields = append(confirm.Fields, views.Link{Text: name, URL: values[0]})
		}
	}
	table := views.Table{
		Title:   views.T(lang, "correction.by_line_item"),
		Columns: names(column(lang, "noun.line_item"), numbers(lang, "report.impressions"), numbers(lang, "correction.credited"), numbers(lang, "correction.revenue")),
		Empty:   views.Empty{Title: views.T(lang, "correction.nothing"), Text: views.T(lang, "correction.nothing_text")},
		Total:   append([]views.Cell{{Text: views.T(lang, "report.total")}}, creditFigures(v.Credit)...),
	}
	for _, line := range v.LineItems {
		table.Rows = append(table.Rows, append([]views.Cell{{Text: line.Name, URL: lineItemPath(line.LineItem)}}, creditFigures(line.Credit)...))
	}
	return views.Confirm(page, views.Confirmation{Problem: problem, Details: correctionDetails(lang, in), Notes: foldedNote(lang, in, v), Table: table, Confirm: confirm, Back: back})
}

// correctionDetails say again what was asked.
func correctionDetails(lang string, in correctionInput) []views.Detail {
	k, _, err := in.parse()
	if err != nil {
		return nil // a preview of it was made
	}
	return append([]views.Detail{
		{Name: views.T(lang, "noun.advertiser"), Value: fmt.Sprintf("#%d", k.AdvertiserID), URL: advertiserPath(k.AdvertiserID)},
		{Name: views.T(lang, "correction.hours"), Value: utcHours(k.From, k.To)},
		{Name: views.T(lang, "correction.why"), Value: k.Why},
	}, narrowDetails(lang, k)...)
}

func creditFigures(k ad.Credit) []views.Cell {
	return []views.Cell{{Text: views.Count(k.Impressions), Number: true}, {Text: k.Charged.String(), Number: true}, {Text: k.Revenue.String(), Number: true}}
}

// foldedNote says what becomes of hours whose cells cannot be told apart.
func foldedNote(lang string, in correctionInput, v postgres.CorrectionPreview) []string {
	var notes []string
	switch {
	case v.Folded == 0:
	case in.CreativeID != 0 || in.PlacementID != 0 || in.ExchangeID != nil:
		notes = append(notes, views.T(lang, "correction.folded_out", v.Folded))
	default:
		notes = append(notes, views.T(lang, "correction.folded_in", v.Folded))
	}
	return notes
}

// postCorrection makes the correction whose preview was confirmed. When the
// figures are others by now, they are shown anew.
func (c *console) postCorrection(w http.ResponseWriter, r *http.Request) error {
	var in correctionInput
	if err := readForm(w, r, maxForm, &in); err != nil {
		return err
	}
	k, err := c.makeCorrection(r.Context(), in)
	if errors.Is(err, postgres.ErrFigures) {
		preview, err := c.previewCorrection(r.Context(), in)
		if err != nil {
			return c.refillCorrection(w, r, in, err)
		}
		c.render(w, r, http.StatusConflict, c.correctionPreview(r, in, preview, views.T(langOf(r), "problem.figures.text")))
		return nil
	}
	if err != nil {
		return c.refillCorrection(w, r, in, err)
	}
	return c.redirect(w, r, fmt.Sprintf("%s/%d", correctionsPath, k.ID), "notice.corrected")
}

func (c *console) correctionPage(w http.ResponseWriter, r *http.Request) error {
	ctx, lang := r.Context(), langOf(r)
	id, err := pathID(r, "id")
	if err != nil {
		return err
	}
	k, err := c.db.FindCorrection(ctx, actorOf(ctx), id)
	if err != nil {
		return err
	}
	a, err := c.db.FindAdvertiser(ctx, actorOf(ctx), k.AdvertiserID)
	if err != nil {
		return err
	}
	parts, err := c.db.CorrectionParts(ctx, actorOf(ctx), id)
	if err != nil {
		return err
	}
	month := k.At.In(zoneOf(a)).Format(monthLayout)
	page := views.Page{Title: fmt.Sprintf("#%d", k.ID), Kind: views.T(lang, "correction.noun"), Section: "corrections", Crumbs: []views.Link{{Text: views.T(lang, "nav.corrections"), URL: correctionsPath}}}
	details := append([]views.Detail{
		{Name: views.T(lang, "noun.advertiser"), Value: a.Name, URL: advertiserPath(a.ID)},
		{Name: views.T(lang, "correction.credited"), Value: k.Charged.String(), Note: views.T(lang, "correction.impressions", views.Count(k.Impressions))},
		{Name: views.T(lang, "correction.revenue"), Value: k.Revenue.String()},
		{Name: views.T(lang, "correction.hours"), Value: utcHours(k.From, k.To)},
		{Name: views.T(lang, "correction.why"), Value: k.Why},
		{Name: views.T(lang, "correction.made"), Value: views.Moment(k.At, zoneOf(a))},
		{Name: views.T(lang, "correction.on_invoice"), Value: month, URL: invoicePath(a.ID, month)},
	}, narrowDetails(lang, k)...)
	table := views.Table{Title: views.T(lang, "correction.by_line_item"), Columns: names(column(lang, "noun.line_item"), numbers(lang, "report.impressions"), numbers(lang, "correction.credited"))}
	for _, part := range parts {
		table.Rows = append(table.Rows, append([]views.Cell{{Text: part.Name, URL: lineItemPath(part.LineItem)}}, creditFigures(part.Credit)[:2]...))
	}
	return c.show(w, r, views.Thing(page, details, []views.Table{table}))
}

func narrowDetails(lang string, k ad.Correction) (details []views.Detail) {
	for _, d := range []struct {
		key  string
		id   ad.ID
		path func(ad.ID) string
	}{{"noun.line_item", k.LineItemID, lineItemPath}, {"noun.creative", k.CreativeID, creativePath}, {"noun.placement", k.PlacementID, placementPath}} {
		if d.id != 0 {
			details = append(details, views.Detail{Name: views.T(lang, d.key), Value: fmt.Sprintf("#%d", d.id), URL: d.path(d.id)})
		}
	}
	switch {
	case k.ExchangeID == nil:
	case *k.ExchangeID == 0:
		details = append(details, views.Detail{Name: views.T(lang, "correction.exchange"), Value: views.T(lang, "correction.own_inventory")})
	default:
		details = append(details, views.Detail{Name: views.T(lang, "correction.exchange"), Value: fmt.Sprintf("#%d", *k.ExchangeID)})
	}
	return details
}
