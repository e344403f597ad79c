package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/hayate-ads/hayate/admin/report"
	"github.com/hayate-ads/hayate/admin/views"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/postgres"
)

func whyPath(id ad.ID) string { return lineItemPath(id) + "/why" }

// whyPages are the pages about why a line item is not serving.
func (c *console) whyPages() []route {
	return []route{
		{"GET /line-items/{id}/why", buyers, c.whyPage},
		{"POST /line-items/{id}/why", buyers, c.askWhy},
	}
}

// whyDetail is the link from the line item's page.
func whyDetail(ctx context.Context, lang string, id ad.ID) views.Detail {
	d := views.Detail{Name: views.T(lang, "why.link"), Value: "–"}
	if mayEditDemand(ctx) { // reviewers see no figures
		d.Value, d.URL = views.T(lang, "why.open"), whyPath(id)
	}
	return d
}

func (c *console) whyPage(w http.ResponseWriter, r *http.Request) error {
	found, err := c.pathWhy(r)
	if err != nil {
		return err
	}
	p := problems{lang: langOf(r)}
	return c.show(w, r, views.WhyView(found.page(r.Context()), found.view(p, askInput{}, nil)))
}

func (c *console) pathWhy(r *http.Request) (why, error) {
	id, err := pathID(r, "id")
	if err != nil {
		return why{}, err
	}
	span := lastDay
	if r.URL.Query().Get("span") == lastWeek {
		span = lastWeek
	}
	return c.readWhy(r.Context(), id, span)
}

// askWhy shows the page again with delivery's answer about the request described.
func (c *console) askWhy(w http.ResponseWriter, r *http.Request) error {
	found, err := c.pathWhy(r)
	if err != nil {
		return err
	}
	var in askInput
	if err := readForm(w, r, maxQuestion, &in); err != nil {
		return err
	}
	q, err := in.parse()
	if p, status := problemsOf(err, langOf(r)); status != 0 {
		c.render(w, r, status, views.WhyView(found.page(r.Context()), found.view(p, in, nil)))
		return nil
	}
	answer := c.answerOf(r.Context(), found.lineItem.ID, q)
	return c.show(w, r, views.WhyView(found.page(r.Context()), found.view(problems{lang: langOf(r)}, in, answer)))
}

func (w *why) page(ctx context.Context) views.Page {
	lang := views.From(ctx).Language
	return views.Page{
		Title: views.T(lang, "why.title"), Kind: w.lineItem.Name, Section: "advertisers", Crumbs: w.crumbs(ctx, 3),
		Badges: []views.Badge{views.StatusBadge(lang, w.lineItem.Status)},
	}
}

func (w *why) view(p problems, in askInput, answer *views.WhyAnswer) views.Why {
	v := views.Why{
		Spans: []views.Span{
			{Link: views.Link{Text: p.t("why.24h"), URL: whyPath(w.lineItem.ID)}, Chosen: w.span == lastDay},
			{Link: views.Link{Text: p.t("why.7d"), URL: whyPath(w.lineItem.ID) + "?span=" + lastWeek}, Chosen: w.span == lastWeek},
		},
		Fresh: p.t("why.never"), Main: w.mainAdvice(p.lang), Notes: w.notes(p.lang), Table: w.table(p.lang),
		Form: w.form(p, in), Answer: answer,
	}
	if !w.fresh.IsZero() {
		v.Fresh = p.t("why.fresh", views.Moment(w.fresh, w.zone), w.zone.String())
	}
	for _, s := range w.states {
		v.States = append(v.States, s.advice(p.lang, w.lineItem))
	}
	return v
}

// text is the state as a sentence. It has a placeholder where there is a detail.
func (s state) text(lang string) string {
	if s.detail == "" {
		return views.T(lang, "whystate."+s.code)
	}
	return views.T(lang, "whystate."+s.code, s.detail)
}

func (s state) advice(lang string, l ad.LineItem) views.Advice {
	a := views.Advice{Text: s.text(lang)}
	switch s.code {
	case "campaign_status":
		a.Links = []views.Link{{Text: views.T(lang, "noun.campaign"), URL: campaignPath(l.CampaignID)}}
	case "no_creative":
		a.Links = []views.Link{{Text: views.T(lang, "why.and_item"), URL: lineItemPath(l.ID)}}
	case "spent", "spent_today":
		a.Links = []views.Link{{Text: views.T(lang, "why.and_budgets"), URL: lineItemPath(l.ID)}}
	case "line_item_status":
		a.Links = []views.Link{{Text: l.Name, URL: lineItemPath(l.ID)}}
	case "refused", "contradiction", "never_dates", "not_started", "ended":
		a.Links = []views.Link{{Text: views.T(lang, "why.and_edit"), URL: lineItemPath(l.ID) + "/edit"}}
	}
	return a
}

// mainAdvice is the main reason in a sentence, and what to do about it.
func (w *why) mainAdvice(lang string) views.Advice {
	r, ok := w.main()
	if !ok {
		return views.Advice{Text: views.T(lang, "why.quiet"), Do: views.T(lang, "why.quiet_what")}
	}
	part, whole := w.share(r)
	share, basis := percent(part, whole), w.basis(lang)
	a := views.Advice{Do: todo(lang, r)}
	switch {
	case r.Reason == won:
		a.Text, a.Good = views.T(lang, "why.serves", share, basis), true
	case 2*part > whole:
		a.Text = views.T(lang, "why.most", clause(lang, r), share, basis)
	default:
		a.Text = views.T(lang, "why.frequent", clause(lang, r), share, basis)
	}
	switch r.Reason {
	case "no_lease", "paced":
		a.Links = []views.Link{{Text: views.T(lang, "why.and_budgets"), URL: lineItemPath(w.lineItem.ID)}}
	case "no_creative":
		a.Links = []views.Link{{Text: views.T(lang, "why.and_item"), URL: lineItemPath(w.lineItem.ID)}}
	case "no_match", "below_floor", "outbid", "out_of_date", "capped":
		a.Links = []views.Link{{Text: views.T(lang, "why.and_edit"), URL: lineItemPath(w.lineItem.ID) + "/edit"}}
	}
	return a
}

// basis says what a share is of.
func (w *why) basis(lang string) string {
	switch n := w.oneIn(); {
	case n == 0:
		return views.T(lang, "why.counted_of")
	case w.samples == w.requests:
		return views.T(lang, "why.all")
	default:
		return views.T(lang, "why.sampled", views.Count(max(n, 2)))
	}
}

// percent is a share for a sentence: whole percents, and "<1 %" rather than 0.
func percent(part, whole int64) string {
	if part > 0 && part < whole/100 {
		return "<1 %"
	}
	return fmt.Sprintf("%d %%", (money.Micros(part).MulDiv(200, whole)+1)/2)
}

// clause says what requests do that fail for a reason.
func clause(lang string, r postgres.Reason) string {
	if r.Reason == "no_match" && r.Dimension != "" {
		if text, ok := views.Known(lang, "whyoutside."+r.Dimension); ok {
			return text
		}
		return views.T(lang, "whyoutside.other", dimensionWord(lang, r.Dimension))
	}
	if text, ok := views.Known(lang, "whyclause."+r.Reason); ok {
		return text
	}
	return r.Reason
}

// dimensionWord is a dimension's name within a sentence.
func dimensionWord(lang, dimension string) string {
	name, ok := views.Known(lang, "dimension."+dimension)
	if !ok {
		return dimension
	}
	if lang != "ja" && len(name) > 1 && name[1] >= 'a' {
		name = strings.ToLower(name[:1]) + name[1:]
	}
	return name
}

// What to do about a mismatch depends on whose the data is.
var (
	ofPages  = map[string]bool{"keyword": true, "category": true, "segment": true, "url_prefix": true, "deal": true}
	ofPlaces = map[string]bool{"placement": true, "property": true, "publisher": true, "domain": true, "app_bundle": true, "exchange": true}
)

func todo(lang string, r postgres.Reason) string {
	key := "whydo." + r.Reason
	switch {
	case r.Reason == "no_match" && ofPages[r.Dimension]:
		key = "whydo.no_match_data"
	case r.Reason == "no_match" && ofPlaces[r.Dimension]:
		key = "whydo.no_match_place"
	}
	text, _ := views.Known(lang, key)
	return text
}

// short names a reason in a table.
func short(lang string, r postgres.Reason) string {
	switch text, ok := views.Known(lang, "whyreason."+r.Reason); {
	case r.Reason == "no_match":
		return views.T(lang, "whyreason.no_match", textOr(dimensionWord(lang, r.Dimension), views.T(lang, "lineitem.targeting")))
	case ok:
		return text
	}
	return r.Reason
}

func (w *why) table(lang string) views.Table {
	table := views.Table{
		Title:   views.T(lang, "why.table"),
		Columns: names(column(lang, "why.reason"), numbers(lang, "why.share"), numbers(lang, "why.estimated"), numbers(lang, "why.counted")),
		Empty:   views.Empty{Title: views.T(lang, "why.table_none"), Text: views.T(lang, "why.quiet_what")},
	}
	for _, r := range w.rows {
		part, whole := w.share(r)
		cell := views.Cell{Text: short(lang, r)}
		if r.Reason == "no_lease" || r.Reason == "paced" {
			cell.URL = lineItemPath(w.lineItem.ID)
		}
		table.Rows = append(table.Rows, []views.Cell{
			cell, {Text: report.Percent(part, whole), Number: true}, {Text: figure(r.Estimated), Number: true}, {Text: figure(r.Counted), Number: true},
		})
	}
	return table
}

func figure(n int64) string {
	if n == 0 {
		return "–"
	}
	return views.Count(n)
}

// notes say how the figures were made.
func (w *why) notes(lang string) (notes []string) {
	if n := w.oneIn(); n > 0 {
		notes = append(notes, views.T(lang, "why.estimated_text", views.Count(n)))
	}
	if w.counted > 0 {
		notes = append(notes, views.T(lang, "why.counted_text"))
	}
	if w.unplaced > 0 {
		notes = append(notes, views.T(lang, "why.lowered"))
	}
	return notes
}

func (w *why) form(p problems, in askInput) views.Form {
	device := p.field("device", "dimension.device_type", "select", textOr(in.Device, "desktop"))
	device.Options = p.options("device", "desktop", "mobile", "tablet", "tv")
	page := p.hint(p.field("page", "dimension.url_prefix", "url", in.Page), "why.ask_page_hint")
	page.Wide = true
	f := p.form(whyPath(w.lineItem.ID)+"?span="+w.span+"#answer", 0, views.Section{
		Title: p.t("why.ask"), Hint: p.t("why.ask_hint"),
		Fields: []views.Field{
			p.hint(p.required("placement", "dimension.placement", "text", in.Placement), "why.ask_place_hint"),
			p.hint(p.field("country", "dimension.country", "text", in.Country), "why.ask_where_hint"),
			device, page,
			p.hint(p.field("keywords", "targeting.keyword", "area", in.Keywords), "why.ask_words_hint"),
		},
	})
	f.Submit = p.t("why.ask_do")
	return f
}

// answerOf asks delivery and puts the answer in words.
func (c *console) answerOf(ctx context.Context, id ad.ID, q question) *views.WhyAnswer {
	lang := views.From(ctx).Language
	t, err := c.ask(ctx, id, q)
	var refused refusedError
	switch {
	case errors.As(err, &refused):
		return &views.WhyAnswer{Text: views.T(lang, "whytold.refused", string(refused)), Failed: true}
	case errors.Is(err, errNotSet):
		return &views.WhyAnswer{Text: views.T(lang, "whytold.not_set"), Failed: true}
	case errors.Is(err, errBusy):
		return &views.WhyAnswer{Text: views.T(lang, "whytold.busy"), Failed: true}
	case err != nil:
		c.log.Warn("admin: delivery was not reached for an explanation", "error", clip(err.Error(), 300))
		return &views.WhyAnswer{Text: views.T(lang, "whytold.away"), Failed: true}
	}
	a := &views.WhyAnswer{Text: t.text(lang), Note: views.T(lang, "why.told_generation", t.Generation)}
	for _, m := range t.Misses {
		a.Details = append(a.Details, m.detail(lang))
	}
	return a
}

func (m miss) detail(lang string) views.Detail {
	wanted, got := clip(strings.Join(m.Wanted, ", "), 500), clip(strings.Join(m.Got, ", "), 500)
	if m.More > 0 {
		wanted += views.T(lang, "why.told_more", m.More)
	}
	key := "why.told_one"
	if m.Exclude {
		key = "why.told_none"
	}
	name := dimensionWord(lang, m.Predicate)
	if text, ok := views.Known(lang, "dimension."+m.Predicate); ok {
		name = text
	}
	return views.Detail{
		Name: name, Value: views.T(lang, key, wanted),
		Note: views.T(lang, "why.told_got", textOr(got, views.T(lang, "why.told_unknown"))),
	}
}

func (t told) text(lang string) string {
	switch {
	case !t.Found:
		return views.T(lang, "whytold.absent")
	case t.Outcome == "no_match":
		var words []string
		for _, m := range t.Misses {
			words = append(words, dimensionWord(lang, m.Predicate))
		}
		return views.T(lang, "whytold.no_match", textOr(strings.Join(words, views.T(lang, "why.comma")), views.T(lang, "lineitem.targeting")))
	}
	if text, ok := views.Known(lang, "whytold."+t.Outcome); ok {
		return text
	}
	return views.T(lang, "whytold.other", clip(t.Outcome, 40))
}
