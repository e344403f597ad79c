package traffic

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A server that stalls does not slow the visitors down: what came due while it
// slept is still sent, and its latency is counted from when it was due.
func TestPaceKeepsToItsSchedule(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var calls, late atomic.Int64
		Pace{Rate: 100, Workers: 1, For: 3 * time.Second}.Run(t.Context(), func(_ context.Context, due time.Time) {
			if calls.Add(1) == 50 {
				time.Sleep(time.Second) // the stall, in the bubble's time
			}
			if time.Since(due) > 500*time.Millisecond {
				late.Add(1)
			}
		})
		if calls.Load() != 300 {
			t.Errorf("%d calls in 3 s at 100 a second, want 300", calls.Load())
		}
		if late.Load() < 40 {
			t.Errorf("%d calls were counted late after a stall of 1 s, want some 50", late.Load())
		}
		if took := time.Since(start); took > 3*time.Second+50*time.Millisecond {
			t.Errorf("took %s, want 3 s", took)
		}
	})
}

func TestPaceEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	Pace{Rate: 1000, Workers: 4}.Run(ctx, func(context.Context, time.Time) { cancel() })
}
