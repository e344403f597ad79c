package settle

import (
	"crypto/sha256"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// A Digest is a segment as the [Core] takes it: what its records name stands in
// tables, once each, and a landing is a few numbers that point there. It is made
// of the segment alone, so that many are made at once; what depends on order and
// on the bank's state is left to the Core.
type Digest struct {
	postgres.Segment
	claims   []claim
	claimed  []time.Time // when the first decision was that names a claim
	rows     []row
	places   []place
	landings []landed
	counts   []count
	others   []other // records that are neither landings (but conversions) nor request counts
	end      uint32  // index of the first END, noEnd if there is none
	ending   bool    // END is the last record
}

const noEnd = ^uint32(0)

// claim is what landings say of a lease. Two that contradict each other are two claims.
type claim struct {
	lease, process ulid.ULID
	lineItem       ad.ID
}

// row names de-duplication bits of a claim's lease.
type row struct {
	claim   uint32
	purpose uint8
	block   uint8
}

// place is where landings are reported.
type place struct {
	cell    postgres.CellKey
	country [2]byte
	device  event.DeviceType
	invalid event.Invalid
}

// landed is all of a landing that is not in the tables.
type landed struct {
	record uint32 // index in the segment
	row    uint32
	place  uint32
	index  uint16
	kind   event.Type
	marks  marks
	share  uint16
	price  money.Micros // of the reservation
	charge money.Micros // its face value, 0 unless it bills
	paid   money.Micros // the publisher's part of the face value
}

// marks are what the Core has to know of a landing beside its numbers.
type marks uint8

const (
	markUnsound marks = 1 << iota
	markTest
	markInvalid
	markLate
	markAboveBid // the exchange says that it took more than was bid
	markUnpaid   // bills, but by a click or a conversion, for which nothing is charged yet
	markExchange
)

// count is a record of requests.
type count struct {
	record  uint32
	unsound bool
	key     postgres.SupplyKey
	n       int64
}

// other is any other record.
type other struct {
	record uint32
	event  *event.Record
	place  uint32 // of a conversion
}

// digester makes digests, one after the other; it keeps its maps.
type digester struct {
	claims   map[claim]uint32
	rows     map[uint64]uint32
	places   map[place]uint32
	record   event.Record
	claim    claim // the last one, and where it is: events of a lease come in runs
	at       uint32
	digested *Digest
}

func newDigester() *digester {
	return &digester{claims: make(map[claim]uint32), rows: make(map[uint64]uint32), places: make(map[place]uint32)}
}

// typicalRecord is about what a landing takes in a segment, in bytes.
const typicalRecord = 80

// digest reads the segment (process, seq) in b, of which it keeps nothing.
// Errors are those of [event.NewReader] and [event.Reader.Next].
func (g *digester) digest(b []byte, process ulid.ULID, seq uint64) (*Digest, error) {
	reader, err := event.NewReader(b, process, seq)
	if err != nil {
		return nil, err
	}
	d := g.begin(postgres.SegmentKey{Process: process, Seq: seq}, len(b)/typicalRecord+1)
	d.SHA256 = sha256.Sum256(b)
	for {
		ok, err := reader.Next(&g.record)
		if err != nil {
			return nil, err
		}
		if !ok {
			return d, nil
		}
		g.add(&g.record)
	}
}

func (g *digester) begin(key postgres.SegmentKey, records int) *Digest {
	clear(g.claims)
	clear(g.rows)
	clear(g.places)
	g.claim = claim{}
	g.digested = &Digest{
		Segment: postgres.Segment{SegmentKey: key}, end: noEnd, landings: make([]landed, 0, records),
	}
	return g.digested
}

// add takes the segment's next record, which it does not keep.
func (g *digester) add(rec *event.Record) {
	d, at := g.digested, uint32(g.digested.Records)
	d.Records++
	if at == 0 {
		d.FirstAt = rec.At
	}
	d.LastAt, d.ending = rec.At, rec.Type == event.End
	switch {
	case rec.Type == event.Requests:
		r := &rec.Requests
		key := postgres.SupplyKey{Hour: r.Hour.Unix(), Placement: r.Placement, Exchange: r.Exchange, NoFill: r.NoFill}
		d.counts = append(d.counts, count{record: at, unsound: !sound(rec), key: key, n: r.N})
	case rec.Type == event.Conversion:
		d.others = append(d.others, other{record: at, event: clone(rec), place: g.place(rec)})
	case rec.Type.IsLanding():
		g.land(at, rec)
	default:
		if rec.Type == event.End && d.end == noEnd {
			d.end = at
		}
		d.others = append(d.others, other{record: at, event: clone(rec)})
	}
}

func clone(rec *event.Record) *event.Record {
	c := *rec
	return &c
}

func (g *digester) land(at uint32, rec *event.Record) {
	d, r := g.digested, &rec.Landing.Reservation
	l := landed{record: at, kind: rec.Type, index: uint16(r.Index), share: r.Share, price: r.Price}
	switch {
	case !sound(rec):
		l.marks = markUnsound
	case r.Flags&event.Test != 0:
		l.marks = markTest
	default:
		purpose := landingPurpose(rec)
		l.row, l.place = g.row(row{g.claimOf(r), purpose, block(r.Index)}), g.place(rec)
		l.marks = landingMarks(rec)
		if rec.Type == r.Bills.Type() {
			l.charge = rec.Landing.Charge()
			l.paid = r.Revenue(l.charge)
		}
	}
	d.landings = append(d.landings, l)
}

func landingMarks(rec *event.Record) (m marks) {
	r := &rec.Landing.Reservation
	if invalid(rec) != event.Valid {
		m |= markInvalid
	}
	if late(rec) {
		m |= markLate
	}
	if r.Exchange != 0 {
		m |= markExchange
	}
	if rec.Landing.Clearing > r.BidPrice && r.BidPrice > 0 {
		m |= markAboveBid
	}
	if r.Bills == event.BillsClick || r.Bills == event.BillsConversion {
		m |= markUnpaid
	}
	return m
}

func (g *digester) claimOf(r *event.Reservation) uint32 {
	c := claim{r.Lease, r.Process, r.LineItem}
	if c == g.claim {
		return g.at
	}
	g.claim = c
	at, ok := g.claims[c]
	if !ok {
		at = uint32(len(g.digested.claims))
		g.claims[c] = at
		g.digested.claims = append(g.digested.claims, c)
		g.digested.claimed = append(g.digested.claimed, r.DecidedAt)
	}
	g.at = at
	return at
}

func (g *digester) row(r row) uint32 {
	key := uint64(r.claim)<<16 | uint64(r.purpose)<<8 | uint64(r.block)
	at, ok := g.rows[key]
	if !ok {
		at = uint32(len(g.digested.rows))
		g.rows[key] = at
		g.digested.rows = append(g.digested.rows, r)
	}
	return at
}

func (g *digester) place(rec *event.Record) uint32 {
	p := placeOf(rec)
	at, ok := g.places[p]
	if !ok {
		at = uint32(len(g.digested.places))
		g.places[p] = at
		g.digested.places = append(g.digested.places, p)
	}
	return at
}

func placeOf(rec *event.Record) place {
	const hour = 60 * 60
	r := &rec.Landing.Reservation
	return place{
		cell: postgres.CellKey{
			Hour: r.DecidedAt.Unix() / hour * hour, LineItem: r.LineItem,
			Creative: r.Creative, Placement: r.Placement, Exchange: r.Exchange,
		},
		country: r.Country, device: r.Device, invalid: invalid(rec),
	}
}

// invalid says why a landing is invalid traffic, by what was seen as it landed or
// before.
func invalid(rec *event.Record) event.Invalid {
	if rec.Landing.Invalid == event.Valid && rec.Landing.Reservation.Flags&event.Suspect != 0 {
		return event.InvalidSuspect
	}
	return rec.Landing.Invalid
}

// late tells whether an event on own inventory came after its hold: nobody is
// owed anything for it, or delayed beacons would be a way to be paid (design §5.11).
func late(rec *event.Record) bool {
	r := &rec.Landing.Reservation
	return r.Exchange == 0 && (rec.Landing.Late || rec.At.After(r.DecidedAt.Add(r.Hold)))
}

// Purposes of de-duplication. Events found invalid are de-duplicated among
// themselves, and never keep a valid event of the same reservation from being billed.
const (
	invalidPurpose  = 0x80
	progressPurpose = 0x20 // with the quartile
)

// landingPurpose is under which purpose a landing is de-duplicated.
func landingPurpose(rec *event.Record) uint8 {
	purpose := uint8(rec.Type)
	if rec.Type == event.Progress {
		purpose = progressPurpose | uint8(rec.Landing.Quartile)
	}
	if invalid(rec) != event.Valid {
		purpose |= invalidPurpose
	}
	return purpose
}

func block(index uint32) uint8 { return uint8(index / postgres.BitsPerBlock) }

// size is about what the digest and what it leads to take in memory, in bytes.
func (d *Digest) size() int64 {
	const perLanding, perRow, perClaim, perPlace, perCount, perOther = 48, 256, 512, 512, 256, 1024
	return int64(len(d.landings))*perLanding + int64(len(d.rows))*perRow + int64(len(d.claims))*perClaim +
		int64(len(d.places))*perPlace + int64(len(d.counts))*perCount + int64(len(d.others))*perOther
}
