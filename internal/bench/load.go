package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/valyala/fasthttp"

	"github.com/hayate-ads/hayate/internal/traffic"
)

// Open-loop load, in a process of its own so that it has the load's core and not
// a share of the server's.
const (
	loadRate    = 5_000 // requests a second
	loadWorkers = 64
)

// report is what one run of load saw.
type report struct {
	Latency     *hdrhistogram.Snapshot // microseconds from when a request was due
	Generations []uint64               // in the answers, ascending
}

// openLoop sends requests to a server at the fixed rate.
func (b *bench) openLoop(ctx context.Context, s *server, bodies string, duration time.Duration) (*hdrhistogram.Histogram, []uint64, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.CommandContext(ctx, "taskset", "-c", loadCore, self, "load", s.url, bodies, duration.String())
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, nil, fmt.Errorf("open loop: %w", err)
	}
	var r report
	if err := json.Unmarshal(out, &r); err != nil {
		return nil, nil, fmt.Errorf("open loop: %w", err)
	}
	return hdrhistogram.Import(r.Latency), r.Generations, nil
}

// loader is that process: bench load URL BODIES DURATION.
type loader struct {
	client    fasthttp.Client
	url       string
	bodies    [][]byte
	histogram *hdrhistogram.Histogram

	mu     sync.Mutex
	sent   int
	newest uint64          // generation of all answers so far
	seen   map[uint64]bool // generations
	failed error           // the first one
}

func loadPart(args []string) error {
	if len(args) != 3 {
		return errors.New("usage: bench load URL BODIES DURATION")
	}
	file, err := os.ReadFile(args[1])
	if err != nil {
		return err
	}
	duration, err := time.ParseDuration(args[2])
	if err != nil {
		return err
	}
	l := &loader{
		client: fasthttp.Client{MaxConnsPerHost: loadWorkers, NoDefaultUserAgentHeader: true},
		url:    args[0] + "/v1/decisions?n=", bodies: bytes.Split(file, []byte("\n")),
		histogram: hdrhistogram.New(1, 60_000_000, 3), seen: make(map[uint64]bool),
	}
	traffic.Pace{Rate: loadRate, Workers: loadWorkers, For: duration}.Run(context.Background(), l.request)
	if l.failed != nil {
		return l.failed
	}
	r := report{Latency: l.histogram.Export()}
	for generation := range l.seen {
		r.Generations = append(r.Generations, generation)
	}
	slices.Sort(r.Generations)
	return json.NewEncoder(os.Stdout).Encode(r)
}

// request sends one and checks its answer: generations never fall from an answer
// to a request that was sent after it had come.
func (l *loader) request(_ context.Context, due time.Time) {
	l.mu.Lock()
	i, newest := l.sent%len(l.bodies), l.newest
	l.sent++
	l.mu.Unlock()
	request, response := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(request)
	defer fasthttp.ReleaseResponse(response)
	request.Header.SetMethod(fasthttp.MethodPost)
	request.Header.SetContentType("application/json")
	request.SetRequestURI(l.url + strconv.Itoa(i))
	request.SetBodyRaw(l.bodies[i])
	err := l.client.Do(request, response)
	took := time.Since(due)
	generation := generationOf(response.Body())
	if err == nil && (response.StatusCode() != fasthttp.StatusOK || generation < max(newest, 1)) {
		err = fmt.Errorf("status %d, generation %d after generation %d: %.200s", response.StatusCode(), generation, newest, response.Body())
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.newest = max(l.newest, generation)
	l.seen[generation] = true
	if err = errors.Join(err, l.histogram.RecordValue(max(took.Microseconds(), 1))); l.failed == nil {
		l.failed = err
	}
}

// generationOf reads the number out of an answer; 0 when there is none.
func generationOf(answer []byte) (generation uint64) {
	_, rest, _ := bytes.Cut(answer, []byte(`"generation":`))
	for _, c := range rest {
		if c < '0' || c > '9' {
			break
		}
		generation = generation*10 + uint64(c-'0')
	}
	return generation
}
