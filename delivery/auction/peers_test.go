package auction_test

import (
	"math"
	"testing"

	"github.com/hayate-ads/hayate/delivery/auction"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/money"
)

// TestWeights: among equals everyone wins as often as its weight says, be they
// few or many, be all of them leased or not. The measure is chi-square: about as
// large as the number of contenders when the shares are right.
func TestWeights(t *testing.T) {
	t.Parallel()
	f := func(tier ad.Tier, equals, rounds int, weight func(id ad.ID) int, leased func(id ad.ID) bool) {
		t.Helper()
		w := newWorld(1)
		total := 0
		for id := ad.ID(1); id <= ad.ID(equals); id++ {
			w.add(id, tier, money.Unit, everything).Weight = weight(id)
			w.lease(id, 1, 1).Close() // live, and nothing left
			if leased(id) {
				w.lease(id, 1000, 60_000)
				total += weight(id)
			}
		}
		if tier < ad.House {
			other := ad.ID(equals + 1)
			w.add(other, ad.House, 1000*money.Unit, everything)
			w.lease(other, 10*money.Unit, 60_000)
		}
		c := w.compile(t)
		wins := make(map[ad.ID]int)
		var s auction.Scratch
		req := ask(1)
		for seed := range rounds {
			req.Seed = uint64(seed)
			d := auction.Run(c, req, &s, nil)[0]
			wins[d.LineItem.ID]++
			for _, l := range s.Losses() {
				if c.LineItems[l.Item].ID == d.LineItem.ID {
					t.Fatalf("line item %d won and lost (%q)", d.LineItem.ID, l.Reason)
				}
			}
			if n := d.Claim.Index; n > 50_000 {
				w.lease(d.LineItem.ID, 1000, 60_000)
			}
		}
		chi, contenders := 0.0, 0
		for id := ad.ID(1); id <= ad.ID(equals); id++ {
			if !leased(id) {
				if wins[id] > 0 {
					t.Errorf("line item %d won %d times without a lease", id, wins[id])
				}
				continue
			}
			expected := float64(rounds) * float64(weight(id)) / float64(total)
			chi += (float64(wins[id]) - expected) * (float64(wins[id]) - expected) / expected
			contenders++
		}
		freedom := float64(contenders - 1)
		if most := freedom + 4*math.Sqrt(2*freedom) + 4; chi > most || wins[ad.ID(equals+1)] != 0 {
			t.Errorf("%v, %d equals: chi-square %.1f, at most %.1f is likely; %d wins of a lower tier", tier, equals, chi, most, wins[ad.ID(equals+1)])
		}
	}
	same := func(ad.ID) int { return 1 }
	one := func(id ad.ID) int { return int(id) }
	rare := func(id ad.ID) int {
		if id%10 == 0 {
			return ad.MaxWeight
		}
		return 50
	}
	all := func(ad.ID) bool { return true }
	some := func(id ad.ID) bool { return id%3 != 0 }
	f(ad.Sponsorship, 2, 25_000, same, all)
	f(ad.Sponsorship, 2, 25_000, one, all)
	f(ad.Guaranteed, 7, 25_000, one, all)
	f(ad.Auction, 7, 25_000, same, some)
	f(ad.House, 65, 30_000, rare, all)
	f(ad.House, 300, 40_000, same, all)
	f(ad.Sponsorship, 300, 40_000, rare, some)
}

// TestWeightsOfCompanions: takeovers of equal rank take turns by weight too.
func TestWeightsOfCompanions(t *testing.T) {
	t.Parallel()
	w := newWorld(2)
	for id := ad.ID(1); id <= 3; id++ {
		item := w.add(id, ad.Sponsorship, money.Unit, everything)
		item.Weight, item.Roadblock = int(id), ad.AllOrNone
		w.banner(id*10+1, id)
	}
	w.leaseAll()
	c := w.compile(t)
	wins := make(map[ad.ID]int)
	var s auction.Scratch
	for seed := range 20_000 {
		req := ask(1, 2)
		req.Seed = uint64(seed)
		got := auction.Run(c, req, &s, nil)
		if got[0].LineItem != got[1].LineItem || got[0].Creative == got[1].Creative {
			t.Fatalf("seed %d: %d beside %d", seed, got[0].Creative.ID, got[1].Creative.ID)
		}
		wins[got[0].LineItem.ID]++
	}
	for id, n := range wins {
		if share := float64(n) / 20_000 * 6 / float64(id); share < 0.95 || share > 1.05 {
			t.Errorf("line item %d won %.2f times its share", id, share)
		}
	}
}

// TestCreativesTakeTurns: the choice among a line item's creatives does not
// follow the one among line items, although ids are alike.
func TestCreativesTakeTurns(t *testing.T) {
	t.Parallel()
	w := newWorld(1)
	for id := ad.ID(1); id <= 4; id++ {
		w.add(id, ad.House, money.Unit, everything)
		w.snapshot.Creatives = w.snapshot.Creatives[:len(w.snapshot.Creatives)-1]
		w.banner(id*2-1, id)
		w.banner(id*2, id)
	}
	w.leaseAll()
	c := w.compile(t)
	wins := make(map[ad.ID]int)
	var s auction.Scratch
	for seed := range 40_000 {
		req := ask(1)
		req.Seed = uint64(seed)
		wins[auction.Run(c, req, &s, nil)[0].Creative.ID]++
	}
	for id := ad.ID(1); id <= 8; id++ {
		if wins[id] < 4_700 || wins[id] > 5_300 {
			t.Errorf("creative %d was shown %d times, 5,000 is fair", id, wins[id])
		}
	}
}

// TestEqualsSetThePrice: who wins against an equal pays its own price.
func TestEqualsSetThePrice(t *testing.T) {
	t.Parallel()
	w := newWorld(1)
	w.snapshot.Placements[0].AuctionType = ad.SecondPrice
	w.add(1, ad.Auction, 5*money.Unit, everything)
	w.add(2, ad.Auction, 5*money.Unit, everything)
	w.add(3, ad.Auction, 2*money.Unit, everything)
	w.leaseAll()
	c := w.compile(t)
	var s auction.Scratch
	if d := auction.Run(c, ask(1), &s, nil)[0]; d.Claim.Price != 5000 {
		t.Errorf("line item %d pays %v, want 0.005", d.LineItem.ID, d.Claim.Price)
	}
}
