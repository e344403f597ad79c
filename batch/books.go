package batch

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/hayate-ads/hayate/batch/rebuild"
	"github.com/hayate-ads/hayate/batch/reconcile"
	"github.com/hayate-ads/hayate/internal/postgres"
	"github.com/hayate-ads/hayate/internal/telemetry"
)

// ReconcileCommand compares one day's books with the log.
type ReconcileCommand struct {
	Day string `help:"UTC day to compare, also today's; empty: the days that no run has compared." placeholder:"2026-11-20"`
}

// Reconcile carries c out as a run of the job, one day or what is due. Differences
// are an error; they stand in the log and in the table reconciliation.
func Reconcile(ctx context.Context, cfg Config, c ReconcileCommand, log *slog.Logger) error {
	if c.Day == "" {
		return RunJob(ctx, cfg, "reconcile", log)
	}
	day, err := time.Parse(time.DateOnly, c.Day)
	if err != nil {
		return fmt.Errorf("--day %q: a date is wanted, such as 2026-11-20", c.Day)
	}
	h, err := open(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer h.close()
	// Not under the job's name: a day that was asked for is no success of the nightly run.
	return h.runner.Run(ctx, Job{Name: "reconcile-day", Timeout: reconcileTimeout, Run: func(ctx context.Context) (postgres.JobResult, error) {
		found, err := h.auditor().Day(ctx, day)
		return postgres.JobResult{Message: fmt.Sprintf("%s: %d events, %s charged, %d segments lost; all books agree",
			c.Day, found.Events, found.Charged, len(found.Losses))}, err
	}})
}

// reconcileTimeout is for days of any size.
const reconcileTimeout = 6 * time.Hour

func (h *house) auditor() *reconcile.Auditor {
	return &reconcile.Auditor{DB: h.runner.DB, Bucket: h.bucket, Log: h.log, Observe: func(r postgres.Reconciliation, differences int64) {
		h.runner.Metrics.Count(telemetry.ReconcileDifferences, differences)
		h.runner.Metrics.Count(telemetry.ReconcileLosses, int64(len(r.Losses)))
	}}
}

// Rebuild makes the books anew from the log, in a database that was restored from
// an older copy, and returns what it did.
func Rebuild(ctx context.Context, cfg Config, log *slog.Logger) (string, error) {
	h, err := open(ctx, cfg, log)
	if err != nil {
		return "", err
	}
	defer h.close()
	sum, err := (&rebuild.Rebuilder{DB: h.runner.DB, Bucket: h.bucket, Bank: h.cfg.Bank.protocol(), Log: log}).Run(ctx)
	if err != nil && sum.Streams == 0 {
		return "", err // nothing was begun, so there is nothing to tell
	}
	return sum.String(), err
}
