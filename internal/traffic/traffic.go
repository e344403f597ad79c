// Package traffic makes load on a delivery server as the world does: an open
// model, in which the next visitor comes when it comes, whether or not the last
// one has been served. Latencies are therefore counted from the moment a request
// was due, not from when a worker found time to send it (no coordinated
// omission). The demo, the load generator and the benchmarks use it.
package traffic

import (
	"context"
	"sync"
	"time"
)

// Pace says how often something happens and how many may be under way at once.
type Pace struct {
	Rate    float64       // a second, above 0
	Workers int           // at least 1
	For     time.Duration // 0: until ctx ends
}

// backlog is how many due moments may wait for a worker; at 5,000 a second that
// is some 13 s of a stalled server, beyond which the model falls behind.
const backlog = 1 << 16

// Run calls do once for each due moment, evenly spaced, and returns when all
// calls have ended. do gets the moment at which it was due.
func (p Pace) Run(ctx context.Context, do func(ctx context.Context, due time.Time)) {
	due := make(chan time.Time, backlog)
	var workers sync.WaitGroup
	for range max(p.Workers, 1) {
		workers.Go(func() {
			for t := range due {
				do(ctx, t)
			}
		})
	}
	p.schedule(ctx, due)
	close(due)
	workers.Wait()
}

// schedule sends the due moments. It wakes at most a thousand times a second and
// sends what has come due since, so that high rates cost no timer each.
func (p Pace) schedule(ctx context.Context, due chan<- time.Time) {
	start := time.Now()
	gap := time.Duration(float64(time.Second) / p.Rate)
	tick := time.NewTicker(max(gap, time.Millisecond))
	defer tick.Stop()
	for sent := 0; ; {
		for {
			next := start.Add(time.Duration(float64(sent) / p.Rate * float64(time.Second)))
			if p.For > 0 && next.Sub(start) >= p.For {
				return
			}
			if next.After(time.Now()) {
				break
			}
			select {
			case due <- next:
				sent++
			case <-ctx.Done():
				return
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
