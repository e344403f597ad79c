package settle

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/oklog/ulid/v2"
	"pgregory.net/rapid"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// hasty makes records with everything in them that a digest treats apart: few
// leases, little room, duplicates, every type, contradictions.
type hasty struct {
	random    *rand.Rand
	processes []ulid.ULID
	leases    []*postgres.Lease
}

func newHasty(seed uint64) *hasty {
	h := &hasty{random: rand.New(rand.NewPCG(seed, 1))}
	for range 2 {
		h.processes = append(h.processes, newULID(noon))
	}
	for i := range 3 {
		granted := postgres.Amount{Micros: price * money.Micros(h.random.IntN(12)), Impressions: int64(h.random.IntN(12))}
		h.leases = append(h.leases, &postgres.Lease{
			ID: newULID(noon), Process: h.processes[i%2], LineItem: ad.ID(1 + i%2), Day: 20_000, Granted: granted, State: postgres.LeaseOpen,
		})
	}
	return h
}

func (h *hasty) oneIn(n int) bool { return h.random.IntN(n) == 0 }

func (h *hasty) record() event.Record {
	l := h.leases[h.random.IntN(len(h.leases))]
	rec := event.Record{At: noon.Add(time.Duration(h.random.IntN(90)) * time.Second)}
	switch {
	case h.oneIn(15):
		rec.Type = event.Requests
		rec.Requests = event.Count{Hour: noon, Placement: ad.ID(1 + h.random.IntN(2)), NoFill: []string{"", "floor", "\xff"}[h.random.IntN(3)], N: 1}
		return rec
	case h.oneIn(40):
		rec.Type = event.Close
		rec.Lease = event.Lease{ID: l.ID, LineItem: l.LineItem, Day: l.Day, Granted: l.Granted.Micros, LastExpiry: noon.Add(time.Minute)}
		rec.Lease.ReservedCount = int64(h.random.IntN(12))
		rec.Lease.Reserved = price * money.Micros(rec.Lease.ReservedCount)
		return rec
	case h.oneIn(200):
		rec.Type = event.End
		return rec
	}
	r := event.Reservation{
		Process: l.Process, Lease: l.ID, Index: uint32(h.random.IntN(3) * 8191), LineItem: l.LineItem, Creative: 7, Placement: ad.ID(1 + h.random.IntN(2)),
		Country: [2]byte{'J', 'P'}, Device: event.DeviceType(h.random.IntN(2)), DecidedAt: noon, Hold: time.Minute,
		Price: price, BidPrice: price, Share: 6667, Bills: event.Bills(h.random.IntN(6)),
	}
	switch h.random.IntN(30) {
	case 0:
		r.Flags = event.Test
	case 1:
		r.Flags = event.Suspect
	case 2:
		r.LineItem++
	case 3:
		r.Process = h.processes[h.random.IntN(2)]
	case 4:
		r.DecidedAt = noon.AddDate(-1, 0, 0)
	case 5:
		r.Price = postgres.MaxLeaseMicros + 1
	case 6, 7, 8, 9, 10:
		r.Exchange, r.BidPrice = 9, 3*price
	}
	rec.Type = kinds[h.random.IntN(len(kinds))]
	rec.Landing = event.Landing{Reservation: r, Clearing: money.Micros(h.random.IntN(int(4 * price))), Late: h.oneIn(10)}
	if h.oneIn(8) {
		rec.Landing.Invalid = event.InvalidBot
	}
	switch rec.Type {
	case event.Progress:
		rec.Landing.Quartile = event.Quartile(h.random.IntN(5))
	case event.Conversion:
		rec.Action = &event.Action{TouchedAt: noon.AddDate(0, 0, -h.random.IntN(40)), Value: 5, PostView: h.oneIn(2)}
		if h.oneIn(2) {
			rec.Action.OrderID = "order"
		}
	}
	return rec
}

// core begins with the leases as they are at the beginning.
func (h *hasty) core() *Core {
	s := State{Now: noon.Add(time.Hour), HoursAt: noon.Add(time.Hour), LongestHold: time.Minute, Terms: map[ad.ID]postgres.ConversionTerms{
		1: {Advertiser: 5, ClickWindow: 30 * 24 * time.Hour, ViewWindow: 24 * time.Hour}, 2: {Advertiser: 5, ClickWindow: 24 * time.Hour},
	}}
	for _, l := range h.leases {
		lease := *l
		s.Leases = append(s.Leases, &lease)
	}
	return NewCore(s)
}

// TestDigestsAreTheirRecords: a segment digested as a whole changes what its
// records change that are taken one by one, each with nothing of the others in its
// tables, and in the same way: the books, the bits, the counts, the outcomes.
func TestDigestsAreTheirRecords(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		h := newHasty(rapid.Uint64().Draw(t, "seed"))
		n := rapid.IntRange(1, 300).Draw(t, "records")
		whole, single := h.core(), h.core()
		g := newDigester()
		for seq := uint64(1); seq <= 3; seq++ {
			process := h.processes[seq%2]
			records := make([]event.Record, n)
			for i := range records {
				records[i] = h.record()
			}
			d, err := g.digest(encode(process, seq, records), process, seq)
			if err != nil {
				t.Fatal(err)
			}
			if err := whole.Apply(d); err != nil {
				t.Fatal(err)
			}
			var outcomes []event.Outcome
			for i := range records {
				one := newDigester().begin(postgres.SegmentKey{Process: process, Seq: seq}, 1)
				(&digester{claims: map[claim]uint32{}, rows: map[uint64]uint32{}, places: map[place]uint32{}, digested: one}).add(&records[i])
				if err := single.Apply(one); err != nil {
					t.Fatal(err)
				}
				parsed, err := event.ParseOutcomes(one.Outcomes)
				if err != nil {
					t.Fatal(err)
				}
				for _, o := range parsed {
					o.Index = uint32(i)
					outcomes = append(outcomes, o)
				}
			}
			if diff := cmp.Diff(event.AppendOutcomes(nil, outcomes), d.Outcomes); diff != "" {
				t.Fatalf("outcomes: %s", diff)
			}
		}
		if diff := cmp.Diff(single.Stats(), whole.Stats()); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(sorted(single.Settlement()), sorted(whole.Settlement())); diff != "" {
			t.Error(diff)
		}
	})
}

// sorted has the changed rows in an order of their own.
func sorted(s *postgres.Settlement) *postgres.Settlement {
	slices.SortFunc(s.Leases, func(a, b *postgres.Lease) int { return a.ID.Compare(b.ID) })
	return s
}

// A digest keeps nothing of the bytes that it was made of.
func TestDigestKeepsNoBytes(t *testing.T) {
	t.Parallel()
	h, process := newHasty(1), newULID(noon)
	var records []event.Record
	for range 200 {
		rec := h.record()
		if rec.Type != event.End {
			records = append(records, rec)
		}
	}
	b := encode(process, 1, records)
	core, again := h.core(), h.core()
	d := must[*Digest](t)(newDigester().digest(slices.Clone(b), process, 1))
	wiped := must[*Digest](t)(newDigester().digest(b, process, 1))
	clear(b)
	for _, x := range []struct {
		*Core
		*Digest
	}{{core, d}, {again, wiped}} {
		if err := x.Apply(x.Digest); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(core.Settlement(), again.Settlement()); diff != "" {
		t.Error(diff)
	}
}

// TestClearingPrices: two for one reservation, or one above the bid, charge at
// most the reservation, once, and are named.
func TestClearingPrices(t *testing.T) {
	t.Parallel()
	f := func(want int64, charged money.Micros, clearing ...money.Micros) {
		t.Helper()
		w := newWorld(t)
		s := w.process()
		grant := w.grant(s, w.lineItem(1000, 500).ID, 10)
		r := w.token(s, grant, 0)
		r.Exchange, r.BidPrice, r.Bills = 9, 2*price, event.BillsWin
		for _, c := range clearing {
			rec := landing(event.Win, r)
			rec.Landing.Clearing = c
			w.log(s, rec)
		}
		w.ship(s)
		stats := w.settle()
		if stats.Odd[OddClearing] != want || stats.Charged != charged || stats.Overage != 0 || stats.Wins != 1 {
			t.Errorf("%v: %+v", clearing, stats)
		}
		w.judgeLog(t)
	}
	f(0, price, 2*price)
	f(0, price/4, price/2)
	f(0, price/4, price/2, price/2)
	f(1, price/4, price/2, price)
	f(1, price, 3*price)
}
