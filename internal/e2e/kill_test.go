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
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/postgres"
	"github.com/hayate-ads/hayate/internal/postgres/cluster"
	"github.com/hayate-ads/hayate/internal/traffic"
)

// massacre is how much a kill loop kills.
type massacre struct {
	servers  int           // delivery processes at a time
	delivery int           // SIGKILLs of delivery, evenly spread over lasts
	settle   int           // … and of settle
	freezes  int           // times that Postgres stops for 3 s
	rate     float64       // decisions asked for a second
	lasts    time.Duration // of all that
	events   int           // acknowledged ones without which it proves nothing
}

// Of every run, and with PROOF=1 (make proof ONLY=kill).
var (
	shortMassacre = massacre{servers: 3, delivery: 24, settle: 8, freezes: 1, rate: 150, lasts: 20 * time.Second, events: 2_000}
	fullMassacre  = massacre{servers: 4, delivery: 500, settle: 150, freezes: 3, rate: 480, lasts: 270 * time.Second, events: 200_000}
)

// TestKillLoops kills delivery and settle again and again, as a power cut would,
// while each event lands at a process of its own choice and one in twenty at two,
// segments reach settle twice, those of different processes in any order, and
// Postgres stops answering for a while. Every acknowledged event is counted once,
// and ledger, reports and accounts are what the clients know, to the micro.
func TestKillLoops(t *testing.T) {
	m := shortMassacre
	if os.Getenv("PROOF") != "" {
		m = fullMassacre
	}
	server, err := cluster.Start(t.Context(), cluster.Config{Dir: filepath.Join(t.TempDir(), "postgres"), Ephemeral: true})
	must(t, err)
	t.Cleanup(func() { must(t, server.Stop(context.Background())) })
	must(t, postgres.Migrate(t.Context(), server.URL("postgres")))
	w := newWorldOn(t, server.URL("postgres"))
	const longHold = 20 * time.Second // a client may have to try long under this load
	w.env = append(w.env, "HOLD="+longHold.String(), "BANK_LONGEST_HOLD="+longHold.String())
	placement := w.supply(t)
	items := w.demand(t, offer{name: "small", cpm: "5", lifetime: "40"}, offer{name: "a", cpm: "2.345"}, offer{name: "b", cpm: "2.345"})
	prices := map[ad.ID]money.Micros{items[0]: 5000, items[1]: 2345, items[2]: 2345}
	w.publish(t)
	courier := w.courier(t)

	mob := &mob{placement: placement, client: traffic.NewClient(128), seen: map[string]sight{}}
	mob.client.Timeout = 1500 * time.Millisecond
	var killed [2]atomic.Int64
	over, end := context.WithTimeout(t.Context(), m.lasts)
	defer end()
	var loops sync.WaitGroup
	for i := range m.servers {
		public, ops := freePort(t), freePort(t)
		mob.urls = append(mob.urls, fmt.Sprintf("http://127.0.0.1:%d", public))
		env := append(w.env[:len(w.env):len(w.env)], fmt.Sprintf("STATE_DIR=%s/delivery-%d", w.dir, i),
			fmt.Sprintf("LISTEN=127.0.0.1:%d", public), fmt.Sprintf("OPS_LISTEN=127.0.0.1:%d", ops))
		pause := m.lasts * time.Duration(m.servers) / time.Duration(m.delivery*9/8+m.servers) // to start one takes time too
		loops.Go(func() { killEvery(over, pause, &killed[0], func() *process { return start(t, "delivery", env) }) })
	}
	settleEnv := append(w.env[:len(w.env):len(w.env)], "BUCKET_URL="+courier.url(), "FOLLOW_FOR=10m")
	loops.Go(func() {
		killEvery(over, m.lasts/time.Duration(m.settle*9/8+1), &killed[1], func() *process { return start(t, "batch", settleEnv, "run", "settle") })
	})
	loops.Go(func() {
		for i := range m.freezes {
			wait(over, m.lasts/time.Duration(m.freezes+1)-3*time.Second)
			if over.Err() == nil && i < m.freezes {
				freeze(t, server.Pid(), 3*time.Second)
			}
		}
	})
	sampler := w.sample(t)
	traffic.Pace{Rate: m.rate, Workers: 96, For: m.lasts}.Run(t.Context(), func(ctx context.Context, _ time.Time) {
		if err := mob.visit(ctx); err != nil {
			t.Error(err)
		}
	})
	loops.Wait()
	t.Logf("figure kill.delivery_sigkills %d kills", killed[0].Load())
	t.Logf("figure kill.settle_sigkills %d kills", killed[1].Load())
	t.Logf("figure kill.events_acknowledged %d events", len(mob.seen))
	t.Logf("figure kill.duplicates_acknowledged %d events", mob.repeated.Load())
	t.Logf("figure kill.segments_put %d puts", courier.puts.Load())
	if killed[0].Load() < int64(m.delivery) || killed[1].Load() < int64(m.settle) || len(mob.seen) < m.events {
		t.Errorf("too little happened: want %+v", m)
	}
	until(t, 2*longHold+40*time.Second, "every event settled and all money back", w.balanced)
	if n := sampler(); n < 100 {
		t.Errorf("only %d samples of the accounts", n)
	}
	w.compareKilled(t, mob, prices)
	t.Logf("figure kill.events_reconciled %d events", w.reconcile(t, settleEnv))
}

// reconcile lets the job recompute the day, and yesterday where the test began
// before midnight, from the segments that settle saw. It returns how many events
// there were; differences fail the test.
func (w *world) reconcile(t *testing.T, env []string) (events int64) {
	t.Helper()
	for _, job := range []string{"rollup", "lake"} {
		if code := start(t, "batch", env, "run", job).wait(t, time.Minute); code != 0 {
			t.Errorf("batch run %s: exit code %d", job, code)
		}
	}
	var differences int64
	for ago := range 2 {
		day := time.Now().UTC().AddDate(0, 0, -ago).Format(time.DateOnly)
		if code := start(t, "batch", env, "reconcile", "--day", day).wait(t, 2*time.Minute); code != 0 {
			t.Errorf("batch reconcile --day %s: exit code %d", day, code)
		}
	}
	must(t, w.db.Pool.QueryRow(t.Context(), `
		SELECT coalesce(sum(events), 0), coalesce(sum(jsonb_array_length(differences)), 0) FROM reconciliation`).Scan(&events, &differences))
	if events == 0 || differences != 0 {
		t.Errorf("reconciliation: %d events, %d differences", events, differences)
	}
	return events
}

// killEvery starts a process anew each time that it has killed it, and leaves
// the last one running when ctx ends.
func killEvery(ctx context.Context, pause time.Duration, killed *atomic.Int64, begin func() *process) {
	for {
		running := begin()
		wait(ctx, pause*3/4+rand.N(pause/2))
		if ctx.Err() != nil {
			return
		}
		running.kill()
		killed.Add(1)
	}
}

func wait(ctx context.Context, pause time.Duration) {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// compareKilled holds the books against what the clients know.
func (w *world) compareKilled(t *testing.T, m *mob, prices map[ad.ID]money.Micros) {
	t.Helper()
	type tally struct{ impressions, clicks int64 }
	want := map[ad.ID]tally{}
	for _, s := range m.seen {
		n := want[s.lineItem]
		if s.click {
			n.clicks++
		} else {
			n.impressions++
		}
		want[s.lineItem] = n
	}
	var lost, twice, off int64
	for lineItem, price := range prices {
		var clicks int64
		must(t, w.db.Pool.QueryRow(t.Context(), `SELECT coalesce(sum(clicks), 0) FROM report_hour WHERE line_item_id = $1`, lineItem).Scan(&clicks))
		got, known := w.books(t, lineItem), want[lineItem]
		missing := known.impressions - got.reported + known.clicks - clicks
		lost, twice = lost+max(missing, 0), twice+max(-missing, 0)
		spend := int64(price) * known.impressions
		off += max(spend-got.spend, got.spend-spend)
		if known.impressions == 0 || clicks != known.clicks || got.reported != known.impressions ||
			got.spend != spend || got.ledger != spend || got.lifetime != spend || got.days != spend || got.lost != 0 {
			t.Errorf("line item %d: acknowledged were %+v at %d micros (%d micros); the books say %d clicks and %+v", lineItem, known, price, spend, clicks, got)
		}
	}
	t.Logf("figure kill.events_lost %d events", lost)
	t.Logf("figure kill.events_counted_twice %d events", twice)
	t.Logf("figure kill.micros_off %d micros", off)
}

// mob is an audience of many processes: who decides, who hears of the impression
// and who of the click is left to chance. It is the oracle.
type mob struct {
	urls      []string
	placement ad.ID
	client    *http.Client
	repeated  atomic.Int64

	mu   sync.Mutex
	seen map[string]sight // by path of the tracking URL
}

// sight is an acknowledged event.
type sight struct {
	lineItem ad.ID
	click    bool
}

// visit is one decision with its impression and click, each sent until it is
// acknowledged.
func (m *mob) visit(ctx context.Context) error {
	decision, err := m.decide(ctx)
	if decision == nil || err != nil {
		return err
	}
	lineItem, err := decision.LineItem.Int64()
	if err != nil {
		return err
	}
	if err := m.tell(ctx, decision.Impressions[0], sight{lineItem: ad.ID(lineItem)}); err != nil {
		return err
	}
	return m.tell(ctx, decision.Click, sight{lineItem: ad.ID(lineItem), click: true})
}

// filled is what a visitor needs of a decision.
type filled struct {
	LineItem    json.Number `json:"line_item"`
	Click       string      `json:"click"`
	Impressions []string    `json:"impressions"`
}

// decide asks until some process has an ad; nil when all of them have none: those
// just started wait for their first leases.
func (m *mob) decide(ctx context.Context) (*filled, error) {
	body := fmt.Appendf(nil, `{"placements":[{"id":"%d"}]}`, m.placement)
	a := audience{client: m.client}
	for range 4 * len(m.urls) {
		status, text := a.call(ctx, http.MethodPost, m.anyone()+"/v1/decisions", body)
		if status != http.StatusOK {
			if status != 0 && status != http.StatusServiceUnavailable {
				return nil, fmt.Errorf("decision: status %d: %s", status, text)
			}
			continue
		}
		var answer struct{ Decisions []filled }
		if err := json.Unmarshal(text, &answer); err != nil || len(answer.Decisions) != 1 {
			return nil, fmt.Errorf("decision %s: %v", text, err)
		}
		if d := &answer.Decisions[0]; len(d.Impressions) > 0 {
			return d, nil
		}
	}
	return nil, ctx.Err()
}

func (m *mob) anyone() string { return m.urls[rand.IntN(len(m.urls))] }

// tell sends an event to one process after another until it is acknowledged, and
// one in twenty a second time.
func (m *mob) tell(ctx context.Context, url string, s sight) error {
	path := url[strings.Index(url, "/t/"):]
	if err := m.acknowledged(ctx, path, s); err != nil {
		return err
	}
	m.mu.Lock()
	m.seen[path] = s
	m.mu.Unlock()
	if rand.IntN(20) != 0 {
		return nil
	}
	m.repeated.Add(1)
	return m.acknowledged(ctx, path, s)
}

func (m *mob) acknowledged(ctx context.Context, path string, s sight) error {
	a, want := audience{client: m.client}, http.StatusOK
	if s.click {
		want = http.StatusFound
	}
	for patience := time.Now().Add(30 * time.Second); ; wait(ctx, 10*time.Millisecond) {
		status, text := a.call(ctx, http.MethodGet, m.anyone()+path, nil)
		switch {
		case status == want:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case status != 0 && status != http.StatusServiceUnavailable, time.Now().After(patience):
			return fmt.Errorf("GET %.80s: status %d: %s", path, status, text)
		}
	}
}
