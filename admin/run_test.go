package admin

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/postgres"
	"github.com/hayate-ads/hayate/internal/postgres/postgrestest"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

func TestRun(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ready := make(chan string, 1)
	ended := make(chan error, 1)
	cfg := Config{Listen: "127.0.0.1:0", DatabaseURL: postgrestest.URL(t), BucketURL: "file://" + t.TempDir() + "/bucket", Ready: func(addr string) { ready <- addr }}
	go func() { ended <- Run(ctx, cfg, quiet) }()
	select {
	case addr := <-ready:
		for _, path := range []string{"/healthz", "/readyz", "/sign-in", "/static/console.js", "/api/openapi.json"} {
			response, err := http.Get("http://" + addr + path)
			if err != nil || response.StatusCode != http.StatusOK {
				t.Fatalf("GET %s: %v, %v", path, response, err)
			}
			_ = response.Body.Close()
		}
	case err := <-ended:
		t.Fatal(err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("a clean stop is %v", err)
	}
}

func TestRunSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, 0, err)
	defer busy.Close()
	database, folder := postgrestest.URL(t), "file://"+t.TempDir()
	f := func(cfg Config, needles ...string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		err := Run(ctx, cfg, quiet)
		if err == nil {
			t.Fatalf("Run(%+v) started", cfg)
		}
		for _, needle := range needles {
			if !strings.Contains(err.Error(), needle) {
				t.Errorf("error %q lacks %q", err, needle)
			}
		}
		if lines := strings.Count(err.Error(), "\n") + 1; lines > len(needles) {
			t.Errorf("error %q has %d lines for %d mistakes", err, lines, len(needles))
		}
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("error %q shows the password", err)
		}
	}
	f(Config{}, "DATABASE_URL", "BUCKET_URL")
	f(Config{DatabaseURL: "postgres://u:secret@127.0.0.1:1/x", BucketURL: folder}, "database")
	f(Config{DatabaseURL: database, BucketURL: "ftp://x"}, "bucket")
	f(Config{DatabaseURL: database, BucketURL: "file:///no/such/folder/at/all"}, "bucket")
	f(Config{DatabaseURL: database, BucketURL: folder, Listen: busy.Addr().String()}, busy.Addr().String())
	f(Config{DatabaseURL: database, BucketURL: folder, AssetURL: "ftp://x"}, "ASSET_URL")
	f(Config{DatabaseURL: database, BucketURL: folder, CookieSecure: true, PublicURL: "http://x"}, "COOKIE_SECURE")
	f(Config{DatabaseURL: database, BucketURL: folder, TrustedProxies: []string{"x"}}, "TRUSTED_PROXIES: \"x\"")
	f(Config{DatabaseURL: database, BucketURL: folder, SessionIdle: -3 * time.Second, SessionLifetime: -1, RequestTimeout: -1, ShutdownTimeout: -1, ParallelHashes: -1, Listen: "here"},
		"SESSION_IDLE: -3s is not between 1s and 720h0m0s\n", "SESSION_LIFETIME: -1ns", "REQUEST_TIMEOUT", "SHUTDOWN_TIMEOUT", "PARALLEL_HASHES: -1", "LISTEN: \"here\"")
	f(Config{DatabaseURL: database, BucketURL: folder, SessionIdle: time.Millisecond}, "SESSION_IDLE: 1ms")
}

// Without its database the console says so, on every page, and lives.
func TestDatabaseAway(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	c, p := h.as(ad.RoleOperator), h.program(ad.RoleOperator)
	there := h.db.Pool
	away, err := pgxpool.New(t.Context(), "postgres://nobody@127.0.0.1:1/nothing?connect_timeout=1")
	must(t, 0, err)
	defer away.Close()
	*h.db = postgres.DB{Pool: away}
	c.get("/").want(t, http.StatusServiceUnavailable).has(t, "database does not answer").lacks(t, "127.0.0.1:1", "dial")
	c.get("/campaigns/1").want(t, http.StatusServiceUnavailable)
	if h.stranger().signIn("operator@example.com", password).want(t, http.StatusServiceUnavailable).header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	p.get("/api/v1/campaigns").want(t, http.StatusServiceUnavailable).has(t, `"code":"unavailable"`).lacks(t, "127.0.0.1:1")
	c.get("/api/v1/campaigns").want(t, http.StatusServiceUnavailable).has(t, `"code":"unavailable"`)
	h.stranger().get("/readyz").want(t, http.StatusServiceUnavailable)
	h.stranger().get("/healthz").want(t, http.StatusOK)
	*h.db = postgres.DB{Pool: there}
	c.get("/").want(t, http.StatusOK)
	p.get("/api/v1/campaigns").want(t, http.StatusOK)
}

// What goes wrong is logged once, in at most 1 KB, and never shown.
func TestPanicsAndLogs(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	faulty := h.console.recovered(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(strings.Repeat("secret ", 10_000)) }))
	h.server.Config.Handler = faulty
	h.stranger().get("/").want(t, http.StatusInternalServerError).lacks(t, "secret")
	if line := h.log.String(); len(line) > 1300 || !strings.Contains(line, "panic") {
		t.Errorf("log line of %d bytes", len(line))
	}
}

func TestOversizedForms(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	c := h.as(ad.RoleOperator)
	c.post("/targeting/check", url.Values{"expression": {strings.Repeat("x", 5<<20)}}).want(t, http.StatusRequestEntityTooLarge)
	c.post("/sign-out", nil).want(t, http.StatusSeeOther)
}
