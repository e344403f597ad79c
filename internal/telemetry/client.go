package telemetry

import (
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/DataDog/datadog-go/v5/statsd"
)

// A Client sends metrics to a Datadog agent over DogStatsD. The nil Client sends nothing and may be
// used everywhere, and so does one made where no agent is configured.
//
// Count, Gauge and Distribution cost a lock and some memory: they are for what happens a few times a
// second. The path of a request uses [Client.Tally] and [Client.Samples].
type Client struct {
	agent *statsd.ClientDirect

	mu      sync.Mutex
	tallies []*Tally
	samples []*Samples
	done    chan struct{}
	stopped sync.WaitGroup
}

// flushEvery is how long tallies and samples gather.
const flushEvery = time.Second

// NewClient connects to the agent that DD_DOGSTATSD_URL or DD_AGENT_HOST (with DD_DOGSTATSD_PORT)
// names; without either it returns a client that sends nothing. Every metric carries the tags env,
// service and version, from DD_ENV, DD_SERVICE and DD_VERSION or else the arguments, and its origin
// from DD_ENTITY_ID. An agent that is away costs metrics, never an error after this.
func NewClient(service, version string) (*Client, error) {
	if os.Getenv("DD_DOGSTATSD_URL") == "" && os.Getenv("DD_AGENT_HOST") == "" {
		return &Client{}, nil
	}
	agent, err := statsd.NewDirect("", statsd.WithTags(unifiedTags(service, version)))
	if err != nil {
		return nil, fmt.Errorf("metrics (DD_DOGSTATSD_URL, DD_AGENT_HOST): %w", err)
	}
	return newClient(agent), nil
}

func newClient(agent *statsd.ClientDirect) *Client {
	c := &Client{agent: agent, done: make(chan struct{})}
	c.stopped.Go(c.flushLoop)
	return c
}

// unifiedTags are those that the library does not take from the environment itself.
func unifiedTags(service, version string) []string {
	var tags []string
	for _, tag := range [][3]string{{"DD_SERVICE", "service", service}, {"DD_VERSION", "version", version}} {
		if os.Getenv(tag[0]) == "" && tag[2] != "" {
			tags = append(tags, tag[1]+":"+tag[2])
		}
	}
	return tags
}

// Count adds n to a counter. Tags are "name:value".
func (c *Client) Count(name Counter, n int64, tags ...string) {
	if c.sends() {
		_ = c.agent.Count(string(name), n, tags, 1) // only a full queue fails, which loses metrics
	}
}

// Gauge sets a gauge.
func (c *Client) Gauge(name Gauge, value float64, tags ...string) {
	if c.sends() {
		_ = c.agent.Gauge(string(name), value, tags, 1)
	}
}

// Distribution adds one value; times are in seconds.
func (c *Client) Distribution(name Distribution, value float64, tags ...string) {
	if c.sends() {
		_ = c.agent.Distribution(string(name), value, tags, 1)
	}
}

// Close sends what has gathered and ends the connection. A second Close does nothing.
func (c *Client) Close() error {
	if !c.sends() {
		return nil
	}
	c.mu.Lock()
	select {
	case <-c.done:
		c.mu.Unlock()
		return nil
	default:
		close(c.done)
	}
	c.mu.Unlock()
	c.stopped.Wait()
	if err := c.agent.Close(); err != nil {
		return fmt.Errorf("close metrics: %w", err)
	}
	return nil
}

func (c *Client) sends() bool { return c != nil && c.agent != nil }

func (c *Client) flushLoop() {
	ticker := time.NewTicker(flushEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			c.flush()
		case <-c.done:
			c.flush()
			return
		}
	}
}

func (c *Client) flush() {
	c.mu.Lock()
	tallies, samples := c.tallies, c.samples
	c.mu.Unlock()
	for _, tally := range tallies {
		tally.flush(c)
	}
	for _, sample := range samples {
		sample.flush(c)
	}
}
