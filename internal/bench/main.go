// Command bench measures. Every speed is a ratio against a yardstick in the same
// run, since machines are shared and noisy (design §8): for the server that is
// a bare fasthttp server that answers the same bytes to the same requests.
//
//	make bench               every figure
//	make bench ONLY=prefix   those whose name begins so
//	go run ./internal/bench -profile FILE   a CPU profile of delivery under the load of decisions
//	make proof               the tests behind the promises at full size, then every figure
//
// Each figure is one line, `name value unit`, also in var/bench.txt.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// figure is a group of figures that are measured together.
type figure struct {
	names   []string
	measure func(context.Context, *bench) error
}

var figures = slices.Concat(targets, settling, []figure{
	{trackFigures, func(ctx context.Context, b *bench) error { return b.track(ctx) }},
	{[]string{"catalog.compile_1m_seconds", "catalog.bytes_per_line_item", "catalog.ready_100k_seconds"}, func(ctx context.Context, b *bench) error { return b.catalogs(ctx) }},
	{throughputFigures("1k"), func(ctx context.Context, b *bench) error { return b.decisions(ctx, 1_000, "1k") }},
	{slices.Concat(throughputFigures("100k"), latencyFigures), func(ctx context.Context, b *bench) error { return b.decisions(ctx, 100_000, "100k") }},
	{lakeFigures, func(ctx context.Context, b *bench) error { return b.lake(ctx) }},
})

// parts are what runs as a process of its own: bench PART ARGUMENTS.
var parts = map[string]func([]string) error{"bare": bare, "catalog": catalogPart, "lake": lakePart, "load": loadPart, "settle": settlePart}

// bench is one run.
type bench struct {
	only  string
	dir   string    // scratch, removed at the end
	out   io.Writer // figures
	quick bool      // tenth of the durations: to see that it runs, not to quote
}

func main() {
	if len(os.Args) > 1 && parts[os.Args[1]] != nil {
		fail(parts[os.Args[1]](os.Args[2:]))
		return
	}
	quick := flag.Bool("quick", false, "a tenth of the durations")
	proofs := flag.Bool("proof", false, "first the promises' tests at full size")
	profiled := flag.String("profile", "", "write a CPU profile of delivery under load to this `file`, and measure nothing")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if *profiled != "" {
		fail(profile(ctx, *profiled))
		return
	}
	only := os.Getenv("ONLY")
	if *proofs {
		fail(prove(ctx, only))
		if !new(bench).among(only) {
			return
		}
	}
	fail(run(ctx, only, *quick))
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, only string, quick bool) (err error) {
	dir, err := os.MkdirTemp("", "hayate-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := os.MkdirAll("var", 0o755); err != nil {
		return err
	}
	file, err := os.Create(filepath.Join("var", "bench.txt"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	b := &bench{only: only, dir: dir, out: io.MultiWriter(os.Stdout, file), quick: quick}
	measured := false
	for _, f := range figures {
		if !b.wanted(f.names...) {
			continue
		}
		measured = true
		if err := f.measure(ctx, b); err != nil {
			return fmt.Errorf("%s: %w", f.names[0], err)
		}
	}
	if !measured {
		return fmt.Errorf("no figure begins with ONLY=%q", b.only)
	}
	return nil
}

// wanted tells whether any of the names begins with ONLY.
func (b *bench) wanted(names ...string) bool {
	for _, name := range names {
		if strings.HasPrefix(name, b.only) {
			return true
		}
	}
	return false
}

// print writes one figure.
func (b *bench) print(name string, value float64, unit string) {
	if b.wanted(name) {
		fmt.Fprintf(b.out, "%s %.4g %s\n", name, value, unit)
	}
}

// note says on the side what a figure was made of.
func note(format string, args ...any) { fmt.Fprintf(os.Stderr, "# "+format+"\n", args...) }
