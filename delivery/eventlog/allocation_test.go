//go:build !race

package eventlog

import (
	"path/filepath"
	"testing"
	"time"
)

// TestNoAllocationPerRecord: a batch costs its group and where its callers wait,
// however many records are in it. Not parallel: it counts what all goroutines
// allocate.
func TestNoAllocationPerRecord(t *testing.T) {
	dir := t.TempDir()
	l, err := Open(Config{
		Dir: filepath.Join(dir, "log"), Process: processID(1), Bucket: folderBucket(t, filepath.Join(dir, "bucket")), Now: time.Now,
		RotateEvery: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll(t, l)
	durable, company := impression(1), viewable(2)
	f := func(records int) {
		t.Helper()
		got := testing.AllocsPerRun(20, func() {
			for range records - 1 {
				if err := l.Append(company); err != nil {
					t.Fatal(err)
				}
			}
			if err := l.Append(durable); err != nil {
				t.Fatal(err)
			}
		})
		if got > 4 {
			t.Errorf("a batch of %d records: %v allocations, want those of its group, at most 4", records, got)
		}
	}
	f(200) // grows the buffers
	f(200)
	f(1)
}
