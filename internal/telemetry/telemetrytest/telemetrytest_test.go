package telemetrytest

import (
	"flag"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hayate-ads/hayate/internal/telemetry"
)

var update = flag.Bool("update", false, "write datadog/metadata.csv anew")

const assets = "../../../datadog"

// The whole registry, sent as the services send it over a real socket, is understood by the parser.
func TestRegistryOverASocket(t *testing.T) {
	for _, setting := range []string{"DD_SERVICE", "DD_VERSION", "DD_AGENT_HOST"} {
		t.Setenv(setting, "")
	}
	t.Setenv("DD_ENV", "test")
	t.Setenv("DD_ENTITY_ID", "3f4f1d0e-pod")
	agent := Start(t)
	t.Setenv("DD_DOGSTATSD_URL", agent.URL())
	client, err := telemetry.NewClient("delivery", "v1.2.3-4-gabcdef")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, metric := range telemetry.Metrics() {
		send(client, metric)
		names = append(names, metric.Name)
	}
	if err := client.Close(); err != nil {
		t.Fatal(err)
	}
	agent.Await(t, 10*time.Second, names...)
	agent.Verify(t)
	latencies := agent.Samples(string(telemetry.DeliveryLatency))
	if len(latencies) < 3 {
		t.Fatalf("%d values of the latency; want 3 that went by Samples or Distribution", len(latencies))
	}
	for _, sample := range latencies {
		if sample.Tags["env"] != "test" || sample.Tags["version"] != "v1.2.3-4-gabcdef" || sample.Tags["dd_internal_entity_id"] != "3f4f1d0e-pod" {
			t.Errorf("tags %v", sample.Tags)
		}
	}
}

// send sends a metric by each way that the client has for its type.
func send(client *telemetry.Client, metric telemetry.Metric) {
	var tags []string
	for _, name := range metric.Tags {
		tags = append(tags, name+":some_value")
	}
	switch metric.Type {
	case "count":
		client.Count(telemetry.Counter(metric.Name), 3, tags...)
		client.Tally(telemetry.Counter(metric.Name), tags...).Add(1)
	case "gauge":
		client.Gauge(telemetry.Gauge(metric.Name), 0.5, tags...)
	case "distribution":
		client.Distribution(telemetry.Distribution(metric.Name), 1e-7, tags...)
		samples := client.Samples(telemetry.Distribution(metric.Name), tags...)
		samples.Add(time.Second)
		samples.Add(time.Nanosecond)
	}
}

func TestParseAndVerify(t *testing.T) {
	t.Parallel()
	f := func(line string, want ...string) {
		t.Helper()
		agent := &Agent{names: make(map[string]bool)}
		agent.note(line)
		if len(agent.faults) != len(want) {
			t.Errorf("%q: %q, want %d faults", line, agent.faults, len(want))
			return
		}
		for i, part := range want {
			if !strings.Contains(agent.faults[i], part) {
				t.Errorf("%q: %q, want %q", line, agent.faults[i], part)
			}
		}
	}
	f("hayate.bank.grants:1|c|#service:delivery")
	f("hayate.delivery.latency:0.5:0.25|d|@0.5|#service:delivery,endpoint:ad|c:in-1234")
	f("datadog.dogstatsd.client.metrics:1|c|#anything:goes")
	f("", "no value")
	f("hayate.bank.grants", "bad line")
	f("hayate.bank.grants:1|x|#service:delivery", "Error building event")
	f("hayate.bank.grants:one|c|#service:delivery", "bad value")
	f("hayate.bank.grants:1|c|#service:", "Malformed name tag", "without the tag service")
	f("hayate.bank.grants:1|c|%7", "Invalid sampling factor")
	f("hayate.bank.grants:1|g|#service:delivery", "sent as a gauge")
	f("hayate.bank.grants:1|c|#service:delivery,user:7", "no tag user")
	f("hayate.bank.grants:1|c", "without the tag service")
	f("hayate.bank.refusals:1|c|#service:delivery", "without its tag reason")
	f("hayate.bank.guesses:1|c|#service:delivery", "not in the registry")
}

func TestAssetsUseTheRegistry(t *testing.T) {
	t.Parallel()
	var known []string
	for _, metric := range telemetry.Metrics() {
		known = append(known, metric.Name)
	}
	used := Used(t, assets)
	for _, name := range used {
		if !slices.Contains(known, name) {
			t.Errorf("a dashboard or monitor asks for %s, which no program sends", name)
		}
	}
	if len(used) < 10 {
		t.Errorf("dashboards and monitors speak of %q only", used)
	}
}

func TestMetadata(t *testing.T) {
	t.Parallel()
	const file = assets + "/metadata.csv"
	if *update {
		if err := os.WriteFile(file, Metadata(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(have), string(Metadata())); diff != "" {
		t.Errorf("the registry has changed; run: %s\n%s", "go test ./internal/telemetry/telemetrytest -update", diff)
	}
}

// The units are words that Datadog knows; others it refuses.
func TestUnits(t *testing.T) {
	t.Parallel()
	known := []string{"", "byte", "event", "file", "request", "second"}
	for _, metric := range telemetry.Metrics() {
		if !slices.Contains(known, metric.Unit) {
			t.Errorf("%s: unit %q", metric.Name, metric.Unit)
		}
	}
}
