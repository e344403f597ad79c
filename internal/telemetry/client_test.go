package telemetry

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/DataDog/datadog-go/v5/statsd"
	"github.com/google/go-cmp/cmp"
)

// agent receives what a client sends, as a Datadog agent would.
type agent struct {
	conn net.PacketConn

	mu    sync.Mutex
	lines []string
}

func startAgent(t *testing.T) *agent {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	a := &agent{conn: conn}
	go func() {
		buffer := make([]byte, 1<<16)
		for {
			n, _, err := conn.ReadFrom(buffer)
			if err != nil {
				return
			}
			a.mu.Lock()
			a.lines = append(a.lines, strings.Split(strings.TrimSpace(string(buffer[:n])), "\n")...)
			a.mu.Unlock()
		}
	}()
	return a
}

// await returns the first line that begins with prefix.
func (a *agent) await(t *testing.T, prefix string) string {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		a.mu.Lock()
		for _, line := range a.lines {
			if strings.HasPrefix(line, prefix) {
				a.mu.Unlock()
				return line
			}
		}
		a.mu.Unlock()
	}
	t.Fatalf("the agent got no %s", prefix)
	return ""
}

func TestClientSendsWhatItIsTold(t *testing.T) {
	a := startAgent(t)
	t.Setenv("DD_DOGSTATSD_URL", "udp://"+a.conn.LocalAddr().String())
	t.Setenv("DD_ENV", "test")
	t.Setenv("DD_ENTITY_ID", "pod-1")
	t.Setenv("DD_SERVICE", "")
	t.Setenv("DD_VERSION", "7")
	client, err := NewClient("delivery", "6")
	if err != nil {
		t.Fatal(err)
	}
	client.Count(BankGrants, 3, "kind:a")
	client.Gauge(SnapshotAge, 1.5)
	client.Distribution(JobDuration, 0.25, "job:settle")
	client.Tally(DeliveryRejected, "class:ad") // told before it first happens
	tally := client.Tally(DeliveryRequests, "endpoint:decisions")
	for range 5 {
		tally.Add(2)
	}
	samples := client.Samples(DeliveryLatency)
	samples.Add(time.Second / 2)
	samples.Add(time.Second / 4)
	if err := client.Close(); err != nil {
		t.Fatal(err)
	}
	if err := client.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	for prefix, tags := range map[string]string{
		"hayate.bank.grants:3|c":           "kind:a",
		"hayate.snapshot.age:1.5|g":        "",
		"hayate.job.duration:0.25|d":       "job:settle",
		"hayate.delivery.requests:10|c":    "endpoint:decisions",
		"hayate.delivery.rejected:0|c":     "class:ad",
		"hayate.delivery.latency:0.5:0.25": "",
	} {
		line := a.await(t, prefix)
		for _, tag := range []string{tags, "env:test", "service:delivery", "version:7", "dd.internal.entity_id:pod-1"} {
			if !strings.Contains(line, tag) {
				t.Errorf("%q lacks the tag %q", line, tag)
			}
		}
		if strings.Count(line, "service:")+strings.Count(line, "version:") != 2 {
			t.Errorf("%q repeats a tag", line)
		}
	}
}

func TestClientWithoutAgentDoesNothing(t *testing.T) {
	t.Setenv("DD_DOGSTATSD_URL", "")
	t.Setenv("DD_AGENT_HOST", "")
	silent, err := NewClient("delivery", "")
	if err != nil {
		t.Fatal(err)
	}
	for _, client := range []*Client{nil, silent} {
		client.Count(BankGrants, 1)
		client.Gauge(SnapshotAge, 1)
		client.Distribution(JobDuration, 1)
		client.Tally(DeliveryRequests).Add(1)
		client.Samples(DeliveryLatency).Add(time.Second)
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	}
}

// In a cluster whose name service is late, or without the agent's Service, a process starts all the same.
func TestClientFindsItsAgentLater(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var written sink
		var dials atomic.Int64
		client, err := newClient(func() (*statsd.ClientDirect, error) {
			if dials.Add(1) < 3 {
				return nil, fmt.Errorf("dial: %w", &net.DNSError{Err: "no such host", Name: "agent"})
			}
			return statsd.NewDirectWithWriter(&written, statsd.WithoutTelemetry())
		})
		if err != nil {
			t.Fatal(err)
		}
		tally := client.Tally(DeliveryRequests, "endpoint:decisions")
		tally.Add(1)
		client.Gauge(SnapshotAge, 1) // lost, without harm
		time.Sleep(redialEvery + flushEvery)
		tally.Add(1)
		if n := dials.Load(); n != 2 {
			t.Errorf("%d look-ups after %s, want 2", n, redialEvery+flushEvery)
		}
		time.Sleep(2 * redialEvery)
		client.Gauge(SnapshotAge, 2)
		if err := client.Close(); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"hayate.delivery.requests:2|c", "hayate.snapshot.age:2|g"} {
			if !strings.Contains(written.String(), want) {
				t.Errorf("the agent got %q, without %s", written.String(), want)
			}
		}
	})
}

// sink is where a client writes in a test without sockets.
type sink struct{ strings.Builder }

func (s *sink) Close() error { return nil }

func TestClientRefusesABadAddress(t *testing.T) {
	t.Setenv("DD_DOGSTATSD_URL", "gopher://here")
	if _, err := NewClient("delivery", ""); err == nil || !strings.Contains(err.Error(), "DD_DOGSTATSD_URL") {
		t.Errorf("error %v; want one that names DD_DOGSTATSD_URL", err)
	}
}

func TestSamplesTellHowManyTheyLeftOut(t *testing.T) {
	t.Parallel()
	samples := new(Samples)
	for range 4 * samplesKept {
		samples.Add(time.Second)
	}
	values, rate := samples.take()
	if len(values) != samplesKept || rate != 0.25 {
		t.Errorf("took %d values at rate %v; want %d at 0.25", len(values), rate, samplesKept)
	}
	if values, rate := samples.take(); values != nil || rate != 1 {
		t.Errorf("took %d values at rate %v from an empty one", len(values), rate)
	}
}

// Many goroutines add while one takes: nothing counted may be lost, nothing taken twice.
func TestSamplesUnderConcurrency(t *testing.T) {
	t.Parallel()
	samples := new(Samples)
	var adders sync.WaitGroup
	for range 4 {
		adders.Go(func() {
			for range samplesKept / 8 {
				samples.Add(time.Millisecond)
			}
		})
	}
	total := 0
	for range 10 {
		values, _ := samples.take()
		total += len(values)
	}
	adders.Wait()
	values, _ := samples.take()
	if total += len(values); total > samplesKept/2 {
		t.Errorf("took %d values of %d", total, samplesKept/2)
	}
}

func TestHotPathAllocatesNothing(t *testing.T) {
	client := &Client{}
	tally, samples := client.Tally(DeliveryRequests), client.Samples(DeliveryLatency)
	if n := testing.AllocsPerRun(1000, func() { tally.Add(1); samples.Add(time.Millisecond) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Every constant in names.go must be described, once, under its own kind.
func TestEveryMetricIsDescribed(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "names.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]string{"Counter": "count", "Gauge": "gauge", "Distribution": "distribution"}
	var declared, described []string
	ast.Inspect(file, func(node ast.Node) bool {
		if spec, ok := node.(*ast.ValueSpec); ok {
			name, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			declared = append(declared, name+" "+kinds[fmt.Sprint(spec.Type)])
		}
		return true
	})
	for _, metric := range Metrics() {
		described = append(described, metric.Name+" "+metric.Type)
		if metric.Description == "" || !strings.HasPrefix(metric.Name, "hayate.") {
			t.Errorf("%+v lacks a description or the prefix", metric)
		}
	}
	if len(declared) == 0 {
		t.Error("names.go declares nothing")
	}
	if diff := cmp.Diff(declared, described); diff != "" {
		t.Errorf("constants (-) and descriptions (+) differ:\n%s", diff)
	}
}
