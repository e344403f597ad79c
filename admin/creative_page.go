package admin

import (
	"bytes"
	"fmt"
	"html"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/a-h/templ"
	"gocloud.dev/gcerrors"

	"github.com/hayate-ads/hayate/admin/views"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/postgres"
)

func (c *console) creativeChain(r *http.Request) (ch chain, err error) {
	id, err := pathID(r, "id")
	if err != nil {
		return ch, err
	}
	creative, err := c.db.FindCreative(r.Context(), actorOf(r.Context()), id)
	if err != nil {
		return ch, err
	}
	ch, err = c.chainOfLineItem(r.Context(), creative.LineItemID)
	ch.creative = creative
	return ch, err
}

func (c *console) creativePage(w http.ResponseWriter, r *http.Request) error {
	ctx, lang := r.Context(), langOf(r)
	ch, err := c.creativeChain(r)
	if err != nil {
		return err
	}
	revisions, err := c.db.Revisions(ctx, actorOf(ctx), ch.creative.ID)
	if err != nil {
		return err
	}
	k := ch.creative
	p := views.Page{
		Title: k.Name, Kind: views.T(lang, "noun.creative"), Section: "advertisers", Crumbs: ch.crumbs(ctx, 3),
		Badges: []views.Badge{views.StatusBadge(lang, k.Status), views.ReviewBadge(lang, k.Latest.Review)}, Actions: creativeActions(r, k),
	}
	details := append([]views.Detail{
		{Name: views.T(lang, "creative.format"), Value: formatText(lang, k.Latest)},
		{Name: views.T(lang, "creative.latest"), Value: fmt.Sprintf("#%d", k.Latest.Number), Badges: []views.Badge{views.ReviewBadge(lang, k.Latest.Review)}, Note: k.Latest.Reason},
		{Name: views.T(lang, "creative.serving"), Value: servingText(lang, k)},
		{Name: views.T(lang, "creative.categories"), Value: textOr(strings.Join(k.Latest.Categories, ", "), "–")},
		{Name: views.T(lang, "creative.attributes"), Value: textOr(numbersText(k.Latest.Attributes), "–")},
		{Name: views.T(lang, "noun.id"), Value: fmt.Sprint(k.ID)},
	}, stampDetails(lang, k.Stamp, ch.zone)...)
	preview := c.preview(k, k.Latest, views.T(lang, "creative.preview", k.Latest.Number), lang)
	return c.show(w, r, views.CreativePage(p, details, preview, k.Latest.Markup, historyTable(lang, revisions, ch.zone)))
}

func creativeActions(r *http.Request, k ad.Creative) []views.Action {
	ctx, lang := r.Context(), langOf(r)
	var actions []views.Action
	if mayEditDemand(ctx) && k.Status != ad.Archived {
		actions = append(statusActions(lang, creativePath(k.ID), k.Status, k.Version), views.Action{Text: views.T(lang, "form.edit"), URL: creativePath(k.ID) + "/edit"})
		if k.Latest.Review == ad.Draft {
			actions = append(actions, views.Action{
				Text: views.T(lang, "creative.submit"), URL: creativePath(k.ID) + "/submit", Post: true, Main: true,
				Fields: []views.Link{{Text: "revision", URL: fmt.Sprint(k.Latest.Number)}},
			})
		}
	}
	if mayReview(ctx) && k.Latest.Review == ad.Pending {
		actions = append(actions, views.Action{Text: views.T(lang, "review.do"), URL: fmt.Sprintf("/reviews/%d", k.ID), Main: true})
	}
	return actions
}

func historyTable(lang string, revisions []ad.Revision, zone *time.Location) views.Table {
	table := views.Table{
		Title:   views.T(lang, "creative.history"),
		Columns: names(column(lang, "creative.revision"), column(lang, "creative.format"), column(lang, "creative.made"), column(lang, "creative.reviewed"), column(lang, "creative.reason")),
	}
	for _, r := range revisions {
		table.Rows = append(table.Rows, []views.Cell{
			{Text: fmt.Sprintf("#%d", r.Number), Badges: []views.Badge{views.ReviewBadge(lang, r.Review)}},
			{Text: formatText(lang, r), Note: r.LandingURL},
			{Text: views.Moment(r.CreatedAt, zone)}, {Text: views.Moment(r.ReviewedAt, zone)}, {Text: r.Reason},
		})
	}
	return table
}

// preview shows a revision as it will be seen: images from where delivery serves
// them when that is known, markup from a page with a policy of its own.
func (c *console) preview(k ad.Creative, rev ad.Revision, title, lang string) views.Preview {
	base := fmt.Sprintf("%s/revisions/%d", creativePath(k.ID), rev.Number)
	p := views.Preview{Title: title, Revision: rev, Src: base + "/frame", Landing: base + "/landing", Badges: []views.Badge{views.ReviewBadge(lang, rev.Review)}}
	if rev.Format == ad.Banner {
		p.Src = base + "/image"
		if c.config.AssetURL != "" {
			p.Src = c.config.AssetURL + strings.TrimPrefix(imageKey(rev.Image), "assets")
		}
	}
	return p
}

// revisionOf finds the revision in the path, among those the visitor may see.
func (c *console) revisionOf(r *http.Request) (ad.Revision, error) {
	id, err := pathID(r, "id")
	if err != nil {
		return ad.Revision{}, err
	}
	revisions, err := c.db.Revisions(r.Context(), actorOf(r.Context()), id)
	if err != nil {
		return ad.Revision{}, err
	}
	for _, rev := range revisions {
		if strconv.Itoa(rev.Number) == r.PathValue("number") {
			return rev, nil
		}
	}
	return ad.Revision{}, postgres.ErrNotFound
}

// previewPolicy is the content security policy of an advertiser's markup. The
// sandbox gives it an origin of its own, also when it is opened outside the
// frame, so no script in it can act as who looks at it.
const previewPolicy = "sandbox allow-scripts allow-popups allow-popups-to-escape-sandbox; default-src 'none'; " +
	"script-src 'unsafe-inline' https:; style-src 'unsafe-inline' https:; img-src https: data:; media-src https: data:; font-src https: data:; " +
	"form-action 'none'; base-uri 'none'; frame-ancestors 'self'"

// framePage is the markup of a revision, alone on a page.
func (c *console) framePage(w http.ResponseWriter, r *http.Request) error {
	rev, err := c.revisionOf(r)
	if err != nil {
		return err
	}
	if rev.Format != ad.HTML {
		return postgres.ErrNotFound
	}
	click := html.EscapeString(strings.TrimSuffix(r.URL.Path, "/frame") + "/landing")
	header := w.Header()
	header.Set("Content-Security-Policy", previewPolicy)
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Cache-Control", "no-store")
	header.Del("X-Frame-Options")
	_, _ = fmt.Fprintf(w, "<!DOCTYPE html><meta charset=\"utf-8\"><title>preview</title><body style=\"margin:0\">%s", strings.ReplaceAll(rev.Markup, "${CLICK_URL}", click))
	return nil
}

// imagePage serves a banner's image where no delivery server does.
func (c *console) imagePage(w http.ResponseWriter, r *http.Request) error {
	rev, err := c.revisionOf(r)
	if err != nil {
		return err
	}
	if rev.Format != ad.Banner {
		return postgres.ErrNotFound
	}
	data, err := c.bucket.ReadAll(r.Context(), imageKey(rev.Image))
	if gcerrors.Code(err) == gcerrors.NotFound {
		return postgres.ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("read an image: %w", err)
	}
	w.Header().Set("Content-Type", rev.Image.Type)
	w.Header().Set("Cache-Control", "private, max-age=86400")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
	return nil
}

// landingPage is where a click in a preview ends.
func (c *console) landingPage(w http.ResponseWriter, r *http.Request) error {
	rev, err := c.revisionOf(r)
	if err != nil {
		return err
	}
	w.Header().Set("Referrer-Policy", "no-referrer")
	http.Redirect(w, r, rev.LandingURL, http.StatusFound)
	return nil
}

func (c *console) newCreativePage(w http.ResponseWriter, r *http.Request) error {
	ch, err := c.lineItemChain(r)
	if err != nil {
		return err
	}
	return c.show(w, r, c.creativeForm(r, ch, creativeInput{Format: string(ad.Banner), Width: 300, Height: 250}, problems{lang: langOf(r)}))
}

func (c *console) editCreativePage(w http.ResponseWriter, r *http.Request) error {
	ch, err := c.creativeChain(r)
	if err != nil {
		return err
	}
	return c.show(w, r, c.creativeForm(r, ch, creativeInputOf(ch.creative), problems{lang: langOf(r)}))
}

func (c *console) creativeForm(r *http.Request, ch chain, in creativeInput, p problems) templ.Component {
	ctx := r.Context()
	page := views.Page{Title: p.t("creative.new"), Section: "advertisers", Crumbs: ch.crumbs(ctx, 3)}
	action, cancel, edited := lineItemPath(ch.lineItem.ID)+"/creatives", lineItemPath(ch.lineItem.ID), ch.creative.ID > 0
	if edited {
		page.Title, page.Crumbs = p.t("form.edit_name", ch.creative.Name), ch.crumbs(ctx, 4)
		action, cancel = creativePath(ch.creative.ID), creativePath(ch.creative.ID)
	}
	form := p.form(action, in.Version, in.sections(p, edited)...)
	form.Cancel, form.Multipart = cancel, true
	if edited {
		form.Submit = p.t("creative.save_revision")
	}
	return views.Edit(page, form)
}

func (in creativeInput) sections(p problems, edited bool) []views.Section {
	format := p.field("format", "creative.format", "radio", in.Format)
	format.Options, format.Choice, format.Wide = p.options("format", string(ad.Banner), string(ad.HTML)), true, true
	image := p.hint(p.field("image", "creative.image", "file", ""), "creative.image_hint")
	if edited {
		format.Kind, format.Value, format.Name = "static", p.t("format."+in.Format), "format-shown"
		image = p.hint(image, "creative.image_keep_hint")
	}
	number := func(name string, value int) views.Field {
		f := p.required(name, "creative."+name, "number", strconv.Itoa(value))
		f.Suffix = "px"
		return f
	}
	landing := p.hint(p.required("landing_url", "creative.landing", "url", in.LandingURL), "creative.landing_hint")
	landing.Wide = true
	sections := []views.Section{{Fields: []views.Field{
		p.required("name", "noun.name", "text", in.Name), landing,
		p.hint(p.field("categories", "creative.categories", "text", strings.Join(in.Categories, ", ")), "category.hint"),
		p.hint(p.field("attributes", "creative.attributes", "text", numbersText(in.Attributes)), "creative.attributes_hint"),
		format,
	}}}
	banner := views.Section{When: "format=banner", Fields: []views.Field{image}}
	markup := views.Section{When: "format=html", Fields: []views.Field{
		number("width", in.Width), number("height", in.Height), p.hint(p.required("markup", "creative.markup", "code", in.Markup), "creative.markup_hint"),
	}}
	switch {
	case !edited:
		return append(sections, banner, markup)
	case in.Format == string(ad.HTML):
		markup.When = ""
		return append(sections, markup)
	}
	banner.When = ""
	return append(sections, banner)
}

func (c *console) createCreative(w http.ResponseWriter, r *http.Request) error {
	ch, err := c.lineItemChain(r)
	if err != nil {
		return err
	}
	return c.postCreative(w, r, ch)
}

func (c *console) updateCreative(w http.ResponseWriter, r *http.Request) error {
	ch, err := c.creativeChain(r)
	if err != nil {
		return err
	}
	return c.postCreative(w, r, ch)
}

func (c *console) postCreative(w http.ResponseWriter, r *http.Request, ch chain) error {
	var in creativeInput
	uploaded, err := c.readUpload(w, r, &in)
	var p parser
	in.Categories = list(strings.Join(r.PostForm["categories"], ","))
	if in.Attributes = p.numbers("attributes", strings.Join(r.PostForm["attributes"], ",")); err == nil && len(p.found) > 0 {
		err = p.found
	}
	if ch.creative.ID > 0 {
		in.Format = string(ch.creative.Latest.Format)
	}
	in.LineItemID, in.Status, in.Image = ch.lineItem.ID, "", ""
	var saved ad.Creative
	if err == nil {
		saved, err = c.saveCreative(r.Context(), ch.creative.ID, in, uploaded)
	}
	if err != nil {
		return c.refill(w, r, err, func(p problems) templ.Component { return c.creativeForm(r, ch, in, p) })
	}
	return c.redirect(w, r, creativePath(saved.ID), "notice.creative_saved")
}

type submitInput struct {
	Revision int `json:"revision" doc:"The number of the latest revision, as seen by who submits it."`
}

func (c *console) submitCreative(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r, "id")
	if err != nil {
		return err
	}
	var in submitInput
	if err := readForm(w, r, maxForm, &in); err != nil {
		return err
	}
	if _, err := c.db.SubmitCreative(r.Context(), actorOf(r.Context()), id, in.Revision); err != nil {
		return err
	}
	return c.redirect(w, r, creativePath(id), "notice.submitted")
}
