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
)

// Durable tells whether a record of this type is on disk before it is
// acknowledged; the others may lose a second (design §6).
func (t Type) Durable() bool { return t != Viewable && t != Requests && t != Unserved }

// Record is one fact of a stream. Which part is set follows from Type: Lease
// with Open and Close, Landing with Impression, Click and Viewable, Requests
// with Requests, Reasons with Unserved. It is one struct so that a reader can
// reuse it; only Reasons, of which there are few, lie apart.
type Record struct {
	Type     Type
	At       time.Time // bank time of the logging, microseconds, never going back within a process
	Lease    Lease
	Landing  Landing
	Requests Count
	Reasons  *Reasons
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
	Invalid     bool         // judged invalid traffic at landing
}

// Bills names the event that charges a reservation (design §5.11).
type Bills uint8

const (
	BillsNothing    Bills = 0 // test, preview, price 0
	BillsImpression Bills = 1
	BillsClick      Bills = 2
	BillsConversion Bills = 3
)

// Flags of a reservation.
type Flags uint8

const (
	Test    Flags = 1 << iota // never counted
	Suspect                   // invalid traffic known at decision time
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
	Bills      Bills
	Flags      Flags
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
