package admin

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/a-h/templ"

	"github.com/hayate-ads/hayate/admin/views"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// publisherInput is what people and programs send.
type publisherInput struct {
	Name    string `json:"name" doc:"1 to 200 characters." example:"Tokyo Daily"`
	Domain  string `json:"domain" doc:"The business's own, for sellers.json." example:"tokyo-daily.example"`
	Status  string `json:"status,omitempty" enum:"active,paused,archived" doc:"active unless given; archived is final."`
	Version int64  `json:"version,omitempty" doc:"Of an edit: the version it was made from."`
}

func publisherInputOf(p ad.Publisher) publisherInput {
	return publisherInput{Name: p.Name, Domain: p.Domain, Status: string(p.Status), Version: p.Version}
}

// savePublisher creates a publisher, or changes the one with this id.
func (c *console) savePublisher(ctx context.Context, id ad.ID, in publisherInput) (ad.Publisher, error) {
	actor := actorOf(ctx)
	p := ad.Publisher{ID: id, Name: in.Name, Domain: in.Domain, Status: statusOr(in.Status), Stamp: ad.Stamp{Version: in.Version}}
	if id == 0 {
		return c.db.CreatePublisher(ctx, actor, p)
	}
	old, err := c.db.FindPublisher(ctx, actor, id)
	if err != nil {
		return p, err
	}
	p.Status = ad.Status(textOr(in.Status, string(old.Status)))
	return c.db.UpdatePublisher(ctx, actor, p)
}

func (c *console) setPublisherStatus(ctx context.Context, id ad.ID, version int64, status ad.Status) (int64, error) {
	p, err := c.db.FindPublisher(ctx, actorOf(ctx), id)
	if err != nil {
		return 0, err
	}
	p.Version, p.Status = version, status
	p, err = c.db.UpdatePublisher(ctx, actorOf(ctx), p)
	return p.Version, err
}

// supply is a thing of supply with all that stands above it.
type supply struct {
	publisher ad.Publisher
	property  ad.Property
	placement ad.Placement
}

func (s supply) crumbs(ctx context.Context, depth int) []views.Link {
	var links []views.Link
	if actorOf(ctx).PublisherID == 0 {
		links = append(links, views.Link{Text: views.T(views.From(ctx).Language, "nav.publishers"), URL: "/publishers"})
	}
	all := []views.Link{
		{Text: s.publisher.Name, URL: publisherPath(s.publisher.ID)},
		{Text: s.property.Name, URL: propertyPath(s.property.ID)},
		{Text: s.placement.Name, URL: placementPath(s.placement.ID)},
	}
	return append(links, all[:depth]...)
}

func publisherPath(id ad.ID) string { return fmt.Sprintf("/publishers/%d", id) }

func (c *console) publisherSupply(r *http.Request) (s supply, err error) {
	id, err := pathID(r, "id")
	if err != nil {
		return s, err
	}
	s.publisher, err = c.db.FindPublisher(r.Context(), actorOf(r.Context()), id)
	return s, err
}

func (c *console) publishersPage(w http.ResponseWriter, r *http.Request) error {
	ctx, lang := r.Context(), langOf(r)
	if own := actorOf(ctx).PublisherID; own > 0 {
		return c.redirect(w, r, publisherPath(own), "")
	}
	all, err := c.db.Publishers(ctx, actorOf(ctx), pageOf(r))
	if err != nil {
		return err
	}
	all, next := cut(all, "/publishers", func(p ad.Publisher) ad.ID { return p.ID })
	add := views.Action{Text: views.T(lang, "publisher.new"), URL: "/publishers/new", Main: true}
	table := views.Table{
		Columns: names(column(lang, "noun.name"), column(lang, "publisher.domain"), column(lang, "noun.status")),
		Empty:   views.Empty{Title: views.T(lang, "publisher.none"), Text: views.T(lang, "publisher.none_text"), Action: &add}, Next: next,
	}
	for _, p := range all {
		table.Rows = append(table.Rows, []views.Cell{{Text: p.Name, URL: publisherPath(p.ID)}, {Text: p.Domain}, {Badges: []views.Badge{views.StatusBadge(lang, p.Status)}}})
	}
	return c.show(w, r, views.List(views.Page{Title: views.T(lang, "nav.publishers"), Section: "publishers", Actions: []views.Action{add}}, table))
}

func (c *console) publisherPage(w http.ResponseWriter, r *http.Request) error {
	ctx, lang := r.Context(), langOf(r)
	s, err := c.publisherSupply(r)
	if err != nil {
		return err
	}
	properties, err := c.db.Properties(ctx, actorOf(ctx), postgres.PropertyFilter{PublisherID: s.publisher.ID, Page: pageOf(r)})
	if err != nil {
		return err
	}
	table := c.propertyTable(ctx, s, properties)
	p := views.Page{Title: s.publisher.Name, Kind: views.T(lang, "noun.publisher"), Section: "publishers", Crumbs: s.crumbs(ctx, 0), Badges: []views.Badge{views.StatusBadge(lang, s.publisher.Status)}}
	if isOperator(ctx) && s.publisher.Status != ad.Archived {
		path := publisherPath(s.publisher.ID)
		p.Actions = append(statusActions(lang, path, s.publisher.Status, s.publisher.Version), views.Action{Text: views.T(lang, "form.edit"), URL: path + "/edit"})
	}
	details := append([]views.Detail{
		{Name: views.T(lang, "publisher.domain"), Value: s.publisher.Domain}, {Name: views.T(lang, "noun.id"), Value: fmt.Sprint(s.publisher.ID)},
	}, stampDetails(lang, s.publisher.Stamp, time.UTC)...)
	return c.show(w, r, views.Thing(p, details, []views.Table{table}))
}

func (c *console) newPublisherPage(w http.ResponseWriter, r *http.Request) error {
	return c.show(w, r, c.publisherForm(r, supply{}, publisherInput{}, problems{lang: langOf(r)}))
}

func (c *console) editPublisherPage(w http.ResponseWriter, r *http.Request) error {
	s, err := c.publisherSupply(r)
	if err != nil {
		return err
	}
	return c.show(w, r, c.publisherForm(r, s, publisherInputOf(s.publisher), problems{lang: langOf(r)}))
}

func (c *console) publisherForm(r *http.Request, s supply, in publisherInput, p problems) templ.Component {
	page := views.Page{Title: p.t("publisher.new"), Section: "publishers", Crumbs: s.crumbs(r.Context(), 0)}
	action, cancel := "/publishers", "/publishers"
	if id := s.publisher.ID; id > 0 {
		page.Title, page.Crumbs = p.t("form.edit_name", s.publisher.Name), s.crumbs(r.Context(), 1)
		action, cancel = publisherPath(id), publisherPath(id)
	}
	form := p.form(action, in.Version, views.Section{Fields: []views.Field{
		p.required("name", "noun.name", "text", in.Name),
		p.hint(p.required("domain", "publisher.domain", "text", in.Domain), "publisher.domain_hint"),
	}})
	form.Cancel = cancel
	return views.Edit(page, form)
}

func (c *console) postPublisher(w http.ResponseWriter, r *http.Request) error {
	var s supply
	var err error
	if r.PathValue("id") != "" {
		if s, err = c.publisherSupply(r); err != nil {
			return err
		}
	}
	var in publisherInput
	if err := readForm(w, r, maxForm, &in); err != nil {
		return err
	}
	in.Status = ""
	saved, err := c.savePublisher(r.Context(), s.publisher.ID, in)
	if err != nil {
		return c.refill(w, r, err, func(p problems) templ.Component { return c.publisherForm(r, s, in, p) })
	}
	return c.redirect(w, r, publisherPath(saved.ID), "notice.saved")
}
