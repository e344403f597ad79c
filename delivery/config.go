package delivery

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/hayate-ads/hayate/delivery/visitor"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// Config is how a delivery process is set up. Each field is an environment
// variable; a zero field means its default, which serves one machine.
type Config struct {
	Listen      string `env:"LISTEN" default:"127.0.0.1:8080" help:"Address of the public port: decisions, tracking, the tag."`
	OpsListen   string `env:"OPS_LISTEN" default:"127.0.0.1:8081" help:"Address of the ops port: health, version, explain, pprof. Never expose it."`
	DatabaseURL string `env:"DATABASE_URL" help:"Postgres with the bank. It may be away: what is leased already is served."`
	BucketURL   string `env:"BUCKET_URL" help:"Bucket of snapshots, events and assets: file:///var/lib/hayate/bucket, s3://name?region=..., azblob://name, gs://name."`
	StateDir    string `env:"STATE_DIR" default:"var/delivery" help:"Folder of the event log (log) and the snapshot cache (snapshots). One process at a time."`
	PublicURL   string `env:"PUBLIC_URL" help:"How browsers reach the public port; tracking URLs begin with it. Default: http://LISTEN."`
	AssetURL    string `env:"ASSET_URL" help:"How browsers reach images, a CDN for instance. Default: PUBLIC_URL/assets."`
	TokenKeys   string `env:"TOKEN_KEYS" help:"File of the keys that sign tracking tokens: lines of '<id> <64 hex digits>', the first signs, at most two."`

	GeoIPFile         string `env:"GEOIP_FILE" help:"MaxMind DB file of cities or countries; without it no place is known."`
	GeoASNFile        string `env:"GEOASN_FILE" help:"MaxMind DB file of autonomous systems; without it no ASN is known."`
	GeoConnectionFile string `env:"GEOCONNECTION_FILE" help:"MaxMind DB file of connection types, or of ISPs with mobile network codes."`
	TCFVendor         uint16 `env:"TCF_VENDOR" default:"0" help:"Your id on the IAB's Global Vendor List, for which consent is then needed; 0: none, you work on the publishers' behalf."`
	ConsentUnknown    bool   `env:"CONSENT_WHERE_UNKNOWN" help:"Whether visitors of unknown country have to consent, as in Europe, before segments are used."`

	TrustedProxies []netip.Prefix `env:"TRUSTED_PROXIES" help:"Networks (CIDR, comma between) of proxies whose X-Forwarded-For is believed."`

	Concurrency  int           `env:"CONCURRENCY" default:"16384" help:"Connections served at once; more are refused with 503."`
	Drain        time.Duration `env:"DRAIN" default:"0s" help:"How long to go on accepting after the signal to stop, while balancers notice. 10s in clusters."`
	RefreshEvery time.Duration `env:"REFRESH_EVERY" default:"2s" help:"How often to look for a newer snapshot."`
	Hold         time.Duration `env:"HOLD" default:"60s" help:"How long after a decision its impression is still charged. Whole seconds."`
	RotateEvery  time.Duration `env:"ROTATE_EVERY" default:"2s" help:"Age at which a segment of the event log is sealed and shipped."`

	LogBytes int64 `env:"LOG_BYTES" default:"0" help:"Events that may wait for the bucket, in bytes; beyond them tracking answers 503. Where STATE_DIR is a volume with a limit: three quarters of it. 0: what the disk takes."`

	Bank BankConfig `embed:"" prefix:"bank-" envprefix:"BANK_"`

	// Version is what /version answers; the build sets it.
	Version string `kong:"-"`
	// Ready, when set, is called once with the bound addresses of the public
	// and the ops port, for processes that embed this one.
	Ready func(public, ops net.Addr) `kong:"-"`
}

// BankConfig holds the durations of the money protocol. All processes of one
// database must agree on them.
type BankConfig struct {
	LeaseTTL    time.Duration `name:"lease-ttl" env:"LEASE_TTL" default:"30m" help:"From a lease's grant to its deadline."`
	MaxAge      time.Duration `env:"MAX_AGE" default:"60s" help:"From a lease's first reservation to its close."`
	LongestHold time.Duration `env:"LONGEST_HOLD" default:"300s" help:"Longest hold of any format."`
	LostAfter   time.Duration `env:"LOST_AFTER" default:"90s" help:"A process without heartbeat for so long is lost."`
	Grace       time.Duration `env:"GRACE" default:"30s" help:"Beyond deadline and longest hold, before a lost process's leases return."`
	Margin      time.Duration `env:"MARGIN" default:"5s" help:"Of the watermark beyond a closed lease's last expiry, before it returns."`
}

func (c BankConfig) protocol() postgres.BankConfig {
	return postgres.BankConfig{
		LeaseTTL: c.LeaseTTL, MaxAge: c.MaxAge, LongestHold: c.LongestHold,
		LostAfter: c.LostAfter, Grace: c.Grace, Margin: c.Margin,
	}
}

// openVisitors opens what tells who asks. Its error begins with a variable's name.
func (c Config) openVisitors() (*visitor.Reader, error) {
	reader, err := visitor.Open(visitor.Config{
		GeoFile: c.GeoIPFile, ASNFile: c.GeoASNFile, ConnectionFile: c.GeoConnectionFile,
		Trusted: c.TrustedProxies, Vendor: c.TCFVendor, Strict: c.ConsentUnknown,
	})
	var broken *visitor.FileError
	if errors.As(err, &broken) {
		name := "GEOIP_FILE"
		switch broken.File {
		case c.GeoASNFile:
			name = "GEOASN_FILE"
		case c.GeoConnectionFile:
			name = "GEOCONNECTION_FILE"
		}
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return reader, err
}

// withDefaults fills what an embedding process left out, as the tags above say.
func (c Config) withDefaults() Config {
	or(&c.Listen, "127.0.0.1:8080")
	or(&c.OpsListen, "127.0.0.1:8081")
	or(&c.StateDir, "var/delivery")
	or(&c.Concurrency, 16384)
	or(&c.RefreshEvery, 2*time.Second)
	or(&c.Hold, 60*time.Second)
	or(&c.RotateEvery, 2*time.Second)
	or(&c.Bank.LeaseTTL, 30*time.Minute)
	or(&c.Bank.MaxAge, 60*time.Second)
	or(&c.Bank.LongestHold, 300*time.Second)
	or(&c.Bank.LostAfter, 90*time.Second)
	or(&c.Bank.Grace, 30*time.Second)
	or(&c.Bank.Margin, 5*time.Second)
	return c
}

func or[T comparable](field *T, standard T) {
	var zero T
	if *field == zero {
		*field = standard
	}
}

// validate reports every mistake, one line each, named by environment variable.
// It is not called Validate, which kong would call: other commands than serving
// need less.
func (c Config) validate() error {
	var mistakes []error
	mistake := func(format string, args ...any) { mistakes = append(mistakes, fmt.Errorf(format, args...)) }
	for _, address := range []struct{ name, value string }{{"LISTEN", c.Listen}, {"OPS_LISTEN", c.OpsListen}} {
		if _, _, err := net.SplitHostPort(address.value); err != nil {
			mistake("%s: %q is not host:port, such as 127.0.0.1:8080", address.name, address.value)
		}
	}
	for _, required := range []struct{ name, value string }{
		{"DATABASE_URL", c.DatabaseURL}, {"BUCKET_URL", c.BucketURL}, {"STATE_DIR", c.StateDir}, {"TOKEN_KEYS", c.TokenKeys},
	} {
		if required.value == "" {
			mistake("%s is not set", required.name)
		}
	}
	for _, base := range []struct{ name, value string }{{"PUBLIC_URL", c.PublicURL}, {"ASSET_URL", c.AssetURL}} {
		if base.value != "" && !isBase(base.value) {
			mistake("%s: %q is not a web address without query, such as https://ads.example.com", base.name, base.value)
		}
	}
	if c.LogBytes < 0 {
		mistake("LOG_BYTES: %d is negative; 0 is what the disk takes", c.LogBytes)
	}
	if c.PublicURL == "" && everyAddress(c.Listen) {
		mistake("PUBLIC_URL is not set, and LISTEN, %s, names no host that browsers could reach", c.Listen)
	}
	for _, file := range []struct{ name, value string }{
		{"TOKEN_KEYS", c.TokenKeys}, {"GEOIP_FILE", c.GeoIPFile}, {"GEOASN_FILE", c.GeoASNFile}, {"GEOCONNECTION_FILE", c.GeoConnectionFile},
	} {
		if file.value == "" {
			continue
		}
		if _, err := os.Stat(file.value); err != nil {
			mistake("%s: %w", file.name, err)
		}
	}
	if c.Concurrency < 1 {
		mistake("CONCURRENCY: %d is not a positive number", c.Concurrency)
	}
	mistakes = append(mistakes, c.durations()...)
	return errors.Join(mistakes...)
}

func (c Config) durations() (mistakes []error) {
	for _, d := range []struct {
		name     string
		value    time.Duration
		min, max time.Duration
	}{
		{"DRAIN", c.Drain, 0, 10 * time.Minute},
		{"REFRESH_EVERY", c.RefreshEvery, 100 * time.Millisecond, time.Hour},
		{"HOLD", c.Hold, time.Second, time.Hour},
		{"ROTATE_EVERY", c.RotateEvery, 10 * time.Millisecond, 10 * time.Minute},
		{"BANK_LEASE_TTL", c.Bank.LeaseTTL, time.Second, 24 * time.Hour},
		{"BANK_MAX_AGE", c.Bank.MaxAge, time.Second, time.Hour},
		{"BANK_LONGEST_HOLD", c.Bank.LongestHold, time.Second, time.Hour},
		{"BANK_LOST_AFTER", c.Bank.LostAfter, time.Second, time.Hour},
		{"BANK_GRACE", c.Bank.Grace, 0, time.Hour},
		{"BANK_MARGIN", c.Bank.Margin, 0, time.Hour},
	} {
		if d.value < d.min || d.value > d.max {
			mistakes = append(mistakes, fmt.Errorf("%s: %s is not between %s and %s", d.name, d.value, d.min, d.max))
		}
	}
	if c.Hold%time.Second != 0 {
		mistakes = append(mistakes, fmt.Errorf("HOLD: %s is not a whole number of seconds", c.Hold))
	}
	if c.Hold > c.Bank.LongestHold {
		mistakes = append(mistakes, fmt.Errorf("HOLD: %s is longer than BANK_LONGEST_HOLD, %s", c.Hold, c.Bank.LongestHold))
	}
	return mistakes
}

// everyAddress tells whether listen stands for all of a machine's addresses.
func everyAddress(listen string) bool {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "" || ip != nil && ip.IsUnspecified()
}

func isBase(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.RawQuery == "" && u.Fragment == "" && u.User == nil
}

// withAddresses fills in what depends on where the public port was bound.
func (c Config) withAddresses(public net.Addr) Config {
	if c.PublicURL == "" {
		c.PublicURL = "http://" + public.String()
	}
	c.PublicURL = strings.TrimRight(c.PublicURL, "/")
	if c.AssetURL == "" {
		c.AssetURL = c.PublicURL + "/assets"
	}
	c.AssetURL = strings.TrimRight(c.AssetURL, "/")
	return c
}
