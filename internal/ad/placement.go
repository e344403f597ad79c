package ad

import (
	"fmt"
	"slices"

	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/rule"
)

// Placement is one ad slot of a property.
type Placement struct {
	ID                 ID
	PropertyID         ID
	Name               string
	Formats            []Format     // what may fill it, at least one
	Sizes              []Size       // at least one unless the formats are only native or video
	Floor              money.Micros // lowest CPM that may fill it from the auction tier, in FloorCurrency
	FloorCurrency      string       // ISO 4217; empty: the installation's currency
	AuctionType        AuctionType  // 0 means FirstPrice
	Position           string       // a value of rule.Position; empty: not known
	BlockedAdvertisers []ID         // ascending
	BlockedCategories  []string     // values of rule.Category, ascending
	BlockedAttributes  []int        // AdCOM 1.0 "Creative Attributes", 1 to MaxAttribute, ascending
	Status             Status
	Stamp
}

// AuctionType is what the winner of a placement pays, numbered as OpenRTB's "at".
type AuctionType uint8

const (
	FirstPrice  AuctionType = 1 // its own price
	SecondPrice AuctionType = 2 // a cent more than what it had to beat
)

// auctionTypes is indexed by AuctionType.
var auctionTypes = [...]string{FirstPrice: "first", SecondPrice: "second"}

// ParseAuctionType reads the name: "first" or "second".
func ParseAuctionType(text string) (AuctionType, error) {
	for t := FirstPrice; t <= SecondPrice; t++ {
		if auctionTypes[t] == text {
			return t, nil
		}
	}
	return 0, fmt.Errorf("no type of auction is called %.40q", text)
}

// String is the name that the API and the console use.
func (t AuctionType) String() string {
	if t < FirstPrice || t > SecondPrice {
		return fmt.Sprintf("auction(%d)", uint8(t))
	}
	return auctionTypes[t]
}

// Size is in CSS pixels, 1 to 10000 each.
type Size struct{ Width, Height int }

const (
	maxSide              = 10_000 // CSS pixels
	maxSizes             = 50
	maxBlocked           = 10_000 // advertisers
	maxBlockedCategories = 1000
)

// Validate checks the fields that people set. The error is an [Invalid].
func (p Placement) Validate() error {
	var c checks
	c.parent("property_id", p.PropertyID)
	c.name("name", p.Name)
	c.status(p.Status)
	c.formats(p.Formats)
	c.sizes(p)
	if p.Floor < 0 || p.Floor > maxCPM {
		c.fail("floor", OutOfRange, "has to be between 0 and %s", maxCPM)
	}
	if p.FloorCurrency != "" {
		c.currency("floor_currency", p.FloorCurrency)
	}
	if p.AuctionType > SecondPrice {
		c.fail("auction_type", Unknown, "has to be first or second")
	}
	if p.Position != "" && !rule.Position.Valid(p.Position) {
		c.fail("position", Unknown, "has to be above_fold, below_fold, header, footer, sidebar or fullscreen")
	}
	c.blockedAdvertisers(p)
	c.categories("blocked_categories", p.BlockedCategories, maxBlockedCategories)
	c.attributes("blocked_attributes", p.BlockedAttributes)
	return c.err()
}

func (c *checks) blockedAdvertisers(p Placement) {
	if len(p.BlockedAdvertisers) > maxBlocked {
		c.fail("blocked_advertisers", TooLong, "has more than %d ids", maxBlocked)
	}
	for i, id := range p.BlockedAdvertisers {
		if id <= 0 || (i > 0 && id <= p.BlockedAdvertisers[i-1]) {
			c.fail("blocked_advertisers", Order, "has to be a list of ids in ascending order without repeats")
			return
		}
	}
}

func (c *checks) formats(formats []Format) {
	if len(formats) == 0 {
		c.fail("formats", Required, "has to name at least one of banner, html, native and video")
	}
	for i, format := range formats {
		if _, err := ParseFormat(string(format)); err != nil {
			c.fail("formats", Unknown, "may have banner, html, native and video only")
			return
		}
		if slices.Contains(formats[:i], format) {
			c.fail("formats", Repeated, "has %s twice", format)
			return
		}
	}
}

func (c *checks) sizes(p Placement) {
	needed := slices.Contains(p.Formats, Banner) || slices.Contains(p.Formats, HTML)
	switch {
	case needed && len(p.Sizes) == 0:
		c.fail("sizes", Required, "has to have at least one size for banner and html")
	case len(p.Sizes) > maxSizes:
		c.fail("sizes", TooLong, "has more than %d sizes", maxSizes)
		return
	}
	for i, size := range p.Sizes {
		if size.Width < 1 || size.Width > maxSide || size.Height < 1 || size.Height > maxSide {
			c.fail("sizes", OutOfRange, "has to have widths and heights between 1 and %d", maxSide)
			return
		}
		if slices.Contains(p.Sizes[:i], size) {
			c.fail("sizes", Repeated, "has %dx%d twice", size.Width, size.Height)
			return
		}
	}
}
