package admin

import (
	"testing"
	"time"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/money"
)

// reportMonths makes room for what a test reports.
func (h *house) reportMonths(t *testing.T, hours ...time.Time) {
	t.Helper()
	for _, hour := range hours {
		must(t, 0, h.db.MakeReportMonth(t.Context(), hour))
	}
}

func TestSupplyReport(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.reportMonths(t, time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC))
	exec := func(sql string, args ...any) {
		t.Helper()
		_, err := h.db.Pool.Exec(t.Context(), sql, args...)
		must(t, 0, err)
	}
	decided := func(hour string, placement ad.ID, noFill string, n int) {
		t.Helper()
		exec("INSERT INTO report_supply_hour (hour, placement_id, no_fill, decisions) VALUES ($1, $2, $3, $4)", hour, placement, noFill, n)
	}
	own := h.own.placement.ID
	exec(`INSERT INTO report_supply_hour (hour, placement_id, exchange_id, no_fill, decisions, impressions, clicks, wins, revenue_micros)
		VALUES ('2026-04-01 03:00Z', $1, 0, '', 1600, 1500, 3, 0, 700000), ('2026-04-01 02:00Z', $1, 0, '', 0, 1, 0, 0, 0)`, own)
	decided("2026-04-01 03:00Z", own, "no_lease", 300)
	decided("2026-04-01 03:00Z", own, "below_floor", 60)
	decided("2026-04-01 04:00Z", own, "no_match", 40) // an hour without an event
	decided("2026-04-01 03:00Z", h.foreign.placement.ID, "excluded", 7_654_321)

	const dates = "?from=2026-04-01&to=2026-04-01"
	for role, query := range map[ad.Role]string{ad.RolePublisher: dates, ad.RoleOperator: dates + "&publisher_id=" + h.own.path("publishers")} {
		h.as(role).get("/supply"+query).want(t, 200).
			has(t, "2,000", "80.00 % filled", "Why there was no ad", "Bids were below the floor price", "below_floor", "15.00 %", "3.00 %", "2026-04-01").
			lacks(t, "FOREIGN placement", "7,654,321", "excluded")
		h.as(role).get("/supply"+query+"&group=exchange&group=no_fill&figures=decisions,win_rate").want(t, 200).
			has(t, "Own inventory", "There was an ad", "No line item targets the visitor", "Win rate").lacks(t, "7,654,321")
		h.program(role).get("/api/v1/supply"+query).want(t, 200).
			has(t, `"decisions":2000,"filled":1600,"fill_rate":"0.80","no_fill":{"below_floor":60,"no_lease":300,"no_match":40}`,
				`"hour":"2026-04-01T04:00:00Z","placement_id":`+h.own.path("placements")+`,"impressions":0,`, `"no_fill":{"no_match":40}`,
				`"hour":"2026-04-01T02:00:00Z"`).
			lacks(t, "7654321", "excluded")
		h.program(role).get("/api/v1/supply"+query+"&group=day,no_fill").want(t, 200).
			has(t, `"day":"2026-04-01","no_fill_reason":"below_floor","impressions":0,`, `"no_fill_reason":"","impressions":1501,`)
		h.program(role).get("/supply.csv"+query+"&figures=decisions,filled,fill_rate,impressions,clicks,ctr,revenue,ecpm").want(t, 200).
			has(t, "hour,placement_id,placement,decisions,filled,fill_rate,impressions,clicks,ctr,revenue,ecpm,settled_to,restated_at\r\n2026-04-01T02:00:00Z,",
				",Own placement,1960,1600,0.816327,1500,3,0.002,0.70,0.47,,\r\n", ",Own placement,40,0,0.00,0,0,,0.00,,,\r\n")
		h.as(role).get("/supply"+query+"&group=country").want(t, 422)
	}
	h.as(ad.RolePublisher).get("/supply").want(t, 200).has(t, "Nothing was delivered in this time").lacks(t, "Why there was no ad")
}

func TestAPIExposure(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	item := h.fullLineItem()
	_, err := h.db.Pool.Exec(t.Context(), "UPDATE account SET settled_micros = $2, leased_micros = $3 WHERE owner_id = $1 AND level = 'line_item' AND day IS NULL",
		item.ID, int64(30*money.Unit), int64(20*money.Unit))
	must(t, 0, err)
	path := "/api/v1" + lineItemPath(item.ID)
	p := h.program(ad.RoleAdvertiser)
	p.get(path+"/exposure").want(t, 200).has(t, `"lifetime":{"wanted":"100.00","limit":"100.00","settled":"30.00","leased":"20.00"}`,
		`"today":{"wanted":"10.00","limit":"10.00","settled":"0.00","leased":"0.00"}`, `"day":"20`)
	h.program(ad.RoleOperator).call("PUT", path, `{"version":1,"lifetime_budget":"40"}`).want(t, 200)
	p.get(path+"/exposure").want(t, 200).has(t, `"wanted":"40.00","limit":"50.00"`)
	p.get("/api/v1/line-items/"+h.foreign.path("line-items")+"/exposure").want(t, 404)
}
