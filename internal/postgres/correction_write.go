package postgres

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/money"
)

func micro(n int64) money.Micros { return money.Micros(n) }

// write books what was planned. Accounts and hours are locked, and with an hour all
// rows of its reports.
func (c *crediting) write(ctx context.Context, tx pgx.Tx, actor Actor) error {
	c.Credit = c.total
	err := tx.QueryRow(ctx, `
		INSERT INTO correction (advertiser_id, line_item_id, creative_id, placement_id, exchange_id, from_hour, to_hour, why,
			impressions, credited_micros, credited_revenue_micros, user_id)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) RETURNING id, at`,
		c.AdvertiserID, idOrNull(c.LineItemID), idOrNull(c.CreativeID), idOrNull(c.PlacementID), c.ExchangeID, c.From, c.To, c.Why,
		c.total.Impressions, c.total.Charged, c.total.Revenue, idOrNull(actor.UserID)).Scan(&c.ID, &c.At)
	if err != nil {
		return fmt.Errorf("write a correction: %w", err)
	}
	c.At = c.At.UTC()
	batch := &pgx.Batch{}
	queueAccountChanges(batch, c.accountChanges())
	c.queueCells(batch)
	c.queueSupply(batch)
	c.queueStatus(batch)
	c.queueLedger(batch)
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("write a correction: %w", err)
	}
	return c.audit(ctx, tx, actor)
}

// accountChanges lower what was charged to each day and to the lifetime.
func (c *crediting) accountChanges() map[int64]*AccountChange {
	changes := map[int64]*AccountChange{}
	for key, amount := range c.days {
		for _, account := range []*creditAccount{
			c.accounts[accountKey{lineItem: key.LineItem, day: key.Day}], c.accounts[accountKey{lineItem: key.LineItem, lifetime: true}],
		} {
			if account == nil {
				continue
			}
			if changes[account.id] == nil {
				changes[account.id] = new(AccountChange)
			}
			change := changes[account.id]
			change.Settled = change.Settled.Sub(amount)
		}
	}
	return changes
}

func (c *crediting) queueCells(batch *pgx.Batch) {
	n := len(c.cells)
	hours, impressions := make([]time.Time, n), make([]int64, n)
	var ids [4][]ad.ID
	charged, revenue := make([]money.Micros, n), make([]money.Micros, n)
	for i, cell := range c.cells {
		hours[i], impressions[i], charged[i], revenue[i] = time.Unix(cell.Hour, 0), cell.Impressions, cell.Charged, cell.Revenue
		for j, id := range [4]ad.ID{cell.LineItem, cell.Creative, cell.Placement, cell.Exchange} {
			ids[j] = append(ids[j], id)
		}
	}
	batch.Queue(`
		UPDATE report_hour AS h SET
			credited_impressions    = h.credited_impressions + n.impressions,
			credited_micros         = h.credited_micros + n.charged,
			credited_revenue_micros = h.credited_revenue_micros + n.revenue
		FROM unnest($1::timestamptz[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[])
			AS n (hour, line_item_id, creative_id, placement_id, exchange_id, impressions, charged, revenue)
		WHERE h.hour = n.hour AND h.line_item_id = n.line_item_id AND h.creative_id = n.creative_id
			AND h.placement_id = n.placement_id AND h.exchange_id = n.exchange_id AND h.hour >= $9 AND h.hour < $10`,
		hours, ids[0], ids[1], ids[2], ids[3], impressions, charged, revenue, c.From, c.To)
}

// queueSupply takes the revenue back from the rows of placements, which settle
// wrote together with the cells.
func (c *crediting) queueSupply(batch *pgx.Batch) {
	sums := map[SupplyKey]money.Micros{}
	for _, cell := range c.cells {
		if cell.Revenue > 0 {
			sums[SupplyKey{Hour: cell.Hour, Placement: cell.Placement, Exchange: cell.Exchange}] += cell.Revenue
		}
	}
	if len(sums) == 0 {
		return
	}
	var hours []time.Time
	var placements, exchanges []ad.ID
	var revenue []money.Micros
	for key, sum := range sums {
		hours, revenue = append(hours, time.Unix(key.Hour, 0)), append(revenue, sum)
		placements, exchanges = append(placements, key.Placement), append(exchanges, key.Exchange)
	}
	batch.Queue(`
		UPDATE report_supply_hour AS s SET credited_revenue_micros = s.credited_revenue_micros + n.revenue
		FROM unnest($1::timestamptz[], $2::bigint[], $3::bigint[], $4::bigint[]) AS n (hour, placement_id, exchange_id, revenue)
		WHERE s.hour = n.hour AND s.placement_id = n.placement_id AND s.exchange_id = n.exchange_id AND s.no_fill = ''
			AND s.hour >= $5 AND s.hour < $6`, hours, placements, exchanges, revenue, c.From, c.To)
}

// queueStatus notes that the hours have changed, so that their days are made anew.
func (c *crediting) queueStatus(batch *pgx.Batch) {
	var hours []time.Time
	for _, cell := range c.cells {
		if at := time.Unix(cell.Hour, 0); len(hours) == 0 || !hours[len(hours)-1].Equal(at) {
			hours = append(hours, at)
		}
	}
	batch.Queue(`
		UPDATE report_status SET changed_at = GREATEST(bank_now(), changed_at + interval '1 microsecond')
		WHERE hour = ANY($1::timestamptz[])`, hours)
}

func (c *crediting) queueLedger(batch *pgx.Batch) {
	keys := make([]BudgetKey, 0, len(c.days))
	for key := range c.days {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b BudgetKey) int {
		return cmp.Or(cmp.Compare(a.LineItem, b.LineItem), cmp.Compare(a.Day, b.Day))
	})
	var lineItems []ad.ID
	var days []time.Time
	var micros []money.Micros
	var impressions []int64
	for _, key := range keys {
		lineItems, days = append(lineItems, key.LineItem), append(days, dateOf(key.Day))
		micros, impressions = append(micros, -c.days[key].Micros), append(impressions, -c.days[key].Impressions)
	}
	batch.Queue(`
		INSERT INTO ledger (batch, correction_id, line_item_id, day, charged_micros, charged_impressions, at)
		SELECT 0, $1, n.line_item_id, n.day, n.micros, n.impressions, $2
		FROM unnest($3::bigint[], $4::date[], $5::bigint[], $6::bigint[]) AS n (line_item_id, day, micros, impressions)
		ORDER BY n.line_item_id, n.day`, c.ID, c.At, lineItems, days, micros, impressions)
}
