package delivery

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// The tags and withDefaults must say the same.
func TestConfigDefaults(t *testing.T) {
	for _, name := range []string{"LISTEN", "OPS_LISTEN", "STATE_DIR", "HOLD", "DRAIN", "DATABASE_URL", "BUCKET_URL", "TOKEN_KEYS", "TRUSTED_PROXIES"} {
		t.Setenv(name, "")
		if err := os.Unsetenv(name); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(Config{}.withDefaults(), parseConfig(t), cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
}

func TestConfigFromEnvironment(t *testing.T) {
	t.Setenv("LISTEN", "0.0.0.0:80")
	t.Setenv("TRUSTED_PROXIES", "10.0.0.0/8,fd00::/8")
	t.Setenv("BANK_LEASE_TTL", "20m")
	t.Setenv("BANK_LONGEST_HOLD", "90s")
	t.Setenv("DRAIN", "10s")
	c := parseConfig(t)
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	if c.Listen != "0.0.0.0:80" || c.Drain != 10*time.Second || c.Bank.LeaseTTL != 20*time.Minute || c.Bank.LongestHold != 90*time.Second {
		t.Errorf("%+v", c)
	}
	if diff := cmp.Diff(trusted, c.TrustedProxies, cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
		t.Error(diff)
	}
	if c.Bank.protocol().LeaseTTL != 20*time.Minute {
		t.Errorf("%+v", c.Bank.protocol())
	}
}

func parseConfig(t *testing.T) (c Config) {
	t.Helper()
	parser, err := kong.New(&c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse(nil); err != nil {
		t.Fatal(err)
	}
	return c
}

// usable is a config that validate accepts.
func usable(t *testing.T) Config {
	t.Helper()
	keys := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(keys, []byte(testKeys), 0o600); err != nil {
		t.Fatal(err)
	}
	return Config{
		Listen: "127.0.0.1:0", OpsListen: "127.0.0.1:0", TokenKeys: keys, StateDir: t.TempDir(),
		DatabaseURL: "postgres://nobody@127.0.0.1:1/none?connect_timeout=1", BucketURL: "file://" + t.TempDir(),
	}.withDefaults()
}

func TestValidate(t *testing.T) {
	t.Parallel()
	if err := usable(t).validate(); err != nil {
		t.Error(err)
	}
	f := func(want string, change func(*Config)) {
		t.Helper()
		c := usable(t)
		change(&c)
		err := c.validate()
		if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v; want one line that begins %q", err, want)
		}
	}
	f("LISTEN: ", func(c *Config) { c.Listen = "8080" })
	f("OPS_LISTEN: ", func(c *Config) { c.OpsListen = "" })
	f("DATABASE_URL is not set", func(c *Config) { c.DatabaseURL = "" })
	f("BUCKET_URL is not set", func(c *Config) { c.BucketURL = "" })
	f("TOKEN_KEYS is not set", func(c *Config) { c.TokenKeys = "" })
	f("TOKEN_KEYS: stat /nonexistent", func(c *Config) { c.TokenKeys = "/nonexistent" })
	f("GEOIP_FILE: stat /nonexistent", func(c *Config) { c.GeoIPFile = "/nonexistent" })
	f("PUBLIC_URL: ", func(c *Config) { c.PublicURL = "ads.example" })
	f("PUBLIC_URL: ", func(c *Config) { c.PublicURL = "https://ads.example?x=1" })
	f("PUBLIC_URL is not set, and LISTEN", func(c *Config) { c.Listen = ":8080" })
	f("PUBLIC_URL is not set, and LISTEN", func(c *Config) { c.Listen = "0.0.0.0:8080" })
	f("PUBLIC_URL is not set, and LISTEN", func(c *Config) { c.Listen = "[::]:8080" })
	f("ASSET_URL: ", func(c *Config) { c.AssetURL = "ftp://cdn.example" })
	f("CONCURRENCY: ", func(c *Config) { c.Concurrency = -1 })
	f("LOG_BYTES: ", func(c *Config) { c.LogBytes = -1 })
	f("DRAIN: ", func(c *Config) { c.Drain = -time.Second })
	f("HOLD: 1.5s is not a whole number", func(c *Config) { c.Hold = 1500 * time.Millisecond })
	f("HOLD: 10m0s is longer than BANK_LONGEST_HOLD", func(c *Config) { c.Hold = 10 * time.Minute })

	broken := usable(t)
	broken.BucketURL, broken.Listen, broken.Hold = "", "x", -time.Second
	if lines := strings.Split(broken.validate().Error(), "\n"); len(lines) != 3 {
		t.Errorf("three mistakes make %d lines: %q", len(lines), lines)
	}
}

func TestConfigAddresses(t *testing.T) {
	t.Parallel()
	at := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8080}
	f := func(public, asset, wantPublic, wantAsset string) {
		t.Helper()
		c := Config{PublicURL: public, AssetURL: asset}.withAddresses(at)
		if c.PublicURL != wantPublic || c.AssetURL != wantAsset {
			t.Errorf("%q, %q: %q, %q", public, asset, c.PublicURL, c.AssetURL)
		}
	}
	f("", "", "http://127.0.0.1:8080", "http://127.0.0.1:8080/assets")
	f("https://ads.example/", "", "https://ads.example", "https://ads.example/assets")
	f("https://ads.example", "https://cdn.example/a/", "https://ads.example", "https://cdn.example/a")
}
