package delivery

import (
	"cmp"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hayate-ads/hayate/delivery/auction"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/telemetry"
)

// reasons counts why line items did not serve: exactly, for those that the
// auction looked at in vain, and by estimate for all (see sampler). What is
// counted goes into the log every reasonsEvery.
type reasons struct {
	shards  []lossShard
	turn    atomic.Uint32 // which shard the next scratch gets
	sampler *sampler

	mu      sync.Mutex // of what only flush uses
	flushed time.Time
	pending []event.Record // refused by the log so far
	metrics *telemetry.Client
}

const (
	reasonsEvery = 10 * time.Second
	maxShards    = 8
	lossSlots    = 4096 // of a shard and half-time, 16 bytes each
	lossProbes   = 16
	maxCells     = 4096 // of one flush and kind; what is beyond is folded into one line item 0
)

// lossReasons are what a loss may have been for, in the order of their numbers
// in a slot's key; 0 is none.
var lossReasons = [...]auction.Reason{
	"", auction.BelowFloor, auction.Excluded, auction.NoCreative, auction.NoLease, auction.Outbid, auction.NoMatch,
}

func lossNumber(reason auction.Reason) uint64 {
	for i := 1; i < len(lossReasons); i++ {
		if lossReasons[i] == reason {
			return uint64(i)
		}
	}
	return 0
}

// lossShard counts the losses of some scratches, so that cores seldom write to
// the same memory. Requests count in one of two tables and add to nothing but
// it; a flush lets them go on in the other, and reads the first one only at the
// next flush, when the last of its writers has long left. So nothing is lost and
// nobody waits.
type lossShard struct {
	tables   [2]lossTable
	current  atomic.Uint32
	requests atomic.Int64 // since the sampler's last look
	_        [64]byte     // a line of its own
}

// lossTable is a hash table with atomics for locks. A key is never removed while
// requests may be counting.
type lossTable struct {
	slots  [lossSlots]lossSlot
	folded [2][len(lossReasons)]atomic.Int64 // that found no slot, by parity of the hour and reason
}

// lossSlot counts one line item's losses of one reason in one hour.
type lossSlot struct {
	key atomic.Uint64 // 0: free; else the line item, 5 bits of the reason, 1 of the hour's parity
	n   atomic.Int64
}

func newReasons(metrics *telemetry.Client) *reasons {
	r := &reasons{shards: make([]lossShard, min(maxShards, runtime.GOMAXPROCS(0))), metrics: metrics}
	r.sampler = newSampler(r.asked, metrics)
	return r
}

// shard is where one more scratch counts.
func (r *reasons) shard() *lossShard {
	return &r.shards[int(r.turn.Add(1))%len(r.shards)]
}

// asked is how many requests came since it was asked last.
func (r *reasons) asked() (n int64) {
	for i := range r.shards {
		n += r.shards[i].requests.Swap(0)
	}
	return n
}

// count counts what the auction looked at in vain, for a request decided in the
// hour, counted from 1970. It locks nothing and allocates nothing.
func (s *lossShard) count(hour int64, on *serving, losses []auction.Loss) {
	s.requests.Add(1)
	if len(losses) == 0 {
		return
	}
	t := &s.tables[s.current.Load()&1]
	for _, loss := range losses {
		t.add(hour, on.catalog.LineItems[loss.Item].ID, loss.Reason)
	}
}

const (
	parityBits = 1
	reasonBits = 5
)

func (t *lossTable) add(hour int64, lineItem ad.ID, reason auction.Reason) {
	number, parity := lossNumber(reason), uint64(hour&1)
	key := uint64(lineItem)<<(reasonBits+parityBits) | number<<parityBits | parity
	// Fibonacci hashing: consecutive ids land far apart.
	at := (key * 0x9e3779b97f4a7c15) >> 40
	for range lossProbes {
		slot := &t.slots[at%lossSlots]
		switch old := slot.key.Load(); {
		case old == key:
		case old != 0:
			at++
			continue
		case !slot.key.CompareAndSwap(0, key) && slot.key.Load() != key:
			at++
			continue
		}
		slot.n.Add(1)
		return
	}
	t.folded[parity][number].Add(1)
}

// exact is one cell of a flush.
type exact struct {
	hour     int64
	lineItem ad.ID
	reason   auction.Reason
}

// flush logs what was counted, when it is due; last logs all that there is, for
// the drain. What record refuses is tried again the next time.
func (r *reasons) flush(now time.Time, last bool, record func(*event.Record) error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !last && now.Sub(r.flushed) < reasonsEvery && len(r.pending) == 0 {
		return nil
	}
	if len(r.pending) == 0 {
		r.flushed = now
		rounds := 1
		if last {
			rounds = 2 // both tables; requests are done
		}
		cells := make(map[exact]int64)
		for range rounds {
			for i := range r.shards {
				r.shards[i].drain(now.Unix()/3600, cells)
			}
		}
		r.pending = append(r.exactRecords(cells), r.sampler.records()...)
	}
	for len(r.pending) > 0 {
		if err := record(&r.pending[0]); err != nil {
			return err
		}
		r.pending = r.pending[1:]
	}
	return nil
}

// drain empties the table that no request has written to since the last flush,
// and lets requests go on in it.
func (s *lossShard) drain(hour int64, cells map[exact]int64) {
	idle := (s.current.Load() + 1) & 1
	t := &s.tables[idle]
	for i := range t.slots {
		slot := &t.slots[i]
		if key := slot.key.Load(); key != 0 {
			if n := slot.n.Swap(0); n > 0 {
				number := key >> parityBits & (1<<reasonBits - 1)
				cells[exact{hourOf(key, hour), ad.ID(key >> (reasonBits + parityBits)), lossReasons[number]}] += n
			}
			slot.key.Store(0)
		}
	}
	for parity := range t.folded {
		for number := range t.folded[parity] {
			if n := t.folded[parity][number].Swap(0); n > 0 {
				cells[exact{hourOf(uint64(parity), hour), 0, lossReasons[number]}] += n
			}
		}
	}
	s.current.Store(idle)
}

// hourOf is the hour of a parity: this one or the one before. A table is at most
// two flushes old.
func hourOf(key uint64, now int64) int64 {
	if key&1 == uint64(now&1) {
		return now
	}
	return now - 1
}

// exactRecords puts cells into records, the largest first; what is beyond the
// bound is folded, visibly, into the line item 0.
func (r *reasons) exactRecords(cells map[exact]int64) []event.Record {
	type cell struct {
		exact
		n int64
	}
	list := make([]cell, 0, len(cells))
	for key, n := range cells {
		list = append(list, cell{key, n})
	}
	slices.SortFunc(list, func(a, b cell) int {
		return cmp.Or(cmp.Compare(b.n, a.n), cmp.Compare(a.lineItem, b.lineItem), cmp.Compare(a.reason, b.reason))
	})
	if len(list) > maxCells {
		beyond := make(map[exact]int64)
		for _, c := range list[maxCells:] {
			beyond[exact{c.hour, 0, c.reason}] += c.n
		}
		list = list[:maxCells]
		for key, n := range beyond {
			list = append(list, cell{key, n})
		}
	}
	out := packer{}
	var folded int64
	for _, c := range list {
		if c.reason == "" {
			continue // a reason that this version does not count
		}
		if c.lineItem == 0 {
			folded += c.n
		}
		out.add(c.hour, false, event.ReasonCell{LineItem: c.lineItem, Reason: string(c.reason), N: c.n})
	}
	r.metrics.Count(telemetry.DeliveryReasonsFolded, folded)
	return out.records
}

// packer puts cells into records.
type packer struct {
	records []event.Record
	open    [2]map[int64]*event.Reasons // the one being filled, by kind and hour
}

func (r *packer) add(hour int64, estimated bool, cell event.ReasonCell) {
	kind := 0
	if estimated {
		kind = 1
	}
	if r.open[kind] == nil {
		r.open[kind] = make(map[int64]*event.Reasons)
	}
	into := r.open[kind][hour]
	if into == nil || len(into.Cells) == event.MaxReasonCells {
		into = &event.Reasons{Hour: time.Unix(hour*3600, 0).UTC(), Estimated: estimated}
		r.open[kind][hour] = into
		r.records = append(r.records, event.Record{Type: event.Unserved, Reasons: into})
	}
	into.Cells = append(into.Cells, cell)
}
