package admin

import (
	"context"
	"fmt"
	"slices"

	"github.com/hayate-ads/hayate/admin/views"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// demandNames are the names that a report of demand needs.
type demandNames struct {
	advertisers []ad.Advertiser
	campaigns   []ad.Campaign
	items       []ad.LineItem
	creatives   []ad.Creative
	placements  []ad.Placement // operators only: others do not see whose they are
}

// maxNames bounds the choices of a report's form; what is beyond shows its id.
const maxNames = 1000

func (c *console) demandNames(ctx context.Context, in reportInput) (n demandNames, err error) {
	actor, page := actorOf(ctx), postgres.Page{Limit: maxNames}
	advertiser, campaign := ad.ID(in.AdvertiserID), ad.ID(in.CampaignID)
	if isOperator(ctx) {
		if n.advertisers, err = c.db.Advertisers(ctx, actor, page); err != nil {
			return n, err
		}
		if slices.Contains(words(in.Group), string(postgres.ByPlacement)) {
			if n.placements, err = c.db.Placements(ctx, actor, postgres.PlacementFilter{Page: page}); err != nil {
				return n, err
			}
		}
	}
	if n.campaigns, err = c.db.Campaigns(ctx, actor, postgres.CampaignFilter{AdvertiserID: advertiser, Page: page}); err != nil {
		return n, err
	}
	if slices.Contains(words(in.Group), string(postgres.ByCreative)) {
		if n.creatives, err = c.creativeNames(ctx, in); err != nil {
			return n, err
		}
	}
	n.items, err = c.db.LineItems(ctx, actor, postgres.LineItemFilter{AdvertiserID: advertiser, CampaignID: campaign, Page: page})
	return n, err
}

func (c *console) creativeNames(ctx context.Context, in reportInput) (all []ad.Creative, err error) {
	f := postgres.CreativeFilter{AdvertiserID: ad.ID(in.AdvertiserID), LineItemID: ad.ID(in.LineItemID), Page: postgres.Page{Limit: 100}}
	for len(all) < maxNames {
		some, err := c.db.Creatives(ctx, actorOf(ctx), f)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
		if len(some) < f.Limit {
			break
		}
		f.After = some[len(some)-1].ID
	}
	return all, nil
}

// name finds a name by walking lists of at most [maxNames].
func (n demandNames) name(d postgres.Dimension, id ad.ID) (text, url string) {
	switch d {
	case postgres.ByAdvertiser:
		for _, a := range n.advertisers {
			if a.ID == id {
				return a.Name, advertiserPath(id)
			}
		}
	case postgres.ByCampaign:
		for _, k := range n.campaigns {
			if k.ID == id {
				return k.Name, campaignPath(id)
			}
		}
	case postgres.ByLineItem:
		for _, l := range n.items {
			if l.ID == id {
				return l.Name, lineItemPath(id)
			}
		}
	case postgres.ByCreative:
		for _, k := range n.creatives {
			if k.ID == id {
				return k.Name, creativePath(id)
			}
		}
	case postgres.ByPlacement:
		return placementName(n.placements, id)
	}
	return "", ""
}

// scope says what a report is about.
func (n demandNames) scope(lang string, in reportInput) string {
	for _, about := range []struct {
		dimension postgres.Dimension
		id        int64
	}{{postgres.ByLineItem, in.LineItemID}, {postgres.ByCampaign, in.CampaignID}, {postgres.ByAdvertiser, in.AdvertiserID}} {
		if about.id == 0 {
			continue
		}
		if text, _ := n.name(about.dimension, ad.ID(about.id)); text != "" {
			return text
		}
		return fmt.Sprintf("#%d", about.id)
	}
	return views.T(lang, "report.everything")
}

func (n demandNames) fields(ctx context.Context, p problems, in reportInput) []views.Field {
	choice := func(name, key string, chosen int64) views.Field {
		f := p.field(name, key, "select", "")
		f.Options = []views.Option{{Text: p.t("report.all")}}
		if chosen != 0 {
			f.Value = fmt.Sprint(chosen)
		}
		return f
	}
	var fields []views.Field
	if isOperator(ctx) {
		f := choice("advertiser_id", "noun.advertiser", in.AdvertiserID)
		for _, a := range n.advertisers {
			f.Options = append(f.Options, views.Option{Value: fmt.Sprint(a.ID), Text: a.Name})
		}
		fields = append(fields, f)
	}
	campaign := choice("campaign_id", "noun.campaign", in.CampaignID)
	for _, k := range n.campaigns {
		campaign.Options = append(campaign.Options, views.Option{Value: fmt.Sprint(k.ID), Text: k.Name})
	}
	item := choice("line_item_id", "noun.line_item", in.LineItemID)
	for _, l := range n.items {
		item.Options = append(item.Options, views.Option{Value: fmt.Sprint(l.ID), Text: l.Name})
	}
	return append(fields, campaign, item)
}

// supplyNames are the names that a report of supply needs.
type supplyNames []ad.Placement

func (n supplyNames) name(d postgres.Dimension, id ad.ID) (text, url string) {
	if d == postgres.ByPlacement {
		return placementName(n, id)
	}
	return "", ""
}

func placementName(placements []ad.Placement, id ad.ID) (text, url string) {
	for _, m := range placements {
		if m.ID == id {
			return m.Name, placementPath(id)
		}
	}
	return "", ""
}
