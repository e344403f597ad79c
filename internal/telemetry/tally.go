package telemetry

import (
	"math"
	"sync/atomic"
	"time"
)

// A Tally is a counter for the path of a request: adding is one atomic addition. The client sends
// the sum once a second.
type Tally struct {
	n    atomic.Int64
	name Counter
	tags []string
	told bool     // sent before; only the client's flush touches it
	_    [64]byte // keeps neighbours in memory from sharing a cache line
}

// Tally makes a tally that this client sends. Make each once and keep it: a client never forgets one.
func (c *Client) Tally(name Counter, tags ...string) *Tally {
	tally := &Tally{name: name, tags: tags}
	if c.sends() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.tallies = append(c.tallies, tally)
	}
	return tally
}

// Add counts n more.
func (t *Tally) Add(n int64) { t.n.Add(n) }

// flush sends the sum, the first time even when it is 0: a monitor on a metric that has never been
// seen tells nothing, and a dashboard cannot offer it.
func (t *Tally) flush(c *Client) {
	if n := t.n.Swap(0); n != 0 || !t.told {
		t.told = true
		c.Count(t.name, n, t.tags...)
	}
}

// samplesKept is how many values a second one distribution sends: enough for a 99.9th percentile.
const samplesKept = 1024

// Samples gathers a distribution on the path of a request without a lock or an allocation. It keeps
// the first values of every second, and sends with them how many there were.
type Samples struct {
	seen  atomic.Int64
	slots [samplesKept]atomic.Uint64 // float64 bits; 0 is an empty slot
	name  Distribution
	tags  []string
}

// Samples makes a distribution that this client sends. Make each once and keep it.
func (c *Client) Samples(name Distribution, tags ...string) *Samples {
	samples := &Samples{name: name, tags: tags}
	if c.sends() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.samples = append(c.samples, samples)
	}
	return samples
}

// Add adds one duration, of more than 0.
func (s *Samples) Add(d time.Duration) {
	if n := s.seen.Add(1); n <= samplesKept {
		s.slots[n-1].Store(math.Float64bits(d.Seconds()))
	}
}

// take empties the slots. A value stored while this runs is either taken now or with the next ones:
// each slot is emptied in one step.
func (s *Samples) take() (values []float64, rate float64) {
	seen := s.seen.Swap(0)
	for i := range min(seen, samplesKept) {
		if bits := s.slots[i].Swap(0); bits != 0 {
			values = append(values, math.Float64frombits(bits))
		}
	}
	if seen == 0 {
		return nil, 1
	}
	return values, min(1, float64(len(values))/float64(seen))
}

func (s *Samples) flush(c *Client) {
	if values, rate := s.take(); len(values) > 0 {
		_ = c.agent.Load().DistributionSamples(string(s.name), values, s.tags, rate)
	}
}
