package eventlog

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/hayate-ads/hayate/internal/event"
)

// processID is a ULID of the nth process of a test.
func processID(n int) ulid.ULID {
	id := ulid.ULID{}
	_ = id.SetTime(uint64(time.Date(2026, 11, 20, 10, 0, n, 0, time.UTC).UnixMilli()))
	binary.BigEndian.PutUint64(id[8:], uint64(n))
	return id
}

// impression is a durable record that carries a number.
func impression(number uint64) *event.Record {
	return &event.Record{Type: event.Impression, Landing: event.Landing{Reservation: event.Reservation{
		LineItem: 1, Creative: 2, Placement: 3, DecidedAt: time.UnixMilli(1e12).UTC(), Generation: number,
	}}}
}

func viewable(number uint64) *event.Record {
	rec := impression(number)
	rec.Type = event.Viewable
	return rec
}

// testConfig is a log on a small rotation, its clock the test's.
func testConfig(process ulid.ULID, bucket *fakeBucket) Config {
	return Config{Dir: "log", Process: process, Bucket: bucket.open(), Now: time.Now, RotateEvery: 20 * time.Millisecond, ShipTimeout: time.Second}
}

// openOn opens a log on a disk, the folder made.
func openOn(t testing.TB, d disk, cfg Config) *Log {
	t.Helper()
	if err := d.MkdirAll(cfg.Dir); err != nil {
		t.Fatal(err)
	}
	l, err := open(cfg, d)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// closeAll closes a log, which must ship everything within a minute.
func closeAll(t testing.TB, l *Log) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := l.Close(ctx); err != nil {
		t.Fatal(err)
	}
}

// tally is what callers know: what they asked to log, and what was acknowledged.
type tally struct {
	mu    sync.Mutex
	asked map[uint64]bool
	acked map[uint64]bool
}

func newTally() *tally { return &tally{asked: map[uint64]bool{}, acked: map[uint64]bool{}} }

func (c *tally) append(l *Log, number uint64) error {
	c.mu.Lock()
	c.asked[number] = true
	c.mu.Unlock()
	err := l.Append(impression(number))
	if err == nil {
		c.mu.Lock()
		c.acked[number] = true
		c.mu.Unlock()
	}
	return err
}

func (c *tally) clone() *tally {
	c.mu.Lock()
	defer c.mu.Unlock()
	return &tally{asked: maps.Clone(c.asked), acked: maps.Clone(c.acked)}
}

// fullSize is the size of a test whose full one is for PROOF=1.
func fullSize(normal, full int) int {
	if os.Getenv("PROOF") != "" {
		return full
	}
	return normal
}

var errNoStream = errors.New("no stream")

// streamOf reads a process's whole stream from a bucket's objects and checks
// its form: sequences without a gap, every segment sealed, log times that do
// not go back, END once and last.
func streamOf(objects map[string][]byte, process ulid.ULID) ([]event.Record, error) {
	prefix := strings.TrimSuffix(event.SegmentName(process, 0), "0000000000")
	var names []string
	for _, name := range slices.Sorted(maps.Keys(objects)) {
		if strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	var all []event.Record
	for i, name := range names {
		seq := uint64(i + event.FirstSeq)
		if want := event.SegmentName(process, seq); name != want {
			return nil, fmt.Errorf("found %s where %s is due", name, want)
		}
		r, err := event.NewReader(objects[name], process, seq)
		var rec event.Record
		for ok := err == nil; ok; {
			if ok, err = r.Next(&rec); ok {
				all = append(all, rec)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	for i, rec := range all {
		if i > 0 && rec.At.Before(all[i-1].At) {
			return nil, fmt.Errorf("record %d is logged at %v, after %v", i, rec.At, all[i-1].At)
		}
		if (rec.Type == event.End) != (i == len(all)-1) {
			return nil, fmt.Errorf("record %d of %d is of type %d", i, len(all), rec.Type)
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%w: %s among %d objects", errNoStream, process, len(objects))
	}
	return all, nil
}

// check holds a stream against what callers know: all that was acknowledged is
// there, nothing is there twice, and nothing that nobody asked for.
func (c *tally) check(streams ...[]event.Record) error {
	seen := map[uint64]bool{}
	for _, stream := range streams {
		for _, rec := range stream {
			number := rec.Landing.Reservation.Generation
			switch {
			case rec.Type != event.Impression:
			case seen[number]:
				return fmt.Errorf("event %d is there twice", number)
			case !c.asked[number]:
				return fmt.Errorf("event %d is there, and nobody logged it", number)
			default:
				seen[number] = true
			}
		}
	}
	for number := range c.acked {
		if !seen[number] {
			return fmt.Errorf("event %d was acknowledged, and is lost", number)
		}
	}
	return nil
}
