// Package reconcile is the job that recomputes a day from the event log and
// compares it with the books: ledger, reports, conversions, leases, accounts and
// the lake, to the micro (design §5, M4).
//
// It shares no code with batch/settle, which wrote the books. Its replay knows
// the rules in their plainest form and none of the bank's state; what cannot be
// told from the log, that a lease had no room left, it takes from the outcomes
// that settle kept with each segment, and checks those for sense.
package reconcile

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"gocloud.dev/blob"

	"github.com/hayate-ads/hayate/batch/segment"
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// An Auditor is made as a literal.
type Auditor struct {
	DB      *postgres.DB
	Bucket  *blob.Bucket
	Log     *slog.Logger
	Observe func(postgres.Reconciliation, int64) // told each result, and how many differences it has in all; may be nil
}

// Times of a day's proof.
const (
	day = 24 * time.Hour
	// eve is how long before a day in UTC its first event may be logged: the days
	// of advertisers begin up to 14 hours earlier, a lease a minute before its day.
	eve = day
	// aftermath is how long after a day's start its events may be logged: the days
	// of advertisers end up to 36 hours later, and tokens verify for 24 hours.
	aftermath = 3 * day
	// lookBack is how far back days are looked for that no run has compared.
	lookBack = 7 * day
)

// ErrDifferent says that the books are not what the log says. The differences
// stand in the table reconciliation and in the job's log.
var ErrDifferent = errors.New("the books differ from the event log")

// Run compares the days before today that were not compared since they last
// changed. The error is [ErrDifferent] or that of a store that could not be read.
func (x *Auditor) Run(ctx context.Context) (postgres.JobResult, error) {
	days, err := x.DB.Queries().DaysToReconcile(ctx, time.Now().UTC().Truncate(day).Add(-lookBack))
	if err != nil {
		return postgres.JobResult{}, err
	}
	var events int64
	var errs []error
	for _, d := range days {
		found, err := x.Day(ctx, d)
		if err != nil && !errors.Is(err, ErrDifferent) {
			return postgres.JobResult{}, err
		}
		errs = append(errs, err)
		events += found.Events
	}
	message := fmt.Sprintf("%d days, %d events agree", len(days), events)
	return postgres.JobResult{Message: message}, errors.Join(errs...)
}

// Day compares one UTC day, also today's, as it is at one moment, and keeps the
// result. It returns [ErrDifferent] when there are differences.
func (x *Auditor) Day(ctx context.Context, at time.Time) (postgres.Reconciliation, error) {
	at = at.UTC().Truncate(day)
	name := at.Format(time.DateOnly)
	a, err := x.compare(ctx, at)
	if err != nil {
		return postgres.Reconciliation{}, fmt.Errorf("reconcile %s: %w", name, err)
	}
	result := postgres.Reconciliation{
		Day: at, Events: a.events, Charged: a.charged, Differences: a.found.listed, Losses: a.losses,
	}
	if err := x.DB.SaveReconciliation(ctx, result); err != nil {
		return result, err
	}
	if x.Observe != nil {
		x.Observe(result, a.found.n)
	}
	for _, loss := range a.losses[:min(len(a.losses), logged)] {
		x.Log.Warn("reconcile: a segment is lost to the proof", "day", name, "segment", loss.Segment, "why", loss.Why)
	}
	if a.found.n == 0 {
		return result, nil
	}
	for _, d := range a.found.listed[:min(len(a.found.listed), logged)] {
		x.Log.Error("reconcile: the books differ from the event log", "day", name,
			"book", d.Book, "key", d.Key, "what", d.What, "log", d.Want, "book_has", d.Got)
	}
	return result, fmt.Errorf("%w: %s has %d differences, the first: %s", ErrDifferent, name, a.found.n, a.found.listed[0])
}

// logged bounds the lines of one kind that a day may log; the table has more.
const logged = 20

// compare replays the segments of a day against what the tables said when it began.
func (x *Auditor) compare(ctx context.Context, at time.Time) (*audit, error) {
	var books *postgres.Books
	var skipped []postgres.SettledSegment
	var until time.Time
	var first, final int64
	err := x.DB.Frozen(ctx, func(q postgres.Queries) error {
		last, err := q.LastConversion(ctx, at)
		if err != nil {
			return err
		}
		until = at.Add(aftermath)
		if last.After(until) {
			until = last.Add(time.Second)
		}
		if first, final, err = q.SettledBatches(ctx, at.Add(-eve), until); err != nil {
			return err
		}
		if skipped, err = q.SkippedSegments(ctx, at.Add(-eve), until); err != nil {
			return err
		}
		books, err = q.Books(ctx, at)
		return err
	})
	if err != nil {
		return nil, err
	}
	a := newAudit(at, books)
	for _, s := range skipped {
		a.lose(s, "skipped: "+s.Skipped)
	}
	// Rows of segments never change: those of batches that were settled at the frozen
	// moment can be read after it, some at a time.
	for after := first - 1; final > 0 && after < final; after += window {
		segments, err := x.DB.Queries().SettledSegments(ctx, postgres.SegmentRange{
			From: at.Add(-eve), To: until, AfterBatch: after, ThroughBatch: min(after+window, final),
		})
		if err != nil {
			return nil, err
		}
		if err := x.replayAll(ctx, a, segments); err != nil {
			return nil, err
		}
	}
	a.finish()
	return a, x.compareLake(ctx, a)
}

// window is how many batches' segments are listed at a time.
const window = 1000

// replayAll applies segments in the order in which settle did.
func (x *Auditor) replayAll(ctx context.Context, a *audit, segments []postgres.SettledSegment) (err error) {
	var b []byte
	for _, s := range segments {
		if s.Skipped != "" {
			continue // among the skipped ones
		}
		if b, err = x.replay(ctx, a, s, b); err != nil {
			return err
		}
	}
	return nil
}

// replay applies one segment.
func (x *Auditor) replay(ctx context.Context, a *audit, s postgres.SettledSegment, b []byte) ([]byte, error) {
	b, err := segment.Read(ctx, x.Bucket, s.Process, s.Seq, b)
	switch {
	case errors.Is(err, segment.ErrMissing):
		a.lose(s, "not in the bucket any more")
		a.incomplete = true
		return b, nil
	case err != nil:
		return b, err
	}
	name := event.SegmentName(s.Process, s.Seq)
	if sha256.Sum256(b) != s.SHA256 {
		a.found.add(postgres.Difference{Book: "segment", Key: name, What: "sha256 is another than was settled", Want: 0, Got: 1})
	}
	outcomes, err := event.ParseOutcomes(s.Outcomes)
	if err != nil {
		return b, fmt.Errorf("%s: %w", name, err)
	}
	r := replay{audit: a, segment: s, outcomes: outcomes}
	if err := segment.Records(b, s.Process, s.Seq, r.record); err != nil {
		a.found.add(postgres.Difference{Book: "segment", Key: name, What: "readable: " + err.Error(), Want: 1, Got: 0})
	} else if r.n != s.Records {
		a.found.add(postgres.Difference{Book: "segment", Key: name, What: "records", Want: r.n, Got: s.Records})
	}
	return b, nil
}
