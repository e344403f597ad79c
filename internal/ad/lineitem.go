package ad

import (
	"errors"
	"fmt"
	"time"

	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/rule"
)

// Tier is the class in which a line item competes; a lower number wins over all
// higher ones, whatever the price (design §7).
type Tier uint8

const (
	Sponsorship Tier = iota + 1
	Guaranteed
	Auction
	House
)

// tiers is indexed by Tier.
var tiers = [...]string{Sponsorship: "sponsorship", Guaranteed: "guaranteed", Auction: "auction", House: "house"}

// ParseTier reads a tier's name: "auction".
func ParseTier(text string) (Tier, error) {
	for tier := Sponsorship; tier <= House; tier++ {
		if tiers[tier] == text {
			return tier, nil
		}
	}
	return 0, fmt.Errorf("no tier is called %.40q", text)
}

// String is the name that the API and the console use.
func (t Tier) String() string {
	if t < Sponsorship || t > House {
		return fmt.Sprintf("tier(%d)", uint8(t))
	}
	return tiers[t]
}

// CostType is what the advertiser pays for.
type CostType string

const (
	CPM CostType = "cpm" // a thousand impressions
	CPC CostType = "cpc" // a click
	CPA CostType = "cpa" // a conversion
)

// Roadblock says how many placements of one request a line item takes.
type Roadblock string

const (
	OneOrMore Roadblock = ""    // any number, each with another creative
	OnlyOne   Roadblock = "one" // one at most
	AllOrNone Roadblock = "all" // as many as it has creatives, companions that only show together
)

// MaxWeight is the largest weight of a line item among its equals.
const MaxWeight = 1000

// LineItem says what may be shown where, at which price, and for how much.
type LineItem struct {
	ID             ID
	CampaignID     ID
	Name           string
	Tier           Tier
	CPM            money.Micros  // price per thousand impressions; 0 only in the House tier
	LifetimeBudget *money.Micros // nil: no limit
	DailyBudget    *money.Micros // nil: no limit; a day of the advertiser's time zone
	StartsAt       time.Time
	EndsAt         time.Time // exclusive; zero: until the campaign ends
	Targeting      rule.Expr
	Status         Status
	Stamp
}

// Validate checks the fields that people set. The error is an [Invalid].
func (l LineItem) Validate() error {
	var c checks
	c.parent("campaign_id", l.CampaignID)
	c.name("name", l.Name)
	c.dates(l.StartsAt, l.EndsAt)
	c.status(l.Status)
	c.price(l)
	c.budget("lifetime_budget", l.LifetimeBudget)
	c.budget("daily_budget", l.DailyBudget)
	if l.LifetimeBudget != nil && l.DailyBudget != nil && *l.DailyBudget > *l.LifetimeBudget {
		c.fail("daily_budget", Conflict, "must not be above the lifetime budget")
	}
	c.targeting(l.Targeting)
	return c.err()
}

func (c *checks) price(l LineItem) {
	switch {
	case l.Tier < Sponsorship || l.Tier > House:
		c.fail("tier", Unknown, "has to be sponsorship, guaranteed, auction or house")
	case l.CPM < 0 || l.CPM > maxCPM:
		c.fail("cpm", OutOfRange, "has to be at least 0 and at most %s", maxCPM)
	case l.Tier != House && l.CPM > 0 && money.PerImpression(l.CPM) == 0:
		c.fail("cpm", OutOfRange, "is less than one millionth for each impression")
	case l.CPM == 0 && l.Tier != House:
		c.fail("cpm", Required, "has to be above 0; only the house tier is free")
	}
}

// targeting takes over what package rule says, with its code.
func (c *checks) targeting(e rule.Expr) {
	_, err := rule.Normalise(e)
	if wrong := (*rule.Error)(nil); errors.As(err, &wrong) {
		field := "targeting"
		if wrong.Path != "" {
			field += "." + wrong.Path
		}
		c.fail(field, wrong.Code, "%s", wrong.Message)
	}
}
