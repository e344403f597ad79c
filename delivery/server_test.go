package delivery

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"gocloud.dev/blob/memblob"

	"github.com/hayate-ads/hayate/delivery/lease"
	"github.com/hayate-ads/hayate/delivery/render"
	"github.com/hayate-ads/hayate/delivery/token"
	"github.com/hayate-ads/hayate/delivery/visitor"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/rule"
	"github.com/hayate-ads/hayate/internal/snapshot"
	"github.com/hayate-ads/hayate/internal/telemetry"
)

// The ids of the test snapshot.
const (
	testPlacement   ad.ID = 11 // 300×250
	nativePlacement ad.ID = 12 // formats that nothing answers yet
	pricedItem      ad.ID = 31 // 5.00 CPM, for everybody
	keywordItem     ad.ID = 32 // 9.00 CPM, for topic=go
	houseItem       ad.ID = 33 // price 0
)

var (
	testProcess = ulid.MustParse("01JD0000000000000000000001")
	testNow     = time.Date(2026, 11, 20, 12, 30, 0, 0, time.UTC)
)

const testKeys = "1 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n"

// pngOf is an image's name in the bucket and what is stored there.
const pngBody = "not really a PNG"

func pngName() string {
	sum := sha256.Sum256([]byte(pngBody))
	return hex.EncodeToString(sum[:])
}

// testServer is a server with its clock, bank and log in the test's hands.
type testServer struct {
	*server
	book *lease.Book

	mu      sync.Mutex
	at      time.Time
	records []event.Record
	wanted  []ad.ID
	logErr  error
}

// newTestServer makes one that serves the test snapshot, with a lease of 1.00
// for each line item.
func newTestServer(t testing.TB) *testServer {
	t.Helper()
	s := newEmptyServer(t)
	s.serve(t, testSnapshot(7))
	for _, id := range []ad.ID{pricedItem, keywordItem, houseItem} {
		s.lease(id, 1_000_000, 1000)
	}
	return s
}

// newEmptyServer makes one that has no snapshot yet.
func newEmptyServer(t testing.TB) *testServer {
	t.Helper()
	keys, err := token.ParseKeys([]byte(testKeys))
	if err != nil {
		t.Fatal(err)
	}
	visitors, err := visitor.Open(visitor.Config{Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	if err != nil {
		t.Fatal(err)
	}
	store := memblob.OpenBucket(nil)
	t.Cleanup(func() { store.Close() })
	if err := store.WriteAll(context.Background(), "assets/"+pngName()+".png", []byte(pngBody), nil); err != nil {
		t.Fatal(err)
	}
	cfg := Config{PublicURL: "https://ads.example", AssetURL: "https://ads.example/assets", Hold: time.Minute, Concurrency: 4096}
	s := &testServer{book: new(lease.Book), at: testNow}
	urls := render.Config{TrackingURL: cfg.PublicURL, AssetURL: cfg.AssetURL}
	s.server = &server{
		cfg: cfg, keys: keys, visitors: visitors, board: newBoard(s.book, newTally(), urls), reasons: newReasons(nil), assets: newAssets(store),
		metrics: newMetrics(nil), throttle: telemetry.NewThrottle(slog.New(slog.DiscardHandler), nil),
		now: s.clock, process: func() ulid.ULID { return testProcess }, want: s.take, record: s.log,
	}
	return s
}

func (s *testServer) clock() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at
}

func (s *testServer) sleep(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at = s.at.Add(d)
}

func (s *testServer) take(lineItem ad.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wanted = append(s.wanted, lineItem)
}

func (s *testServer) log(r *event.Record) error {
	if err := r.Validate(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.logErr != nil {
		return s.logErr
	}
	s.records = append(s.records, *r)
	return nil
}

// breakLog makes the log refuse what it is given.
func (s *testServer) breakLog() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.logErr = errors.New("no space left on device")
}

// logged returns the records of a type.
func (s *testServer) logged(kind event.Type) (found []event.Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.records {
		if r.Type == kind {
			found = append(found, r)
		}
	}
	return found
}

func (s *testServer) serve(t testing.TB, snap *snapshot.Snapshot) {
	t.Helper()
	if err := s.board.load(snap, s.clock()); err != nil {
		t.Fatal(err)
	}
}

// lease puts a lease into service, as the bank does.
func (s *testServer) lease(id ad.ID, micros, impressions int64) *lease.Lease {
	l := testLease(id, micros, impressions)
	s.book.Slot(id).Store(l)
	s.board.changed(id)
	return l
}

func testLease(id ad.ID, micros, impressions int64) *lease.Lease {
	l := lease.New(ulid.Make(), id, microsOf(micros), impressions)
	l.Process = testProcess
	l.From, l.Until = testNow.Add(-time.Hour).UnixMicro(), testNow.Add(time.Hour).UnixMicro()
	return l
}

// listen serves on a loopback address and returns that.
func (s *testServer) listen(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	web := s.http()
	done := make(chan error, 1)
	go func() { done <- web.Serve(acceptor{listener}) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := web.ShutdownWithContext(ctx); err != nil {
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return listener.Addr().String()
}

// client follows no redirect and keeps no connection from one test to another.
func client(t testing.TB) *http.Client {
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport:     transport,
		Timeout:       10 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// reply is a response, read to its end.
type reply struct {
	Status int
	Header http.Header
	Body   string
}

// do sends a request with headers given as "Name: value".
func do(t testing.TB, c *http.Client, method, url, body string, headers ...string) reply {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		req.Header.Add(name, value)
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header, string(text)}
}

// testSnapshot has one advertiser with three line items, and two placements.
func testSnapshot(generation uint64) *snapshot.Snapshot {
	everybody := rule.Rule{Conjunctions: []rule.Conjunction{{}}}
	topic := rule.Rule{Conjunctions: []rule.Conjunction{{{Dimension: rule.Keyword, Values: []string{"topic=go"}}}}}
	values := new(rule.Table)
	image := ad.Image{SHA256: pngName(), Type: "image/png", Bytes: int64(len(pngBody))}
	banner := func(id, item ad.ID) snapshot.Creative {
		return snapshot.Creative{ID: id, LineItem: item, Revision: 1, Format: ad.Banner, Width: 300, Height: 250,
			LandingURL: "https://shop.example/landing?a=1&b=2", Image: image}
	}
	item := func(id ad.ID, tier ad.Tier, cpm int64, targeting rule.Rule) snapshot.LineItem {
		return snapshot.LineItem{ID: id, Campaign: 21, Advertiser: 1, Tier: tier, CostType: ad.CPM, Cost: microsOf(cpm), Weight: 1,
			StartsAt: testNow.Add(-24 * time.Hour), Targeting: values.Pack(targeting)}
	}
	s := &snapshot.Snapshot{
		Generation: generation, CreatedAt: testNow.Add(-time.Minute), Currency: "USD", Values: values,
		Advertisers: []snapshot.Advertiser{{ID: 1, Domain: "shop.example", TimeZone: "Asia/Tokyo"}},
		LineItems: []snapshot.LineItem{
			item(pricedItem, ad.Auction, 5_000_000, everybody),
			item(keywordItem, ad.Auction, 9_000_000, topic),
			item(houseItem, ad.House, 0, everybody),
		},
		Creatives:  []snapshot.Creative{banner(41, pricedItem), banner(42, keywordItem), banner(43, houseItem)},
		Properties: []snapshot.Property{{ID: 2, Publisher: 3, Kind: ad.Site, Domain: "news.example", RevenueShare: 7000}},
		Placements: []snapshot.Placement{
			{ID: testPlacement, Property: 2, Formats: []ad.Format{ad.Banner, ad.HTML}, Sizes: []ad.Size{{Width: 300, Height: 250}}, FloorCurrency: "USD", AuctionType: ad.FirstPrice},
			{ID: nativePlacement, Property: 2, Formats: []ad.Format{ad.Native}, FloorCurrency: "USD", AuctionType: ad.FirstPrice},
		},
	}
	s.SortValues()
	return s
}

func microsOf(n int64) money.Micros { return money.Micros(n) }
