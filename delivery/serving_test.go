package delivery

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"weak"

	"github.com/hayate-ads/hayate/delivery/catalog"
	"github.com/hayate-ads/hayate/delivery/lease"
	"github.com/hayate-ads/hayate/delivery/render"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/postgres"
	"github.com/hayate-ads/hayate/internal/snapshot"
	"github.com/hayate-ads/hayate/internal/snapshot/snapshottest"
)

// marked is testSnapshot with its generation wherever an answer could show it:
// in the creatives' ids, the advertiser's domain, the size.
func marked(generation uint64) *snapshot.Snapshot {
	s := testSnapshot(generation)
	side := 100 + int(generation%7)
	s.Advertisers[0].Domain = fmt.Sprintf("g%d.example", generation)
	for i := range s.Creatives {
		c := &s.Creatives[i]
		c.ID, c.Width, c.Height = ad.ID(generation*100)+ad.ID(i), side, side
	}
	s.Placements[0].Sizes = []ad.Size{{Width: side, Height: side}}
	if generation%2 == 0 { // places in the arrays differ from those of the generation before
		s.LineItems = append(s.LineItems, s.LineItems[0])
		added := &s.LineItems[len(s.LineItems)-1]
		added.ID, added.Tier, added.StartsAt = 999, ad.Sponsorship, testNow.Add(testNow.Sub(added.StartsAt))
	}
	return s
}

// TestNoAnswerMixesGenerations: under requests, generations take turns as fast as
// they can be compiled. Each answer has to be of one of them throughout, and none
// may stay empty, since the line item has a lease all along.
func TestNoAnswerMixesGenerations(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)
	s.serve(t, marked(1))
	s.lease(pricedItem, int64(lease.MaxMicros), lease.MaxReservations)
	url, client := "http://"+s.listen(t), new(http.Client)
	done := make(chan struct{})
	var requests sync.WaitGroup
	for range 4 {
		requests.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				answer := do(t, client, http.MethodPost, url+"/v1/decisions", fmt.Sprintf(`{"placements":[{"id":"%d"}],"test":true}`, testPlacement))
				if err := ofOneGeneration(answer.Body); err != nil {
					t.Errorf("%v: %s", err, answer.Body)
					return
				}
			}
		})
	}
	for generation := range uint64(300) {
		s.serve(t, marked(generation+2))
	}
	close(done)
	requests.Wait()
}

func ofOneGeneration(body string) error {
	var answer struct {
		Generation uint64
		Decisions  []struct {
			Creative, HTML string
			Width          int
			NoFill         string `json:"no_fill"`
		}
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		return err
	}
	d := answer.Decisions[0]
	switch g := answer.Generation; {
	case d.NoFill != "":
		return fmt.Errorf("no fill: %s", d.NoFill)
	case d.Creative != fmt.Sprint(g*100) || d.Width != 100+int(g%7) || !strings.Contains(d.HTML, fmt.Sprintf(` alt="Advertisement: g%d.example"`, g)):
		return fmt.Errorf("not all of it is of generation %d", g)
	}
	return nil
}

// TestStateSurvivesSwaps changes leases and stops while catalogs are swapped:
// whatever the order, the one that serves in the end agrees with the slots and
// with what is stopped.
func TestStateSurvivesSwaps(t *testing.T) {
	t.Parallel()
	const items = 1500
	book := new(lease.Book)
	b := newBoard(book, newTally(), render.Config{TrackingURL: "https://ads.example", AssetURL: "https://ads.example/assets"})
	now := snapshottest.Start.Add(200 * 24 * time.Hour)
	load := func(generation uint64) {
		s := snapshottest.Make(generation, items)
		for i := range s.LineItems {
			s.LineItems[i].EndsAt = time.Time{}
		}
		if err := b.load(s, now); err != nil {
			t.Error(err)
		}
	}
	load(1)
	var turn sync.Mutex // between a change, made and told, and a look at all of them
	stopped := map[ad.ID]bool{}
	r := rand.New(rand.NewPCG(1, 1))
	change := func() {
		turn.Lock()
		defer turn.Unlock()
		id := ad.ID(2 * (1 + r.IntN(items)))
		switch slot := book.Slot(id); r.IntN(4) {
		case 0:
			slot.Store(lease.New([16]byte{}, id, money.Unit, 1))
			b.changed(id)
		case 1:
			slot.Store(nil)
			b.changed(id)
		case 2:
			slot.SetAside(!slot.Aside())
			b.changed(id)
		default:
			stopped[id] = !stopped[id]
			b.setStopped(postgres.Stop{Kind: "line_item", ID: id, Stopped: stopped[id]})
		}
	}
	done := make(chan struct{})
	var bank sync.WaitGroup
	for _, work := range []func(){change, func() { b.tick(now); runtime.Gosched() }} {
		bank.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					work()
				}
			}
		})
	}
	for generation := range uint64(20) {
		load(generation + 2)
		turn.Lock()
		checkState(t, b, stopped)
		turn.Unlock()
	}
	close(done)
	bank.Wait()
}

// checkState compares the bits of the catalog that serves with the bank's slots,
// and with what is stopped.
func checkState(t *testing.T, b *board, stopped map[ad.ID]bool) {
	t.Helper()
	c := b.current.Load().catalog
	for i := range c.LineItems {
		id, slot := c.LineItems[i].ID, c.LineItems[i].Slot
		if slot != b.book.Slot(id) {
			t.Errorf("line item %d has another slot in the catalog than in the bank", id)
		}
		live, aside := slot.Load() != nil, slot.Aside()
		f := func(what string, got, want bool) {
			t.Helper()
			if got != want {
				t.Errorf("generation %d, line item %d: %s %v, want %v", c.Generation, id, what, got, want)
			}
		}
		f("servable", has(c, c.Servable(), i), !stopped[id])
		f("live", has(c, c.Live(), i), !stopped[id] && live)
		f("eligible", has(c, c.Eligible(), i), !stopped[id] && (live || !aside))
	}
}

// has tells whether the rows of a line item are in a mask; it has to have one.
func has(c *catalog.Catalog, mask []atomic.Uint64, item int) bool {
	row, _ := c.Index.RowsOf(item)
	return mask[row>>6].Load()>>(row&63)&1 == 1
}

// TestOldCatalogIsGarbage: nothing but requests in flight holds on to it.
func TestOldCatalogIsGarbage(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)
	s.serve(t, marked(1))
	old := weak.Make(s.board.current.Load().catalog)
	s.serve(t, marked(2))
	runtime.GC()
	if old.Value() != nil {
		t.Error("the catalog of generation 1 is still in memory")
	}
}

// TestRefusedSnapshotChangesNothing: what cannot be compiled leaves everything
// as it was, and the next one is taken.
func TestRefusedSnapshotChangesNothing(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)
	s.serve(t, marked(1))
	before := s.board.current.Load()
	bad := marked(2)
	bad.Creatives[1].LandingURL = "javascript:alert(1)"
	err := s.board.load(bad, testNow)
	if err == nil || !strings.Contains(err.Error(), "catalog of generation 2: creative 201 has a landing URL") {
		t.Errorf("error %v", err)
	}
	if s.board.current.Load() != before || s.board.next != nil {
		t.Error("something of it was put to use")
	}
	s.serve(t, marked(3))
}

// TestLeasesForTakeovers: the bank is told how many reservations a takeover makes
// at once, by the catalog that serves.
func TestLeasesForTakeovers(t *testing.T) {
	t.Parallel()
	b := newBoard(new(lease.Book), newTally(), render.Config{TrackingURL: "https://ads.example", AssetURL: "https://ads.example/assets"})
	f := func(lineItem ad.ID, want int64) {
		t.Helper()
		if got := b.least(lineItem); got != want {
			t.Errorf("line item %d reserves at least %d at once, want %d", lineItem, got, want)
		}
	}
	f(pricedItem, 1)
	s := testSnapshot(1)
	second := s.Creatives[0]
	second.ID = 44
	s.Creatives = append(s.Creatives, second)
	if err := b.load(s, testNow); err != nil {
		t.Fatal(err)
	}
	f(pricedItem, 1)
	s.Generation, s.LineItems[0].Roadblock = 2, ad.AllOrNone
	if err := b.load(s, testNow); err != nil {
		t.Fatal(err)
	}
	f(pricedItem, 2)
	f(keywordItem, 1)
	f(999, 1)
}
