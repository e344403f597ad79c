package ad

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

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

// ParseRoadblock accepts the kinds there are; the empty text is one of them.
func ParseRoadblock(text string) (Roadblock, error) {
	return oneOf("roadblock", Roadblock(text), OneOrMore, OnlyOne, AllOrNone)
}

// Bounds of what ranks and excludes.
const (
	MaxWeight = 1000 // of a line item among its equals
	maxLabels = 10
	maxLabel  = 50 // bytes
)

// LineItem says what may be shown where, at which price, and for how much.
type LineItem struct {
	ID             ID
	CampaignID     ID
	Name           string
	Tier           Tier
	CPM            money.Micros // price per thousand impressions; 0 only in the House tier
	Weight         int          // share among equals, 1 to MaxWeight; 0 means 1
	Roadblock      Roadblock
	Labels         []string      // competitive exclusion: no two line items of one decision share one ("cars"); ascending
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
	if l.Weight < 0 || l.Weight > MaxWeight {
		c.fail("weight", OutOfRange, "has to be between 1 and %d", MaxWeight)
	}
	if _, err := ParseRoadblock(string(l.Roadblock)); err != nil {
		c.fail("roadblock", Unknown, "has to be one or all, or empty for no roadblock")
	}
	c.labels(l.Labels)
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

// labels have one spelling each, since they exclude by being equal.
func (c *checks) labels(labels []string) {
	if len(labels) > maxLabels {
		c.fail("labels", TooLong, "has more than %d labels", maxLabels)
		return
	}
	for i, label := range labels {
		switch {
		case label == "" || strings.TrimSpace(label) != label || strings.ToLower(label) != label,
			!utf8.ValidString(label) || strings.ContainsFunc(label, deceives):
			c.fail("labels", BadSyntax, "has to have labels in lower case, such as cars")
			return
		case len(label) > maxLabel:
			c.fail("labels", TooLong, "has a label of more than %d bytes", maxLabel)
			return
		case i > 0 && label <= labels[i-1]:
			c.fail("labels", Order, "has to be in ascending order without repeats")
			return
		}
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
