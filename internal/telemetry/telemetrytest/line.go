package telemetrytest

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/statsd_exporter/pkg/event"
	"github.com/prometheus/statsd_exporter/pkg/line"

	"github.com/hayate-ads/hayate/internal/telemetry"
)

// A Sample is one value of one metric. Tag names have underscores where they were sent with dots, as
// Prometheus wants them.
type Sample struct {
	Name  string
	Type  string // count, gauge or distribution
	Value float64
	Tags  map[string]string
}

// libraryPrefix begins what Datadog's library sends about itself.
const libraryPrefix = "datadog.dogstatsd.client."

// everywhere are the tags that any metric may carry: the unified service tags, and where it comes from.
var everywhere = []string{"env", "service", "version", "dd_internal_entity_id", "container_id"}

// Parse reads one line of DogStatsD, and says what is wrong with it. Nothing wrong means that the whole
// line was understood.
func Parse(text string) (samples []Sample, faults []string) {
	parser := line.NewParser()
	parser.EnableDogstatsdParsing()
	var log complaints
	counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "unused"})
	errors := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "unused_errors"}, []string{"reason"})
	// The parser counts its complaints without saying which line they belong to; its log does.
	events := parser.LineToEvents(text, *errors, counter, counter, counter, slog.New(&log))
	for _, e := range events {
		samples = append(samples, Sample{Name: e.MetricName(), Type: kind(e), Value: e.Value(), Tags: e.Labels()})
	}
	if len(events) == 0 && len(log) == 0 {
		log = append(log, "no value in it")
	}
	return samples, log
}

func kind(e event.Event) string {
	switch e.(type) {
	case *event.CounterEvent:
		return "count"
	case *event.GaugeEvent:
		return "gauge"
	case *event.ObserverEvent:
		return "distribution"
	}
	return fmt.Sprintf("%T", e)
}

// breaches says how a sample differs from what the registry promises of its metric.
func (s Sample) breaches() (faults []string) {
	if strings.HasPrefix(s.Name, libraryPrefix) {
		return nil
	}
	metrics := telemetry.Metrics()
	at := slices.IndexFunc(metrics, func(m telemetry.Metric) bool { return m.Name == s.Name })
	if at < 0 {
		return []string{"not in the registry"}
	}
	if metric := metrics[at]; metric.Type != s.Type {
		faults = append(faults, fmt.Sprintf("sent as a %s, in the registry a %s", s.Type, metric.Type))
	}
	for name := range s.Tags {
		if !slices.Contains(everywhere, name) && !slices.Contains(metrics[at].Tags, name) {
			faults = append(faults, "the registry knows no tag "+name+" of it")
		}
	}
	for _, name := range metrics[at].Tags {
		if s.Tags[name] == "" {
			faults = append(faults, "without its tag "+name)
		}
	}
	if s.Tags["service"] == "" {
		faults = append(faults, "without the tag service")
	}
	return faults
}

// complaints is a log handler that keeps messages: the parser logs one for everything it does not
// understand, and nothing else.
type complaints []string

func (c *complaints) Enabled(context.Context, slog.Level) bool { return true }
func (c *complaints) WithAttrs([]slog.Attr) slog.Handler       { return c }
func (c *complaints) WithGroup(string) slog.Handler            { return c }
func (c *complaints) Handle(_ context.Context, r slog.Record) error {
	*c = append(*c, r.Message)
	return nil
}
