package delivery

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/bucket"
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/snapshot"
)

// publish puts a snapshot of house ads, which need no bank, into the bucket.
func publish(t *testing.T, address string, generation uint64) {
	t.Helper()
	s := testSnapshot(generation)
	s.CreatedAt = time.Now().Add(-time.Minute).Truncate(time.Microsecond).UTC()
	s.LineItems, s.Creatives = s.LineItems[2:], s.Creatives[2:]
	for i := range s.LineItems {
		s.LineItems[i].StartsAt = s.CreatedAt.Add(-time.Hour)
	}
	file := snapshot.Append(nil, s)
	pointer := snapshot.PointTo(s, file)
	ctx := context.Background()
	store, err := bucket.Open(ctx, address)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if err := store.WriteAll(ctx, pointer.Key, file, nil); err != nil {
		t.Fatal(err)
	}
	if err := store.WriteAll(ctx, snapshot.PointerKey, pointer.JSON(), nil); err != nil {
		t.Fatal(err)
	}
}

// running is a process of the test.
type running struct {
	public, ops string // http://…
	log         *syncBuffer
	stop        context.CancelFunc
	ended       chan error
}

// syncBuffer is a log that a test may read while it is written.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(text []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(text)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func start(t *testing.T, cfg Config) *running {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	r := &running{log: new(syncBuffer), stop: stop, ended: make(chan error, 1)}
	up := make(chan struct{})
	cfg.Ready = func(public, ops net.Addr) {
		r.public, r.ops = "http://"+public.String(), "http://"+ops.String()
		close(up)
	}
	go func() { r.ended <- Run(ctx, cfg, slog.New(slog.NewTextHandler(r.log, nil))) }()
	t.Cleanup(func() {
		stop()
		if t.Failed() {
			t.Log(r.log.String())
		}
	})
	select {
	case <-up:
	case err := <-r.ended:
		t.Fatalf("Run: %v", err)
	case <-time.After(10 * time.Second):
		t.Fatal("not up after 10 s")
	}
	return r
}

// end stops the process and returns what Run returned.
func (r *running) end(t *testing.T) error {
	t.Helper()
	r.stop()
	select {
	case err := <-r.ended:
		return err
	case <-time.After(30 * time.Second):
		t.Fatal("Run goes on 30 s after the signal to stop")
		return nil
	}
}

// eventually polls until done, for at most ten seconds.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("not within 10 s: %s", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Without a database a process starts, serves what needs no money, counts it,
// follows the bucket, and ends with everything in the bucket.
func TestRunWithoutDatabase(t *testing.T) {
	t.Parallel()
	cfg := usable(t)
	cfg.RefreshEvery = 100 * time.Millisecond
	r := start(t, cfg)
	c := client(t)
	if got := do(t, c, "GET", r.ops+"/readyz", ""); got.Status != 503 || !strings.Contains(got.Body, "snapshot: ") {
		t.Errorf("before a snapshot: %+v", got)
	}
	if got := do(t, c, "GET", r.ops+"/healthz", ""); got.Status != 200 {
		t.Errorf("healthz: %+v", got)
	}
	publish(t, cfg.BucketURL, 1)
	eventually(t, "ready", func() bool { return do(t, c, "GET", r.ops+"/readyz", "").Status == 200 })

	var ad decided
	eventually(t, "a house ad", func() bool {
		all := parseDecisions(t, do(t, c, "POST", r.public+"/v1/decisions", `{"placements":[{"id":"11"}]}`))
		ad = all.Decisions[0]
		return ad.LineItem == "33"
	})
	if !strings.HasPrefix(ad.Click, r.public+"/t/c/") {
		t.Errorf("click %s, served at %s", ad.Click, r.public)
	}
	for _, address := range []string{ad.Impressions[0], ad.Viewables[0], ad.Click} {
		if got := do(t, c, "GET", address, ""); got.Status > 302 || got.Header.Get("X-Hayate-Counted") != "" {
			t.Errorf("%s: %+v", address, got)
		}
	}
	publish(t, cfg.BucketURL, 2)
	eventually(t, "generation 2", func() bool {
		return parseDecisions(t, do(t, c, "GET", r.public+"/v1/ad?placement=11&format=json", "")).Generation == 2
	})
	if err := r.end(t); err != nil {
		t.Fatal(err)
	}
	counted := shipped(t, cfg.BucketURL)
	for _, kind := range []event.Type{event.Open, event.Close, event.Impression, event.Click, event.Viewable, event.End} {
		if counted[kind] != 1 && kind != event.Open && kind != event.Close {
			t.Errorf("%d records of type %d in the bucket", counted[kind], kind)
		}
	}
	if counted[event.Open] == 0 || counted[event.Open] != counted[event.Close] || counted[event.Requests] == 0 {
		t.Errorf("in the bucket: %v", counted)
	}
	if log := r.log.String(); !strings.Contains(log, "drain ends") || strings.Contains(log, "panic") {
		t.Error(log)
	}

	// The next start serves at once, from the copy that the first one kept.
	if err := os.RemoveAll(strings.TrimPrefix(cfg.BucketURL, "file://") + "/snapshots"); err != nil {
		t.Fatal(err)
	}
	r = start(t, cfg)
	if got := do(t, c, "GET", r.ops+"/readyz", ""); got.Status != 200 {
		t.Errorf("after a restart: %+v", got)
	}
	if err := r.end(t); err != nil {
		t.Fatal(err)
	}
}

// shipped counts the records in the bucket's segments by type.
func shipped(t *testing.T, address string) map[event.Type]int {
	t.Helper()
	counted := make(map[event.Type]int)
	root := strings.TrimPrefix(address, "file://")
	files, err := filepath.Glob(filepath.Join(root, "events", "*", "*", "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("segments %v, %v", files, err)
	}
	for _, name := range files {
		file, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		process := ulid.MustParse(filepath.Base(filepath.Dir(name)))
		seq, err := strconv.ParseUint(filepath.Base(name), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		segment, err := event.NewReader(file, process, seq)
		if err != nil {
			t.Fatal(err)
		}
		for {
			var record event.Record
			ok, err := segment.Next(&record)
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				break
			}
			counted[record.Type]++
		}
	}
	return counted
}

func TestRunDrain(t *testing.T) {
	t.Parallel()
	cfg := usable(t)
	cfg.Drain = 500 * time.Millisecond
	publish(t, cfg.BucketURL, 1)
	r := start(t, cfg)
	c := client(t)
	eventually(t, "ready", func() bool { return do(t, c, "GET", r.ops+"/readyz", "").Status == 200 })
	r.stop()
	eventually(t, "not ready", func() bool { return do(t, c, "GET", r.ops+"/readyz", "").Status == 503 })
	resp, err := c.Get(r.public + "/tag.js")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 200 || !resp.Close {
		t.Errorf("while draining: %d, close %v", resp.StatusCode, resp.Close)
	}
	if err := r.end(t); err != nil {
		t.Error(err)
	}
	if conn, err := net.Dial("tcp", strings.TrimPrefix(r.public, "http://")); err == nil {
		conn.Close()
		t.Error("the public port still accepts")
	}
}

// What cannot be used at the start is one line that names it.
func TestRunErrors(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := func(want string, change func(*Config)) {
		t.Helper()
		cfg := usable(t)
		change(&cfg)
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		err := Run(ctx, cfg, slog.New(slog.DiscardHandler))
		if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v; want one line that begins %q", err, want)
		}
	}
	f("LISTEN: ", func(c *Config) { c.Listen = taken.Addr().String() })
	f("OPS_LISTEN: ", func(c *Config) { c.OpsListen = taken.Addr().String() })
	f("TOKEN_KEYS: "+file, func(c *Config) { c.TokenKeys = file })
	f("GEOIP_FILE: ", func(c *Config) { c.GeoIPFile = file })
	f("DATABASE_URL: ", func(c *Config) { c.DatabaseURL = "postgres://a:b@c:notaport/d" })
	f("BUCKET_URL: ", func(c *Config) { c.BucketURL = "file:///nonexistent/folder" })
	f("BUCKET_URL: ", func(c *Config) { c.BucketURL = "ftp://x" })
	f("STATE_DIR: ", func(c *Config) { c.StateDir = file })

	cfg := usable(t)
	r := start(t, cfg)
	f("STATE_DIR: ", func(c *Config) { c.StateDir = cfg.StateDir }) // another process has it
	if err := r.end(t); err != nil {
		t.Error(err)
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)
	e := &explainer{server: s.server}
	ask := func(body string) (status int, answer explained) {
		t.Helper()
		w := new(recorder)
		req, err := http.NewRequest("POST", "/explain", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		e.ServeHTTP(w, req)
		if w.status == 0 {
			if err := json.Unmarshal(w.body.Bytes(), &answer); err != nil {
				t.Fatal(err)
			}
			w.status = 200
		}
		return w.status, answer
	}
	status, answer := ask(`{"placements":[{"id":"11"}],"keywords":{"topic":["rust"]}}`)
	if status != 200 || answer.Generation != 7 || len(answer.Explanations) != 3 {
		t.Fatalf("%d %+v", status, answer)
	}
	outcomes := map[ad.ID]string{}
	for _, x := range answer.Explanations {
		outcomes[x.LineItem] = string(x.Outcome)
	}
	if outcomes[pricedItem] != "won" || outcomes[keywordItem] != "no_match" || outcomes[houseItem] != "outbid" {
		t.Errorf("%v", outcomes)
	}
	if micros, n := s.book.Slot(pricedItem).Load().Left(); micros != 1_000_000 || n != 1000 {
		t.Errorf("explaining took from the lease: %d, %d left", micros, n)
	}
	if status, _ := ask(`{`); status != 400 {
		t.Errorf("bad JSON: status %d", status)
	}
	if status, _ := ask(strings.Repeat(" ", maxBodyBytes+1)); status != 413 {
		t.Errorf("a large body: status %d", status)
	}
	e.busy.Lock()
	if status, _ := ask(`{"placements":[{"id":"11"}]}`); status != 429 {
		t.Errorf("while busy: status %d", status)
	}
}

// recorder keeps what a handler writes.
type recorder struct {
	status int
	header http.Header
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header {
	if r.header == nil {
		r.header = http.Header{}
	}
	return r.header
}

func (r *recorder) WriteHeader(status int)               { r.status = status }
func (r *recorder) Write(text []byte) (n int, err error) { return r.body.Write(text) }
