package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/postgres"
	"github.com/hayate-ads/hayate/internal/postgres/postgrestest"
)

// noon is the hour that these tests report on.
var noon = time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC)

// desk is a settler that writes reports and nothing else.
type desk struct {
	*postgres.DB
	*postgrestest.Clock
	settler *postgres.Settler
}

func newDesk(t testing.TB, bounds postgres.ReportConfig) *desk {
	t.Helper()
	db := newDB(t)
	d := &desk{DB: db, Clock: postgrestest.NewClock(t, db.Pool, noon.Add(30*time.Minute))}
	d.settler = must[*postgres.Settler](t)(db.Settler(t.Context()))
	t.Cleanup(func() { _ = d.settler.Close(context.Background()) })
	if err := d.settler.Lock(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.settler.Reports = bounds
	if err := d.settler.EnsurePartitions(t.Context(), []int64{noon.Unix()}); err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *desk) write(t testing.TB, s *postgres.Settlement) {
	t.Helper()
	if err := d.settler.InTx(t.Context(), func(tx *postgres.SettleTx) error { return tx.Write(t.Context(), s) }); err != nil {
		t.Fatal(err)
	}
}

func (d *desk) cells(t testing.TB) map[postgres.CellKey]postgres.StoredCell {
	t.Helper()
	return must[map[postgres.CellKey]postgres.StoredCell](t)(d.Queries().HourCells(t.Context(), noon.AddDate(0, -4, 0), noon.AddDate(0, 1, 0)))
}

// status is a row of report_status.
type status struct {
	Cells, Audience, Folded, Restated int64
	RestatedAt                        *time.Time
}

func (d *desk) status(t testing.TB, hour time.Time) status {
	t.Helper()
	rows := must[pgx.Rows](t)(d.Pool.Query(t.Context(), `
		SELECT cells, audience_cells, folded, restated, restated_at FROM report_status WHERE hour = $1`, hour))
	return must[status](t)(pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[status]))
}

func cellKey(lineItem, creative, placement int) postgres.CellKey {
	return postgres.CellKey{Hour: noon.Unix(), LineItem: ad.ID(lineItem), Creative: ad.ID(creative), Placement: ad.ID(placement)}
}

// fullCell has another number in every figure.
func fullCell(seed int64) *postgres.Cell {
	return &postgres.Cell{
		Impressions: seed + 1, Viewables: seed + 2, Clicks: seed + 3, Wins: seed + 4, Conversions: seed + 5, ViewConversions: seed + 6,
		Video: [event.Complete + 1]int64{seed + 7, seed + 8, seed + 9, seed + 10, seed + 11}, Late: seed + 12, Invalid: seed + 13,
		ConversionValue: money.Micros(seed + 14), Spend: money.Micros(seed + 15), Overage: money.Micros(seed + 16), Revenue: money.Micros(seed + 17),
	}
}

func TestReportsAddUp(t *testing.T) {
	t.Parallel()
	d := newDesk(t, postgres.ReportConfig{})
	one, other := cellKey(1, 2, 3), cellKey(1, 2, 4)
	person := postgres.AudienceKey{Hour: noon.Unix(), LineItem: 1, Country: [2]byte{'J', 'P'}, Device: event.Mobile}
	robot := postgres.AudienceKey{Hour: noon.Unix(), LineItem: 1, Invalid: event.InvalidBot}
	garbled := postgres.AudienceKey{Hour: noon.Unix(), LineItem: 1, Country: [2]byte{'j', 0}, Invalid: event.InvalidBot}
	filled := postgres.SupplyKey{Hour: noon.Unix(), Placement: 3}
	d.write(t, &postgres.Settlement{
		Cells:    map[postgres.CellKey]*postgres.Cell{one: fullCell(0), other: fullCell(100)},
		Audience: map[postgres.AudienceKey]*postgres.AudienceCell{person: {Impressions: 1, Viewables: 2, Clicks: 3, Conversions: 4, Spend: 5}, robot: {Clicks: 7}, garbled: {Clicks: 3}},
		Supply:   map[postgres.SupplyKey]*postgres.SupplyCell{filled: {Decisions: 1, Impressions: 2, Viewables: 3, Clicks: 4, Wins: 5, Late: 6, Invalid: 7, Revenue: 8}},
	})
	d.write(t, &postgres.Settlement{
		Cells:    map[postgres.CellKey]*postgres.Cell{one: fullCell(1000), cellKey(2, 2, 3): fullCell(0)},
		Audience: map[postgres.AudienceKey]*postgres.AudienceCell{person: {Impressions: 10}},
		Supply:   map[postgres.SupplyKey]*postgres.SupplyCell{filled: {Decisions: 10, Revenue: 1}},
	})
	sum := fullCell(0)
	sum.Add(fullCell(1000))
	want := map[postgres.CellKey]postgres.StoredCell{one: {Cell: *sum}, other: {Cell: *fullCell(100)}, cellKey(2, 2, 3): {Cell: *fullCell(0)}}
	if diff := cmp.Diff(want, d.cells(t)); diff != "" {
		t.Errorf("first cube (-want +got):\n%s", diff)
	}
	audience := must[map[postgres.AudienceKey]postgres.AudienceCell](t)(d.Queries().HourAudience(t.Context(), noon, noon.Add(time.Hour)))
	wantAudience := map[postgres.AudienceKey]postgres.AudienceCell{person: {Impressions: 11, Viewables: 2, Clicks: 3, Conversions: 4, Spend: 5}, robot: {Clicks: 10}}
	if diff := cmp.Diff(wantAudience, audience); diff != "" {
		t.Errorf("second cube (-want +got):\n%s", diff)
	}
	supply := must[map[postgres.SupplyKey]postgres.StoredSupply](t)(d.Queries().HourSupply(t.Context(), noon, noon.Add(time.Hour)))
	wantSupply := map[postgres.SupplyKey]postgres.StoredSupply{filled: {SupplyCell: postgres.SupplyCell{Decisions: 11, Impressions: 2, Viewables: 3, Clicks: 4, Wins: 5, Late: 6, Invalid: 7, Revenue: 9}}}
	if diff := cmp.Diff(wantSupply, supply); diff != "" {
		t.Errorf("supply (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(status{Cells: 3, Audience: 2}, d.status(t, noon)); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
}

// What is beyond the bound folds, and nothing is lost or counted twice by it: for
// every line item the sums are those of an unbounded report.
func TestReportsFold(t *testing.T) {
	t.Parallel()
	const bound, lineItems = 4, 3
	d := newDesk(t, postgres.ReportConfig{Cells: bound})
	rapid.Check(t, func(r *rapid.T) {
		if _, err := d.Pool.Exec(t.Context(), "TRUNCATE report_hour, report_audience_hour, report_status"); err != nil {
			t.Fatal(err)
		}
		want, seen, audienceWant := map[ad.ID]int64{}, map[postgres.CellKey]bool{}, map[postgres.AudienceKey]int64{}
		for range rapid.IntRange(1, 4).Draw(r, "batches") {
			s := &postgres.Settlement{Cells: map[postgres.CellKey]*postgres.Cell{}, Audience: map[postgres.AudienceKey]*postgres.AudienceCell{}}
			for range rapid.IntRange(1, 8).Draw(r, "cells") {
				key := cellKey(rapid.IntRange(1, lineItems).Draw(r, "line item"), rapid.IntRange(1, 3).Draw(r, "creative"), 1)
				n := rapid.Int64Range(1, 9).Draw(r, "n")
				if s.Cells[key] == nil {
					s.Cells[key] = new(postgres.Cell)
				}
				s.Cells[key].Impressions += n
				want[key.LineItem] += n
				seen[key] = true
				who := postgres.AudienceKey{Hour: key.Hour, LineItem: key.LineItem, Country: [2]byte{'A', 'A' + byte(key.Creative)}, Invalid: event.Invalid(n % 2)}
				s.Audience[who] = &postgres.AudienceCell{Clicks: n}
				audienceWant[postgres.AudienceKey{LineItem: key.LineItem, Invalid: who.Invalid}] += 0
			}
			for who, cell := range s.Audience {
				audienceWant[postgres.AudienceKey{LineItem: who.LineItem, Invalid: who.Invalid}] += cell.Clicks
			}
			d.write(t, s)
		}
		got, rows, own, folded := map[ad.ID]int64{}, int64(0), 0, int64(0)
		for key, cell := range d.cells(t) {
			got[key.LineItem] += cell.Impressions
			rows++
			if key.Creative == 0 {
				folded += cell.Impressions
			} else {
				own++
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			r.Fatalf("impressions by line item (-want +got):\n%s", diff)
		}
		audience, audienceRows := map[postgres.AudienceKey]int64{}, int64(0)
		for key, cell := range must[map[postgres.AudienceKey]postgres.AudienceCell](t)(d.Queries().HourAudience(t.Context(), noon, noon.Add(time.Hour))) {
			audience[postgres.AudienceKey{LineItem: key.LineItem, Invalid: key.Invalid}] += cell.Clicks
			audienceRows++
			if key.Folded() {
				folded += cell.Clicks
			}
		}
		if diff := cmp.Diff(audienceWant, audience); diff != "" {
			r.Fatalf("clicks by line item and reason (-want +got):\n%s", diff)
		}
		if own > bound || len(seen) <= bound && own != len(seen) {
			r.Fatalf("%d of %d cells have a row of their own", own, len(seen))
		}
		if diff := cmp.Diff(status{Cells: rows, Audience: audienceRows, Folded: folded}, d.status(t, noon)); diff != "" {
			r.Fatalf("status (-want +got):\n%s", diff)
		}
	})
}

func TestLateHoursAreRestated(t *testing.T) {
	t.Parallel()
	d := newDesk(t, postgres.ReportConfig{CompleteAfter: time.Minute})
	some := func() *postgres.Settlement {
		return &postgres.Settlement{
			Cells:  map[postgres.CellKey]*postgres.Cell{cellKey(1, 1, 1): {Impressions: 2, Clicks: 1}},
			Supply: map[postgres.SupplyKey]*postgres.SupplyCell{{Hour: noon.Unix(), Placement: 1}: {Decisions: 4}},
		}
	}
	f := func(watermark time.Time, want status) {
		t.Helper()
		d.Set(watermark.Add(time.Second))
		if _, err := d.Pool.Exec(t.Context(), "UPDATE settlement SET watermark = $1", watermark); err != nil {
			t.Fatal(err)
		}
		d.write(t, some())
		if diff := cmp.Diff(want, d.status(t, noon)); diff != "" {
			t.Errorf("watermark %s (-want +got):\n%s", watermark, diff)
		}
	}
	f(noon.Add(30*time.Minute), status{Cells: 1})
	f(noon.Add(time.Hour+59*time.Second), status{Cells: 1})
	late := noon.Add(time.Hour + time.Minute + time.Second)
	f(noon.Add(time.Hour+time.Minute), status{Cells: 1, Restated: 7, RestatedAt: &late})
}

func TestPartitions(t *testing.T) {
	t.Parallel()
	d := newDesk(t, postgres.ReportConfig{})
	months := func() (names []string) {
		rows := must[pgx.Rows](t)(d.Pool.Query(t.Context(), "SELECT relid::text FROM pg_partition_tree('report_hour') WHERE isleaf ORDER BY 1"))
		return must[[]string](t)(pgx.CollectRows(rows, pgx.RowTo[string]))
	}
	f := func(hour time.Time, wantErr error, want ...string) {
		t.Helper()
		if err := d.settler.EnsurePartitions(t.Context(), []int64{noon.Unix(), hour.Unix()}); !errors.Is(err, wantErr) {
			t.Errorf("EnsurePartitions(%s) = %v, want %v", hour, err, wantErr)
		}
		if diff := cmp.Diff(want, months()); diff != "" {
			t.Errorf("partitions after %s (-want +got):\n%s", hour, diff)
		}
	}
	f(noon, nil, "report_hour_2026_06")
	f(time.Unix(0, 0), postgres.ErrHour, "report_hour_2026_06")
	f(noon.AddDate(1, 0, 0), postgres.ErrHour, "report_hour_2026_06")
	f(noon.AddDate(0, -1, 0), nil, "report_hour_2026_05", "report_hour_2026_06")
	f(noon.AddDate(0, -1, 0), nil, "report_hour_2026_05", "report_hour_2026_06")
	d.Set(time.Date(2026, 6, 30, 23, 0, 0, 0, time.UTC))
	f(time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC), nil, "report_hour_2026_05", "report_hour_2026_06", "report_hour_2026_07")
}

// BenchmarkWriteReports adds 5,000 cells to the same hour, as settle does with
// every batch of a busy one.
func BenchmarkWriteReports(b *testing.B) {
	for _, n := range []int{5_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			d := newDesk(b, postgres.ReportConfig{Cells: 200_000})
			cells := map[postgres.CellKey]*postgres.Cell{}
			for i := range n {
				cells[cellKey(1+i%1000, 1+i%7, 1+i/1000)] = fullCell(int64(i))
			}
			d.write(b, &postgres.Settlement{Cells: cells})
			for b.Loop() {
				d.write(b, &postgres.Settlement{Cells: cells})
			}
		})
	}
}
