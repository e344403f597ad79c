package admin

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/a-h/templ"

	"github.com/hayate-ads/hayate/admin/views"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// propertyInput is what people and programs send.
type propertyInput struct {
	PublisherID  ad.ID    `json:"publisher_id,omitempty" doc:"Whose it is; cannot change."`
	Name         string   `json:"name" doc:"1 to 200 characters." example:"Tokyo Daily, web"`
	Kind         string   `json:"kind,omitempty" enum:"site,app,dooh" doc:"site unless given."`
	Domain       string   `json:"domain" doc:"Of a site its domain, of an app its id in the store." example:"tokyo-daily.example"`
	Categories   []string `json:"categories,omitempty" form:"-" clear:"true" doc:"IAB content categories of what it shows." example:"[\"iab1/IAB17\"]"`
	RevenueShare string   `json:"revenue_share,omitempty" doc:"The publisher's share of a price in percent, with at most two places; 70 unless given." example:"70"`
	Status       string   `json:"status,omitempty" enum:"active,paused,archived" doc:"active unless given; archived is final."`
	Version      int64    `json:"version,omitempty" doc:"Of an edit: the version it was made from."`
}

func (in propertyInput) parse() (ad.Property, error) {
	var p parser
	property := ad.Property{
		PublisherID: in.PublisherID, Name: in.Name, Kind: ad.PropertyKind(textOr(in.Kind, string(ad.Site))), Domain: in.Domain, Categories: sorted(in.Categories),
		RevenueShare: p.share("revenue_share", textOr(in.RevenueShare, "70")), Status: statusOr(in.Status), Stamp: ad.Stamp{Version: in.Version},
	}
	return property, p.check(property)
}

// share reads a percentage as basis points. Percents are decimals like money, so
// money's parser reads them.
func (p *parser) share(field, text string) int {
	percent := p.amount(field, text)
	if percent%(money.Unit/100) != 0 {
		p.fail(field, "precision", "has more than two decimal places")
	}
	if percent > 100*money.Unit || percent < 0 {
		p.fail(field, ad.OutOfRange, "has to be between 0 and 100")
		return 0
	}
	return int(percent / (money.Unit / 100))
}

func shareText(basisPoints int) string {
	return (money.Micros(basisPoints) * (money.Unit / 100)).String()
}

func propertyInputOf(p ad.Property) propertyInput {
	return propertyInput{Name: p.Name, Kind: string(p.Kind), Domain: p.Domain, Categories: p.Categories, RevenueShare: shareText(p.RevenueShare), Status: string(p.Status), Version: p.Version}
}

// saveProperty creates a property, or changes the one with this id.
func (c *console) saveProperty(ctx context.Context, id ad.ID, in propertyInput) (ad.Property, error) {
	actor := actorOf(ctx)
	if id > 0 {
		old, err := c.db.FindProperty(ctx, actor, id)
		if err != nil {
			return old, err
		}
		in.Status, in.Kind = textOr(in.Status, string(old.Status)), textOr(in.Kind, string(old.Kind))
		in.RevenueShare = textOr(in.RevenueShare, shareText(old.RevenueShare))
		in.PublisherID = sameOr(in.PublisherID, old.PublisherID)
	} else if in.PublisherID > 0 {
		if _, err := c.db.FindPublisher(ctx, actor, in.PublisherID); err != nil {
			return ad.Property{}, parentError(err, "publisher_id")
		}
	}
	property, err := in.parse()
	if err != nil {
		return property, err
	}
	if property.ID = id; id > 0 {
		return c.db.UpdateProperty(ctx, actor, property)
	}
	return c.db.CreateProperty(ctx, actor, property)
}

func (c *console) setPropertyStatus(ctx context.Context, id ad.ID, version int64, status ad.Status) (int64, error) {
	p, err := c.db.FindProperty(ctx, actorOf(ctx), id)
	if err != nil {
		return 0, err
	}
	p.Version, p.Status = version, status
	p, err = c.db.UpdateProperty(ctx, actorOf(ctx), p)
	return p.Version, err
}

func propertyPath(id ad.ID) string { return fmt.Sprintf("/properties/%d", id) }

func (c *console) propertySupply(r *http.Request) (s supply, err error) {
	id, err := pathID(r, "id")
	if err != nil {
		return s, err
	}
	return c.supplyOfProperty(r.Context(), id)
}

func (c *console) supplyOfProperty(ctx context.Context, id ad.ID) (s supply, err error) {
	if s.property, err = c.db.FindProperty(ctx, actorOf(ctx), id); err != nil {
		return s, err
	}
	s.publisher, err = c.db.FindPublisher(ctx, actorOf(ctx), s.property.PublisherID)
	return s, err
}

// propertyTable lists a publisher's properties.
func (c *console) propertyTable(ctx context.Context, s supply, properties []ad.Property) views.Table {
	lang := views.From(ctx).Language
	properties, next := cut(properties, publisherPath(s.publisher.ID), func(p ad.Property) ad.ID { return p.ID })
	table := views.Table{
		Title:   views.T(lang, "noun.properties"),
		Columns: names(column(lang, "noun.name"), column(lang, "property.kind"), column(lang, "property.domain"), numbers(lang, "property.share"), column(lang, "noun.status")),
		Empty:   views.Empty{Title: views.T(lang, "property.none"), Text: views.T(lang, "property.none_text")}, Next: next,
	}
	if isOperator(ctx) && s.publisher.Status != ad.Archived {
		table.Action = &views.Action{Text: views.T(lang, "property.new"), URL: publisherPath(s.publisher.ID) + "/properties/new", Main: true}
		table.Empty.Action = table.Action
	}
	for _, p := range properties {
		table.Rows = append(table.Rows, []views.Cell{
			{Text: p.Name, URL: propertyPath(p.ID)}, {Text: views.T(lang, "kind."+string(p.Kind))}, {Text: p.Domain},
			{Text: shareText(p.RevenueShare) + " %", Number: true}, statusCell(ctx, propertyPath(p.ID), p.Status, p.Version),
		})
	}
	return table
}

func (c *console) propertyPage(w http.ResponseWriter, r *http.Request) error {
	ctx, lang := r.Context(), langOf(r)
	s, err := c.propertySupply(r)
	if err != nil {
		return err
	}
	placements, err := c.db.Placements(ctx, actorOf(ctx), postgres.PlacementFilter{PropertyID: s.property.ID, Page: pageOf(r)})
	if err != nil {
		return err
	}
	table := c.placementTable(ctx, s, placements)
	p := views.Page{Title: s.property.Name, Kind: views.T(lang, "noun.property"), Section: "publishers", Crumbs: s.crumbs(ctx, 1), Badges: []views.Badge{views.StatusBadge(lang, s.property.Status)}}
	if mayEditSupply(ctx) && s.property.Status != ad.Archived {
		path := propertyPath(s.property.ID)
		p.Actions = append(statusActions(lang, path, s.property.Status, s.property.Version), views.Action{Text: views.T(lang, "form.edit"), URL: path + "/edit"})
	}
	details := append([]views.Detail{
		{Name: views.T(lang, "property.kind"), Value: views.T(lang, "kind."+string(s.property.Kind))},
		{Name: views.T(lang, "property.domain"), Value: s.property.Domain},
		{Name: views.T(lang, "property.categories"), Value: textOr(strings.Join(s.property.Categories, ", "), "–")},
		{Name: views.T(lang, "property.share"), Value: shareText(s.property.RevenueShare) + " %"},
		{Name: views.T(lang, "noun.id"), Value: fmt.Sprint(s.property.ID)},
	}, stampDetails(lang, s.property.Stamp, time.UTC)...)
	return c.show(w, r, views.Thing(p, details, []views.Table{table}))
}

func (c *console) newPropertyPage(w http.ResponseWriter, r *http.Request) error {
	s, err := c.publisherSupply(r)
	if err != nil {
		return err
	}
	return c.show(w, r, c.propertyForm(r, s, propertyInput{Kind: string(ad.Site), RevenueShare: "70"}, problems{lang: langOf(r)}))
}

func (c *console) editPropertyPage(w http.ResponseWriter, r *http.Request) error {
	s, err := c.propertySupply(r)
	if err != nil {
		return err
	}
	return c.show(w, r, c.propertyForm(r, s, propertyInputOf(s.property), problems{lang: langOf(r)}))
}

func (c *console) propertyForm(r *http.Request, s supply, in propertyInput, p problems) templ.Component {
	ctx := r.Context()
	page := views.Page{Title: p.t("property.new"), Section: "publishers", Crumbs: s.crumbs(ctx, 1)}
	action, cancel := publisherPath(s.publisher.ID)+"/properties", publisherPath(s.publisher.ID)
	if id := s.property.ID; id > 0 {
		page.Title, page.Crumbs = p.t("form.edit_name", s.property.Name), s.crumbs(ctx, 2)
		action, cancel = propertyPath(id), propertyPath(id)
	}
	name := p.required("name", "noun.name", "text", in.Name)
	name.Wide = true
	fields := []views.Field{name}
	if isOperator(ctx) {
		kind := p.field("kind", "property.kind", "select", in.Kind)
		kind.Options = p.options("kind", string(ad.Site), string(ad.App), string(ad.DOOH))
		share := p.required("revenue_share", "property.share", "money", in.RevenueShare)
		share.Suffix = "%"
		fields = append(fields, kind, p.hint(p.required("domain", "property.domain", "text", in.Domain), "property.domain_hint"), share)
	}
	fields = append(fields, p.hint(p.field("categories", "property.categories", "text", strings.Join(in.Categories, ", ")), "category.hint"))
	form := p.form(action, in.Version, views.Section{Fields: fields})
	form.Cancel = cancel
	return views.Edit(page, form)
}

func (c *console) createProperty(w http.ResponseWriter, r *http.Request) error {
	s, err := c.publisherSupply(r)
	if err != nil {
		return err
	}
	return c.postProperty(w, r, s)
}

func (c *console) updateProperty(w http.ResponseWriter, r *http.Request) error {
	s, err := c.propertySupply(r)
	if err != nil {
		return err
	}
	return c.postProperty(w, r, s)
}

func (c *console) postProperty(w http.ResponseWriter, r *http.Request, s supply) error {
	var in propertyInput
	if err := readForm(w, r, maxForm, &in); err != nil {
		return err
	}
	in.PublisherID, in.Status, in.Domain = s.publisher.ID, "", textOr(in.Domain, s.property.Domain)
	in.Categories = list(strings.Join(r.PostForm["categories"], ","))
	saved, err := c.saveProperty(r.Context(), s.property.ID, in)
	if err != nil {
		return c.refill(w, r, err, func(p problems) templ.Component { return c.propertyForm(r, s, in, p) })
	}
	return c.redirect(w, r, propertyPath(saved.ID), "notice.saved")
}
