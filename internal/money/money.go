// Package money holds amounts as whole micros, millionths of a currency unit.
//
// No amount is ever a float: 2.01 parsed through a float64 and truncated is
// 2009999 micros, and a house that proves its ledger to the micro cannot start
// by losing one. The package uses the standard library only, so that every
// other package may use it.
package money

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
)

// Micros is an amount in millionths of a currency unit; 1.50 is 1_500_000.
type Micros int64

// Unit is one whole currency unit.
const Unit Micros = 1_000_000

// Max is the largest amount accepted from outside, 1e12 units. It leaves room
// for nine such amounts in an int64, so that sums of a few limits cannot wrap.
const Max = 1_000_000_000_000 * Unit

// ErrSyntax reports text that is not a plain decimal such as "12", "0.5" or "-3.25".
var ErrSyntax = errors.New("not a decimal amount")

// ErrPrecision reports a decimal with non-zero digits beyond the sixth place.
var ErrPrecision = errors.New("more than six decimal places")

// ErrRange reports an amount outside ±[Max].
var ErrRange = errors.New("amount out of range")

// Parse reads a plain decimal: an optional minus, digits, and at most six
// decimal places (further ones must be zeros). It takes no plus sign, exponent,
// thousands separator, comma or surrounding space, because each of them means
// something else to somebody. Errors wrap [ErrSyntax], [ErrPrecision] or [ErrRange].
func Parse(s string) (Micros, error) {
	amount, err := parse(s)
	if err != nil {
		return 0, fmt.Errorf("%q: %w", clip(s), err)
	}
	return amount, nil
}

func parse(s string) (Micros, error) {
	negative := len(s) > 0 && s[0] == '-'
	if negative {
		s = s[1:]
	}
	var whole, fraction int64
	digits, places, seenPoint := 0, 0, false
	for i := range len(s) {
		c := s[i]
		switch {
		case c == '.' && !seenPoint && digits > 0:
			seenPoint = true
		case c < '0' || c > '9':
			return 0, ErrSyntax
		case !seenPoint:
			digits++
			whole = whole*10 + int64(c-'0')
			if whole > int64(Max/Unit) {
				return 0, tooLarge(s)
			}
		case places < 6:
			places++
			fraction = fraction*10 + int64(c-'0')
		case c != '0':
			return 0, ErrPrecision
		}
	}
	if digits == 0 || (seenPoint && places == 0) {
		return 0, ErrSyntax
	}
	for ; places < 6; places++ {
		fraction *= 10
	}
	amount := Micros(whole)*Unit + Micros(fraction)
	if amount > Max {
		return 0, ErrRange
	}
	if negative {
		amount = -amount
	}
	return amount, nil
}

// tooLarge tells a number beyond the range from text that is no number at all.
func tooLarge(s string) error {
	points := 0
	for i := range len(s) {
		if s[i] == '.' {
			points++
		} else if s[i] < '0' || s[i] > '9' {
			return ErrSyntax
		}
	}
	if points > 1 {
		return ErrSyntax
	}
	return ErrRange
}

// clip bounds what an error repeats of its input.
func clip(s string) string {
	if len(s) > 40 {
		return s[:40] + "…"
	}
	return s
}

// String is the shortest decimal with at least two places: "1.50", "0.000001".
func (m Micros) String() string { return string(m.Append(nil)) }

// Append appends what [Micros.String] returns.
func (m Micros) Append(dst []byte) []byte {
	u := uint64(m)
	if m < 0 {
		dst = append(dst, '-')
		u = -u
	}
	dst = appendUint(dst, u/1_000_000)
	dst = append(dst, '.')
	fraction := u % 1_000_000
	for scale, place := uint64(100_000), 1; place <= 6; scale, place = scale/10, place+1 {
		if place > 2 && fraction == 0 {
			break
		}
		dst = append(dst, byte('0'+fraction/scale))
		fraction %= scale
	}
	return dst
}

func appendUint(dst []byte, u uint64) []byte {
	var buf [20]byte
	i := len(buf)
	for {
		i--
		buf[i] = byte('0' + u%10)
		u /= 10
		if u == 0 {
			return append(dst, buf[i:]...)
		}
	}
}

// MarshalText writes the decimal, so that JSON shows money as a string and no
// client reads it into a float.
func (m Micros) MarshalText() ([]byte, error) { return m.Append(nil), nil }

// UnmarshalText is [Parse].
func (m *Micros) UnmarshalText(text []byte) error {
	amount, err := Parse(string(text))
	if err != nil {
		return err
	}
	*m = amount
	return nil
}

// PerImpression is the price of one impression at a price per thousand (CPM),
// rounded half to even once, here and nowhere else (design §5.4).
func PerImpression(cpm Micros) Micros {
	q, r := cpm/1000, cpm%1000
	if r < 0 {
		q, r = q-1, r+1000
	}
	if r > 500 || (r == 500 && q&1 == 1) {
		q++
	}
	return q
}

// MulDiv is m × num / den rounded towards zero, with a 128-bit product.
// It panics when den is zero and saturates when the result leaves int64; all
// three arguments must not be negative (shares, clearing ratios).
func (m Micros) MulDiv(num, den int64) Micros {
	hi, lo := bits.Mul64(uint64(m), uint64(num))
	if hi >= uint64(den) {
		return math.MaxInt64
	}
	q, _ := bits.Div64(hi, lo, uint64(den))
	return Micros(min(q, math.MaxInt64))
}
