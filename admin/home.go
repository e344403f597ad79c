package admin

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/hayate-ads/hayate/admin/report"
	"github.com/hayate-ads/hayate/admin/views"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// homePage is what each role looks at first: today's figures, and what waits.
func (c *console) homePage(w http.ResponseWriter, r *http.Request) error {
	ctx, user := r.Context(), userOf(r.Context())
	var tiles []views.Tile
	var tables []views.Table
	var err error
	switch user.Role {
	case ad.RoleOperator:
		tiles, tables, err = c.operatorHome(ctx)
	case ad.RoleReviewer:
		tiles, tables, err = c.reviewerHome(ctx)
	case ad.RoleAdvertiser:
		tiles, tables, err = c.advertiserHome(ctx)
	case ad.RolePublisher:
		tiles, tables, err = c.publisherHome(ctx)
	}
	if err != nil {
		return err
	}
	lang := langOf(r)
	page := views.Page{Title: views.T(lang, "home.title", user.Name), Section: "home"}
	return c.show(w, r, views.Home(page, tiles, tables))
}

// reader is a report's method of the store.
type reader func(context.Context, postgres.Actor, postgres.ReportQuery) (postgres.Report, error)

// today is the figures since midnight.
func (c *console) today(ctx context.Context, read reader, zone *time.Location) (postgres.Counts, string, error) {
	day := c.now().In(zone).Format(time.DateOnly)
	d, err := c.askReport(reportInput{From: day, To: day}, zone)
	if err != nil {
		return postgres.Counts{}, "", err
	}
	r, err := read(ctx, actorOf(ctx), postgres.ReportQuery{ReportFilter: d.ReportFilter, Zone: zone})
	return r.Total, views.T(views.From(ctx).Language, "home.today_in", zone.String()), err
}

func demandTiles(lang string, t postgres.Counts, note string) []views.Tile {
	return []views.Tile{
		{Name: views.T(lang, "report.impressions"), Value: views.Count(t.Impressions), Note: note, URL: "/report"},
		{Name: views.T(lang, "report.clicks"), Value: views.Count(t.Clicks), Note: "CTR " + report.CTR(t), URL: "/report"},
		{Name: views.T(lang, "report.spend"), Value: report.Round(t.Spend), Note: "eCPM " + report.ECPM(t.Spend, t.Impressions), URL: "/report"},
	}
}

func (c *console) operatorHome(ctx context.Context) ([]views.Tile, []views.Table, error) {
	lang := views.From(ctx).Language
	total, note, err := c.today(ctx, c.db.DemandReport, time.UTC)
	if err != nil {
		return nil, nil, err
	}
	waiting, table, err := c.waiting(ctx)
	if err != nil {
		return nil, nil, err
	}
	return append(demandTiles(lang, total, note), waiting), []views.Table{table}, nil
}

func (c *console) reviewerHome(ctx context.Context) ([]views.Tile, []views.Table, error) {
	waiting, table, err := c.waiting(ctx)
	return []views.Tile{waiting}, []views.Table{table}, err
}

// homeRows is how much of a list the home page shows.
const homeRows = 10

// waiting is the head of the review queue.
func (c *console) waiting(ctx context.Context) (views.Tile, views.Table, error) {
	lang := views.From(ctx).Language
	pending, err := c.db.PendingCreatives(ctx, actorOf(ctx), postgres.Page{Limit: 100})
	if err != nil {
		return views.Tile{}, views.Table{}, err
	}
	count := fmt.Sprint(len(pending))
	if len(pending) == 100 {
		count = "100+"
	}
	table, err := c.reviewTable(ctx, pending[:min(homeRows, len(pending))])
	if len(pending) > homeRows {
		table.Next, table.NextText = "/reviews", views.T(lang, "list.all")
	}
	return views.Tile{Name: views.T(lang, "home.waiting"), Value: count, Note: views.T(lang, "home.waiting_note"), URL: "/reviews"}, table, err
}

func (c *console) advertiserHome(ctx context.Context) ([]views.Tile, []views.Table, error) {
	lang, actor := views.From(ctx).Language, actorOf(ctx)
	a, err := c.db.FindAdvertiser(ctx, actor, actor.AdvertiserID)
	if err != nil {
		return nil, nil, err
	}
	total, note, err := c.today(ctx, c.db.DemandReport, zoneOf(a))
	if err != nil {
		return nil, nil, err
	}
	campaigns, err := c.db.Campaigns(ctx, actor, postgres.CampaignFilter{Page: postgres.Page{Limit: maxNames}})
	if err != nil {
		return nil, nil, err
	}
	items, err := c.db.LineItems(ctx, actor, postgres.LineItemFilter{Page: postgres.Page{Limit: maxNames}})
	if err != nil {
		return nil, nil, err
	}
	active := 0
	for _, l := range items {
		if l.Status == ad.Active {
			active++
		}
	}
	tile := views.Tile{Name: views.T(lang, "home.active_items"), Value: fmt.Sprint(active), Note: views.T(lang, "home.of_items", len(items)), URL: advertiserPath(a.ID)}
	table := c.campaignTable(ctx, chain{advertiser: a, zone: zoneOf(a)}, campaigns)
	return append(demandTiles(lang, total, note), tile), []views.Table{table}, nil
}

func (c *console) publisherHome(ctx context.Context) ([]views.Tile, []views.Table, error) {
	lang, actor := views.From(ctx).Language, actorOf(ctx)
	publisher, err := c.db.FindPublisher(ctx, actor, actor.PublisherID)
	if err != nil {
		return nil, nil, err
	}
	total, note, err := c.today(ctx, c.db.SupplyReport, time.UTC)
	if err != nil {
		return nil, nil, err
	}
	properties, err := c.db.Properties(ctx, actor, postgres.PropertyFilter{Page: postgres.Page{Limit: listLimit + 1}})
	if err != nil {
		return nil, nil, err
	}
	tiles := []views.Tile{
		{Name: views.T(lang, "report.impressions"), Value: views.Count(total.Impressions), Note: note, URL: "/supply"},
		{Name: views.T(lang, "report.clicks"), Value: views.Count(total.Clicks), Note: "CTR " + report.CTR(total), URL: "/supply"},
		{Name: views.T(lang, "report.revenue"), Value: report.Round(total.Revenue), Note: views.T(lang, "report.revenue_note"), URL: "/supply"},
		{Name: "eCPM", Value: report.ECPM(total.Revenue, total.Impressions), URL: "/supply"},
	}
	return tiles, []views.Table{c.propertyTable(ctx, supply{publisher: publisher}, properties)}, nil
}
