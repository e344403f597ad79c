// Package retain is the job that removes what is past its time, and never what is
// not settled, reconciled, or still needed to tell an event from its duplicate.
//
// It works in small steps, each of which may be killed and repeated: an object of
// the bucket goes before the row that knows of it. What must stay is decided in
// package postgres; the settings here only keep things longer.
package retain

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"gocloud.dev/blob"

	"github.com/hayate-ads/hayate/internal/postgres"
)

// Settings are how long things are kept. 0 keeps them for ever.
type Settings struct {
	Events      time.Duration // segments, after they were settled
	Leases      time.Duration // leases and their de-duplication bits, after their last use; at least postgres.TokenLife
	Lost        time.Duration // how long a process that gave no sign is waited for, before leases are folded that it may have events of
	ReportHours time.Duration
	ReportDays  time.Duration
	Conversions time.Duration
	Lake        time.Duration // files of the lake
	Runs        time.Duration // runs of jobs
}

// mostRuns of one job are kept: publish alone has 5,760 a day.
const mostRuns = 1000

// step is how many rows or objects one statement or round removes.
const step = 5000

// A Sweeper is made as a literal.
type Sweeper struct {
	DB       *postgres.DB
	Bucket   *blob.Bucket
	Settings Settings
	Log      *slog.Logger
}

// sweep is one run.
type sweep struct {
	*Sweeper
	now     time.Time // bank time
	removed []string  // "3 segments", in the order of the steps
}

// Run removes what is past its time and says in one line what that was. A step
// that fails keeps none of the others from being done.
func (x *Sweeper) Run(ctx context.Context) (postgres.JobResult, error) {
	now, err := x.DB.BankNow(ctx)
	if err != nil {
		return postgres.JobResult{}, err
	}
	s := &sweep{Sweeper: x, now: now}
	var errs []error
	for _, do := range []func(context.Context) error{
		s.segments, s.processes, s.spool, s.leases, s.reports, s.lake, s.runs, s.images, s.leftovers,
	} {
		if ctx.Err() != nil {
			errs = append(errs, ctx.Err())
			break
		}
		errs = append(errs, do(ctx))
	}
	message := "nothing was past its time"
	if len(s.removed) > 0 {
		message = "removed " + strings.Join(s.removed, ", ")
	}
	err = errors.Join(errs...)
	if err != nil {
		err = fmt.Errorf("%s; %w", message, err)
	}
	return postgres.JobResult{Message: message}, err
}

// did notes what a step removed.
func (s *sweep) did(n int64, what string) {
	if n > 0 {
		s.removed = append(s.removed, fmt.Sprintf("%d %s", n, what))
	}
}

// before is the moment before which things kept for so long are past their time.
func (s *sweep) before(kept time.Duration) time.Time { return s.now.Add(-kept) }

// steps repeats one step until it finds less than it might have.
func (s *sweep) steps(ctx context.Context, what string, one func() (int64, error)) error {
	var total int64
	for {
		n, err := one()
		total += n
		if err != nil || n < step {
			s.did(total, what)
			return err
		}
		if ctx.Err() != nil {
			s.did(total, what)
			return ctx.Err()
		}
	}
}

func (s *sweep) leases(ctx context.Context) error {
	if s.Settings.Leases == 0 {
		return nil
	}
	horizon, err := s.DB.FoldHorizon(ctx, s.Settings.Leases, s.Settings.Lost)
	if err != nil {
		return err
	}
	return s.steps(ctx, "leases", func() (int64, error) {
		n, err := s.DB.FoldLeases(ctx, horizon, step)
		return int64(n), err
	})
}

func (s *sweep) reports(ctx context.Context) error {
	type kept struct {
		what   string
		kept   time.Duration
		remove func(context.Context, time.Time, int) (int64, error)
	}
	var errs []error
	if s.Settings.ReportHours > 0 {
		tables, err := s.DB.DropReportPartitions(ctx, s.before(s.Settings.ReportHours))
		s.did(int64(len(tables)), "months of hourly reports")
		errs = append(errs, err)
	}
	for _, k := range []kept{
		{"reasons", s.Settings.ReportHours, s.DB.RemoveReasons},
		{"days of reports", s.Settings.ReportDays, s.DB.RemoveReportDays},
		{"conversions", s.Settings.Conversions, s.DB.RemoveConversions},
	} {
		if k.kept > 0 {
			errs = append(errs, s.steps(ctx, k.what, func() (int64, error) { return k.remove(ctx, s.before(k.kept), step) }))
		}
	}
	return errors.Join(errs...)
}

// runs also removes what else nobody misses: sessions that are over.
func (s *sweep) runs(ctx context.Context) error {
	n, err := s.DB.Sessions().DeleteExpired(ctx)
	s.did(n, "sessions")
	if s.Settings.Runs == 0 {
		return err
	}
	return errors.Join(err, s.steps(ctx, "runs of jobs", func() (int64, error) {
		return s.DB.RemoveRuns(ctx, s.before(s.Settings.Runs), mostRuns, step)
	}))
}
