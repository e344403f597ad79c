package postgres_test

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// area is who may see what a method is about.
type area int

const (
	demand area = iota
	supply
	people
	operators // has no foreign id: it is refused as a whole
)

// probe calls a method with everything it takes from house h: the ids that the
// actor must not see. It returns how many rows came back, and the error.
type probe struct {
	area area
	call func(ctx context.Context, db *postgres.DB, a postgres.Actor, h *house) (int, error)
}

func single[T any](_ T, err error) (int, error)       { return 0, err }
func several[T any](list []T, err error) (int, error) { return len(list), err }

var hours = postgres.ReportFilter{From: start, To: start.Add(24 * time.Hour)}

// probes has every method of the store that takes an Actor; the test fails when
// one is missing.
var probes = map[string]probe{
	"CreateAdvertiser": {operators, func(ctx context.Context, db *postgres.DB, a postgres.Actor, h *house) (int, error) {
		return single(db.CreateAdvertiser(ctx, a, h.advertiser))
	}},
	"FindAdvertiser": {demand, func(ctx context.Context, db *postgres.DB, a postgres.Actor, h *house) (int, error) {
		return single(db.FindAdvertiser(ctx, a, h.advertiser.ID))
	}},
	"UpdateAdvertiser": {demand, func(ctx context.Context, db *postgres.DB, a postgres.Actor, h *house) (int, error) {
		return single(db.UpdateAdvertiser(ctx, a, h.advertiser))
	}},
	"Advertisers": {demand, func(ctx context.Context, db *postgres.DB, a postgres.Actor, h *house) (int, error) {
		return several(db.Advertisers(ctx, a, postgres.Page{After: h.advertiser.ID - 1, Limit: 1}))
	}},
	"CreateCampaign": {demand, func(ctx context.Context, db *postgres.DB, a postgres.Actor, h *house) (int, error) {
		return single(db.CreateCampaign(ctx, a, h.campaign))
	}},
	"FindCampaign": {demand, func(ctx context.Context, db *postgres.DB, a postgres.Actor, h *house) (int, error) {
		return single(db.FindCampaign(ctx, a, h.campaign.ID))
	}},
	"UpdateCampaign": {demand, func(ctx context.Context, db *postgres.DB, a postgres.Actor, h *house) (int, error) {
		return single(db.UpdateCampaign(ctx, a, h.campaign))
	}},
	"Campaigns": {demand, func(ctx context.Context, db *postgres.DB, a postgres.Actor, h *house) (int, error) {
		return several(db.Campaigns(ctx, a, postgres.CampaignFilter{AdvertiserID: h.advertiser.ID}))
	}},
	"CreateLineItem": {demand, func(ctx context.Context, db *postgres.DB, a postgres.Actor, h *house) (int, error) {
		return single(db.CreateLineItem(ctx, a, h.lineItem))
	}},
	"FindLineItem": {demand, func(ctx context.Context, db *postgres.DB, a postgres.Actor, h *house) (int, error) {
		return single(db.FindLineItem(ctx, a, h.lineItem.ID))
	}},
	"UpdateLineItem": {demand, func(ctx context.Context, db *postgres.DB, a postgres.Actor, h *house) (int, error) {
		return single(db.UpdateLineItem(ctx, a, h.lineItem))
	}},
	"LineItems": {demand, func(ctx context.Context, db *postgres.DB, a postgres.Actor, h *house) (int, error) {
		byAdvertiser, err := db.LineItems(ctx, a, postgres.LineItemFilter{AdvertiserID: h.advertiser.ID})
		byCampaign, err2 := db.LineItems(ctx, a, postgres.LineItemFilter{CampaignID: h.campaign.ID})
		return len(byAdvertiser) + len(byCampaign), errors.Join(err, err2)
	}},
	"Exposure": {demand, func(ctx context.Context, db *postgres.DB, a postgres.Actor, h *house) (int, error) {
		return single(db.Exposure(ctx, a, h.lineItem.ID))
	}},
	"CreateCreative": {demand, func(ctx context.Context, db *postgres.DB, a postgres.Actor, h *house) (int, error) {
		return single(db.CreateCreative(ctx, a, h.creative))
	}},
	"FindCreative": {demand, func(ctx context.Context, db *postgres.DB, a postgres.Actor, h *house) (int, error) {
		return single(db.FindCreative(ctx, a, h.creative.ID))
	}},
	"UpdateCreative": {demand, func(ctx context.Context, db *postgres.DB, a postgres.Actor, h *house) (int, error) {
		return single(db.UpdateCreative(ctx, a, h.creative))
	}},
	"Creatives": {demand, func(ctx context.Context, db *postgres.DB, a postgres.Actor, h *house) (int, error) {
		return several(db.Creatives(ctx, a, postgres.CreativeFilter{LineItemID: h.lineItem.ID}))
	}},
	"ReviseCreative": {demand, func(ctx context.Context, db *postgres.DB, a postgres.Actor, h *house) (int, error) {
		return single(db.ReviseCreative(ctx, a, h.creative.ID, 1, sampleRevision()))
	}},
	"SubmitCreative": {demand, func(ctx context.Context, db *postgres.DB, a postgres.Actor, h *house) (int, error) {
		return single(db.SubmitCreative(ctx, a, h.creative.ID, 1))
	}},
	"ReviewCreative": {demand, func(ctx context.Context, db *postgres.DB, a postgres.Actor, h *house) (int, error) {
		return single(db.ReviewCreative(ctx, a, h.creative.ID, 1, true, ""))
	}},
	"Revisions": {demand, func(ctx context.Context, db *postgres.DB, a postgres.Actor, h *house) (int, error) {
		return several(db.Revisions(ctx, a, h.creative.ID))
	}},
	"PendingCreatives": {demand, func(ctx context.Context, db *postgres.DB, a postgres.Actor, h *house) (int, error) {
		return several(db.PendingCreatives(ctx, a, postgres.Page{After: h.creative.ID - 1}))
	}},
	"CreatePublisher": {operators, func(ctx context.Context, db *postgres.DB, a postgres.Actor, h *house) (int, error) {
		return single(db.CreatePublisher(ctx, a, h.publisher))
	}},
	"FindPublisher": {supply, func(ctx context.Context, db *postgres.DB, a postgres.Actor, h *house) (int, error) {
		return single(db.FindPublisher(ctx, a, h.publisher.ID))
	}},
	"UpdatePublisher": {supply, func(ctx context.Context, db *postgres.DB, a postgres.Actor, h *house) (int, error) {
		return single(db.UpdatePublisher(ctx, a, h.publisher))
	}},
	"Publishers": {supply, func(ctx context.Context, db *postgres.DB, a postgres.Actor, h *house) (int, error) {
		return several(db.Publishers(ctx, a, postgres.Page{After: h.publisher.ID - 1, Limit: 1}))
	}},
	"CreateProperty": {supply, func(ctx context.Context, db *postgres.DB, a postgres.Actor, h *house) (int, error) {
		return single(db.CreateProperty(ctx, a, h.property))
	}},
	"FindProperty": {supply, func(ctx context.Context, db *postgres.DB, a postgres.Actor, h *house) (int, error) {
		return single(db.FindProperty(ctx, a, h.property.ID))
	}},
	"UpdateProperty": {supply, func(ctx context.Context, db *postgres.DB, a postgres.Actor, h *house) (int, error) {
		return single(db.UpdateProperty(ctx, a, h.property))
	}},
	"Properties": {supply, func(ctx context.Context, db *postgres.DB, a postgres.Actor, h *house) (int, error) {
		return several(db.Properties(ctx, a, postgres.PropertyFilter{PublisherID: h.publisher.ID}))
	}},
	"CreatePlacement": {supply, func(ctx context.Context, db *postgres.DB, a postgres.Actor, h *house) (int, error) {
		return single(db.CreatePlacement(ctx, a, h.placement))
	}},
	"FindPlacement": {supply, func(ctx context.Context, db *postgres.DB, a postgres.Actor, h *house) (int, error) {
		return single(db.FindPlacement(ctx, a, h.placement.ID))
	}},
	"UpdatePlacement": {supply, func(ctx context.Context, db *postgres.DB, a postgres.Actor, h *house) (int, error) {
		return single(db.UpdatePlacement(ctx, a, h.placement))
	}},
	"Placements": {supply, func(ctx context.Context, db *postgres.DB, a postgres.Actor, h *house) (int, error) {
		byPublisher, err := db.Placements(ctx, a, postgres.PlacementFilter{PublisherID: h.publisher.ID})
		byProperty, err2 := db.Placements(ctx, a, postgres.PlacementFilter{PropertyID: h.property.ID})
		return len(byPublisher) + len(byProperty), errors.Join(err, err2)
	}},
	"DemandReport": {demand, func(ctx context.Context, db *postgres.DB, a postgres.Actor, h *house) (int, error) {
		rows := 0
		for _, narrow := range []postgres.ReportFilter{{Advertiser: h.advertiser.ID}, {Campaign: h.campaign.ID}, {LineItem: h.lineItem.ID}} {
			narrow.From, narrow.To = hours.From, hours.To
			for _, group := range [][]postgres.Dimension{{postgres.ByHour, postgres.ByLineItem}, {postgres.ByCountry}, nil} {
				r, err := db.DemandReport(ctx, a, postgres.ReportQuery{ReportFilter: narrow, Group: group, Series: true})
				if err != nil {
					return 0, err
				}
				rows += len(r.Rows) + len(r.Series)
			}
		}
		return rows, nil
	}},
	"LineItemReasons": {demand, func(ctx context.Context, db *postgres.DB, a postgres.Actor, h *house) (int, error) {
		r, err := db.LineItemReasons(ctx, a, h.lineItem.ID, hours.From, hours.To)
		if errors.Is(err, postgres.ErrForbidden) {
			err = nil // of a role that buys nothing, whatever the line item
		}
		return several(r.Rows, err)
	}},
	"SupplyReport": {supply, func(ctx context.Context, db *postgres.DB, a postgres.Actor, h *house) (int, error) {
		f := hours
		f.Placement = h.placement.ID
		r, err := db.SupplyReport(ctx, a, postgres.ReportQuery{ReportFilter: f, Group: []postgres.Dimension{postgres.ByPlacement, postgres.ByNoFill}, Series: true})
		return len(r.Rows) + len(r.Series), err
	}},
	"CreateUser": {operators, func(ctx context.Context, db *postgres.DB, a postgres.Actor, h *house) (int, error) {
		return single(db.CreateUser(ctx, a, h.users[ad.RoleReviewer], ""))
	}},
	"FindUser": {people, func(ctx context.Context, db *postgres.DB, a postgres.Actor, h *house) (int, error) {
		return single(db.FindUser(ctx, a, h.users[ad.RoleOperator].ID))
	}},
	"UpdateUser": {people, func(ctx context.Context, db *postgres.DB, a postgres.Actor, h *house) (int, error) {
		return single(db.UpdateUser(ctx, a, h.users[ad.RoleOperator]))
	}},
	"Users": {people, func(ctx context.Context, db *postgres.DB, a postgres.Actor, h *house) (int, error) {
		return several(db.Users(ctx, a, postgres.Page{After: h.users[ad.RoleOperator].ID - 1}))
	}},
	"SetPassword": {people, func(ctx context.Context, db *postgres.DB, a postgres.Actor, h *house) (int, error) {
		return 0, db.SetPassword(ctx, a, h.users[ad.RoleOperator].ID, "")
	}},
	"Tokens": {people, func(ctx context.Context, db *postgres.DB, a postgres.Actor, h *house) (int, error) {
		return several(db.Tokens(ctx, a, postgres.Page{}))
	}},
	"RevokeToken": {people, func(ctx context.Context, db *postgres.DB, a postgres.Actor, h *house) (int, error) {
		all, err := db.Tokens(ctx, postgres.System, postgres.Page{})
		if err != nil || len(all) == 0 {
			return 0, errors.New("no token to try")
		}
		return single(db.RevokeToken(ctx, a, all[0].ID))
	}},
	"PreviewCorrection": {operators, func(ctx context.Context, db *postgres.DB, a postgres.Actor, h *house) (int, error) {
		return single(db.PreviewCorrection(ctx, a, correctionOf(h)))
	}},
	"Correct": {operators, func(ctx context.Context, db *postgres.DB, a postgres.Actor, h *house) (int, error) {
		return single(db.Correct(ctx, a, correctionOf(h), ad.Credit{}))
	}},
	"FindCorrection": {demand, func(ctx context.Context, db *postgres.DB, a postgres.Actor, h *house) (int, error) {
		return single(db.FindCorrection(ctx, a, correctionID(ctx, h)))
	}},
	"Corrections": {demand, func(ctx context.Context, db *postgres.DB, a postgres.Actor, h *house) (int, error) {
		return several(db.Corrections(ctx, a, postgres.CorrectionFilter{AdvertiserID: h.advertiser.ID}))
	}},
	"CorrectionParts": {demand, func(ctx context.Context, db *postgres.DB, a postgres.Actor, h *house) (int, error) {
		return several(db.CorrectionParts(ctx, a, correctionID(ctx, h)))
	}},
	"Invoices": {demand, func(ctx context.Context, db *postgres.DB, a postgres.Actor, h *house) (int, error) {
		return several(db.Invoices(ctx, a, postgres.InvoiceFilter{Advertiser: h.advertiser.ID}))
	}},
	"Invoice": {demand, func(ctx context.Context, db *postgres.DB, a postgres.Actor, h *house) (int, error) {
		return single(db.Invoice(ctx, a, h.advertiser.ID, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)))
	}},
	"Conversions": {demand, func(ctx context.Context, db *postgres.DB, a postgres.Actor, h *house) (int, error) {
		return several(db.Conversions(ctx, a, h.advertiser.ID, 10))
	}},
	"SetExchangeRate": {operators, func(ctx context.Context, db *postgres.DB, a postgres.Actor, h *house) (int, error) {
		return single(db.SetExchangeRate(ctx, a, ad.ExchangeRate{Currency: "CHF", Value: 1}))
	}},
	"ExchangeRates": {operators, func(ctx context.Context, db *postgres.DB, a postgres.Actor, h *house) (int, error) {
		return several(db.ExchangeRates(ctx, a))
	}},
	"DeleteExchangeRate": {operators, func(ctx context.Context, db *postgres.DB, a postgres.Actor, h *house) (int, error) {
		return 0, db.DeleteExchangeRate(ctx, a, "JPY", 1)
	}},
	"AuditLog": {operators, func(ctx context.Context, db *postgres.DB, a postgres.Actor, h *house) (int, error) {
		return several(db.AuditLog(ctx, a, postgres.AuditFilter{}))
	}},
	"JobHealth": {operators, func(ctx context.Context, db *postgres.DB, a postgres.Actor, h *house) (int, error) {
		return several(db.JobHealth(ctx, a))
	}},
	"TruthHealth": {operators, func(ctx context.Context, db *postgres.DB, a postgres.Actor, h *house) (int, error) {
		return single(db.TruthHealth(ctx, a))
	}},
}

// harmless take an Actor to write down who it was, and reach nobody else's rows.
var harmless = map[string]bool{"Audit": true, "CreateToken": true}

func TestEveryMethodHasAProbe(t *testing.T) {
	t.Parallel()
	methods, actors := reflect.TypeFor[*postgres.DB](), 0
	for i := range methods.NumMethod() {
		m := methods.Method(i)
		for p := range m.Type.NumIn() {
			if m.Type.In(p) != reflect.TypeFor[postgres.Actor]() {
				continue
			}
			actors++
			if _, probed := probes[m.Name]; !probed && !harmless[m.Name] {
				t.Errorf("DB.%s takes an Actor; add a probe to the isolation test", m.Name)
			}
		}
	}
	if actors != len(probes)+len(harmless) {
		t.Errorf("%d methods take an Actor; %d are probed", actors, len(probes)+len(harmless))
	}
}

// TestIsolation calls every method as everybody with ids that are not theirs.
func TestIsolation(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	mine, foreign := addHouse(t, db, "mine"), addHouse(t, db, "foreign")
	foreign.creative = must[ad.Creative](t)(db.SubmitCreative(t.Context(), postgres.System, foreign.creative.ID, 1))
	_, _, err := db.CreateToken(t.Context(), foreign.actor(ad.RoleOperator), "robot")
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range []*house{mine, foreign} {
		addDelivery(t, h)
	}
	must[ad.ExchangeRate](t)(db.SetExchangeRate(t.Context(), postgres.System, ad.ExchangeRate{Currency: "JPY", Value: 6_700}))
	before := fingerprint(t, db)

	check := func(who string, a postgres.Actor, h *house, hidden ...area) {
		t.Helper()
		for name, p := range probes {
			for _, area := range hidden {
				if area != p.area {
					continue
				}
				rows, err := p.call(t.Context(), db, a, h)
				refused := errors.Is(err, postgres.ErrNotFound) || (area == operators && errors.Is(err, postgres.ErrForbidden))
				if rows != 0 || (err != nil && !refused) || (err == nil && !isList[name]) {
					t.Errorf("%s: %s returned %d rows and %v; want nothing", who, name, rows, err)
				}
			}
		}
	}
	check("advertiser", mine.actor(ad.RoleAdvertiser), foreign, demand, supply, people, operators)
	check("publisher", mine.actor(ad.RolePublisher), foreign, demand, supply, people, operators)
	check("advertiser, its house's supply", mine.actor(ad.RoleAdvertiser), mine, supply)
	check("publisher, its house's demand", mine.actor(ad.RolePublisher), mine, demand)
	check("reviewer", mine.actor(ad.RoleReviewer), foreign, supply, people, operators)
	for who, a := range map[string]postgres.Actor{
		"nobody":                         {},
		"unknown role":                   {Role: "root"},
		"advertiser without advertiser":  {Role: ad.RoleAdvertiser, PublisherID: foreign.publisher.ID},
		"publisher without publisher":    {Role: ad.RolePublisher, AdvertiserID: foreign.advertiser.ID},
		"advertiser with a negative one": {Role: ad.RoleAdvertiser, AdvertiserID: -1},
	} {
		check(who, a, foreign, demand, supply, people, operators)
	}
	if after := fingerprint(t, db); after != before {
		t.Errorf("something was changed:\n%s\n%s", before, after)
	}
	// The probes are no proof unless they find everything for those who may see it.
	// Lists come first, before the others change what they show.
	for _, lists := range []bool{true, false} {
		for name, p := range probes {
			if isList[name] != lists {
				continue
			}
			rows, err := p.call(t.Context(), db, postgres.System, foreign)
			hidden := errors.Is(err, postgres.ErrNotFound) || errors.Is(err, postgres.ErrForbidden)
			if hidden || (lists && rows == 0 && name != "JobHealth") {
				t.Errorf("operator: %s returned %d rows and %v", name, rows, err)
			}
		}
	}
}

// isList names the methods whose answer to a foreign id is an empty list.
var isList = map[string]bool{
	"Advertisers": true, "Campaigns": true, "LineItems": true, "Creatives": true, "PendingCreatives": true,
	"Publishers": true, "Properties": true, "Placements": true, "DemandReport": true, "SupplyReport": true, "LineItemReasons": true,
	"Users": true, "Tokens": true, "JobHealth": true, "AuditLog": true,
	"ExchangeRates": true, "Corrections": true, "CorrectionParts": true, "Invoices": true, "Conversions": true,
}

func correctionOf(h *house) ad.Correction {
	hour := start.Truncate(time.Hour)
	return ad.Correction{AdvertiserID: h.advertiser.ID, From: hour, To: hour.Add(time.Hour), Why: "Robots."}
}

// correctionID is the one that addDelivery made for a house.
func correctionID(ctx context.Context, h *house) ad.ID {
	found, err := h.Corrections(ctx, postgres.System, postgres.CorrectionFilter{AdvertiserID: h.advertiser.ID})
	if err != nil || len(found) == 0 {
		return 0
	}
	return found[0].ID
}

// addDelivery gives a house one row of each report.
func addDelivery(t *testing.T, h *house) {
	t.Helper()
	hour := start.Truncate(time.Hour).Add(time.Hour)
	if err := h.MakeReportMonth(t.Context(), hour); err != nil {
		t.Fatal(err)
	}
	_, err := h.Pool.Exec(t.Context(), `
		INSERT INTO report_hour (hour, line_item_id, creative_id, placement_id, impressions, viewables, clicks,
			spend_micros, overage_micros, late_impressions, invalid, revenue_micros)
		VALUES ($1, $2, $3, $4, 10, 5, 1, 20000, 300, 2, 3, 14000)`,
		hour, h.lineItem.ID, h.creative.ID, h.placement.ID)
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.Pool.Exec(t.Context(), `
		WITH made AS (
			INSERT INTO correction (advertiser_id, from_hour, to_hour, why, impressions, credited_micros, credited_revenue_micros)
			VALUES ($1, $3::timestamptz, $3 + interval '1 hour', 'Robots.', 1, 2000, 1400) RETURNING id
		), charged AS (
			INSERT INTO ledger (batch, correction_id, line_item_id, day, charged_micros, charged_impressions)
			SELECT * FROM (SELECT 1, NULL::bigint, $2::bigint, $3::timestamptz::date, 20000, 10 UNION ALL SELECT 0, id, $2, $3::timestamptz::date, -2000, -1 FROM made) AS r
		)
		INSERT INTO conversion (advertiser_id, order_id, line_item_id, creative_id, placement_id, post_view, value_micros,
			decided_at, touched_at, converted_at, batch)
		VALUES ($1, 'order 1', $2, 1, 1, false, 5000000, $3::timestamptz, $3, $3, 1)`, h.advertiser.ID, h.lineItem.ID, hour)
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.Pool.Exec(t.Context(), `
		INSERT INTO report_reason (hour, line_item_id, reason, counted) VALUES ($1, $2, 'paced', 3)`, hour, h.lineItem.ID)
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.Pool.Exec(t.Context(), `
		INSERT INTO report_audience_hour (hour, line_item_id, country, device, invalid, impressions, clicks, spend_micros)
		VALUES ($1, $2, 'JP', 'mobile', '', 9, 1, 20000), ($1, $2, 'other', 'other', '', 1, 0, 0), ($1, $2, 'JP', 'other', 'bot', 2, 1, 0)`,
		hour, h.lineItem.ID)
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.Pool.Exec(t.Context(), `
		INSERT INTO report_supply_hour (hour, placement_id, exchange_id, no_fill, decisions, impressions, viewables, clicks, wins, late_impressions, invalid, revenue_micros)
		VALUES ($1, $2, 0, '', 12, 10, 5, 1, 0, 2, 3, 14000), ($1, $2, 0, 'no_bid', 4, 0, 0, 0, 0, 0, 0, 0), ($1, $2, 7, '', 3, 0, 0, 0, 2, 0, 0, 0)`,
		hour, h.placement.ID)
	if err != nil {
		t.Fatal(err)
	}
}

// fingerprint changes with any row of the tables that people write.
func fingerprint(t *testing.T, db *postgres.DB) (sum string) {
	t.Helper()
	err := db.Pool.QueryRow(t.Context(), `
		SELECT concat_ws(' ', (SELECT count(*) FROM audit_log), (SELECT sum(version) FROM advertiser),
			(SELECT sum(version) FROM campaign), (SELECT sum(version) FROM line_item), (SELECT sum(version) FROM creative),
			(SELECT count(*) FROM creative_revision), (SELECT sum(version) FROM publisher), (SELECT sum(version) FROM property),
			(SELECT sum(version) FROM placement), (SELECT sum(version) FROM app_user), (SELECT count(*) FROM stop),
			(SELECT count(revoked_at) FROM api_token), (SELECT sum(version) FROM exchange_rate), (SELECT sum(limit_micros) FROM account))`).Scan(&sum)
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

// What one may see but not do is refused as such.
func TestForbidden(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	f := func(role ad.Role, methods ...string) {
		t.Helper()
		for _, name := range methods {
			if _, err := probes[name].call(t.Context(), h.DB, h.actor(role), h); !errors.Is(err, postgres.ErrForbidden) {
				t.Errorf("%s: %s: %v; want ErrForbidden", role, name, err)
			}
		}
	}
	f(ad.RoleAdvertiser, "UpdateAdvertiser", "ReviewCreative")
	f(ad.RolePublisher, "UpdatePublisher", "CreateProperty")
	f(ad.RoleReviewer, "CreateCampaign", "UpdateCampaign", "CreateLineItem", "UpdateLineItem", "CreateCreative",
		"UpdateCreative", "ReviseCreative", "SubmitCreative", "UpdateAdvertiser")
	if _, _, err := h.CreateToken(t.Context(), postgres.System, "robot"); !errors.Is(err, postgres.ErrForbidden) {
		t.Errorf("token of the system: %v", err)
	}
}
