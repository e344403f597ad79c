package ad

import "github.com/hayate-ads/hayate/internal/money"

// ExchangeRate says what one unit of a currency is worth in the installation's
// currency. Operators keep it; floors in other currencies need one.
type ExchangeRate struct {
	ID       ID
	Currency string       // ISO 4217, unique
	Value    money.Micros // of one unit, above 0 and at most a million units
	Stamp
}

const maxRate = 1_000_000 * money.Unit

// Validate checks the fields that people set. The error is an [Invalid].
func (r ExchangeRate) Validate() error {
	var c checks
	c.currency("currency", r.Currency)
	if r.Value <= 0 || r.Value > maxRate {
		c.fail("value", OutOfRange, "has to be above 0 and at most %s", maxRate)
	}
	return c.err()
}
