package main

import (
	"bytes"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/valyala/fasthttp"

	"github.com/hayate-ads/hayate/internal/traffic"
)

// The method of design §8: alternating runs, medians.
const (
	throughputRuns  = 5
	throughputFor   = 5 * time.Second
	throughputConns = 64
	latencyRuns     = 5
	latencyFor      = 20 * time.Second
	latencyRate     = 5_000
	latencyWorkers  = 64
)

// decisions measures POST /v1/decisions against n line items.
func (b *bench) decisions(ctx context.Context, n int, size string) (err error) {
	f, err := b.setUp(ctx, n)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.close(context.WithoutCancel(ctx))) }()
	pair, err := b.pair(ctx, f)
	if err != nil {
		return err
	}
	defer pair.stop()
	if b.wanted("decisions.rps_ratio."+size, "decisions.cpu_us."+size) {
		if err := b.throughput(ctx, pair, size); err != nil {
			return err
		}
	}
	if b.wanted("decisions.p99_ms." + size) {
		return b.latency(ctx, pair, size)
	}
	return nil
}

// pair is our server and the yardstick, on the same core in turn.
type pair struct {
	ours, bare *server
	requests   [][]byte
	file       string // the requests, one a line
}

func (p *pair) stop() {
	p.ours.stop()
	p.bare.stop()
}

// pair starts delivery, waits until it has leased what the load wants, records
// its answers and starts a bare server that repeats them.
func (b *bench) pair(ctx context.Context, f *fixture) (*pair, error) {
	build := exec.CommandContext(ctx, "go", "build", "-o", b.dir+"/", "./cmd/delivery")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building delivery: %w\n%s", err, out)
	}
	address, err1 := freeAddress()
	ops, err2 := freeAddress()
	bareAddress, err3 := freeAddress()
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, err
	}
	p := &pair{requests: f.bodies, file: filepath.Join(b.dir, "bodies.txt")}
	if err := os.WriteFile(p.file, bytes.Join(f.bodies, []byte("\n")), 0o644); err != nil {
		return nil, err
	}
	var err error
	env := append(f.env, "LISTEN="+address, "OPS_LISTEN="+ops)
	if p.ours, err = b.serve(ctx, "delivery", "http://"+address, env, filepath.Join(b.dir, "delivery"), "serve"); err != nil {
		return nil, err
	}
	if err := p.ours.ready(ctx, "http://"+ops+"/readyz"); err != nil {
		return nil, err
	}
	answers, err := b.warm(ctx, p)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	recorded := filepath.Join(b.dir, "answers.gob")
	var encoded bytes.Buffer
	if err := gob.NewEncoder(&encoded).Encode(answers); err != nil {
		return nil, err
	}
	if err := os.WriteFile(recorded, encoded.Bytes(), 0o644); err != nil {
		return nil, err
	}
	if p.bare, err = b.serve(ctx, "bare", "http://"+bareAddress, nil, self, "bare", bareAddress, recorded); err != nil {
		return nil, err
	}
	return p, p.bare.ready(ctx, "http://"+bareAddress+"/?n=0")
}

// warm loads our server until two rounds in a row fill the same share of the
// requests, that is until the leases are there, and returns the last answers.
func (b *bench) warm(ctx context.Context, p *pair) ([]answer, error) {
	filled := -1
	for range 30 {
		if _, err := b.wrk(ctx, p.ours, throughputConns, 2*time.Second, p.file); err != nil {
			return nil, err
		}
		answers, err := record(ctx, p)
		if err != nil {
			return nil, err
		}
		now := 0
		for _, a := range answers {
			if bytes.Contains(a.Body, []byte(`"line_item"`)) {
				now++
			}
		}
		note("warm-up: %d of %d requests filled, %d bytes an answer", now, len(answers), meanSize(answers))
		if now > 0 && now == filled {
			return answers, nil
		}
		filled = now
	}
	return nil, errors.New("the share of filled requests did not settle within 30 rounds")
}

func meanSize(answers []answer) int {
	total := 0
	for _, a := range answers {
		total += len(a.Body)
	}
	return total / len(answers)
}

// record asks every request once.
func record(ctx context.Context, p *pair) ([]answer, error) {
	var answers []answer
	for _, body := range p.requests {
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, p.ours.url+"/v1/decisions", bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		request.Header.Set("Content-Type", "application/json")
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return nil, err
		}
		text, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil {
			return nil, err
		}
		if response.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("decision: %s: %s", response.Status, text)
		}
		a := answer{Status: response.StatusCode, ContentType: response.Header.Get("Content-Type"), Body: text}
		for name := range response.Header {
			switch name {
			case "Content-Type", "Content-Length", "Date":
			default:
				a.Headers = append(a.Headers, [2]string{name, response.Header.Get(name)})
			}
		}
		answers = append(answers, a)
	}
	return answers, nil
}

// throughput alternates runs of both servers.
func (b *bench) throughput(ctx context.Context, p *pair, size string) error {
	var ratios, ours, bares, cpu, bareCPU []float64
	duration := throughputFor
	if b.quick {
		duration = time.Second
	}
	for range throughputRuns {
		bare, err := b.wrk(ctx, p.bare, throughputConns, duration, p.file)
		if err != nil {
			return err
		}
		our, err := b.wrk(ctx, p.ours, throughputConns, duration, p.file)
		if err != nil {
			return err
		}
		ratios = append(ratios, our.rate/bare.rate)
		ours, bares = append(ours, our.rate), append(bares, bare.rate)
		cpu, bareCPU = append(cpu, our.cpuUS), append(bareCPU, bare.cpuUS)
	}
	note("decisions %s: ours %.0f/s and %.2f µs of CPU a request, bare %.0f/s and %.2f µs", size, median(ours), median(cpu), median(bares), median(bareCPU))
	b.print("decisions.rps_ratio."+size, median(ratios), "ratio")
	b.print("decisions.cpu_us."+size, median(cpu), "us")
	b.print("decisions.bare_cpu_us."+size, median(bareCPU), "us")
	return nil
}

// latency runs both servers open loop, in pairs.
func (b *bench) latency(ctx context.Context, p *pair, size string) error {
	var p99, p999, ratios []float64
	duration := latencyFor
	if b.quick {
		duration = 2 * time.Second
	}
	for range latencyRuns {
		bare, err := p.openLoop(ctx, p.bare, duration)
		if err != nil {
			return err
		}
		our, err := p.openLoop(ctx, p.ours, duration)
		if err != nil {
			return err
		}
		p99 = append(p99, ms(our.ValueAtQuantile(99)))
		p999 = append(p999, ms(our.ValueAtQuantile(99.9)))
		ratios = append(ratios, ms(our.ValueAtQuantile(99.9))/ms(bare.ValueAtQuantile(99.9)))
		note("latency %s: ours p50 %.3f p99 %.3f p99.9 %.3f ms; bare p50 %.3f p99 %.3f p99.9 %.3f ms", size,
			ms(our.ValueAtQuantile(50)), ms(our.ValueAtQuantile(99)), ms(our.ValueAtQuantile(99.9)),
			ms(bare.ValueAtQuantile(50)), ms(bare.ValueAtQuantile(99)), ms(bare.ValueAtQuantile(99.9)))
	}
	b.print("decisions.p99_ms."+size, median(p99), "ms")
	b.print("decisions.p999_ms."+size, median(p999), "ms")
	b.print("decisions.p999_ratio."+size, median(ratios), "ratio")
	return nil
}

func ms(microseconds int64) float64 { return float64(microseconds) / 1000 }

// openLoop sends requests at a fixed rate and counts each from when it was due.
func (p *pair) openLoop(ctx context.Context, s *server, duration time.Duration) (*hdrhistogram.Histogram, error) {
	client := &fasthttp.Client{MaxConnsPerHost: latencyWorkers, NoDefaultUserAgentHeader: true}
	defer client.CloseIdleConnections()
	histogram := hdrhistogram.New(1, 60_000_000, 3)
	var mu sync.Mutex
	var failed error
	n := 0
	traffic.Pace{Rate: latencyRate, Workers: latencyWorkers, For: duration}.Run(ctx, func(_ context.Context, due time.Time) {
		mu.Lock()
		i := n % len(p.requests)
		n++
		mu.Unlock()
		request, response := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
		defer fasthttp.ReleaseRequest(request)
		defer fasthttp.ReleaseResponse(response)
		request.Header.SetMethod(fasthttp.MethodPost)
		request.Header.SetContentType("application/json")
		request.SetRequestURI(fmt.Sprintf("%s/v1/decisions?n=%d", s.url, i))
		request.SetBodyRaw(p.requests[i])
		err := client.Do(request, response)
		took := time.Since(due)
		mu.Lock()
		defer mu.Unlock()
		if err == nil && response.StatusCode() != fasthttp.StatusOK {
			err = fmt.Errorf("status %d", response.StatusCode())
		}
		failed = errors.Join(failed, err)
		failed = errors.Join(failed, histogram.RecordValue(max(took.Microseconds(), 1)))
	})
	if failed != nil {
		return nil, fmt.Errorf("open loop: %w", failed)
	}
	return histogram, ctx.Err()
}
