package eventlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/hayate-ads/hayate/internal/event"
)

// fakeSpool is a spool in memory that fails on request. What it has once taken
// it never changes.
type fakeSpool struct {
	mu      sync.Mutex
	objects map[string][]byte // by the names that a bucket would have
	fault   func() fault
	other   error // it was given other bytes for what it has
}

func newFakeSpool() *fakeSpool {
	return &fakeSpool{objects: map[string][]byte{}, fault: func() fault { return fine }}
}

func (s *fakeSpool) clone() *fakeSpool {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := newFakeSpool()
	c.objects = maps.Clone(s.objects)
	return c
}

func (s *fakeSpool) setFault(f fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = func() fault { return f }
}

func (s *fakeSpool) put(ctx context.Context, process ulid.ULID, seq uint64, body []byte) error {
	s.mu.Lock()
	f := s.fault()
	s.mu.Unlock()
	switch f {
	case refuse:
		return errFault
	case hang:
		<-ctx.Done()
		return ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	key := event.SegmentName(process, seq)
	if there, ok := s.objects[key]; ok && !bytes.Equal(there, body) {
		s.other = fmt.Errorf("%s is spooled again with other bytes", key)
	} else if !ok {
		s.objects[key] = bytes.Clone(body)
	}
	if f == unheard {
		return errFault
	}
	return nil
}

// into does what settle does: it puts what is spooled into the bucket, and finds
// the same bytes there or nothing.
func (s *fakeSpool) into(b *fakeBucket) (map[string][]byte, error) {
	objects, spooled := b.clone().objects, s.clone().objects
	for key, body := range spooled {
		if there, ok := objects[key]; ok && !bytes.Equal(there, body) {
			return nil, fmt.Errorf("bucket and spool differ in %s", key)
		}
		objects[key] = body
	}
	return objects, s.other
}

// spoolTest is a log that has events to bring somewhere, and is to be closed.
type spoolTest struct {
	disk   *crashDisk
	bucket *fakeBucket
	spool  *fakeSpool
	known  *tally
	log    *Log
}

// close closes the log with 25 s of patience, and tells how much of it was used.
func (st *spoolTest) close() (took time.Duration, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 25*time.Second)
	defer cancel()
	begun := time.Now()
	err = st.log.Close(ctx)
	return time.Since(begun), err
}

// inSpoolTest runs f on a log with a backlog of some segments, the bucket away.
func inSpoolTest(t *testing.T, away fault, max int64, f func(*testing.T, *spoolTest)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		st := &spoolTest{newCrashDisk(), newFakeBucket(), newFakeSpool(), newTally(), nil}
		st.bucket.setFault(func(string) fault { return away })
		cfg := testConfig(processID(1), st.bucket)
		cfg.Spool, cfg.SpoolMax = st.spool.put, max
		st.log = openOn(t, st.disk, cfg)
		for number := range uint64(20) {
			if err := st.known.append(st.log, number); err != nil {
				t.Fatal(err)
			}
			time.Sleep(25 * time.Millisecond)
		}
		if segments, _ := st.log.Backlog(); segments < 10 {
			t.Fatalf("a backlog of %d segments", segments)
		}
		f(t, st)
	})
}

// complete starts anew on the same disk with everything back, and wants all that
// was acknowledged in bucket and spool, once, with the same bytes in both.
func (st *spoolTest) complete(t *testing.T) {
	t.Helper()
	st.bucket.setFault(func(string) fault { return fine })
	st.spool.setFault(fine)
	next := openOn(t, st.disk, testConfig(processID(2), st.bucket))
	closeAll(t, next)
	if n := next.Stats().Quarantined; n > 0 {
		t.Errorf("%d segments quarantined", n)
	}
	if left, _ := st.disk.List("log"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	objects, err := st.spool.into(st.bucket)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := streamOf(objects, processID(1))
	if err == nil {
		err = st.known.check(stream)
	}
	if err != nil {
		t.Error(err)
	}
}

// A bucket that refuses or hangs at the end costs nothing: all goes to the spool
// in time, END too, and no file stays.
func TestSpool(t *testing.T) {
	t.Parallel()
	f := func(away fault, within time.Duration) {
		t.Helper()
		inSpoolTest(t, away, 0, func(t *testing.T, st *spoolTest) {
			took, err := st.close()
			if err != nil || took > within {
				t.Errorf("after %v: %v", took, err)
			}
			if left, _ := st.disk.List("log"); len(left) > 0 || len(st.bucket.objects) > 0 {
				t.Errorf("left behind: %v; in the bucket: %d", left, len(st.bucket.objects))
			}
			st.complete(t)
		})
	}
	f(refuse, 4*time.Second)
	f(hang, 16*time.Second)
}

// A short hiccup at the end is none of the spool's business.
func TestSpoolIsLastResort(t *testing.T) {
	t.Parallel()
	inSpoolTest(t, refuse, 0, func(t *testing.T, st *spoolTest) {
		time.AfterFunc(500*time.Millisecond, func() { st.bucket.setFault(func(string) fault { return fine }) })
		if took, err := st.close(); err != nil || len(st.spool.objects) > 0 {
			t.Errorf("after %v: %v, %d segments spooled", took, err, len(st.spool.objects))
		}
		st.complete(t)
	})
}

// Answers of the spool that are lost on the way are asked for again, or the
// bucket takes over; either way both hold the same bytes.
func TestSpoolAnswersLost(t *testing.T) {
	t.Parallel()
	inSpoolTest(t, refuse, 0, func(t *testing.T, st *spoolTest) {
		st.spool.setFault(unheard)
		time.AfterFunc(6*time.Second, func() { st.bucket.setFault(func(string) fault { return fine }) })
		if _, err := st.close(); err != nil {
			t.Error(err)
		}
		if len(st.spool.objects) == 0 || len(st.bucket.objects) == 0 {
			t.Errorf("%d segments in the spool, %d in the bucket: both are to have some", len(st.spool.objects), len(st.bucket.objects))
		}
		st.complete(t)
	})
}

// With both away, or no room in the spool, the error says exactly what is left.
func TestSpoolSaysWhatIsLeft(t *testing.T) {
	t.Parallel()
	f := func(name string, bucket, spool fault, max int64) {
		t.Helper()
		inSpoolTest(t, bucket, max, func(t *testing.T, st *spoolTest) {
			st.spool.setFault(spool)
			took, err := st.close()
			if err == nil || !errors.Is(err, context.DeadlineExceeded) || took > 27*time.Second {
				t.Fatalf("%s: after %v: %v", name, took, err)
			}
			spooled := 0
			for _, body := range st.spool.objects {
				spooled += len(body)
			}
			files, size, records := st.files(t)
			want := fmt.Sprintf("%d segments (%d bytes, %d acknowledged records) and the end of 1 streams", files, size, records)
			if !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "log, ") {
				t.Errorf("%s: %v; want %q", name, err, want)
			}
			if max > 0 && (spooled == 0 || int64(spooled) > max) {
				t.Errorf("%s: %d bytes spooled", name, spooled)
			}
			st.complete(t)
		})
	}
	f("both refuse", refuse, refuse, 0)
	f("both hang", hang, hang, 0)
	f("the spool's answers are lost", refuse, unheard, 0)
	f("little room", refuse, fine, 1000)
}

// files counts the segments on disk, their bytes and durable records.
func (st *spoolTest) files(t *testing.T) (files, size, records int) {
	t.Helper()
	dir := "log/" + processID(1).String()
	left, err := st.disk.List(dir)
	for _, e := range left {
		seq, _, ending, ok := parseName(e.name)
		if !ok || ending != sealed && ending != opened {
			continue
		}
		b, readErr := st.disk.ReadFile(dir + "/" + e.name)
		err = errors.Join(err, readErr)
		files, size, records = files+1, size+len(b), records+countDurable(b, processID(1), seq)
	}
	if err != nil || records == 0 {
		t.Fatalf("%d records on disk, %v", records, err)
	}
	return files, size, records
}

// What an earlier process left is counted from its files.
func TestSpoolCountsOldStreams(t *testing.T) {
	t.Parallel()
	inSpoolTest(t, refuse, 0, func(t *testing.T, st *spoolTest) {
		st.spool.setFault(refuse)
		if _, err := st.close(); err == nil {
			t.Fatal("closed with nothing that takes segments")
		}
		cfg := testConfig(processID(2), st.bucket)
		cfg.Spool = st.spool.put
		st.log = openOn(t, st.disk, cfg)
		if err := st.known.append(st.log, 100); err != nil {
			t.Error(err)
		}
		if _, err := st.close(); err == nil || !strings.Contains(err.Error(), " 23 acknowledged records) and the end of 2 streams") {
			t.Errorf("%v; want the 20 events and END of the first process, an event and END of the second", err)
		}
	})
}
