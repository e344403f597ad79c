package rebuild

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hayate-ads/hayate/batch/logtest"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// A lease that lives on what an earlier one gave back fits only when that is
// given back again.
func TestMoneyThatCameBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	item := w.LineItem(100, 100).ID
	s := w.Process()
	first := w.Grant(s, item, 100)
	for i := range uint32(10) {
		w.Log(s, logtest.Landing(event.Impression, w.Token(s, first, i)))
	}
	w.Ship(s)
	w.Settle()
	backup := w.backup()

	for i := range uint32(30) { // ten of them a second time
		w.Log(s, logtest.Landing(event.Impression, w.Token(s, first, i)))
	}
	w.Log(s, w.Closing(first, 60)) // 40 are free at once, 30 when their hold is over
	w.Ship(s)
	w.Pass(60*time.Second, s)
	second := w.Grant(s, item, 70)
	if second.Impressions != 70 {
		t.Fatalf("granted %d of what came back, want 70", second.Impressions)
	}
	for i := range uint32(70) {
		w.Log(s, logtest.Landing(event.Impression, w.Token(s, second, i)))
	}
	w.Log(s, w.Closing(second, 70))
	w.Ship(s)
	w.Pass(60*time.Second, s)
	want := w.books()

	w.restore(backup)
	w.noticed(s)
	sum := w.rebuild()
	if sum.Leases != 1 || len(sum.Clipped) != 0 || sum.Doubts != 0 || sum.Segments != 2 {
		t.Errorf("summary: %s", sum)
	}
	w.Pass(60*time.Second, s)
	if diff := want.diff(w.books()); diff != "" {
		t.Error(diff)
	}
}

// What a lease may still be charged is kept for the newest; older ones have had
// back what they did not use. What events cost comes before both.
func TestLiveLeaseKeepsItsRoom(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	item := w.LineItem(100, 100).ID
	s := w.Process()
	w.Settle()
	backup := w.backup()
	land := func(g postgres.Grant, from, to uint32) {
		for i := from; i < to; i++ {
			w.Log(s, logtest.Landing(event.Impression, w.Token(s, g, i)))
		}
	}
	first := w.Grant(s, item, 60)
	land(first, 0, 30)
	w.Log(s, w.Closing(first, 60))
	w.Ship(s)
	w.Pass(60*time.Second, s)
	second := w.Grant(s, item, 40)
	land(second, 0, 5)
	w.Log(s, w.Closing(second, 40))
	w.Ship(s)
	w.Pass(60*time.Second, s)
	third := w.Grant(s, item, 65)
	if third.Refused != "" {
		t.Fatal(third.Refused)
	}
	land(third, 0, 10)
	w.Ship(s)

	w.restore(backup)
	w.noticed(s)
	if sum := w.rebuild(); len(sum.Clipped) != 0 || sum.Leases != 3 {
		t.Errorf("summary: %s", sum)
	}
	land(third, 10, 65)
	w.Log(s, w.Closing(third, 65))
	w.Ship(s)
	w.Pass(60*time.Second, s)
	if b := w.books(); b.sum("ledger", "charged") != int64(100*logtest.Price) || b.sum("ledger", "overage") != 0 {
		t.Errorf("charged %d, overage %d", b.sum("ledger", "charged"), b.sum("ledger", "overage"))
	}
}

// What proves the database old may lie where settling would not get to: behind a
// gap. Nothing of the other streams is settled, and no money comes back.
func TestNoticedBeforeAnything(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	item := w.LineItem(100, 100).ID
	a, b := w.Process(), w.Process()
	lease := w.Grant(a, item, 20)
	w.Ship(a)
	w.Settle()
	backup := w.backup()
	for i := range uint32(20) {
		w.Log(a, logtest.Landing(event.Impression, w.Token(a, lease, i)))
	}
	w.Log(a, w.Closing(lease, 20))
	w.Ship(a)
	w.Ship(b)
	w.Grant(b, item, 5)
	w.Ship(b)
	if err := w.Bucket.Delete(t.Context(), event.SegmentName(b.Process, 1)); err != nil {
		t.Fatal(err)
	}
	w.restore(backup)
	w.Add(10 * time.Minute)
	w.noticed(a)
}

// A limit that was raised since is gone: what was granted beyond the old one is
// clipped, and listed.
func TestRaisedLimit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	l := w.LineItem(100, 100)
	s := w.Process()
	w.Grant(s, l.ID, 40)
	w.Ship(s)
	w.Settle()
	backup := w.backup()

	*l.LifetimeBudget, *l.DailyBudget = 500*logtest.Price, 500*logtest.Price
	if _, err := w.DB.UpdateLineItem(t.Context(), postgres.System, l); err != nil {
		t.Fatal(err)
	}
	raised := w.Grant(s, l.ID, 200)
	for i := range uint32(200) {
		w.Log(s, logtest.Landing(event.Impression, w.Token(s, raised, i)))
	}
	w.Log(s, w.Closing(raised, 200))
	w.Ship(s)
	w.Settle()
	newer := w.books()

	w.restore(backup)
	w.noticed(s)
	sum := w.rebuild()
	if len(sum.Clipped) != 1 || sum.Clipped[0].LineItem != l.ID || sum.Clipped[0].Wanted != 240*logtest.Price ||
		sum.Clipped[0].Got != 100*logtest.Price {
		t.Errorf("summary: %s", sum)
	}
	older := w.books()
	if got, want := older.sum("ledger", "charged"), int64(100*logtest.Price); got != want {
		t.Errorf("charged %d, want the old limit %d", got, want)
	}
	if got, want := older.sum("ledger", "charged", "overage"), newer.sum("ledger", "charged", "overage"); got != want {
		t.Errorf("charge and overage %d, want %d", got, want)
	}
	// The CLOSE of a clipped lease does not halt anything once more.
	w.Log(s, event.Record{Type: event.End})
	w.Ship(s)
	w.Settle()
}

// Line items made since the copy are gone, and their leases do not come back under
// the id of another one.
func TestUnknownLineItem(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	old := w.LineItem(100, 100).ID
	s := w.Process()
	w.Grant(s, old, 10)
	w.Ship(s)
	w.Settle()
	backup := w.backup()

	gone := w.LineItem(100, 100).ID
	lease := w.Grant(s, gone, 50)
	for i := range uint32(50) {
		w.Log(s, logtest.Landing(event.Impression, w.Token(s, lease, i)))
	}
	w.Ship(s)
	w.Settle()

	w.restore(backup)
	w.noticed(s)
	sum := w.rebuild()
	if len(sum.Orphans) != 1 || sum.Orphans[0].LineItem != gone || len(sum.Clipped) != 0 {
		t.Errorf("summary: %s", sum)
	}
	if got, want := w.books().sum("ledger", "overage"), int64(50*logtest.Price); got != want {
		t.Errorf("overage %d, want %d", got, want)
	}
	w.Log(s, w.Closing(lease, 50))
	w.Ship(s)
	w.Pass(60*time.Second, s)
	if fresh := w.LineItem(1, 1).ID; fresh <= gone {
		t.Errorf("line item %d was made, though the log names %d", fresh, gone)
	}
}

// An exchange that names two clearing prices for one reservation is charged by
// the one that is settled first: that may be another one now, and is listed.
func TestTwoClearingPrices(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	item := w.LineItem(100, 100).ID
	a, b := w.Process(), w.Process()
	w.Settle()
	backup := w.backup()
	lease := w.Grant(b, item, 10)
	bid := w.Token(b, lease, 0)
	bid.Exchange, bid.Bills, bid.BidPrice = 3, event.BillsBilling, 2000
	dear, cheap := logtest.Landing(event.Billing, bid), logtest.Landing(event.Billing, bid)
	dear.Landing.Clearing, cheap.Landing.Clearing = 1500, 1000
	w.Ship(a)
	w.Log(b, dear)
	w.Ship(b)
	w.Settle()
	w.Log(a, cheap) // an older process's stream comes first when all are there
	w.Ship(a)
	w.Settle()
	if n := w.books().sum("ledger", "charged"); n != 1500 {
		t.Fatalf("charged %d", n)
	}
	w.restore(backup)
	w.noticed(a)
	sum := w.rebuild()
	if n := w.books().sum("ledger", "charged"); n != 1500 && n != 1000 || sum.Doubts != 1 || sum.Doubtful[0].Lease != lease.Lease {
		t.Errorf("charged %d; %s", n, sum)
	}
}

// A process that was granted what only it knows says so in its heartbeat.
func TestHeartbeatNotices(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	item := w.LineItem(100, 100).ID
	s := w.Process()
	w.Grant(s, item, 10)
	w.Ship(s)
	w.Settle()
	backup := w.backup()
	w.Grant(s, item, 10) // not shipped: the bucket knows nothing

	w.restore(backup)
	if _, err := w.TryBeat(s); err == nil {
		t.Fatal("a heartbeat with a lease that the database does not know was taken")
	}
	if err := w.TrySettle(); err == nil {
		t.Fatal("settled after that heartbeat")
	}
	w.Ship(s)
	w.rebuild()
	w.Beat(s)
	if g := w.Grant(s, item, 81); g.Refused == "" {
		t.Error("81 were granted of the 80 that are left")
	}
	if g := w.Grant(s, item, 80); g.Refused != "" {
		t.Error("the 80 that are left were refused: ", g.Refused)
	}
}

// course is a random course of a few processes' lives.
type course struct {
	*world
	items   []ad.ID
	streams []*server
	late    bool // landings may come after their hold
}

type server struct {
	*logtest.Stream
	leases []*open
}

type open struct {
	grant  postgres.Grant
	issued []event.Reservation
	count  int64
}

// step does one random thing.
func (h *course) step(t *rapid.T) {
	c := h.streams[rapid.IntRange(0, len(h.streams)-1).Draw(t, "process")]
	switch rapid.SampledFrom([]string{"grant", "reserve", "reserve", "land", "land", "land", "close", "ship", "settle", "pass"}).Draw(t, "do") {
	case "grant":
		item := h.items[rapid.IntRange(0, len(h.items)-1).Draw(t, "line item")]
		if g := h.Grant(c.Stream, item, rapid.Int64Range(1, 40).Draw(t, "impressions")); g.Refused == "" {
			c.leases = append(c.leases, &open{grant: g})
		}
	case "reserve":
		for _, o := range c.leases {
			if o.count < o.grant.Impressions && h.Now().Before(o.grant.Deadline) {
				o.issued = append(o.issued, h.Token(c.Stream, o.grant, uint32(o.count)))
				o.count++
			}
		}
	case "land":
		other := h.streams[rapid.IntRange(0, len(h.streams)-1).Draw(t, "lands at")]
		kind := rapid.SampledFrom([]event.Type{event.Impression, event.Impression, event.Click, event.Viewable}).Draw(t, "kind")
		for _, o := range c.leases {
			for _, r := range o.issued {
				if late := h.Now().After(r.DecidedAt.Add(logtest.Hold)); (!late || h.late) && rapid.IntRange(0, 9).Draw(t, "lands") < 6 {
					rec := logtest.Landing(kind, r)
					rec.Landing.Late = late
					h.Log(other.Stream, rec)
				}
			}
		}
	case "close":
		if len(c.leases) > 0 {
			h.end(c, rapid.IntRange(0, len(c.leases)-1).Draw(t, "lease"))
		}
	case "ship":
		h.Ship(c.Stream)
	case "settle":
		h.Settle()
	case "pass":
		h.pass(time.Duration(rapid.IntRange(1, 30).Draw(t, "seconds")) * time.Second)
	}
}

// end closes a lease; what lands of its tokens later is not part of this history.
func (h *course) end(c *server, i int) {
	o := c.leases[i]
	h.Log(c.Stream, h.Closing(o.grant, o.count))
	if !h.late {
		c.leases = append(c.leases[:i], c.leases[i+1:]...)
	} else {
		o.count = o.grant.Impressions // reserves nothing more
	}
}

// pass lets time go by while all processes live, and ends what is past its deadline.
func (h *course) pass(d time.Duration) {
	var alive []*logtest.Stream
	for _, c := range h.streams {
		alive = append(alive, c.Stream)
	}
	h.Pass(d, alive...)
	for _, c := range h.streams {
		for i := len(c.leases) - 1; i >= 0; i-- {
			if h.Now().After(c.leases[i].grant.Deadline.Add(-logtest.Hold)) {
				h.end(c, i)
				if h.late {
					c.leases = append(c.leases[:i], c.leases[i+1:]...)
				}
			}
		}
	}
}

// finish ships and settles everything, until nothing is leased any more.
func (h *course) finish() {
	for _, c := range h.streams {
		for len(c.leases) > 0 {
			h.end(c, 0)
			if h.late {
				c.leases = c.leases[1:]
			}
		}
		h.Ship(c.Stream)
	}
	h.pass(4 * time.Minute)
}

// run makes a random history with a copy somewhere in it, puts the copy back and
// rebuilds.
func run(t *rapid.T, outer *testing.T, late bool) (newer, rebuilt books, sum Summary) {
	w := newWorld(outer)
	defer func() { w.DB.Close() }() // of hundreds of histories
	w.T = t
	h := &course{world: w, late: late}
	for range rapid.IntRange(1, 3).Draw(t, "line items") {
		lifetime := rapid.Int64Range(20, 200).Draw(t, "lifetime")
		h.items = append(h.items, w.LineItem(lifetime, rapid.Int64Range(10, lifetime).Draw(t, "daily")).ID)
	}
	for range rapid.IntRange(1, 3).Draw(t, "processes") {
		h.streams = append(h.streams, &server{Stream: w.Process()})
	}
	h.Settle()
	for range rapid.IntRange(0, 40).Draw(t, "steps before") {
		h.step(t)
	}
	backup := w.backup()
	for range rapid.IntRange(1, 60).Draw(t, "steps after") {
		h.step(t)
	}
	g := h.Grant(h.streams[0].Stream, h.items[0], 1) // so that the log knows more
	h.finish()
	newer = w.books()
	w.reconcile()
	w.restore(backup)
	if g.Refused == "" {
		w.noticed(h.streams[0].Stream)
	}
	sum = w.rebuild()
	h.pass(4 * time.Minute)
	w.reconcile()
	return newer, w.books(), sum
}

func TestHistories(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		newer, rebuilt, sum := run(rt, t, false)
		if diff := newer.diff(rebuilt); diff != "" {
			rt.Fatalf("%s\n%s", diff, sum)
		}
		if len(sum.Clipped)+len(sum.Orphans) > 0 || sum.Doubts > 0 {
			rt.Fatal(sum)
		}
	})
}

// Events after their hold may move between charge, overage and late; nothing is
// lost and nothing counted twice.
func TestLateHistories(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		newer, rebuilt, sum := run(rt, t, true)
		for _, sums := range [][]string{
			{"ledger", "charged impressions", "overage impressions", "late"},
			{"report", "impressions"}, {"report", "clicks"}, {"audience", "impressions"},
		} {
			if got, want := rebuilt.sum(sums[0], sums[1:]...), newer.sum(sums[0], sums[1:]...); got != want {
				rt.Fatalf("%v: %d, want %d\n%s", sums, got, want, sum)
			}
		}
		moved := newer.sum("ledger", "charged") - rebuilt.sum("ledger", "charged")
		listed := int64(0)
		for _, d := range sum.Doubtful {
			listed += int64(d.Micros)
		}
		if max(moved, -moved) > listed {
			rt.Fatalf("charges moved by %d, listed are %d\n%s", moved, listed, sum)
		}
	})
}
