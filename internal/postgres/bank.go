package postgres

import (
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/money"
)

// Want is a process's wish for one lease. It mints the id, and repeats the wish
// with the same id until it is answered: the bank grants an id once.
type Want struct {
	Lease       ulid.ULID
	LineItem    ad.ID
	Micros      money.Micros // what it expects to reserve until it asks again; the bank may grant less, or a little more
	Impressions int64        // likewise, 1 to 65536
	Least       int64        // fewer impressions are of no use, and not granted; 0: one will do
}

// Grant answers one [Want].
type Grant struct {
	Lease       ulid.ULID
	LineItem    ad.ID
	Refused     Refusal // "" when granted
	Micros      money.Micros
	Impressions int64         // at most 65536
	Day         event.Day     // of the advertiser's time zone
	DayStart    time.Time     // nothing is reserved before it …
	DayEnd      time.Time     // … nor at or after it
	Deadline    time.Time     // nor at or after this
	MaxAge      time.Duration // close it this long after its first reservation
}

// Refusal says why the bank granted nothing. It is a metric tag: the list is closed.
type Refusal string

const (
	RefusedStopped Refusal = "stopped" // the line item or what is above it is not active, or out of its dates
	RefusedSpent   Refusal = "spent"   // nothing is left of some budget
	RefusedHolders Refusal = "holders" // as many processes as the small rest allows hold leases already
	RefusedUnknown Refusal = "unknown" // no such line item
)

// Heartbeat is what a process tells the bank every two seconds.
type Heartbeat struct {
	Process     ulid.ULID
	StartedAt   time.Time
	SafeAt      time.Time // nothing logged before this moment …
	SafeSegment uint64    // … lies beyond this segment
	StopsSince  time.Time // answer with the stops changed since; bank time of the last answer or the snapshot's
	NewestLease ulid.ULID // the newest that the bank granted it, under whatever id; zero: none
}

// HeartbeatAnswer is what the bank answers.
type HeartbeatAnswer struct {
	Now      time.Time // the bank's clock
	Lost     bool      // declared lost: seal, mint a new id, go on
	Stops    []Stop
	Recalled []ulid.ULID // untouched leases of this process that others need
}

// Stop is the newest word on whether one thing may serve.
type Stop struct {
	Kind    string // "advertiser", "campaign", "line_item" or "creative"
	ID      ad.ID
	Stopped bool
}

// BankConfig holds the protocol's durations; design §5 gives the defaults.
type BankConfig struct {
	LeaseTTL    time.Duration // grant to deadline: 30 m
	MaxAge      time.Duration // first reservation to close: 60 s where few reservations win, up to 600 s
	LongestHold time.Duration // of any format: 300 s
	LostAfter   time.Duration // without heartbeat, while the bank was up: 90 s
	Grace       time.Duration // beyond deadline + longest hold before a lost process's leases return: 30 s
	Margin      time.Duration // watermark beyond last expiry before a closed lease returns: 5 s
}
