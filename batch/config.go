package batch

import (
	"errors"
	"fmt"
	"time"

	"github.com/hayate-ads/hayate/batch/retain"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/postgres"
	"github.com/hayate-ads/hayate/internal/snapshot"
)

// Config is how the jobs are set up. Each field is an environment variable; a
// zero field means its default, which serves one machine.
type Config struct {
	DatabaseURL string `env:"DATABASE_URL" help:"Postgres with the store and the bank: postgres://user:password@host/database."`
	BucketURL   string `env:"BUCKET_URL" help:"Bucket of snapshots and events: file:///var/lib/hayate/bucket, s3://name?region=..., azblob://name, gs://name."`
	Currency    string `env:"CURRENCY" default:"USD" help:"Currency of all prices and budgets, ISO 4217."`

	RateClick      string `env:"RATE_CLICK" default:"0.001" help:"How likely an impression leads to a click: a decimal from 0 to 1."`
	RateConversion string `env:"RATE_CONVERSION" default:"0.02" help:"How likely a click leads to a conversion: a decimal from 0 to 1."`

	PublishEvery   time.Duration `env:"PUBLISH_EVERY" default:"15s" help:"How often 'schedule' publishes. Whole seconds."`
	PublishTimeout time.Duration `env:"PUBLISH_TIMEOUT" default:"5m" help:"A publish that takes longer is given up."`
	PublishRepeat  time.Duration `env:"PUBLISH_REPEAT" default:"5m" help:"A snapshot this old is published anew though nothing has changed."`
	AllowShrink    bool          `env:"PUBLISH_ALLOW_SHRINK" help:"For one 'run publish': the loss of more than half of the line items is meant, delivery shall take it."`
	SnapshotsKeep  int           `env:"SNAPSHOTS_KEEP" default:"10" help:"Newest snapshots that stay in the bucket whatever their age."`
	SnapshotsFor   time.Duration `name:"snapshots-for" env:"SNAPSHOTS_FOR" default:"1h" help:"How long the other snapshots stay."`

	FollowFor time.Duration `env:"FOLLOW_FOR" default:"9m45s" help:"How long a run of settle follows the events: for a CronJob every 10 minutes, 15 seconds less."`

	LakeEvery   time.Duration `env:"LAKE_EVERY" default:"1m" help:"How often the lake is written. Whole seconds."`
	RollupEvery time.Duration `env:"ROLLUP_EVERY" default:"5m" help:"How often reports are summed up by day. Whole seconds."`

	ReportCells         int           `env:"REPORT_CELLS" default:"100000" help:"Rows of one hour's report; what would be more is counted as 'other'."`
	ReportCompleteAfter time.Duration `env:"REPORT_COMPLETE_AFTER" default:"5m" help:"An hour is complete so long after its end has been settled; what comes later restates it."`

	Retain RetainConfig `embed:"" prefix:"retain-" envprefix:"RETAIN_"`
	Bank   BankConfig   `embed:"" prefix:"bank-" envprefix:"BANK_"`

	// Version is told to the metrics; the build sets it.
	Version string `kong:"-"`
}

// RetainConfig is how long the job 'retain' keeps what is settled. Nothing goes
// that is not, however old it is.
type RetainConfig struct {
	Events      time.Duration `env:"EVENTS" default:"720h" help:"Segments of the event log in the bucket. A database can be rebuilt from a backup that is younger."`
	Leases      time.Duration `env:"LEASES" default:"48h" help:"Leases and what tells an event from its duplicate, after a lease's last use."`
	Lost        time.Duration `env:"LOST" default:"168h" help:"How long leases are kept for a delivery server that went away with events."`
	ReportHours time.Duration `env:"REPORT_HOURS" default:"2208h" help:"Reports by hour, and why line items did not serve."`
	ReportDays  time.Duration `env:"REPORT_DAYS" default:"26304h" help:"Reports by day."`
	Conversions time.Duration `env:"CONVERSIONS" default:"9600h" help:"Conversions, by whose order ids later ones are known to be repeated."`
	Lake        time.Duration `env:"LAKE" help:"Files of the lake; 0: for ever."`
	Runs        time.Duration `env:"RUNS" default:"720h" help:"Runs of jobs; of each job the newest 1000 at most."`
}

func (c RetainConfig) settings() retain.Settings {
	return retain.Settings{
		Events: c.Events, Leases: c.Leases, Lost: c.Lost, ReportHours: c.ReportHours, ReportDays: c.ReportDays,
		Conversions: c.Conversions, Lake: c.Lake, Runs: c.Runs,
	}
}

// BankConfig holds the durations of the money protocol that settle acts on. All
// processes of one database must agree on them.
type BankConfig struct {
	LongestHold time.Duration `env:"LONGEST_HOLD" default:"300s" help:"Longest hold of any format."`
	LostAfter   time.Duration `env:"LOST_AFTER" default:"90s" help:"A process without heartbeat for so long is lost."`
	Grace       time.Duration `env:"GRACE" default:"30s" help:"Beyond deadline and longest hold, before a lost process's leases return."`
	Margin      time.Duration `env:"MARGIN" default:"5s" help:"Of the watermark beyond a closed lease's last expiry, before it returns."`
}

func (c BankConfig) protocol() postgres.BankConfig {
	return postgres.BankConfig{LongestHold: c.LongestHold, LostAfter: c.LostAfter, Grace: c.Grace, Margin: c.Margin}
}

// rates are the constants by which costs per click and per conversion compare
// with costs per mille.
func (c Config) rates() snapshot.Rates {
	click, _ := parseRate(c.RateClick) // validate has read both
	conversion, _ := parseRate(c.RateConversion)
	return snapshot.Rates{Click: click, Conversion: conversion}
}

// parseRate reads a decimal from 0 to 1 as parts per million. A share of one has
// six places like an amount of money, and is as little of a float.
func parseRate(text string) (uint32, error) {
	share, err := money.Parse(text)
	if err != nil {
		return 0, err
	}
	if share < 0 || share > money.Unit {
		return 0, fmt.Errorf("%q is not between 0 and 1", text)
	}
	return uint32(share), nil
}

const (
	day  = 24 * time.Hour
	year = 8768 * time.Hour // and a third of a leap day, rounded up
	ever = 100 * year       // longer than anybody asks for
)

// withDefaults fills what an embedding process left out, as the tags above say.
func (c Config) withDefaults() Config {
	or(&c.Currency, "USD")
	or(&c.RateClick, "0.001")
	or(&c.RateConversion, "0.02")
	or(&c.PublishEvery, 15*time.Second)
	or(&c.PublishTimeout, 5*time.Minute)
	or(&c.PublishRepeat, 5*time.Minute)
	or(&c.SnapshotsKeep, 10)
	or(&c.SnapshotsFor, time.Hour)
	or(&c.FollowFor, 9*time.Minute+45*time.Second)
	or(&c.LakeEvery, time.Minute)
	or(&c.RollupEvery, 5*time.Minute)
	or(&c.Retain.Events, 30*day)
	or(&c.Retain.Leases, 2*day)
	or(&c.Retain.Lost, 7*day)
	or(&c.Retain.ReportHours, 92*day)
	or(&c.Retain.ReportDays, 3*year)
	or(&c.Retain.Conversions, 400*day)
	or(&c.Retain.Runs, 30*day)
	or(&c.ReportCells, 100_000)
	or(&c.ReportCompleteAfter, 5*time.Minute)
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
// It is not exported: kong would call it for commands too that need less, such as migrate.
func (c Config) validate() error {
	c = c.withDefaults()
	var mistakes []error
	mistake := func(format string, args ...any) { mistakes = append(mistakes, fmt.Errorf(format, args...)) }
	for _, required := range []struct{ name, value string }{{"DATABASE_URL", c.DatabaseURL}, {"BUCKET_URL", c.BucketURL}} {
		if required.value == "" {
			mistake("%s is not set", required.name)
		}
	}
	if !isCurrency(c.Currency) {
		mistake("CURRENCY: %q is not three capital letters, such as USD", c.Currency)
	}
	for _, rate := range []struct{ name, value string }{{"RATE_CLICK", c.RateClick}, {"RATE_CONVERSION", c.RateConversion}} {
		if _, err := parseRate(rate.value); err != nil {
			mistake("%s: %w; a decimal from 0 to 1 is wanted, such as 0.001", rate.name, err)
		}
	}
	if c.SnapshotsKeep < 1 || c.SnapshotsKeep > 1000 {
		mistake("SNAPSHOTS_KEEP: %d is not between 1 and 1000", c.SnapshotsKeep)
	}
	if c.ReportCells < 1 || c.ReportCells > 10_000_000 {
		mistake("REPORT_CELLS: %d is not between 1 and 10000000", c.ReportCells)
	}
	for _, d := range []struct {
		name            string
		value, min, max time.Duration
	}{
		{"PUBLISH_EVERY", c.PublishEvery, time.Second, time.Hour},
		{"PUBLISH_TIMEOUT", c.PublishTimeout, time.Second, time.Hour},
		{"PUBLISH_REPEAT", c.PublishRepeat, time.Second, 24 * time.Hour},
		{"SNAPSHOTS_FOR", c.SnapshotsFor, time.Minute, 365 * 24 * time.Hour},
		{"FOLLOW_FOR", c.FollowFor, time.Second, 24 * time.Hour},
		{"LAKE_EVERY", c.LakeEvery, time.Second, 24 * time.Hour},
		{"ROLLUP_EVERY", c.RollupEvery, time.Second, 24 * time.Hour},
		{"RETAIN_EVENTS", c.Retain.Events, 7 * day, ever},
		{"RETAIN_LEASES", c.Retain.Leases, postgres.TokenLife, 90 * day},
		{"RETAIN_LOST", c.Retain.Lost, time.Hour, c.Retain.Events},
		{"RETAIN_REPORT_HOURS", c.Retain.ReportHours, 7 * day, ever},
		{"RETAIN_REPORT_DAYS", c.Retain.ReportDays, 92 * day, ever},
		{"RETAIN_CONVERSIONS", c.Retain.Conversions, 180 * day, ever},
		{"RETAIN_LAKE", c.Retain.Lake, 0, ever},
		{"RETAIN_RUNS", c.Retain.Runs, 2 * day, ever},
		{"REPORT_COMPLETE_AFTER", c.ReportCompleteAfter, time.Second, 24 * time.Hour},
		{"BANK_LONGEST_HOLD", c.Bank.LongestHold, time.Second, time.Hour},
		{"BANK_LOST_AFTER", c.Bank.LostAfter, time.Second, time.Hour},
		{"BANK_GRACE", c.Bank.Grace, 0, time.Hour},
		{"BANK_MARGIN", c.Bank.Margin, 0, time.Hour},
	} {
		if d.value < d.min || d.value > d.max {
			mistake("%s: %s is not between %s and %s", d.name, d.value, d.min, d.max)
		}
	}
	if c.Retain.Lake != 0 && c.Retain.Lake <= c.Retain.Events {
		mistake("RETAIN_LAKE: %s is neither 0 nor longer than RETAIN_EVENTS, %s", c.Retain.Lake, c.Retain.Events)
	}
	return errors.Join(mistakes...)
}

func isCurrency(code string) bool {
	for i := range len(code) {
		if code[i] < 'A' || code[i] > 'Z' {
			return false
		}
	}
	return len(code) == 3
}
