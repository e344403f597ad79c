// Package telemetrytest stands in for a Datadog agent: it receives what services send over UDP, reads
// every line with a parser that is not ours (Prometheus's statsd_exporter), and holds it against the
// registry of metric names.
package telemetrytest

import (
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// An Agent is a UDP socket on the loopback address that takes DogStatsD. It is safe for concurrent use.
type Agent struct {
	conn net.PacketConn

	mu      sync.Mutex
	samples []Sample
	names   map[string]bool
	lines   int
	faults  []string
}

// keptSamples bounds the memory of a long test; names and faults go on being noted beyond it.
const keptSamples = 100_000

// Start opens an agent that lives as long as the test.
func Start(t testing.TB) *Agent {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a := &Agent{conn: conn, names: make(map[string]bool)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		a.receive()
	}()
	t.Cleanup(func() {
		_ = conn.Close() // which ends receive
		<-done
	})
	return a
}

// URL is what a service finds the agent by, in DD_DOGSTATSD_URL.
func (a *Agent) URL() string { return "udp://" + a.conn.LocalAddr().String() }

func (a *Agent) receive() {
	packet := make([]byte, 1<<16) // no UDP datagram is longer
	for {
		n, _, err := a.conn.ReadFrom(packet)
		if err != nil {
			return
		}
		for line := range strings.SplitSeq(strings.TrimSuffix(string(packet[:n]), "\n"), "\n") {
			a.note(line)
		}
	}
}

func (a *Agent) note(line string) {
	samples, faults := Parse(line)
	for _, sample := range samples {
		faults = append(faults, sample.breaches()...)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.lines++
	for _, fault := range slices.Compact(faults) {
		a.faults = append(a.faults, fault+": "+line)
	}
	for _, sample := range samples {
		a.names[sample.Name] = true
		if len(a.samples) < keptSamples {
			a.samples = append(a.samples, sample)
		}
	}
}

// Lines is how many lines have arrived.
func (a *Agent) Lines() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.lines
}

// Names lists the metrics seen so far, sorted, without those that Datadog's library sends about itself.
func (a *Agent) Names() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	names := slices.Sorted(maps.Keys(a.names))
	return slices.DeleteFunc(names, func(name string) bool { return strings.HasPrefix(name, libraryPrefix) })
}

// Samples returns the values of one metric in the order in which they came.
func (a *Agent) Samples(name string) []Sample {
	a.mu.Lock()
	defer a.mu.Unlock()
	var found []Sample
	for _, sample := range a.samples {
		if sample.Name == name {
			found = append(found, sample)
		}
	}
	return found
}

// Await waits until every one of the metrics has been seen and fails with the list of those that have
// not within the time given.
func (a *Agent) Await(t testing.TB, patience time.Duration, names ...string) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		seen := a.Names()
		missing := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return slices.Contains(seen, name) })
		if len(missing) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %s the agent had %d lines, but none of %s", patience, a.Lines(), strings.Join(missing, ", "))
		}
	}
}

// Verify fails the test with every line so far that the parser refused or the registry does not know,
// and when there was none at all.
func (a *Agent) Verify(t testing.TB) {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.lines == 0 {
		t.Error("the agent got nothing")
	}
	for i, fault := range a.faults {
		if i == 20 {
			t.Errorf("and %d more", len(a.faults)-i)
			return
		}
		t.Error(fault)
	}
}
