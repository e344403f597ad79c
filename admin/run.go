package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/hayate-ads/hayate/admin/assets"
	"github.com/hayate-ads/hayate/admin/auth"
	"github.com/hayate-ads/hayate/internal/bucket"
	"github.com/hayate-ads/hayate/internal/postgres"
	"github.com/hayate-ads/hayate/internal/telemetry"
)

// Run serves the console until ctx ends. Its error says what keeps the console
// from starting, a line for each mistake; after a clean stop it is nil.
func Run(ctx context.Context, cfg Config, log *slog.Logger) (err error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return err
	}
	files, err := assets.Load()
	if err != nil {
		return err
	}
	proxies, err := auth.ParseProxies(cfg.TrustedProxies)
	if err != nil {
		return err
	}
	metrics, err := telemetry.NewClient("admin", cfg.Version)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, metrics.Close()) }()
	db, err := postgres.Open(ctx, cfg.DatabaseURL)
	if err != nil {
		return err
	}
	defer db.Close()
	objects, err := bucket.Open(ctx, cfg.BucketURL)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, objects.Close()) }()
	c := &console{
		config: cfg, db: db, bucket: objects, files: files, sessions: newSessions(cfg, db.Sessions()),
		hasher: auth.NewHasher(cfg.ParallelHashes), accounts: auth.NewLockout(), addresses: auth.NewLockout(), proxies: proxies,
		uploads: make(chan struct{}, 1), log: log, metrics: metrics, now: time.Now,
	}
	return c.serve(ctx)
}

func (c *console) serve(ctx context.Context) error {
	listener, err := net.Listen("tcp", c.config.Listen)
	if err != nil {
		return fmt.Errorf("LISTEN: %w", err)
	}
	server := &http.Server{
		Handler: measured(c.metrics, c.routes()), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: time.Minute,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10, ErrorLog: slog.NewLogLogger(c.log.Handler(), slog.LevelDebug),
	}
	if c.config.Ready != nil {
		c.config.Ready(listener.Addr().String())
	}
	c.log.Info("admin: listening", "address", listener.Addr().String())
	sweeping := make(chan struct{})
	go func() {
		defer close(sweeping)
		c.sweep(ctx)
	}()
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	// The new context is on purpose: the old one has ended, and the stop needs time.
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.config.ShutdownTimeout)
	defer cancel()
	if err := server.Shutdown(stop); err != nil {
		_ = server.Close() // what has not finished by now is cut off
	}
	<-sweeping
	return nil
}

// sweepEvery is how often sessions that have expired are deleted.
const sweepEvery = 10 * time.Minute

func (c *console) sweep(ctx context.Context) {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if _, err := c.db.Sessions().DeleteExpired(ctx); err != nil && ctx.Err() == nil {
				c.log.Warn("admin: expired sessions not deleted", "error", clip(err.Error(), 300))
			}
		}
	}
}

// bounded gives up requests that take too long, so that a database that hangs
// does not gather them.
func (c *console) bounded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), c.config.RequestTimeout)
		defer cancel()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// ready says whether the console can answer: whether Postgres does.
func (c *console) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	if err := c.db.Pool.Ping(ctx); err != nil {
		http.Error(w, "the database does not answer", http.StatusServiceUnavailable)
		return
	}
	_, _ = w.Write([]byte("ok\n"))
}
