package postgres

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/hayate-ads/hayate/internal/ad"
)

// DayBook is one of the reports by day, and the same added up from the hours: by
// line item, or by placement.
type DayBook struct {
	Table   string
	Owner   string // what the keys are: "line item" or "placement"
	Columns []string
	Hours   map[ad.ID][]int64
	Days    map[ad.ID][]int64
}

// dayBook is how a DayBook is read.
type dayBook struct {
	days, hours, owner, name string
	day                      string // of a row h of hours
	columns                  []string
}

const ownersDay = `(h.hour AT TIME ZONE COALESCE((SELECT a.time_zone FROM line_item l
	JOIN campaign c ON c.id = l.campaign_id JOIN advertiser a ON a.id = c.advertiser_id WHERE l.id = h.line_item_id), 'UTC'))::date`

var dayBooks = []dayBook{
	{"report_day", "report_hour", "line_item_id", "line item", ownersDay, CellColumns},
	{"report_audience_day", "report_audience_hour", "line_item_id", "line item", ownersDay, AudienceColumns},
	{"report_supply_day", "report_supply_hour", "placement_id", "placement", "(h.hour AT TIME ZONE 'UTC')::date", SupplyColumns},
}

// bookDays reads the reports of a day, unless hours that belong to it have changed
// since the job 'rollup' took them.
func (q Queries) bookDays(ctx context.Context, b *Books, day time.Time) error {
	behind, err := one(ctx, q.q, pgx.RowTo[bool], `
		SELECT EXISTS (SELECT FROM report_status WHERE hour >= $1 AND hour < $2 AND (rolled_at IS NULL OR rolled_at < changed_at))`,
		day.Add(-dayLead), day.Add(dayTail))
	if err != nil || behind {
		return err
	}
	for _, d := range dayBooks {
		book := DayBook{Table: d.days, Owner: d.name, Columns: d.columns, Hours: map[ad.ID][]int64{}, Days: map[ad.ID][]int64{}}
		sums := "sum(h." + strings.Join(d.columns, ")::bigint, sum(h.") + ")::bigint"
		read := func(into map[ad.ID][]int64, from, where string, args ...any) error {
			var owner ad.ID
			values, columns := figures(len(d.columns))
			return q.each(ctx, append([]any{&owner}, columns...), func() { into[owner] = clone(values) },
				fmt.Sprintf("SELECT h.%s, %s FROM %s h WHERE %s GROUP BY h.%s", d.owner, sums, from, where, d.owner), args...)
		}
		err := read(book.Hours, d.hours, "h.hour >= $2 AND h.hour < $3 AND "+d.day+" = $1::date", day, day.Add(-dayLead), day.Add(dayTail))
		if err == nil {
			err = read(book.Days, d.days, "h.day = $1", day)
		}
		if err != nil {
			return err
		}
		b.Days = append(b.Days, book)
	}
	return nil
}

// The days of this date of all time zones lie within these hours of the UTC day's start.
const (
	dayLead = 15 * time.Hour
	dayTail = 37 * time.Hour
)
