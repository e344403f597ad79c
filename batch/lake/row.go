package lake

import (
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/money"
)

// Event is a row of lake/events: a landing that settle counted, whether it was
// charged or not. docs/lake.md says what each column means; a test compares them.
//
// Amounts are micros in an int64, which the logical type decimal(18, 6) shows as
// currency units. Columns of few values are kept as dictionaries.
type Event struct {
	Type       string `parquet:"type,dict"`
	EventAt    int64  `parquet:"event_at,delta,timestamp(microsecond)"`
	DecidedAt  int64  `parquet:"decided_at,delta,timestamp(millisecond)"`
	ReportHour int64  `parquet:"report_hour,dict,timestamp(millisecond)"`

	Advertiser int64  `parquet:"advertiser,dict"`
	LineItem   int64  `parquet:"line_item,dict"`
	Creative   int64  `parquet:"creative,dict"`
	Placement  int64  `parquet:"placement,dict"`
	Exchange   int64  `parquet:"exchange,dict"`
	Deal       int64  `parquet:"deal,dict"`
	Country    string `parquet:"country,dict"`
	Device     string `parquet:"device,dict"`

	Process    string `parquet:"process,dict"`
	Lease      string `parquet:"lease,dict"`
	Index      int32  `parquet:"idx,delta"`
	Generation int64  `parquet:"generation,dict"`

	Price    int64  `parquet:"price,dict,decimal(6:18)"`
	BidPrice int64  `parquet:"bid_price,dict,decimal(6:18)"`
	Clearing int64  `parquet:"clearing,dict,decimal(6:18)"`
	Bills    string `parquet:"bills,dict"`
	Share    int32  `parquet:"share,dict"`
	Charged  int64  `parquet:"charged,dict,decimal(6:18)"`
	Overage  int64  `parquet:"overage,dict,decimal(6:18)"`
	Revenue  int64  `parquet:"revenue,dict,decimal(6:18)"`
	Late     bool   `parquet:"late"`
	Invalid  string `parquet:"invalid,dict"`

	OrderID   *string `parquet:"order_id,optional"`
	Value     *int64  `parquet:"value,optional,decimal(6:18)"`
	PostView  *bool   `parquet:"post_view,optional"`
	TouchedAt *int64  `parquet:"touched_at,optional,timestamp(millisecond)"`
	Quartile  *int32  `parquet:"quartile,optional"`
}

// RequestCount is a row of lake/requests: decisions of one placement that had one
// outcome, as one process counted them within some seconds.
type RequestCount struct {
	EventAt    int64  `parquet:"event_at,delta,timestamp(microsecond)"`
	ReportHour int64  `parquet:"report_hour,dict,timestamp(millisecond)"`
	Placement  int64  `parquet:"placement,dict"`
	Exchange   int64  `parquet:"exchange,dict"`
	NoFill     string `parquet:"no_fill,dict"`
	Decisions  int64  `parquet:"decisions"`
	Process    string `parquet:"process,dict"`
}

var (
	typeNames = [...]string{
		event.Impression: "impression", event.Click: "click", event.Viewable: "viewable", event.Conversion: "conversion",
		event.Progress: "progress", event.Win: "win", event.Billing: "billing",
	}
	billsNames = [...]string{
		event.BillsNothing: "nothing", event.BillsImpression: "impression", event.BillsClick: "click",
		event.BillsConversion: "conversion", event.BillsWin: "win", event.BillsBilling: "billing",
	}
	quartiles = [...]int32{0, 1, 2, 3, 4}
	countries = countryNames()
)

// countryNames has the text of every two capital letters, so that a row costs no
// allocation.
func countryNames() (names [26][26]string) {
	for i := range names {
		for j := range names[i] {
			names[i][j] = string([]byte{'A' + byte(i), 'A' + byte(j)})
		}
	}
	return names
}

// rows turns records into rows. Its zero value is ready.
type rows struct {
	ids map[ulid.ULID]string
}

// mostIDs bounds what rows remembers of the text of leases and processes: a row
// costs an allocation only where they are new.
const mostIDs = 1 << 16

func (r *rows) text(id ulid.ULID) string {
	if text, ok := r.ids[id]; ok {
		return text
	}
	if r.ids == nil || len(r.ids) >= mostIDs {
		r.ids = make(map[ulid.ULID]string, 1024)
	}
	text := id.String()
	r.ids[id] = text
	return text
}

// fill makes row what settle counted of a landing, given the outcome that it
// noted, the zero one if it noted none. It is false for what was not counted.
func (r *rows) fill(row *Event, rec *event.Record, outcome event.Outcome) bool {
	if outcome.Fate == event.Duplicate || outcome.Fate == event.Refused {
		return false
	}
	l, t := &rec.Landing, &rec.Landing.Reservation
	decided := t.DecidedAt.UnixMilli()
	*row = Event{
		Type: typeNames[rec.Type], EventAt: rec.At.UnixMicro(), DecidedAt: decided, ReportHour: hourOf(decided),
		Advertiser: int64(t.Advertiser), LineItem: int64(t.LineItem), Creative: int64(t.Creative), Placement: int64(t.Placement),
		Exchange: int64(t.Exchange), Deal: int64(t.Deal), Device: t.Device.String(),
		Process: r.text(t.Process), Lease: r.text(t.Lease), Index: int32(t.Index), Generation: int64(t.Generation),
		Price: int64(t.Price), BidPrice: int64(t.BidPrice), Clearing: int64(l.Clearing), Bills: billsNames[t.Bills], Share: int32(t.Share),
		Late: outcome.Fate == event.TooLate, Invalid: invalid(l).String(),
	}
	if t.Country != [2]byte{} {
		row.Country = countries[t.Country[0]-'A'][t.Country[1]-'A']
	}
	charged, overage := charge(rec, outcome)
	row.Charged, row.Overage, row.Revenue = int64(charged), int64(overage), int64(t.Revenue(charged))
	switch rec.Type {
	case event.Progress:
		row.Quartile = &quartiles[l.Quartile]
	case event.Conversion:
		row.act(rec.Action)
	}
	return true
}

// charge is what settle charged for a counted landing, and what of its worth it
// could not.
func charge(rec *event.Record, outcome event.Outcome) (charged, overage money.Micros) {
	switch {
	case outcome.Fate == event.Short:
		return outcome.Charged, outcome.Overage
	case outcome.Fate == event.TooLate || invalid(&rec.Landing) != event.Valid:
		return 0, 0
	case rec.Type == rec.Landing.Reservation.Bills.Type():
		return rec.Landing.Charge(), 0
	}
	return 0, 0
}

// invalid is why a landing is invalid traffic: judged so as it landed, or at the
// decision already.
func invalid(l *event.Landing) event.Invalid {
	if l.Invalid == event.Valid && l.Reservation.Flags&event.Suspect != 0 {
		return event.InvalidSuspect
	}
	return l.Invalid
}

func (e *Event) act(a *event.Action) {
	columns := &struct {
		order     string
		value     int64
		postView  bool
		touchedAt int64
	}{a.OrderID, int64(a.Value), a.PostView, a.TouchedAt.UnixMilli()}
	e.Value, e.PostView, e.TouchedAt = &columns.value, &columns.postView, &columns.touchedAt
	if a.OrderID != "" {
		e.OrderID = &columns.order
	}
}

// count makes row a count of requests.
func (r *rows) count(row *RequestCount, process ulid.ULID, rec *event.Record) {
	c := &rec.Requests
	*row = RequestCount{
		EventAt: rec.At.UnixMicro(), ReportHour: c.Hour.UnixMilli(), Placement: int64(c.Placement), Exchange: int64(c.Exchange),
		NoFill: c.NoFill, Decisions: c.N, Process: r.text(process),
	}
}

// hourOf is the hour of a moment, both in milliseconds.
func hourOf(milliseconds int64) int64 {
	const hour = int64(time.Hour / time.Millisecond)
	return milliseconds / hour * hour
}
