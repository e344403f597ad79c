package eventlog

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hayate-ads/hayate/internal/event"
)

// TestRotation: a segment ends two seconds after its first record, an idle log
// makes none, and a marker alone stays behind on disk.
func TestRotation(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d, bucket := newCrashDisk(), newFakeBucket()
		cfg := testConfig(processID(1), bucket)
		cfg.RotateEvery = 0
		commits := 0
		cfg.Committed = func(time.Duration) { commits++ }
		l := openOn(t, d, cfg)
		begun := time.Now()
		f := func(objects int) {
			t.Helper()
			synctest.Wait()
			if got := len(bucket.clone().objects); got != objects {
				t.Errorf("after %v: %d objects, want %d", time.Since(begun), got, objects)
			}
		}
		time.Sleep(time.Minute)
		f(0)
		if err := l.Append(impression(1)); err != nil {
			t.Error(err)
		}
		time.Sleep(1900 * time.Millisecond)
		f(0)
		time.Sleep(200 * time.Millisecond)
		f(1)
		time.Sleep(time.Minute)
		f(1)
		if got, want := l.Stats(), (Stats{Shipped: 1}); got != want || commits != 1 {
			t.Errorf("%+v, %d commits told", got, commits)
		}
		files, _ := d.List("log/" + processID(1).String())
		if len(files) != 1 || !strings.HasSuffix(files[0].name, shipped) || files[0].size != 0 {
			t.Errorf("on disk: %v", files)
		}
		closeAll(t, l)
		f(2)
		if left, _ := d.List("log"); len(left) > 0 {
			t.Errorf("left on disk: %v", left)
		}
	})
}

// TestGroupCommit: records that come together share a sync; one alone waits a
// millisecond for company and no longer.
func TestGroupCommit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newCrashDisk()
		l := openOn(t, d, testConfig(processID(1), newFakeBucket()))
		syncs := 0
		d.before = func(op string) error {
			if op == "sync" {
				syncs++
			}
			return nil
		}
		begun := time.Now()
		done := make(chan error)
		for number := range uint64(100) {
			go func() { done <- l.Append(impression(number)) }()
		}
		for range 100 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		// The crash disk's sync takes 0.1 ms.
		if took := time.Since(begun); syncs != 1 || took != 1100*time.Microsecond {
			t.Errorf("%d syncs, %v", syncs, took)
		}
		closeAll(t, l)
	})
}

// TestTelemetry returns at once and needs no sync of its own for half a second.
func TestTelemetry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d, bucket := newCrashDisk(), newFakeBucket()
		l := openOn(t, d, testConfig(processID(1), bucket))
		syncs, free := 0, make(chan struct{})
		d.before = func(op string) error {
			if op == "sync" {
				syncs++
				<-free
			}
			return nil
		}
		begun := time.Now()
		for number := range uint64(20_000) { // none is synced meanwhile
			if err := l.Append(viewable(number)); err != nil {
				t.Error(err)
			}
		}
		close(free)
		if took, dropped := time.Since(begun), l.Stats().Dropped; took > 0 || dropped < 1 || dropped > 20_000-256 {
			t.Errorf("%v, %d dropped", took, dropped)
		}
		closeAll(t, l)
		stream, err := streamOf(bucket.clone().objects, processID(1))
		if want := 20_001 - int(l.Stats().Dropped); err != nil || len(stream) != want {
			t.Errorf("%d records instead of %d, %v", len(stream), want, err)
		}
	})
}

// TestSafe follows the heartbeat's word through a rotation.
func TestSafe(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := openOn(t, newCrashDisk(), testConfig(processID(1), newFakeBucket()))
		f := func(when string, wantAt time.Time, want uint64) {
			t.Helper()
			if at, segment := l.Safe(); !at.Equal(wantAt.Truncate(time.Microsecond)) || segment != want {
				t.Errorf("%s: %v, segment %d; want %v, %d", when, at, segment, wantAt, want)
			}
		}
		f("nothing logged", time.Now(), 0)
		time.Sleep(time.Second)
		f("still nothing", time.Now(), 0)
		rec := impression(1)
		if err := l.Append(rec); err != nil {
			t.Error(err)
		}
		time.Sleep(5 * time.Millisecond)
		f("in an open segment", rec.At, 0)
		time.Sleep(time.Second)
		f("sealed, idle", time.Now(), 1)
		closeAll(t, l)
		f("closed", time.Now(), 2)
	})
}

// TestReopen: the old stream ends, the new one begins, nothing is lost between.
func TestReopen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d, bucket, known := newCrashDisk(), newFakeBucket(), newTally()
		l := openOn(t, d, testConfig(processID(1), bucket))
		done := make(chan error)
		for worker := range uint64(4) {
			go func() {
				var err error
				for i := range uint64(40) {
					err = errors.Join(err, known.append(l, worker*100+i))
				}
				done <- err
			}()
		}
		time.Sleep(30 * time.Millisecond)
		if err := l.Reopen(processID(2)); err != nil {
			t.Error(err)
		}
		if _, segment := l.Safe(); segment != 0 {
			t.Errorf("the new stream begins behind segment %d", segment)
		}
		for range 4 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if l.Reopen(processID(2)) == nil {
			t.Error("reopened under its own id")
		}
		time.Sleep(time.Second)
		before, err := streamOf(bucket.clone().objects, processID(1)) // ended while the log goes on
		if err != nil {
			t.Error(err)
		}
		closeAll(t, l)
		after, err := streamOf(bucket.clone().objects, processID(2))
		if err == nil {
			err = known.check(before, after)
		}
		if err != nil || len(before) < 10 || len(after) < 10 || l.Stats().Quarantined > 0 {
			t.Errorf("%d and %d records, %v", len(before), len(after), err)
		}
		if l.Reopen(processID(3)) == nil {
			t.Error("reopened after close")
		}
	})
}

// TestReopenOnBrokenDisk: the old stream's END does not need the disk.
func TestReopenOnBrokenDisk(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d, bucket, known := newCrashDisk(), newFakeBucket(), newTally()
		l := openOn(t, d, testConfig(processID(1), bucket))
		if err := known.append(l, 1); err != nil {
			t.Error(err)
		}
		d.setQuota(1)
		for number := uint64(2); l.Writable() == nil; number++ {
			_ = known.append(l, number)
		}
		if err := l.Reopen(processID(2)); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second)
		checkShipped(t, bucket, known, l)
		d.setQuota(0)
		time.Sleep(2 * time.Second)
		if err := known.append(l, 1e6); err != nil {
			t.Error(err)
		}
		closeAll(t, l)
		if _, err := streamOf(bucket.clone().objects, processID(2)); err != nil {
			t.Error(err)
		}
	})
}

func TestAppendRefuses(t *testing.T) {
	t.Parallel()
	bucket := newFakeBucket()
	l := openOn(t, newCrashDisk(), testConfig(processID(1), bucket))
	f := func(name string, rec *event.Record) {
		t.Helper()
		if l.Append(rec) == nil {
			t.Errorf("%s is logged", name)
		}
	}
	f("END", &event.Record{Type: event.End})
	f("an unknown type", &event.Record{Type: 99})
	f("an impression of nothing", &event.Record{Type: event.Impression})
	closeAll(t, l)
	stream, err := streamOf(bucket.clone().objects, processID(1))
	if err != nil || len(stream) != 1 {
		t.Errorf("%d records, %v", len(stream), err)
	}
}
