package rebuild

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/hayate-ads/hayate/batch/segment"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// history is what the unsettled part of the log says of leases.
type history struct {
	streams int
	leases  map[ulid.ULID]*claim
	ended   map[ulid.ULID]time.Time // streams whose END is in it, and when
	highest map[string]ad.ID        // ids that the log names, by table

	doubts   int64
	doubtful []Doubt
}

// claim is what the log says of one lease, and what its unsettled events cost.
type claim struct {
	id         ulid.ULID
	process    ulid.ULID
	lineItem   ad.ID
	day        event.Day
	opened     time.Time // zero: neither OPEN nor CLOSE is in the unsettled part
	granted    postgres.Amount
	closed     bool
	looked     bool // for what was counted of it before
	reserved   postgres.Amount
	lastExpiry time.Time

	must postgres.Amount // of events inside their hold
	late postgres.Amount // of those after it, which are charged as long as there is room

	inHold, afterHold seen
	clearing          map[uint32]money.Micros // first charge of an exchange's reservation
}

// seen has a bit for each index of a purpose that bills.
type seen map[uint8][]uint64

func (s seen) set(purpose uint8, index uint32) (first bool) {
	bits := s[purpose]
	if word := int(index / 64); word >= len(bits) {
		bits = append(bits, make([]uint64, word+1-len(bits))...)
		s[purpose] = bits
	}
	mask := uint64(1) << (index % 64)
	first = bits[index/64]&mask == 0
	bits[index/64] |= mask
	return first
}

func (s seen) has(purpose uint8, index uint32) bool {
	bits := s[purpose]
	return int(index/64) < len(bits) && bits[index/64]&(1<<(index%64)) != 0
}

// Doubt is an event whose fate depends on when it was settled.
type Doubt struct {
	Lease  ulid.ULID
	Index  uint32
	Why    string
	Micros money.Micros
}

func (d Doubt) String() string {
	return fmt.Sprintf("lease %s, index %d, %s: %s", d.Lease, d.Index, d.Micros, d.Why)
}

const mostDoubtful = 1000

func (h *history) doubt(d Doubt) {
	h.doubts++
	if len(h.doubtful) < mostDoubtful {
		h.doubtful = append(h.doubtful, d)
	}
}

// tell adds what is doubtful to a summary.
func (h *history) tell(sum *Summary) {
	if sum.Doubts < h.doubts {
		sum.Doubts, sum.Doubtful = h.doubts, h.doubtful
	}
}

// billing are the types of records that charge leases, as purposes of
// de-duplication.
var billing = []int16{int16(event.Impression), int16(event.Win), int16(event.Billing)}

// read goes through all that is not settled, in the order of the streams.
func (x *Rebuilder) read(ctx context.Context, settler *postgres.Settler) (*history, error) {
	streams, err := segment.Unsettled(ctx, settler, x.Bucket)
	if err != nil {
		return nil, err
	}
	h := &history{
		streams: len(streams), leases: make(map[ulid.ULID]*claim), ended: make(map[ulid.ULID]time.Time), highest: make(map[string]ad.ID),
	}
	var b []byte
	for _, stream := range streams {
		for i, seq := range stream.Seqs {
			if i > 0 && seq != stream.Seqs[i-1]+1 {
				break // settle quarantines the stream at the gap
			}
			b, err = segment.Read(ctx, x.Bucket, stream.Process, seq, b)
			if errors.Is(err, segment.ErrMissing) || errors.Is(err, segment.ErrTooLarge) {
				break
			}
			if err != nil {
				return nil, err
			}
			whole, err := h.segment(ctx, settler, b, stream.Process, seq)
			if err != nil {
				return nil, err
			}
			if !whole {
				break // likewise at damage
			}
		}
	}
	return h, ctx.Err()
}

// segment adds one, unless it is damaged. Its error is the database's.
func (h *history) segment(ctx context.Context, settler *postgres.Settler, b []byte, process ulid.ULID, seq uint64) (whole bool, err error) {
	fresh := make(map[ulid.ULID]struct{})
	err = segment.Records(b, process, seq, func(_ uint32, rec *event.Record) error {
		if c := h.leases[rec.Landing.Reservation.Lease]; rec.Type.IsLanding() && (c == nil || !c.looked) {
			fresh[rec.Landing.Reservation.Lease] = struct{}{}
		}
		return nil
	})
	if err != nil {
		return false, nil
	}
	if len(fresh) > 0 {
		for id := range fresh {
			h.claim(id).looked = true
		}
		counted, err := settler.CountedBits(ctx, slices.Collect(maps.Keys(fresh)), billing)
		if err != nil {
			return false, err
		}
		for _, row := range counted {
			h.leases[row.Lease].counted(row)
		}
	}
	err = segment.Records(b, process, seq, func(_ uint32, rec *event.Record) error {
		h.record(process, rec)
		return nil
	})
	return err == nil, nil
}

func (h *history) claim(id ulid.ULID) *claim {
	c := h.leases[id]
	if c == nil {
		c = &claim{id: id, inHold: seen{}, afterHold: seen{}}
		h.leases[id] = c
	}
	return c
}

// counted takes over which events the database has counted already.
func (c *claim) counted(row *postgres.Bits) {
	for at, set := range row.Set {
		for bit := range 8 {
			if set&(1<<bit) != 0 {
				c.inHold.set(row.Purpose, uint32(row.Block)*postgres.BitsPerBlock+uint32(at*8+bit))
			}
		}
	}
}

func (h *history) record(process ulid.ULID, rec *event.Record) {
	if _, over := h.ended[process]; over {
		return
	}
	switch {
	case rec.Type == event.Open, rec.Type == event.Close:
		h.name(process, rec)
	case rec.Type == event.End:
		h.ended[process] = rec.At
	case rec.Type.IsLanding():
		h.land(rec)
	}
}

// name takes an OPEN or CLOSE, of which the lease's first process is believed.
func (h *history) name(process ulid.ULID, rec *event.Record) {
	l := &rec.Lease
	c := h.claim(l.ID)
	if c.opened.IsZero() {
		c.opened, c.process, c.lineItem, c.day = rec.At, process, l.LineItem, l.Day
		c.granted = postgres.Amount{Micros: l.Granted, Impressions: l.GrantedImpressions}
		h.note("line_item", l.LineItem)
	}
	if rec.Type == event.Close && c.process == process && !c.closed {
		c.closed, c.lastExpiry = true, l.LastExpiry
		c.reserved = postgres.Amount{Micros: min(l.Reserved, c.granted.Micros), Impressions: min(l.ReservedCount, c.granted.Impressions)}
	}
}

func (h *history) note(table string, id ad.ID) { h.highest[table] = max(h.highest[table], id) }

// land adds what a landing takes of its lease: an impression one of the
// impressions, what bills its money.
func (h *history) land(rec *event.Record) {
	r := &rec.Landing.Reservation
	h.note("creative", r.Creative)
	h.note("placement", r.Placement)
	h.note("line_item", r.LineItem)
	if r.Flags&(event.Test|event.Suspect) != 0 || rec.Landing.Invalid != event.Valid {
		return
	}
	var takes postgres.Amount
	if rec.Type == event.Impression {
		takes.Impressions = 1
	}
	if t := r.Bills.Type(); t == rec.Type && t != event.Click && t != event.Conversion {
		takes.Micros = rec.Landing.Charge()
	}
	if takes == (postgres.Amount{}) {
		return
	}
	c, purpose := h.claim(r.Lease), uint8(rec.Type)
	h.compareClearing(c, rec, takes.Micros)
	if c.inHold.has(purpose, r.Index) {
		return
	}
	if r.Exchange == 0 && (rec.Landing.Late || rec.At.After(r.DecidedAt.Add(r.Hold))) {
		if c.afterHold.set(purpose, r.Index) {
			c.late = c.late.Add(takes)
			h.doubt(Doubt{r.Lease, r.Index, "it landed after its hold", takes.Micros})
		}
		return
	}
	c.inHold.set(purpose, r.Index)
	c.must = c.must.Add(takes)
	if c.afterHold.has(purpose, r.Index) { // the late one is the duplicate
		c.late = c.late.Sub(takes)
	}
}

// compareClearing notes a reservation with two clearing prices.
func (h *history) compareClearing(c *claim, rec *event.Record, charge money.Micros) {
	r := &rec.Landing.Reservation
	if r.Exchange == 0 || charge == 0 {
		return
	}
	if c.clearing == nil {
		c.clearing = make(map[uint32]money.Micros)
	}
	before, known := c.clearing[r.Index]
	if !known {
		c.clearing[r.Index] = charge
	} else if before != charge {
		h.doubt(Doubt{r.Lease, r.Index, fmt.Sprintf("the exchange named two clearing prices, worth %s and %s", before, charge), charge})
	}
}
