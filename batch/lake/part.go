package lake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"github.com/hayate-ads/hayate/internal/bucket"
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// part is one part of an hour while it is written: a file of events and one of
// counts of requests. A file without a row is never begun.
type part struct {
	w        *Writer
	ctx      context.Context // of the one call of write that it lives for
	of       postgres.LakePart
	end      time.Time
	rows     rows
	rec      event.Record
	events   *file[Event]
	requests *file[RequestCount]
}

// write makes a part's files from its segments and notes that they are there. It
// says what it wrote, which is nothing when there is an error.
func (w *Writer) write(ctx context.Context, of postgres.LakePart) (tally, error) {
	end := of.Hour.Add(time.Hour)
	segments, err := w.DB.Queries().SettledSegments(ctx, postgres.SegmentRange{
		From: of.Hour, To: end, AfterBatch: of.AfterBatch, ThroughBatch: of.ThroughBatch,
	})
	if err != nil {
		return tally{}, err
	}
	p := &part{w: w, ctx: ctx, of: of, end: end}
	f := fetcher{bucket: w.Bucket, readers: or(w.Readers, standardReaders), ahead: or(w.Ahead, standardAhead)}
	if err := f.each(ctx, settled(segments), p.add); err != nil {
		return tally{}, errors.Join(err, p.abort())
	}
	done, err := p.close()
	if err != nil {
		return tally{}, err
	}
	return done, w.DB.WroteLakePart(ctx, of, done.events, done.bytes)
}

// settled leaves out what an operator gave up: nobody can read that.
func settled(segments []postgres.SettledSegment) []postgres.SettledSegment {
	kept := segments[:0]
	for _, s := range segments {
		if s.Skipped == "" {
			kept = append(kept, s)
		}
	}
	return kept
}

// add writes what a segment says of the hour.
func (p *part) add(s postgres.SettledSegment, body []byte) error {
	outcomes, err := event.ParseOutcomes(s.Outcomes)
	if err != nil {
		return fmt.Errorf("%s: %w", event.SegmentName(s.Process, s.Seq), err)
	}
	r, err := event.NewReader(body, s.Process, s.Seq)
	if err != nil {
		return fmt.Errorf("%s: %w", event.SegmentName(s.Process, s.Seq), err)
	}
	for {
		index := uint32(r.Records())
		ok, err := r.Next(&p.rec)
		if err != nil {
			return fmt.Errorf("%s: %w", event.SegmentName(s.Process, s.Seq), err)
		}
		if !ok {
			return nil
		}
		var outcome event.Outcome
		if len(outcomes) > 0 && outcomes[0].Index == index {
			outcome, outcomes = outcomes[0], outcomes[1:]
		}
		if p.rec.At.Before(p.of.Hour) || !p.rec.At.Before(p.end) {
			continue
		}
		if err := p.record(s, outcome); err != nil {
			return err
		}
	}
}

// record writes the record just read, if it is of a kind that the lake holds.
func (p *part) record(s postgres.SettledSegment, outcome event.Outcome) error {
	switch {
	case p.rec.Type.IsLanding():
		if p.events == nil {
			p.events = create[Event](p.ctx, p.w.Bucket, name(eventsTable, p.of), p.w.rowGroup(), "line_item", "lease")
		}
		if p.rows.fill(p.events.next(), &p.rec, outcome) {
			return p.events.keep()
		}
	case p.rec.Type == event.Requests && outcome.Fate == event.Counted:
		if p.requests == nil {
			p.requests = create[RequestCount](p.ctx, p.w.Bucket, name(requestsTable, p.of), p.w.rowGroup())
		}
		p.rows.count(p.requests.next(), s.Process, &p.rec)
		return p.requests.keep()
	}
	return nil
}

func (p *part) abort() (err error) {
	if p.events != nil {
		err = p.events.abort()
	}
	if p.requests != nil {
		err = errors.Join(err, p.requests.abort())
	}
	return err
}

// close ends both files and makes them durable, before anybody says that they are.
func (p *part) close() (tally, error) {
	done := tally{hours: map[time.Time]bool{p.of.Hour: true}, parts: 1}
	if p.events != nil {
		done.events = p.events.rows
		n, err := finish(p, p.events, name(eventsTable, p.of))
		if err != nil {
			if p.requests != nil {
				err = errors.Join(err, p.requests.abort())
			}
			return tally{}, err
		}
		done.bytes += n
	}
	if p.requests != nil {
		n, err := finish(p, p.requests, name(requestsTable, p.of))
		if err != nil {
			return tally{}, err
		}
		done.bytes += n
	}
	return done, nil
}

// finish ends one file and returns its size.
func finish[T any](p *part, f *file[T], key string) (int64, error) {
	if f.rows == 0 { // nothing in it was counted
		return 0, f.abort()
	}
	if err := f.close(); err != nil {
		return 0, fmt.Errorf("write %s: %w", key, err)
	}
	if err := p.w.tidy(p.ctx, key); err != nil {
		return 0, err
	}
	return f.counted.n, bucket.Sync(p.ctx, p.w.Bucket, key)
}

// tidy removes what runs that were killed left beside key in a folder: files
// that were to become it.
func (w *Writer) tidy(ctx context.Context, key string) error {
	objects := w.Bucket.List(&blob.ListOptions{Prefix: key + "."})
	for {
		object, err := objects.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = w.Bucket.Delete(ctx, object.Key)
		}
		if err != nil && gcerrors.Code(err) != gcerrors.NotFound {
			return fmt.Errorf("tidy up beside %s: %w", key, err)
		}
	}
}
