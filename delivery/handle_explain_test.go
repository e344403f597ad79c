package delivery

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hayate-ads/hayate/internal/ad"
)

// TestExplainPages: one line item, or a part of the rows with the winner first.
func TestExplainPages(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)
	e := &explainer{server: s.server}
	ask := func(query string) (*httptest.ResponseRecorder, explained) {
		t.Helper()
		w := httptest.NewRecorder()
		e.ServeHTTP(w, httptest.NewRequest("POST", "/explain"+query, strings.NewReader(`{"placements":[{"id":"11"}]}`)))
		var answer explained
		if err := json.Unmarshal(w.Body.Bytes(), &answer); w.Code == 200 && err != nil {
			t.Fatalf("%s: %v", w.Body, err)
		}
		return w, answer
	}
	f := func(query string, want ...ad.ID) {
		t.Helper()
		w, answer := ask(query)
		if w.Code != 200 || answer.LineItems != 3 || len(answer.Explanations) != len(want) {
			t.Fatalf("%q: %d %s", query, w.Code, w.Body)
		}
		for i, x := range answer.Explanations {
			if x.LineItem != want[i] {
				t.Errorf("%q: row %d is line item %d, want %d", query, i, x.LineItem, want[i])
			}
		}
	}
	f("", pricedItem, houseItem, keywordItem)
	f("?limit=1", pricedItem)
	f("?limit=2&offset=1", houseItem, keywordItem)
	f("?offset=3")
	f("?line_item=31", 31)
	f("?line_item=999999")
	for _, query := range []string{"?limit=0", "?limit=100001", "?offset=-1", "?line_item=x", "?limit=1e3"} {
		if w, _ := ask(query); w.Code != 400 || !strings.Contains(w.Body.String(), "is a whole number from") {
			t.Errorf("%q: %d %s", query, w.Code, w.Body)
		}
	}
}
