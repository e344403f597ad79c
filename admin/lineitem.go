package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/hayate-ads/hayate/admin/views"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// lineItemInput is what people and programs send. A page sends its targeting as
// [targetingForm], which becomes Targeting.
type lineItemInput struct {
	CampaignID     ad.ID         `json:"campaign_id,omitempty" doc:"Whose it is; cannot change."`
	Name           string        `json:"name" doc:"1 to 200 characters." example:"Tokyo, mobile"`
	Tier           string        `json:"tier,omitempty" enum:"sponsorship,guaranteed,auction,house" doc:"auction unless given; advertisers book auction only."`
	CPM            string        `json:"cpm,omitempty" doc:"Price of a thousand impressions, a decimal; 0 in the house tier only." example:"2.50"`
	Weight         int           `json:"weight,omitempty" doc:"Share among equals, 1 to 1000; all of the sponsorship and house tiers are equals. 1 unless given. Operators set it."`
	Roadblock      string        `json:"roadblock,omitempty" clear:"true" enum:",one,all" doc:"one: at most one placement of a page. all: as many as it has creatives, or none."`
	Labels         []string      `json:"labels,omitempty" form:"-" clear:"true" doc:"Of any label a page shows one line item at most, in lower case." example:"[\"cars\"]"`
	LifetimeBudget string        `json:"lifetime_budget,omitempty" clear:"true" doc:"A decimal; without one there is no limit." example:"1000.00"`
	DailyBudget    string        `json:"daily_budget,omitempty" clear:"true" doc:"A decimal, for a day of the advertiser's time zone; without one there is no limit." example:"50.00"`
	StartsAt       string        `json:"starts_at" doc:"RFC 3339; without an offset, in the advertiser's time zone." example:"2026-04-01T09:00"`
	EndsAt         string        `json:"ends_at,omitempty" clear:"true" doc:"Exclusive; without one it ends with the campaign."`
	Targeting      targetingJSON `json:"targeting,omitempty"`
	Status         string        `json:"status,omitempty" enum:"active,paused,archived" doc:"active unless given; archived is final."`
	Version        int64         `json:"version,omitempty" doc:"Of an edit: the version it was made from."`
}

func (in lineItemInput) parse(zone *time.Location) (ad.LineItem, error) {
	var p parser
	tier, err := ad.ParseTier(textOr(in.Tier, ad.Auction.String()))
	if err != nil {
		p.fail("tier", ad.Unknown, "has to be sponsorship, guaranteed, auction or house")
		tier = ad.Auction
	}
	item := ad.LineItem{
		CampaignID: in.CampaignID, Name: in.Name, Tier: tier, Status: statusOr(in.Status), Stamp: ad.Stamp{Version: in.Version},
		CPM:    p.amount("cpm", in.CPM),
		Weight: in.Weight, Roadblock: ad.Roadblock(in.Roadblock), Labels: sorted(in.Labels),
		LifetimeBudget: p.budget("lifetime_budget", in.LifetimeBudget),
		DailyBudget:    p.budget("daily_budget", in.DailyBudget),
		StartsAt:       p.moment("starts_at", in.StartsAt, zone), EndsAt: p.moment("ends_at", in.EndsAt, zone),
		Targeting: p.targeting("targeting", in.Targeting),
	}
	return item, p.check(item)
}

func lineItemInputOf(l ad.LineItem, zone *time.Location) lineItemInput {
	targeting, _ := json.Marshal(l.Targeting) // what was parsed can be written
	return lineItemInput{
		Name: l.Name, Tier: l.Tier.String(), CPM: l.CPM.String(), Weight: l.Weight, Roadblock: string(l.Roadblock), Labels: l.Labels, LifetimeBudget: budgetText(l.LifetimeBudget), DailyBudget: budgetText(l.DailyBudget),
		StartsAt: local(l.StartsAt, zone), EndsAt: local(l.EndsAt, zone), Targeting: targeting, Status: string(l.Status), Version: l.Version,
	}
}

// lineItemEdit is what an edit over the API starts from. It has no targeting:
// [console.saveLineItem] keeps it as it is stored.
func lineItemEdit(l ad.LineItem) lineItemInput {
	in := lineItemInputOf(l, time.UTC)
	in.StartsAt, in.EndsAt, in.Targeting = exact(l.StartsAt), exact(l.EndsAt), nil
	return in
}

// saveLineItem creates a line item, or changes the one with this id. An edit that
// leaves the targeting out keeps it.
func (c *console) saveLineItem(ctx context.Context, id ad.ID, in lineItemInput) (ad.LineItem, error) {
	actor := actorOf(ctx)
	var old ad.LineItem
	var err error
	if id > 0 {
		if old, err = c.db.FindLineItem(ctx, actor, id); err != nil {
			return old, err
		}
		in.CampaignID, in.Status = sameOr(in.CampaignID, old.CampaignID), textOr(in.Status, string(old.Status))
		if !isOperator(ctx) || in.Weight == 0 {
			in.Weight = old.Weight
		}
	}
	ch, err := c.chainOfCampaign(ctx, in.CampaignID)
	if err != nil {
		return old, parentError(err, "campaign_id")
	}
	item, err := in.parse(ch.zone)
	if err != nil {
		return item, err
	}
	if item.ID = id; id == 0 {
		return c.db.CreateLineItem(ctx, actor, item)
	}
	if len(in.Targeting) == 0 {
		item.Targeting = old.Targeting
	}
	return c.db.UpdateLineItem(ctx, actor, item)
}

func (c *console) setLineItemStatus(ctx context.Context, id ad.ID, version int64, status ad.Status) (int64, error) {
	item, err := c.db.FindLineItem(ctx, actorOf(ctx), id)
	if err != nil {
		return 0, err
	}
	item.Version, item.Status = version, status
	item, err = c.db.UpdateLineItem(ctx, actorOf(ctx), item)
	return item.Version, err
}

func lineItemPath(id ad.ID) string { return fmt.Sprintf("/line-items/%d", id) }

// lineItemTable lists a campaign's line items.
func (c *console) lineItemTable(ctx context.Context, ch chain, items []ad.LineItem) views.Table {
	lang := views.From(ctx).Language
	items, next := cut(items, campaignPath(ch.campaign.ID), func(l ad.LineItem) ad.ID { return l.ID })
	table := views.Table{
		Title: views.T(lang, "noun.line_items"),
		Columns: names(column(lang, "noun.name"), column(lang, "lineitem.tier"), numbers(lang, "lineitem.cpm"),
			numbers(lang, "lineitem.daily_budget"), numbers(lang, "lineitem.lifetime_budget"), column(lang, "noun.status")),
		Empty: views.Empty{Title: views.T(lang, "lineitem.none"), Text: views.T(lang, "lineitem.none_text")}, Next: next,
	}
	if mayEditDemand(ctx) && ch.campaign.Status != ad.Archived {
		table.Action = &views.Action{Text: views.T(lang, "lineitem.new"), URL: campaignPath(ch.campaign.ID) + "/line-items/new", Main: true}
		table.Empty.Action = table.Action
	}
	for _, l := range items {
		table.Rows = append(table.Rows, []views.Cell{
			{Text: l.Name, URL: lineItemPath(l.ID), Note: views.Moment(l.StartsAt, ch.zone) + " – " + views.Moment(l.EndsAt, ch.zone)},
			{Text: views.T(lang, "tier."+l.Tier.String())}, {Text: l.CPM.String(), Number: true},
			{Text: budgetOr(lang, l.DailyBudget), Number: true}, {Text: budgetOr(lang, l.LifetimeBudget), Number: true},
			statusCell(ctx, lineItemPath(l.ID), l.Status, l.Version),
		})
	}
	return table
}

func budgetOr(lang string, m *money.Micros) string {
	if m == nil {
		return views.T(lang, "lineitem.unlimited")
	}
	return m.String()
}

// meters show the budgets that have a limit: what is charged, and what delivery
// processes hold and may still charge.
func meters(lang string, e postgres.Exposure) []views.Meter {
	var all []views.Meter
	add := func(key string, a postgres.Account) {
		if a.Limit == nil {
			return
		}
		m := views.Meter{Name: views.T(lang, key), Limit: a.Limit.String(), Spent: a.Settled.String(), Leased: a.Leased.String()}
		if *a.Limit > 0 {
			m.SpentPermille, m.LeasedPermille = int(a.Settled.MulDiv(1000, int64(*a.Limit))), int(a.Leased.MulDiv(1000, int64(*a.Limit)))
		}
		if a.Wanted != nil && *a.Wanted < *a.Limit {
			m.Note = views.T(lang, "meter.lowered", a.Wanted.String(), a.Limit.String())
		}
		all = append(all, m)
	}
	add("meter.today", e.Today)
	add("meter.lifetime", e.Lifetime)
	return all
}
