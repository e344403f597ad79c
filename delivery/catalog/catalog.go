// Package catalog is a snapshot compiled for serving: dense arrays in rank order
// with the targeting index over them.
//
// A [Catalog] never changes but for two bits per line item. A line item is
// *eligible* while it is in date and not stopped, and *live* while it is
// eligible and this process has a lease for it. Requests scan the live ones, a
// few of them the eligible ones to learn which leases are wanted (design §5.1).
package catalog

import (
	"time"

	"github.com/hayate-ads/hayate/delivery/lease"
	"github.com/hayate-ads/hayate/delivery/target"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/rule"
	"github.com/hayate-ads/hayate/internal/snapshot"
)

// Catalog is what a request decides from. It takes the pointer to one once.
type Catalog struct {
	Generation uint64
	CreatedAt  time.Time // of the snapshot, bank time: later stops are not in it
	Currency   string    // ISO 4217, of every price

	LineItems []LineItem    // in rank order: tier, then CPM descending, then id
	Creatives []Creative    // by line item in that order: those of one line item are neighbours
	Index     *target.Index // its items are LineItems
}

// LineItem in rank order.
type LineItem struct {
	ID         ad.ID
	Campaign   ad.ID
	Advertiser ad.ID
	Tier       ad.Tier
	CPM        money.Micros
	Price      money.Micros // of one impression: money.PerImpression(CPM)
	StartsAt   int64        // Unix microseconds, inclusive
	EndsAt     int64        // Unix microseconds, exclusive; math.MaxInt64: open end
	Slot       *lease.Slot  // where its current lease is, if any
	Creatives  []Creative   // part of Catalog.Creatives, grouped by Shape, then by id
	Targeting  rule.Rule    // for explaining; the index serves
	Zone       int          // of its advertiser
}

// Creative of a line item.
type Creative struct {
	ID         ad.ID
	Index      int // in Catalog.Creatives
	Shape      uint16
	Revision   int
	Format     ad.Format
	Width      int
	Height     int
	LandingURL string // http or https, no control characters
	Image      ad.Image
	Markup     string
	Domain     string // of its advertiser
}

// Placement that a request may ask for.
type Placement struct {
	snapshot.Placement
	Publisher ad.ID
	Domain    string         // of its property
	Shapes    []uint16       // what it shows, ascending
	Supply    *target.Supply // the same for the index
}

// Compile makes a catalog from a snapshot, and resolves the line items' slots
// from book. No line item is live at first, and none eligible: call Tick, then
// SetLive and SetStopped for what the bank knows. It fails on content that no
// publisher of snapshots should have let through, naming it.
func Compile(s *snapshot.Snapshot, book *lease.Book) (*Catalog, error) { panic("unwritten") }

// Placement finds a placement, nil when there is none of that id.
func (c *Catalog) Placement(id ad.ID) *Placement { panic("unwritten") }

// LineItem finds a line item by id, nil when there is none.
func (c *Catalog) LineItem(id ad.ID) *LineItem { panic("unwritten") }

// Tick derives again what follows from the time: which line items are in date,
// and the hours of the week. Call it once before serving and then once a
// second, with bank time; it costs what has changed.
func (c *Catalog) Tick(now time.Time) { panic("unwritten") }

// SetLive says whether this process has a lease for the line item. Unknown ids
// are ignored: a lease may outlive its line item's stay in the snapshot.
func (c *Catalog) SetLive(lineItem ad.ID, live bool) { panic("unwritten") }

// SetStopped says whether a thing may serve; kind is "advertiser", "campaign",
// "line_item" or "creative", and other kinds and unknown ids are ignored.
func (c *Catalog) SetStopped(kind string, id ad.ID, stopped bool) { panic("unwritten") }

// Live is the mask of rows that serve.
func (c *Catalog) Live() target.Mask { panic("unwritten") }

// Eligible is the mask of rows that would serve, had they a lease.
func (c *Catalog) Eligible() target.Mask { panic("unwritten") }

// Hours is the state of the hour-of-week terms at the last Tick, for
// target.Query; nil before the first.
func (c *Catalog) Hours() *target.Hours { panic("unwritten") }

// CreativeStopped tells whether the creative of that index is stopped.
func (c *Catalog) CreativeStopped(index int) bool { panic("unwritten") }
