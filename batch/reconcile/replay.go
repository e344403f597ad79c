package reconcile

import (
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// audit is one day on its way: the books as they were read, and the same books
// made anew from the log.
type audit struct {
	day   time.Time
	books *postgres.Books

	cells       map[postgres.CellKey][]int64
	audience    map[postgres.AudienceRow][]int64
	supply      map[postgres.SupplyKey][]int64
	conversions map[postgres.ConversionKey]postgres.BookedConversion
	lake        map[lakeKey]*lakeSum
	leases      map[ulid.ULID]*lease

	events     int64
	charged    money.Micros
	found      findings
	losses     []postgres.Loss
	ended      map[ulid.ULID]bool // streams whose END was seen
	incomplete bool               // a segment of the range is gone: the books may know more than the log
}

func newAudit(at time.Time, books *postgres.Books) *audit {
	return &audit{
		day: at, books: books,
		cells: map[postgres.CellKey][]int64{}, audience: map[postgres.AudienceRow][]int64{},
		supply: map[postgres.SupplyKey][]int64{}, conversions: map[postgres.ConversionKey]postgres.BookedConversion{},
		lake: map[lakeKey]*lakeSum{}, leases: map[ulid.ULID]*lease{}, ended: map[ulid.ULID]bool{},
	}
}

func (a *audit) lose(s postgres.SettledSegment, why string) {
	a.losses = append(a.losses, postgres.Loss{Segment: event.SegmentName(s.Process, s.Seq), Why: why})
}

// within tells whether a moment is in the day.
func (a *audit) within(t time.Time) bool { return !t.Before(a.day) && t.Before(a.day.Add(day)) }

// lease is what the log says of one lease.
type lease struct {
	process  ulid.ULID
	lineItem ad.ID
	named    bool      // by OPEN or CLOSE; else process and line item are the first token's
	day      event.Day // when named
	granted  money.Micros
	decided  time.Time        // of the first token seen
	ledger   [5]int64         // as postgres.LedgerColumns
	short    bool             // some event found no room
	seen     map[uint8]bitmap // by purpose
}

// bitmap has one bit for each index of a lease, as far as one was seen.
type bitmap []uint64

// first sets a bit and tells whether it was unset.
func (l *lease) first(purpose uint8, index uint32) bool {
	bits := l.seen[purpose]
	if word := int(index / 64); word >= len(bits) {
		bits = append(bits, make(bitmap, word+1-len(bits))...)
		l.seen[purpose] = bits
	}
	word, mask := index/64, uint64(1)<<(index%64)
	unset := bits[word]&mask == 0
	bits[word] |= mask
	return unset
}

func (a *audit) lease(id ulid.ULID) *lease {
	l := a.leases[id]
	if l == nil {
		l = &lease{seen: map[uint8]bitmap{}}
		a.leases[id] = l
	}
	return l
}

// replay goes through one segment.
type replay struct {
	*audit
	segment  postgres.SettledSegment
	outcomes []event.Outcome // those not reached yet
	n        int64
}

func (r *replay) record(index uint32, rec *event.Record) error {
	r.n++
	outcome := event.Outcome{Index: index}
	if len(r.outcomes) > 0 && r.outcomes[0].Index == index {
		outcome, r.outcomes = r.outcomes[0], r.outcomes[1:]
	}
	switch {
	case r.ended[r.segment.Process]: // nothing counts after END
	case rec.Type == event.Open, rec.Type == event.Close:
		r.named(&rec.Lease)
	case rec.Type == event.End:
		r.ended[r.segment.Process] = true
	case rec.Type == event.Requests:
		if c := &rec.Requests; outcome.Fate == event.Counted && r.within(c.Hour) {
			row(r.supply, postgres.SupplyKey{Hour: c.Hour.Unix(), Placement: c.Placement, Exchange: c.Exchange, NoFill: c.NoFill},
				len(postgres.SupplyColumns))[0] += c.N
		}
	case rec.Type.IsLanding():
		r.land(rec, outcome)
	}
	return nil
}

// named takes what a lease's owner says of it. Another process's word is none.
func (r *replay) named(rec *event.Lease) {
	l := r.lease(rec.ID)
	if !l.named {
		l.named, l.process, l.lineItem = true, r.segment.Process, rec.LineItem
		l.day, l.granted = rec.Day, rec.Granted
	}
}

// Purposes under which landings are counted once.
const (
	ofInvalid  = 0x80
	ofProgress = 0x20
)

// invalid says why a landing is invalid traffic.
func invalid(l *event.Landing) event.Invalid {
	if l.Invalid == event.Valid && l.Reservation.Flags&event.Suspect != 0 {
		return event.InvalidSuspect
	}
	return l.Invalid
}

func (r *replay) land(rec *event.Record, outcome event.Outcome) {
	v := &rec.Landing.Reservation
	l := r.lease(v.Lease)
	if l.decided.IsZero() {
		l.decided = v.DecidedAt
		if !l.named {
			l.process, l.lineItem = v.Process, v.LineItem
		}
	}
	switch {
	case outcome.Fate == event.Refused:
		known := r.books.Leases[v.Lease]
		if v.Flags&event.Test == 0 && rec.Type != event.Conversion && v.Price <= postgres.MaxLeaseMicros &&
			known != nil && known.Process == v.Process && known.LineItem == v.LineItem {
			r.wrong(rec, outcome, "refused though nothing is wrong with it")
		}
		return
	case v.Flags&event.Test != 0:
		r.wrong(rec, outcome, "counted though a test's")
		return
	case !r.counted(rec, outcome, l):
		return
	}
	charged, overage := r.charge(rec, outcome, l)
	r.book(rec, outcome, charged, overage)
}

// counted tells whether a landing is the first of its reservation and purpose.
// Conversions are told apart by the table, with which they are compared. Of what
// was decided before the range that was read, only settle can know.
func (r *replay) counted(rec *event.Record, outcome event.Outcome, l *lease) bool {
	duplicate := outcome.Fate == event.Duplicate
	if rec.Type == event.Conversion {
		return !duplicate
	}
	purpose := uint8(rec.Type)
	if rec.Type == event.Progress {
		purpose = ofProgress | uint8(rec.Landing.Quartile)
	}
	if invalid(&rec.Landing) != event.Valid {
		purpose |= ofInvalid
	}
	first := l.first(purpose, rec.Landing.Reservation.Index)
	switch {
	case rec.Landing.Reservation.DecidedAt.Before(r.day.Add(-eve)), r.incomplete:
		return !duplicate
	case first && duplicate:
		r.wrong(rec, outcome, "not counted though the first of its kind")
	case !first && !duplicate:
		r.wrong(rec, outcome, "counted though not the first of its kind")
	}
	return first
}

// charge is what a counted landing costs the advertiser, and the platform.
func (r *replay) charge(rec *event.Record, outcome event.Outcome, l *lease) (charged, overage money.Micros) {
	v := &rec.Landing.Reservation
	if rec.Type == v.Bills.Type() && invalid(&rec.Landing) == event.Valid {
		charged = rec.Landing.Charge()
	}
	switch outcome.Fate {
	case event.Short:
		if !plausible(rec, outcome, charged) {
			r.wrong(rec, outcome, fmt.Sprintf("charged %s and %s overage of %s", outcome.Charged, outcome.Overage, charged))
		}
		charged, overage = outcome.Charged, outcome.Overage
		l.short = l.short || v.Bills != event.BillsClick && v.Bills != event.BillsConversion
	case event.TooLate:
		if !late(rec) {
			r.wrong(rec, outcome, "neither charged nor paid though not late")
		}
		charged, overage = 0, 0
		l.short = true
	}
	l.ledger[0] += int64(charged)
	l.ledger[2] += int64(overage)
	if rec.Type != event.Impression || invalid(&rec.Landing) != event.Valid {
		return charged, overage
	}
	switch {
	case outcome.Fate == event.TooLate:
		l.ledger[4]++
	case outcome.Fate == event.Short && charged == 0:
		l.ledger[3]++
	default:
		l.ledger[1]++
	}
	return charged, overage
}

// plausible tells whether an outcome can be that of a landing of this face value:
// all of it is charged or overage, but what is late costs nobody anything beyond
// what its lease had left, and what bills by click or conversion takes nothing
// from leases.
func plausible(rec *event.Record, outcome event.Outcome, face money.Micros) bool {
	v := &rec.Landing.Reservation
	switch {
	case outcome.Charged+outcome.Overage == face:
		return outcome.Overage > 0
	case v.Bills == event.BillsClick || v.Bills == event.BillsConversion:
		return outcome.Charged == 0 && outcome.Overage == 0
	}
	return late(rec) && outcome.Overage == 0 && outcome.Charged > 0 && outcome.Charged < face
}

// late tells whether a landing on own inventory came after its hold.
func late(rec *event.Record) bool {
	v := &rec.Landing.Reservation
	return v.Exchange == 0 && (rec.Landing.Late || rec.At.After(v.DecidedAt.Add(v.Hold)))
}

func (a *audit) wrong(rec *event.Record, outcome event.Outcome, what string) {
	v := &rec.Landing.Reservation
	if a.incomplete {
		return
	}
	a.found.add(postgres.Difference{
		Book: "segment.outcomes", What: what, Got: int64(outcome.Fate),
		Key: fmt.Sprintf("event type %d of lease %s, index %d, at %s", rec.Type, v.Lease, v.Index, rec.At.Format(time.RFC3339Nano)),
	})
}

// book adds a counted landing to the reports, the lake and the conversions.
func (r *replay) book(rec *event.Record, outcome event.Outcome, charged, overage money.Micros) {
	v := &rec.Landing.Reservation
	revenue := v.Revenue(charged)
	if r.within(rec.At) {
		r.addLake(rec, r.segment.Batch, lakeSum{events: 1, charged: charged, overage: overage, revenue: revenue})
		if rec.Type == event.Conversion && invalid(&rec.Landing) == event.Valid {
			order := rec.Action.OrderID
			if order == "" {
				order = fmt.Sprintf("%s/%d", v.Lease, v.Index)
			}
			r.conversions[postgres.ConversionKey{Advertiser: r.books.Owners[v.LineItem].Advertiser, Order: order}] = postgres.BookedConversion{
				LineItem: v.LineItem, ConvertedAt: rec.At, Value: rec.Action.Value,
			}
		}
	}
	if !r.within(v.DecidedAt) {
		return
	}
	r.events++
	r.charged += charged
	hour := v.DecidedAt.Truncate(time.Hour).Unix()
	cell := row(r.cells, postgres.CellKey{Hour: hour, LineItem: v.LineItem, Creative: v.Creative, Placement: v.Placement, Exchange: v.Exchange},
		len(postgres.CellColumns))
	supply := row(r.supply, postgres.SupplyKey{Hour: hour, Placement: v.Placement, Exchange: v.Exchange}, len(postgres.SupplyColumns))
	why := invalid(&rec.Landing)
	audience := row(r.audience, postgres.AudienceRow{
		Hour: hour, LineItem: v.LineItem, Country: country(v.Country), Device: v.Device.String(), Invalid: why.String(),
	}, len(postgres.AudienceColumns))
	add(audience, audienceColumn(rec.Type), 1)
	if why != event.Valid {
		cell[16]++
		supply[6]++
		return
	}
	add(cell, cellColumn(rec), 1)
	add(supply, supplyColumn(rec.Type), 1)
	if rec.Type == event.Conversion {
		cell[6] = min(cell[6]+int64(rec.Action.Value), int64(postgres.MaxCellValue))
	}
	cell[12] += int64(charged)
	cell[13] += int64(overage)
	cell[14] += int64(revenue)
	audience[4] += int64(charged)
	supply[7] += int64(revenue)
	if outcome.Fate == event.TooLate {
		cell[15]++
		supply[5]++
	}
}

// row returns a book's row, which it makes when missing.
func row[K comparable](book map[K][]int64, key K, columns int) []int64 {
	values := book[key]
	if values == nil {
		values = make([]int64, columns)
		book[key] = values
	}
	return values
}

func add(values []int64, column int, n int64) {
	if column >= 0 {
		values[column] += n
	}
}

func country(code [2]byte) string {
	if code == ([2]byte{}) {
		return ""
	}
	return string(code[:])
}

// cellColumn is where postgres.CellColumns count a landing, -1: nowhere.
func cellColumn(rec *event.Record) int {
	switch rec.Type {
	case event.Impression:
		return 0
	case event.Viewable:
		return 1
	case event.Click:
		return 2
	case event.Win:
		return 3
	case event.Conversion:
		if rec.Action.PostView {
			return 5
		}
		return 4
	case event.Progress:
		return 7 + int(rec.Landing.Quartile)
	}
	return -1
}

func audienceColumn(t event.Type) int {
	switch t {
	case event.Impression:
		return 0
	case event.Viewable:
		return 1
	case event.Click:
		return 2
	case event.Conversion:
		return 3
	}
	return -1
}

func supplyColumn(t event.Type) int {
	switch t {
	case event.Impression:
		return 1
	case event.Viewable:
		return 2
	case event.Click:
		return 3
	case event.Win:
		return 4
	}
	return -1
}
