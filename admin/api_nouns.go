package admin

import (
	"context"
	"encoding/json"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// The bodies of answers: the nouns as programs read them.

type advertiserBody struct {
	ID       ad.ID  `json:"id"`
	Name     string `json:"name"`
	Domain   string `json:"domain"`
	TimeZone string `json:"time_zone"`
	// The windows within which conversions count.
	ClickWindowDays int    `json:"click_window_days"`
	ViewWindowDays  int    `json:"view_window_days"`
	Status          string `json:"status"`
	StampBody
}

func advertiserBodyOf(a ad.Advertiser) advertiserBody {
	return advertiserBody{a.ID, a.Name, a.Domain, a.TimeZone, a.ClickWindowDays, a.ViewWindowDays, string(a.Status), stampBody(a.Stamp)}
}

type campaignBody struct {
	ID           ad.ID      `json:"id"`
	AdvertiserID ad.ID      `json:"advertiser_id"`
	Name         string     `json:"name"`
	StartsAt     time.Time  `json:"starts_at"`
	EndsAt       *time.Time `json:"ends_at,omitempty"`
	Status       string     `json:"status"`
	StampBody
}

func campaignBodyOf(k ad.Campaign) campaignBody {
	return campaignBody{k.ID, k.AdvertiserID, k.Name, k.StartsAt, maybe(k.EndsAt), string(k.Status), stampBody(k.Stamp)}
}

type lineItemBody struct {
	ID             ad.ID         `json:"id"`
	CampaignID     ad.ID         `json:"campaign_id"`
	Name           string        `json:"name"`
	Tier           string        `json:"tier"`
	CPM            money.Micros  `json:"cpm"`
	Weight         int           `json:"weight"`
	Roadblock      string        `json:"roadblock,omitempty"`
	Labels         []string      `json:"labels" nullable:"false"`
	LifetimeBudget *money.Micros `json:"lifetime_budget,omitempty"`
	DailyBudget    *money.Micros `json:"daily_budget,omitempty"`
	StartsAt       time.Time     `json:"starts_at"`
	EndsAt         *time.Time    `json:"ends_at,omitempty"`
	Targeting      targetingJSON `json:"targeting"`
	Status         string        `json:"status"`
	StampBody
}

func lineItemBodyOf(l ad.LineItem) lineItemBody {
	targeting, _ := json.Marshal(l.Targeting) // what was parsed can be written
	return lineItemBody{
		l.ID, l.CampaignID, l.Name, l.Tier.String(), l.CPM, max(l.Weight, 1), string(l.Roadblock), listed(l.Labels), l.LifetimeBudget, l.DailyBudget, l.StartsAt, maybe(l.EndsAt),
		targeting, string(l.Status), stampBody(l.Stamp),
	}
}

type publisherBody struct {
	ID     ad.ID  `json:"id"`
	Name   string `json:"name"`
	Domain string `json:"domain"`
	Status string `json:"status"`
	StampBody
}

func publisherBodyOf(p ad.Publisher) publisherBody {
	return publisherBody{p.ID, p.Name, p.Domain, string(p.Status), stampBody(p.Stamp)}
}

type propertyBody struct {
	ID           ad.ID    `json:"id"`
	PublisherID  ad.ID    `json:"publisher_id"`
	Name         string   `json:"name"`
	Kind         string   `json:"kind"`
	Domain       string   `json:"domain"`
	Categories   []string `json:"categories" nullable:"false"`
	RevenueShare string   `json:"revenue_share" doc:"Percent."`
	Status       string   `json:"status"`
	StampBody
}

func propertyBodyOf(p ad.Property) propertyBody {
	return propertyBody{p.ID, p.PublisherID, p.Name, string(p.Kind), p.Domain, listed(p.Categories), shareText(p.RevenueShare), string(p.Status), stampBody(p.Stamp)}
}

type placementBody struct {
	ID                 ad.ID        `json:"id"`
	PropertyID         ad.ID        `json:"property_id"`
	Name               string       `json:"name"`
	Formats            []string     `json:"formats" nullable:"false"`
	Sizes              []sizeBody   `json:"sizes" nullable:"false"`
	Floor              money.Micros `json:"floor"`
	FloorCurrency      string       `json:"floor_currency,omitempty"`
	AuctionType        string       `json:"auction_type"`
	Position           string       `json:"position,omitempty"`
	BlockedAdvertisers []ad.ID      `json:"blocked_advertisers" nullable:"false"`
	BlockedCategories  []string     `json:"blocked_categories" nullable:"false"`
	BlockedAttributes  []int        `json:"blocked_attributes" nullable:"false"`
	Status             string       `json:"status"`
	StampBody
}

// listed is a list that is empty rather than null in JSON.
func listed[T any](items []T) []T {
	if items == nil {
		return []T{}
	}
	return items
}

func placementBodyOf(p ad.Placement) placementBody {
	in := placementInputOf(p)
	return placementBody{p.ID, p.PropertyID, p.Name, listed(in.Formats), listed(in.Sizes), p.Floor, p.FloorCurrency, in.AuctionType, p.Position,
		listed(in.BlockedAdvertisers), listed(in.BlockedCategories), listed(in.BlockedAttributes), in.Status, stampBody(p.Stamp)}
}

type (
	campaignsQuery struct {
		AdvertiserID ad.ID `query:"advertiser_id"`
		PageQuery
	}
	lineItemsQuery struct {
		AdvertiserID ad.ID `query:"advertiser_id"`
		CampaignID   ad.ID `query:"campaign_id"`
		PageQuery
	}
	propertiesQuery struct {
		PublisherID ad.ID `query:"publisher_id"`
		PageQuery
	}
	placementsQuery struct {
		PublisherID ad.ID `query:"publisher_id"`
		PropertyID  ad.ID `query:"property_id"`
		PageQuery
	}
)

// saver and finder put a noun's functions together with its body.
func saver[In, T, Body any](save func(context.Context, ad.ID, In) (T, error), body func(T) Body) func(context.Context, ad.ID, In) (Body, error) {
	return func(ctx context.Context, id ad.ID, in In) (b Body, err error) {
		saved, err := save(ctx, id, in)
		if err != nil {
			return b, err
		}
		return body(saved), nil
	}
}

func finder[T, Body any](find func(context.Context, postgres.Actor, ad.ID) (T, error), body func(T) Body) func(context.Context, ad.ID) (Body, error) {
	return func(ctx context.Context, id ad.ID) (b Body, err error) {
		found, err := find(ctx, actorOf(ctx), id)
		if err != nil {
			return b, err
		}
		return body(found), nil
	}
}

func (c *console) apiDemand(api huma.API) {
	advertisers := resource[advertiserInput, advertiserBody]{c, api, "advertisers", saver(c.saveAdvertiser, advertiserBodyOf), finder(c.db.FindAdvertiser, advertiserBodyOf), finder(c.db.FindAdvertiser, advertiserInputOf)}
	advertisers.register()
	registerList(advertisers, func(ctx context.Context, q PageQuery) (listBody[advertiserBody], error) {
		found, err := c.db.Advertisers(ctx, actorOf(ctx), q.page())
		return listOf(found, q, advertiserBodyOf, func(a ad.Advertiser) ad.ID { return a.ID }), err
	})
	campaigns := resource[campaignInput, campaignBody]{c, api, "campaigns", saver(c.saveCampaign, campaignBodyOf), finder(c.db.FindCampaign, campaignBodyOf), finder(c.db.FindCampaign, campaignEdit)}
	campaigns.register()
	registerList(campaigns, func(ctx context.Context, q campaignsQuery) (listBody[campaignBody], error) {
		found, err := c.db.Campaigns(ctx, actorOf(ctx), postgres.CampaignFilter{AdvertiserID: q.AdvertiserID, Page: q.page()})
		return listOf(found, q.PageQuery, campaignBodyOf, func(k ad.Campaign) ad.ID { return k.ID }), err
	})
	items := resource[lineItemInput, lineItemBody]{c, api, "line-items", saver(c.saveLineItem, lineItemBodyOf), finder(c.db.FindLineItem, lineItemBodyOf), finder(c.db.FindLineItem, lineItemEdit)}
	items.register()
	registerList(items, func(ctx context.Context, q lineItemsQuery) (listBody[lineItemBody], error) {
		found, err := c.db.LineItems(ctx, actorOf(ctx), postgres.LineItemFilter{AdvertiserID: q.AdvertiserID, CampaignID: q.CampaignID, Page: q.page()})
		return listOf(found, q.PageQuery, lineItemBodyOf, func(l ad.LineItem) ad.ID { return l.ID }), err
	})
	c.apiExposure(api)
}

func (c *console) apiSupply(api huma.API) {
	publishers := resource[publisherInput, publisherBody]{c, api, "publishers", saver(c.savePublisher, publisherBodyOf), finder(c.db.FindPublisher, publisherBodyOf), finder(c.db.FindPublisher, publisherInputOf)}
	publishers.register()
	registerList(publishers, func(ctx context.Context, q PageQuery) (listBody[publisherBody], error) {
		found, err := c.db.Publishers(ctx, actorOf(ctx), q.page())
		return listOf(found, q, publisherBodyOf, func(p ad.Publisher) ad.ID { return p.ID }), err
	})
	properties := resource[propertyInput, propertyBody]{c, api, "properties", saver(c.saveProperty, propertyBodyOf), finder(c.db.FindProperty, propertyBodyOf), finder(c.db.FindProperty, propertyInputOf)}
	properties.register()
	registerList(properties, func(ctx context.Context, q propertiesQuery) (listBody[propertyBody], error) {
		found, err := c.db.Properties(ctx, actorOf(ctx), postgres.PropertyFilter{PublisherID: q.PublisherID, Page: q.page()})
		return listOf(found, q.PageQuery, propertyBodyOf, func(p ad.Property) ad.ID { return p.ID }), err
	})
	placements := resource[placementInput, placementBody]{c, api, "placements", saver(c.savePlacement, placementBodyOf), finder(c.db.FindPlacement, placementBodyOf), finder(c.db.FindPlacement, placementInputOf)}
	placements.register()
	registerList(placements, func(ctx context.Context, q placementsQuery) (listBody[placementBody], error) {
		found, err := c.db.Placements(ctx, actorOf(ctx), postgres.PlacementFilter{PublisherID: q.PublisherID, PropertyID: q.PropertyID, Page: q.page()})
		return listOf(found, q.PageQuery, placementBodyOf, func(p ad.Placement) ad.ID { return p.ID }), err
	})
}
