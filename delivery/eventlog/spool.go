package eventlog

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/hayate-ads/hayate/internal/event"
)

// How a drain divides its time.
const (
	spoolFifths   = 2               // of what ctx leaves that are the spool's
	refusals      = 3               // puts refused in a row, after which the bucket counts as away
	drainPatience = 2 * time.Second // of one attempt once the bucket was given up: both ways get their turns
	countPatience = 5 * time.Second // of the reading that finds out what is left
)

// spooling is what a drain knows of the way around the bucket. But for due, the
// shipper's goroutine alone touches it.
type spooling struct {
	due     atomic.Bool // the bucket has had its time
	turned  bool        // segments go to the spool, if it takes them
	refused int         // puts in a row while draining
	failed  int         // attempts of either kind since turned
	bytes   int64       // spooled
	count   int         // segments spooled
}

// store brings a segment to where settle finds it: the bucket, or at the end of
// a process whose bucket is away the spool. Then every failure gives the other
// way its turn, for either may come back; what the spool has no room for is the
// bucket's alone.
func (sh *shipper) store(ctx context.Context, s *stream, seq uint64, body []byte) error {
	sp := &sh.spool
	if !sp.turned {
		err := sh.put(sh.bucketCtx, sh.cfg.ShipTimeout, s, seq, body)
		if sp.refused++; err == nil || errors.Is(err, errConflict) || !sh.isDraining() {
			sp.refused = 0
		}
		return err
	}
	var err error
	if sp.failed%2 == 1 || sp.bytes+int64(len(body)) > sh.cfg.SpoolMax {
		err = sh.put(ctx, min(drainPatience, sh.cfg.ShipTimeout), s, seq, body)
	} else {
		err = sh.spoolOne(ctx, s, seq, body)
	}
	if err != nil && !errors.Is(err, errConflict) {
		sp.failed++
	}
	return err
}

func (sh *shipper) spoolOne(ctx context.Context, s *stream, seq uint64, body []byte) error {
	// Many megabytes take their time, and a server that is away answers at once.
	ctx, cancel := context.WithTimeout(ctx, sh.cfg.ShipTimeout)
	defer cancel()
	if err := sh.cfg.Spool(ctx, s.process, seq, body); err != nil {
		return fmt.Errorf("spool %s: %w", event.SegmentName(s.process, seq), err)
	}
	sh.spool.bytes += int64(len(body))
	sh.spool.count++
	return nil
}

// turnToSpool gives the bucket up when it is time to, and lets every stream try
// the spool at once.
func (sh *shipper) turnToSpool() {
	sp := &sh.spool
	if sp.turned || sh.cfg.Spool == nil || !sp.due.Load() && sp.refused < refusals {
		return
	}
	sp.turned = true
	sh.cfg.Log.Warn("event log: the bucket does not take the rest in time; it goes to the spool in the database")
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for _, s := range sh.streams {
		s.notBefore = time.Time{}
	}
}

func (sh *shipper) isDraining() bool {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.draining
}

// drain waits until all is shipped or spooled. When ctx ends first it stops the
// shipper and says what is left.
func (sh *shipper) drain(ctx context.Context, committed <-chan struct{}) error {
	if deadline, ok := ctx.Deadline(); ok && sh.cfg.Spool != nil {
		left := time.Until(deadline)
		turn := time.AfterFunc(left-left*spoolFifths/5, func() {
			sh.spool.due.Store(true)
			sh.giveUp()
			sh.change(func() {})
		})
		defer turn.Stop()
	}
	select {
	case <-committed:
	case <-ctx.Done():
	}
	sh.change(func() { sh.draining = true })
	select {
	case <-sh.done:
		if sp := &sh.spool; sp.count > 0 {
			sh.cfg.Log.Warn("event log: the bucket was away at the end; settle takes the rest from the spool", "segments", sp.count, "bytes", sp.bytes)
		}
		return nil
	case <-ctx.Done():
	}
	sh.cancel()
	select {
	case <-sh.done:
	case <-time.After(longest): // a bucket that does not listen to its context
	}
	if sh.unended() == 0 {
		return nil
	}
	return sh.leftover(context.Cause(ctx))
}

// leftover says what is neither in the bucket nor in the spool.
func (sh *shipper) leftover(why error) error {
	where := "in the bucket"
	if sh.cfg.Spool != nil {
		where = "in the bucket or the spool"
	}
	segments, bytes := sh.backlog()
	records, exact := sh.unshipped()
	counted := fmt.Sprint(records)
	if !exact {
		counted = fmt.Sprintf("at least %d", records)
	}
	return fmt.Errorf("event log: %d segments (%d bytes, %s acknowledged records) and the end of %d streams are not %s; "+
		"they stay in %s, the next start on this folder ships them, and they are lost if the disk is: %w",
		segments, bytes, counted, sh.unended(), where, sh.cfg.Dir, why)
}

// unshipped counts the durable records of all that waits. Those of earlier
// processes are read for it; exact is false when that took too long, or a file
// is not to be read.
func (sh *shipper) unshipped() (records int, exact bool) {
	type unread struct {
		stream *stream
		segment
	}
	var files []unread
	sh.mu.Lock()
	for _, s := range sh.streams {
		for _, seg := range s.queue {
			if seg.durable >= 0 {
				records += seg.durable
				continue
			}
			files = append(files, unread{s, seg})
		}
	}
	sh.mu.Unlock()
	exact = true
	for deadline := time.Now().Add(countPatience); len(files) > 0; files = files[1:] {
		if time.Now().After(deadline) {
			return records, false
		}
		f := &files[0]
		b, err := sh.disk.ReadFile(f.stream.file(&f.segment))
		records += countDurable(b, f.stream.process, f.seq)
		exact = exact && err == nil
	}
	return records, exact
}

// countDurable counts the durable records in the valid part of b.
func countDurable(b []byte, process ulid.ULID, seq uint64) (n int) {
	r, err := event.NewReader(b, process, seq)
	var rec event.Record
	for ok := err == nil; ok; {
		if ok, _ = r.Next(&rec); ok && rec.Type.Durable() {
			n++
		}
	}
	return n
}
