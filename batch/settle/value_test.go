package settle

import (
	"math"
	"strconv"
	"testing"
	"time"

	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// Anybody who clicked has a token, and may report as many orders as he likes, each
// of the largest value that is acknowledged: that stops no stream, and no figure
// turns negative.
func TestConversionValuesAreBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.process()
	r := w.token(s, w.grant(s, w.lineItem(1000, 500).ID, 10), 0)
	value := func() (sum money.Micros) {
		t.Helper()
		err := w.db.Pool.QueryRow(t.Context(), "SELECT conversion_value_micros FROM report_hour WHERE conversions > 0").Scan(&sum)
		if err != nil {
			t.Fatal(err)
		}
		return sum
	}
	order := 0
	orders := func(n int) {
		for range n {
			order++
			rec := conversion(r, strconv.Itoa(order), w.clock.Now().Truncate(time.Second), false)
			rec.Action.Value = event.MaxConversionValue
			w.log(s, rec)
		}
		w.ship(s)
		w.settle()
	}
	orders(1)
	if got := value(); got != event.MaxConversionValue {
		t.Errorf("the largest value is counted as %s", got)
	}
	n := int(math.MaxInt64/event.MaxConversionValue/100) + 1 // within a batch …
	if _, err := w.db.Pool.Exec(t.Context(), "UPDATE report_hour SET conversion_value_micros = $1", postgres.MaxCellValue-1); err != nil {
		t.Fatal(err)
	}
	orders(n)
	orders(n) // … and from one to the next
	if got := value(); got != postgres.MaxCellValue {
		t.Errorf("all values come to %s, want %s", got, postgres.MaxCellValue)
	}
	if p := must[postgres.Process](t)(w.db.FindProcess(t.Context(), s.process)); p.Stalled != "" || p.Applied != 3 {
		t.Errorf("%d segments are settled, stalled: %q", p.Applied, p.Stalled)
	}
}
