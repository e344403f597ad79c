package target_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/hayate-ads/hayate/delivery/target"
	"github.com/hayate-ads/hayate/delivery/target/workload"
)

var mixes = []struct {
	name string
	mix  workload.Mix
}{{"network", workload.Network}, {"publisher", workload.Publisher}}

func newTrial(tb testing.TB, seed uint64, mix workload.Mix, n int) *workload.Trial {
	tb.Helper()
	t, err := workload.NewTrial(seed, mix, n, 1000)
	if err != nil {
		tb.Fatal(err)
	}
	return t
}

func BenchmarkQuestions(b *testing.B) {
	for _, m := range mixes {
		for _, n := range []int{10_000, 100_000, 1_000_000} {
			if testing.Short() && n > 100_000 {
				continue
			}
			t := newTrial(b, 1, m.mix, n)
			b.Logf("%s %d: built in %.2f s, %d bytes a row", m.name, n, t.BuildSeconds, t.BuildBytes/uint64(n))
			var scan target.Scan
			b.Run(fmt.Sprintf("%s/%d/best/index", m.name, n), func(b *testing.B) {
				b.ReportAllocs()
				for i := 0; b.Loop(); i = (i + 1) % len(t.Asked) {
					t.Best(&scan, i)
				}
			})
			b.Run(fmt.Sprintf("%s/%d/best/ordered", m.name, n), func(b *testing.B) {
				for i := 0; b.Loop(); i = (i + 1) % len(t.Asked) {
					t.Yardstick.Best(t.Asked[i])
				}
			})
			b.Run(fmt.Sprintf("%s/%d/value/index", m.name, n), func(b *testing.B) {
				b.ReportAllocs()
				for i := 0; b.Loop(); i = (i + 1) % len(t.Asked) {
					t.Value(&scan, i)
				}
			})
			b.Run(fmt.Sprintf("%s/%d/value/ordered", m.name, n), func(b *testing.B) {
				for i := 0; b.Loop(); i = (i + 1) % len(t.Asked) {
					t.Yardstick.Value(i, t.Asked[i])
				}
			})
			var found []uint32
			b.Run(fmt.Sprintf("%s/%d/all/index", m.name, n), func(b *testing.B) {
				b.ReportAllocs()
				for i := 0; b.Loop(); i = (i + 1) % len(t.Asked) {
					found = t.All(&scan, i, found[:0])
				}
			})
			b.Run(fmt.Sprintf("%s/%d/all/full", m.name, n), func(b *testing.B) {
				for i := 0; b.Loop(); i = (i + 1) % len(t.Asked) {
					found = t.Yardstick.All(t.Asked[i], found[:0])
				}
			})
		}
	}
}

// TestTrial holds index and yardstick against each other.
func TestTrial(t *testing.T) {
	t.Parallel()
	for _, m := range mixes {
		for _, n := range []int{300, 10_000} {
			trial := newTrial(t, 7, m.mix, n)
			var scan target.Scan
			for i, asked := range trial.Asked {
				if got, want := trial.Best(&scan, i), trial.Yardstick.Best(asked); got != want {
					t.Fatalf("%s, %d, request %d: best %d, want %d", m.name, n, i, got, want)
				}
				if got, want := trial.Value(&scan, i), trial.Yardstick.Value(i, asked); got != want {
					t.Fatalf("%s, %d, request %d: value %d, want %d", m.name, n, i, got, want)
				}
				if got, want := trial.All(&scan, i, nil), trial.Yardstick.All(asked, nil); !slices.Equal(got, want) {
					t.Fatalf("%s, %d, request %d: all %v, want %v", m.name, n, i, got, want)
				}
			}
		}
	}
}
