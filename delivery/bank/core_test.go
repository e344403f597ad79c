package bank

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/oklog/ulid/v2"
	"pgregory.net/rapid"

	"github.com/hayate-ads/hayate/delivery/lease"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// world is the core's surroundings in a test: a bank that grants what it likes,
// a log that keeps what it is told, and requests that reserve.
type world struct {
	core   *Core
	book   lease.Book
	now    time.Time
	ids    uint64
	price  map[ad.ID]money.Micros
	least  map[ad.ID]int64              // reservations at once
	looks  int                          // at a price
	edits  uint64                       // of prices
	asks   [][]postgres.Want            // unanswered batches
	opens  []ulid.ULID                  // OPENs on their way to the disk
	opened map[ulid.ULID]event.Lease    // OPENs given to the log …
	synced map[ulid.ULID]bool           // … and durable
	closed map[ulid.ULID]event.Lease    // CLOSEs
	used   map[ulid.ULID]money.Micros   // what requests reserved
	tokens map[ulid.ULID]int64          // how many
	last   map[ulid.ULID]time.Time      // last hold's end
	grants map[ulid.ULID]postgres.Grant // all that the bank gave
	live   map[ad.ID]bool               // as Changed told
	aside  map[ad.ID]bool
	fatal  func(format string, a ...any) // of the running test
}

const hold = time.Minute

func newWorld(fatal func(string, ...any)) *world {
	w := &world{
		now: time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC), price: map[ad.ID]money.Micros{1: 1000, 2: 2500, 3: 0},
		opened: map[ulid.ULID]event.Lease{}, synced: map[ulid.ULID]bool{}, closed: map[ulid.ULID]event.Lease{}, used: map[ulid.ULID]money.Micros{},
		tokens: map[ulid.ULID]int64{}, last: map[ulid.ULID]time.Time{}, grants: map[ulid.ULID]postgres.Grant{},
		least: map[ad.ID]int64{}, live: map[ad.ID]bool{}, aside: map[ad.ID]bool{}, fatal: fatal,
	}
	w.core = NewCore(Rules{
		Hold: hold, Silence: 180 * time.Second, AskEvery: time.Second, PermitTTL: 30 * time.Minute,
		Price: func(id ad.ID) (money.Micros, bool) {
			w.looks++
			p, ok := w.price[id]
			return p, ok
		},
		Least:      func(id ad.ID) int64 { return max(w.least[id], 1) },
		Generation: func() uint64 { return w.edits },
		MintID:     w.mint, Process: func() ulid.ULID { return ulid.ULID{1} },
	}, &w.book)
	w.step(Answered{postgres.HeartbeatAnswer{Now: w.now}})
	return w
}

func (w *world) mint() ulid.ULID {
	w.ids++
	var id ulid.ULID
	for i := range 8 {
		id[15-i] = byte(w.ids >> (8 * i))
	}
	return id
}

// step feeds the core and checks each thing it asks for.
func (w *world) step(input any) {
	out := w.core.Step(w.now, input)
	for _, record := range out.Close {
		if _, twice := w.closed[record.ID]; twice {
			w.fatal("lease %s closed twice", record.ID)
		}
		w.closed[record.ID] = record
		if record.Reserved != w.used[record.ID] || record.ReservedCount != w.tokens[record.ID] {
			w.fatal("CLOSE says %d micros, %d tokens; requests took %d, %d", record.Reserved, record.ReservedCount, w.used[record.ID], w.tokens[record.ID])
		}
		if record.LastExpiry.Before(w.last[record.ID]) {
			w.fatal("CLOSE says the last hold ends at %s, but one ends at %s", record.LastExpiry, w.last[record.ID])
		}
	}
	for _, record := range out.Open {
		w.opens = append(w.opens, record.ID)
		w.opened[record.ID] = record
	}
	for _, id := range out.Changed {
		w.live[id], w.aside[id] = w.book.Slot(id).Load() != nil, w.book.Slot(id).Aside()
	}
	if len(out.Ask) > 0 {
		w.asks = append(w.asks, out.Ask)
	}
	wishes := 0
	for _, p := range w.core.positions {
		if p.asked.LineItem != 0 {
			wishes++
		}
	}
	if wishes != w.core.asking {
		w.fatal("%d wishes are counted as %d", wishes, w.core.asking)
	}
	for id := range w.price {
		if (w.book.Slot(id).Load() != nil) != w.live[id] {
			w.fatal("line item %d: live is told as %v, but its slot holds %v", id, w.live[id], w.book.Slot(id).Load())
		}
		if w.book.Slot(id).Aside() != w.aside[id] {
			w.fatal("line item %d: aside is told as %v, but its slot says otherwise", id, w.aside[id])
		}
	}
}

// sync is the log's word on an OPEN.
func (w *world) sync(id ulid.ULID, failed bool) {
	w.synced[id] = !failed
	w.step(Opened{Lease: id, Failed: failed})
}

// reserve is a request that found the line item.
func (w *world) reserve(id ad.ID) bool {
	l := w.book.Slot(id).Load()
	if l == nil {
		return false
	}
	_, ok := l.Reserve(w.price[id], w.now.UnixMicro())
	if !ok {
		return false
	}
	if !w.synced[l.ID] {
		w.fatal("a token left before its lease's OPEN was durable")
	}
	w.used[l.ID] += w.price[id]
	w.tokens[l.ID]++
	w.last[l.ID] = w.now.Add(hold)
	if grant := w.grants[l.ID]; w.used[l.ID] > grant.Micros {
		w.fatal("reserved %d of %d", w.used[l.ID], grant.Micros)
	}
	return true
}

// answer answers the oldest batch; refuse and share choose how.
func (w *world) answer(refuse bool, share int64) {
	wants := w.asks[0]
	w.asks = w.asks[1:]
	var grants []postgres.Grant
	for _, want := range wants {
		g, again := w.grants[want.Lease]
		if !again {
			g = postgres.Grant{
				Lease: want.Lease, LineItem: want.LineItem, Micros: want.Micros / money.Micros(share), Impressions: want.Impressions,
				Day: 20_777, DayStart: w.now.Add(-time.Hour), DayEnd: w.now.Add(12 * time.Hour), Deadline: w.now.Add(30 * time.Minute), MaxAge: 10 * time.Minute,
			}
			if refuse {
				g = postgres.Grant{Lease: want.Lease, LineItem: want.LineItem, Refused: postgres.RefusedSpent}
			}
			w.grants[want.Lease] = g
		}
		grants = append(grants, g)
	}
	w.step(Granted{Grants: grants})
}

// In any order of wants, answers, lost answers, log failures, stops, recalls,
// silence and time: no token before its OPEN, nothing reserved beyond a grant,
// each lease closed at most once and with exactly what requests took, and at
// drain every lease that was opened is closed.
func TestCoreKeepsTheProtocol(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t.Fatalf)
		lineItem := rapid.SampledFrom([]ad.ID{1, 2, 3})
		t.Repeat(map[string]func(*rapid.T){
			"want":    func(t *rapid.T) { w.step(Wanted{lineItem.Draw(t, "line item")}) },
			"unknown": func(*rapid.T) { w.step(Wanted{99}) },
			"reserve": func(t *rapid.T) {
				id := lineItem.Draw(t, "line item")
				for range rapid.IntRange(1, 3000).Draw(t, "requests") {
					w.reserve(id)
				}
			},
			"price": func(t *rapid.T) {
				w.price[lineItem.Draw(t, "line item")] = money.Micros(rapid.Int64Range(0, 5000).Draw(t, "price"))
				w.edits++
			},
			"small batches": func(t *rapid.T) { w.core.batch = rapid.IntRange(1, 2).Draw(t, "batch") },
			"tick": func(t *rapid.T) {
				w.now = w.now.Add(time.Duration(rapid.IntRange(1, 400_000).Draw(t, "ms")) * time.Millisecond)
				w.step(Tick{})
			},
			"answer": func(t *rapid.T) {
				if len(w.asks) > 0 {
					w.answer(rapid.Bool().Draw(t, "refuse"), rapid.Int64Range(1, 50).Draw(t, "share"))
				}
			},
			"lose": func(*rapid.T) {
				if len(w.asks) > 0 {
					w.asks = w.asks[1:]
					w.step(Granted{Failed: true})
				}
			},
			"sync": func(t *rapid.T) {
				if len(w.opens) > 0 {
					id := w.opens[0]
					w.opens = w.opens[1:]
					w.sync(id, rapid.IntRange(0, 3).Draw(t, "fails") == 0)
				}
			},
			"beat": func(t *rapid.T) {
				answer := postgres.HeartbeatAnswer{Now: w.now}
				if rapid.Bool().Draw(t, "stop") {
					answer.Stops = []postgres.Stop{{Kind: "line_item", ID: lineItem.Draw(t, "line item"), Stopped: rapid.Bool().Draw(t, "stopped")}}
				}
				for id := range w.opened {
					answer.Recalled = append(answer.Recalled, id)
				}
				w.step(Answered{answer})
			},
			"": func(*rapid.T) {},
		})
		w.step(Drain{})
		for id := range w.opened {
			if _, ok := w.closed[id]; !ok {
				t.Fatalf("lease %s was opened and never closed", id)
			}
		}
	})
}

// serve brings line item 1 into service and returns its lease.
func serve(t *testing.T, w *world) *lease.Lease {
	t.Helper()
	w.step(Wanted{1})
	w.answer(false, 1)
	w.sync(w.opens[len(w.opens)-1], false)
	l := w.book.Slot(1).Load()
	if l == nil {
		t.Fatal("not in service after want, grant and OPEN")
	}
	return l
}

func TestAnUnansweredBatchIsRepeatedWithItsIDs(t *testing.T) {
	t.Parallel()
	w := newWorld(t.Fatalf)
	w.step(Wanted{1})
	first := w.asks[0]
	w.asks = nil
	w.step(Granted{Failed: true})
	w.now = w.now.Add(2 * time.Second)
	w.step(Tick{})
	if diff := cmp.Diff([][]postgres.Want{first}, w.asks); diff != "" {
		t.Fatal(diff)
	}
}

func TestSilenceStopsMoney(t *testing.T) {
	t.Parallel()
	w := newWorld(t.Fatalf)
	serve(t, w)
	w.now = w.now.Add(179 * time.Second)
	if !w.reserve(1) {
		t.Fatal("refused within the silence that is allowed")
	}
	w.now = w.now.Add(time.Second)
	if w.reserve(1) {
		t.Fatal("reserved after 180 s of silence")
	}
	w.step(Answered{postgres.HeartbeatAnswer{Now: w.now}})
	if !w.reserve(1) {
		t.Fatal("refused after the bank answered again")
	}
}

func TestASuccessorTakesOverBeforeTheEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t.Fatalf)
	old := serve(t, w)
	for range firstAsk * 3 / 4 {
		w.reserve(1)
	}
	w.now = w.now.Add(5 * time.Second)
	w.step(Tick{})
	if len(w.asks) != 1 {
		t.Fatal("no successor was asked for with a quarter left")
	}
	if more := w.asks[0][0].Micros; more <= w.price[1]*firstAsk {
		t.Errorf("asked for %d again, though that lasted only seconds", more)
	}
	w.answer(false, 1)
	w.sync(w.opens[len(w.opens)-1], false)
	if l := w.book.Slot(1).Load(); l == nil || l == old {
		t.Fatal("the successor does not serve")
	}
	if _, ok := w.closed[old.ID]; !ok {
		t.Fatal("the old lease was not closed")
	}
}

func TestAStopClosesAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t.Fatalf)
	l := serve(t, w)
	w.step(Answered{postgres.HeartbeatAnswer{Now: w.now, Stops: []postgres.Stop{{Kind: "line_item", ID: 1, Stopped: true}}}})
	if _, ok := w.closed[l.ID]; !ok || w.reserve(1) {
		t.Fatal("a stopped line item still reserves")
	}
	w.now = w.now.Add(time.Minute)
	w.step(Wanted{1})
	if len(w.asks) != 0 {
		t.Fatal("a stopped line item was asked for")
	}
}

func TestLostForgetsEveryLease(t *testing.T) {
	t.Parallel()
	w := newWorld(t.Fatalf)
	serve(t, w)
	w.step(Answered{postgres.HeartbeatAnswer{Now: w.now, Lost: true}})
	if w.reserve(1) || len(w.closed) != 0 {
		t.Fatal("after 'lost' nothing is reserved, and END alone speaks for the leases")
	}
	w.now = w.now.Add(time.Minute)
	serve(t, w)
}

// A spent line item steps aside for a while, then is asked for again.
func TestARefusedLineItemStepsAside(t *testing.T) {
	t.Parallel()
	w := newWorld(t.Fatalf)
	w.step(Wanted{1})
	w.answer(true, 1)
	if !w.book.Slot(1).Aside() {
		t.Fatal("a refused line item is still eligible")
	}
	w.step(Wanted{1})
	w.now = w.now.Add(4 * time.Second)
	w.step(Wanted{1})
	if len(w.asks) != 0 {
		t.Fatal("asked again at once")
	}
	w.now = w.now.Add(time.Second)
	w.step(Tick{})
	if w.book.Slot(1).Aside() {
		t.Fatal("still refused after its patience")
	}
	serve(t, w)
}
