package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/alecthomas/kong"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/hayate-ads/hayate/admin"
	"github.com/hayate-ads/hayate/batch"
	"github.com/hayate-ads/hayate/delivery"
	"github.com/hayate-ads/hayate/internal/bucket"
	"github.com/hayate-ads/hayate/internal/postgres"
	"github.com/hayate-ads/hayate/internal/postgres/cluster"
	"github.com/hayate-ads/hayate/internal/telemetry"
	"github.com/hayate-ads/hayate/internal/traffic"
)

// database is the demo's database in the private cluster.
const database = "hayate"

// standalone is one running installation.
type standalone struct {
	config      Config
	state       state
	log         *slog.Logger
	databaseURL string
	bucketURL   string
	page        page
	token       string // of the API
	password    string
}

// run starts everything, says where it is, and ends everything with ctx: the
// services first, Postgres last.
func run(ctx context.Context, config Config) (err error) {
	s := &standalone{config: config}
	if s.state, err = openState(config.StateDir); err != nil {
		return err
	}
	out, err := s.openLog()
	if err != nil {
		return err
	}
	defer out.Close()
	fmt.Println("Starting Postgres in", s.state.path("postgres"))
	private, err := cluster.Start(ctx, cluster.Config{Dir: s.state.path("postgres"), Port: cluster.FreePort, Durable: true})
	if err != nil {
		return err
	}
	defer func() {
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		err = errors.Join(err, private.Stop(stop))
	}()
	// Only now: a second start that finds the folder taken leaves the first one's file alone.
	if err := s.state.remove(environmentFile); err != nil {
		return err
	}
	if err := s.prepare(ctx, private); err != nil {
		return err
	}
	err = s.serve(ctx)
	return errors.Join(err, s.state.remove(environmentFile)) // it would lead to nothing now
}

// openLog sends the services' logs into a file, unless they are to be seen.
func (s *standalone) openLog() (io.Closer, error) {
	if s.config.Verbose {
		s.log = telemetry.Logger(os.Stderr, "standalone", version, slog.LevelInfo)
		return io.NopCloser(nil), nil
	}
	file, err := os.OpenFile(s.state.path("standalone.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	s.log = telemetry.Logger(file, "standalone", version, slog.LevelInfo)
	return file, nil
}

// prepare brings database, bucket and demo data to where the services can start.
func (s *standalone) prepare(ctx context.Context, private *cluster.Cluster) error {
	if err := createDatabase(ctx, private.URL("postgres")); err != nil {
		return err
	}
	s.databaseURL, s.bucketURL = private.URL(database), "file://"+filepath.ToSlash(s.state.path("bucket"))
	if err := postgres.Migrate(ctx, s.databaseURL); err != nil {
		return err
	}
	db, err := postgres.Open(ctx, s.databaseURL)
	if err != nil {
		return err
	}
	defer db.Close()
	files, err := bucket.Open(ctx, s.bucketURL)
	if err != nil {
		return err
	}
	defer files.Close()
	if s.page, err = (seeder{ctx, db, files, "http://" + s.config.DemoListen}).seed(); err != nil {
		return err
	}
	s.page.DeliveryURL, s.page.AdminURL = "http://"+s.config.Listen, "http://"+s.config.AdminListen
	return s.credentials(ctx, db)
}

// createDatabase makes the demo's database when it is missing.
func createDatabase(ctx context.Context, url string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	var exists bool
	err = conn.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM pg_database WHERE datname = $1)`, database).Scan(&exists)
	if err != nil || exists {
		return err
	}
	_, err = conn.Exec(ctx, `CREATE DATABASE `+database)
	return err
}

// credentials makes the operator and an API token on first start.
func (s *standalone) credentials(ctx context.Context, db *postgres.DB) (err error) {
	if s.password, err = s.state.secret("admin.password", random(8)); err != nil {
		return err
	}
	user, err := operator(ctx, db, s.password)
	if err != nil {
		return fmt.Errorf("the demo's operator: %w", err)
	}
	s.token, err = s.state.secret("api.token", func() (string, error) {
		text, _, err := db.CreateToken(ctx, postgres.ActorOf(user), "standalone")
		return text, err
	})
	return err
}

// serve runs the services until ctx ends or one of them fails.
func (s *standalone) serve(ctx context.Context) error {
	jobs, ads, console, err := s.configure()
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return named("jobs", batch.Schedule(ctx, jobs, s.log)) })
	group.Go(func() error { return named("delivery", delivery.Run(ctx, ads, s.log)) })
	group.Go(func() error { return named("console", admin.Run(ctx, console, s.log)) })
	group.Go(func() error { return named("demo page", s.servePage(ctx)) })
	group.Go(func() error { return s.announce(ctx) })
	if s.config.Traffic > 0 {
		group.Go(func() error { s.visit(ctx); return nil })
	}
	return group.Wait()
}

func named(service string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", service, err)
	}
	return nil
}

// defaults fills a service's settings as its own program would, from the
// environment and the defaults; the caller then sets what this machine decides.
func defaults(config any) error {
	parser, err := kong.New(config)
	if err != nil {
		return err
	}
	_, err = parser.Parse(nil)
	return err
}

// configure makes the three services' settings.
func (s *standalone) configure() (jobs batch.Config, ads delivery.Config, console admin.Config, err error) {
	keys, err := s.state.tokenKeys()
	if err := errors.Join(err, writeGeography(s.state.path("geography.mmdb")), defaults(&jobs), defaults(&ads), defaults(&console)); err != nil {
		return jobs, ads, console, err
	}
	jobs.DatabaseURL, jobs.BucketURL = s.databaseURL, s.bucketURL
	ads.DatabaseURL, ads.BucketURL = s.databaseURL, s.bucketURL
	ads.Listen, ads.OpsListen, ads.StateDir = s.config.Listen, s.config.OpsListen, s.state.path("delivery")
	ads.TokenKeys, ads.GeoIPFile, ads.Version = keys, s.state.path("geography.mmdb"), version
	console.DatabaseURL, console.BucketURL, console.Listen = s.databaseURL, s.bucketURL, s.config.AdminListen
	console.Version = version
	console.PublicURL, console.AssetURL = "http://"+s.config.AdminListen, "http://"+s.config.Listen+"/assets"
	console.DeliveryURL, console.DeliveryOpsURL = "http://"+s.config.Listen, "http://"+s.config.OpsListen
	return jobs, ads, console, nil
}

// servePage serves the demo publisher, on another origin than delivery.
func (s *standalone) servePage(ctx context.Context) error {
	listener, err := net.Listen("tcp", s.config.DemoListen)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: s.page.handler(), ReadHeaderTimeout: 5 * time.Second}
	context.AfterFunc(ctx, func() { server.Close() })
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// announce waits until everything answers, then writes standalone.env and says so.
func (s *standalone) announce(ctx context.Context) error {
	for _, url := range []string{
		"http://" + s.config.OpsListen + "/readyz", "http://" + s.config.AdminListen + "/readyz", "http://" + s.config.DemoListen + "/",
	} {
		if err := answers(ctx, url); err != nil {
			return nil // ctx ended: whoever ended it has said why
		}
	}
	env := environment{
		{"DELIVERY_URL", "http://" + s.config.Listen}, {"OPS_URL", "http://" + s.config.OpsListen},
		{"ADMIN_URL", "http://" + s.config.AdminListen}, {"DEMO_URL", "http://" + s.config.DemoListen},
		{"DATABASE_URL", s.databaseURL}, {"BUCKET_URL", s.bucketURL},
		{"ADMIN_EMAIL", adminEmail}, {"ADMIN_PASSWORD", s.password}, {"API_TOKEN", s.token},
		{"PLACEMENT_BANNER", s.page.Leaderboard}, {"PLACEMENT_NATIVE", s.page.Native}, {"PLACEMENT_VIDEO", s.page.Video},
		{"PLACEMENT_RECTANGLE", s.page.Rectangle}, {"PLACEMENT_MOBILE", s.page.Mobile}, {"EXCHANGE", ""},
	}
	if err := s.state.write(environmentFile, env.String()); err != nil {
		return err
	}
	fmt.Printf("\n  Ads on a page   http://%s\n  Console         http://%s   %s  %s\n  Settings        %s\n\nCtrl-C stops it; the next start goes on with the same data.\n",
		s.config.DemoListen, s.config.AdminListen, adminEmail, s.password, s.state.path(environmentFile))
	return nil
}

// answers waits until a URL answers 200.
func answers(ctx context.Context, url string) error {
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		if response, err := http.DefaultClient.Do(request); err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// visit makes gentle traffic until ctx ends. Errors do not matter here: the demo
// shows what delivery counted, not what was sent.
func (s *standalone) visit(ctx context.Context) {
	if answers(ctx, "http://"+s.config.OpsListen+"/readyz") != nil {
		return
	}
	const workers = 4
	visitors := traffic.Visitors{
		DeliveryURL: "http://" + s.config.Listen, Placements: []string{s.page.Leaderboard, s.page.Rectangle, s.page.Mobile},
		SeenShare: 0.8, ViewShare: 0.7, ClickShare: 0.02, BuyShare: 0.25, Client: traffic.NewClient(workers),
	}
	traffic.Pace{Rate: s.config.Traffic, Workers: workers}.Run(ctx, func(ctx context.Context, _ time.Time) { visitors.Visit(ctx) })
}
