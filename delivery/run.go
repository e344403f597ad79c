package delivery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/valyala/fasthttp"
	"gocloud.dev/blob"

	"github.com/hayate-ads/hayate/delivery/bank"
	"github.com/hayate-ads/hayate/delivery/eventlog"
	"github.com/hayate-ads/hayate/delivery/lease"
	"github.com/hayate-ads/hayate/delivery/refresh"
	"github.com/hayate-ads/hayate/delivery/render"
	"github.com/hayate-ads/hayate/delivery/token"
	"github.com/hayate-ads/hayate/delivery/visitor"
	"github.com/hayate-ads/hayate/internal/bucket"
	"github.com/hayate-ads/hayate/internal/postgres"
	"github.com/hayate-ads/hayate/internal/snapshot"
	"github.com/hayate-ads/hayate/internal/telemetry"
)

// Fetch brings the newest snapshot into the cache of STATE_DIR and returns, as
// an init container does, so that the process that follows is ready at once. An
// older snapshot that is there already will do while the bucket is away.
func Fetch(ctx context.Context, cfg Config, log *slog.Logger) error {
	if cfg.BucketURL == "" || cfg.StateDir == "" {
		return errors.New("fetch needs BUCKET_URL and STATE_DIR")
	}
	store, err := bucket.Open(ctx, cfg.BucketURL)
	if err != nil {
		return err
	}
	defer store.Close()
	return (&refresh.Refresher{Bucket: store, CacheDir: cfg.snapshots(), Log: log}).Fetch(ctx)
}

func (c Config) snapshots() string { return filepath.Join(c.StateDir, "snapshots") }

// Run serves until ctx ends and then drains: it returns nil when everything it
// acknowledged is in the bucket or, while that is away, in the database's spool;
// and an error that says what is left when not.
// Before it serves, an error is one line that says what cannot be used.
//
// What it needs to start is its folder, its addresses and the token keys. The
// database and the bucket may be away: it serves from the snapshots it has kept,
// with the leases it gets once the database is back.
func Run(ctx context.Context, cfg Config, log *slog.Logger) (err error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return err
	}
	var p process
	defer func() { err = errors.Join(err, p.release()) }()
	if err := p.open(ctx, cfg, log); err != nil {
		return err
	}

	// Requests outlive ctx by the drain, and need all of this until they are done.
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var running sync.WaitGroup
	running.Go(func() { _ = p.bank.Run(background) })
	running.Go(func() { p.follow(background) })
	running.Go(func() { p.everySecond(background) })
	running.Go(func() { p.server.reasons.sampler.run(background) })

	failed := make(chan error, 2)
	go func() { failed <- served("public port", p.web.Serve(acceptor{p.public})) }()
	go func() { failed <- served("ops port", p.ops.Serve(p.opsListener)) }()
	log.Info("delivery is up", "listen", p.public.Addr().String(), "ops", p.opsListener.Addr().String(),
		"process", p.bank.Process().String(), "generation", p.refresher.Generation())
	if cfg.Ready != nil {
		cfg.Ready(p.public.Addr(), p.opsListener.Addr())
	}
	select {
	case <-ctx.Done():
		p.announce()
	case err = <-failed:
	}
	return errors.Join(err, p.drain(stop, &running))
}

func served(what string, err error) error {
	if err == nil || errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

// process is one run of the server with all that it has open.
type process struct {
	cfg     Config
	log     *slog.Logger
	metrics *telemetry.Client

	public, opsListener net.Listener
	bucket              *blob.Bucket
	db                  *postgres.DB
	visitors            *visitor.Reader
	events              *eventlog.Log
	counted             eventlog.Stats // what of the log's counters the metrics have been told
	bank                *bank.Bank
	refresher           *refresh.Refresher
	server              *server
	web                 *fasthttp.Server
	ops                 *http.Server
}

// open opens everything, the parts with the clearest errors first. What was
// opened before an error is closed by release.
func (p *process) open(ctx context.Context, cfg Config, log *slog.Logger) (err error) {
	p.log = log
	file, err := os.ReadFile(cfg.TokenKeys)
	if err != nil {
		return fmt.Errorf("TOKEN_KEYS: %w", err)
	}
	keys, err := token.ParseKeys(file)
	if err != nil {
		return fmt.Errorf("TOKEN_KEYS: %s: %w", cfg.TokenKeys, err)
	}
	if p.visitors, err = cfg.openVisitors(); err != nil {
		return err
	}
	if p.metrics, err = telemetry.NewClient("delivery", cfg.Version); err != nil {
		return err
	}
	if p.bucket, err = bucket.Open(ctx, cfg.BucketURL); err != nil {
		return fmt.Errorf("BUCKET_URL: %w", err)
	}
	if p.db, err = postgres.Connect(context.WithoutCancel(ctx), cfg.DatabaseURL); err != nil {
		return fmt.Errorf("DATABASE_URL: %w", err)
	}
	if p.public, err = net.Listen("tcp", cfg.Listen); err != nil {
		return fmt.Errorf("LISTEN: %w", err)
	}
	if p.opsListener, err = net.Listen("tcp", cfg.OpsListen); err != nil {
		return fmt.Errorf("OPS_LISTEN: %w", err)
	}
	p.cfg = cfg.withAddresses(p.public.Addr())
	return p.wire(keys)
}

// wire makes the parts that need one another. The log dates records by the
// bank's clock and the bank writes into the log: until there is a bank, that
// clock is this machine's.
func (p *process) wire(keys *token.Keys) (err error) {
	id := ulid.Make()
	var clock atomic.Pointer[bank.Bank]
	now := func() time.Time {
		if b := clock.Load(); b != nil {
			return b.Now()
		}
		return time.Now().UTC()
	}
	p.events, err = eventlog.Open(eventlog.Config{
		Dir: filepath.Join(p.cfg.StateDir, "log"), Process: id, Bucket: p.bucket, Now: now, Log: p.log, RotateEvery: p.cfg.RotateEvery,
		MaxBytes: p.cfg.LogBytes, Spool: p.db.Spool,
		Committed: p.metrics.Samples(telemetry.EventlogCommitTime).Add,
	})
	if err != nil {
		return fmt.Errorf("STATE_DIR: %w", err)
	}
	book := new(lease.Book)
	board := newBoard(book, newTally(), render.Config{TrackingURL: p.cfg.PublicURL, AssetURL: p.cfg.AssetURL})
	p.refresher = &refresh.Refresher{
		Bucket: p.bucket, CacheDir: p.cfg.snapshots(), Every: p.cfg.RefreshEvery, Log: p.log, Metrics: p.metrics,
		Swap: func(s *snapshot.Snapshot) error { return board.load(s, now()) },
	}
	if err := p.refresher.Load(); err != nil {
		return fmt.Errorf("STATE_DIR: %w", err)
	}
	p.bank = bank.New(bank.Config{
		DB: p.db, Process: id, Book: book, Log: p.events, Logger: p.log, Metrics: p.metrics,
		Bank: p.cfg.Bank.protocol(), Hold: p.cfg.Hold,
		Silence: bankSilence, HeartbeatEvery: heartbeatEvery, Timeout: bankTimeout,
		StopsSince: p.refresher.CreatedAt(),
		Price:      board.price, Least: board.least, Generation: board.generation, OnChange: board.changed, OnStop: board.setStopped,
	})
	clock.Store(p.bank)
	p.server = &server{
		cfg: p.cfg, keys: keys, visitors: p.visitors, board: board, reasons: newReasons(p.metrics), assets: newAssets(p.bucket),
		metrics: newMetrics(p.metrics), throttle: telemetry.NewThrottle(p.log, p.metrics),
		now: p.bank.Now, process: p.bank.Process, want: p.bank.Want, record: p.events.Append,
	}
	p.web = p.server.http()
	p.ops = p.opsServer()
	return nil
}

// The bank's part of the protocol that no operator should turn (design §5.3).
const (
	bankSilence    = 180 * time.Second
	heartbeatEvery = 2 * time.Second
	bankTimeout    = 2 * time.Second
)

// follow keeps the catalog up to date with the bucket.
func (p *process) follow(ctx context.Context) {
	if err := p.refresher.Run(ctx); err != nil {
		p.log.Error("snapshots are no longer followed", "error", err)
	}
}

// everySecond does what time alone asks for.
func (p *process) everySecond(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			now := p.bank.Now()
			p.server.board.tick(now)
			if err := p.flush(now, false); err != nil {
				p.server.throttle.Warn(now, "requests", "request counts wait for the log", slog.Any("error", err))
			}
			p.gauges(now)
		}
	}
}

// flush logs the counts of requests and of why line items did not serve; last:
// all that there is of the latter.
func (p *process) flush(now time.Time, last bool) error {
	return errors.Join(p.server.board.tally.flush(now, p.events.Append), p.server.reasons.flush(now, last, p.events.Append))
}

func (p *process) gauges(now time.Time) {
	m := p.metrics
	if current := p.server.board.current.Load(); current != nil {
		m.Gauge(telemetry.SnapshotAge, now.Sub(current.catalog.CreatedAt).Seconds())
		m.Gauge(telemetry.SnapshotGeneration, float64(current.catalog.Generation))
		m.Gauge(telemetry.CatalogLineItems, float64(len(current.catalog.LineItems)))
	}
	segments, bytes := p.events.Backlog()
	m.Gauge(telemetry.EventlogBacklogSegments, float64(segments))
	m.Gauge(telemetry.EventlogBacklogBytes, float64(bytes))
	m.Gauge(telemetry.EventlogDiskUsed, p.events.Used())
	stats := p.events.Stats()
	m.Count(telemetry.EventlogShipped, stats.Shipped-p.counted.Shipped)
	m.Count(telemetry.EventlogAbandoned, stats.Abandoned-p.counted.Abandoned)
	p.counted = stats
	m.Gauge(telemetry.BankLeased, float64(p.bank.Left()))
	m.Gauge(telemetry.BankLeases, float64(p.bank.Serving()))
	m.Gauge(telemetry.BankHeartbeatAge, p.bank.Silence().Seconds())
}
