// Package admin is the console: pages for people and a REST API for programs,
// over the same nouns.
//
// A noun has one file here, under the name it has in packages ad and postgres. It
// holds the noun's input (the fields that people and programs send, as text), the
// one function that parses and stores it, its pages and its API operations. Who
// may see and do what is decided by package postgres; routes.go only keeps whole
// pages from roles that have no use for them.
package admin

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/hayate-ads/hayate/admin/auth"
)

// Config says how the console runs. The zero value of a duration is its default.
type Config struct {
	Listen      string `default:"127.0.0.1:8090" env:"LISTEN" help:"Address to listen on, host:port."`
	DatabaseURL string `env:"DATABASE_URL" help:"Postgres, as postgres://user:password@host/database."`
	BucketURL   string `env:"BUCKET_URL" help:"Bucket of the images: file:///path, s3://name, gs://name or azblob://name."`
	PublicURL   string `env:"PUBLIC_URL" help:"Where people reach the console; by default http:// and the address listened on."`
	AssetURL    string `env:"ASSET_URL" help:"Where delivery serves the bucket's assets, for previews; without it the console serves them itself."`
	// DeliveryURL is what publishers paste into their pages.
	DeliveryURL    string   `env:"DELIVERY_URL" default:"http://127.0.0.1:8080" help:"Public address of delivery, for the tags that publishers paste and the pixels and postbacks of advertisers."`
	DeliveryOpsURL string   `env:"DELIVERY_OPS_URL" help:"Delivery's ops port, for /explain."`
	TrustedProxies []string `env:"TRUSTED_PROXIES" help:"Networks (CIDR) whose X-Forwarded-For is believed."`

	SessionIdle     time.Duration `default:"30m" env:"SESSION_IDLE" help:"A session without requests ends after this."`
	SessionLifetime time.Duration `default:"12h" env:"SESSION_LIFETIME" help:"Every session ends after this."`
	CookieSecure    bool          `env:"COOKIE_SECURE" help:"The session cookie travels over HTTPS only, under the name __Host-session."`
	ParallelHashes  int           `default:"2" env:"PARALLEL_HASHES" help:"Password hashes computed at once; each takes 19 MB."`
	RequestTimeout  time.Duration `default:"15s" env:"REQUEST_TIMEOUT" help:"A request is given up after this."`
	ShutdownTimeout time.Duration `default:"5s" env:"SHUTDOWN_TIMEOUT" help:"What requests under way get to finish when the console stops."`

	// Version is told to the metrics; the build sets it.
	Version string `kong:"-"`
	// Ready is called once with the bound address when the console listens.
	Ready func(addr string) `kong:"-"`
}

// withDefaults fills what an embedding process left out.
func (c Config) withDefaults() Config {
	set := func(d *time.Duration, value time.Duration) {
		if *d == 0 {
			*d = value
		}
	}
	set(&c.SessionIdle, 30*time.Minute)
	set(&c.SessionLifetime, 12*time.Hour)
	set(&c.RequestTimeout, 15*time.Second)
	set(&c.ShutdownTimeout, 5*time.Second)
	if c.ParallelHashes == 0 {
		c.ParallelHashes = 2
	}
	if c.Listen == "" {
		c.Listen = "127.0.0.1:8090"
	}
	if c.DeliveryURL == "" {
		c.DeliveryURL = "http://127.0.0.1:8080"
	}
	c.AssetURL = strings.TrimSuffix(c.AssetURL, "/")
	c.DeliveryURL = strings.TrimSuffix(c.DeliveryURL, "/")
	c.PublicURL = strings.TrimSuffix(c.PublicURL, "/")
	return c
}

// validate reports every mistake, one line each, named by environment variable.
func (c Config) validate() error {
	var mistakes []error
	mistake := func(format string, args ...any) { mistakes = append(mistakes, fmt.Errorf(format, args...)) }
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		mistake("LISTEN: %q is not host:port, such as 127.0.0.1:8090", c.Listen)
	}
	for _, required := range []struct{ name, value string }{{"DATABASE_URL", c.DatabaseURL}, {"BUCKET_URL", c.BucketURL}} {
		if required.value == "" {
			mistake("%s is not set", required.name)
		}
	}
	for _, base := range []struct{ name, value string }{
		{"PUBLIC_URL", c.PublicURL}, {"ASSET_URL", c.AssetURL}, {"DELIVERY_URL", c.DeliveryURL}, {"DELIVERY_OPS_URL", c.DeliveryOpsURL},
	} {
		if u, err := url.Parse(base.value); base.value != "" && (err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "") {
			mistake("%s: %q is not an http or https address", base.name, base.value)
		}
	}
	if c.CookieSecure && strings.HasPrefix(c.PublicURL, "http://") {
		mistake("COOKIE_SECURE needs an https PUBLIC_URL, not %s", c.PublicURL)
	}
	if _, err := auth.ParseProxies(c.TrustedProxies); err != nil {
		mistake("TRUSTED_PROXIES: %w", err)
	}
	if c.ParallelHashes < 1 || c.ParallelHashes > 256 {
		mistake("PARALLEL_HASHES: %d is not between 1 and 256", c.ParallelHashes)
	}
	return errors.Join(append(mistakes, c.durations()...)...)
}

func (c Config) durations() (mistakes []error) {
	for _, d := range []struct {
		name     string
		value    time.Duration
		min, max time.Duration
	}{
		{"SESSION_IDLE", c.SessionIdle, time.Second, 30 * 24 * time.Hour},
		{"SESSION_LIFETIME", c.SessionLifetime, time.Second, 365 * 24 * time.Hour},
		{"REQUEST_TIMEOUT", c.RequestTimeout, 100 * time.Millisecond, 10 * time.Minute},
		{"SHUTDOWN_TIMEOUT", c.ShutdownTimeout, 100 * time.Millisecond, 10 * time.Minute},
	} {
		if d.value < d.min || d.value > d.max {
			mistakes = append(mistakes, fmt.Errorf("%s: %s is not between %s and %s", d.name, d.value, d.min, d.max))
		}
	}
	return mistakes
}
