package settle

import (
	"testing"
	"time"

	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// After the bank's clock went back, the watermark is ahead of it: money that was
// reserved since is kept for its hold all the same.
func TestBanksClockGoesBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	item := w.lineItem(1000, 500)
	a, b := w.process(), w.process()
	w.pass(5*time.Minute, a, b)
	w.clock.Add(-4 * time.Minute)

	grant := w.grant(a, item.ID, 5)
	first := w.token(a, grant, 0)
	w.log(a, w.closing(grant, 1))
	w.ship(a)
	w.pass(hold/2, a, b)
	w.log(b, landing(event.Impression, first))
	w.ship(b)
	w.pass(time.Second, a, b)
	if got := w.totals(); got.Charged != price || got.Overage != 0 {
		t.Errorf("an impression within its hold: %+v", got)
	}
	w.pass(6*time.Minute, a, b)
	if got := w.totals(); got.Leased != 0 {
		t.Errorf("%s stays leased", got.Leased)
	}
}

// A stream whose clock ran ahead until the bank first answered says nothing of
// the time in between: what it logged after its last settled segment still
// counts as outstanding.
func TestStreamThatRanAhead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	item := w.lineItem(1000, 500)
	a, b := w.process(), w.process()
	grant := w.grant(a, item.ID, 5)
	first := w.token(a, grant, 0)

	ahead := landing(event.Viewable, w.token(a, grant, 1))
	ahead.At = w.clock.Now().Add(time.Hour)
	b.pending = append(b.pending, ahead)
	w.ship(b)
	w.settle()
	w.beat(b)
	w.clock.Add(time.Second)
	b.pending = append(b.pending, landing(event.Impression, first))
	b.pending[0].At = ahead.At // log time never goes back
	since := w.clock.Now()
	w.log(a, w.closing(grant, 1))
	w.ship(a)
	for range 20 { // the bucket does not take b's next segment; its word stays at what waits
		w.clock.Add(5 * time.Second)
		w.beat(a)
		must[postgres.HeartbeatAnswer](t)(w.db.Heartbeat(t.Context(), postgres.Heartbeat{
			Process: b.process, StartedAt: noon, SafeAt: since, SafeSegment: b.seq,
		}))
		w.settle()
	}
	if got := w.totals(); got.Leased != price {
		t.Fatalf("%s is leased while an impression of its hold is on its way, want %s", got.Leased, price)
	}
	w.ship(b)
	w.pass(5*time.Second, a, b)
	if got := w.totals(); got.Charged != price || got.Overage != 0 {
		t.Errorf("at the end %+v", got)
	}
}

// A lease that nobody closes, for whatever reason, does not keep its money for
// as long as its process lives.
func TestOpenLeaseOfALivingProcess(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	item := w.lineItem(1000, 500)
	a := w.process()
	grant := w.grant(a, item.ID, 5)
	w.log(a, landing(event.Impression, w.token(a, grant, 0)))
	w.ship(a)
	bank := w.cfg.Bank
	w.pass(bank.LeaseTTL+bank.LongestHold+bank.Grace-5*time.Second, a)
	if got := w.totals(); got.Leased != 4*price {
		t.Fatalf("%s is leased before its time is over, want %s", got.Leased, 4*price)
	}
	w.pass(10*time.Second, a)
	got := w.totals()
	got.check(t)
	if got.Leased != 0 || got.Charged != price || got.Open != 0 {
		t.Errorf("at the end %+v", got)
	}
}
