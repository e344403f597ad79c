package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/hayate-ads/hayate/delivery/auction"
	"github.com/hayate-ads/hayate/delivery/catalog"
	"github.com/hayate-ads/hayate/delivery/lease"
	"github.com/hayate-ads/hayate/delivery/refresh"
	"github.com/hayate-ads/hayate/delivery/render"
	"github.com/hayate-ads/hayate/delivery/target/workload"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/bucket"
	"github.com/hayate-ads/hayate/internal/snapshot"
)

// catalogs measures what a snapshot costs a delivery process. Each measurement
// is a process of its own, since memory and processor time are a process's:
// ours would have the making of the workload in them.
func (b *bench) catalogs(ctx context.Context) error {
	if b.wanted("catalog.compile_1m_seconds", "catalog.bytes_per_line_item") {
		dir, err := b.publishApart(ctx, 1_000_000)
		if err != nil {
			return err
		}
		if err := b.apart(ctx, []string{"GOMAXPROCS=1"}, "compile", dir); err != nil {
			return err
		}
	}
	if b.wanted("catalog.ready_100k_seconds") {
		dir, err := b.publishApart(ctx, 100_000)
		if err != nil {
			return err
		}
		return b.apart(ctx, nil, "ready", dir)
	}
	return nil
}

func (b *bench) publishApart(ctx context.Context, n int) (dir string, err error) {
	dir = filepath.Join(b.dir, fmt.Sprint("catalog-", n))
	return dir, b.apart(ctx, nil, "publish", dir, strconv.Itoa(n))
}

// apart runs one measurement in another process, which prints its figures as we do.
func (b *bench) apart(ctx context.Context, env []string, args ...string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	c := exec.CommandContext(ctx, self, append([]string{"catalog"}, args...)...)
	c.Env = append(os.Environ(), env...)
	c.Stdout, c.Stderr = b.out, os.Stderr
	if err := c.Run(); err != nil {
		return fmt.Errorf("%s: %w", strings.Join(args, " "), err)
	}
	return nil
}

// catalogPart is that other process: bench catalog PART FOLDER [LINE ITEMS].
func catalogPart(args []string) error {
	b := &bench{only: os.Getenv("ONLY"), out: os.Stdout}
	switch {
	case len(args) == 3 && args[0] == "publish":
		n, err := strconv.Atoi(args[2])
		if err != nil {
			return err
		}
		return errors.Join(os.MkdirAll(filepath.Join(args[1], "snapshots"), 0o755),
			publish(args[1], workload.LineItems(seed, workload.Network, n), workload.Requests(seed, workload.Network, requestCount)))
	case len(args) == 2 && args[0] == "compile":
		return b.compile(args[1])
	case len(args) == 2 && args[0] == "ready":
		return b.ready(args[1])
	}
	return errors.New("usage: bench catalog publish FOLDER LINE_ITEMS | compile FOLDER | ready FOLDER")
}

// stage is what a delivery process makes of a snapshot, and keeps.
type stage struct {
	book     lease.Book
	catalog  *catalog.Catalog
	renderer *render.Renderer
}

func (s *stage) load(from *snapshot.Snapshot) (err error) {
	if s.catalog, err = catalog.Compile(from, &s.book); err != nil {
		return err
	}
	if s.renderer, err = render.Compile(s.catalog, render.Config{TrackingURL: "https://ads.example", AssetURL: "https://ads.example/assets"}); err != nil {
		return err
	}
	s.catalog.Tick(time.Now())
	s.catalog.Follow()
	s.book.Keep(s.catalog.IDs())
	return nil
}

// compile prints the processor time of the whole process from the parsed
// snapshot to a catalog that could serve, the collector's included, and what is
// left in memory of it. It notes the reading apart.
func (b *bench) compile(dir string) error {
	before := heap()
	file, err := newestIn(dir)
	if err != nil {
		return err
	}
	started := processorTime()
	parsed, err := snapshot.Parse(file, snapshot.Limits{})
	if err != nil {
		return err
	}
	read := processorTime()
	s := new(stage)
	if err := s.load(parsed); err != nil {
		return err
	}
	done := processorTime()
	n := len(parsed.LineItems)
	peak := resident("VmHWM:")
	file, parsed = nil, nil
	after := heap()
	debug.FreeOSMemory()
	note("catalog of %d line items: verified and parsed in %.2f s of processor time, compiled in %.2f s", n, (read - started).Seconds(), (done - read).Seconds())
	note("resident: %.0f bytes a line item at the end, %.0f at the most, with the snapshot and what was garbage", resident("VmRSS:")/float64(n), peak/float64(n))
	b.print("catalog.compile_1m_seconds", (done - read).Seconds(), "s")
	b.print("catalog.bytes_per_line_item", float64(after-before)/float64(n), "bytes")
	runtime.KeepAlive(s)
	return nil
}

// heap is what is in use after a full collection.
func heap() int64 {
	runtime.GC()
	runtime.GC() // what the first one found in pools and finalizers
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

func processorTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err) // it takes no argument that could be wrong
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// resident is a line of /proc/self/status in bytes, 0 where there is none.
func resident(name string) float64 {
	status, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(status)) {
		if text, ok := strings.CutPrefix(line, name); ok {
			kilobytes, _ := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(text), "kB")), 64)
			return kilobytes * 1024
		}
	}
	return 0
}

func newestIn(dir string) ([]byte, error) {
	text, err := os.ReadFile(filepath.Join(dir, snapshot.PointerKey))
	if err != nil {
		return nil, err
	}
	p, err := snapshot.ParsePointer(text)
	if err != nil {
		return nil, err
	}
	return os.ReadFile(filepath.Join(dir, p.Key))
}

// ready prints the time from the look at the bucket's pointer to the first
// decision: fetched, verified, parsed, compiled, swapped in. The median of five.
func (b *bench) ready(dir string) error {
	var all []float64
	const runs = 5
	before := processorTime()
	for range runs {
		took, err := readyOnce(dir)
		if err != nil {
			return err
		}
		all = append(all, took.Seconds())
	}
	slices.Sort(all)
	note("ready after %.3f to %.3f s, of processor time %.3f s a run with the copy for the cache", all[0], all[len(all)-1], (processorTime()-before).Seconds()/runs)
	b.print("catalog.ready_100k_seconds", all[len(all)/2], "s")
	return nil
}

func readyOnce(dir string) (took time.Duration, err error) {
	ctx := context.Background()
	store, err := bucket.Open(ctx, "file://"+dir)
	if err != nil {
		return 0, err
	}
	defer store.Close()
	cache, err := os.MkdirTemp(dir, "cache-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(cache)) }()
	runtime.GC() // the last one's catalog
	s, started := new(stage), time.Now()
	r := &refresh.Refresher{Bucket: store, CacheDir: cache, Log: slog.New(slog.DiscardHandler), Swap: func(from *snapshot.Snapshot) error {
		if err := s.load(from); err != nil {
			return err
		}
		took, err = s.decide(started)
		return err
	}}
	return took, errors.Join(r.Load(), r.Poll(ctx))
}

// decide answers one request, which must find its placement.
func (s *stage) decide(started time.Time) (time.Duration, error) {
	first := workload.Requests(seed, workload.Network, 1)[0]
	req := &auction.Request{Placements: []ad.ID{placementOf(first)}, Now: time.Now().UnixMicro(), Process: ulid.Make(), Hold: time.Minute}
	d := auction.Run(s.catalog, req, new(auction.Scratch), nil)
	if len(d) != 1 || d[0].NoFill == auction.UnknownPlacement {
		return 0, errors.New("the first request found no placement")
	}
	return time.Since(started), nil
}
