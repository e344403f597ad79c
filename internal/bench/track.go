package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/hayate-ads/hayate/delivery/token"
	"github.com/hayate-ads/hayate/internal/event"
)

var trackFigures = []string{"track.rps_ratio", "track.cpu_us", "track.bare_cpu_us"}

const (
	trackConns   = 256
	trackPerSec  = 300_000 // tokens made for each second: beyond what either server answers
	trackLeases  = event.MaxIndex + 1
	trackKeyFile = "1 a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5\n"
)

// trackScript makes wrk send every token of a file once, and says so when there
// are too few.
const trackScript = `
local tokens = io.open(os.getenv("BENCH_TOKENS"), "r")
local host = "\r\nHost: " .. "bench" .. "\r\n\r\n"
function request()
  local token = tokens:read("*l")
  if token == nil then error("out of tokens") end
  return "GET /t/i/" .. token .. " HTTP/1.1" .. host
end
`

// tracker makes impressions' tokens, none twice.
type tracker struct {
	dir    string
	signer *token.Signer
	claim  event.Reservation
	made   int
}

func newTracker(dir string) (*tracker, error) {
	keys, err := token.ParseKeys([]byte(trackKeyFile))
	if err != nil {
		return nil, err
	}
	return &tracker{dir: dir, signer: keys.Signer(), claim: event.Reservation{
		Process: ulid.Make(), LineItem: 12_345, Creative: 23_456, Placement: 3_456, Country: [2]byte{'J', 'P'}, Device: event.Mobile,
		Hold: time.Minute, Generation: 1_000, Price: 2_500, BidPrice: 2_500, Share: 7_000, Advertiser: 123, Bills: event.BillsImpression,
	}}, nil
}

// file writes n more tokens, one a line, and returns its name.
func (tr *tracker) file(n int) (path string, err error) {
	path = filepath.Join(tr.dir, "tokens.txt")
	f, err := os.Create(path)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	out := bufio.NewWriterSize(f, 1<<20)
	tr.claim.DecidedAt = time.Now().UTC().Truncate(time.Millisecond)
	var text []byte
	for range n {
		if tr.claim.Index = uint32(tr.made % trackLeases); tr.claim.Index == 0 {
			tr.claim.Lease = ulid.Make()
		}
		tr.made++
		tr.signer.Begin(&tr.claim)
		text = append(tr.signer.Append(text[:0], token.Impression, nil), '\n')
		if _, err := out.Write(text); err != nil {
			return "", err
		}
	}
	return path, out.Flush()
}

// track measures GET /t/i/…: impressions, each with a token of its own, on disk
// before the answer. Throughput and processor time are all of the server's, its
// uploads to the bucket too. At the end the bucket must hold as many impressions
// as wrk got answers, at least.
func (b *bench) track(ctx context.Context) (err error) {
	tr, err := newTracker(b.dir)
	if err != nil {
		return err
	}
	p, err := b.trackPair(ctx)
	if err != nil {
		return err
	}
	defer p.stop()
	duration := throughputFor
	if b.quick {
		duration = time.Second
	}
	var ratios, ours, bares, cpu, bareCPU []float64
	answered := 0.0
	for run := range throughputRuns + 1 {
		file, err := tr.file(trackPerSec * int(duration.Seconds()+1))
		if err != nil {
			return err
		}
		load := loadScript{text: trackScript, env: "BENCH_TOKENS=" + file, connections: trackConns, duration: duration}
		bare, err := b.drive(ctx, p.bare, load)
		if err != nil {
			return err
		}
		our, err := b.drive(ctx, p.ours, load)
		if err != nil {
			return err
		}
		answered += our.rate * duration.Seconds()
		if run == 0 {
			continue // buffers grow, the tokens' file is read for the first time
		}
		ratios = append(ratios, our.rate/bare.rate)
		ours, bares = append(ours, our.rate), append(bares, bare.rate)
		cpu, bareCPU = append(cpu, our.cpuUS), append(bareCPU, bare.cpuUS)
	}
	p.ours.stop() // drains: all that it acknowledged is in the bucket
	logged, err := impressions(p.bucket)
	if err != nil {
		return err
	}
	note("track: ours %.0f/s and %.2f µs of CPU a request, bare %.0f/s and %.2f µs; %d impressions in the bucket for %.0f answers", median(ours), median(cpu), median(bares), median(bareCPU), logged, answered)
	if float64(logged) < answered*0.99 { // wrk rounds its rate, and counts no answer after its time
		return fmt.Errorf("%d impressions in the bucket, and %.0f were answered", logged, answered)
	}
	b.print("track.rps_ratio", median(ratios), "ratio")
	b.print("track.cpu_us", median(cpu), "us")
	b.print("track.bare_cpu_us", median(bareCPU), "us")
	return nil
}

// trackPair is delivery, which needs neither a database nor a snapshot to land
// events, and a bare server that gives the same answer.
type trackPair struct {
	ours, bare *server
	bucket     string // folder
	ops        string
}

func (p *trackPair) stop() {
	for _, s := range []*server{p.ours, p.bare} {
		if s != nil {
			s.stop()
		}
	}
}

func (b *bench) trackPair(ctx context.Context) (_ *trackPair, err error) {
	build := exec.CommandContext(ctx, "go", "build", "-o", b.dir+"/", "./cmd/delivery")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building delivery: %w\n%s", err, out)
	}
	address, err1 := freeAddress()
	ops, err2 := freeAddress()
	bareAddress, err3 := freeAddress()
	keys, bucket := filepath.Join(b.dir, "track.keys"), filepath.Join(b.dir, "track-bucket")
	err = errors.Join(err1, err2, err3, os.WriteFile(keys, []byte(trackKeyFile), 0o600), os.MkdirAll(bucket, 0o755))
	if err != nil {
		return nil, err
	}
	p := &trackPair{bucket: bucket, ops: "http://" + ops}
	defer func() {
		if err != nil {
			p.stop()
		}
	}()
	env := []string{
		"LISTEN=" + address, "OPS_LISTEN=" + ops, "DATABASE_URL=postgres://nobody@127.0.0.1:1/none?connect_timeout=1",
		"BUCKET_URL=file://" + bucket, "STATE_DIR=" + filepath.Join(b.dir, "track-state"), "TOKEN_KEYS=" + keys,
	}
	if p.ours, err = b.serve(ctx, "track", "http://"+address, env, filepath.Join(b.dir, "delivery"), "serve"); err != nil {
		return nil, err
	}
	if err := p.ours.ready(ctx, p.ops+"/healthz"); err != nil {
		return nil, err
	}
	recorded := filepath.Join(b.dir, "pixel.gob")
	if err := recordPixel(ctx, b.dir, p.ours.url, recorded); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if p.bare, err = b.serve(ctx, "bare-track", "http://"+bareAddress, nil, self, "bare", bareAddress, recorded); err != nil {
		return nil, err
	}
	return p, p.bare.ready(ctx, "http://"+bareAddress+"/")
}

// recordPixel asks for one impression and keeps the answer for the bare server.
func recordPixel(ctx context.Context, dir, url, path string) error {
	tr, err := newTracker(dir)
	if err != nil {
		return err
	}
	file, err := tr.file(1)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/t/i/"+string(bytes.TrimSpace(text)), nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		return fmt.Errorf("an impression: %s, %s: %w", response.Status, body, err)
	}
	var encoded bytes.Buffer
	if err := gob.NewEncoder(&encoded).Encode([]answer{answerOf(response, body)}); err != nil {
		return err
	}
	return os.WriteFile(path, encoded.Bytes(), 0o644)
}

// impressions counts them in a folder bucket's segments.
func impressions(bucket string) (n int, err error) {
	err = filepath.WalkDir(filepath.Join(bucket, "events"), func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		process, err := ulid.ParseStrict(filepath.Base(filepath.Dir(path)))
		if err != nil {
			return err
		}
		seq, err := strconv.ParseUint(e.Name(), 10, 64)
		if err != nil {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		r, err := event.NewReader(b, process, seq)
		var rec event.Record
		for ok := err == nil; ok; {
			if ok, err = r.Next(&rec); ok && rec.Type == event.Impression {
				n++
			}
		}
		return err
	})
	return n, err
}
