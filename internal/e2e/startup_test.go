//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// What is missing at a start is one clear line and exit code 1. Delivery alone
// starts without a database: it serves from what it has.
func TestMissingAtStart(t *testing.T) {
	w := newWorld(t)
	with := func(changes ...string) []string { return append(append([]string{}, w.env...), changes...) }
	nowhere := fmt.Sprintf("DATABASE_URL=postgres://nobody@127.0.0.1:%d/nothing?sslmode=disable", freePort(t))
	noFolder := "BUCKET_URL=file://" + filepath.Join(w.dir, "missing", "deeper", "bucket")
	f := func(name string, env []string, says string, args ...string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t, strings.Fields(name)[0], env, args...)
			code := p.wait(t, 20*time.Second)
			printed := strings.TrimSpace(p.log.String())
			last := printed[strings.LastIndexByte(printed, '\n')+1:]
			if code != 1 || !strings.Contains(last, says) || len(last) > 400 || strings.Contains(printed, "goroutine ") {
				t.Errorf("exit code %d, last line %q; want 1 and a short line that says %q", code, last, says)
			}
		})
	}
	f("batch without database", with(nowhere), "database", "run", "publish")
	f("batch without database address", with("DATABASE_URL="), "DATABASE_URL", "run", "publish")
	f("batch without bucket", with(noFolder), "bucket", "run", "publish")
	f("batch with an unknown job", w.env, "settle", "run", "nonsense")
	f("admin without database", with(nowhere, fmt.Sprintf("LISTEN=127.0.0.1:%d", freePort(t))), "database")
	f("admin without bucket", with(noFolder, fmt.Sprintf("LISTEN=127.0.0.1:%d", freePort(t))), "bucket")
	f("delivery without bucket", with(noFolder), "bucket")
	f("delivery without keys", with("TOKEN_KEYS="+filepath.Join(w.dir, "no.keys")), "TOKEN_KEYS")
	f("delivery with a file as its folder", with("STATE_DIR="+filepath.Join(w.dir, "token.keys")), "token.keys")
	f("delivery with an impossible hold", with("HOLD=1500ms"), "HOLD")
	f("delivery fetch without a snapshot", w.env, "snapshot", "fetch")
}

// A snapshot that was fetched before the start is served though database and
// bucket are away; a second delivery on the same log folder says who has it.
func TestFetchThenServeAlone(t *testing.T) {
	w := newWorld(t)
	placement := w.supply(t)
	w.demand(t, offer{name: "any", cpm: "1"})
	w.publish(t)
	if code := start(t, "delivery", w.env, "fetch").wait(t, 20*time.Second); code != 0 {
		t.Fatalf("delivery fetch: exit code %d", code)
	}
	alone := append(append([]string{}, w.env...),
		fmt.Sprintf("DATABASE_URL=postgres://nobody@127.0.0.1:%d/nothing?sslmode=disable", freePort(t)),
		"BUCKET_URL=file://"+t.TempDir())
	start(t, "delivery", alone)
	until(t, 20*time.Second, "delivery ready from its cache alone", answers200(w.ops+"/readyz"))
	until(t, 5*time.Second, "a named no-fill", func(ctx context.Context) error {
		return answers200(fmt.Sprintf("%s/v1/ad?placement=%d&format=json", w.url, placement))(ctx)
	})
	second := start(t, "delivery", append(alone, fmt.Sprintf("LISTEN=127.0.0.1:%d", freePort(t)), fmt.Sprintf("OPS_LISTEN=127.0.0.1:%d", freePort(t))))
	if code := second.wait(t, 20*time.Second); code != 1 || !strings.Contains(second.log.String(), "in use") {
		t.Errorf("a second delivery on the same folder: exit code %d, printed %s", code, second.log)
	}
}
