package auction_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/oklog/ulid/v2"
	"pgregory.net/rapid"

	"github.com/hayate-ads/hayate/delivery/auction"
	"github.com/hayate-ads/hayate/delivery/catalog"
	"github.com/hayate-ads/hayate/delivery/lease"
	"github.com/hayate-ads/hayate/delivery/render"
	"github.com/hayate-ads/hayate/delivery/token"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/money"
)

// answer is what a server sends for a request, tokens and all.
func answer(t *rapid.T, c *catalog.Catalog, req *auction.Request, s *auction.Scratch, signer *token.Signer) string {
	renderer, err := render.Compile(c, render.Config{TrackingURL: "https://ads.example", AssetURL: "https://ads.example/assets"})
	if err != nil {
		t.Fatal(err)
	}
	response := render.Response{ID: []byte("replay"), Generation: c.Generation, Decisions: auction.Run(c, req, s, nil), ShowPrice: true}
	response.Tokens = make([]render.Tokens, len(response.Decisions))
	for i := range response.Decisions {
		if response.Decisions[i].NoFill == auction.Filled {
			renderer.Sign(&response.Tokens[i], signer, &response.Decisions[i])
		}
	}
	return string(renderer.AppendDecisions(nil, &response))
}

// TestReplay: the same catalog, request and leases give the same bytes, whatever
// the scratch was used for before, and whenever the catalog was compiled.
func TestReplay(t *testing.T) {
	t.Parallel()
	keys, err := token.ParseKeys([]byte("1 " + strings.Repeat("5a", 32)))
	if err != nil {
		t.Fatal(err)
	}
	manyWorlds(t, func(t *rapid.T) {
		w := drawWorld(t)
		req, other := drawRequest(t), drawRequest(t)
		var used auction.Scratch
		var answers []string
		var losses [][]auction.Loss
		for round := range 3 {
			w.reopen()
			c := w.compile(t)
			s := new(auction.Scratch)
			if round == 2 { // a scratch with a past
				auction.Run(c, other, &used, nil)
				auction.Wants(c, req, &used, nil)
				w.reopen()
				s = &used
			}
			answers = append(answers, answer(t, c, req, s, keys.Signer()))
			losses = append(losses, append([]auction.Loss{}, s.Losses()...))
		}
		for round := range answers {
			if answers[round] != answers[0] {
				t.Fatalf("the same decision, twice:\n%s\n%s", answers[0], answers[round])
			}
			if diff := cmp.Diff(losses[0], losses[round]); diff != "" {
				t.Fatalf("the same losses, twice:\n%s", diff)
			}
		}
	})
}

// reopen gives every leased line item the same lease anew.
func (w *world) reopen() {
	for _, item := range w.snapshot.LineItems {
		if l := w.book.Slot(item.ID).Load(); l != nil {
			micros, impressions := l.Granted()
			again := lease.New(ulid.ULID{15: byte(item.ID)}, item.ID, micros, impressions)
			again.Process, again.From, again.Until = l.Process, l.From, l.Until
			w.book.Slot(item.ID).Store(again)
		}
	}
}

// TestTogether: many requests at once on the same leases. Nothing is reserved
// beyond them, prices add up, and companions show together or not at all even
// where the lease runs out between two of their reservations.
func TestTogether(t *testing.T) {
	t.Parallel()
	w := newWorld(3)
	for id := ad.ID(1); id <= 6; id++ {
		item := w.add(id, ad.Auction, money.Micros(id)*money.Unit, everything)
		if id%3 == 0 {
			item.Roadblock = ad.AllOrNone
			w.banner(id*10+1, id)
		}
	}
	for i := range w.snapshot.Placements {
		w.snapshot.Placements[i].AuctionType = ad.AuctionType(1 + i%2)
	}
	for id := ad.ID(1); id <= 6; id++ {
		w.lease(id, 1000*money.Micros(id), 501)
	}
	c := w.compile(t)
	var mu sync.Mutex
	took := make(map[ad.ID]money.Micros)
	seen := make(map[string]bool)
	var workers sync.WaitGroup
	for worker := range 8 {
		workers.Go(func() {
			var s auction.Scratch
			for i := range 400 {
				req := ask(1, 2, 3)
				req.Seed = uint64(worker*1000 + i)
				got := auction.Run(c, req, &s, nil)
				mu.Lock()
				companions := make(map[ad.ID]int)
				for _, d := range got {
					if d.NoFill != auction.Filled {
						continue
					}
					name := d.Claim.Lease.String() + string(rune(d.Claim.Index))
					if seen[name] {
						t.Errorf("reservation %d of line item %d is there twice", d.Claim.Index, d.LineItem.ID)
					}
					seen[name] = true
					took[d.LineItem.ID] += d.Claim.Price
					if d.LineItem.Roadblock() == ad.AllOrNone {
						companions[d.LineItem.ID]++
					}
				}
				mu.Unlock()
				for id, n := range companions {
					if n != 2 {
						t.Errorf("%d companions of line item %d", n, id)
					}
				}
			}
		})
	}
	workers.Wait()
	for id := ad.ID(1); id <= 6; id++ {
		l := w.book.Slot(id).Load()
		left, n := l.Left()
		granted, all := l.Granted()
		reserved := granted - left
		// What companions reserved before their lease ran out stays with the lease.
		if lost := reserved - took[id]; lost < 0 || lost > 8*1000*money.Micros(id) || (id%3 != 0 && lost != 0) {
			t.Errorf("line item %d: %v reserved, %v in tokens", id, reserved, took[id])
		}
		if n < 0 || n > all {
			t.Errorf("line item %d: %d of %d impressions left", id, n, all)
		}
	}
	if took[6] == 0 || took[3] == 0 || took[1] == 0 {
		t.Errorf("not everybody served: %v", took)
	}
}

// TestTornTakeover: two requests at once want two companions each of a lease that
// is good for three. Whoever comes too late for the second one shows none, and
// what was reserved for the first stays with the lease.
func TestTornTakeover(t *testing.T) {
	t.Parallel()
	w := newWorld(2)
	w.add(1, ad.Sponsorship, money.Unit, everything).Roadblock = ad.AllOrNone
	w.banner(11, 1)
	w.lease(1, 1000, 1)
	c := w.compile(t)
	var scratches [2]auction.Scratch
	torn := false
	for deadline := time.Now().Add(30 * time.Second); !torn && time.Now().Before(deadline); {
		l := w.lease(1, 1000, 3)
		var shown [2]int
		var both sync.WaitGroup
		for i := range scratches {
			both.Go(func() {
				for _, d := range auction.Run(c, ask(1, 2), &scratches[i], nil) {
					if d.NoFill == auction.Filled {
						shown[i]++
					}
				}
			})
		}
		both.Wait()
		if shown[0]%2 != 0 || shown[1]%2 != 0 || shown[0]+shown[1] > 2 {
			t.Fatalf("%d and %d companions", shown[0], shown[1])
		}
		_, left := l.Left()
		torn = left == 0
	}
	if !torn {
		t.Error("never did two requests meet")
	}
}

// TestTakeoverTakesNothing where its lease is too small for all of it.
func TestTakeoverTakesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(2)
	w.add(1, ad.Sponsorship, money.Unit, everything).Roadblock = ad.AllOrNone
	w.banner(11, 1)
	l := w.lease(1, 1000, 1)
	check(t, w.compile(t), ask(1, 2), auction.NoLease, auction.NoLease)
	if micros, n := l.Left(); micros != 1000 || n != 1 {
		t.Errorf("%v and %d impressions are left", micros, n)
	}
}
