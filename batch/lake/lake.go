// Package lake is the job that writes settled events as Parquet, for analysis by
// other tools. docs/lake.md is what it promises them.
//
// What stands in the lake follows from the segments and from what settle noted of
// them, in the order in which they were settled, and from nothing else. An hour
// of log time is written once the watermark has passed it; what comes later is
// another part. Every part is a row in Postgres first and a file then, so a run
// that dies leaves work for the next one and neither a hole nor a duplicate.
package lake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"gocloud.dev/blob"

	"github.com/hayate-ads/hayate/internal/postgres"
)

// Defaults of a Writer.
const (
	standardRowGroup = 250_000
	standardReaders  = 16
	standardAhead    = 16 << 20
)

// A Writer is made as a literal. Its Run is not for two goroutines at once.
type Writer struct {
	DB     *postgres.DB
	Bucket *blob.Bucket
	Log    *slog.Logger

	Currency string // of all amounts, ISO 4217; it stands beside the names

	RowGroup int   // rows in one row group; they are compressed in memory; 0: 250,000
	Readers  int   // segments read at once, since a bucket takes its time; 0: 16
	Ahead    int64 // bytes of segments in memory, roughly; 0: 16 MiB
}

// Run writes the parts that are due and says in one line what it did. A part
// that fails does not keep the others from being written; it is tried again by
// the next run. The lag is the time since the moment before which the lake is complete.
func (w *Writer) Run(ctx context.Context) (postgres.JobResult, error) {
	plan, err := w.DB.PlanLake(ctx, func(added []postgres.LakePart) error { return w.sweep(ctx, added) })
	if err != nil {
		return postgres.JobResult{}, err
	}
	for _, s := range plan.Skipped {
		w.log().Warn("a segment that was given up is missing in the lake", "process", s.Process, "segment", s.Seq, "why", s.Why)
	}
	var total tally
	var errs []error
	complete := plan.Complete
	for _, part := range plan.Parts {
		done, err := w.write(ctx, part)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s part %d: %w", part.Hour.Format(time.RFC3339), part.Part, err))
			complete = earlier(complete, part.Hour)
		}
		total.add(done)
		if ctx.Err() != nil {
			break
		}
	}
	if err := w.finish(ctx, total, complete); err != nil && ctx.Err() == nil {
		errs = append(errs, err)
	}
	return result(plan, total, complete), errors.Join(errs...)
}

// finish writes what stands beside the events: the names, whenever there is
// something new that they could name, and how far the lake is complete.
func (w *Writer) finish(ctx context.Context, total tally, complete time.Time) error {
	if complete.IsZero() || ctx.Err() != nil {
		return nil
	}
	if total.parts > 0 {
		if err := w.dimensions(ctx); err != nil {
			return fmt.Errorf("dimensions: %w", err)
		}
	}
	return w.announce(ctx, complete)
}

// tally is what a run wrote.
type tally struct {
	hours  map[time.Time]bool
	parts  int
	events int64
	bytes  int64
}

func (t *tally) add(other tally) {
	if t.hours == nil {
		t.hours = map[time.Time]bool{}
	}
	for hour := range other.hours {
		t.hours[hour] = true
	}
	t.parts += other.parts
	t.events += other.events
	t.bytes += other.bytes
}

func result(plan postgres.LakePlan, total tally, complete time.Time) postgres.JobResult {
	if complete.IsZero() {
		return postgres.JobResult{Message: "nothing was ever settled"}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d hours, %d parts, %d events, %d bytes; complete before %s",
		len(total.hours), total.parts, total.events, total.bytes, complete.Format(time.RFC3339))
	if left := len(plan.Parts) - total.parts; left > 0 {
		fmt.Fprintf(&b, ", %d parts not written", left)
	}
	return postgres.JobResult{Message: b.String(), Lag: plan.Now.Sub(complete)}
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func (w *Writer) log() *slog.Logger {
	if w.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return w.Log
}

func (w *Writer) rowGroup() int { return or(w.RowGroup, standardRowGroup) }

func or[T int | int64](value, standard T) T {
	if value <= 0 {
		return standard
	}
	return value
}

// sweep removes what lies in these parts' hours under their numbers or above.
// There is something only when the database is an older copy that was brought up
// to date again: the parts that it had forgotten are written anew, otherwise cut.
func (w *Writer) sweep(ctx context.Context, added []postgres.LakePart) error {
	for _, part := range added {
		for _, table := range [...]string{eventsTable, requestsTable} {
			if err := w.sweepFolder(ctx, table, part); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *Writer) sweepFolder(ctx context.Context, table string, first postgres.LakePart) error {
	objects := w.Bucket.List(&blob.ListOptions{Prefix: folder(table, first.Hour)})
	for {
		object, err := objects.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("list %s: %w", folder(table, first.Hour), err)
		}
		if object.Key < name(table, first) {
			continue
		}
		if err := w.Bucket.Delete(ctx, object.Key); err != nil {
			return fmt.Errorf("remove %s, which the database does not know: %w", object.Key, err)
		}
		w.log().Warn("a part of the lake that the database does not know is removed; it is written anew", "object", object.Key)
	}
}
