package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/money"
)

// Invoice is what an advertiser owes for one calendar month of its time zone. It
// is computed from the ledger alone.
//
// A charge belongs to the month of the day whose budget paid for it. A credit
// belongs to the month in which it was made and names the hours that it corrects,
// so that a month that is final changes no more.
type Invoice struct {
	InvoiceMonth
	AdvertiserName string
	TimeZone       string
	SettledTo      time.Time // every event before it has been settled; zero: nothing has
	Lines          []InvoiceLine
	Credits        []InvoiceCredit
}

// InvoiceMonth is an invoice without its lines.
type InvoiceMonth struct {
	Advertiser ad.ID
	Month      time.Time // its first day, as UTC midnight
	// Final says that the month is over, all of its events are settled, and no
	// process holds money of its days any more. Until then it is open.
	Final       bool
	Impressions int64        // charged
	Charged     money.Micros // before credits
	Credited    money.Micros // what credits take off, not negative
}

// Total is what is to be paid. It is negative in a month with more credits than charges.
func (m InvoiceMonth) Total() money.Micros { return m.Charged - m.Credited }

// InvoiceLine is what one line item was charged.
type InvoiceLine struct {
	Campaign, LineItem         ad.ID
	CampaignName, LineItemName string
	Impressions                int64
	Charged                    money.Micros
}

// InvoiceCredit is one correction's part in an invoice.
type InvoiceCredit struct {
	Correction   ad.ID
	At           time.Time // when it was made
	From, To     time.Time // the hours whose traffic was invalid
	LineItem     ad.ID     // 0: several
	LineItemName string
	Why          string
	Impressions  int64
	Credited     money.Micros
}

// InvoiceFilter narrows a list of invoices. One of the two is needed: a list of
// all months of all advertisers would read the whole ledger.
type InvoiceFilter struct {
	Advertiser ad.ID
	Month      time.Time // its first day
}

// maxInvoices bounds a list of invoices: the newest, by advertiser.
const maxInvoices = 500

// months is the query of all months with charges or credits. Its parameters are
// an advertiser (0: all), the actor's own, and the first days of a month and of
// the one after it (null: all).
const months = `
	WITH charges AS (
		SELECT c.advertiser_id, date_trunc('month', g.day)::date AS month,
			sum(g.charged_impressions)::bigint AS impressions, sum(g.charged_micros)::bigint AS charged
		FROM ledger AS g JOIN line_item AS l ON l.id = g.line_item_id JOIN campaign AS c ON c.id = l.campaign_id
		WHERE g.correction_id IS NULL AND ($1 = 0 OR c.advertiser_id = $1) AND ($2::bigint IS NULL OR c.advertiser_id = $2)
			AND ($3::date IS NULL OR g.day >= $3 AND g.day < $4)
		GROUP BY 1, 2
	), credits AS (
		SELECT k.advertiser_id, date_trunc('month', k.at AT TIME ZONE a.time_zone)::date AS month, -sum(g.charged_micros)::bigint AS credited
		FROM correction AS k JOIN advertiser AS a ON a.id = k.advertiser_id JOIN ledger AS g ON g.correction_id = k.id
		WHERE ($1 = 0 OR k.advertiser_id = $1) AND ($2::bigint IS NULL OR k.advertiser_id = $2)
			AND ($3::date IS NULL OR (k.at AT TIME ZONE a.time_zone)::date >= $3 AND (k.at AT TIME ZONE a.time_zone)::date < $4)
		GROUP BY 1, 2
	), invoice AS (
		SELECT advertiser_id, month, COALESCE(impressions, 0) AS impressions, COALESCE(charged, 0) AS charged, COALESCE(credited, 0) AS credited
		FROM charges FULL JOIN credits USING (advertiser_id, month)
		WHERE COALESCE(impressions, 0) <> 0 OR COALESCE(charged, 0) <> 0 OR COALESCE(credited, 0) <> 0
	)
	SELECT i.advertiser_id, i.month, ` + final + `, i.impressions, i.charged, i.credited
	FROM invoice AS i JOIN advertiser AS a ON a.id = i.advertiser_id
	ORDER BY i.month DESC, i.advertiser_id LIMIT $5`

// final tells whether the month i of advertiser a can still be charged. The
// watermark alone would not do: an event may come after the month that its budget
// is of, as long as a lease of that month is not final.
const final = `(COALESCE((SELECT watermark FROM settlement) >= day_start((i.month + interval '1 month')::date, a.time_zone), false)
	AND NOT EXISTS (
		SELECT FROM lease AS e JOIN line_item AS l ON l.id = e.line_item_id JOIN campaign AS c ON c.id = l.campaign_id
		WHERE e.state <> 'final' AND c.advertiser_id = a.id AND e.day >= i.month AND e.day < (i.month + interval '1 month')::date))`

func scanInvoiceMonth(row pgx.CollectableRow) (m InvoiceMonth, err error) {
	err = row.Scan(&m.Advertiser, &m.Month, &m.Final, &m.Impressions, &m.Charged, &m.Credited)
	m.Month = m.Month.UTC()
	return m, err
}

// Invoices lists the months in which something was charged or credited, the newest
// first, without their lines. Operators see everybody's, advertisers their own.
func (db *DB) Invoices(ctx context.Context, actor Actor, f InvoiceFilter) ([]InvoiceMonth, error) {
	own := actor.buyer()
	if f.Advertiser == 0 && f.Month.IsZero() && own == nil {
		return nil, wrong("month", ad.Required, "or advertiser_id has to be given")
	}
	first, next := timeOrNull(f.Month), timeOrNull(f.Month)
	if next != nil {
		after := f.Month.AddDate(0, 1, 0)
		next = &after
	}
	found, err := many(ctx, db.Pool, scanInvoiceMonth, months, f.Advertiser, own, first, next, maxInvoices)
	if err != nil {
		return nil, fmt.Errorf("list invoices: %w", err)
	}
	return found, nil
}

// Invoice returns an advertiser's invoice of the month that begins on this day. A
// month without charges has one too, with nothing in it.
func (db *DB) Invoice(ctx context.Context, actor Actor, advertiser ad.ID, month time.Time) (v Invoice, err error) {
	if actor.buyer() != nil && *actor.buyer() != advertiser {
		return v, ErrNotFound
	}
	// All parts are of one moment, so that they add up.
	moment := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	err = pgx.BeginTxFunc(ctx, db.Pool, moment, func(tx pgx.Tx) error {
		v, err = readInvoice(ctx, tx, advertiser, month)
		return err
	})
	return v, err
}

func readInvoice(ctx context.Context, tx pgx.Tx, advertiser ad.ID, month time.Time) (v Invoice, err error) {
	v.Advertiser, v.Month = advertiser, month
	var settled *time.Time
	err = tx.QueryRow(ctx, `
		SELECT a.name, a.time_zone, (SELECT watermark FROM settlement), `+final+`
		FROM advertiser AS a, (SELECT $2::date AS month) AS i WHERE a.id = $1`,
		advertiser, month).Scan(&v.AdvertiserName, &v.TimeZone, &settled, &v.Final)
	if err == pgx.ErrNoRows {
		return v, ErrNotFound
	} else if err != nil {
		return v, fmt.Errorf("read an invoice: %w", err)
	}
	v.SettledTo = timeOrZero(settled)
	next := month.AddDate(0, 1, 0)
	v.Lines, err = many(ctx, tx, scanInvoiceLine, `
		SELECT c.id, c.name, l.id, l.name, sum(g.charged_impressions)::bigint, sum(g.charged_micros)::bigint
		FROM campaign AS c JOIN line_item AS l ON l.campaign_id = c.id JOIN ledger AS g ON g.line_item_id = l.id
		WHERE c.advertiser_id = $1 AND g.day >= $2 AND g.day < $3 AND g.correction_id IS NULL
		GROUP BY c.id, l.id HAVING sum(g.charged_impressions) <> 0 OR sum(g.charged_micros) <> 0
		ORDER BY c.id, l.id`, advertiser, month, next)
	if err != nil {
		return v, fmt.Errorf("read an invoice's lines: %w", err)
	}
	v.Credits, err = many(ctx, tx, scanInvoiceCredit, `
		SELECT k.id, k.at, k.from_hour, k.to_hour, k.line_item_id, COALESCE(l.name, ''), k.why, c.impressions, c.credited
		FROM correction AS k
		JOIN advertiser AS a ON a.id = k.advertiser_id
		LEFT JOIN line_item AS l ON l.id = k.line_item_id
		CROSS JOIN LATERAL (
			SELECT -sum(g.charged_impressions)::bigint AS impressions, -sum(g.charged_micros)::bigint AS credited
			FROM ledger AS g WHERE g.correction_id = k.id) AS c
		WHERE k.advertiser_id = $1 AND (k.at AT TIME ZONE a.time_zone)::date >= $2 AND (k.at AT TIME ZONE a.time_zone)::date < $3
			AND c.credited IS NOT NULL
		ORDER BY k.id`, advertiser, month, next)
	if err != nil {
		return v, fmt.Errorf("read an invoice's credits: %w", err)
	}
	for _, line := range v.Lines {
		v.Impressions += line.Impressions
		v.Charged += line.Charged
	}
	for _, credit := range v.Credits {
		v.Credited += credit.Credited
	}
	return v, nil
}

func scanInvoiceLine(row pgx.CollectableRow) (l InvoiceLine, err error) {
	err = row.Scan(&l.Campaign, &l.CampaignName, &l.LineItem, &l.LineItemName, &l.Impressions, &l.Charged)
	return l, err
}

func scanInvoiceCredit(row pgx.CollectableRow) (c InvoiceCredit, err error) {
	var lineItem *ad.ID
	err = row.Scan(&c.Correction, &c.At, &c.From, &c.To, &lineItem, &c.LineItemName, &c.Why, &c.Impressions, &c.Credited)
	c.At, c.From, c.To, c.LineItem = c.At.UTC(), c.From.UTC(), c.To.UTC(), idOrZero(lineItem)
	return c, err
}
