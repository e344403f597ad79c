package postgres_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// deliveredHour is the hour of what addDelivery delivers.
var deliveredHour = start.Truncate(time.Hour).Add(time.Hour)

func TestDemandReport(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	h, other := addHouse(t, db, "one"), addHouse(t, db, "two")
	addDelivery(t, h)
	addDelivery(t, other)
	counts := postgres.Counts{Impressions: 10, Viewables: 5, Clicks: 1, LateImpressions: 2, Invalid: 3, Spend: 20000}
	all := counts
	all.Revenue, all.Overage = 14000, 300
	f := func(role ad.Role, filter postgres.ReportFilter, group []postgres.Dimension, want ...postgres.ReportRow) {
		t.Helper()
		filter.From, filter.To = hours.From, hours.To
		r := must[postgres.Report](t)(db.DemandReport(t.Context(), h.actor(role), postgres.ReportQuery{ReportFilter: filter, Group: group}))
		if diff := cmp.Diff(want, r.Rows, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s by %v (-want +got):\n%s", role, group, diff)
		}
		var total postgres.Counts
		for _, row := range want {
			total.Add(row.Counts)
		}
		if diff := cmp.Diff(total, r.Total); diff != "" || !r.Freshness.IsZero() {
			t.Errorf("%s by %v, fresh to %s, total (-want +got):\n%s", role, group, r.Freshness, diff)
		}
	}
	own := postgres.ReportRow{LineItem: h.lineItem.ID, Counts: all}
	foreign := postgres.ReportRow{LineItem: other.lineItem.ID, Counts: all}
	bought := postgres.ReportRow{LineItem: h.lineItem.ID, Counts: counts}
	item := []postgres.Dimension{postgres.ByLineItem}
	f(ad.RoleOperator, postgres.ReportFilter{}, item, own, foreign)
	f(ad.RoleOperator, postgres.ReportFilter{Placement: other.placement.ID}, item, foreign)
	f(ad.RoleOperator, postgres.ReportFilter{Advertiser: h.advertiser.ID, Campaign: other.campaign.ID}, item)
	f(ad.RoleAdvertiser, postgres.ReportFilter{}, item, bought)
	f(ad.RolePublisher, postgres.ReportFilter{}, item)
	f(ad.RoleReviewer, postgres.ReportFilter{}, item)
	f(ad.RoleAdvertiser, postgres.ReportFilter{}, nil, postgres.ReportRow{Counts: counts})
	// 05:00 in UTC is 14:00 of the same day in Tokyo.
	f(ad.RoleAdvertiser, postgres.ReportFilter{}, []postgres.Dimension{postgres.ByPlacement, postgres.ByDay, postgres.ByHour, postgres.ByCreative, postgres.ByExchange, postgres.ByCampaign, postgres.ByAdvertiser},
		postgres.ReportRow{
			Hour: deliveredHour, Day: deliveredHour.Truncate(24 * time.Hour), Advertiser: h.advertiser.ID, Campaign: h.campaign.ID,
			Creative: h.creative.ID, Placement: h.placement.ID, Counts: counts,
		})
	f(ad.RoleAdvertiser, postgres.ReportFilter{}, []postgres.Dimension{postgres.ByCountry, postgres.ByInvalid},
		postgres.ReportRow{Country: "JP", Counts: postgres.Counts{Impressions: 9, Clicks: 1, Spend: 20000}},
		postgres.ReportRow{Country: "JP", Invalid: "bot", Counts: postgres.Counts{Invalid: 3}},
		postgres.ReportRow{Country: "other", Counts: postgres.Counts{Impressions: 1}})
	f(ad.RoleAdvertiser, postgres.ReportFilter{}, []postgres.Dimension{postgres.ByDevice},
		postgres.ReportRow{Counts: postgres.Counts{Impressions: 1}},
		postgres.ReportRow{Device: "mobile", Counts: postgres.Counts{Impressions: 9, Clicks: 1, Spend: 20000}},
		postgres.ReportRow{Device: "other", Counts: postgres.Counts{Invalid: 3}})
}

func TestSupplyReport(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	h, other := addHouse(t, db, "one"), addHouse(t, db, "two")
	addDelivery(t, h)
	addDelivery(t, other)
	f := func(role ad.Role, placement ad.ID, group []postgres.Dimension, want ...postgres.ReportRow) {
		t.Helper()
		q := postgres.ReportQuery{ReportFilter: hours, Group: group}
		q.Placement = placement
		r := must[postgres.Report](t)(db.SupplyReport(t.Context(), h.actor(role), q))
		if diff := cmp.Diff(want, r.Rows, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s by %v (-want +got):\n%s", role, group, diff)
		}
	}
	all := postgres.Counts{
		Decisions: 19, Filled: 15, Bids: 3, Impressions: 10, Viewables: 5, Clicks: 1, Wins: 2, LateImpressions: 2, Invalid: 3, Revenue: 14000,
	}
	own, foreign := postgres.ReportRow{Placement: h.placement.ID, Counts: all}, postgres.ReportRow{Placement: other.placement.ID, Counts: all}
	by := []postgres.Dimension{postgres.ByPlacement}
	f(ad.RolePublisher, 0, by, own)
	f(ad.RoleOperator, 0, by, own, foreign)
	f(ad.RoleOperator, other.placement.ID, by, foreign)
	f(ad.RolePublisher, other.placement.ID, by)
	f(ad.RoleAdvertiser, 0, by)
	f(ad.RoleReviewer, 0, by)
	f(ad.RolePublisher, 0, []postgres.Dimension{postgres.ByNoFill, postgres.ByExchange},
		postgres.ReportRow{Counts: postgres.Counts{Decisions: 12, Filled: 12, Impressions: 10, Viewables: 5, Clicks: 1, LateImpressions: 2, Invalid: 3, Revenue: 14000}},
		postgres.ReportRow{NoFill: "no_bid", Counts: postgres.Counts{Decisions: 4}},
		postgres.ReportRow{Exchange: 7, Counts: postgres.Counts{Decisions: 3, Filled: 3, Bids: 3, Wins: 2}})
}

// A report longer than hours are good for is made from days, and says the same.
func TestReportsOfDays(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	addDelivery(t, h)
	if _, err := h.Pool.Exec(t.Context(), `
		INSERT INTO report_hour (hour, line_item_id, creative_id, placement_id, impressions) VALUES ($1, $2, 0, 0, 4)`, deliveredHour, h.lineItem.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Pool.Exec(t.Context(), `
		INSERT INTO report_status (hour, restated_at, restated) VALUES ($1, $2, 7)`, deliveredHour, end); err != nil {
		t.Fatal(err)
	}
	tokyo := must[*time.Location](t)(time.LoadLocation("Asia/Tokyo"))
	read := func(role ad.Role, days int, group ...postgres.Dimension) (postgres.Report, error) {
		return h.DemandReport(t.Context(), h.actor(role), postgres.ReportQuery{
			ReportFilter: postgres.ReportFilter{From: time.Date(2026, 1, 2, 0, 0, 0, 0, tokyo), To: time.Date(2026, 1, 2+days, 0, 0, 0, 0, tokyo)},
			Zone:         tokyo, Group: group, Series: true,
		})
	}
	if _, err := h.Pool.Exec(t.Context(), "UPDATE settlement SET watermark = $1", end); err != nil {
		t.Fatal(err)
	}
	before := must[postgres.Report](t)(read(ad.RoleOperator, 93, postgres.ByDay))
	if !before.Daily || !before.Freshness.Equal(deliveredHour) || len(before.Rows) != 0 {
		t.Errorf("before the roll-up: %+v", before)
	}
	rollUp(t, h.DB)
	long, short := must[postgres.Report](t)(read(ad.RoleOperator, 93, postgres.ByDay, postgres.ByExchange)), must[postgres.Report](t)(read(ad.RoleOperator, 92, postgres.ByDay, postgres.ByExchange))
	if !long.Daily || short.Daily {
		t.Errorf("93 days by day: %t, 92 days: %t", long.Daily, short.Daily)
	}
	short.Daily = true
	if diff := cmp.Diff(short, long); diff != "" {
		t.Errorf("(-hours +days):\n%s", diff)
	}
	if !long.Freshness.Equal(end) || long.Folded.Impressions != 4 || len(long.Rows) != 2 || long.Rows[0].Exchange != postgres.OtherExchange {
		t.Errorf("%+v", long)
	}
	want := []postgres.Restated{{Hour: deliveredHour, At: end, Events: 7}}
	if diff := cmp.Diff(want, long.Restated); diff != "" {
		t.Errorf("restated (-want +got):\n%s", diff)
	}
	if r := must[postgres.Report](t)(read(ad.RoleAdvertiser, 1)); len(r.Restated) != 1 || r.Restated[0].Events != 0 {
		t.Errorf("an advertiser sees how much came late for all: %v", r.Restated)
	}
	_, err := read(ad.RoleOperator, 93, postgres.ByHour)
	wantField(t, err, "group", ad.OutOfRange)
	_, err = read(ad.RoleOperator, 1101)
	wantField(t, err, "from", ad.OutOfRange)
	_, err = read(ad.RoleOperator, -1)
	wantField(t, err, "to", ad.Order)
	_, err = read(ad.RoleOperator, 1, postgres.ByCountry, postgres.ByCreative)
	wantField(t, err, "group", ad.Unknown)
	_, err = read(ad.RoleOperator, 1, postgres.ByNoFill)
	wantField(t, err, "group", ad.Unknown)
	_, err = read(ad.RoleOperator, 1, postgres.ByDay, postgres.ByDay)
	wantField(t, err, "group", ad.Unknown)

	// Hours that were dropped are not mistaken for hours without anything.
	if _, err := h.Pool.Exec(t.Context(), "DROP TABLE report_hour_2026_01"); err != nil {
		t.Fatal(err)
	}
	if r := must[postgres.Report](t)(read(ad.RoleOperator, 1, postgres.ByDay)); !r.Daily || r.Total.Impressions != 14 {
		t.Errorf("after the hours are gone: %+v", r)
	}
	_, err = read(ad.RoleOperator, 1, postgres.ByHour)
	wantField(t, err, "group", ad.OutOfRange)
}

// Whatever values advertisers state, reports and days come out: sums of
// conversions' values end at a bound.
func TestReportsOfHugeValues(t *testing.T) {
	t.Parallel()
	h := addHouse(t, newDB(t), "one")
	addDelivery(t, h)
	h.exec(t, "UPDATE report_hour SET conversion_value_micros = $1", int64(postgres.MaxCellValue))
	h.exec(t, `
		INSERT INTO report_hour (hour, line_item_id, creative_id, placement_id, exchange_id, conversion_value_micros)
		SELECT hour, line_item_id, n, placement_id, 1, conversion_value_micros FROM report_hour, generate_series(1, 150) AS n`)
	h.exec(t, "INSERT INTO report_status (hour) SELECT DISTINCT hour FROM report_hour")
	rollUp(t, h.DB)
	q := postgres.ReportQuery{ReportFilter: hours, Series: true, Group: []postgres.Dimension{postgres.ByLineItem}}
	r := must[postgres.Report](t)(h.DemandReport(t.Context(), h.actor(ad.RoleOperator), q))
	if len(r.Rows) != 1 || r.Rows[0].ConversionValue != postgres.MaxCellValue || r.Total.ConversionValue != postgres.MaxCellValue {
		t.Errorf("rows %+v, total %+v", r.Rows, r.Total)
	}
}
