package batch

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/hayate-ads/hayate/internal/telemetry"
)

const (
	shortestPause = time.Second // before a follower that failed is started again …
	longestPause  = 30 * time.Second
	tellAgeEvery  = 10 * time.Second
)

// schedule runs the jobs until ctx ends and waits for those at work. Each one
// also runs at once, so that a machine that was just started need not wait.
func (r *Runner) schedule(ctx context.Context, jobs []Job) error {
	clock := cron.New(cron.WithLocation(time.UTC), cron.WithLogger(cron.DiscardLogger))
	var working sync.WaitGroup
	var starts []func()
	ages := &ages{last: map[string]time.Time{}}
	for _, job := range jobs {
		run := func() bool {
			err := r.Run(ctx, job)
			if err == nil {
				ages.succeeded(job.Name)
			}
			return err == nil
		}
		if job.Follow {
			starts = append(starts, func() { follow(ctx, run) })
			continue
		}
		var busy sync.Mutex
		once := func() {
			// Slower than its schedule: the next one comes soon enough.
			if ctx.Err() == nil && busy.TryLock() {
				defer busy.Unlock()
				run()
			}
		}
		if _, err := clock.AddFunc(job.Schedule, once); err != nil {
			return fmt.Errorf("schedule of job %s: %w", job.Name, err)
		}
		starts = append(starts, once)
	}
	for _, start := range append(starts, func() { ages.tell(ctx, r.Metrics) }) {
		working.Go(start)
	}
	clock.Start()
	<-ctx.Done()
	<-clock.Stop().Done()
	working.Wait()
	return nil
}

// follow starts a follower again as soon as it ends, and later and later while it fails.
func follow(ctx context.Context, run func() bool) {
	pause := shortestPause
	for ctx.Err() == nil {
		if run() {
			pause = shortestPause
			continue
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, longestPause)
	}
}

// ages knows when each job last succeeded, by this process's clock.
type ages struct {
	mu   sync.Mutex
	last map[string]time.Time
}

func (a *ages) succeeded(job string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last[job] = time.Now()
}

func (a *ages) tell(ctx context.Context, metrics *telemetry.Client) {
	ticker := time.NewTicker(tellAgeEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		a.mu.Lock()
		for job, at := range a.last {
			metrics.Gauge(telemetry.JobSuccessAge, time.Since(at).Seconds(), "job:"+job)
		}
		a.mu.Unlock()
	}
}
