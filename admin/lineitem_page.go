package admin

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/a-h/templ"

	"github.com/hayate-ads/hayate/admin/views"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/postgres"
)

func (c *console) lineItemPage(w http.ResponseWriter, r *http.Request) error {
	ctx, lang := r.Context(), langOf(r)
	ch, err := c.lineItemChain(r)
	if err != nil {
		return err
	}
	l := ch.lineItem
	exposure, err := c.db.Exposure(ctx, actorOf(ctx), l.ID)
	if err != nil {
		return err
	}
	creatives, err := c.db.Creatives(ctx, actorOf(ctx), postgres.CreativeFilter{LineItemID: l.ID, Page: pageOf(r)})
	if err != nil {
		return err
	}
	table := c.creativeTable(ctx, ch, creatives)
	p := views.Page{Title: l.Name, Kind: views.T(lang, "noun.line_item"), Section: "advertisers", Crumbs: ch.crumbs(ctx, 2), Badges: []views.Badge{views.StatusBadge(lang, l.Status)}}
	if mayEditDemand(ctx) && l.Status != ad.Archived {
		p.Actions = append(statusActions(lang, lineItemPath(l.ID), l.Status, l.Version), views.Action{Text: views.T(lang, "form.edit"), URL: lineItemPath(l.ID) + "/edit"})
	}
	details := append(lineItemDetails(lang, l, ch.zone), reportDetail(ctx, lang, "line_item", l.ID), whyDetail(ctx, lang, l.ID))
	details = append(details, stampDetails(lang, l.Stamp, ch.zone)...)
	summary, expression := describeTargeting(lang, l.Targeting)
	return c.show(w, r, views.LineItem(p, details, meters(lang, exposure), summary, expression, table))
}

func lineItemDetails(lang string, l ad.LineItem, zone *time.Location) []views.Detail {
	details := []views.Detail{
		{Name: views.T(lang, "lineitem.tier"), Value: views.T(lang, "tier."+l.Tier.String())},
		{Name: views.T(lang, "lineitem.cpm"), Value: l.CPM.String()},
		{Name: views.T(lang, "lineitem.daily_budget"), Value: budgetOr(lang, l.DailyBudget)},
		{Name: views.T(lang, "lineitem.lifetime_budget"), Value: budgetOr(lang, l.LifetimeBudget)},
		{Name: views.T(lang, "noun.starts_at"), Value: views.Moment(l.StartsAt, zone)},
		{Name: views.T(lang, "noun.ends_at"), Value: views.Moment(l.EndsAt, zone)},
		{Name: views.T(lang, "noun.id"), Value: fmt.Sprint(l.ID)},
	}
	if l.Weight > 1 {
		details = append(details, views.Detail{Name: views.T(lang, "lineitem.weight"), Value: fmt.Sprint(l.Weight)})
	}
	if l.Roadblock != ad.OneOrMore {
		details = append(details, views.Detail{Name: views.T(lang, "lineitem.roadblock"), Value: views.T(lang, "roadblock."+string(l.Roadblock))})
	}
	if len(l.Labels) > 0 {
		details = append(details, views.Detail{Name: views.T(lang, "lineitem.labels"), Value: strings.Join(l.Labels, ", ")})
	}
	return details
}

func (in lineItemInput) form(p problems, action string, ch chain, t targetingForm, operator bool) views.Form {
	name := p.required("name", "noun.name", "text", in.Name)
	name.Wide = true
	basics := []views.Field{name}
	if operator {
		tier := p.hint(p.field("tier", "lineitem.tier", "select", textOr(in.Tier, ad.Auction.String())), "lineitem.tier_hint")
		tier.Options = p.options("tier", ad.Sponsorship.String(), ad.Guaranteed.String(), ad.Auction.String(), ad.House.String())
		weight := p.hint(p.field("weight", "lineitem.weight", "number", strconv.Itoa(max(in.Weight, 1))), "lineitem.weight_hint")
		basics = append(basics, tier, weight)
	}
	basics = append(basics,
		p.hint(p.required("cpm", "lineitem.cpm", "money", in.CPM), "lineitem.cpm_hint"),
		p.hint(p.field("daily_budget", "lineitem.daily_budget", "money", in.DailyBudget), "lineitem.daily_hint", ch.zone),
		p.hint(p.field("lifetime_budget", "lineitem.lifetime_budget", "money", in.LifetimeBudget), "lineitem.lifetime_hint"),
		p.hint(p.required("starts_at", "noun.starts_at", "datetime", in.StartsAt), "noun.in_zone", ch.zone),
		p.hint(p.field("ends_at", "noun.ends_at", "datetime", in.EndsAt), "lineitem.ends_hint", ch.zone),
	)
	roadblock := p.hint(p.field("roadblock", "lineitem.roadblock", "select", in.Roadblock), "lineitem.roadblock_hint")
	roadblock.Options = p.options("roadblock", string(ad.OneOrMore), string(ad.OnlyOne), string(ad.AllOrNone))
	page := []views.Field{roadblock, p.hint(p.field("labels", "lineitem.labels", "text", strings.Join(in.Labels, ", ")), "lineitem.labels_hint")}
	sections := append([]views.Section{
		{Title: p.t("lineitem.basics"), Fields: basics}, {Title: p.t("lineitem.page"), Fields: page},
	}, t.sections(p)...)
	return p.form(action, in.Version, sections...)
}

func (c *console) newLineItemPage(w http.ResponseWriter, r *http.Request) error {
	ch, err := c.campaignChain(r)
	if err != nil {
		return err
	}
	start := c.nextHour()
	if ch.campaign.StartsAt.After(start) {
		start = ch.campaign.StartsAt
	}
	return c.show(w, r, c.lineItemForm(r, ch, lineItemInput{StartsAt: local(start, ch.zone)}, targetingForm{Mode: simpleMode}, problems{lang: langOf(r)}))
}

func (c *console) editLineItemPage(w http.ResponseWriter, r *http.Request) error {
	ch, err := c.lineItemChain(r)
	if err != nil {
		return err
	}
	return c.show(w, r, c.lineItemForm(r, ch, lineItemInputOf(ch.lineItem, ch.zone), targetingFormOf(ch.lineItem.Targeting), problems{lang: langOf(r)}))
}

func (c *console) lineItemForm(r *http.Request, ch chain, in lineItemInput, t targetingForm, p problems) templ.Component {
	ctx := r.Context()
	page := views.Page{Title: p.t("lineitem.new"), Section: "advertisers", Crumbs: ch.crumbs(ctx, 2)}
	action, cancel := campaignPath(ch.campaign.ID)+"/line-items", campaignPath(ch.campaign.ID)
	if id := ch.lineItem.ID; id > 0 {
		page.Title, page.Crumbs = p.t("form.edit_name", ch.lineItem.Name), ch.crumbs(ctx, 3)
		action, cancel = lineItemPath(id), lineItemPath(id)
	}
	form := in.form(p, action, ch, t, isOperator(ctx))
	form.Cancel = cancel
	return views.Edit(page, form)
}

func (c *console) createLineItem(w http.ResponseWriter, r *http.Request) error {
	ch, err := c.campaignChain(r)
	if err != nil {
		return err
	}
	return c.postLineItem(w, r, ch)
}

func (c *console) updateLineItem(w http.ResponseWriter, r *http.Request) error {
	ch, err := c.lineItemChain(r)
	if err != nil {
		return err
	}
	return c.postLineItem(w, r, ch)
}

func (c *console) postLineItem(w http.ResponseWriter, r *http.Request, ch chain) error {
	var in lineItemInput
	var t targetingForm
	if err := readForm(w, r, maxLargeForm, &in); err != nil {
		return err
	}
	if err := fillForm(r.PostForm, &t); err != nil {
		return err
	}
	in.Labels = commas(strings.Join(r.PostForm["labels"], ","))
	if ch.lineItem.ID > 0 && in.Tier == "" {
		in.Tier = ch.lineItem.Tier.String() // only operators get the control
	}
	in.CampaignID, in.Status = ch.campaign.ID, ""
	refill := func(p problems) templ.Component { return c.lineItemForm(r, ch, in, t, p) }
	targeting, wrong := t.expression()
	in.Targeting = targeting
	if len(wrong) > 0 {
		// What else is wrong is said along with it.
		var p parser
		in.Targeting = nil
		item, err := in.parse(ch.zone)
		p.found = append(p.found, wrong...)
		if more, ok := err.(ad.Invalid); ok {
			p.found = append(p.found, more...)
		}
		return c.refill(w, r, p.check(item), refill)
	}
	saved, err := c.saveLineItem(r.Context(), ch.lineItem.ID, in)
	if err != nil {
		return c.refill(w, r, err, refill)
	}
	return c.redirect(w, r, lineItemPath(saved.ID), "notice.saved")
}

func (c *console) lineItemChain(r *http.Request) (ch chain, err error) {
	id, err := pathID(r, "id")
	if err != nil {
		return ch, err
	}
	return c.chainOfLineItem(r.Context(), id)
}

func (c *console) chainOfLineItem(ctx context.Context, id ad.ID) (chain, error) {
	item, err := c.db.FindLineItem(ctx, actorOf(ctx), id)
	if err != nil {
		return chain{}, err
	}
	ch, err := c.chainOfCampaign(ctx, item.CampaignID)
	ch.lineItem = item
	return ch, err
}
