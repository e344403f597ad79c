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
	"time"
)

// The method of design §8: alternating runs, medians.
const (
	throughputRuns  = 5
	throughputFor   = 5 * time.Second
	throughputConns = 64
)

// decisions measures POST /v1/decisions against n line items; latencies only
// where the figures say so, since they take minutes.
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
	if b.wanted(throughputFigures(size)...) {
		if err := b.throughput(ctx, pair, size); err != nil {
			return err
		}
	}
	if size == latencySize && b.wanted(latencyFigures...) {
		return b.latency(ctx, f, pair)
	}
	return nil
}

func throughputFigures(size string) []string {
	return []string{"decisions.rps_ratio." + size, "decisions.cpu_us." + size, "decisions.bare_cpu_us." + size}
}

// pair is our server and the yardstick, on the same core in turn.
type pair struct {
	ours, bare *server
	ops        string // URL of our ops port
	requests   [][]byte
	file       string // the requests, one a line
}

func (p *pair) stop() {
	for _, s := range []*server{p.ours, p.bare} {
		if s != nil {
			s.stop()
		}
	}
}

// pair starts delivery, waits until it has leased what the load wants, records
// its answers and starts a bare server that repeats them.
func (b *bench) pair(ctx context.Context, f *fixture) (_ *pair, err error) {
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
	p := &pair{ops: "http://" + ops, requests: f.bodies, file: filepath.Join(b.dir, "bodies.txt")}
	defer func() {
		if err != nil {
			p.stop()
		}
	}()
	if err := os.WriteFile(p.file, bytes.Join(f.bodies, []byte("\n")), 0o644); err != nil {
		return nil, err
	}
	env := append(f.env, "LISTEN="+address, "OPS_LISTEN="+ops)
	if p.ours, err = b.serve(ctx, "delivery", "http://"+address, env, filepath.Join(b.dir, "delivery"), "serve"); err != nil {
		return nil, err
	}
	if err := p.ours.ready(ctx, p.ops+"/readyz"); err != nil {
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

// settled is by how many filled requests two rounds may differ when nothing but
// leases that are being replaced tells them apart.
const settled = requestCount / 200

// warm loads our server until two rounds in a row fill the same share of the
// requests, that is until the leases are there, and returns the last answers.
func (b *bench) warm(ctx context.Context, p *pair) ([]answer, error) {
	filled := 0
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
		if filled > 0 && max(now-filled, filled-now) <= settled {
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
		answers = append(answers, answerOf(response, text))
	}
	return answers, nil
}

// answerOf is a response as the yardstick repeats it.
func answerOf(response *http.Response, body []byte) answer {
	a := answer{Status: response.StatusCode, ContentType: response.Header.Get("Content-Type"), Body: body}
	for name := range response.Header {
		switch name {
		case "Content-Type", "Content-Length", "Date":
		default:
			a.Headers = append(a.Headers, [2]string{name, response.Header.Get(name)})
		}
	}
	return a
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
