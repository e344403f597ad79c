package ad

import (
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
