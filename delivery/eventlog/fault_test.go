package eventlog

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// TestEveryOperationFails lets the first, second, third … disk operation fail,
// until none is left: what was acknowledged is shipped, once, by the log itself,
// and also by a new start after a power cut that follows the fault.
func TestEveryOperationFails(t *testing.T) {
	t.Parallel()
	for n := int64(1); ; n++ {
		fired := false
		var cut crashPoint
		synctest.Test(t, func(t *testing.T) { fired, cut = failAt(t, n) })
		if !fired {
			t.Logf("%d operations failed, one at a time", n-1)
			return
		}
		if err := cut.recovered(t, 2, nil); err != nil {
			t.Fatalf("operation %d fails, then the power: %v", n, err)
		}
	}
}

// failAt runs a log whose nth operation fails.
func failAt(t *testing.T, n int64) (fired bool, cut crashPoint) {
	d, bucket, known := newCrashDisk(), newFakeBucket(), newTally()
	random := rand.New(rand.NewPCG(uint64(n), 2))
	var ops atomic.Int64
	later := n + 1 + random.Int64N(12) // the power goes then, or at the end
	failed := ""
	l := openOn(t, d, testConfig(processID(1), bucket))
	d.before = func(op string) error {
		switch ops.Add(1) {
		case n:
			failed = op
			return syscall.EIO
		case later:
			cut = crashPoint{d.crash(random), bucket.clone(), newFakeSpool(), known.clone(), op}
		}
		return nil
	}
	var group sync.WaitGroup
	for worker := range uint64(3) {
		group.Go(func() {
			for i := range uint64(8) {
				if err := known.append(l, worker*100+i); err != nil && !errors.Is(err, ErrUnavailable) {
					t.Error(err)
				}
				time.Sleep(time.Duration(3+worker) * time.Millisecond)
			}
		})
	}
	group.Wait()
	closeAll(t, l)
	d.before = func(string) error { return nil }
	stream, err := streamOf(bucket.clone().objects, processID(1))
	if err == nil {
		err = known.check(stream)
	}
	if err != nil || l.Stats().Quarantined > 0 {
		t.Errorf("operation %d, %s, fails: %d quarantined, %v", n, failed, l.Stats().Quarantined, err)
	}
	if cut.disk == nil {
		cut = crashPoint{d.crash(random), bucket.clone(), newFakeSpool(), known.clone(), "the end"}
	}
	return failed != "", cut
}

// TestDiskFull: durable records are refused at once, and taken again within two
// seconds after there is space.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d, bucket, known := newCrashDisk(), newFakeBucket(), newTally()
		bucket.setFault(func(string) fault { return refuse })
		d.setQuota(8 << 10)
		l := openOn(t, d, testConfig(processID(1), bucket))
		number := uint64(0)
		for l.Writable() == nil {
			number++
			_ = known.append(l, number)
		}
		before := time.Now()
		if err := known.append(l, 1e6); !errors.Is(err, ErrUnavailable) || !errors.Is(err, syscall.ENOSPC) || time.Since(before) > 0 {
			t.Errorf("on a full disk: %v, after %v", err, time.Since(before))
		}
		if err := l.Append(viewable(1)); err != nil || l.Stats().Dropped == 0 {
			t.Errorf("telemetry on a full disk: %v, %d dropped", err, l.Stats().Dropped)
		}
		time.Sleep(10 * time.Second)
		if l.Writable() == nil {
			t.Error("writable without space")
		}
		d.setQuota(1 << 20)
		time.Sleep(2 * time.Second)
		if err := errors.Join(l.Writable(), known.append(l, 1e6+1)); err != nil {
			t.Errorf("two seconds after there is space: %v", err)
		}
		bucket.setFault(func(string) fault { return fine })
		closeAll(t, l)
		checkShipped(t, bucket, known, l)
	})
}

// TestDiskFullOfBacklog: the bucket is away until the log has filled its own
// disk. When it is back, shipping makes the space; nobody else has to.
func TestDiskFullOfBacklog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d, bucket, known := newCrashDisk(), newFakeBucket(), newTally()
		bucket.setFault(func(string) fault { return refuse })
		d.setQuota(4000)
		cfg := testConfig(processID(1), bucket)
		cfg.RotateEvery = time.Hour // one segment, which alone fills the disk: not even its footer fits
		l := openOn(t, d, cfg)
		for number := uint64(1); l.Writable() == nil; number++ {
			_ = known.append(l, number)
		}
		if segments, bytes := l.Backlog(); segments != 1 || bytes == 0 {
			t.Errorf("backlog %d segments, %d bytes", segments, bytes)
		}
		bucket.setFault(func(string) fault { return fine })
		time.Sleep(3 * time.Second)
		if err := errors.Join(l.Writable(), known.append(l, 1e6)); err != nil {
			t.Errorf("after the bucket came back: %v", err)
		}
		closeAll(t, l)
		checkShipped(t, bucket, known, l)
	})
}

// TestOpenOnFullDisk: a start on a disk that its predecessor filled succeeds,
// ships what lies there, and is writable after.
func TestOpenOnFullDisk(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d, bucket, known := newCrashDisk(), newFakeBucket(), newTally()
		bucket.setFault(func(string) fault { return refuse })
		d.setQuota(4000)
		first := openOn(t, d, testConfig(processID(1), bucket))
		for number := uint64(1); first.Writable() == nil; number++ {
			_ = known.append(first, number)
		}
		left := d.crash(rand.New(rand.NewPCG(1, 1)))
		left.setQuota(left.root.size())
		healthy := bucket.clone()
		second := openOn(t, left, testConfig(processID(2), healthy))
		time.Sleep(3 * time.Second)
		if err := second.Append(impression(1e6)); err != nil {
			t.Error(err)
		}
		closeAll(t, second)
		checkShipped(t, healthy, known, second)
		bucket.setFault(func(string) fault { return fine })
		closeAll(t, first)
	})
}

func checkShipped(t *testing.T, bucket *fakeBucket, known *tally, l *Log) {
	t.Helper()
	stream, err := streamOf(bucket.clone().objects, processID(1))
	if err == nil {
		err = known.check(stream)
	}
	if err != nil || l.Stats().Quarantined > 0 {
		t.Errorf("%d quarantined, %v", l.Stats().Quarantined, err)
	}
}

// TestNoRoomForFolder: not even the stream's folder can be made at the start.
func TestNoRoomForFolder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d, bucket, known := newCrashDisk(), newFakeBucket(), newTally()
		if err := d.MkdirAll("log"); err != nil {
			t.Fatal(err)
		}
		var isFull atomic.Bool
		isFull.Store(true)
		d.before = func(op string) error {
			if isFull.Load() && op == "mkdir" {
				return syscall.ENOSPC
			}
			return nil
		}
		l, err := open(testConfig(processID(1), bucket), d)
		if err != nil {
			t.Fatal(err)
		}
		for number := uint64(1); l.Writable() == nil; number++ {
			_ = known.append(l, number)
		}
		isFull.Store(false)
		time.Sleep(2 * time.Second)
		if err := known.append(l, 1e6); err != nil {
			t.Error(err)
		}
		closeAll(t, l)
		checkShipped(t, bucket, known, l)
	})
}

// TestFolderRemoved: somebody removes the stream's folder under the log. What
// was in it is lost, and said so; what follows is not.
func TestFolderRemoved(t *testing.T) {
	t.Parallel()
	dir, known := t.TempDir(), newTally()
	logs, objects := filepath.Join(dir, "log"), filepath.Join(dir, "bucket")
	l, err := Open(Config{Dir: logs, Process: processID(1), Bucket: folderBucket(t, objects), Now: time.Now, RotateEvery: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(logs, processID(1).String())); err != nil {
		t.Fatal(err)
	}
	taken := false
	for number := uint64(1); number < 20; number++ {
		taken = known.append(l, number) == nil || taken
	}
	if err := shippedAll(l, objects, known); err != nil || !taken {
		t.Errorf("taken %t, %v", taken, err)
	}
}

// TestDiskThatDoesNotAnswer: a sync that neither ends nor fails makes the log not
// writable after five seconds: what comes then is refused at once instead of
// waiting with the rest, and it recovers with the disk.
func TestDiskThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d, bucket, known := newCrashDisk(), newFakeBucket(), newTally()
		answers := make(chan struct{})
		var hangs atomic.Bool
		d.before = func(op string) error {
			if op == "sync" && hangs.Load() {
				<-answers
			}
			return nil
		}
		l := openOn(t, d, testConfig(processID(1), bucket))
		if err := known.append(l, 1); err != nil {
			t.Fatal(err)
		}
		hangs.Store(true)
		waits := make(chan error, 1)
		go func() { waits <- l.Append(impression(2)) }()
		time.Sleep(4 * time.Second)
		if err := l.Writable(); err != nil {
			t.Errorf("after four seconds: %v", err)
		}
		time.Sleep(2 * time.Second)
		if err := l.Writable(); !errors.Is(err, ErrUnavailable) {
			t.Errorf("after six seconds: %v", err)
		}
		refused := make(chan error, 1)
		go func() { refused <- l.Append(impression(3)) }()
		select {
		case err := <-refused:
			if !errors.Is(err, ErrUnavailable) {
				t.Errorf("a record in the meantime: %v", err)
			}
		case <-time.After(time.Second):
			t.Error("a record in the meantime waits too")
			known.asked[3] = true
		}
		hangs.Store(false)
		close(answers)
		if err := <-waits; err != nil {
			t.Errorf("the record that waited: %v", err)
		}
		known.asked[2], known.acked[2] = true, true
		synctest.Wait()
		if err := errors.Join(l.Writable(), known.append(l, 4)); err != nil {
			t.Errorf("when the disk answers again: %v", err)
		}
		closeAll(t, l)
		checkShipped(t, bucket, known, l)
	})
}

// A log that may hold no more is full like a disk: it refuses, keeps what it has,
// and takes records again by itself once the bucket has taken some.
func TestMaxBytes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bucket, known := newFakeBucket(), newTally()
		bucket.setFault(func(string) fault { return refuse })
		cfg := testConfig(processID(1), bucket)
		cfg.MaxBytes = 1000
		l := openOn(t, newCrashDisk(), cfg)
		number := uint64(0)
		for ; l.Writable() == nil && number < 1000; number++ {
			_ = known.append(l, number)
			time.Sleep(5 * time.Millisecond)
		}
		if _, bytes := l.Backlog(); bytes < cfg.MaxBytes || bytes > 2*cfg.MaxBytes || l.Used() != 1 {
			t.Errorf("full with %d bytes, %v used", bytes, l.Used())
		}
		if err := known.append(l, number); !errors.Is(err, ErrUnavailable) || !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("beyond: %v", err)
		}
		bucket.setFault(func(string) fault { return fine })
		time.Sleep(2 * time.Second)
		if err := known.append(l, number+1); err != nil {
			t.Errorf("two seconds after the bucket's return: %v", err)
		}
		closeAll(t, l)
		checkShipped(t, bucket, known, l)
	})
}
