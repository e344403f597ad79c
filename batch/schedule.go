package batch

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/robfig/cron/v3"
)

const (
	shortestPause = time.Second // before a follower that failed is started again …
	longestPause  = 30 * time.Second
)

// schedule runs the jobs until ctx ends and waits for those at work. Each one
// also runs at once, so that a machine that was just started need not wait; those
// of the night only if last night's run was missed.
func (r *Runner) schedule(ctx context.Context, jobs []Job) error {
	clock := cron.New(cron.WithLocation(time.UTC), cron.WithLogger(cron.DiscardLogger))
	var working sync.WaitGroup
	var starts []func()
	if err := r.plan(ctx, jobs); err != nil {
		return err
	}
	for _, job := range jobs {
		run := func() bool { return r.Run(ctx, job) == nil }
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
		starts = append(starts, func() {
			if !r.isFresh(ctx, job) {
				once()
			}
		})
	}
	for _, start := range append(starts, func() { r.watch(ctx) }) {
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
