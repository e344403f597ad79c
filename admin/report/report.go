// Package report turns the rows of the store into what a report page shows:
// figures, a series without gaps, and CSV. It is arithmetic on
// whole numbers: no rate is ever a float.
package report

import (
	"encoding/csv"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// Range is the time of a report: from From, before To.
type Range struct {
	From, To time.Time
	Zone     *time.Location // in which days begin and hours are shown
}

// DefaultDays is the length of a report that names no dates, today included.
const DefaultDays = 7

// ParseRange reads two dates ("2026-04-01", days of zone, the last one included)
// or moments (RFC 3339, the last one excluded). An empty text is its end of the
// last [DefaultDays] days. Errors are [ad.Invalid].
func ParseRange(from, to string, zone *time.Location, now time.Time) (Range, error) {
	r := Range{Zone: zone}
	var wrong ad.Invalid
	day := startOfDay(now.In(zone))
	parse := func(field, text string, otherwise time.Time, days int) time.Time {
		text = strings.TrimSpace(text)
		if text == "" {
			return otherwise
		}
		if at, err := time.Parse(time.RFC3339, text); err == nil {
			return at
		}
		at, err := time.ParseInLocation(time.DateOnly, text, zone)
		if err != nil || at.Year() < 2000 || at.Year() > 2099 {
			wrong = append(wrong, ad.FieldError{Field: field, Code: ad.BadSyntax, Message: "has to be a date such as 2026-04-01"})
		}
		return at.AddDate(0, 0, days)
	}
	r.From = parse("from", from, day.AddDate(0, 0, 1-DefaultDays), 0)
	r.To = parse("to", to, day.AddDate(0, 0, 1), 1)
	if len(wrong) > 0 {
		return r, wrong
	}
	// Cells are whole UTC hours. An hour belongs to the day in which it begins, so
	// in zones of half hours a day's first hour begins half an hour late; moments
	// take in the hours that they lie in.
	r.From, r.To = r.From.UTC(), r.To.UTC().Add(time.Hour-1).Truncate(time.Hour)
	if local := r.From.In(zone); local.Equal(startOfDay(local)) {
		r.From = r.From.Add(time.Hour - 1)
	}
	r.From = r.From.Truncate(time.Hour)
	return r, nil
}

func startOfDay(at time.Time) time.Time {
	return time.Date(at.Year(), at.Month(), at.Day(), 0, 0, 0, 0, at.Location())
}

// LastDay is the last day in the range, for a form's date field.
func (r Range) LastDay() time.Time { return r.To.Add(-1).In(r.Zone) }

// Point is one hour or day of a series.
type Point struct {
	At time.Time // an hour's start, or a date's in the range's zone
	postgres.Counts
}

// Series is a report's series with the hours or days in which nothing happened, up
// to now: the future is left out rather than drawn as zero.
func Series(rows []postgres.ReportRow, r Range, daily bool, now time.Time) []Point {
	end := r.To
	if now.Before(end) {
		end = now
	}
	var points []Point
	place := map[int64]int{}
	at, next := r.From, func(t time.Time) time.Time { return t.Add(time.Hour) }
	if daily {
		at, next = startOfDay(r.From.In(r.Zone)), func(t time.Time) time.Time { return t.AddDate(0, 0, 1) }
	}
	for ; at.Before(end); at = next(at) {
		place[at.Unix()] = len(points)
		points = append(points, Point{At: at})
	}
	for _, row := range rows {
		at := row.Hour
		if daily {
			at = time.Date(row.Day.Year(), row.Day.Month(), row.Day.Day(), 0, 0, 0, 0, r.Zone)
		}
		if i, ok := place[at.Unix()]; ok {
			points[i].Add(row.Counts)
		}
	}
	return points
}

// CTR is clicks by impressions as a percentage with two places, rounded half up;
// a dash without impressions.
func CTR(c postgres.Counts) string {
	return Percent(c.Clicks, c.Impressions)
}

// Ratio is part by whole as a plain decimal for programs, to the millionth; ""
// when there is no whole. The CTR of 1 click in 81 impressions is 0.012346.
func Ratio(part, whole int64) string {
	if whole <= 0 {
		return ""
	}
	return ((money.Micros(part).MulDiv(2*int64(money.Unit), whole) + 1) / 2).String()
}

// Percent is the same for people, with two places; a dash when there is no whole.
func Percent(part, whole int64) string {
	if whole <= 0 {
		return "–"
	}
	hundredths := (money.Micros(part).MulDiv(20_000, whole) + 1) / 2
	return fmt.Sprintf("%d.%02d %%", hundredths/100, hundredths%100)
}

// ECPM is an amount per thousand impressions, to a hundredth of a unit, rounded
// half up; a dash without impressions.
func ECPM(amount money.Micros, impressions int64) string {
	if impressions <= 0 {
		return "–"
	}
	return Round(max(amount, 0).MulDiv(1000, impressions))
}

// Round writes an amount to a hundredth of a unit, rounded half up, where a glance
// is enough; tables and CSV have it to the micro.
func Round(amount money.Micros) string {
	const cent = money.Unit / 100
	return ((amount + cent/2) / cent * cent).String()
}

// Rate is [ECPM] for programs: "" without impressions.
func Rate(amount money.Micros, impressions int64) string {
	if impressions <= 0 {
		return ""
	}
	return ECPM(amount, impressions)
}

// Per is an amount by one of so many, as [Rate] writes it.
func Per(amount money.Micros, of int64) string {
	if of <= 0 {
		return ""
	}
	return Round(max(amount, 0).MulDiv(1, of))
}

// WriteCSV writes a header and rows, guarding every cell against spreadsheets
// that take text for a formula (OWASP, CSV Injection).
func WriteCSV(w io.Writer, header []string, rows func(yield func([]string) bool)) error {
	out := csv.NewWriter(w)
	out.UseCRLF = true // RFC 4180
	write := func(cells []string) error {
		guarded := make([]string, len(cells))
		for i, cell := range cells {
			guarded[i] = Guard(cell)
		}
		return out.Write(guarded)
	}
	if err := write(header); err != nil {
		return err
	}
	for cells := range rows {
		if err := write(cells); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

// Guard puts an apostrophe before text that a spreadsheet would run. Plain
// numbers stay numbers, also negative ones.
func Guard(cell string) string {
	trimmed := strings.TrimLeft(cell, " \u00a0\u3000")
	if trimmed == "" || !strings.ContainsAny(trimmed[:1], "=+-@\t\r\n|") && !strings.HasPrefix(trimmed, "＝") && !strings.HasPrefix(trimmed, "＋") && !strings.HasPrefix(trimmed, "－") && !strings.HasPrefix(trimmed, "＠") {
		return cell
	}
	if _, err := money.Parse(cell); err == nil {
		return cell
	}
	return "'" + cell
}
