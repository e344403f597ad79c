package eventlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/blob/fileblob"

	"github.com/hayate-ads/hayate/internal/event"
)

// TestBucketFaults: whatever a bucket does for a while, every event arrives
// once, after some time without faults.
func TestBucketFaults(t *testing.T) {
	t.Parallel()
	f := func(name string, which ...fault) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			bucket, known := newFakeBucket(), newTally()
			random := rand.New(rand.NewPCG(3, 3))
			bucket.setFault(func(string) fault { return which[random.IntN(len(which))] })
			l := openOn(t, newCrashDisk(), testConfig(processID(1), bucket))
			for number := range uint64(60) {
				if err := known.append(l, number); err != nil {
					t.Errorf("%s: append: %v", name, err)
				}
				time.Sleep(5 * time.Millisecond)
			}
			if segments, bytes := l.Backlog(); len(which) == 1 && (segments < 10 || bytes == 0) {
				t.Errorf("%s: backlog %d segments, %d bytes", name, segments, bytes)
			}
			bucket.setFault(func(string) fault { return fine })
			time.Sleep(5 * time.Second)
			if segments, bytes := l.Backlog(); segments > 0 || bytes > 0 {
				t.Errorf("%s: backlog %d segments, %d bytes after five good seconds", name, segments, bytes)
			}
			closeAll(t, l)
			checkShipped(t, bucket, known, l)
		})
	}
	f("away", refuse)
	f("hanging", hang)
	f("flaky", fine, refuse, unheard, hang)
	f("answers lost", fine, unheard)
	f("flipping bits", fine, flip)
}

// TestBucketHasOtherBytes: create-once never overwrites a whole segment.
func TestBucketHasOtherBytes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bucket := newFakeBucket()
		w := event.NewWriter(processID(1), 1)
		rec := event.Record{Type: event.End, At: time.Now()}
		other := w.AppendFooter(w.AppendRecord(w.AppendHeader(nil), &rec))
		key := event.SegmentName(processID(1), 1)
		bucket.objects[key] = other
		l := openOn(t, newCrashDisk(), testConfig(processID(1), bucket))
		if err := l.Append(impression(1)); err != nil {
			t.Error(err)
		}
		closeAll(t, l)
		if !bytes.Equal(bucket.objects[key], other) || l.Stats().Quarantined != 1 {
			t.Errorf("overwritten %t, %d quarantined", !bytes.Equal(bucket.objects[key], other), l.Stats().Quarantined)
		}
	})
}

// TestCloseSaysWhatIsLeft: with the bucket away, Close ends with its context,
// and the next start ships what it left.
func TestCloseSaysWhatIsLeft(t *testing.T) {
	t.Parallel()
	for _, away := range []fault{refuse, hang} {
		synctest.Test(t, func(t *testing.T) {
			d, bucket, known := newCrashDisk(), newFakeBucket(), newTally()
			bucket.setFault(func(string) fault { return away })
			l := openOn(t, d, testConfig(processID(1), bucket))
			if err := known.append(l, 1); err != nil {
				t.Error(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			err := l.Close(ctx)
			if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "1 segments (") || !strings.Contains(err.Error(), "log") {
				t.Errorf("error %v", err)
			}
			if err := l.Append(impression(2)); !errors.Is(err, ErrClosed) {
				t.Errorf("append after close: %v", err)
			}
			if err := l.Close(ctx); !errors.Is(err, ErrClosed) {
				t.Errorf("second close: %v", err)
			}
			bucket.setFault(func(string) fault { return fine })
			next := openOn(t, d, testConfig(processID(2), bucket))
			closeAll(t, next)
			checkShipped(t, bucket, known, next)
		})
	}
}

// openFolder opens a file:// bucket with the options that the services use.
func openFolder(dir string) (*blob.Bucket, error) {
	return fileblob.OpenBucket(dir, &fileblob.Options{CreateDir: true, NoTempDir: true, Metadata: fileblob.MetadataDontWrite})
}

func folderBucket(t testing.TB, dir string) *blob.Bucket {
	t.Helper()
	b, err := openFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// readFolder reads a folder bucket's objects.
func readFolder(dir string) (map[string][]byte, error) {
	objects := map[string][]byte{}
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() || strings.HasSuffix(path, ".tmp") {
			return err
		}
		key, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		objects[key], err = os.ReadFile(path)
		return err
	})
	return objects, err
}

func objectsOf(t testing.TB, dir string) map[string][]byte {
	t.Helper()
	objects, err := readFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

// shippedAll closes a log of process 1 and holds its stream against what is known.
func shippedAll(l *Log, bucketDir string, known *tally) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := l.Close(ctx); err != nil {
		return err
	}
	objects, err := readFolder(bucketDir)
	if err != nil {
		return err
	}
	stream, err := streamOf(objects, processID(1))
	if err != nil {
		return err
	}
	if n := l.Stats().Quarantined; n > 0 {
		return fmt.Errorf("%d segments quarantined", n)
	}
	return known.check(stream)
}

// TestFolderBucket is the whole way on a real disk, with the folder out of
// reach for a while.
func TestFolderBucket(t *testing.T) {
	t.Parallel()
	dir, known := t.TempDir(), newTally()
	objects := filepath.Join(dir, "bucket")
	bucket := folderBucket(t, objects)
	events := filepath.Join(objects, "events")
	if err := os.WriteFile(events, nil, 0o600); err != nil { // a file where the folder would be
		t.Fatal(err)
	}
	l, err := Open(Config{Dir: filepath.Join(dir, "log"), Process: processID(1), Bucket: bucket, Now: time.Now, RotateEvery: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for worker := range uint64(8) {
		group.Go(func() {
			for i := range uint64(25) {
				if err := known.append(l, worker*100+i); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	if err := os.Remove(events); err != nil {
		t.Fatal(err)
	}
	if err := shippedAll(l, objects, known); err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(filepath.Join(dir, "log")); len(left) != 1 || left[0].Name() != "lock" {
		t.Errorf("left in the log folder: %v", left)
	}
}

// TestFolderBucketTorn: a power cut may leave an object that was renamed before
// it was on disk. It is replaced; a whole one would not be.
func TestFolderBucketTorn(t *testing.T) {
	t.Parallel()
	f := func(name string, torn []byte) {
		t.Helper()
		dir := t.TempDir()
		objects := filepath.Join(dir, "bucket")
		path := filepath.Join(objects, event.SegmentName(processID(1), 1))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o750), os.WriteFile(path, torn, 0o600)); err != nil {
			t.Fatal(err)
		}
		l, err := Open(Config{Dir: filepath.Join(dir, "log"), Process: processID(1), Bucket: folderBucket(t, objects), Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		known := newTally()
		if err := known.append(l, 1); err != nil {
			t.Error(err)
		}
		if err := shippedAll(l, objects, known); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	w := event.NewWriter(processID(1), 1)
	f("empty", nil)
	f("zeros", make([]byte, 200))
	f("half", w.AppendHeader(nil))
}
