package batch

import (
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"

	"github.com/hayate-ads/hayate/internal/snapshot"
)

// parse reads the environment as cmd/batch does.
func parse(t *testing.T, args ...string) Config {
	t.Helper()
	var cli struct {
		Config  Config   `embed:""`
		Migrate struct{} `cmd:""`
	}
	parser, err := kong.New(&cli)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse(args); err != nil {
		t.Fatal(err)
	}
	return cli.Config
}

// The defaults that --help shows are those that an embedding process gets.
func TestDefaultsAgree(t *testing.T) {
	fields := reflect.VisibleFields(reflect.TypeFor[Config]())
	fields = append(fields, reflect.VisibleFields(reflect.TypeFor[BankConfig]())...)
	for _, field := range append(fields, reflect.VisibleFields(reflect.TypeFor[RetainConfig]())...) {
		for _, name := range []string{field.Tag.Get("env"), "BANK_" + field.Tag.Get("env"), "RETAIN_" + field.Tag.Get("env")} {
			if value, set := os.LookupEnv(name); set {
				t.Setenv(name, value) // restores it after the test
				if err := os.Unsetenv(name); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if d := cmp.Diff(parse(t, "migrate"), Config{}.withDefaults()); d != "" {
		t.Errorf("tags (-) and withDefaults (+):\n%s", d)
	}
}

func TestConfigFromEnvironment(t *testing.T) {
	t.Setenv("FOLLOW_FOR", "3s")
	t.Setenv("BANK_LOST_AFTER", "7s")
	t.Setenv("PUBLISH_ALLOW_SHRINK", "true")
	c := parse(t, "migrate")
	if c.FollowFor != 3*time.Second || c.Bank.LostAfter != 7*time.Second || !c.AllowShrink {
		t.Errorf("%+v", c)
	}
}

func TestRates(t *testing.T) {
	t.Parallel()
	if got := (Config{}).withDefaults().rates(); got != (snapshot.Rates{Click: 1000, Conversion: 20_000}) {
		t.Errorf("defaults are %+v", got)
	}
	if got := (Config{RateClick: "0.000001", RateConversion: "1"}).rates(); got != (snapshot.Rates{Click: 1, Conversion: 1_000_000}) {
		t.Errorf("got %+v", got)
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	f := func(want string, change func(*Config)) {
		t.Helper()
		c := Config{DatabaseURL: "postgres://localhost", BucketURL: "file:///tmp"}
		change(&c)
		err := c.validate()
		if (want == "") != (err == nil) || (err != nil && !strings.Contains(err.Error(), want)) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	f("", func(c *Config) {})
	f("DATABASE_URL is not set", func(c *Config) { c.DatabaseURL = "" })
	f("BUCKET_URL is not set", func(c *Config) { c.BucketURL = "" })
	f(`CURRENCY: "usd"`, func(c *Config) { c.Currency = "usd" })
	f("", func(c *Config) { c.RateClick, c.RateConversion = "0", "1" })
	for _, bad := range []string{"1.000001", "-0.1", "1e-3", "0,001", "0.1%", ".5", "NaN", "0.0000001"} {
		f("RATE_CLICK: ", func(c *Config) { c.RateClick = bad })
		f("RATE_CONVERSION: ", func(c *Config) { c.RateConversion = bad })
	}
	f("PUBLISH_EVERY: 10ms", func(c *Config) { c.PublishEvery = 10 * time.Millisecond })
	f("SNAPSHOTS_KEEP: -1", func(c *Config) { c.SnapshotsKeep = -1 })
	f("FOLLOW_FOR: -1s", func(c *Config) { c.FollowFor = -time.Second })
	f("LAKE_EVERY: 25h", func(c *Config) { c.LakeEvery = 25 * time.Hour })
	f("RETAIN_EVENTS: 167h", func(c *Config) { c.Retain.Events = 167 * time.Hour })
	f("RETAIN_LEASES: 24h", func(c *Config) { c.Retain.Leases = day })
	f("RETAIN_LOST: 169h", func(c *Config) { c.Retain.Events, c.Retain.Lost = 7*day, 169*time.Hour })
	f("RETAIN_LAKE: 720h", func(c *Config) { c.Retain.Lake = 30 * day })
	f("", func(c *Config) { c.Retain.Lake = 31 * day })
	f("BANK_LOST_AFTER: 2h", func(c *Config) { c.Bank.LostAfter = 2 * time.Hour })
}
