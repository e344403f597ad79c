package ad

import (
	"strings"
	"time"
	"unicode/utf8"

	"github.com/hayate-ads/hayate/internal/money"
)

// Correction says which traffic was found to be invalid after it was charged, and
// what the advertiser gets back for it: a credit. Zero ids, and a nil exchange,
// leave that open.
type Correction struct {
	ID           ID
	AdvertiserID ID
	LineItemID   ID
	CreativeID   ID
	PlacementID  ID
	ExchangeID   *ID       // 0: own inventory only; nil: whatever the way
	From, To     time.Time // whole UTC hours of the decisions; To is not included
	Why          string    // 1 to 500 characters; the invoice shows it
	Credit
	UserID ID // who said so; 0: the system
	At     time.Time
}

// Credit is what a correction gives back.
type Credit struct {
	Impressions int64        // of those charged
	Charged     money.Micros // to the advertiser
	Revenue     money.Micros // of publishers
}

const (
	maxCorrectionHours = 92 * 24
	maxWhy             = 500 // runes
)

// Validate checks what people say. The error is an [Invalid].
func (k Correction) Validate() error {
	var c checks
	c.parent("advertiser_id", k.AdvertiserID)
	for _, id := range []struct {
		field string
		value ID
	}{{"line_item_id", k.LineItemID}, {"creative_id", k.CreativeID}, {"placement_id", k.PlacementID}} {
		if id.value < 0 {
			c.fail(id.field, BadSyntax, "has to be an id: a whole number above 0")
		}
	}
	if k.ExchangeID != nil && *k.ExchangeID < 0 {
		c.fail("exchange_id", BadSyntax, "has to be an id, or 0 for own inventory")
	}
	c.hours(k.From, k.To)
	c.why(k.Why)
	return c.err()
}

func (c *checks) hours(from, to time.Time) {
	whole := true
	for _, end := range []struct {
		field string
		at    time.Time
	}{{"from", from}, {"to", to}} {
		switch {
		case end.at.IsZero():
			c.fail(end.field, Required, "has to be given")
		case !end.at.Equal(end.at.Truncate(time.Hour)):
			c.fail(end.field, BadSyntax, "has to be a whole hour of UTC")
		case end.at.Year() < firstYear || end.at.Year() > lastYear:
			c.fail(end.field, OutOfRange, "has to lie between %d and %d", firstYear, lastYear)
		default:
			continue
		}
		whole = false
	}
	switch {
	case !whole:
	case !to.After(from):
		c.fail("to", Order, "has to be after from")
	case to.Sub(from) > maxCorrectionHours*time.Hour:
		c.fail("to", OutOfRange, "must not be more than 92 days after from")
	}
}

func (c *checks) why(text string) {
	switch trimmed := strings.TrimSpace(text); {
	case !utf8.ValidString(text):
		c.fail("why", BadSyntax, "is not valid UTF-8")
	case trimmed == "":
		c.fail("why", Required, "has to be given: the invoice shows it")
	case utf8.RuneCountInString(trimmed) > maxWhy:
		c.fail("why", TooLong, "has more than %d characters", maxWhy)
	case strings.ContainsFunc(trimmed, deceives):
		c.fail("why", BadSyntax, "has a line break, a control character, an invisible one or one that turns the writing direction")
	}
}
