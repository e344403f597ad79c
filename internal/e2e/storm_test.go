//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/postgres"
	"github.com/hayate-ads/hayate/internal/postgres/cluster"
	"github.com/hayate-ads/hayate/internal/traffic"
)

// How long the storm's traffic lasts, and how much of it there is.
const (
	stormRate = 150 // decisions a second
	stormFor  = 30 * time.Second
)

// Two delivery processes share a database, and each impression lands at the one
// that did not decide it. Meanwhile Postgres freezes for longer than anybody
// waits for it, settle is killed, and one of the processes is stopped until the
// bank holds it for lost, and then goes on. Every acknowledged impression is
// counted once, what was delivered is charged or listed as overage to the micro,
// no budget is exceeded at any sample, and all money comes back.
func TestStorm(t *testing.T) {
	server, err := cluster.Start(t.Context(), cluster.Config{Dir: filepath.Join(t.TempDir(), "postgres"), Ephemeral: true})
	must(t, err)
	t.Cleanup(func() { must(t, server.Stop(context.Background())) })
	must(t, postgres.Migrate(t.Context(), server.URL("postgres")))
	w := newWorldOn(t, server.URL("postgres"))
	w.env = append(w.env, "BANK_LOST_AFTER=7s", "BANK_LEASE_TTL=10s")
	placement := w.supply(t)
	items := w.demand(t, offer{name: "small", cpm: "5", lifetime: "4"}, offer{name: "open", cpm: "2.345"})
	prices := map[ad.ID]money.Micros{items[0]: 5000, items[1]: 2345}
	w.publish(t)

	crowd := &crowd{audience: audience{placement: placement, client: &http.Client{Timeout: 1500 * time.Millisecond, Transport: traffic.NewClient(64).Transport}, seen: map[string]ad.ID{}}}
	var servers [2]*process
	for i := range servers {
		public, ops := freePort(t), freePort(t)
		crowd.urls[i] = fmt.Sprintf("http://127.0.0.1:%d", public)
		servers[i] = start(t, "delivery", append(w.env, fmt.Sprintf("STATE_DIR=%s/delivery-%d", w.dir, i),
			fmt.Sprintf("LISTEN=127.0.0.1:%d", public), fmt.Sprintf("OPS_LISTEN=127.0.0.1:%d", ops)))
		until(t, 20*time.Second, "delivery is ready", answers200(fmt.Sprintf("http://127.0.0.1:%d/readyz", ops)))
	}
	settle := func() *process { return start(t, "batch", append(w.env, "FOLLOW_FOR=10m"), "run", "settle") }
	sampler := w.sample(t)

	var storm sync.WaitGroup
	storm.Go(func() {
		running := settle()
		for _, at := range []time.Duration{4, 7, 14} {
			crowd.after(t, at*time.Second)
			running.kill()
			running = settle()
		}
	})
	storm.Go(func() {
		for _, at := range []time.Duration{3, 8} {
			crowd.after(t, at*time.Second)
			freeze(t, server.Pid(), 3*time.Second)
		}
	})
	storm.Go(func() {
		for _, pause := range []struct{ at, lasts time.Duration }{{5, 4}, {15, 11}} {
			crowd.after(t, pause.at*time.Second)
			must(t, servers[1].cmd.Process.Signal(syscall.SIGSTOP))
			time.Sleep(pause.lasts * time.Second)
			must(t, servers[1].cmd.Process.Signal(syscall.SIGCONT))
		}
	})
	traffic.Pace{Rate: stormRate, Workers: 32, For: stormFor}.Run(t.Context(), func(ctx context.Context, _ time.Time) {
		if err := crowd.visit(ctx); err != nil {
			t.Error(err)
		}
	})
	storm.Wait()
	ended := time.Now()
	until(t, 45*time.Second, "every event settled and all money back", w.balanced)
	t.Logf("figure storm.money_back_seconds %.1f s", time.Since(ended).Seconds())
	if n := sampler(); n < 100 {
		t.Errorf("only %d samples of the accounts", n)
	}
	w.compareStorm(t, crowd, prices)
	var lost int
	must(t, w.db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM process`).Scan(&lost))
	if lost < 3 {
		t.Errorf("%d processes: the one that was stopped was never held for lost", lost)
	}
}

// compareStorm holds the books against what was acknowledged. A process that is
// held for lost leaves the watermark, so that what it had not shipped may find
// its money gone back: that is overage, and listed.
func (w *world) compareStorm(t *testing.T, c *crowd, prices map[ad.ID]money.Micros) {
	t.Helper()
	counts := map[ad.ID]int64{}
	for _, lineItem := range c.seen {
		counts[lineItem]++
	}
	for lineItem, price := range prices {
		var overage, late int64
		must(t, w.db.Pool.QueryRow(t.Context(), `
			SELECT coalesce(sum(overage_micros), 0), coalesce(sum(late_impressions), 0) FROM ledger WHERE line_item_id = $1`,
			lineItem).Scan(&overage, &late))
		got := w.books(t, lineItem)
		delivered := int64(price) * (counts[lineItem] - late)
		t.Logf("line item %d: %d impressions acknowledged, %d micros charged, %d overage, %d late", lineItem, counts[lineItem], got.spend, overage, late)
		if got.reported != counts[lineItem] || got.spend+overage != delivered || counts[lineItem] == 0 {
			t.Errorf("line item %d: %d impressions at %d micros were acknowledged; the books say %+v", lineItem, counts[lineItem], price, got)
		}
		if got.spend != got.ledger || got.spend != got.lifetime || got.spend != got.days {
			t.Errorf("line item %d: reports, ledger and accounts differ: %+v", lineItem, got)
		}
	}
}

// crowd is an audience of two processes: it asks one and tells the other.
type crowd struct {
	audience
	urls  [2]string
	begun atomic.Int64 // Unix nanoseconds of the first visit
}

// after waits until the traffic has lasted for d.
func (c *crowd) after(t *testing.T, d time.Duration) {
	for t.Context().Err() == nil {
		if begun := c.begun.Load(); begun != 0 && time.Since(time.Unix(0, begun)) >= d {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// visit is one decision, and its impression at the other process; a process that
// does not answer is left for the other one.
func (c *crowd) visit(ctx context.Context) error {
	c.begun.CompareAndSwap(0, time.Now().UnixNano())
	var answer struct {
		Decisions []struct {
			LineItem    json.Number `json:"line_item"`
			Impressions []string    `json:"impressions"`
		} `json:"decisions"`
	}
	body := fmt.Appendf(nil, `{"placements":[{"id":"%d"}]}`, c.placement)
	at := rand.IntN(2)
	status, text := c.either(ctx, &at, http.MethodPost, "/v1/decisions", body)
	if status != http.StatusOK {
		return ctx.Err()
	}
	if err := json.Unmarshal(text, &answer); err != nil || len(answer.Decisions) != 1 {
		return fmt.Errorf("decision %s: %v", text, err)
	}
	if len(answer.Decisions[0].Impressions) == 0 {
		return nil
	}
	lineItem, err := answer.Decisions[0].LineItem.Int64()
	if err != nil {
		return err
	}
	url := answer.Decisions[0].Impressions[0]
	path := url[strings.Index(url, "/t/"):]
	for at = 1 - at; ctx.Err() == nil; {
		status, text = c.either(ctx, &at, http.MethodGet, path, nil)
		if status == http.StatusOK {
			c.mu.Lock()
			c.seen[path] = ad.ID(lineItem)
			c.mu.Unlock()
			return nil
		}
		if status != http.StatusServiceUnavailable {
			return fmt.Errorf("impression: status %d: %s", status, text)
		}
	}
	return ctx.Err()
}

// either asks the process at, and the other one when that does not answer.
func (c *crowd) either(ctx context.Context, at *int, method, path string, body []byte) (status int, text []byte) {
	for ctx.Err() == nil {
		if status, text = c.call(ctx, method, c.urls[*at]+path, body); status != 0 {
			return status, text
		}
		*at = 1 - *at
	}
	return 0, nil
}

// freeze stops a whole Postgres server for a while: the postmaster and all that
// it has started, each of which is a process group of its own.
func freeze(t *testing.T, postmaster int, lasts time.Duration) {
	pids := []int{postmaster}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil || len(stats) == 0 {
		t.Errorf("list processes: %v, %d found", err, len(stats))
		return
	}
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		_, rest, _ := strings.Cut(string(text), ") ")
		fields := strings.Fields(rest)
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if len(fields) > 1 && fields[1] == strconv.Itoa(postmaster) {
			pids = append(pids, pid)
		}
	}
	for _, pid := range pids {
		_ = syscall.Kill(pid, syscall.SIGSTOP)
	}
	time.Sleep(lasts)
	for _, pid := range pids {
		_ = syscall.Kill(pid, syscall.SIGCONT)
	}
}
