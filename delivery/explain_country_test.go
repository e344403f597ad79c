package delivery

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/rule"
	"github.com/hayate-ads/hayate/internal/snapshot"
)

func TestExplainInACountry(t *testing.T) {
	t.Parallel()
	s := newEmptyServer(t)
	snap := testSnapshot(7)
	japan := rule.Rule{Conjunctions: []rule.Conjunction{{{Dimension: rule.Country, Values: []string{"JP"}}}}}
	repack(snap, pricedItem, japan)
	s.serve(t, snap)
	f := func(query string, status int, needle string) {
		t.Helper()
		w := httptest.NewRecorder()
		r := httptest.NewRequest("POST", "/explain?line_item=31"+query, strings.NewReader(`{"placements":[{"id":"11"}]}`))
		(&explainer{server: s.server}).ServeHTTP(w, r)
		if w.Code != status || !strings.Contains(w.Body.String(), needle) {
			t.Errorf("%q: %d %s, want %d with %s", query, w.Code, w.Body, status, needle)
		}
	}
	f("", 200, `"outcome":"no_match"`)
	f("&country=DE", 200, `"got":["DE"]`)
	f("&country=JP", 200, `"outcome":"no_lease"`)
	f("&country=jp", 400, "country is an ISO 3166-1 code")
}

// repack gives a line item of a test's snapshot another targeting.
func repack(snap *snapshot.Snapshot, id ad.ID, targeting rule.Rule) {
	for i := range snap.LineItems {
		if snap.LineItems[i].ID == id {
			snap.LineItems[i].Targeting = snap.Values.Pack(targeting)
		}
	}
	snap.SortValues()
}
