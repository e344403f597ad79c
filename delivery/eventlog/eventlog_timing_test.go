package eventlog

import (
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

// benchLog is a log on a real disk, shipping to a folder.
func benchLog(b *testing.B) *Log {
	b.Helper()
	dir := b.TempDir()
	l, err := Open(Config{
		Dir: filepath.Join(dir, "log"), Process: processID(1), Bucket: folderBucket(b, filepath.Join(dir, "bucket")), Now: time.Now,
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { closeAll(b, l) })
	return l
}

// BenchmarkAppend is 64 callers, each waiting for the disk before its next.
func BenchmarkAppend(b *testing.B) {
	const callers = 64
	l := benchLog(b)
	took := make([][]time.Duration, callers)
	b.ReportAllocs()
	b.ResetTimer()
	var group sync.WaitGroup
	for caller := range callers {
		group.Go(func() {
			rec := impression(1)
			for i := caller; i < b.N; i += callers {
				begun := time.Now()
				if err := l.Append(rec); err != nil {
					b.Error(err)
					return
				}
				took[caller] = append(took[caller], time.Since(begun))
			}
		})
	}
	group.Wait()
	b.StopTimer()
	all := slices.Concat(took...)
	slices.Sort(all)
	b.ReportMetric(float64(all[len(all)/2].Microseconds()), "p50_us")
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds()), "p99_us")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
}

// BenchmarkTelemetry is one caller that waits for nothing; what finds no room
// is dropped.
func BenchmarkTelemetry(b *testing.B) {
	l := benchLog(b)
	rec := viewable(1)
	b.ReportAllocs()
	for b.Loop() {
		if err := l.Append(rec); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(l.Stats().Dropped)/float64(b.N), "dropped")
}
