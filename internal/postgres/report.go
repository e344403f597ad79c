package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/money"
)

// ReportFilter narrows a report. From and To are needed; zero ids do not narrow.
type ReportFilter struct {
	From, To   time.Time // decisions at or after From and before To, in whole UTC hours
	Advertiser ad.ID
	Campaign   ad.ID
	LineItem   ad.ID
	Placement  ad.ID
}

// ReportQuery asks for a report.
type ReportQuery struct {
	ReportFilter
	Zone   *time.Location // in which From and To are the ends of days; nil: UTC
	Group  []Dimension    // a row for each combination; none: one row
	Series bool           // also by hour, or by day where that is too fine
}

// Bounds of one report.
const (
	maxHourRange   = 92 * 24 * time.Hour   // beyond, it is made from days
	maxReportRange = 1100 * 24 * time.Hour // three years
	maxReportRows  = 200_000
)

// MaxSeriesHours is the longest report whose series is by hour.
const MaxSeriesHours = 8 * 24 * time.Hour

// Report is what was delivered, as it was at one moment: all its parts agree.
type Report struct {
	Rows   []ReportRow // in the order of their group
	Series []ReportRow // by hour or day
	Total  Counts
	Folded Counts // what of Total stands in rows of 'other'

	Freshness time.Time // every event before it is counted; zero: nothing was ever settled
	Daily     bool      // made from days, in whole ones: it is too long for hours, or they are no longer kept
	Restated  []Restated
}

// Restated is an hour for which something came after it had been complete.
type Restated struct {
	Hour   time.Time
	At     time.Time // when the last of it came
	Events int64     // for operators: of all that was delivered, whoever's
}

// ReportRow is one combination of what a report is grouped by; the other names
// are zero.
type ReportRow struct {
	Hour       time.Time // start, UTC; of the decision, not of the event
	Day        time.Time // likewise, midnight UTC of the date: the advertiser's date, UTC's for supply
	Advertiser ad.ID
	Campaign   ad.ID
	LineItem   ad.ID
	Creative   ad.ID  // 0: other, as for placements
	Placement  ad.ID  //
	Exchange   ad.ID  // 0: own inventory, or [OtherExchange]
	Country    string // ISO 3166-1 alpha-2, "": unknown, "other"
	Device     string
	Invalid    string // why the events are invalid traffic; "": they are valid
	NoFill     string // why there was no ad; "": there was one
	Counts
}

// OtherExchange is the exchange of rows of 'other', which are of any.
const OtherExchange ad.ID = -1

// Counts are the figures of a report.
type Counts struct {
	Decisions           int64 // ads asked for; of supply, as the two below
	Filled              int64 // … that were found
	Bids                int64 // … and offered to an exchange
	Impressions         int64
	Viewables           int64
	Clicks              int64
	Wins                int64                     // an exchange's win notices
	Conversions         int64                     // after a click; by country, device and reason: all
	ViewConversions     int64                     // after an impression
	ConversionValue     money.Micros              // as the advertiser stated it
	Video               [event.Complete + 1]int64 // by quartile
	Spend               money.Micros              // charged to the advertiser; 0 for publishers
	Revenue             money.Micros              // the publisher's share; 0 for advertisers
	Overage             money.Micros              // delivered but not charged; operators only
	LateImpressions     int64
	Invalid             int64        // judged invalid traffic, in none of the above
	CreditedImpressions int64        // found invalid afterwards: still among the above
	Credited            money.Micros // … of Spend
	CreditedRevenue     money.Micros // … of Revenue
}

// Add sums up.
func (c *Counts) Add(d Counts) {
	fields, amounts := d.fields(), d.amounts()
	for i, field := range c.fields() {
		*field += *fields[i]
	}
	for i, amount := range c.amounts() {
		*amount += *amounts[i]
	}
}

func (c *Counts) fields() []*int64 {
	return []*int64{
		&c.Decisions, &c.Filled, &c.Bids, &c.Impressions, &c.Viewables, &c.Clicks, &c.Wins, &c.Conversions, &c.ViewConversions,
		&c.Video[event.Start], &c.Video[event.FirstQuartile], &c.Video[event.Midpoint], &c.Video[event.ThirdQuartile], &c.Video[event.Complete],
		&c.LateImpressions, &c.Invalid, &c.CreditedImpressions,
	}
}

func (c *Counts) amounts() []*money.Micros {
	return []*money.Micros{&c.ConversionValue, &c.Spend, &c.Revenue, &c.Overage, &c.Credited, &c.CreditedRevenue}
}

// hidden is c without what a role must not see.
func (c Counts) hidden(role ad.Role) Counts {
	switch role {
	case ad.RoleAdvertiser:
		c.Revenue, c.Overage, c.CreditedRevenue = 0, 0, 0
	case ad.RolePublisher:
		c.Spend, c.Overage, c.Credited = 0, 0, 0
	}
	return c
}

func (f ReportFilter) validate() error {
	switch {
	case f.From.IsZero() || f.To.IsZero():
		return wrong("from", ad.Required, "and to have to be given")
	case !f.To.After(f.From):
		return wrong("to", ad.Order, "has to be after from")
	case f.To.Sub(f.From) > maxReportRange:
		return wrong("from", ad.OutOfRange, "and to must not be more than three years apart")
	}
	return nil
}

// DemandReport tells what was bought. Operators see all and advertisers what they
// bought; others see nothing.
func (db *DB) DemandReport(ctx context.Context, actor Actor, q ReportQuery) (Report, error) {
	source := &demandSource
	if q.groups(audienceSource) {
		source = &audienceSource
		if q.Placement != 0 {
			return Report{}, wrong("placement_id", ad.Unknown, "cannot narrow a report by country, device or reason: that pair is in the lake")
		}
	}
	scope := actor.demand()
	if actor.only(ad.RoleOperator, ad.RoleAdvertiser) != nil {
		none := nobody
		scope = &none
	}
	return db.report(ctx, actor.Role, scope, source, q)
}

// SupplyReport tells what was asked for and sold. Operators see all and publishers
// what they sold; others see nothing. Only From, To and Placement narrow it.
func (db *DB) SupplyReport(ctx context.Context, actor Actor, q ReportQuery) (Report, error) {
	q.ReportFilter = ReportFilter{From: q.From, To: q.To, Placement: q.Placement}
	return db.report(ctx, actor.Role, actor.supply(), &supplySource, q)
}

func (db *DB) report(ctx context.Context, role ad.Role, scope *ad.ID, source *reportSource, q ReportQuery) (r Report, err error) {
	if err := q.validate(); err != nil {
		return r, err
	}
	if err := source.allows(q.Group); err != nil {
		return r, err
	}
	err = db.Frozen(ctx, func(at Queries) error {
		read := reading{q: at.q, ReportQuery: q, scope: scope, source: source}
		if err := read.choose(ctx); err != nil {
			return err
		}
		r, err = read.all(ctx)
		return err
	})
	if err != nil {
		return Report{}, err
	}
	for i := range r.Rows {
		r.Rows[i].Counts = r.Rows[i].hidden(role)
	}
	for i := range r.Series {
		r.Series[i].Counts = r.Series[i].hidden(role)
	}
	r.Total, r.Folded = r.Total.hidden(role), r.Folded.hidden(role)
	if role != ad.RoleOperator {
		for i := range r.Restated {
			r.Restated[i].Events = 0
		}
	}
	return r, nil
}

// reading is one report being read.
type reading struct {
	q querier
	ReportQuery
	scope    *ad.ID
	source   *reportSource
	daily    bool
	from, to any // bounds of hours, or of days
}

// choose decides between hours and days.
func (r *reading) choose(ctx context.Context) error {
	zone := r.Zone
	if zone == nil {
		zone = time.UTC
	}
	first, last := r.From.In(zone).Format(time.DateOnly), r.To.Add(-1).In(zone).AddDate(0, 0, 1).Format(time.DateOnly)
	gone, err := one(ctx, r.q, pgx.RowTo[bool], `
		SELECT EXISTS (SELECT FROM report_day WHERE day >= $1::text::date AND day < $2::text::date AND day < (
			SELECT COALESCE(min(to_date(right(c.relname, 7), 'YYYY_MM')) - 1, 'infinity')
			FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid WHERE i.inhparent = 'report_hour'::regclass))`, first, last)
	if err != nil {
		return fmt.Errorf("look for hours: %w", err)
	}
	r.daily = gone || r.To.Sub(r.From) > maxHourRange
	r.from, r.to = r.From, r.To
	if r.daily {
		r.from, r.to = first, last
		for _, d := range r.Group {
			if d == ByHour {
				return wrong("group", ad.OutOfRange, "cannot have hours: they are kept for some months, and a report of more than 92 days is by day")
			}
		}
	}
	return nil
}

func (r *reading) all(ctx context.Context) (found Report, err error) {
	found.Daily = r.daily
	if found.Freshness, err = r.freshness(ctx); err != nil {
		return found, err
	}
	if found.Rows, err = r.rows(ctx, r.Group, ""); err != nil {
		return found, err
	}
	if len(found.Rows) > maxReportRows {
		return found, wrong("from", ad.OutOfRange, "and to span too many rows: narrow the report, or group it by less")
	}
	for _, row := range found.Rows {
		found.Total.Add(row.Counts)
	}
	if r.source.folded != "" {
		folded, err := r.rows(ctx, nil, r.source.folded)
		if err != nil {
			return found, err
		}
		for _, row := range folded {
			found.Folded.Add(row.Counts)
		}
	}
	if r.Series {
		by := ByHour
		if r.daily || r.To.Sub(r.From) > MaxSeriesHours {
			by = ByDay
		}
		if found.Series, err = r.rows(ctx, []Dimension{by}, ""); err != nil {
			return found, err
		}
	}
	found.Restated, err = many(ctx, r.q, scanRestated, `
		SELECT hour, restated_at, restated FROM report_status
		WHERE hour >= $1 AND hour < $2 AND restated_at IS NOT NULL ORDER BY hour`, r.From, r.To)
	if err != nil {
		return found, fmt.Errorf("restated hours: %w", err)
	}
	return found, nil
}

func scanRestated(row pgx.CollectableRow) (s Restated, err error) {
	err = row.Scan(&s.Hour, &s.At, &s.Events)
	s.Hour, s.At = s.Hour.UTC(), s.At.UTC()
	return s, err
}

// freshness is the watermark. Days have what was rolled up: with hours waiting for
// that, they are complete up to the first of these only.
func (r *reading) freshness(ctx context.Context) (time.Time, error) {
	watermark, err := one(ctx, r.q, pgx.RowTo[*time.Time], `
		SELECT CASE WHEN $1 THEN LEAST(watermark, (
			SELECT min(hour) FROM report_status
			WHERE hour >= $2::timestamptz - interval '36 hours' AND hour < $3::timestamptz + interval '36 hours'
				AND (rolled_at IS NULL OR rolled_at < changed_at)))
		ELSE watermark END FROM settlement`, r.daily, r.From, r.To)
	if err != nil {
		return time.Time{}, fmt.Errorf("watermark: %w", err)
	}
	return timeOrZero(watermark).UTC(), nil
}

func (r *reading) rows(ctx context.Context, group []Dimension, only string) ([]ReportRow, error) {
	found, err := many(ctx, r.q, scanReportRow, r.source.sql(group, r.daily, only),
		r.from, r.to, r.scope, r.Advertiser, r.Campaign, r.LineItem, r.Placement, maxReportRows+1)
	if err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	return found, nil
}

func scanReportRow(row pgx.CollectableRow) (r ReportRow, err error) {
	var hour, day *time.Time
	names := []any{&hour, &day, &r.Advertiser, &r.Campaign, &r.LineItem, &r.Creative, &r.Placement, &r.Exchange, &r.Country, &r.Device, &r.Invalid, &r.NoFill}
	for _, field := range r.fields() {
		names = append(names, field)
	}
	for _, amount := range r.amounts() {
		names = append(names, amount)
	}
	err = row.Scan(names...)
	r.Hour, r.Day = timeOrZero(hour), timeOrZero(day)
	if hour != nil {
		r.Hour = r.Hour.UTC()
	}
	return r, err
}
