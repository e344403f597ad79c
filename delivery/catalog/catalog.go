// Package catalog is a snapshot compiled for serving: dense arrays in rank order
// with the targeting index over them.
//
// A [Catalog] never changes but for two bits per line item. A line item is
// *eligible* while it is in date and not stopped, and *live* while it is
// eligible and this process has a lease for it. Requests scan the live ones, a
// few of them the eligible ones to learn which leases are wanted (design §5.1).
package catalog

import (
	"iter"
	"time"

	"github.com/hayate-ads/hayate/delivery/lease"
	"github.com/hayate-ads/hayate/delivery/target"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/snapshot"
)

// Catalog is what a request decides from. It takes the pointer to one once.
type Catalog struct {
	Generation uint64
	CreatedAt  time.Time // of the snapshot, bank time: later stops are not in it
	Currency   string    // ISO 4217, of every price

	Advertisers []Advertiser  // by id
	LineItems   []LineItem    // in rank order: tier, then what counts inside it, then id
	Creatives   []Creative    // by line item in that order: those of one line item are neighbours
	Shapes      []Shape       // by Creative.Shape
	Index       *target.Index // its items are LineItems

	texts      string // landing URLs, markup and images' digests, end to end
	zones      []*time.Location
	tierEnds   [ad.House + 1]int // by tier: the first line item of a later one
	peers      []uint32          // per LineItem.peers, and one more: the first line item of the group
	companions target.Mask
	placements placements
	state      state
}

// Advertiser of line items.
type Advertiser struct {
	ID     ad.ID
	Domain string
	Zone   uint16 // see Catalog.ZoneName
}

// LineItem in rank order. There are a million of them, so the fields are no
// wider than they need to be.
type LineItem struct {
	ID         ad.ID
	Campaign   ad.ID
	Advertiser ad.ID
	Cost       money.Micros // of a thousand impressions, a click or a conversion
	Value      money.Micros // expected, of a thousand impressions: what the auction tier ranks by, and floors ask for
	Price      money.Micros // that one impression reserves: money.PerImpression(Cost) of CPM, else 0
	StartsAt   int64        // Unix microseconds, inclusive
	EndsAt     int64        // Unix microseconds, exclusive; math.MaxInt64: open end
	Slot       *lease.Slot  // where its current lease is, if any
	Creatives  []Creative   // part of Catalog.Creatives, grouped by Shape, then by id
	Labels     []uint16     // numbers, ascending: no two line items of one decision share one
	Owner      uint32       // its advertiser's place in Catalog.Advertisers
	Urgency    int32        // of the guaranteed tier, thousandths
	Weight     uint16       // 1 to ad.MaxWeight, among its peers
	Zone       uint16       // of its advertiser: see Catalog.ZoneName
	Tier       ad.Tier

	costType  uint8  // in costTypes
	roadblock uint8  // in roadblocks
	peers     uint32 // its group of equal rank
	ahead     uint32 // the weights of those of its group that stand before it
}

// CostType is what its advertiser pays for.
func (l *LineItem) CostType() ad.CostType { return costTypes[l.costType] }

// Roadblock says how many placements of one request it takes.
func (l *LineItem) Roadblock() ad.Roadblock { return roadblocks[l.roadblock] }

// Strings cost 16 bytes where a number costs one.
var (
	costTypes  = [...]ad.CostType{ad.CPM, ad.CPC, ad.CPA}
	roadblocks = [...]ad.Roadblock{ad.OneOrMore, ad.OnlyOne, ad.AllOrNone}
)

// Creative of a line item. Its format and size are Catalog.Shapes[Shape], its
// texts are what [Catalog.Landing], [Catalog.Image] and [Catalog.Markup] return.
type Creative struct {
	ID         ad.ID
	Attributes uint64   // bit n: AdCOM "Creative Attributes" n
	Categories []uint16 // numbers of its categories and of all their ancestors, ascending
	Index      int      // in Catalog.Creatives
	Item       uint32   // its line item's place
	Revision   int32
	Shape      uint16 // in Catalog.Shapes

	image   uint8 // in imageTypes
	landing span
	content span // the digest of a banner's image as 32 bytes, or markup
}

// span is a part of Catalog.texts. A snapshot has 1 GB at most.
type span struct{ from, n uint32 }

// Shape is what a creative needs of a placement and a placement offers.
type Shape struct {
	Format        ad.Format
	Width, Height int // CSS pixels
}

// Landing is where a creative's click ends: http or https, without white space
// or control characters.
func (c *Catalog) Landing(of *Creative) string { return c.text(of.landing) }

// Image is the SHA-256 digest of a banner's image, 32 bytes, and its media type.
func (c *Catalog) Image(of *Creative) (digest, mediaType string) {
	return c.text(of.content), imageTypes[of.image]
}

// Markup of an HTML creative.
func (c *Catalog) Markup(of *Creative) string { return c.text(of.content) }

func (c *Catalog) text(s span) string { return c.texts[s.from : s.from+s.n] }

// Placement that a request may ask for.
type Placement struct {
	snapshot.Placement
	Publisher         ad.ID
	Domain            string       // of its property
	Share             uint16       // its publisher's part of what is charged, basis points
	MinValue          money.Micros // its floor in the catalog's currency, per mille, rounded up: what LineItem.Value must reach
	BlockedCategories []uint16     // numbers, ascending: what Creative.Categories must not meet
	BlockedAttributes uint64       // bits: what Creative.Attributes must not meet
	Shapes            []uint16     // what it shows, as far as any creative has it, ascending
	Supply            *target.Supply
}

// LineItem finds a line item by id, nil when there is none.
func (c *Catalog) LineItem(id ad.ID) *LineItem {
	if i, ok := c.place(id); ok {
		return &c.LineItems[i]
	}
	return nil
}

// IDs yields those of all line items, in rank order.
func (c *Catalog) IDs() iter.Seq[ad.ID] {
	return func(yield func(ad.ID) bool) {
		for i := range c.LineItems {
			if !yield(c.LineItems[i].ID) {
				return
			}
		}
	}
}

func (c *Catalog) place(lineItem ad.ID) (int, bool) {
	return c.state.lineItems.find(lineItem, c.lineItemID)
}

func (c *Catalog) lineItemID(place int) ad.ID { return c.LineItems[place].ID }

func (c *Catalog) creativeID(place int) ad.ID { return c.Creatives[place].ID }

// TierEnd is the place of the first line item beyond that tier.
func (c *Catalog) TierEnd(tier ad.Tier) int { return c.tierEnds[tier] }

// Peers is the range [from, to) of line items that rank like the line item at
// a place.
func (c *Catalog) Peers(item int) (from, to int) {
	group := c.LineItems[item].peers
	return int(c.peers[group]), int(c.peers[group+1])
}

// ZoneName is the IANA name of an advertiser's time zone by LineItem.Zone.
func (c *Catalog) ZoneName(zone uint16) string { return c.zones[zone].String() }
