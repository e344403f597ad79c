package batch

import (
	"context"
	"log/slog"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hayate-ads/hayate/internal/bucket"
	"github.com/hayate-ads/hayate/internal/postgres"
	"github.com/hayate-ads/hayate/internal/postgres/postgrestest"
	"github.com/hayate-ads/hayate/internal/snapshot"
)

func newConfig(t *testing.T) Config {
	t.Helper()
	folder := (&url.URL{Scheme: "file", Path: filepath.Join(t.TempDir(), "bucket")}).String()
	return Config{DatabaseURL: postgrestest.URL(t), BucketURL: folder, FollowFor: time.Second, PublishEvery: time.Second, PublishRepeat: time.Second}
}

func published(t *testing.T, cfg Config) (p snapshot.Pointer) {
	t.Helper()
	b, err := bucket.Open(t.Context(), cfg.BucketURL)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if text, err := b.ReadAll(t.Context(), snapshot.PointerKey); err == nil {
		if p, err = snapshot.ParsePointer(text); err != nil {
			t.Error(err)
		}
	}
	return p
}

func TestRunJob(t *testing.T) {
	t.Parallel()
	cfg, log := newConfig(t), slog.New(slog.DiscardHandler)
	if err := RunJob(t.Context(), cfg, "publish", log); err != nil {
		t.Error(err)
	}
	if p := published(t, cfg); p.Generation != 1 {
		t.Errorf("published %+v", p)
	}
	if err := RunJob(t.Context(), cfg, "settle", log); err != nil {
		t.Error(err)
	}
	if err := RunJob(t.Context(), cfg, "dance", log); err == nil || !strings.Contains(err.Error(), `no job "dance": there are publish, settle`) {
		t.Errorf("error %v", err)
	}
}

func TestCannotStart(t *testing.T) {
	t.Parallel()
	good, log := newConfig(t), slog.New(slog.DiscardHandler)
	f := func(want string, change func(*Config)) {
		t.Helper()
		cfg := good
		change(&cfg)
		for _, err := range []error{RunJob(t.Context(), cfg, "publish", log), Schedule(t.Context(), cfg, log)} {
			if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %v, want one line with %q", err, want)
			}
		}
	}
	f("DATABASE_URL is not set", func(c *Config) { c.DatabaseURL = "" })
	f("does not exist", func(c *Config) { c.BucketURL = "file:///absent/folder/bucket" })
	f("database does not answer", func(c *Config) { c.DatabaseURL = "postgres://nobody@127.0.0.1:1/none" })
	if err := Migrate(t.Context(), Config{}, log); err == nil || !strings.Contains(err.Error(), "DATABASE_URL is not set") {
		t.Errorf("migrate: %v", err)
	}
}

func TestMigrate(t *testing.T) {
	t.Parallel()
	cfg := Config{DatabaseURL: postgrestest.EmptyURL(t)}
	for range 2 {
		if err := Migrate(t.Context(), cfg, slog.New(slog.DiscardHandler)); err != nil {
			t.Error(err)
		}
	}
	db, err := postgres.Open(t.Context(), cfg.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.StartRun(t.Context(), "any"); err != nil {
		t.Error(err)
	}
}

// The schedule publishes at once and again, settle is started again when its
// turn is over, and all of it ends with the context.
func TestSchedule(t *testing.T) {
	t.Parallel()
	cfg, log := newConfig(t), new(syncBuffer)
	db, err := postgres.Open(t.Context(), cfg.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	r := &Runner{DB: db}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- Schedule(ctx, cfg, slog.New(slog.NewTextHandler(log, nil))) }()
	deadline := time.Now().Add(30 * time.Second)
	for len(runs(t, r, "settle")) < 3 || published(t, cfg).Generation < 3 {
		if time.Now().After(deadline) {
			t.Fatalf("settle %q, publish %q:\n%s", runs(t, r, "settle"), runs(t, r, "publish"), log)
		}
		time.Sleep(10 * time.Millisecond)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for _, run := range append(runs(t, r, "settle"), runs(t, r, "publish")...) {
		if !strings.HasPrefix(run, "ok") && !strings.HasPrefix(run, "failed stopped") {
			t.Errorf("run %q", run)
		}
	}
	if strings.Contains(log.String(), "level=ERROR") {
		t.Errorf("log:\n%s", log)
	}
}

func TestBadScheduleIsNamed(t *testing.T) {
	t.Parallel()
	err := (&Runner{}).schedule(t.Context(), []Job{{Name: "lake", Schedule: "every day"}})
	if err == nil || !strings.Contains(err.Error(), "schedule of job lake") {
		t.Errorf("error %v", err)
	}
}
