package catalog

import (
	"fmt"
	"math"
	"math/bits"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/snapshot"
)

const million = 1_000_000

// valueOf is what a thousand impressions of a line item are expected to bring:
// its cost times how often that falls due. Rates are parts per million, so the
// product is divided by that, times a thousand impressions. It rounds half to
// even, and ends at the largest amount there is.
func valueOf(l *snapshot.LineItem, r snapshot.Rates) (money.Micros, error) {
	if r.Click > million || r.Conversion > million {
		return 0, fmt.Errorf("rates of %d clicks and %d conversions in a million", r.Click, r.Conversion)
	}
	switch l.CostType {
	case ad.CPM:
		return l.Cost, nil
	case ad.CPC:
		return mulDivEven(l.Cost, uint64(r.Click), million/1000), nil
	case ad.CPA:
		return mulDivEven(l.Cost, uint64(r.Click)*uint64(r.Conversion), million*million/1000), nil
	}
	return 0, fmt.Errorf("line item %d has an unknown type of cost, %.20q", l.ID, string(l.CostType))
}

// mulDivEven is m × num / den, rounded half to even; m is not negative.
func mulDivEven(m money.Micros, num, den uint64) money.Micros {
	high, low := bits.Mul64(uint64(m), num)
	if high >= den {
		return math.MaxInt64
	}
	quotient, rest := bits.Div64(high, low, den)
	if left := den - rest; rest > left || rest == left && quotient&1 == 1 {
		quotient++
	}
	return money.Micros(min(quotient, math.MaxInt64))
}

// floors convert placements' floors into the catalog's currency.
type floors map[string]money.Micros // what one unit is worth there, by currency; "" is the catalog's own

func newFloors(s *snapshot.Snapshot) (floors, error) {
	f := floors{"": money.Unit, s.Currency: money.Unit}
	for _, rate := range s.FX {
		if rate.Value <= 0 {
			return nil, fmt.Errorf("one %s is worth %v %s", rate.Currency, rate.Value, s.Currency)
		}
		f[rate.Currency] = rate.Value
	}
	return f, nil
}

// of rounds up: a publisher never gets less than what was asked for.
func (f floors) of(p *snapshot.Placement) (money.Micros, error) {
	if p.Floor < 0 {
		return 0, fmt.Errorf("placement %d has a floor of %v", p.ID, p.Floor)
	}
	rate, known := f[p.FloorCurrency]
	switch {
	case p.Floor == 0:
		return 0, nil
	case !known:
		return 0, fmt.Errorf("placement %d has a floor in %.10q, a currency without a rate", p.ID, p.FloorCurrency)
	}
	high, low := bits.Mul64(uint64(p.Floor), uint64(rate))
	if high >= uint64(money.Unit) {
		return math.MaxInt64, nil
	}
	quotient, rest := bits.Div64(high, low, uint64(money.Unit))
	if rest > 0 {
		quotient++
	}
	return money.Micros(min(quotient, math.MaxInt64)), nil
}
