package admin

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hayate-ads/hayate/internal/ad"
)

// documented is who has use for which page: o(perator), r(eviewer),
// a(dvertiser), p(ublisher). It stands here a second time on purpose: a route
// that is new, or opens to somebody else, has to be written down twice.
var documented = map[string]string{
	"GET /{$}": "orap", "GET /report": "oa", "GET /report.csv": "oa", "GET /supply": "op", "GET /supply.csv": "op",
	"GET /reviews": "or", "GET /reviews/{id}": "or", "POST /reviews/{id}": "or",
	"GET /users": "o", "GET /users/new": "o", "POST /users": "o", "GET /users/{id}": "o", "GET /users/{id}/edit": "o", "POST /users/{id}": "o", "POST /users/{id}/status": "o",
	"GET /exchange-rates": "o", "POST /exchange-rates": "o",
	"GET /jobs":        "o",
	"GET /corrections": "o", "GET /corrections/new": "o", "POST /corrections/preview": "o", "POST /corrections": "o", "GET /corrections/{id}": "o",
	"GET /invoices": "oa", "GET /invoices/{id}/{month}": "oa", "GET /invoices/{id}/{month}/csv": "oa", "GET /advertisers/{id}/conversions": "oa",
	"GET /account": "orap", "POST /account/password": "orap", "POST /account/tokens": "orap", "POST /account/tokens/{id}/revoke": "orap",
	"GET /advertisers": "ora", "GET /advertisers/new": "o", "POST /advertisers": "o", "GET /advertisers/{id}": "ora", "GET /advertisers/{id}/edit": "o",
	"POST /advertisers/{id}": "o", "POST /advertisers/{id}/status": "o",
	"GET /advertisers/{id}/campaigns/new": "oa", "POST /advertisers/{id}/campaigns": "oa",
	"GET /campaigns/{id}": "ora", "GET /campaigns/{id}/edit": "oa", "POST /campaigns/{id}": "oa", "POST /campaigns/{id}/status": "oa",
	"GET /campaigns/{id}/line-items/new": "oa", "POST /campaigns/{id}/line-items": "oa",
	"GET /line-items/{id}": "ora", "GET /line-items/{id}/edit": "oa", "POST /line-items/{id}": "oa", "POST /line-items/{id}/status": "oa", "POST /targeting/check": "oa",
	"GET /line-items/{id}/why": "oa", "POST /line-items/{id}/why": "oa",
	"GET /line-items/{id}/creatives/new": "oa", "POST /line-items/{id}/creatives": "oa",
	"GET /creatives/{id}": "ora", "GET /creatives/{id}/edit": "oa", "POST /creatives/{id}": "oa", "POST /creatives/{id}/status": "oa", "POST /creatives/{id}/submit": "oa",
	"GET /creatives/{id}/revisions/{number}/frame": "ora", "GET /creatives/{id}/revisions/{number}/image": "ora", "GET /creatives/{id}/revisions/{number}/landing": "ora",
	"GET /publishers": "op", "GET /publishers/new": "o", "POST /publishers": "o", "GET /publishers/{id}": "op", "GET /publishers/{id}/edit": "o",
	"POST /publishers/{id}": "o", "POST /publishers/{id}/status": "o", "GET /publishers/{id}/properties/new": "o", "POST /publishers/{id}/properties": "o",
	"GET /properties/{id}": "op", "GET /properties/{id}/edit": "op", "POST /properties/{id}": "op", "POST /properties/{id}/status": "op",
	"GET /properties/{id}/placements/new": "op", "POST /properties/{id}/placements": "op",
	"GET /placements/{id}": "op", "GET /placements/{id}/edit": "op", "POST /placements/{id}": "op", "POST /placements/{id}/status": "op",
	"GET /sign-in": "everybody", "POST /sign-in": "everybody", "POST /sign-out": "everybody", "POST /language": "everybody",
}

var roleLetters = map[ad.Role]string{ad.RoleOperator: "o", ad.RoleReviewer: "r", ad.RoleAdvertiser: "a", ad.RolePublisher: "p"}

func TestEveryRouteIsDocumented(t *testing.T) {
	t.Parallel()
	c := &console{}
	var registered []string
	for _, r := range slices.Concat(c.strangers(), c.pages()) {
		registered = append(registered, r.pattern)
		if documented[r.pattern] == "" {
			t.Errorf("%s is not documented: say who may use it", r.pattern)
		}
	}
	for pattern := range documented {
		if !slices.Contains(registered, pattern) {
			t.Errorf("%s is documented and does not exist", pattern)
		}
	}
}

// Invariant 17: nobody reads or changes what belongs to somebody else. Every page
// is asked for by every role, with an id of its own and with a foreign one.
func TestPagesByRoleAndOwner(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	before := ""
	for _, role := range []ad.Role{ad.RoleAdvertiser, ad.RolePublisher, ad.RoleReviewer, ad.RoleOperator} {
		client := h.as(role)
		before = h.rows()
		for _, route := range h.console.pages() {
			method, path, _ := strings.Cut(route.pattern, " ")
			allowed := strings.Contains(documented[route.pattern], roleLetters[role])
			foreign := ask(client, method, fill(path, h.foreign))
			single := role == ad.RoleAdvertiser || role == ad.RolePublisher
			switch {
			case !allowed && foreign.status != http.StatusForbidden:
				t.Errorf("%s: %s = %d, want 403", role, route.pattern, foreign.status)
			case allowed && strings.Contains(path, "{id}") && (single || strings.HasPrefix(path, "/account")) && foreign.status != http.StatusNotFound:
				// An operator sees everybody's tokens, to revoke a leaked one.
				if role == ad.RoleOperator && strings.HasPrefix(path, "/account") {
					continue
				}
				t.Errorf("%s: %s with a foreign id = %d, want 404", role, route.pattern, foreign.status)
			case foreign.status >= 500:
				t.Errorf("%s: %s = %d", role, route.pattern, foreign.status)
			}
			if single {
				foreign.lacks(t, "FOREIGN")
				if method == http.MethodGet && allowed {
					own := ask(client, method, fill(path, h.own)).lacks(t, "FOREIGN")
					if own.status >= 400 && !strings.HasSuffix(path, "/image") {
						t.Errorf("%s: %s with an own id = %d", role, route.pattern, own.status)
					}
				}
			}
		}
		if role != ad.RoleOperator && role != ad.RoleReviewer && h.rows() != before {
			t.Errorf("%s changed something that is not theirs", role)
		}
	}
}

func ask(c *client, method, path string) result {
	if method == http.MethodGet {
		return c.get(path)
	}
	// A form that would do harm if it went through; no status, so that nothing ends.
	return c.post(path, url.Values{"name": {"stolen"}, "version": {"1"}, "verdict": {"approve"}, "revision": {"1"}})
}

// fill puts a thing's ids into a route's path.
func fill(path string, x things) string {
	noun, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	path = strings.ReplaceAll(path, "{id}", x.path(noun))
	return strings.NewReplacer("{number}", "1", "{month}", invoiceMonth, "{$}", "").Replace(path)
}

func TestStrangersAreSentToSignIn(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	stranger := h.stranger()
	for _, route := range h.console.pages() {
		method, path, _ := strings.Cut(route.pattern, " ")
		got := ask(stranger, method, fill(path, h.own)).want(t, http.StatusSeeOther)
		if !strings.HasPrefix(got.header.Get("Location"), "/sign-in") {
			t.Errorf("%s sends a stranger to %q", route.pattern, got.header.Get("Location"))
		}
	}
	stranger.get("/no-such-page").want(t, http.StatusNotFound)
}

func TestReportsOfOthers(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.reportMonths(t, time.Now())
	for _, x := range []things{h.own, h.foreign} {
		_, err := h.db.Pool.Exec(t.Context(), `
			INSERT INTO report_hour (hour, line_item_id, creative_id, placement_id, impressions, clicks, spend_micros, revenue_micros)
			VALUES (date_trunc('hour', now()), $1, $2, $3, 7654321, 7, 1234567890, 987654321)`, x.lineItem.ID, x.creative.ID, x.placement.ID)
		must(t, 0, err)
		_, err = h.db.Pool.Exec(t.Context(), `
			INSERT INTO report_audience_hour (hour, line_item_id, country, device, impressions)
			VALUES (date_trunc('hour', now()), $1, 'JP', 'tablet', 7654321)`, x.lineItem.ID)
		must(t, 0, err)
		_, err = h.db.Pool.Exec(t.Context(), `
			INSERT INTO report_supply_hour (hour, placement_id, no_fill, impressions, revenue_micros)
			VALUES (date_trunc('hour', now()), $1, '', 7654321, 987654321)`, x.placement.ID)
		must(t, 0, err)
	}
	id := func(noun string) string { return h.foreign.path(noun) }
	for _, path := range []string{"/report", "/report.csv", "/api/v1/report"} {
		for _, query := range []string{"line_item_id=" + id("line-items"), "campaign_id=" + id("campaigns"), "advertiser_id=" + id("advertisers")} {
			h.as(ad.RoleAdvertiser).get(path+"?"+query).want(t, http.StatusNotFound).lacks(t, "FOREIGN", "7654321", "7,654,321")
		}
		h.as(ad.RoleAdvertiser).get(path+"?placement_id="+id("placements")).lacks(t, "FOREIGN", "7654321")
		for _, group := range []string{"day,campaign,line_item,creative,placement,exchange", "country,device,invalid", "none"} {
			h.as(ad.RoleAdvertiser).get(path+"?group="+group).want(t, 200).lacks(t, "FOREIGN", "15308642", "15,308,642", "Own placement")
		}
	}
	h.as(ad.RoleAdvertiser).get("/report").want(t, 200).has(t, "Own line item", "7,654,321", "1234.56789").lacks(t, "FOREIGN", "15,308,642")
	for _, path := range []string{"/supply", "/supply.csv", "/api/v1/supply"} {
		h.as(ad.RolePublisher).get(path+"?publisher_id="+id("publishers")).want(t, http.StatusNotFound).lacks(t, "FOREIGN", "7654321", "7,654,321")
		h.as(ad.RolePublisher).get(path+"?placement_id="+id("placements")).want(t, http.StatusNotFound).lacks(t, "FOREIGN", "7654321", "7,654,321")
	}
	for _, group := range []string{"hour,placement,exchange,no_fill", "none"} {
		h.as(ad.RolePublisher).get("/supply?group="+group).want(t, 200).has(t, "7,654,321").lacks(t, "FOREIGN", "15,308,642", "1234.56789")
	}
	h.as(ad.RolePublisher).get("/supply").want(t, 200).has(t, "Own placement", "7,654,321", "987.654321").lacks(t, "FOREIGN", "1234.56789")
	h.as(ad.RoleOperator).get("/report").want(t, 200).has(t, "FOREIGN line item", "15,308,642")
	h.as(ad.RoleOperator).get("/supply?publisher_id="+id("publishers")).want(t, 200).has(t, "FOREIGN placement", "7,654,321")
}
