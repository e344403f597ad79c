// Package snapshot is the file that carries all that delivery needs from
// batch publish to the delivery processes: immutable, versioned, checksummed.
//
// An object snapshots/<generation>-<first 16 hex digits of its sha256>.snap holds
// it; the pointer snapshots/latest.json names the newest one with its size and
// full checksum. Generations only count up. A reader refuses, by name, whatever
// it cannot prove whole: see [Error].
package snapshot

import (
	"time"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/rule"
)

// Snapshot is what may serve at one moment. Only what is active and, for
// creatives, approved is in it; every reference inside resolves, but those to
// blocked advertisers, who may be out of it themselves; each slice is in
// ascending order of ID without repeats. [Check] proves it.
type Snapshot struct {
	Generation  uint64
	CreatedAt   time.Time // bank time, microseconds: stops older than this are already left out
	Currency    string    // ISO 4217, of every price and budget
	Advertisers []Advertiser
	LineItems   []LineItem
	Creatives   []Creative
	Properties  []Property
	Placements  []Placement
}

// Advertiser of the line items below.
type Advertiser struct {
	ID       ad.ID
	Domain   string
	TimeZone string // IANA name
}

// LineItem is a line item with what it inherits: dates are the overlap with its
// campaign's.
type LineItem struct {
	ID         ad.ID
	Campaign   ad.ID
	Advertiser ad.ID
	Tier       ad.Tier
	CPM        money.Micros
	StartsAt   time.Time
	EndsAt     time.Time // exclusive; zero: open end
	Targeting  rule.Rule
}

// Creative is an approved revision.
type Creative struct {
	ID         ad.ID
	LineItem   ad.ID
	Revision   int
	Format     ad.Format
	Width      int
	Height     int
	LandingURL string
	Image      ad.Image // Banner
	Markup     string   // HTML
}

// Property of the placements below, with its publisher.
type Property struct {
	ID           ad.ID
	Publisher    ad.ID
	Kind         ad.PropertyKind
	Domain       string
	RevenueShare int // basis points
}

// Placement is one ad slot.
type Placement struct {
	ID                 ad.ID
	Property           ad.ID
	Formats            []ad.Format
	Sizes              []ad.Size
	Floor              money.Micros // CPM
	BlockedAdvertisers []ad.ID
}

// Reason names why a file was refused. It is a metric tag, so the list is closed.
type Reason string

const (
	Truncated   Reason = "truncated"    // shorter than it says
	BadMagic    Reason = "bad_magic"    // not a snapshot
	BadVersion  Reason = "bad_version"  // a format this build does not read
	BadChecksum Reason = "bad_checksum" // not the bytes that were published
	BadPointer  Reason = "bad_pointer"  // latest.json is missing, unreadable, or disagrees with the object
	BadContent  Reason = "bad_content"  // checksum holds but the content breaks a rule of Snapshot
	TooLarge    Reason = "too_large"    // claims more than the reader's limit
	Older       Reason = "older"        // its generation is not above the one in use
	Shrunk      Reason = "shrunk"       // lost more than half of its line items at once
)

// Error says which file was refused and why.
type Error struct {
	Reason Reason
	Key    string // the object, "" when not yet known
	Detail string
}

func (e *Error) Error() string {
	name := "snapshot"
	if e.Key != "" {
		name += " " + e.Key
	}
	return name + " refused (" + string(e.Reason) + "): " + e.Detail
}
