package auction_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/hayate-ads/hayate/delivery/auction"
	"github.com/hayate-ads/hayate/delivery/catalog"
	"github.com/hayate-ads/hayate/delivery/lease"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/rule"
)

// market is a large world for measuring: n line items over 50 countries and four
// tiers of keywords, of which one request matches a few percent.
type market struct {
	*world
	catalog  *catalog.Catalog
	requests []*auction.Request // for placement 1
	scratch  auction.Scratch
	got      []auction.Decision
}

// newMarket has five placements; change may alter each line item.
func newMarket(tb testing.TB, n int, change func(w *world, i int)) *market {
	tb.Helper()
	m := &market{world: newWorld(5)}
	r := rand.New(rand.NewPCG(1, 2))
	country := func() string { return string([]byte{'A', 'A' + byte(r.IntN(25))}) }
	for id := ad.ID(1); id <= ad.ID(n); id++ {
		targeting := everything
		if r.IntN(10) < 7 {
			targeting = in(rule.Country, country())
		}
		if r.IntN(10) == 0 {
			targeting = rule.Rule{Conjunctions: []rule.Conjunction{{{Dimension: rule.Keyword, Values: []string{fmt.Sprintf("k=%d", r.IntN(1000))}}}}}
		}
		m.add(id, ad.Auction, money.Micros(1e6*math.Exp(0.8*r.NormFloat64()+0.5)), targeting)
		if change != nil {
			change(m.world, int(id)-1)
		}
		m.refill(id)
	}
	m.catalog = m.compile(tb)
	for i := range 1000 {
		req := ask(1)
		req.Seed = uint64(i)
		with(req, rule.Country, country())
		with(req, rule.Keyword, fmt.Sprintf("k=%d", r.IntN(1000)))
		m.requests = append(m.requests, req)
	}
	return m
}

func (m *market) refill(id ad.ID) {
	l := m.lease(id, 1000*money.Unit, lease.MaxReservations)
	l.Until = now.Add(time.Hour).UnixMicro()
}

// run decides the i-th request.
func (m *market) run(i int) []auction.Decision {
	m.got = auction.Run(m.catalog, m.requests[i%len(m.requests)], &m.scratch, m.got[:0])
	for j := range m.got {
		if d := &m.got[j]; d.NoFill == auction.Filled && d.Claim.Index > lease.MaxReservations/2 {
			m.refill(d.LineItem.ID)
		}
	}
	return m.got
}

func (m *market) ask(placements ...ad.ID) *market {
	for _, req := range m.requests {
		req.Placements = placements
	}
	return m
}

func secondPrice(m *market) *market {
	for id := ad.ID(1); id <= 5; id++ {
		m.catalog.Placement(id).AuctionType = ad.SecondPrice
	}
	return m
}

// companions makes one line item in a hundred one of two banners that show together.
func companions(w *world, i int) {
	if i%100 == 0 {
		w.snapshot.LineItems[i].Roadblock = ad.AllOrNone
		w.banner(ad.ID(i+1)*10+1, ad.ID(i+1))
	}
}

// equals makes all of them house ads.
func equals(w *world, i int) {
	w.snapshot.LineItems[i].Tier, w.snapshot.LineItems[i].Weight = ad.House, 1+i%7
}
