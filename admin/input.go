package admin

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/money"
)

// Bounds of a form as sent. A line item's holds an expression of up to a
// megabyte, which percent-encoding may triple.
const (
	maxForm      = 512 << 10
	maxLargeForm = 4 << 20
)

// errForm reports a form that cannot be read at all.
var errForm = errors.New("the form cannot be read")

// readForm fills a noun's input from a form, by the names in its json tags, so
// that pages and API take the same fields and no other. A field sent twice where
// one value belongs is an error, not a choice.
func readForm(w http.ResponseWriter, r *http.Request, limit int64, input any) error {
	r.Body = http.MaxBytesReader(w, r.Body, limit)
	if err := r.ParseForm(); err != nil {
		return fmt.Errorf("%w: %w", errForm, err)
	}
	return fillForm(r.PostForm, input)
}

func fillForm(values map[string][]string, input any) error {
	target := reflect.ValueOf(input).Elem()
	for i := range target.NumField() {
		name, _, _ := strings.Cut(target.Type().Field(i).Tag.Get("json"), ",")
		given, ok := values[name]
		// What a form sends in another shape is read by a struct of its own.
		if !ok || name == "" || name == "-" || target.Type().Field(i).Tag.Get("form") == "-" {
			continue
		}
		if err := fillField(target.Field(i), given); err != nil {
			return fmt.Errorf("%w: %s: %w", errForm, name, err)
		}
	}
	return nil
}

func fillField(field reflect.Value, given []string) error {
	if field.Type() == reflect.TypeFor[[]string]() {
		field.Set(reflect.ValueOf(given))
		return nil
	}
	if len(given) != 1 {
		return errors.New("is given twice")
	}
	switch field.Kind() {
	case reflect.String:
		field.SetString(strings.ReplaceAll(given[0], "\r\n", "\n"))
	case reflect.Int, reflect.Int64:
		if strings.TrimSpace(given[0]) == "" {
			return nil
		}
		n, err := strconv.ParseInt(strings.TrimSpace(given[0]), 10, 64)
		if err != nil {
			return errors.New("is not a whole number")
		}
		field.SetInt(n)
	case reflect.Pointer: // to a number: none is nil
		if strings.TrimSpace(given[0]) == "" {
			return nil
		}
		value := reflect.New(field.Type().Elem())
		if err := fillField(value.Elem(), given); err != nil {
			return err
		}
		field.Set(value)
	default:
		return fmt.Errorf("cannot be sent by a form (%s)", field.Kind())
	}
	return nil
}

// parser turns the text of inputs into values and gathers what is wrong.
type parser struct{ found ad.Invalid }

func (p *parser) fail(field, code, message string) {
	p.found = append(p.found, ad.FieldError{Field: field, Code: code, Message: message})
}

// moment reads a time: RFC 3339, or what a date-time control sends, in zone.
// Empty text is the zero time. Wall-clock times that the zone skips are refused.
func (p *parser) moment(field, text string, zone *time.Location) time.Time {
	text = strings.TrimSpace(text)
	if text == "" {
		return time.Time{}
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at.UTC()
	}
	for _, layout := range []string{"2006-01-02T15:04", "2006-01-02T15:04:05"} {
		at, err := time.ParseInLocation(layout, text, zone)
		if err != nil {
			continue
		}
		if at.Format(layout) != text {
			p.fail(field, ad.OutOfRange, fmt.Sprintf("does not exist in %s: the clocks skip it", zone))
		}
		return at.UTC()
	}
	p.fail(field, ad.BadSyntax, "has to be a date and time such as 2026-04-01T09:00")
	return time.Time{}
}

// amount reads money; empty text is zero.
func (p *parser) amount(field, text string) money.Micros {
	text = strings.TrimSpace(text)
	if text == "" {
		return 0
	}
	amount, err := money.Parse(text)
	switch {
	case errors.Is(err, money.ErrPrecision):
		p.fail(field, "precision", "has more than six decimal places")
	case errors.Is(err, money.ErrRange):
		p.fail(field, ad.OutOfRange, fmt.Sprintf("has to be at most %s", money.Max))
	case err != nil:
		p.fail(field, ad.BadSyntax, "has to be an amount such as 12.50, without separators")
	}
	return amount
}

// budget reads money that may be absent: empty text is no limit.
func (p *parser) budget(field, text string) *money.Micros {
	if strings.TrimSpace(text) == "" {
		return nil
	}
	amount := p.amount(field, text)
	return &amount
}

// id reads an id that may be absent.
func (p *parser) id(field, text string) ad.ID {
	text = strings.TrimSpace(text)
	if text == "" {
		return 0
	}
	id, err := ad.ParseID(text)
	if err != nil {
		p.fail(field, ad.BadSyntax, "has to be an id: a whole number above 0")
	}
	return id
}

// list splits text at commas, spaces and line ends.
func list(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool {
		return r == ',' || r == ' ' || r == '\n' || r == '\r' || r == '\t' || r == '、' || r == '　'
	})
}

// commas splits text at commas and line ends only, for values that may have
// spaces in them.
func commas(text string) (parts []string) {
	split := func(r rune) bool { return r == ',' || r == '\n' || r == '、' }
	for _, part := range strings.FieldsFunc(text, split) {
		if part = strings.TrimSpace(part); part != "" {
			parts = append(parts, part)
		}
	}
	return parts
}

// sorted is a list in ascending order without repeats, as the nouns keep theirs.
func sorted[T cmp.Ordered](list []T) []T {
	list = slices.Clone(list)
	slices.Sort(list)
	return slices.Compact(list)
}

// check joins what the parser found with what the noun says of its values, so
// that people see everything that is wrong at once. Of a field that did not
// parse only the parser speaks.
func (p *parser) check(noun interface{ Validate() error }) error {
	if len(p.found) == 0 {
		return nil // the store validates
	}
	var more ad.Invalid
	if errors.As(noun.Validate(), &more) {
		for _, e := range more {
			if !p.has(e.Field) {
				p.found = append(p.found, e)
			}
		}
	}
	return p.found
}

func (p *parser) has(field string) bool {
	for _, e := range p.found {
		if e.Field == field {
			return true
		}
	}
	return false
}

// local writes a time for a date-time control, in zone.
func local(at time.Time, zone *time.Location) string {
	if at.IsZero() {
		return ""
	}
	return at.In(zone).Format("2006-01-02T15:04")
}

// exact writes a time as the API does, to the last digit.
func exact(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format(time.RFC3339Nano)
}

// budgetText is the inverse of budget.
func budgetText(m *money.Micros) string {
	if m == nil {
		return ""
	}
	return m.String()
}

// zoneOf is an advertiser's time zone. It was validated when it was stored.
func zoneOf(a ad.Advertiser) *time.Location {
	zone, err := time.LoadLocation(a.TimeZone)
	if err != nil {
		return time.UTC
	}
	return zone
}
