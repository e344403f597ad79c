// Package snapshot is the file that carries all that delivery needs from
// batch publish to the delivery processes: immutable, versioned, checksummed.
//
// An object snapshots/<generation>-<first 16 hex digits of its sha256>.snap holds
// it; the pointer snapshots/latest.json names the newest one with its size and
// full checksum. Generations only count up. A reader refuses, by name, whatever
// it cannot prove whole: see [Error].
package snapshot

import (
	"slices"
	"strings"
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
	FX          []ExchangeRate
	Rates       Rates
	Values      *rule.Table // numbers the values of Targeting, in ascending order of text; see SortValues
	Advertisers []Advertiser
	LineItems   []LineItem
	Creatives   []Creative
	Properties  []Property
	Placements  []Placement
}

// ExchangeRate says what one unit of another currency is worth.
type ExchangeRate struct {
	Currency string       // ISO 4217, ascending, never the snapshot's own
	Value    money.Micros // of one unit of it, in the snapshot's currency; above 0
}

// Rates are how likely an impression leads to a click, and a click to a
// conversion, in parts per million: constants until a model arrives.
type Rates struct {
	Click      uint32
	Conversion uint32
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
	CostType   ad.CostType
	Cost       money.Micros // of a thousand impressions, a click or a conversion
	Weight     int          // 1 to ad.MaxWeight, among equals
	Urgency    int          // guaranteed tier: thousandths of the pace it needs, 1000 is on schedule; 0 to MaxUrgency
	Roadblock  ad.Roadblock
	Labels     []string // ascending: no two line items of one decision share one
	StartsAt   time.Time
	EndsAt     time.Time // exclusive; zero: open end
	Targeting  rule.Packed
}

// Bounds that let delivery keep what excludes in few bits.
const (
	MaxUrgency   = 10_000
	MaxLabels    = 65_535 // different ones in a snapshot
	MaxAttribute = 63     // AdCOM names 17 today; newer ones are taken as they are
)

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
	Categories []string // of what it advertises, values of rule.Category, ascending
	Attributes []uint8  // AdCOM "Creative Attributes", ascending
}

// Property of the placements below, with its publisher.
type Property struct {
	ID           ad.ID
	Publisher    ad.ID
	Kind         ad.PropertyKind
	Domain       string
	Categories   []string // of its content, values of rule.Category, ascending
	RevenueShare int      // basis points
}

// Placement is one ad slot.
type Placement struct {
	ID                 ad.ID
	Property           ad.ID
	Formats            []ad.Format
	Sizes              []ad.Size
	Floor              money.Micros // per mille, in FloorCurrency; binds the auction tier
	FloorCurrency      string       // ISO 4217: the snapshot's or one of FX
	AuctionType        ad.AuctionType
	Position           string // a value of rule.Position, or ""
	BlockedAdvertisers []ad.ID
	BlockedCategories  []string // values of rule.Category, ascending
	BlockedAttributes  []uint8  // AdCOM "Creative Attributes", ascending
}

// SortValues brings Values into ascending order and renumbers the rules. Whoever
// packs rules calls it once at the end: [Check] wants it, since then numbers
// compare as their texts do.
func (s *Snapshot) SortValues() {
	n := s.Values.Len()
	order := make([]uint32, n) // new number -> old number
	for i := range order {
		order[i] = uint32(i)
	}
	slices.SortFunc(order, func(a, b uint32) int { return strings.Compare(s.Values.Text(a), s.Values.Text(b)) })
	texts, numbers := make([]string, n), make([]uint32, n)
	for i, old := range order {
		texts[i], numbers[old] = s.Values.Text(old), uint32(i)
	}
	s.Values = rule.NewTable(texts)
	for i := range s.LineItems {
		for c := range s.LineItems[i].Targeting.Conjunctions() {
			for t := range c.Terms() {
				for j, old := range t.Values {
					t.Values[j] = numbers[old]
				}
			}
		}
	}
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
