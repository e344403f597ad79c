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

// campaignInput is what people and programs send.
type campaignInput struct {
	AdvertiserID ad.ID  `json:"advertiser_id,omitempty" doc:"Whose it is; cannot change."`
	Name         string `json:"name" doc:"1 to 200 characters." example:"Spring"`
	StartsAt     string `json:"starts_at" doc:"RFC 3339; without an offset, in the advertiser's time zone." example:"2026-04-01T09:00"`
	EndsAt       string `json:"ends_at,omitempty" clear:"true" doc:"Exclusive; without one the end is open." example:"2026-05-01T00:00"`
	Status       string `json:"status,omitempty" enum:"active,paused,archived" doc:"active unless given; archived is final."`
	Version      int64  `json:"version,omitempty" doc:"Of an edit: the version it was made from."`
}

func (in campaignInput) parse(zone *time.Location) (ad.Campaign, error) {
	var p parser
	campaign := ad.Campaign{
		AdvertiserID: in.AdvertiserID, Name: in.Name, Status: statusOr(in.Status), Stamp: ad.Stamp{Version: in.Version},
		StartsAt: p.moment("starts_at", in.StartsAt, zone), EndsAt: p.moment("ends_at", in.EndsAt, zone),
	}
	return campaign, p.check(campaign)
}

func campaignInputOf(a ad.Campaign, zone *time.Location) campaignInput {
	return campaignInput{Name: a.Name, StartsAt: local(a.StartsAt, zone), EndsAt: local(a.EndsAt, zone), Status: string(a.Status), Version: a.Version}
}

// campaignEdit is what an edit over the API starts from.
func campaignEdit(a ad.Campaign) campaignInput {
	in := campaignInputOf(a, time.UTC)
	in.StartsAt, in.EndsAt = exact(a.StartsAt), exact(a.EndsAt)
	return in
}

// saveCampaign creates a campaign, or changes the one with this id.
func (c *console) saveCampaign(ctx context.Context, id ad.ID, in campaignInput) (ad.Campaign, error) {
	actor := actorOf(ctx)
	var old ad.Campaign
	var err error
	if id > 0 {
		if old, err = c.db.FindCampaign(ctx, actor, id); err != nil {
			return old, err
		}
		in.AdvertiserID, in.Status = sameOr(in.AdvertiserID, old.AdvertiserID), textOr(in.Status, string(old.Status))
	}
	advertiser, err := c.parentAdvertiser(ctx, in.AdvertiserID)
	if err != nil {
		return old, err
	}
	campaign, err := in.parse(zoneOf(advertiser))
	if err != nil {
		return campaign, err
	}
	if campaign.ID = id; id > 0 {
		return c.db.UpdateCampaign(ctx, actor, campaign)
	}
	return c.db.CreateCampaign(ctx, actor, campaign)
}

// parentAdvertiser finds the advertiser that an input names. One that is not
// there, or is somebody else's, is a mistake in the input, not in the address.
func (c *console) parentAdvertiser(ctx context.Context, id ad.ID) (ad.Advertiser, error) {
	a, err := c.db.FindAdvertiser(ctx, actorOf(ctx), id)
	return a, parentError(err, "advertiser_id")
}

func parentError(err error, field string) error {
	if err == postgres.ErrNotFound {
		return ad.Invalid{{Field: field, Code: ad.Unknown, Message: "has to be the id of one that exists"}}
	}
	return err
}

func sameOr(given, otherwise ad.ID) ad.ID {
	if given == 0 {
		return otherwise
	}
	return given
}

func textOr(given, otherwise string) string {
	if given == "" {
		return otherwise
	}
	return given
}

func (in campaignInput) form(p problems, action string, zone *time.Location) views.Form {
	starts := p.hint(p.required("starts_at", "noun.starts_at", "datetime", in.StartsAt), "noun.in_zone", zone)
	ends := p.hint(p.field("ends_at", "noun.ends_at", "datetime", in.EndsAt), "campaign.ends_hint", zone)
	name := p.required("name", "noun.name", "text", in.Name)
	name.Wide = true
	return p.form(action, in.Version, views.Section{Fields: []views.Field{name, starts, ends}})
}

func campaignPath(id ad.ID) string { return fmt.Sprintf("/campaigns/%d", id) }

// campaignTable lists an advertiser's campaigns.
func (c *console) campaignTable(ctx context.Context, ch chain, campaigns []ad.Campaign) views.Table {
	lang := views.From(ctx).Language
	campaigns, next := cut(campaigns, advertiserPath(ch.advertiser.ID), func(c ad.Campaign) ad.ID { return c.ID })
	table := views.Table{
		Title:   views.T(lang, "noun.campaigns"),
		Columns: names(column(lang, "noun.name"), column(lang, "noun.starts_at"), column(lang, "noun.ends_at"), column(lang, "noun.status")),
		Empty:   views.Empty{Title: views.T(lang, "campaign.none"), Text: views.T(lang, "campaign.none_text")}, Next: next,
	}
	if mayEditDemand(ctx) && ch.advertiser.Status != ad.Archived {
		table.Action = &views.Action{Text: views.T(lang, "campaign.new"), URL: advertiserPath(ch.advertiser.ID) + "/campaigns/new", Main: true}
		table.Empty.Action = table.Action
	}
	for _, k := range campaigns {
		table.Rows = append(table.Rows, []views.Cell{
			{Text: k.Name, URL: campaignPath(k.ID)},
			{Text: views.Moment(k.StartsAt, ch.zone)}, {Text: views.Moment(k.EndsAt, ch.zone)},
			statusCell(ctx, campaignPath(k.ID), k.Status, k.Version),
		})
	}
	return table
}

func (c *console) campaignPage(w http.ResponseWriter, r *http.Request) error {
	ctx, lang := r.Context(), langOf(r)
	ch, err := c.campaignChain(r)
	if err != nil {
		return err
	}
	k := ch.campaign
	items, err := c.db.LineItems(ctx, actorOf(ctx), postgres.LineItemFilter{CampaignID: k.ID, Page: pageOf(r)})
	if err != nil {
		return err
	}
	table := c.lineItemTable(ctx, ch, items)
	p := views.Page{Title: k.Name, Kind: views.T(lang, "noun.campaign"), Section: "advertisers", Crumbs: ch.crumbs(ctx, 1), Badges: []views.Badge{views.StatusBadge(lang, k.Status)}}
	if mayEditDemand(ctx) && k.Status != ad.Archived {
		p.Actions = append(statusActions(lang, campaignPath(k.ID), k.Status, k.Version), views.Action{Text: views.T(lang, "form.edit"), URL: campaignPath(k.ID) + "/edit"})
	}
	details := append([]views.Detail{
		{Name: views.T(lang, "noun.starts_at"), Value: views.Moment(k.StartsAt, ch.zone)},
		{Name: views.T(lang, "noun.ends_at"), Value: views.Moment(k.EndsAt, ch.zone)},
		{Name: views.T(lang, "noun.id"), Value: fmt.Sprint(k.ID)},
		reportDetail(ctx, lang, "campaign", k.ID),
	}, stampDetails(lang, k.Stamp, ch.zone)...)
	return c.show(w, r, views.Thing(p, details, []views.Table{table}))
}

func (c *console) newCampaignPage(w http.ResponseWriter, r *http.Request) error {
	ch, err := c.advertiserChain(r)
	if err != nil {
		return err
	}
	return c.show(w, r, c.campaignForm(r, ch, campaignInput{StartsAt: local(c.nextHour(), ch.zone)}, problems{lang: langOf(r)}))
}

// nextHour is a start to offer.
func (c *console) nextHour() time.Time { return c.now().Truncate(time.Hour).Add(time.Hour) }

func (c *console) editCampaignPage(w http.ResponseWriter, r *http.Request) error {
	ch, err := c.campaignChain(r)
	if err != nil {
		return err
	}
	return c.show(w, r, c.campaignForm(r, ch, campaignInputOf(ch.campaign, ch.zone), problems{lang: langOf(r)}))
}

func (c *console) campaignForm(r *http.Request, ch chain, in campaignInput, p problems) templ.Component {
	page := views.Page{Title: p.t("campaign.new"), Section: "advertisers", Crumbs: ch.crumbs(r.Context(), 1)}
	action, cancel := advertiserPath(ch.advertiser.ID)+"/campaigns", advertiserPath(ch.advertiser.ID)
	if id := ch.campaign.ID; id > 0 {
		page.Title, page.Crumbs = p.t("form.edit_name", ch.campaign.Name), ch.crumbs(r.Context(), 2)
		action, cancel = campaignPath(id), campaignPath(id)
	}
	form := in.form(p, action, ch.zone)
	form.Cancel = cancel
	return views.Edit(page, form)
}

func (c *console) createCampaign(w http.ResponseWriter, r *http.Request) error {
	ch, err := c.advertiserChain(r)
	if err != nil {
		return err
	}
	return c.postCampaign(w, r, ch)
}

func (c *console) updateCampaign(w http.ResponseWriter, r *http.Request) error {
	ch, err := c.campaignChain(r)
	if err != nil {
		return err
	}
	return c.postCampaign(w, r, ch)
}

func (c *console) postCampaign(w http.ResponseWriter, r *http.Request, ch chain) error {
	var in campaignInput
	if err := readForm(w, r, maxForm, &in); err != nil {
		return err
	}
	// Where it belongs is the address's to say, what its status is the buttons'.
	in.AdvertiserID, in.Status = ch.advertiser.ID, ""
	saved, err := c.saveCampaign(r.Context(), ch.campaign.ID, in)
	if err != nil {
		return c.refill(w, r, err, func(p problems) templ.Component { return c.campaignForm(r, ch, in, p) })
	}
	return c.redirect(w, r, campaignPath(saved.ID), "notice.saved")
}

func (c *console) setCampaignStatus(ctx context.Context, id ad.ID, version int64, status ad.Status) (int64, error) {
	campaign, err := c.db.FindCampaign(ctx, actorOf(ctx), id)
	if err != nil {
		return 0, err
	}
	campaign.Version, campaign.Status = version, status
	campaign, err = c.db.UpdateCampaign(ctx, actorOf(ctx), campaign)
	return campaign.Version, err
}

func (c *console) campaignChain(r *http.Request) (ch chain, err error) {
	id, err := pathID(r, "id")
	if err != nil {
		return ch, err
	}
	return c.chainOfCampaign(r.Context(), id)
}

func (c *console) chainOfCampaign(ctx context.Context, id ad.ID) (ch chain, err error) {
	actor := actorOf(ctx)
	if ch.campaign, err = c.db.FindCampaign(ctx, actor, id); err != nil {
		return ch, err
	}
	ch.advertiser, err = c.db.FindAdvertiser(ctx, actor, ch.campaign.AdvertiserID)
	ch.zone = zoneOf(ch.advertiser)
	return ch, err
}
