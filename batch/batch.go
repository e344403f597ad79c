package batch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"gocloud.dev/blob"

	"github.com/hayate-ads/hayate/batch/lake"
	"github.com/hayate-ads/hayate/batch/publish"
	"github.com/hayate-ads/hayate/batch/retain"
	"github.com/hayate-ads/hayate/batch/rollup"
	"github.com/hayate-ads/hayate/batch/settle"
	"github.com/hayate-ads/hayate/internal/bucket"
	"github.com/hayate-ads/hayate/internal/postgres"
	"github.com/hayate-ads/hayate/internal/telemetry"
)

// Migrate brings the database to this binary's schema.
func Migrate(ctx context.Context, cfg Config, log *slog.Logger) error {
	if cfg.DatabaseURL == "" {
		return errors.New("DATABASE_URL is not set")
	}
	if err := postgres.Migrate(ctx, cfg.DatabaseURL); err != nil {
		return err
	}
	log.Info("the database has this version's schema")
	return nil
}

// RunJob runs the job of this name once; settle goes on for FollowFor. It returns
// nil too when another process is at the same work.
func RunJob(ctx context.Context, cfg Config, name string, log *slog.Logger) error {
	h, err := open(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer h.close()
	var names []string
	for _, job := range h.jobs() {
		if job.Name == name {
			return h.run(ctx, job)
		}
		names = append(names, job.Name)
	}
	return fmt.Errorf("no job %q: there are %s", name, strings.Join(names, ", "))
}

// run runs one job; a follower, which is there all the time, tells meanwhile how
// all jobs do.
func (h *house) run(ctx context.Context, job Job) error {
	if err := h.runner.plan(ctx, h.jobs()); err != nil {
		return err
	}
	if job.Follow {
		watching, stop := context.WithCancel(ctx)
		var told sync.WaitGroup
		told.Go(func() { h.runner.watch(watching) })
		defer told.Wait()
		defer stop()
	}
	return h.runner.Run(ctx, job)
}

// Schedule runs all jobs, each at its time, until ctx ends; then it waits for
// those that are at work and returns nil. An error means that it could not start.
func Schedule(ctx context.Context, cfg Config, log *slog.Logger) error {
	h, err := open(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer h.close()
	return h.runner.schedule(ctx, h.jobs())
}

// house is what the jobs share.
type house struct {
	cfg    Config
	log    *slog.Logger
	bucket *blob.Bucket
	runner *Runner
}

func open(ctx context.Context, cfg Config, log *slog.Logger) (*house, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	objects, err := bucket.Open(ctx, cfg.BucketURL)
	if err != nil {
		return nil, err
	}
	metrics, err := telemetry.NewClient("batch", cfg.Version)
	if err != nil {
		return nil, errors.Join(err, objects.Close())
	}
	db, err := postgres.Open(ctx, cfg.DatabaseURL)
	if err != nil {
		_ = metrics.Close() // nothing was sent yet
		return nil, errors.Join(err, objects.Close())
	}
	runner := &Runner{DB: db, Log: log, Metrics: metrics}
	return &house{cfg: cfg, log: log, bucket: objects, runner: runner}, nil
}

func (h *house) close() {
	h.runner.DB.Close()
	if err := errors.Join(h.bucket.Close(), h.runner.Metrics.Close()); err != nil {
		h.log.Warn("not closed cleanly", "error", err)
	}
}

// jobs is the list of all jobs, wired.
func (h *house) jobs() []Job {
	publisher := &publish.Publisher{
		DB: h.runner.DB, Bucket: h.bucket, Settings: postgres.PublishSettings{Currency: h.cfg.Currency, Rates: h.cfg.rates()},
		Keep: h.cfg.SnapshotsKeep, KeepFor: h.cfg.SnapshotsFor,
		RepeatAfter: h.cfg.PublishRepeat, AllowShrink: h.cfg.AllowShrink, Log: h.log,
	}
	db := h.runner.DB
	return []Job{
		{Name: "publish", Timeout: h.cfg.PublishTimeout, Schedule: "@every " + h.cfg.PublishEvery.String(), Run: publisher.Run},
		{Name: "settle", Timeout: h.cfg.FollowFor, Follow: true, Run: h.settle},
		{Name: "lake", Timeout: time.Hour, Schedule: "@every " + h.cfg.LakeEvery.String(), Run: (&lake.Writer{DB: db, Bucket: h.bucket, Log: h.log, Currency: h.cfg.Currency}).Run},
		{Name: "rollup", Timeout: time.Hour, Schedule: "@every " + h.cfg.RollupEvery.String(), Run: (&rollup.Roller{DB: db}).Run},
		{Name: "reconcile", Timeout: reconcileTimeout, Schedule: "30 3 * * *", Run: h.auditor().Run},
		{Name: "retain", Timeout: 6 * time.Hour, Schedule: "30 5 * * *", Run: (&retain.Sweeper{DB: db, Bucket: h.bucket, Settings: h.cfg.Retain.settings(), Log: h.log}).Run},
	}
}

// settle follows the events until its turn is over.
func (h *house) settle(ctx context.Context) (postgres.JobResult, error) {
	var total settle.Stats
	var behind time.Duration
	err := settle.Follow(ctx, settle.Config{
		DB: h.runner.DB, Bucket: h.bucket, Bank: h.cfg.Bank.protocol(), Log: h.log,
		Reports: postgres.ReportConfig{Cells: h.cfg.ReportCells, CompleteAfter: h.cfg.ReportCompleteAfter},
		Lag: func(lag time.Duration) {
			behind = lag
			h.runner.Metrics.Gauge(telemetry.SettleLag, lag.Seconds())
		},
		Observe: func(s settle.Stats) {
			total.Segments += s.Segments
			total.Impressions += s.Impressions
			total.Clicks += s.Clicks
			total.Charged += s.Charged
			h.measure(s)
		},
	})
	return postgres.JobResult{
		Message: fmt.Sprintf("%d segments, %d impressions, %d clicks, %s charged", total.Segments, total.Impressions, total.Clicks, total.Charged),
		Lag:     behind,
	}, err
}

func (h *house) measure(s settle.Stats) {
	metrics := h.runner.Metrics
	metrics.Count(telemetry.SettleSegments, s.Segments)
	metrics.Count(telemetry.SettleEvents, s.Impressions, "type:impression", "outcome:counted")
	metrics.Count(telemetry.SettleEvents, s.Clicks, "type:click", "outcome:counted")
	metrics.Count(telemetry.SettleEvents, s.Conversions, "type:conversion", "outcome:counted")
	metrics.Count(telemetry.SettleEvents, s.Wins, "type:win", "outcome:counted")
	metrics.Count(telemetry.SettleEvents, s.Duplicates, "type:any", "outcome:duplicate")
	metrics.Count(telemetry.SettleEvents, s.Invalid, "type:any", "outcome:invalid")
	metrics.Count(telemetry.SettleEvents, s.Late, "type:impression", "outcome:late")
	metrics.Count(telemetry.SettleCharged, int64(s.Charged))
	metrics.Count(telemetry.SettleOverage, int64(s.Overage))
	metrics.Count(telemetry.SettleQuarantined, s.Stalled)
	for why, n := range s.Odd {
		metrics.Count(telemetry.SettleConflicts, n, "kind:"+string(why))
	}
}
