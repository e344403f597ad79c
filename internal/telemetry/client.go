package telemetry

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/DataDog/datadog-go/v5/statsd"
)

// A Client sends metrics to a Datadog agent over DogStatsD. The nil Client sends nothing and may be
// used everywhere, and so does one made where no agent is configured.
//
// Count, Gauge and Distribution cost a lock and some memory: they are for what happens a few times a
// second. The path of a request uses [Client.Tally] and [Client.Samples].
type Client struct {
	agent  atomic.Pointer[statsd.ClientDirect] // nil until the agent's name resolves
	active bool                                // an agent is configured
	dial   func() (*statsd.ClientDirect, error)

	mu      sync.Mutex
	tallies []*Tally
	samples []*Samples
	done    chan struct{}
	stopped sync.WaitGroup
}

// flushEvery is how long tallies and samples gather.
const flushEvery = time.Second

// redialEvery is how long a client waits before it looks up an agent's name again.
const redialEvery = 10 * time.Second

// NewClient connects to the agent that DD_DOGSTATSD_URL or DD_AGENT_HOST (with DD_DOGSTATSD_PORT)
// names; without either it returns a client that sends nothing. Every metric carries the tags env,
// service and version, from DD_ENV, DD_SERVICE and DD_VERSION or else the arguments, and its origin
// from DD_ENTITY_ID. An agent that is away, or whose name does not resolve yet, costs metrics and
// never keeps a service from starting; an address that can never work is an error.
func NewClient(service, version string) (*Client, error) {
	if os.Getenv("DD_DOGSTATSD_URL") == "" && os.Getenv("DD_AGENT_HOST") == "" {
		return &Client{}, nil
	}
	tags := unifiedTags(service, version)
	return newClient(func() (*statsd.ClientDirect, error) { return statsd.NewDirect("", statsd.WithTags(tags)) })
}

func newClient(dial func() (*statsd.ClientDirect, error)) (*Client, error) {
	c := &Client{active: true, dial: dial, done: make(chan struct{})}
	if err := c.connect(); err != nil {
		return nil, fmt.Errorf("metrics (DD_DOGSTATSD_URL, DD_AGENT_HOST): %w", err)
	}
	c.stopped.Go(c.flushLoop)
	return c, nil
}

// connect sets the agent unless its name does not resolve: that may change.
func (c *Client) connect() error {
	agent, err := c.dial()
	if unknown := new(net.DNSError); errors.As(err, &unknown) {
		return nil
	}
	if err != nil {
		return err
	}
	c.agent.Store(agent)
	return nil
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
	if agent := c.sender(); agent != nil {
		_ = agent.Count(string(name), n, tags, 1) // only a full queue fails, which loses metrics
	}
}

// Gauge sets a gauge.
func (c *Client) Gauge(name Gauge, value float64, tags ...string) {
	if agent := c.sender(); agent != nil {
		_ = agent.Gauge(string(name), value, tags, 1)
	}
}

// Distribution adds one value; times are in seconds.
func (c *Client) Distribution(name Distribution, value float64, tags ...string) {
	if agent := c.sender(); agent != nil {
		_ = agent.Distribution(string(name), value, tags, 1)
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
	agent := c.agent.Load()
	if agent == nil {
		return nil
	}
	if err := agent.Close(); err != nil {
		return fmt.Errorf("close metrics: %w", err)
	}
	return nil
}

func (c *Client) sends() bool { return c != nil && c.active }

func (c *Client) sender() *statsd.ClientDirect {
	if c == nil {
		return nil
	}
	return c.agent.Load()
}

func (c *Client) flushLoop() {
	ticker := time.NewTicker(flushEvery)
	defer ticker.Stop()
	dialled := time.Now()
	for {
		select {
		case now := <-ticker.C:
			if c.agent.Load() == nil && now.Sub(dialled) >= redialEvery {
				_ = c.connect() // whatever is wrong now, the next look-up may be right
				dialled = time.Now()
			}
			c.flush()
		case <-c.done:
			c.flush()
			return
		}
	}
}

// flush sends what has gathered. Without an agent it stays for the first one.
func (c *Client) flush() {
	if c.agent.Load() == nil {
		return
	}
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
