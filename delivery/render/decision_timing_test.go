package render_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/hayate-ads/hayate/delivery/auction"
	"github.com/hayate-ads/hayate/delivery/catalog"
	"github.com/hayate-ads/hayate/delivery/lease"
	"github.com/hayate-ads/hayate/delivery/render"
	"github.com/hayate-ads/hayate/delivery/target/workload"
	"github.com/hayate-ads/hayate/delivery/token"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/rule"
	"github.com/hayate-ads/hayate/internal/snapshot"
)

// market is the standard workload as a catalog, with what a server has around
// it: requests, leases, and the memory that one goroutine reuses.
type market struct {
	catalog  *catalog.Catalog
	renderer *render.Renderer
	signer   *token.Signer
	requests []auction.Request

	scratch   auction.Scratch
	decisions []auction.Decision
	tokens    []render.Tokens
	body      []byte
}

func newMarket(tb testing.TB, mix workload.Mix, n int) *market {
	tb.Helper()
	requests := workload.Requests(1, mix, 1000)
	s, book := supply(requests), new(lease.Book)
	s.Advertisers = []snapshot.Advertiser{{ID: 1, Domain: "brand.example", TimeZone: "UTC"}}
	for i, item := range workload.LineItems(1, mix, n) {
		id, size := ad.ID(i+1), workload.Sizes[item.Size]
		s.LineItems = append(s.LineItems, snapshot.LineItem{
			ID: id, Campaign: 1, Advertiser: 1, Tier: ad.Auction, CostType: ad.CPM, Cost: item.CPM, StartsAt: now.Add(-time.Hour), Targeting: s.Values.Pack(item.Rule),
		})
		creative := bannerOf("https://shop.example/landing?utm_source=hayate&utm_campaign=spring")
		creative.ID, creative.LineItem, creative.Revision, creative.Width, creative.Height = id, id, 1, size.Width, size.Height
		s.Creatives = append(s.Creatives, creative)
		if item.Live {
			book.Slot(id).Store(endless(id))
		}
	}
	m := &market{signer: keys(tb).Signer()}
	var err error
	if m.catalog, err = catalog.Compile(s, book); err != nil {
		tb.Fatal(err)
	}
	m.catalog.Tick(now)
	for i := range m.catalog.LineItems {
		m.catalog.SetLive(m.catalog.LineItems[i].ID, m.catalog.LineItems[i].Slot.Load() != nil)
	}
	if m.renderer, err = render.Compile(m.catalog, config); err != nil {
		tb.Fatal(err)
	}
	for i, r := range requests {
		req := auction.Request{Placements: []ad.ID{ad.ID(i + 1)}, Seed: uint64(i), Now: now.UnixMicro(), Process: ulid.ULID{1}, Hold: time.Minute}
		req.Query.Add(rule.Country, r.Country[:])
		req.Query.AddText(rule.DeviceType, r.Device.String())
		req.Query.AddText(rule.OS, r.OS)
		for _, keyword := range r.Keywords {
			req.Query.Add(rule.Keyword, keyword)
		}
		m.requests = append(m.requests, req)
	}
	return m
}

// supply is one placement per request, on the request's site and of its size.
func supply(requests []workload.Request) *snapshot.Snapshot {
	s := &snapshot.Snapshot{Generation: 12, Currency: "USD", Values: new(rule.Table)}
	for id := ad.ID(1); id <= workload.Sites; id++ {
		s.Properties = append(s.Properties, snapshot.Property{ID: id, Publisher: 1, Kind: ad.Site, Domain: "news.example"})
	}
	for i, r := range requests {
		s.Placements = append(s.Placements, snapshot.Placement{
			ID: ad.ID(i + 1), Property: r.Site, Formats: []ad.Format{ad.Banner}, Sizes: []ad.Size{workload.Sizes[r.Size]},
		})
	}
	return s
}

func endless(id ad.ID) *lease.Lease {
	l := lease.New(ulid.ULID{2}, id, lease.MaxMicros, lease.MaxReservations)
	l.Process = ulid.ULID{1}
	l.Until = now.Add(time.Hour).UnixMicro()
	return l
}

// decide is all that a server does for a request once that is read: query, Run,
// three tokens, JSON.
func (m *market) decide(i int) []byte {
	req := &m.requests[i]
	m.decisions = auction.Run(m.catalog, req, &m.scratch, m.decisions[:0])
	for len(m.tokens) < len(m.decisions) {
		m.tokens = append(m.tokens, render.Tokens{})
	}
	for j := range m.decisions {
		if m.decisions[j].NoFill == auction.Filled {
			m.renderer.Sign(&m.tokens[j], m.signer, &m.decisions[j])
		}
	}
	m.body = m.renderer.AppendDecisions(m.body[:0], &render.Response{
		ID: []byte("0123456789abcdef"), Generation: m.catalog.Generation, Decisions: m.decisions, Tokens: m.tokens,
	})
	return m.body
}

// refill gives the winner a new lease before its reservations are used up, as
// the bank does beside the requests.
func (m *market) refill() {
	if d := &m.decisions[0]; d.NoFill == auction.Filled && d.Claim.Index > lease.MaxReservations/2 {
		d.LineItem.Slot.Store(endless(d.LineItem.ID))
	}
}

func BenchmarkDecision(b *testing.B) {
	for _, mix := range []struct {
		name string
		mix  workload.Mix
	}{{"network", workload.Network}, {"publisher", workload.Publisher}} {
		for _, n := range []int{1_000, 100_000} {
			b.Run(fmt.Sprintf("%s/%d", mix.name, n), func(b *testing.B) {
				m := newMarket(b, mix.mix, n)
				want := make([]money.Micros, len(m.requests)) // of the winner, -1 without one
				filled := 0
				for i := range want {
					m.decide(i)
					want[i] = m.won()
					if want[i] >= 0 {
						filled++
					}
				}
				b.ReportAllocs()
				b.ReportMetric(float64(filled)/float64(len(want)), "filled/op")
				for i := 0; b.Loop(); i = (i + 1) % len(want) {
					body := m.decide(i)
					if m.won() != want[i] || !bytes.HasSuffix(body, []byte("}]}")) {
						b.Fatalf("request %d: another winner, or %s", i, body)
					}
					m.refill()
				}
			})
		}
	}
}

func (m *market) won() money.Micros {
	if d := &m.decisions[0]; d.NoFill == auction.Filled {
		return d.LineItem.Cost
	}
	return -1
}
