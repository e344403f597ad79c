package delivery

import (
	"time"

	"github.com/hayate-ads/hayate/delivery/auction"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/telemetry"
)

// metrics are what requests count: one atomic addition each.
type metrics struct {
	requests [endpoints][6]*telemetry.Tally // by hundreds of the status
	latency  [endpoints]*telemetry.Samples
	fills    [ad.House + 1]*telemetry.Tally
	noFills  map[auction.Reason]*telemetry.Tally
	rejects  map[string]*telemetry.Tally
	landings map[event.Type]*telemetry.Tally
	late     map[event.Type]*telemetry.Tally
}

// rejectClasses are the codes of what is refused before it is looked at, and
// what was wrong with the rest.
var rejectClasses = []string{
	"http_version", "malformed_request", "too_many_headers", "headers_too_large", "body_too_large", "timeout",
	"unsupported_encoding", "bad_decisions", "bad_ad", "bad_token", "bad_progress", "bad_conversion", "not_ready", "asset_unavailable", "unknown_category",
}

// landingNames are the kinds of landings as metrics name them.
var landingNames = map[event.Type]string{
	event.Impression: "impression", event.Viewable: "viewable", event.Click: "click", event.Progress: "progress",
	event.Conversion: "conversion",
}

func newMetrics(c *telemetry.Client) *metrics {
	m := &metrics{
		noFills: make(map[auction.Reason]*telemetry.Tally), rejects: make(map[string]*telemetry.Tally),
		landings: make(map[event.Type]*telemetry.Tally), late: make(map[event.Type]*telemetry.Tally),
	}
	statuses := [...]string{"other", "1xx", "2xx", "3xx", "4xx", "5xx"}
	for at, name := range endpointNames {
		for i, status := range statuses {
			m.requests[at][i] = c.Tally(telemetry.DeliveryRequests, "endpoint:"+name, "status:"+status)
		}
		m.latency[at] = c.Samples(telemetry.DeliveryLatency, "endpoint:"+name)
	}
	for tier, name := range [...]string{"none", "sponsorship", "guaranteed", "auction", "house"} {
		m.fills[tier] = c.Tally(telemetry.DeliveryFills, "tier:"+name)
	}
	for _, reason := range append(outcomes[1:], auction.UnknownPlacement) {
		m.noFills[reason] = c.Tally(telemetry.DeliveryNoFills, "reason:"+string(reason))
	}
	for _, class := range rejectClasses {
		m.rejects[class] = c.Tally(telemetry.DeliveryRejected, "class:"+class)
	}
	for kind, name := range landingNames {
		m.landings[kind] = c.Tally(telemetry.DeliveryLandings, "type:"+name)
		m.late[kind] = c.Tally(telemetry.DeliveryLate, "type:"+name)
	}
	return m
}

func (m *metrics) answered(at endpoint, status int, took time.Duration) {
	class := status / 100
	if class < 1 || class > 5 {
		class = 0
	}
	m.requests[at][class].Add(1)
	m.latency[at].Add(max(took, 1))
}

func (m *metrics) decided(d *auction.Decision) {
	if d.NoFill != auction.Filled {
		if t := m.noFills[d.NoFill]; t != nil {
			t.Add(1)
		}
		return
	}
	if tier := d.LineItem.Tier; int(tier) < len(m.fills) {
		m.fills[tier].Add(1)
	}
}

func (m *metrics) rejected(class string) {
	if t := m.rejects[class]; t != nil {
		t.Add(1)
	}
}

func (m *metrics) landed(r *event.Record) {
	m.landings[r.Type].Add(1)
	if r.Landing.Late {
		m.late[r.Type].Add(1)
	}
}
