package publish

import (
	"encoding/json"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/hayate-ads/hayate/internal/rule"
)

// BenchmarkRun100k publishes 100,000 line items with a creative each, as often as
// something has changed. "unchanged" reads it all and finds that nothing has.
func BenchmarkRun100k(b *testing.B) {
	w := newWorld(b)
	const n = 100_000
	w.fill(b, n)
	f := func(name string, before func(), want string) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				before()
				w.run(b, want)
			}
			var memory runtime.MemStats
			runtime.ReadMemStats(&memory)
			b.ReportMetric(float64(memory.Sys)/n, "process-bytes/item") // what the run took from the system at its peak
		})
	}
	f("changed", func() { w.AllowShrink = true }, fmt.Sprintf("%d line items", n+1))
	w.AllowShrink = false
	w.run(b, "line items")
	f("unchanged", func() {}, "unchanged")
}

// fill adds n line items with rules over ten thousand values.
func (w *world) fill(t testing.TB, n int) {
	t.Helper()
	ctx, now := t.Context(), time.Now()
	copyInto := func(table string, columns []string, row func(i int) []any) {
		t.Helper()
		source := pgx.CopyFromSlice(n, func(i int) ([]any, error) { return row(i), nil })
		if _, err := w.DB.Pool.CopyFrom(ctx, pgx.Identifier{table}, columns, source); err != nil {
			t.Fatal(err)
		}
	}
	first := must[int64](t)(scanInt(w, t, "SELECT max(id) + 1 FROM line_item"))
	creative := must[int64](t)(scanInt(w, t, "SELECT max(id) + 1 FROM creative"))
	copyInto("line_item", []string{"campaign_id", "name", "tier", "cpm", "starts_at", "targeting"}, func(i int) []any {
		return []any{w.campaign.ID, fmt.Sprint("line item ", i), 2 + i%2, int64(1_000_000 + i), now, targetingOf(i)}
	})
	copyInto("creative", []string{"line_item_id", "name"}, func(i int) []any { return []any{first + int64(i), "Box"} })
	copyInto("creative_revision", []string{"creative_id", "number", "format", "width", "height", "landing_url", "markup", "review"}, func(i int) []any {
		return []any{creative + int64(i), 1, "html", 300, 250, fmt.Sprint("https://brand.example/landing?item=", i), "<b>hi</b>", "approved"}
	})
	copyInto("account", []string{"level", "owner_id"}, func(i int) []any { return []any{"line_item", first + int64(i)} })
	if _, err := w.DB.Pool.Exec(ctx, "ANALYZE"); err != nil {
		t.Fatal(err)
	}
}

func scanInt(w *world, t testing.TB, sql string) (n int64, err error) {
	err = w.DB.Pool.QueryRow(t.Context(), sql).Scan(&n)
	return n, err
}

func targetingOf(i int) json.RawMessage {
	is := func(d rule.Dimension, values ...string) rule.Expr {
		return rule.Expr{Is: &rule.Predicate{Dimension: d, Values: values}}
	}
	site := is(rule.Domain, fmt.Sprintf("site%d.example", i%5000), fmt.Sprintf("site%d.example", i*7%5000+5000))
	e := rule.Expr{All: []rule.Expr{
		is(rule.Country, "JP", "US"), is(rule.DeviceType, "mobile"), {Not: &site},
		{Any: []rule.Expr{is(rule.Segment, fmt.Sprint("acme/", i%9000)), is(rule.Keyword, fmt.Sprint("k=", i%999))}},
	}}
	text, err := json.Marshal(e)
	if err != nil {
		panic(err) // expressions made above always encode
	}
	return text
}
