package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/snapshot"
)

// The method of design §8: open loop, rounds of bare, ours, and ours while
// catalogs are swapped; medians.
const (
	latencySize = "100k"
	latencyRuns = 5
	latencyFor  = 20 * time.Second
	swapEvery   = 5 * time.Second
)

var latencyFigures = []string{
	"decisions.p99_ms." + latencySize, "decisions.p999_ms." + latencySize, "decisions.p999_ratio." + latencySize,
	"decisions.p99_ms_swapping." + latencySize, "decisions.p999_ms_swapping." + latencySize, "decisions.p999_ratio_swapping." + latencySize,
}

// tails are the medians' material of one kind of run.
type tails struct{ p99, p999, ratio []float64 }

func (t *tails) add(h, bare *hdrhistogram.Histogram) {
	t.p99 = append(t.p99, ms(h, 99))
	t.p999 = append(t.p999, ms(h, 99.9))
	t.ratio = append(t.ratio, ms(h, 99.9)/ms(bare, 99.9))
}

func (b *bench) latency(ctx context.Context, f *fixture, p *pair) error {
	var quiet, swapping tails
	duration, every := latencyFor, swapEvery
	if b.quick {
		duration, every = latencyFor/10, swapEvery/10
	}
	swaps := 0
	for range latencyRuns {
		bare, _, err := b.openLoop(ctx, p.bare, p.file, duration)
		if err != nil {
			return err
		}
		ours, _, err := b.openLoop(ctx, p.ours, p.file, duration)
		if err != nil {
			return err
		}
		swapped, n, err := b.swapping(ctx, f, p, duration, every)
		if err != nil {
			return err
		}
		swaps += n
		quiet.add(ours, bare)
		swapping.add(swapped, bare)
		note("latency p50/p99/p99.9/max in ms: bare %s; ours %s; ours with %d swaps %s", quantiles(bare), quantiles(ours), n, quantiles(swapped))
	}
	note("%d catalogs of %d line items were swapped in during %d runs of %s", swaps, len(f.snapshot.LineItems), latencyRuns, duration)
	for _, t := range []struct {
		of *tails
		at string
	}{{&quiet, "." + latencySize}, {&swapping, "_swapping." + latencySize}} {
		b.print("decisions.p99_ms"+t.at, median(t.of.p99), "ms")
		b.print("decisions.p999_ms"+t.at, median(t.of.p999), "ms")
		b.print("decisions.p999_ratio"+t.at, median(t.of.ratio), "ratio")
	}
	return nil
}

// ms is a quantile in milliseconds; the histogram's unit is the microsecond.
func ms(h *hdrhistogram.Histogram, quantile float64) float64 {
	return float64(h.ValueAtQuantile(quantile)) / 1000
}

func quantiles(h *hdrhistogram.Histogram) string {
	return fmt.Sprintf("%.3f/%.3f/%.3f/%.3f", ms(h, 50), ms(h, 99), ms(h, 99.9), ms(h, 100))
}

// swapping runs our server open loop while a publisher puts a new generation
// with other prices to use every few seconds, and returns how many of them
// served. Every answer's generation must be a published one.
func (b *bench) swapping(ctx context.Context, f *fixture, p *pair, duration, every time.Duration) (h *hdrhistogram.Histogram, swaps int, err error) {
	objects, points, err := f.next(int(duration / every))
	defer func() {
		for _, object := range objects {
			err = errors.Join(err, os.Remove(object))
		}
	}()
	if err != nil {
		return nil, 0, err
	}
	published := make(chan error, 1)
	go func() { published <- publishEach(ctx, points, every) }()
	h, generations, err := b.openLoop(ctx, p.ours, p.file, duration)
	if err := errors.Join(err, <-published); err != nil {
		return nil, 0, err
	}
	for _, generation := range generations {
		if generation > f.snapshot.Generation {
			return nil, 0, fmt.Errorf("an answer of generation %d, but those published are 1 to %d", generation, f.snapshot.Generation)
		}
	}
	return h, len(generations) - 1, nil
}

// next writes the objects of n more generations. What stands in for the
// publisher only has to name them then: in life it works on another machine, and
// its writing would disturb the load here.
func (f *fixture) next(n int) (objects []string, points []func() error, err error) {
	for range n {
		s := f.snapshot
		s.Generation++
		s.CreatedAt = s.CreatedAt.Add(time.Second)
		reprice(s)
		object, point, err := put(f.bucket, s)
		if err != nil {
			return objects, nil, err
		}
		objects, points = append(objects, object), append(points, point)
	}
	return objects, points, nil
}

// reprice moves every price by up to a tenth, so that ranks change as well.
func reprice(s *snapshot.Snapshot) {
	r := rand.New(rand.NewPCG(seed, s.Generation))
	for i := range s.LineItems {
		cost := &s.LineItems[i].Cost
		*cost = max(*cost*money.Micros(90+r.IntN(21))/100, 1)
	}
}

// publishEach names one generation after the other, the first after half a turn.
func publishEach(ctx context.Context, points []func() error, every time.Duration) error {
	wait := time.NewTimer(every / 2)
	defer wait.Stop()
	for _, point := range points {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-wait.C:
		}
		if err := point(); err != nil {
			return err
		}
		wait.Reset(every)
	}
	return nil
}
