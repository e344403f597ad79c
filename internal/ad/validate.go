package ad

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"
	"golang.org/x/text/currency"

	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/rule"
)

// Codes of [FieldError]. They are part of the API: never rename one.
const (
	Required   = "required"
	TooLong    = "too_long"
	OutOfRange = "out_of_range"
	BadSyntax  = "bad_syntax" // not of the form that the field asks for
	Unknown    = "unknown"    // not one of the values there are
	Repeated   = "repeated"   // given twice
	Order      = "order"      // the end is not after the start
	Conflict   = "conflict"   // contradicts another field
	Taken      = "taken"      // somebody else has it already
	Immutable  = "immutable"  // was settled at creation
	Final      = "final"      // archived: no change is accepted any more
)

const (
	maxName   = 200 // runes
	maxDomain = 253 // bytes
	maxCPM    = 100_000 * money.Unit
)

// checks gathers what is wrong.
type checks struct{ found Invalid }

func (c *checks) fail(field, code, format string, args ...any) {
	c.found = append(c.found, FieldError{field, code, fmt.Sprintf(format, args...)})
}

// err is nil when nothing was found; an empty Invalid in an error would not be.
func (c *checks) err() error {
	if len(c.found) == 0 {
		return nil
	}
	return c.found
}

// name checks text that people type and that pages show in one line.
func (c *checks) name(field, text string) {
	switch trimmed := strings.TrimSpace(text); {
	case !utf8.ValidString(text):
		c.fail(field, BadSyntax, "is not valid UTF-8")
	case trimmed == "":
		c.fail(field, Required, "has to be given")
	case utf8.RuneCountInString(trimmed) > maxName:
		c.fail(field, TooLong, "has more than %d characters", maxName)
	case strings.ContainsFunc(trimmed, deceives):
		c.fail(field, BadSyntax, "has a control character, an invisible one or one that turns the writing direction")
	}
}

// deceives tells of characters that make text look like other text, or break
// the line it stands in.
func deceives(r rune) bool {
	switch {
	case unicode.IsControl(r):
		return true
	case r == '\u2028' || r == '\u2029': // line and paragraph separators
		return true
	case r >= '\u202a' && r <= '\u202e', r >= '\u2066' && r <= '\u2069', r == '\u200e', r == '\u200f', r == '\u061c': // directions
		return true
	case r >= '\u200b' && r <= '\u200d', r == '\u2060', r == '\ufeff', r == '\u00ad', r == '\u180e': // without width
		return true
	case r >= 0xe0000 && r <= 0xe007f: // tags
		return true
	}
	return false
}

// domain checks a host name under a public suffix, as browsers send it.
func (c *checks) domain(field, host string) {
	switch {
	case host == "":
		c.fail(field, Required, "has to be given")
	case len(host) > maxDomain:
		c.fail(field, TooLong, "has more than %d bytes", maxDomain)
	case !isHost(host):
		c.fail(field, BadSyntax, "has to be a domain such as example.com, in lower case, international ones in their xn-- form")
	default:
		if suffix, listed := publicsuffix.PublicSuffix(host); listed && suffix == host {
			c.fail(field, BadSyntax, "is a public suffix under which others register their domains")
		}
	}
}

// isHost tells whether host is two or more labels of letters, digits and inner
// hyphens, the last of which is no number: an IP address is no domain.
func isHost(host string) bool {
	labels := strings.Split(host, ".")
	for _, label := range labels {
		if !isLabel(label) {
			return false
		}
	}
	if _, err := strconv.Atoi(labels[len(labels)-1]); err == nil || len(labels) < 2 {
		return false
	}
	ascii, err := idna.Lookup.ToASCII(host) // also proves that xn-- labels decode
	return err == nil && ascii == host
}

func isLabel(label string) bool {
	if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
		return false
	}
	for i := range len(label) {
		c := label[i]
		if c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}

// Years within which all dates lie: a typing error of a digit is none of them.
const firstYear, lastYear = 2000, 2099

// dates checks a period with an exclusive end, which may be open.
func (c *checks) dates(start, end time.Time) {
	if start.IsZero() {
		c.fail("starts_at", Required, "has to be given")
	} else if year := start.UTC().Year(); year < firstYear || year > lastYear {
		c.fail("starts_at", OutOfRange, "has to lie between %d and %d", firstYear, lastYear)
	}
	if end.IsZero() {
		return
	}
	if year := end.UTC().Year(); year < firstYear || year > lastYear {
		c.fail("ends_at", OutOfRange, "has to lie between %d and %d", firstYear, lastYear)
	} else if !end.After(start) {
		c.fail("ends_at", Order, "has to be after the start")
	}
}

// budget checks a budget that may be absent.
func (c *checks) budget(field string, budget *money.Micros) {
	if budget != nil && (*budget <= 0 || *budget > money.Max) {
		c.fail(field, OutOfRange, "has to be above 0 and at most %s; none at all means no limit", money.Max)
	}
}

// currency checks an ISO 4217 code: one that nobody has would never get a rate.
func (c *checks) currency(field, code string) {
	if !isCurrency(code) {
		c.fail(field, Unknown, "has to be an ISO 4217 currency code in capitals, such as EUR")
	}
}

// isCurrency leaves out the codes for "no currency" and for tests.
func isCurrency(code string) bool {
	unit, err := currency.ParseISO(code)
	return err == nil && unit.String() == code && unit != currency.XXX && unit != currency.XTS
}

// categories checks a list of rule.Category values.
func (c *checks) categories(field string, list []string, most int) {
	if len(list) > most {
		c.fail(field, TooLong, "has more than %d categories", most)
		return
	}
	for i, category := range list {
		if !rule.Category.Valid(category) {
			c.fail(field, Unknown, "has %.40q, which is no IAB content category such as iab1/IAB17", category)
			return
		}
		if i > 0 && category <= list[i-1] {
			c.fail(field, Order, "has to be in ascending order without repeats")
			return
		}
	}
}

// attributes checks a list of AdCOM's creative attributes.
func (c *checks) attributes(field string, list []int) {
	for i, attribute := range list {
		if attribute < 1 || attribute > MaxAttribute {
			c.fail(field, Unknown, "may have AdCOM's creative attributes, 1 to %d, only", MaxAttribute)
			return
		}
		if i > 0 && attribute <= list[i-1] {
			c.fail(field, Order, "has to be in ascending order without repeats")
			return
		}
	}
}

func (c *checks) between(field string, value, low, high int) {
	if value < low || value > high {
		c.fail(field, OutOfRange, "has to be between %d and %d", low, high)
	}
}

// parent checks the id of the thing above.
func (c *checks) parent(field string, id ID) {
	if id <= 0 {
		c.fail(field, Required, "has to be given")
	}
}

func (c *checks) status(s Status) {
	if _, err := ParseStatus(string(s)); err != nil {
		c.fail("status", Unknown, "has to be active, paused or archived")
	}
}
