// Package event is the format in which delivery writes down what happened and
// settle reads it: records in segments, one stream of segments a process.
//
// A segment is a header, framed records and a footer. The header names the
// process and the segment's place in its stream; every frame carries its length
// and a CRC32C over (process, sequence, index of the record, payload), so that a
// record cannot be mistaken for another's; the footer counts what came before,
// so that a segment cut off at a frame's border is noticed too. A sealed segment
// always ends with a footer; recovery of a torn one cuts at the first bad frame
// and writes it (design §6).
package event

import (
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/money"
)

// Type says what a record is. The numbers stand in files: never renumber.
type Type uint8

const (
	Open       Type = 1 // a lease is about to be used; durable before its first token leaves
	Close      Type = 2 // a lease will not be used again
	End        Type = 3 // the stream's last record
	Impression Type = 4 // durable
	Click      Type = 5 // durable
	Viewable   Type = 6 // telemetry
	Requests   Type = 7 // telemetry: a count of decisions under one key
	Unserved   Type = 8 // telemetry: why line items did not serve, and how often; since version 2

	Conversion Type = 9  // durable: what the visitor did at the advertiser's; since version 3
	Progress   Type = 10 // telemetry: how far a video was played; since version 3
	Win        Type = 11 // durable: an exchange says that a bid won; since version 3
	Billing    Type = 12 // durable: an exchange's billing notice; since version 3
)

// Durable tells whether a record of this type is on disk before it is
// acknowledged; the others may lose a second (design §6).
func (t Type) Durable() bool {
	return t != Viewable && t != Requests && t != Unserved && t != Progress
}

// IsLanding tells whether records of this type carry a [Landing].
func (t Type) IsLanding() bool {
	return t >= Impression && t <= Viewable || t >= Conversion && t <= Billing
}

// Record is one fact of a stream. Which part is set follows from Type: Lease
// with Open and Close, Landing where [Type.IsLanding], Action with Conversion
// besides, Requests with Requests, Reasons with Unserved. It is one struct so
// that a reader can reuse it; only Reasons and Action, of which there are few,
// lie apart.
type Record struct {
	Type     Type
	At       time.Time // bank time of the logging, microseconds, never going back within a process
	Lease    Lease
	Landing  Landing
	Requests Count
	Reasons  *Reasons
	Action   *Action
}

// Lease is the content of OPEN and CLOSE.
type Lease struct {
	ID                 ulid.ULID
	LineItem           ad.ID
	Day                Day          // the advertiser's day whose budget it draws on
	Granted            money.Micros // Open and Close
	GrantedImpressions int64
	Reserved           money.Micros // Close only: the prices of all tokens issued
	ReservedCount      int64        // Close only: the tokens issued; idx is below it
	LastExpiry         time.Time    // Close only: no hold on this lease ends later
}

// Day is a calendar day, counted from 1970-01-01.
type Day int32

// Landing is a tracking URL that was called.
type Landing struct {
	Reservation Reservation
	Clearing    money.Micros // what the exchange says it took; own inventory: the reservation's price
	Late        bool         // landed after the reservation's hold had ended
	Invalid     Invalid      // judged invalid traffic at landing, and why
	Quartile    Quartile     // Progress only
}

// Charge is what the landing is worth to whoever is charged for it, when it is
// of the type that bills: price × clearing / bid, rounded down, and never more
// than the price (design §5.7). A bid of 0 is charged at its price.
func (l *Landing) Charge() money.Micros {
	r := &l.Reservation
	if r.BidPrice <= 0 || l.Clearing >= r.BidPrice {
		return r.Price
	}
	return r.Price.MulDiv(int64(l.Clearing), int64(r.BidPrice))
}

// Invalid says why traffic is invalid. The numbers stand in files.
type Invalid uint8

const (
	Valid          Invalid = 0
	InvalidOther   Invalid = 1 // unspecified, as in files before version 3
	InvalidBot     Invalid = 2 // the user agent is a known program's
	InvalidSuspect Invalid = 3 // judged so at decision time: the reservation's flag
)

var invalidNames = [...]string{"", "other", "bot", "suspect"}

// String is the reason as reports name it; "" for valid traffic.
func (i Invalid) String() string {
	if int(i) < len(invalidNames) {
		return invalidNames[i]
	}
	return invalidNames[InvalidOther]
}

// Quartile is how far a video was played (VAST 4.2 §3.14.1).
type Quartile uint8

const (
	Start Quartile = iota
	FirstQuartile
	Midpoint
	ThirdQuartile
	Complete
)

// MaxOrderID is the longest order id, in bytes.
const MaxOrderID = 64

// MaxConversionValue is the largest value of a conversion that is counted.
const MaxConversionValue = 70_000_000 * money.Unit

// Action is what a conversion says beside its landing: an order, a sign-up.
type Action struct {
	OrderID   string       // the advertiser's, printable ASCII; "": one for each reservation
	Value     money.Micros // as the advertiser states it, in budget currency
	PostView  bool         // follows an impression; else a click
	TouchedAt time.Time    // of that click or impression, seconds
}

// Bills names the event that charges a reservation (design §5.11).
type Bills uint8

const (
	BillsNothing    Bills = 0 // test, preview, price 0
	BillsImpression Bills = 1
	BillsClick      Bills = 2
	BillsConversion Bills = 3
	BillsWin        Bills = 4 // an exchange's win notice
	BillsBilling    Bills = 5 // an exchange's billing notice
)

// Type is the type of record that charges, 0 for none.
func (b Bills) Type() Type {
	if int(b) < len(billingTypes) {
		return billingTypes[b]
	}
	return 0
}

var billingTypes = [...]Type{BillsImpression: Impression, BillsClick: Click, BillsConversion: Conversion, BillsWin: Win, BillsBilling: Billing}

// Flags of a reservation.
type Flags uint8

const (
	Test     Flags = 1 << iota // never counted
	Suspect                    // invalid traffic known at decision time
	Personal                   // the visitor allowed what is personal: a later conversion may be recognised
)

// DeviceType of a visitor; the numbers stand in files.
type DeviceType uint8

const (
	OtherDevice DeviceType = iota
	Desktop
	Mobile
	Tablet
	TV
)

var deviceNames = [...]string{"other", "desktop", "mobile", "tablet", "tv"}

// String is the name that rules and reports use.
func (d DeviceType) String() string {
	if int(d) < len(deviceNames) {
		return deviceNames[d]
	}
	return deviceNames[OtherDevice]
}

// Reservation is one decision's claim on a lease, and with it all that any later
// event of that decision needs to be counted: no event is ever joined to a
// stored decision. Tokens carry it signed, landings carry it verbatim.
type Reservation struct {
	Process    ulid.ULID
	Lease      ulid.ULID
	Index      uint32 // dense from 0 within the lease, below 65536
	LineItem   ad.ID
	Creative   ad.ID
	Placement  ad.ID
	Exchange   ad.ID   // 0: own inventory
	Deal       ad.ID   // 0: none
	Country    [2]byte // ISO 3166-1 alpha-2; zero: unknown
	Device     DeviceType
	DecidedAt  time.Time     // milliseconds; its hour is the report's hour
	Hold       time.Duration // whole seconds; until DecidedAt+Hold the money is kept
	Generation uint64        // of the catalog that decided
	Price      money.Micros  // per impression, in budget currency: what is charged
	BidPrice   money.Micros  // in the bid's currency; own inventory: equals Price
	Share      uint16        // the publisher's part of what is charged, basis points; since version 3 of segments
	Advertiser ad.ID         // of the line item; since version 3 of segments, 0: unknown
	Bills      Bills
	Flags      Flags
}

// Revenue is the publisher's part of a charge, rounded down.
func (r *Reservation) Revenue(charged money.Micros) money.Micros {
	return charged.MulDiv(int64(r.Share), 10_000)
}

// SegmentName is the bucket key of a segment:
// events/<UTC day on which the process started>/<process>/<sequence, ten digits>.
// All of it follows from the process and the sequence, so settle can ask for the
// next segment by name instead of listing.
func SegmentName(process ulid.ULID, seq uint64) string {
	return fmt.Sprintf("events/%s/%s/%010d", ulid.Time(process.Time()).UTC().Format(time.DateOnly), process, seq)
}

// Count is a number of decisions that had the same placement and outcome within
// an hour. A no-fill reason is a word of the auction's list; "" is a fill.
type Count struct {
	Hour      time.Time
	Placement ad.ID
	Exchange  ad.ID
	NoFill    string
	N         int64
}
