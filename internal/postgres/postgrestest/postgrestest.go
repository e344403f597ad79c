// Package postgrestest gives every test a migrated database of its own on a real server.
//
// One server runs per test process, started by the first test that needs it and ended with the
// process; the migrations run once, into a template that each test's database is a copy of. So tests
// may all be parallel:
//
//	func TestCampaign(t *testing.T) {
//		t.Parallel()
//		pool := postgrestest.New(t)
//		...
//	}
//
// Tests of package postgres itself belong in package postgres_test, since this package imports it.
package postgrestest

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/hayate-ads/hayate/internal/postgres"
	"github.com/hayate-ads/hayate/internal/postgres/cluster"
)

const (
	template = "template_hayate"
	// poolSize keeps dozens of parallel tests within the server's 200 connections.
	poolSize = 8
	patience = 60 * time.Second
)

// New returns a pool on a fresh, migrated database. Both go away with the test.
func New(t testing.TB) *pgxpool.Pool {
	t.Helper()
	config, err := pgxpool.ParseConfig(URL(t))
	if err != nil {
		t.Fatal(err)
	}
	config.MaxConns = poolSize
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// URL returns the address of a fresh, migrated database, for tests that start processes. The database
// is dropped with the test, whoever is still connected.
func URL(t testing.TB) string {
	t.Helper()
	return fresh(t, template)
}

// EmptyURL returns the address of a fresh database without tables, for tests of the migrations.
func EmptyURL(t testing.TB) string {
	t.Helper()
	return fresh(t, "template0")
}

var databases atomic.Int64

func fresh(t testing.TB, template string) string {
	t.Helper()
	server, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("test_%d", databases.Add(1))
	if err := execute(server, "CREATE DATABASE "+name+" TEMPLATE "+template); err != nil {
		t.Fatalf("database for the test: %v", err)
	}
	t.Cleanup(func() {
		if err := execute(server, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Errorf("drop the test's database: %v", err)
		}
	})
	return server.URL(name)
}

// shared is this process's server, template included. Nothing stops it: a test binary has no moment
// of its own for that, and the cluster's watchdog ends the server and removes its files when the
// process is gone.
var shared = sync.OnceValues(func() (*cluster.Cluster, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	dir, err := os.MkdirTemp("", "hayate-test-")
	if err != nil {
		return nil, err
	}
	// Root's server runs as another user, who has to walk through.
	if err := os.Chmod(dir, 0o711); err != nil {
		return nil, err
	}
	server, err := cluster.Start(ctx, cluster.Config{Dir: dir, Ephemeral: true, Settings: settings})
	if err != nil {
		return nil, err
	}
	if err := execute(server, "CREATE DATABASE "+template+" TEMPLATE template0"); err != nil {
		return nil, err
	}
	if err := postgres.Migrate(ctx, server.URL(template)); err != nil {
		return nil, err
	}
	// Nobody may connect to the template from here on: a session there would block its copying.
	return server, execute(server, "ALTER DATABASE "+template+" ALLOW_CONNECTIONS false")
})

var settings = map[string]string{
	"shared_buffers":  "32MB",
	"max_connections": "200",
	// Small databases that live for seconds: nothing to clean up, but workers to start.
	"autovacuum":   "off",
	"max_wal_size": "256MB",
}

// execute runs one statement that must stand outside transactions, on a connection of its own.
func execute(server *cluster.Cluster, statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, server.URL("postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, statement)
	return err
}
