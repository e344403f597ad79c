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

// advertiserInput is what people and programs send.
type advertiserInput struct {
	Name     string `json:"name" doc:"1 to 200 characters." example:"Sakura Tea"`
	Domain   string `json:"domain" doc:"What it advertises, as a domain." example:"sakura-tea.example"`
	TimeZone string `json:"time_zone" doc:"IANA name; its days are the days of daily budgets." example:"Asia/Tokyo"`
	// Windows that are left out are the usual ones.
	ClickWindowDays *int   `json:"click_window_days,omitempty" doc:"For how many days after a click a conversion counts, 1 to 90; 30 unless given."`
	ViewWindowDays  *int   `json:"view_window_days,omitempty" doc:"For how many days after an impression without a click, 0 to 30; 0: only clicks count; 1 unless given."`
	Status          string `json:"status,omitempty" enum:"active,paused,archived" doc:"active unless given; archived is final."`
	Version         int64  `json:"version,omitempty" doc:"Of an edit: the version it was made from."`
}

func (in advertiserInput) advertiser() ad.Advertiser {
	window := func(given *int, usual int) int {
		if given == nil {
			return usual
		}
		return *given
	}
	return ad.Advertiser{
		Name: in.Name, Domain: in.Domain, TimeZone: in.TimeZone, Status: statusOr(in.Status), Stamp: ad.Stamp{Version: in.Version},
		ClickWindowDays: window(in.ClickWindowDays, ad.DefaultClickWindowDays), ViewWindowDays: window(in.ViewWindowDays, ad.DefaultViewWindowDays),
	}
}

func advertiserInputOf(a ad.Advertiser) advertiserInput {
	return advertiserInput{
		Name: a.Name, Domain: a.Domain, TimeZone: a.TimeZone, Status: string(a.Status), Version: a.Version,
		ClickWindowDays: &a.ClickWindowDays, ViewWindowDays: &a.ViewWindowDays,
	}
}

// saveAdvertiser creates an advertiser, or changes the one with this id.
func (c *console) saveAdvertiser(ctx context.Context, id ad.ID, in advertiserInput) (ad.Advertiser, error) {
	a := in.advertiser()
	a.ID = id
	if id == 0 {
		return c.db.CreateAdvertiser(ctx, actorOf(ctx), a)
	}
	if in.Status == "" {
		old, err := c.db.FindAdvertiser(ctx, actorOf(ctx), id)
		if err != nil {
			return a, err
		}
		a.Status = old.Status
	}
	return c.db.UpdateAdvertiser(ctx, actorOf(ctx), a)
}

func statusOr(text string) ad.Status {
	if text == "" {
		return ad.Active
	}
	return ad.Status(text)
}

// zones are offered by the form; any other IANA name may be typed over the API.
var zones = []string{
	"Asia/Tokyo", "UTC", "Asia/Seoul", "Asia/Shanghai", "Asia/Singapore", "Asia/Kolkata", "Asia/Dubai", "Europe/London", "Europe/Paris",
	"Europe/Berlin", "America/New_York", "America/Chicago", "America/Denver", "America/Los_Angeles", "America/Sao_Paulo", "Australia/Sydney",
}

func (in advertiserInput) form(p problems, action string) views.Form {
	zone := p.hint(p.required("time_zone", "advertiser.time_zone", "select", in.TimeZone), "advertiser.time_zone_hint")
	known := in.TimeZone == ""
	for _, name := range zones {
		zone.Options = append(zone.Options, views.Option{Value: name, Text: name})
		known = known || name == in.TimeZone
	}
	if !known {
		zone.Options = append(zone.Options, views.Option{Value: in.TimeZone, Text: in.TimeZone})
	}
	domain := p.hint(p.required("domain", "advertiser.domain", "text", in.Domain), "advertiser.domain_hint")
	return p.form(action, in.Version,
		views.Section{Fields: []views.Field{p.required("name", "noun.name", "text", in.Name), domain, zone}},
		views.Section{Title: p.t("conversion.title"), Fields: []views.Field{
			p.hint(p.days("click_window_days", "advertiser.click_window", in.ClickWindowDays, ad.DefaultClickWindowDays), "advertiser.click_window_hint"),
			p.hint(p.days("view_window_days", "advertiser.view_window", in.ViewWindowDays, ad.DefaultViewWindowDays), "advertiser.view_window_hint"),
		}})
}

// days is a field for a number of days.
func (p problems) days(name, key string, given *int, usual int) views.Field {
	if given != nil {
		usual = *given
	}
	f := p.field(name, key, "number", fmt.Sprint(usual))
	f.Suffix = p.t("advertiser.days")
	return f
}

func (c *console) advertisersPage(w http.ResponseWriter, r *http.Request) error {
	ctx, lang := r.Context(), langOf(r)
	if own := actorOf(ctx).AdvertiserID; own > 0 {
		return c.redirect(w, r, advertiserPath(own), "")
	}
	all, err := c.db.Advertisers(ctx, actorOf(ctx), pageOf(r))
	if err != nil {
		return err
	}
	all, next := cut(all, "/advertisers", func(a ad.Advertiser) ad.ID { return a.ID })
	p := views.Page{Title: views.T(lang, "nav.advertisers"), Section: "advertisers"}
	add := views.Action{Text: views.T(lang, "advertiser.new"), URL: "/advertisers/new", Main: true}
	table := views.Table{
		Columns: names(column(lang, "noun.name"), column(lang, "advertiser.domain"), column(lang, "advertiser.time_zone"), column(lang, "noun.status")),
		Empty:   views.Empty{Title: views.T(lang, "advertiser.none"), Text: views.T(lang, "advertiser.none_text")}, Next: next,
	}
	if isOperator(ctx) {
		p.Actions, table.Empty.Action = []views.Action{add}, &add
	}
	for _, a := range all {
		table.Rows = append(table.Rows, []views.Cell{
			{Text: a.Name, URL: advertiserPath(a.ID)}, {Text: a.Domain}, {Text: a.TimeZone}, {Badges: []views.Badge{views.StatusBadge(lang, a.Status)}},
		})
	}
	return c.show(w, r, views.List(p, table))
}

func advertiserPath(id ad.ID) string { return fmt.Sprintf("/advertisers/%d", id) }

func (c *console) advertiserPage(w http.ResponseWriter, r *http.Request) error {
	ctx, lang := r.Context(), langOf(r)
	ch, err := c.advertiserChain(r)
	if err != nil {
		return err
	}
	a := ch.advertiser
	campaigns, err := c.db.Campaigns(ctx, actorOf(ctx), postgres.CampaignFilter{AdvertiserID: a.ID, Page: pageOf(r)})
	if err != nil {
		return err
	}
	p := views.Page{Title: a.Name, Kind: views.T(lang, "noun.advertiser"), Section: "advertisers", Crumbs: ch.crumbs(ctx, 0), Badges: []views.Badge{views.StatusBadge(lang, a.Status)}}
	if isOperator(ctx) && a.Status != ad.Archived {
		p.Actions = append(statusActions(lang, advertiserPath(a.ID), a.Status, a.Version), views.Action{Text: views.T(lang, "form.edit"), URL: advertiserPath(a.ID) + "/edit"})
	}
	details := append([]views.Detail{
		{Name: views.T(lang, "advertiser.domain"), Value: a.Domain},
		{Name: views.T(lang, "advertiser.time_zone"), Value: a.TimeZone},
		{Name: views.T(lang, "noun.id"), Value: fmt.Sprint(a.ID)},
	}, append(c.moneyDetails(ctx, a), stampDetails(lang, a.Stamp, ch.zone)...)...)
	table := c.campaignTable(ctx, ch, campaigns)
	return c.show(w, r, views.Thing(p, details, []views.Table{table}))
}

// moneyDetails lead to what those who pay may see.
func (c *console) moneyDetails(ctx context.Context, a ad.Advertiser) []views.Detail {
	lang := views.From(ctx).Language
	details := windowDetails(lang, a)
	if !mayEditDemand(ctx) {
		return details
	}
	return append(details,
		views.Detail{Name: views.T(lang, "conversion.title"), Value: views.T(lang, "conversion.how"), URL: conversionsPath(a.ID)},
		views.Detail{Name: views.T(lang, "nav.invoices"), Value: views.T(lang, "invoice.show"), URL: fmt.Sprintf("/invoices?advertiser_id=%d", a.ID)})
}

func (c *console) newAdvertiserPage(w http.ResponseWriter, r *http.Request) error {
	return c.show(w, r, c.advertiserForm(r, chain{}, advertiserInput{TimeZone: "Asia/Tokyo"}, problems{lang: langOf(r)}))
}

func (c *console) editAdvertiserPage(w http.ResponseWriter, r *http.Request) error {
	ch, err := c.advertiserChain(r)
	if err != nil {
		return err
	}
	return c.show(w, r, c.advertiserForm(r, ch, advertiserInputOf(ch.advertiser), problems{lang: langOf(r)}))
}

func (c *console) advertiserForm(r *http.Request, ch chain, in advertiserInput, p problems) templ.Component {
	page := views.Page{Title: p.t("advertiser.new"), Section: "advertisers", Crumbs: ch.crumbs(r.Context(), 0)}
	action, cancel := "/advertisers", "/advertisers"
	if id := ch.advertiser.ID; id > 0 {
		page.Title, page.Crumbs = p.t("form.edit_name", ch.advertiser.Name), ch.crumbs(r.Context(), 1)
		action, cancel = advertiserPath(id), advertiserPath(id)
	}
	form := in.form(p, action)
	form.Cancel = cancel
	return views.Edit(page, form)
}

// postAdvertiser answers both the new and the edit form.
func (c *console) postAdvertiser(w http.ResponseWriter, r *http.Request) error {
	var ch chain
	var err error
	if r.PathValue("id") != "" {
		if ch, err = c.advertiserChain(r); err != nil {
			return err
		}
	}
	var in advertiserInput
	if err := readForm(w, r, maxForm, &in); err != nil {
		return err
	}
	in.Status = string(ch.advertiser.Status)
	saved, err := c.saveAdvertiser(r.Context(), ch.advertiser.ID, in)
	if err != nil {
		return c.refill(w, r, err, func(p problems) templ.Component { return c.advertiserForm(r, ch, in, p) })
	}
	return c.redirect(w, r, advertiserPath(saved.ID), "notice.saved")
}

func (c *console) setAdvertiserStatus(ctx context.Context, id ad.ID, version int64, status ad.Status) (int64, error) {
	a, err := c.db.FindAdvertiser(ctx, actorOf(ctx), id)
	if err != nil {
		return 0, err
	}
	a.Version, a.Status = version, status
	a, err = c.db.UpdateAdvertiser(ctx, actorOf(ctx), a)
	return a.Version, err
}

// chain is a thing of demand with all that stands above it.
type chain struct {
	advertiser ad.Advertiser
	campaign   ad.Campaign
	lineItem   ad.LineItem
	creative   ad.Creative
	zone       *time.Location // the advertiser's
}

// crumbs leads from the top down through the first depth nouns.
func (ch chain) crumbs(ctx context.Context, depth int) []views.Link {
	var links []views.Link
	if actorOf(ctx).AdvertiserID == 0 {
		links = append(links, views.Link{Text: views.T(views.From(ctx).Language, "nav.advertisers"), URL: "/advertisers"})
	}
	all := []views.Link{
		{Text: ch.advertiser.Name, URL: advertiserPath(ch.advertiser.ID)},
		{Text: ch.campaign.Name, URL: campaignPath(ch.campaign.ID)},
		{Text: ch.lineItem.Name, URL: lineItemPath(ch.lineItem.ID)},
		{Text: ch.creative.Name, URL: creativePath(ch.creative.ID)},
	}
	return append(links, all[:depth]...)
}

func (c *console) advertiserChain(r *http.Request) (ch chain, err error) {
	id, err := pathID(r, "id")
	if err != nil {
		return ch, err
	}
	ch.advertiser, err = c.db.FindAdvertiser(r.Context(), actorOf(r.Context()), id)
	ch.zone = zoneOf(ch.advertiser)
	return ch, err
}
