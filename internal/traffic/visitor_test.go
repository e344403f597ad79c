package traffic

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A visitor goes as far as the shares say, and buys only where the landing page
// was called with a token.
func TestVisit(t *testing.T) {
	t.Parallel()
	f := func(landing string, shares [4]float64, want Outcome, calls ...string) {
		t.Helper()
		var got []string
		var server *httptest.Server
		server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			got = append(got, r.URL.Path)
			switch r.URL.Path {
			case "/v1/decisions":
				fmt.Fprintf(w, `{"decisions":[{"click":"%s/t/c/1","impressions":["%[1]s/t/i/1"],"viewables":["%[1]s/t/v/1"]}]}`, server.URL)
			case "/t/v/1":
				w.WriteHeader(http.StatusNoContent)
			case "/t/c/1":
				w.Header().Set("Location", landing)
				w.WriteHeader(http.StatusFound)
			case "/t/x/abc":
				if q := r.URL.Query(); len(q.Get("order")) != 16 || len(q.Get("value")) != 5 {
					t.Errorf("reports %s", r.URL.RawQuery)
				}
			}
		}))
		defer server.Close()
		v := Visitors{DeliveryURL: server.URL, Placements: []string{"1"}, SeenShare: shares[0], ClickShare: shares[1], BuyShare: shares[2], ViewShare: shares[3], Client: NewClient(1)}
		outcome, err := v.Visit(t.Context())
		if err != nil || outcome != want {
			t.Errorf("%s %v: %+v, %v", landing, shares, outcome, err)
		}
		if diff := cmp.Diff(calls, got); diff != "" {
			t.Errorf("%s %v: (-want +got) %s", landing, shares, diff)
		}
	}
	const shop = "https://shop.example/?hy="
	all := [4]float64{1, 1, 1, 0}
	f(shop+"abc", all, Outcome{true, true, true, true}, "/v1/decisions", "/t/i/1", "/t/c/1", "/t/x/abc")
	f(shop, all, Outcome{true, true, true, false}, "/v1/decisions", "/t/i/1", "/t/c/1")
	f(shop+"abc", [4]float64{1, 1, 0, 0}, Outcome{true, true, true, false}, "/v1/decisions", "/t/i/1", "/t/c/1")
	f(shop+"abc", [4]float64{1, 0, 1, 1}, Outcome{true, true, false, false}, "/v1/decisions", "/t/i/1", "/t/v/1")
	f(shop+"abc", [4]float64{0, 1, 1, 1}, Outcome{true, false, false, false}, "/v1/decisions")
}
