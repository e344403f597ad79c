// Package batch runs the jobs that are not tied to a request: publishing
// snapshots and settling what delivery has logged. It holds the runner, the
// schedule and the wiring; each job is a package of its own below.
//
// On many machines the cluster starts one job at a time ([RunJob]); on one
// machine a process runs them all ([Schedule]). Either way a job takes an
// advisory lock, so that two never do the same work at once.
package batch

import (
	"context"
	"time"

	"github.com/hayate-ads/hayate/internal/postgres"
)

// Job is one kind of work. Its Run must be safe to repeat from any point: it may
// be killed at any time.
type Job struct {
	Name string

	// Timeout ends a run. For a follower it is the length of its turn.
	Timeout time.Duration

	// Schedule is when to start it, for cron in UTC: "@every 15s", "0 3 * * *". A
	// follower has none: it is started again as soon as it ends.
	Schedule string

	// Follow marks a job that goes on until its turn is over instead of finishing,
	// waits for its predecessor by itself, and holds a lock of its own on the
	// session with which it writes.
	Follow bool

	// Run does the work and says in one line what it did, and how far behind it is
	// if it knows.
	Run func(ctx context.Context) (postgres.JobResult, error)
}
