package postgres_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// rollUp runs what the job 'rollup' runs.
func rollUp(t testing.TB, db *postgres.DB) {
	t.Helper()
	for _, day := range must[[]postgres.ReportDay](t)(db.ChangedDays(t.Context())) {
		if err := db.RollUp(t.Context(), day.Day); err != nil {
			t.Fatal(err)
		}
	}
	if left := must[[]postgres.ReportDay](t)(db.ChangedDays(t.Context())); len(left) > 0 {
		t.Errorf("still to be rolled up: %v", left)
	}
}

// zoned are line items of advertisers in several time zones, one of half hours,
// and one that nobody knows.
func zoned(t testing.TB, db *postgres.DB) (items []ad.ID, zones map[ad.ID]*time.Location) {
	t.Helper()
	zones = map[ad.ID]*time.Location{999_999: time.UTC}
	for _, name := range []string{"Asia/Kolkata", "Pacific/Kiritimati", "America/New_York"} {
		a := must[ad.Advertiser](t)(db.CreateAdvertiser(t.Context(), postgres.System, ad.Advertiser{Name: name, Domain: "a.example", TimeZone: name}))
		k := must[ad.Campaign](t)(db.CreateCampaign(t.Context(), postgres.System, ad.Campaign{AdvertiserID: a.ID, Name: name, StartsAt: start, EndsAt: end}))
		l := must[ad.LineItem](t)(db.CreateLineItem(t.Context(), postgres.System, sampleLineItem(k.ID)))
		zones[l.ID] = must[*time.Location](t)(time.LoadLocation(name))
		a.TimeZone = "Europe/Berlin"
		if _, err := db.UpdateAdvertiser(t.Context(), postgres.System, a); err == nil {
			t.Error("the time zone of an advertiser with line items was changed")
		}
	}
	for id := range zones {
		items = append(items, id)
	}
	return items, zones
}

type dayKey struct {
	Owner int64
	Day   string
}

// days reads the daily sums of a report.
func days(t testing.TB, db *postgres.DB, sql string) map[dayKey]int64 {
	t.Helper()
	sum := map[dayKey]int64{}
	rows := must[pgx.Rows](t)(db.Pool.Query(t.Context(), sql))
	var key dayKey
	var n int64
	must[any](t)(pgx.ForEachRow(rows, []any{&key.Owner, &key.Day, &n}, func() error {
		sum[key] = n
		return nil
	}))
	return sum
}

// Days hold what their hours hold, whatever came late and however often and
// whenever they were rolled up.
func TestDaysAgreeWithHours(t *testing.T) {
	t.Parallel()
	d := newDesk(t, postgres.ReportConfig{Cells: 20})
	items, zones := zoned(t, d.DB)
	rapid.Check(t, func(r *rapid.T) {
		if _, err := d.Pool.Exec(t.Context(), `TRUNCATE report_hour, report_audience_hour, report_supply_hour, report_status,
			report_day, report_audience_day, report_supply_day`); err != nil {
			t.Fatal(err)
		}
		want, wantAudience, wantSupply := map[dayKey]int64{}, map[dayKey]int64{}, map[dayKey]int64{}
		for range rapid.IntRange(1, 4).Draw(r, "batches") {
			s := &postgres.Settlement{
				Cells: map[postgres.CellKey]*postgres.Cell{}, Audience: map[postgres.AudienceKey]*postgres.AudienceCell{},
				Supply: map[postgres.SupplyKey]*postgres.SupplyCell{},
			}
			for range rapid.IntRange(1, 30).Draw(r, "cells") {
				hour := noon.Add(time.Duration(rapid.IntRange(-30, 30).Draw(r, "hour")) * time.Hour)
				item := rapid.SampledFrom(items).Draw(r, "line item")
				placement := ad.ID(rapid.IntRange(1, 2).Draw(r, "placement"))
				n := rapid.Int64Range(1, 100).Draw(r, "spend")
				day := dayKey{int64(item), hour.In(zones[item]).Format(time.DateOnly)}
				cell := postgres.CellKey{Hour: hour.Unix(), LineItem: item, Creative: 1, Placement: placement}
				if s.Cells[cell] == nil {
					s.Cells[cell] = new(postgres.Cell)
				}
				s.Cells[cell].Spend += money.Micros(n)
				want[day] += n
				who := postgres.AudienceKey{Hour: hour.Unix(), LineItem: item, Country: [2]byte{'A', 'A' + byte(placement)}}
				if s.Audience[who] == nil {
					s.Audience[who] = new(postgres.AudienceCell)
				}
				s.Audience[who].Clicks += n
				wantAudience[day] += n
				asked := postgres.SupplyKey{Hour: hour.Unix(), Placement: placement, NoFill: "no_match"}
				if s.Supply[asked] == nil {
					s.Supply[asked] = new(postgres.SupplyCell)
				}
				s.Supply[asked].Decisions += n
				wantSupply[dayKey{int64(placement), hour.Format(time.DateOnly)}] += n
			}
			d.write(t, s)
			for range rapid.IntRange(0, 1).Draw(r, "roll-ups") {
				rollUp(t, d.DB)
			}
		}
		rollUp(t, d.DB)
		for _, x := range []struct {
			name, sql string
			want      map[dayKey]int64
		}{
			{"first cube", "SELECT line_item_id, day::text, sum(spend_micros)::bigint FROM report_day GROUP BY 1, 2", want},
			{"second cube", "SELECT line_item_id, day::text, sum(clicks)::bigint FROM report_audience_day GROUP BY 1, 2", wantAudience},
			{"supply", "SELECT placement_id, day::text, sum(decisions)::bigint FROM report_supply_day GROUP BY 1, 2", wantSupply},
		} {
			if diff := cmp.Diff(x.want, days(t, d.DB, x.sql)); diff != "" {
				r.Fatalf("%s (-hours +days):\n%s", x.name, diff)
			}
		}
	})
}

func TestDropReportPartitions(t *testing.T) {
	t.Parallel()
	d := newDesk(t, postgres.ReportConfig{})
	d.write(t, &postgres.Settlement{Cells: map[postgres.CellKey]*postgres.Cell{cellKey(1, 1, 1): {Impressions: 1}}})
	f := func(now, before, watermark time.Time, want ...string) {
		t.Helper()
		d.Set(now)
		if _, err := d.Pool.Exec(t.Context(), "UPDATE settlement SET watermark = $1", watermark); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, must[[]string](t)(d.DropReportPartitions(t.Context(), before))); diff != "" {
			t.Errorf("at %s before %s (-want +got):\n%s", now, before, diff)
		}
	}
	over := time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)
	late := over.Add(122 * 24 * time.Hour)
	f(late, late, late) // the days do not have it
	rollUp(t, d.DB)
	f(late.Add(-time.Second), late, late) // it could still get an event
	f(late, over.Add(-time.Second), late) // it is to be kept
	f(late, late, over.Add(-time.Second)) // not settled
	f(late, over, late, "report_hour_2026_06", "report_audience_hour_2026_06", "report_supply_hour_2026_06")
	f(late, over, late)
	if got := days(t, d.DB, "SELECT line_item_id, day::text, impressions FROM report_day"); len(got) != 1 {
		t.Errorf("days left: %v", got)
	}
}
