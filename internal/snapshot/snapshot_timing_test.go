package snapshot_test

import (
	"testing"

	"github.com/hayate-ads/hayate/internal/snapshot"
	"github.com/hayate-ads/hayate/internal/snapshot/snapshottest"
)

func BenchmarkParse100k(b *testing.B) {
	file := snapshot.Append(nil, snapshottest.Make(1, 100_000))
	b.SetBytes(int64(len(file)))
	b.ReportAllocs()
	for b.Loop() {
		s, err := snapshot.Parse(file, snapshot.Limits{})
		if err != nil || len(s.LineItems) != 100_000 {
			b.Fatal(len(s.LineItems), err)
		}
	}
}

func BenchmarkAppend100k(b *testing.B) {
	s := snapshottest.Make(1, 100_000)
	var file []byte
	b.ReportAllocs()
	for b.Loop() {
		file = snapshot.Append(file[:0], s)
		if len(file) < 1_000_000 {
			b.Fatal(len(file))
		}
	}
	b.SetBytes(int64(len(file)))
}
