package batch

import (
	"context"
	"fmt"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/hayate-ads/hayate/internal/postgres"
	"github.com/hayate-ads/hayate/internal/telemetry"
)

// tellEvery is how often the health of all jobs is told.
const tellEvery = 10 * time.Second

// every is the longest time from one start of a job to the next.
func (j Job) every() (time.Duration, error) {
	if j.Follow {
		return j.Timeout + shortestPause, nil
	}
	schedule, err := cron.ParseStandard(j.Schedule)
	if err != nil {
		return 0, fmt.Errorf("schedule of job %s: %w", j.Name, err)
	}
	if steady, ok := schedule.(cron.ConstantDelaySchedule); ok {
		return steady.Delay, nil
	}
	first := schedule.Next(time.Now().UTC())
	return schedule.Next(first).Sub(first), nil
}

// plan makes known which jobs ought to run, so that one that never does is missed.
func (r *Runner) plan(ctx context.Context, jobs []Job) error {
	plans := make([]postgres.JobPlan, len(jobs))
	for i, job := range jobs {
		every, err := job.every()
		if err != nil {
			return err
		}
		plans[i] = postgres.JobPlan{Name: job.Name, Schedule: job.Schedule, Every: every}
	}
	if err := r.DB.PlanJobs(ctx, plans); err != nil {
		r.Log.Warn("jobs not planned", "error", err) // whoever runs next tries again
	}
	return nil
}

// isFresh tells whether a job of long intervals has run well within the last.
func (r *Runner) isFresh(ctx context.Context, job Job) bool {
	health, err := r.DB.JobHealth(ctx, postgres.System)
	if err != nil {
		return false
	}
	for _, h := range health {
		if h.Name == job.Name {
			return h.Every > time.Hour && h.Last.Outcome == postgres.RunOK && h.Now.Sub(h.SucceededAt) < h.Every
		}
	}
	return false
}

// watch tells the health of all jobs until ctx ends, read from what their runs
// noted: whoever lives longest speaks for those that do not run at all.
func (r *Runner) watch(ctx context.Context) {
	ticker := time.NewTicker(tellEvery)
	defer ticker.Stop()
	for {
		r.tell(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (r *Runner) tell(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	jobs, err := r.DB.JobHealth(ctx, postgres.System)
	if err != nil {
		return // the database is away: that has a monitor of its own, and this one falls silent
	}
	for _, h := range jobs {
		tag := "job:" + h.Name
		r.Metrics.Gauge(telemetry.JobSuccessAge, h.SuccessAge().Seconds(), tag)
		if h.Lag > 0 {
			r.Metrics.Gauge(telemetry.JobLag, h.Lag.Seconds(), tag)
		}
	}
	truth, err := r.DB.TruthHealth(ctx, postgres.System)
	if err != nil {
		return
	}
	halted := 0.0
	if truth.Halted != "" {
		halted = 1
	}
	r.Metrics.Gauge(telemetry.SettleHalted, halted)
	r.Metrics.Gauge(telemetry.SettleStalled, float64(truth.Stalled))
	r.Metrics.Gauge(telemetry.SpoolSegments, float64(truth.Spooled))
}
