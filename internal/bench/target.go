package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hayate-ads/hayate/delivery/target"
	"github.com/hayate-ads/hayate/delivery/target/workload"
)

// targets are the figures of the targeting index on the standard workload: how
// many times as fast as the simple way it answers, best, value and all.
var targets = []figure{
	{targetNames("network", "10k"), func(ctx context.Context, b *bench) error {
		return b.target(ctx, workload.Network, "network", 10_000, "10k")
	}},
	{targetNames("network", "100k"), func(ctx context.Context, b *bench) error {
		return b.target(ctx, workload.Network, "network", 100_000, "100k")
	}},
	{targetNames("network", "1m"), func(ctx context.Context, b *bench) error {
		return b.target(ctx, workload.Network, "network", 1_000_000, "1m")
	}},
	{targetNames("publisher", "10k"), func(ctx context.Context, b *bench) error {
		return b.target(ctx, workload.Publisher, "publisher", 10_000, "10k")
	}},
	{targetNames("publisher", "100k"), func(ctx context.Context, b *bench) error {
		return b.target(ctx, workload.Publisher, "publisher", 100_000, "100k")
	}},
	{targetNames("publisher", "1m"), func(ctx context.Context, b *bench) error {
		return b.target(ctx, workload.Publisher, "publisher", 1_000_000, "1m")
	}},
}

func targetNames(mix, size string) []string {
	names := []string{"target." + mix + "_best." + size}
	if mix == "network" && size != "10k" {
		names = append(names, "target.network_value."+size, "target.network_all."+size)
	}
	if mix == "network" && size == "1m" {
		names = append(names, "target.build_seconds.1m", "target.bytes_per_row.1m")
	}
	if mix == "network" && size == "100k" {
		names = append(names, "target.allocs")
	}
	return names
}

// contest is one question to the index and to its yardstick, by request; both
// say what they found. What differs between wholes that are as long is looked for
// once, before the clock runs: comparing takes longer than the index does.
type contest struct {
	name         string
	index, plain func(request int) uint64
	same         func(request int) bool // nil: the answers say it all
}

// target measures one mix and size. SEED takes another workload than the published.
func (b *bench) target(ctx context.Context, mix workload.Mix, name string, n int, size string) error {
	seed, _ := strconv.ParseUint(os.Getenv("SEED"), 10, 64)
	requests := map[string]int{"10k": 1000, "100k": 1000, "1m": 200}[size]
	t, err := workload.NewTrial(max(seed, 1), mix, n, requests)
	if err != nil {
		return err
	}
	defer runtime.GC() // the next size begins with an empty heap
	note("%s %s: built in %.2f s, %d bytes a row", name, size, t.BuildSeconds, t.BuildBytes/uint64(n))
	if built := "target.build_seconds." + size; slices.Contains(targetNames(name, size), built) {
		b.print(built, t.BuildSeconds, "s")
		b.print("target.bytes_per_row."+size, float64(t.BuildBytes)/float64(n), "bytes")
	}
	var scan target.Scan
	var found, plain []uint32
	contests := []contest{
		{"best", func(i int) uint64 { return uint64(t.Best(&scan, i)) }, func(i int) uint64 { return uint64(t.Yardstick.Best(t.Asked[i])) }, nil},
		{"value", func(i int) uint64 { return uint64(t.Value(&scan, i)) }, func(i int) uint64 { return uint64(t.Yardstick.Value(i, t.Asked[i])) }, nil},
		{"all", func(i int) uint64 { found = t.All(&scan, i, found[:0]); return uint64(len(found)) },
			func(i int) uint64 { plain = t.Yardstick.All(t.Asked[i], plain[:0]); return uint64(len(plain)) },
			func(i int) bool {
				return slices.Equal(t.All(&scan, i, found[:0]), t.Yardstick.All(t.Asked[i], plain[:0]))
			}},
	}
	for _, c := range contests {
		figure := fmt.Sprintf("target.%s_%s.%s", name, c.name, size)
		if !slices.Contains(targetNames(name, size), figure) || !b.wanted(figure) {
			continue
		}
		if err := b.contest(ctx, figure, c, requests); err != nil {
			return err
		}
	}
	if b.wanted("target.allocs") && slices.Contains(targetNames(name, size), "target.allocs") {
		i := 0
		b.print("target.allocs", testing.AllocsPerRun(1000, func() { t.Best(&scan, i%requests); i++ }), "allocations")
	}
	return ctx.Err()
}

// contest prints the median of some rounds, in each of which both answer all
// requests, one after the other, and have to agree. What counts is the thread's
// own CPU time, since the machine is shared.
func (b *bench) contest(ctx context.Context, figure string, c contest, requests int) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	rounds := 5
	if b.quick {
		rounds = 1
	}
	for i := range requests {
		if c.same != nil && !c.same(i) {
			return fmt.Errorf("%s: request %d: not what the yardstick finds", figure, i)
		}
	}
	answers := make([]uint64, requests)
	// Both run for long enough to be in their stride, and to be timed.
	const stride = 0.2 // seconds
	passes := 3 + int(stride/cpuOf(func() {
		for i := range answers {
			c.index(i)
		}
	}))
	var ratios, plain, index []float64
	for range rounds {
		p := cpuOf(func() {
			for i := range answers {
				answers[i] = c.plain(i)
			}
		})
		wrong := 0
		x := cpuOf(func() {
			for range passes {
				for i, answer := range answers {
					if c.index(i) != answer {
						wrong++
					}
				}
			}
		}) / float64(passes)
		if wrong > 0 {
			return fmt.Errorf("%s: %d answers are not the yardstick's", figure, wrong)
		}
		ratios, plain, index = append(ratios, p/x), append(plain, p), append(index, x)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	per := 1e6 / float64(requests)
	note("%s: yardstick %.4g µs, index %.4g µs", figure, median(plain)*per, median(index)*per)
	b.print(figure, median(ratios), "ratio")
	return nil
}

// cpuOf is the seconds of CPU that this thread takes for f.
func cpuOf(f func()) float64 {
	before := threadTime()
	f()
	return (threadTime() - before).Seconds()
}

func threadTime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		return 0
	}
	return time.Duration(t.Nano())
}
