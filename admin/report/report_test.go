package report

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/postgres"
)

func TestParseRange(t *testing.T) {
	t.Parallel()
	tokyo, _ := time.LoadLocation("Asia/Tokyo")
	kolkata, _ := time.LoadLocation("Asia/Kolkata")
	now := time.Date(2026, 4, 10, 15, 30, 0, 0, time.UTC) // the 11th in Tokyo
	f := func(from, to string, zone *time.Location, want string) {
		t.Helper()
		r, err := ParseRange(from, to, zone, now)
		got := "error"
		if err == nil {
			got = r.From.Format(time.RFC3339) + " " + r.To.Format(time.RFC3339)
		}
		if got != want {
			t.Errorf("ParseRange(%q, %q) = %s, want %s", from, to, got, want)
		}
	}
	f("2026-04-01", "2026-04-02", tokyo, "2026-03-31T15:00:00Z 2026-04-02T15:00:00Z")
	f("", "", tokyo, "2026-04-04T15:00:00Z 2026-04-11T15:00:00Z")
	f("2026-04-01", "2026-04-01", kolkata, "2026-03-31T19:00:00Z 2026-04-01T19:00:00Z")
	f("2026-04-01T00:00:00Z", "2026-04-01T05:00:00Z", tokyo, "2026-04-01T00:00:00Z 2026-04-01T05:00:00Z")
	f("1.4.2026", "", tokyo, "error")
	f("10000-01-01", "", tokyo, "error")
	f("2026-02-30", "", tokyo, "error")
}

func row(hour time.Time, impressions, clicks int64, spend money.Micros) postgres.ReportRow {
	return postgres.ReportRow{Hour: hour, LineItem: 1, Counts: postgres.Counts{Impressions: impressions, Clicks: clicks, Spend: spend}}
}

func TestSeriesHasNoGapsAndNoFuture(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)
	rows := []postgres.ReportRow{row(start, 10, 1, 5), row(start.Add(2*time.Hour), 20, 2, 6), row(start.Add(2*time.Hour), 1, 0, 1)}
	points := Series(rows, Range{From: start, To: start.Add(24 * time.Hour), Zone: time.UTC}, false, start.Add(3*time.Hour+time.Minute))
	var got []int64
	for _, p := range points {
		got = append(got, p.Impressions)
	}
	if diff := cmp.Diff([]int64{10, 0, 21, 0}, got); diff != "" {
		t.Error(diff)
	}
	tokyo, _ := time.LoadLocation("Asia/Tokyo")
	days := []postgres.ReportRow{{Day: start, Counts: postgres.Counts{Clicks: 7}}, {Day: start.AddDate(0, 0, 2), Counts: postgres.Counts{Clicks: 9}}}
	from := time.Date(2026, 4, 1, 0, 0, 0, 0, tokyo)
	points = Series(days, Range{From: from, To: from.AddDate(0, 0, 3), Zone: tokyo}, true, from.AddDate(0, 0, 30))
	if len(points) != 3 || points[0].Clicks != 7 || points[1].Clicks != 0 || points[2].Clicks != 9 {
		t.Errorf("by day: %+v", points)
	}
}

func TestRates(t *testing.T) {
	t.Parallel()
	f := func(got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	f(CTR(postgres.Counts{}), "–")
	f(CTR(postgres.Counts{Impressions: 3, Clicks: 1}), "33.33 %")
	f(CTR(postgres.Counts{Impressions: 200_000, Clicks: 1}), "0.00 %")
	f(CTR(postgres.Counts{Impressions: 20_000, Clicks: 1}), "0.01 %")
	f(CTR(postgres.Counts{Impressions: 1, Clicks: 1}), "100.00 %")
	f(ECPM(0, 0), "–")
	f(ECPM(2_500_000, 1000), "2.50")
	f(ECPM(10, 3), "0.00")
	f(ECPM(5_000, 1000), "0.01")
	f(Rate(5_000, 1000), "0.01")
	f(Rate(0, 0), "")
	f(Ratio(1, 81), "0.012346")
	f(Ratio(1, 1), "1.00")
	f(Ratio(0, 7), "0.00")
	f(Ratio(3, 0), "")
	f(Percent(842, 1000), "84.20 %")
	f(Percent(0, 0), "–")
}

func TestFigures(t *testing.T) {
	t.Parallel()
	c := postgres.Counts{
		Decisions: 2000, Filled: 1000, Bids: 40, Wins: 10, Impressions: 800, Viewables: 400, Clicks: 8, Conversions: 1, ViewConversions: 3,
		ConversionValue: 9_990_000, Spend: 2_000_000, Credited: 500_000, Revenue: 1_400_000, CreditedRevenue: 350_000, Invalid: 5,
	}
	f := func(figures []Figure, name, text, value, none string) {
		t.Helper()
		for _, figure := range figures {
			if figure.Name != name {
				continue
			}
			if figure.Text(c) != text || figure.Value(c) != value || figure.Value(postgres.Counts{}) != none {
				t.Errorf("%s: %q, %q, %q", name, figure.Text(c), figure.Value(c), figure.Value(postgres.Counts{}))
			}
			return
		}
		t.Errorf("no figure %s", name)
	}
	f(DemandFigures, "viewable_rate", "50.00 %", "0.50", "")
	f(DemandFigures, "conversions", "4", "4", "0")
	f(DemandFigures, "conversion_rate", "50.00 %", "0.50", "")
	f(DemandFigures, "conversion_value", "9.99", "9.99", "0.00")
	f(DemandFigures, "net_spend", "1.50", "1.50", "0.00")
	f(DemandFigures, "ecpm", "2.50", "2.50", "")
	f(DemandFigures, "cpa", "0.50", "0.50", "")
	f(SupplyFigures, "decisions", "2,000", "2000", "0")
	f(SupplyFigures, "fill_rate", "50.00 %", "0.50", "")
	f(SupplyFigures, "win_rate", "25.00 %", "0.25", "")
	f(SupplyFigures, "net_revenue", "1.05", "1.05", "0.00")
	f(SupplyFigures, "ecpm", "1.75", "1.75", "")
}

// Hostile input 63: cells that spreadsheets would run.
func TestHostile63Formulas(t *testing.T) {
	t.Parallel()
	f := func(cell, want string) {
		t.Helper()
		if got := Guard(cell); got != want {
			t.Errorf("Guard(%q) = %q, want %q", cell, got, want)
		}
	}
	f("=cmd|'/C calc'!A0", "'=cmd|'/C calc'!A0")
	f("+1+1", "'+1+1")
	f("-1+1", "'-1+1")
	f("-1.50", "-1.50")
	f("@SUM(A1)", "'@SUM(A1)")
	f("\t=1", "'\t=1")
	f("  =1", "'  =1")
	f("＝1", "'＝1")
	f("Spring", "Spring")
	f("12.50", "12.50")
	f("", "")
	var out strings.Builder
	err := WriteCSV(&out, []string{"name"}, func(yield func([]string) bool) { yield([]string{"=HYPERLINK(\"x\")\n,"}) })
	if want := "name\r\n\"'=HYPERLINK(\"\"x\"\")\r\n,\"\r\n"; err != nil || out.String() != want {
		t.Errorf("CSV = %q, %v; want %q", out.String(), err, want)
	}
}
