package settle

import (
	"errors"
	"testing"

	"github.com/oklog/ulid/v2"

	"github.com/hayate-ads/hayate/internal/postgres"
)

// A table that is rewritten while a settler is at work, as by VACUUM FULL or by
// loading a dump, asks for a new comparison, which the same session makes.
func TestRewrittenTables(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, item := w.process(), w.lineItem(1000, 500).ID
	f := must[*follower](t)(start(t.Context(), w.cfg))
	defer f.close(t.Context())
	if err := f.settler.Lock(t.Context()); err != nil {
		t.Fatal(err)
	}
	grants := func() error {
		want := postgres.Want{Lease: ulid.Make(), LineItem: item, Micros: price, Impressions: 1}
		_, err := w.db.Grant(t.Context(), s.process, []postgres.Want{want}, w.cfg.Bank)
		return err
	}
	work := func() {
		t.Helper()
		for range 2 {
			if _, err := f.work(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	work()
	if err := grants(); err != nil {
		t.Fatal(err)
	}
	if _, err := w.db.Pool.Exec(t.Context(), "VACUUM FULL settlement"); err != nil {
		t.Fatal(err)
	}
	if err := grants(); !errors.Is(err, postgres.ErrUnchecked) {
		t.Fatalf("a grant before the comparison: %v", err)
	}
	work()
	if err := grants(); err != nil {
		t.Errorf("a grant after the comparison: %v", err)
	}
}
