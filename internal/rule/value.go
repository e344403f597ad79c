package rule

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// The checks of values accept one spelling of each value only, since values are
// compared as text. They answer errOther where the dimension's description says
// all there is to say, else an error that completes "it …".
var errOther = errors.New("is something else")

// orOther turns the answer of a check without reasons into an error.
func orOther(valid bool) error {
	if valid {
		return nil
	}
	return errOther
}

func isID(value string) error {
	id, err := strconv.ParseInt(value, 10, 64)
	return orOther(err == nil && id > 0 && strconv.FormatInt(id, 10) == value)
}

// isNumber accepts decimal numbers from least to most.
func isNumber(value string, least, most uint64) bool {
	n, err := strconv.ParseUint(value, 10, 64)
	return err == nil && n >= least && n <= most && strconv.FormatUint(n, 10) == value
}

func isHour(value string) error  { return orOther(isNumber(value, 0, 7*24-1)) }
func isMetro(value string) error { return orOther(isNumber(value, 500, 899)) }
func isASN(value string) error   { return orOther(isNumber(value, 1, 1<<32-1)) }

// maxSide is as [github.com/hayate-ads/hayate/internal/ad] bounds sizes.
const maxSide = 10_000

func isSize(value string) error {
	width, height, found := strings.Cut(value, "x")
	return orOther(found && isNumber(width, 1, maxSide) && isNumber(height, 1, maxSide))
}

func oneOf(list ...string) func(string) error {
	return func(value string) error { return orOther(slices.Contains(list, value)) }
}

const maxKeyword = 200

// isKeyword wants the form in which requests are read, else it would never match.
func isKeyword(value string) error {
	key, text, found := strings.Cut(value, "=")
	return orOther(found && key != "" && text != "" && len(value) <= maxKeyword && isLower(value))
}

// isLower tells whether value is plain text without capitals.
func isLower(value string) bool {
	for _, r := range value {
		if r == utf8.RuneError || unicode.IsControl(r) || unicode.ToLower(r) != r {
			return false
		}
	}
	return true
}

const maxName = 100

func isInvisible(r rune) bool { return !unicode.IsPrint(r) }

// isName wants lower case, and one space at most between words.
func isName(value string) error {
	switch {
	case value == "" || len(value) > maxName || !isLower(value) || strings.ContainsFunc(value, isInvisible):
		return errOther
	case strings.Join(strings.Fields(value), " ") != value:
		return errors.New("has spaces around it, or more than one between words")
	case !norm.NFC.IsNormalString(value):
		return errors.New("has letters and their accents apart; write it in Unicode's form NFC")
	}
	return nil
}

func isRegion(value string) error {
	country, code, found := strings.Cut(value, "-")
	switch {
	case !found || len(code) < 1 || len(code) > 3 || !only(code, isCapitalOrDigit):
		return errOther
	case isCountry(country) != nil:
		return errUnknownCountry
	}
	return nil
}

var errUnknownCountry = errors.New("does not begin with an ISO 3166-1 country code")

func isCity(value string) error {
	country, name, found := strings.Cut(value, "/")
	switch {
	case !found:
		return errOther
	case isCountry(country) != nil:
		return errUnknownCountry
	}
	return isName(name)
}

const maxPostalCode = 12

func isPostalCode(value string) error {
	country, code, found := strings.Cut(value, "/")
	switch {
	case !found || len(code) < 1 || len(code) > maxPostalCode:
		return errOther
	case isCountry(country) != nil:
		return errUnknownCountry
	}
	for i := range len(code) {
		between := i > 0 && i < len(code)-1 && isCapitalOrDigit(code[i-1])
		if separator := code[i] == ' ' || code[i] == '-'; !isCapitalOrDigit(code[i]) && !(separator && between) {
			return errOther
		}
	}
	return nil
}

// only tells whether all bytes of value are of a kind.
func only(value string, kind func(byte) bool) bool {
	for i := range len(value) {
		if !kind(value[i]) {
			return false
		}
	}
	return true
}

func isDigit(b byte) bool          { return '0' <= b && b <= '9' }
func isSmall(b byte) bool          { return 'a' <= b && b <= 'z' }
func isCapital(b byte) bool        { return 'A' <= b && b <= 'Z' }
func isCapitalOrDigit(b byte) bool { return isDigit(b) || isCapital(b) }
func isVisible(b byte) bool        { return ' ' < b && b <= '~' }

// isCarrier wants a code of ITU-T E.212: three digits, of which the first is 2 to
// 7 or, for networks at sea and in space, 9; then two or three digits.
func isCarrier(value string) error {
	country, network, found := strings.Cut(value, "-")
	return orOther(found && len(country) == 3 && len(network) >= 2 && len(network) <= 3 &&
		only(country, isDigit) && only(network, isDigit) && strings.IndexByte("2345679", country[0]) >= 0)
}

// maxExchange is a label's length: the name is part of an address.
const maxExchange = 63

func isExchange(value string) error {
	return orOther(value != "" && len(value) <= maxExchange && value[0] != '-' &&
		only(value, func(b byte) bool { return isSmall(b) || isDigit(b) || b == '-' }))
}

const maxDeal = 128

func isDeal(value string) error {
	exchange, deal, found := strings.Cut(value, "/")
	return orOther(found && isExchange(exchange) == nil && deal != "" && len(deal) <= maxDeal && only(deal, isVisible))
}

const maxBundle = 200

func isBundle(value string) error {
	return orOther(value != "" && len(value) <= maxBundle && only(value, func(b byte) bool {
		return isSmall(b) || isCapitalOrDigit(b) || b == '.' || b == '_' || b == '-'
	}))
}

const maxSegment = 200

func isSegment(value string) error {
	return orOther(value != "" && len(value) <= maxSegment && only(value, isVisible) &&
		value[0] != '/' && value[len(value)-1] != '/')
}

func isCircle(value string) error {
	_, err := ParseCircle(value)
	return err
}

func isVersionsOf(names []string) func(string) error {
	return func(value string) error {
		versions, err := ParseVersions(value)
		if err == nil && !slices.Contains(names, versioned[versions.name-1]) {
			return errors.New("has to begin with one of " + strings.Join(names, ", "))
		}
		return err
	}
}
