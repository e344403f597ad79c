package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/money"
)

// maxCorrectionCells bounds the report cells that one correction takes in.
const maxCorrectionCells = 200_000

// spillDays is how far from its hours a credit may be booked; see [attribute].
const spillDays = 3

// crediting is one correction on its way: what was read, then what it comes to.
type crediting struct {
	ad.Correction
	zone     *time.Location // the advertiser's
	names    map[ad.ID]string
	accounts map[accountKey]*creditAccount
	cells    []*creditCell // in the order of their keys
	folded   money.Micros

	lines []CorrectionLine // what it comes to, by line item
	days  map[BudgetKey]Amount
	total ad.Credit
}

// creditAccount is one budget of a line item that may be credited.
type creditAccount struct {
	id      int64
	settled Amount
}

// creditCell is a report cell with something left to credit, and its share.
type creditCell struct {
	CellKey
	ad.Credit
}

// fold tells whether a cell holds what could not be told apart.
func (k CellKey) fold() bool { return k.Creative == 0 && k.Placement == 0 }

// read finds out what there is to credit. When it locks, it takes the accounts by
// id, then the hours of the reports, then the cells by key: the order in which
// settle takes them. The line item that the correction will refer to comes before
// its accounts, as it does when its budget is edited.
func (c *crediting) read(ctx context.Context, tx pgx.Tx, locked bool) error {
	c.lines, c.days, c.total, c.folded = nil, map[BudgetKey]Amount{}, ad.Credit{}, 0
	if err := c.readScope(ctx, tx); err != nil {
		return err
	}
	lock := ""
	if locked {
		lock = " FOR UPDATE"
		if _, err := tx.Exec(ctx, "SELECT FROM line_item WHERE id = $1 FOR KEY SHARE", c.LineItemID); err != nil {
			return fmt.Errorf("lock what to correct: %w", err)
		}
	}
	lineItems, err := c.readLineItems(ctx, tx)
	if err != nil {
		return fmt.Errorf("find what to correct: %w", err)
	}
	if err := c.readAccounts(ctx, tx, lineItems, lock); err != nil {
		return fmt.Errorf("read the budgets to correct: %w", err)
	}
	hours, err := c.readHours(ctx, tx, lineItems, locked)
	if err != nil {
		return err
	}
	if err := c.readCells(ctx, tx, lineItems, hours, lock); err != nil {
		return err
	}
	return c.plan(lineItems)
}

// readHours finds the hours in which there is something to credit, and locks them.
// What comes into another hour meanwhile is left to the next correction.
func (c *crediting) readHours(ctx context.Context, tx pgx.Tx, lineItems []ad.ID, locked bool) ([]time.Time, error) {
	hours, err := many(ctx, tx, pgx.RowTo[time.Time], `
		SELECT DISTINCT h.hour FROM report_hour AS h WHERE h.line_item_id = ANY($3) AND `+creditable+` ORDER BY h.hour`,
		c.filter(lineItems)...)
	if err != nil {
		return nil, fmt.Errorf("find the hours to correct: %w", err)
	}
	if locked && len(hours) > 0 {
		rows, err := lockReportHours(ctx, tx, hours)
		if err != nil {
			return nil, err
		}
		rows.Close()
		if err := rows.Err(); err != nil {
			return nil, fmt.Errorf("lock report hours: %w", err)
		}
	}
	return hours, nil
}

// readScope sees to it that what the correction names exists and belongs together.
func (c *crediting) readScope(ctx context.Context, tx pgx.Tx) error {
	a, err := findAdvertiser(ctx, tx, System, c.AdvertiserID, "")
	if errors.Is(err, ErrNotFound) {
		return wrong("advertiser_id", ad.Unknown, "is no advertiser")
	}
	if err != nil {
		return fmt.Errorf("find the advertiser to correct: %w", err)
	}
	if c.zone, err = time.LoadLocation(a.TimeZone); err != nil {
		return fmt.Errorf("time zone of advertiser %d: %w", a.ID, err)
	}
	var lineItem, creative, placement bool
	err = tx.QueryRow(ctx, `
		SELECT
			EXISTS (SELECT FROM line_item AS l JOIN campaign AS c ON c.id = l.campaign_id WHERE l.id = $2 AND c.advertiser_id = $1),
			EXISTS (SELECT FROM creative AS r JOIN line_item AS l ON l.id = r.line_item_id JOIN campaign AS c ON c.id = l.campaign_id
				WHERE r.id = $3 AND c.advertiser_id = $1 AND ($2 = 0 OR l.id = $2)),
			EXISTS (SELECT FROM placement WHERE id = $4)`,
		c.AdvertiserID, c.LineItemID, c.CreativeID, c.PlacementID).Scan(&lineItem, &creative, &placement)
	switch {
	case err != nil:
		return fmt.Errorf("find what to correct: %w", err)
	case c.LineItemID != 0 && !lineItem:
		return wrong("line_item_id", ad.Unknown, "is no line item of this advertiser")
	case c.CreativeID != 0 && !creative:
		return wrong("creative_id", ad.Unknown, "is no creative of this advertiser and line item")
	case c.PlacementID != 0 && !placement:
		return wrong("placement_id", ad.Unknown, "is no placement")
	}
	return nil
}

// creditable narrows report_hour h to the correction's cells that have something
// left; its parameters are those of [crediting.filter].
const creditable = `h.hour >= $1 AND h.hour < $2 AND ($4 = 0 OR h.creative_id = $4) AND ($5 = 0 OR h.placement_id = $5)
	AND ($6::bigint IS NULL OR (h.exchange_id = $6 AND h.placement_id <> 0)) AND h.spend_micros > h.credited_micros`

func (c *crediting) filter(lineItems []ad.ID) []any {
	return []any{c.From, c.To, lineItems, c.CreativeID, c.PlacementID, c.ExchangeID}
}

// readLineItems finds the line items that the correction may touch, so that no
// other's budget is locked for it, and what of them cannot be told apart.
func (c *crediting) readLineItems(ctx context.Context, tx pgx.Tx) (found []ad.ID, err error) {
	rows, err := tx.Query(ctx, `
		SELECT l.id, l.name,
			EXISTS (SELECT FROM report_hour AS h WHERE h.line_item_id = l.id AND `+creditable+`),
			(SELECT COALESCE(sum(h.spend_micros - h.credited_micros), 0)::bigint FROM report_hour AS h
				WHERE h.line_item_id = l.id AND h.hour >= $1 AND h.hour < $2 AND h.creative_id = 0 AND h.placement_id = 0)
		FROM line_item AS l JOIN campaign AS c ON c.id = l.campaign_id
		WHERE c.advertiser_id = $7 AND ($3::bigint[] IS NULL OR l.id = ANY($3))
		ORDER BY l.id`, append(c.filter(idOrAll(c.LineItemID)), c.AdvertiserID)...)
	if err != nil {
		return nil, err
	}
	c.names = map[ad.ID]string{}
	var id ad.ID
	var name string
	var some bool
	var folded money.Micros
	_, err = pgx.ForEachRow(rows, []any{&id, &name, &some, &folded}, func() error {
		c.folded += folded
		if some {
			found, c.names[id] = append(found, id), name
		}
		return nil
	})
	return found, err
}

func idOrAll(id ad.ID) []ad.ID {
	if id == 0 {
		return nil
	}
	return []ad.ID{id}
}

func (c *crediting) readAccounts(ctx context.Context, tx pgx.Tx, lineItems []ad.ID, lock string) error {
	from, to := c.dayAt(c.From)-spillDays, c.dayAt(c.To)+spillDays
	rows, err := tx.Query(ctx, `
		SELECT id, owner_id, day, settled_micros, settled_impressions FROM account
		WHERE level = 'line_item' AND owner_id = ANY($1) AND (day IS NULL OR day BETWEEN $2 AND $3)
		ORDER BY id`+lock, lineItems, dateOf(from), dateOf(to))
	if err != nil {
		return err
	}
	c.accounts = map[accountKey]*creditAccount{}
	var a creditAccount
	var lineItem ad.ID
	var day *time.Time
	_, err = pgx.ForEachRow(rows, []any{&a.id, &lineItem, &day, &a.settled.Micros, &a.settled.Impressions}, func() error {
		key := accountKey{lineItem: lineItem, lifetime: day == nil}
		if day != nil {
			key.day = dayOf(*day)
		}
		found := a
		c.accounts[key] = &found
		return nil
	})
	return err
}

// dayAt is the day of the advertiser's time zone at a moment.
func (c *crediting) dayAt(at time.Time) event.Day {
	y, m, d := at.In(c.zone).Date()
	return dayOf(time.Date(y, m, d, 0, 0, 0, 0, time.UTC))
}

// readCells reads the cells that have something left. A statement that waits for
// a lock reads the row as it is then.
func (c *crediting) readCells(ctx context.Context, tx pgx.Tx, lineItems []ad.ID, hours []time.Time, lock string) (err error) {
	c.cells, err = many(ctx, tx, scanCreditCell, `
		SELECT h.hour, h.line_item_id, h.creative_id, h.placement_id, h.exchange_id,
			h.impressions - h.late_impressions, h.credited_impressions, h.spend_micros, h.overage_micros, h.credited_micros,
			h.revenue_micros - h.credited_revenue_micros
		FROM report_hour AS h
		WHERE h.line_item_id = ANY($3) AND h.hour = ANY($7) AND `+creditable+`
		ORDER BY h.hour, h.line_item_id, h.creative_id, h.placement_id, h.exchange_id LIMIT `+fmt.Sprint(maxCorrectionCells+1)+lock,
		append(c.filter(lineItems), hours)...)
	if err != nil {
		return fmt.Errorf("read the report cells to correct: %w", err)
	}
	if len(c.cells) > maxCorrectionCells {
		return wrong("to", ad.OutOfRange, "takes in too many report cells at once: correct fewer hours, or one line item at a time")
	}
	return nil
}

// scanCreditCell works out what is left of a cell. The cell does not say how many
// of its impressions were charged; where some were not, as their budget was used
// up, the money tells how many.
func scanCreditCell(row pgx.CollectableRow) (*creditCell, error) {
	c := new(creditCell)
	var hour time.Time
	var inTime, credited int64
	var spend, overage, creditedMicros money.Micros
	err := row.Scan(&hour, &c.LineItem, &c.Creative, &c.Placement, &c.Exchange,
		&inTime, &credited, &spend, &overage, &creditedMicros, &c.Revenue)
	c.Hour, c.Charged = hour.Unix(), spend-creditedMicros
	charged := int64(money.Micros(max(inTime, 0)).MulDiv(int64(spend), int64(spend+overage)))
	c.Impressions = max(charged-credited, 0)
	if c.fold() {
		c.Revenue = 0
	}
	return c, err
}
