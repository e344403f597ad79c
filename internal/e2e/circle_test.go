//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/telemetry/telemetrytest"
	"github.com/hayate-ads/hayate/internal/traffic"
)

// The figures of the circle's promise.
const (
	decisions   = 20_000
	impressions = 15_000
	clicks      = 500
	kills       = 5
)

// Every impression that was acknowledged is in the reports and the ledger, once,
// to the micro, though delivery and settle are killed on the way and events are
// sent twice; and a line item whose budget is smaller than the demand is never
// charged beyond it, at any sample.
func TestCircle(t *testing.T) {
	w := newWorld(t)
	agent := telemetrytest.Start(t)
	w.env = append(w.env, "DD_DOGSTATSD_URL="+agent.URL(), "DD_ENV=test", "DD_VERSION=circle")
	placement := w.supply(t)
	// The first two run out: their budgets cover 1,000 and 600 impressions.
	items := w.demand(t,
		offer{name: "small lifetime", cpm: "5", lifetime: "5"},
		offer{name: "small day", cpm: "4", lifetime: "100", daily: "2.4"},
		offer{name: "open", cpm: "2.345"})
	prices := map[ad.ID]money.Micros{items[0]: 5000, items[1]: 4000, items[2]: 2345}
	w.publish(t)

	audience := &audience{url: w.url, placement: placement, client: traffic.NewClient(64), seen: map[string]ad.ID{}}
	sampler := w.sample(t)
	killed := w.killers(t, &audience.decided)
	traffic.Pace{Rate: 400, Workers: 32, For: decisions / 400 * time.Second}.Run(t.Context(), func(ctx context.Context, _ time.Time) {
		if err := audience.visit(ctx); err != nil {
			t.Error(err)
		}
	})
	ended := time.Now()
	killed.wait(t)
	t.Logf("%d decisions, %d filled, %d impressions acknowledged, %d sent twice, %d clicks; %d kills of delivery, %d of settle",
		audience.decided.Load(), audience.filled.Load(), len(audience.seen), audience.repeated.Load(), audience.clicked.Load(), killed.delivery, killed.settle)

	until(t, hold+30*time.Second, "every event settled and all money back", w.balanced)
	t.Logf("figure circle.money_back_seconds %.1f s", time.Since(ended).Seconds())
	t.Logf("figure circle.impressions_acknowledged %d events", len(audience.seen))
	if n := sampler(); n < 300 {
		t.Errorf("only %d samples of the accounts", n)
	}
	w.compare(t, audience, prices)
	t.Logf("figure circle.events_reconciled %d events", w.reconcile(t, w.env))
	agent.Verify(t)
	agent.Await(t, 10*time.Second, telemetrytest.Used(t, filepath.Join(root, "datadog"))...)
	t.Logf("figure circle.dogstatsd_lines %d lines", agent.Lines())
	// The budgets that ran out were also used: what nobody saw came back and served again.
	for i, budget := range []money.Micros{5 * money.Unit, 2_400_000} {
		if charged := money.Micros(w.books(t, items[i]).lifetime); charged > budget || charged < budget*9/10 {
			t.Errorf("%s was charged %s of %s", []string{"small lifetime", "small day"}[i], charged, budget)
		}
	}
}

// compare holds ledger, reports and accounts against what the audience saw acknowledged.
func (w *world) compare(t *testing.T, a *audience, prices map[ad.ID]money.Micros) {
	t.Helper()
	if a.decided.Load() != decisions || len(a.seen) != impressions || a.clicked.Load() != clicks {
		t.Errorf("%d decisions, %d impressions, %d clicks; want %d, %d, %d", a.decided.Load(), len(a.seen), a.clicked.Load(), decisions, impressions, clicks)
	}
	counts := map[ad.ID]int64{}
	for _, lineItem := range a.seen {
		counts[lineItem]++
	}
	for lineItem, price := range prices {
		want := books{impressions: counts[lineItem], spend: int64(price) * counts[lineItem]}
		got := w.books(t, lineItem)
		if got.reported != want.impressions || got.spend != want.spend || got.ledger != want.spend || got.lifetime != want.spend || got.days != want.spend || got.lost != 0 {
			t.Errorf("line item %d: %d impressions at %d micros were acknowledged (%d micros); the books say %+v", lineItem, want.impressions, price, want.spend, got)
		}
	}
	var reportedClicks int64
	must(t, w.db.Pool.QueryRow(t.Context(), `SELECT coalesce(sum(clicks), 0) FROM report_hour`).Scan(&reportedClicks))
	if reportedClicks != a.clicked.Load() {
		t.Errorf("%d clicks reported, %d acknowledged", reportedClicks, a.clicked.Load())
	}
}

// books is what Postgres says of one line item.
type books struct {
	impressions                             int64
	reported, spend, ledger, lifetime, days int64
	lost                                    int64 // overage and late
}

func (w *world) books(t *testing.T, lineItem ad.ID) (b books) {
	t.Helper()
	must(t, w.db.Pool.QueryRow(t.Context(), `
		SELECT (SELECT coalesce(sum(impressions), 0) FROM report_hour WHERE line_item_id = $1),
		       (SELECT coalesce(sum(spend_micros), 0) FROM report_hour WHERE line_item_id = $1),
		       (SELECT coalesce(sum(charged_micros), 0) FROM ledger WHERE line_item_id = $1),
		       (SELECT settled_micros FROM account WHERE level = 'line_item' AND owner_id = $1 AND day IS NULL),
		       (SELECT coalesce(sum(settled_micros), 0) FROM account WHERE level = 'line_item' AND owner_id = $1 AND day IS NOT NULL),
		       (SELECT coalesce(sum(overage_micros + late_impressions), 0) FROM ledger WHERE line_item_id = $1)`,
		lineItem).Scan(&b.reported, &b.spend, &b.ledger, &b.lifetime, &b.days, &b.lost))
	return b
}

// balanced tells whether nothing is out any more.
func (w *world) balanced(ctx context.Context) error {
	var out, open int64
	err := w.db.Pool.QueryRow(ctx, `
		SELECT (SELECT coalesce(sum(leased_micros), 0) FROM account),
		       (SELECT count(*) FROM lease WHERE state <> 'final')`).Scan(&out, &open)
	if err == nil && out+open != 0 {
		err = fmt.Errorf("%d micros are leased, %d leases are not final", out, open)
	}
	return err
}

// sample looks at every account ten times a second until stopped; stopping
// returns how many looks there were.
func (w *world) sample(t *testing.T) (stop func() int) {
	ctx, cancel := context.WithCancel(t.Context())
	samples, done := 0, make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			var beyond int64
			err := w.db.Pool.QueryRow(ctx, `
				SELECT count(*) FROM account
				WHERE settled_micros + leased_micros > limit_micros OR settled_micros > wanted_micros`).Scan(&beyond)
			if err == nil {
				samples++
				if beyond > 0 {
					t.Errorf("%d accounts beyond their limit", beyond)
				}
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
	}()
	return func() int { cancel(); <-done; return samples }
}

// killers run delivery and settle and kill both again and again, by progress of
// the load rather than by time.
type killers struct {
	delivery, settle int
	wg               sync.WaitGroup
}

func (w *world) killers(t *testing.T, decided *atomic.Int64) *killers {
	t.Helper()
	k := new(killers)
	k.wg.Go(func() { k.delivery = w.killLoop(t, decided, 0, func() *process { return start(t, "delivery", w.env) }) })
	k.wg.Go(func() {
		k.settle = w.killLoop(t, decided, decisions/(2*kills+2), func() *process {
			return start(t, "batch", append(w.env, "FOLLOW_FOR=10m"), "run", "settle")
		})
	})
	return k
}

// killLoop starts a process, and kills and restarts it at each of kills points
// of the load, shifted by offset.
func (w *world) killLoop(t *testing.T, decided *atomic.Int64, offset int64, begin func() *process) (killed int) {
	running := begin()
	for n := int64(1); n <= kills; n++ {
		point := n*decisions/(kills+1) + offset
		for decided.Load() < point && t.Context().Err() == nil {
			time.Sleep(10 * time.Millisecond)
		}
		running.kill()
		killed++
		running = begin()
	}
	return killed
}

func (k *killers) wait(t *testing.T) {
	t.Helper()
	k.wg.Wait()
	if k.delivery < kills || k.settle < kills {
		t.Errorf("killed delivery %d times, settle %d times; want %d each", k.delivery, k.settle, kills)
	}
}

// audience asks for decisions and remembers what was acknowledged: the oracle.
type audience struct {
	url       string
	placement ad.ID
	client    *http.Client

	decided, filled, repeated, clicked, taken atomic.Int64

	mu   sync.Mutex
	seen map[string]ad.ID // acknowledged impression URL to line item
}

// visit is one decision, and its impression and click while their numbers are
// not reached. It goes on through restarts until it is answered.
func (a *audience) visit(ctx context.Context) error {
	var answer struct {
		Decisions []struct {
			LineItem    json.Number `json:"line_item"`
			NoFill      string      `json:"no_fill"`
			Click       string      `json:"click"`
			Impressions []string    `json:"impressions"`
		} `json:"decisions"`
	}
	body := fmt.Appendf(nil, `{"placements":[{"id":"%d"}]}`, a.placement)
	for {
		answer.Decisions = nil
		status, text := a.call(ctx, http.MethodPost, a.url+"/v1/decisions", body)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if status == http.StatusOK {
			if err := json.Unmarshal(text, &answer); err != nil || len(answer.Decisions) != 1 {
				return fmt.Errorf("decision %s: %v", text, err)
			}
			break
		}
		if status != 0 && status != http.StatusServiceUnavailable {
			return fmt.Errorf("decision: status %d: %s", status, text)
		}
		time.Sleep(20 * time.Millisecond) // delivery is being restarted
	}
	a.decided.Add(1)
	decision := answer.Decisions[0]
	if decision.NoFill != "" {
		return nil
	}
	a.filled.Add(1)
	if a.taken.Add(1) > impressions {
		return nil
	}
	return a.see(ctx, decision.LineItem, decision.Impressions[0], decision.Click)
}

// see sends an impression until it is acknowledged, one in twenty of them a
// second time, and one click for each thirty.
func (a *audience) see(ctx context.Context, lineItem json.Number, url, click string) error {
	if err := a.acknowledged(ctx, url, http.StatusOK); err != nil {
		return err
	}
	id, err := lineItem.Int64()
	if err != nil {
		return err
	}
	a.mu.Lock()
	a.seen[url] = ad.ID(id)
	n := len(a.seen)
	a.mu.Unlock()
	if rand.IntN(20) == 0 {
		a.repeated.Add(1)
		if err := a.acknowledged(ctx, url, http.StatusOK); err != nil {
			return err
		}
	}
	if n%(impressions/clicks) == 0 {
		a.clicked.Add(1)
		return a.acknowledged(ctx, click, http.StatusFound)
	}
	return nil
}

// acknowledged repeats a tracking call until delivery has answered for it.
func (a *audience) acknowledged(ctx context.Context, url string, want int) error {
	for {
		status, text := a.call(ctx, http.MethodGet, url, nil)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case status == want:
			return nil
		case status != 0 && status != http.StatusServiceUnavailable:
			return fmt.Errorf("GET %.80s: status %d: %s", url, status, text)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// call returns status 0 when the connection failed.
func (a *audience) call(ctx context.Context, method, url string, body []byte) (int, []byte) {
	request, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return 0, nil
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36")
	response, err := a.client.Do(request)
	if err != nil {
		return 0, nil
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return 0, nil
	}
	if response.Header.Get("X-Hayate-Counted") == "0" { // a click that was sent on, but not logged
		return http.StatusServiceUnavailable, text
	}
	return response.StatusCode, text
}
