package delivery

import (
	"context"
	"errors"
	"net"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/valyala/fasthttp"

	"github.com/hayate-ads/hayate/delivery/auction"
	"github.com/hayate-ads/hayate/delivery/catalog"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/event"
)

// sumReasons adds up the logged cells of one kind.
func sumReasons(records []event.Record, estimated bool) map[event.ReasonCell]int64 {
	sums := make(map[event.ReasonCell]int64)
	for _, rec := range records {
		if rec.Type != event.Unserved || rec.Reasons.Estimated != estimated {
			continue
		}
		for _, c := range rec.Reasons.Cells {
			n := c.N
			c.N, c.Samples = 0, 0
			sums[c] += n
		}
	}
	return sums
}

func items(ids ...ad.ID) *serving {
	c := &catalog.Catalog{}
	for _, id := range ids {
		c.LineItems = append(c.LineItems, catalog.LineItem{ID: id})
	}
	return &serving{catalog: c}
}

// collect is a log that takes everything.
func collect(t *testing.T, into *[]event.Record) func(*event.Record) error {
	return func(rec *event.Record) error {
		if err := rec.Validate(); err != nil {
			t.Error(err)
		}
		*into = append(*into, *rec)
		return nil
	}
}

func TestLossesAreCountedExactly(t *testing.T) {
	t.Parallel()
	r := newReasons(nil)
	on := items(7, 8, 9)
	losses := []auction.Loss{{Item: 0, Reason: auction.NoLease}, {Item: 2, Reason: auction.BelowFloor}}
	hour := testNow.Unix() / 3600
	const each, writers = 1000, 8
	var all sync.WaitGroup
	var logged []event.Record
	record := collect(t, &logged)
	for range writers {
		shard := r.shard()
		all.Go(func() {
			for range each {
				shard.count(hour, on, losses)
			}
		})
	}
	// Flushes in between, as every ten seconds, lose nothing and count nothing twice.
	for i := range 5 {
		runtime.Gosched()
		if err := r.flush(testNow.Add(time.Duration(i)*reasonsEvery), false, record); err != nil {
			t.Fatal(err)
		}
		all.Wait() // a writer is gone when its table is read, two flushes on
	}
	if err := r.flush(testNow.Add(time.Minute), true, record); err != nil {
		t.Fatal(err)
	}
	want := map[event.ReasonCell]int64{
		{LineItem: 7, Reason: "no_lease"}: each * writers, {LineItem: 9, Reason: "below_floor"}: each * writers,
	}
	if diff := cmp.Diff(want, sumReasons(logged, false)); diff != "" {
		t.Error(diff)
	}
	if n := r.asked(); n != each*writers {
		t.Errorf("%d requests, want %d", n, each*writers)
	}
}

// What was decided just before the hour is told apart from what came after.
func TestLossesBelongToTheirHour(t *testing.T) {
	t.Parallel()
	r := newReasons(nil)
	shard, on := r.shard(), items(7)
	hour := testNow.Unix() / 3600
	loss := []auction.Loss{{Reason: auction.NoLease}}
	shard.count(hour-1, on, loss)
	shard.count(hour, on, loss)
	shard.count(hour, on, loss)
	var logged []event.Record
	if err := r.flush(testNow, true, collect(t, &logged)); err != nil {
		t.Fatal(err)
	}
	got := map[time.Time]int64{}
	for _, rec := range logged {
		got[rec.Reasons.Hour] += rec.Reasons.Cells[0].N
	}
	now := time.Unix(hour*3600, 0).UTC()
	if diff := cmp.Diff(map[time.Time]int64{now.Add(-time.Hour): 1, now: 2}, got); diff != "" {
		t.Error(diff)
	}
}

// More line items than there is room for: memory is bounded, every loss is in
// the log, and what could not be told apart says so.
func TestLossesBeyondTheBoundAreFolded(t *testing.T) {
	t.Parallel()
	r := newReasons(nil)
	const lineItems = 50_000
	ids := make([]ad.ID, lineItems)
	for i := range ids {
		ids[i] = ad.ID(i + 1)
	}
	on, hour := items(ids...), testNow.Unix()/3600
	shard := r.shard()
	for i := range uint32(lineItems) {
		shard.count(hour, on, []auction.Loss{{Item: i, Reason: auction.Outbid}})
	}
	shard.count(hour, on, []auction.Loss{{Item: 0, Reason: auction.Outbid}})
	var logged []event.Record
	if err := r.flush(testNow, true, collect(t, &logged)); err != nil {
		t.Fatal(err)
	}
	var sum int64
	sums := sumReasons(logged, false)
	for _, n := range sums {
		sum += n
	}
	if sum != lineItems+1 {
		t.Errorf("%d losses are in the log, want %d", sum, lineItems+1)
	}
	if folded := sums[event.ReasonCell{Reason: "outbid"}]; len(sums) > maxCells+1 || folded < lineItems-lossSlots {
		t.Errorf("%d cells, %d losses folded", len(sums), folded)
	}
}

// A log that refuses gets the same records again.
func TestReasonsWaitForTheLog(t *testing.T) {
	t.Parallel()
	r := newReasons(nil)
	shard, on, hour := r.shard(), items(7), testNow.Unix()/3600
	shard.count(hour, on, []auction.Loss{{Reason: auction.NoLease}})
	broken := errors.New("broken")
	if err := r.flush(testNow, true, func(*event.Record) error { return broken }); !errors.Is(err, broken) {
		t.Fatalf("flush = %v", err)
	}
	var logged []event.Record
	if err := r.flush(testNow.Add(time.Second), false, collect(t, &logged)); err != nil {
		t.Fatal(err)
	}
	if got := sumReasons(logged, false); got[event.ReasonCell{LineItem: 7, Reason: "no_lease"}] != 1 {
		t.Errorf("logged: %v", got)
	}
}

// The passes take at most one part in a hundred of the time, whatever they cost,
// and end with the context.
func TestSamplerKeepsToItsBudget(t *testing.T) {
	t.Parallel()
	f := func(cost func(pass int) time.Duration, atLeast int) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			s := newSampler(func() int64 { return 640 }, nil)
			passes := 0
			var spent time.Duration
			began := time.Now()
			s.explain = func(*catalog.Catalog, *auction.Request, auction.Page, func(*auction.Explanation) bool) {
				if spent*100 > time.Since(began) {
					t.Errorf("pass %d begins %v after the start with %v spent", passes, time.Since(began), spent)
				}
				took := cost(passes)
				time.Sleep(took)
				spent += took
				passes++
			}
			ctx, cancel := context.WithCancel(t.Context())
			var running sync.WaitGroup
			running.Go(func() { s.run(ctx) })
			on, req := items(7), &auction.Request{Placements: []ad.ID{1}}
			for range 100 * 3600 {
				time.Sleep(10 * time.Millisecond)
				s.offer(on, req)
			}
			cancel()
			running.Wait()
			if passes < atLeast {
				t.Errorf("%d passes, want %d at least", passes, atLeast)
			}
		})
	}
	f(func(int) time.Duration { return 200 * time.Microsecond }, 10_000)
	f(func(int) time.Duration { return 5 * time.Millisecond }, 6_000)
	f(func(int) time.Duration { return 2 * time.Second }, 15)
	f(func(pass int) time.Duration { return time.Duration(pass%50) * time.Millisecond }, 1_000)
}

// A sampler that nobody asks waits without end, and stops when it is told.
func TestSamplerStops(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSampler(func() int64 { return 1 }, nil)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { s.run(ctx); close(done) }()
		time.Sleep(time.Hour)
		cancel()
		<-done
	})
}

// Estimates add up to the requests that came, whatever part of them was looked
// at, and windows go round the whole catalog.
func TestEstimatesStandForAllRequests(t *testing.T) {
	t.Parallel()
	const lineItems, rounds = 3*samplerWindow - 100, 4
	ids := make([]ad.ID, lineItems)
	for i := range ids {
		ids[i] = ad.ID(i + 1)
	}
	s := newSampler(func() int64 { return 100 }, nil)
	s.explain = func(c *catalog.Catalog, _ *auction.Request, page auction.Page, yield func(*auction.Explanation) bool) {
		for _, line := range c.LineItems[page.Offset:] {
			if !yield(&auction.Explanation{LineItem: line.ID, Outcome: auction.NoMatch, Causes: []auction.Cause{{Predicate: "country"}}}) {
				return
			}
		}
	}
	on := items(ids...)
	var logged []event.Record
	for range 3 * rounds {
		s.on = on
		copyRequest(&s.req, &auction.Request{Placements: []ad.ID{4, 5}, Now: testNow.UnixMicro()})
		s.pass()
		logged = append(logged, s.records()...)
	}
	sums := sumReasons(logged, true)
	if len(sums) != lineItems {
		t.Errorf("%d line items were looked at, want %d", len(sums), lineItems)
	}
	for cell, n := range sums {
		if want := int64(3 * rounds * 100 * 2); n != want || cell.Dimension != "country" {
			t.Fatalf("%+v stands for %d, want %d", cell, n, want)
		}
	}
}

// A real request, through the whole server: what the auction passed over is in
// the log exactly, and what it never looked at by estimate. Tests are not counted.
func TestReasonsOfRequests(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)
	body := `{"placements":[{"id":"11"}],"page":{"url":"https://news.example/"}}`
	tested := `{"test":true,` + body[1:]
	decideOnce(t, s, tested)
	if n := s.server.reasons.asked(); n != 0 {
		t.Errorf("%d requests are counted after a test", n)
	}
	sampler := s.server.reasons.sampler
	sampler.armed.Store(true)
	decideOnce(t, s, body)
	select {
	case <-sampler.ready:
	default:
		t.Fatal("no request was offered")
	}
	sampler.pass()
	var logged []event.Record
	if err := s.server.reasons.flush(testNow, true, collect(t, &logged)); err != nil {
		t.Fatal(err)
	}
	estimates := sumReasons(logged, true)
	want := map[ad.ID]bool{pricedItem: true, keywordItem: true, houseItem: true}
	for cell, n := range estimates {
		if n != 1 {
			t.Errorf("%+v stands for %d requests, want 1", cell, n)
		}
		delete(want, cell.LineItem)
	}
	if len(want) > 0 {
		t.Errorf("not explained: %v, in %v", want, estimates)
	}
	if estimates[event.ReasonCell{LineItem: keywordItem, Reason: "no_match", Dimension: "keyword"}] != 1 {
		t.Errorf("estimates: %v", estimates)
	}
}

func decideOnce(t *testing.T, s *testServer, body string) {
	t.Helper()
	var ctx fasthttp.RequestCtx
	var req fasthttp.Request
	req.Header.SetMethod("POST")
	req.SetRequestURI("/v1/decisions")
	req.Header.SetHost("ads.example")
	req.SetBodyString(body)
	ctx.Init(&req, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}, nil)
	s.handle(&ctx)
	if ctx.Response.StatusCode() != 200 {
		t.Fatalf("status %d, %s", ctx.Response.StatusCode(), ctx.Response.Body())
	}
}
