package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/money"
)

// setBudgets brings the bank's accounts of a line item in line with what the
// advertiser wants: the lifetime account, which it makes when missing, and the
// days from today on, which the first grant of a day makes. It runs in the
// transaction that changes the line item and holds that row's lock, under which
// grants read the budgets of new days.
//
// The limit in force never falls below what is settled or leased (M1): a lowered
// one follows as leases come back, which is the returning side's to do.
func setBudgets(ctx context.Context, tx pgx.Tx, l ad.LineItem) error {
	_, err := tx.Exec(ctx, `
		INSERT INTO account (level, owner_id, day, wanted_micros, limit_micros)
		VALUES ('line_item', $1, NULL, $2, $2)
		ON CONFLICT (level, owner_id, day) DO NOTHING`,
		l.ID, l.LifetimeBudget)
	if err != nil {
		return err
	}
	// Locked in the order of ids, as grants lock them: neither can wait for the other.
	ids, err := many(ctx, tx, pgx.RowTo[int64], `
		SELECT id FROM account
		WHERE level = 'line_item' AND owner_id = $1 AND (day IS NULL OR day >= (
			SELECT (bank_now() AT TIME ZONE a.time_zone)::date
			FROM campaign AS c JOIN advertiser AS a ON a.id = c.advertiser_id WHERE c.id = $2))
		ORDER BY id FOR UPDATE`,
		l.ID, l.CampaignID)
	if err != nil {
		return err
	}
	// GREATEST passes over NULL, which must win here: no limit is wanted.
	_, err = tx.Exec(ctx, `
		UPDATE account SET wanted_micros = b.wanted,
			limit_micros = CASE WHEN b.wanted IS NOT NULL THEN GREATEST(b.wanted, settled_micros + leased_micros) END
		FROM (VALUES (true, $2::bigint), (false, $3::bigint)) AS b (lifetime, wanted)
		WHERE id = ANY ($1) AND b.lifetime = (day IS NULL)`,
		ids, l.LifetimeBudget, l.DailyBudget)
	return err
}

// Exposure is how far a line item's budgets are used.
type Exposure struct {
	Lifetime Account
	Day      time.Time // today's date in the advertiser's time zone, as UTC midnight
	Today    Account
}

// Account is one budget. Wanted is what the advertiser typed, Limit what is in
// force; nil means no limit. Limit is above Wanted while more than a lowered
// budget is out.
type Account struct {
	Wanted  *money.Micros
	Limit   *money.Micros
	Settled money.Micros // charged
	Leased  money.Micros // held by delivery processes: will be charged or come back
}

// Exposure returns the budgets of a line item. A day without an account yet has
// the daily budget unused.
func (db *DB) Exposure(ctx context.Context, actor Actor, lineItemID ad.ID) (Exposure, error) {
	return one(ctx, db.Pool, scanExposure, `
		SELECT t.day,
			life.wanted_micros, life.limit_micros, COALESCE(life.settled_micros, 0), COALESCE(life.leased_micros, 0),
			CASE WHEN d.id IS NULL THEN l.daily_budget ELSE d.wanted_micros END,
			CASE WHEN d.id IS NULL THEN l.daily_budget ELSE d.limit_micros END,
			COALESCE(d.settled_micros, 0), COALESCE(d.leased_micros, 0)
		FROM line_item AS l
		JOIN campaign AS c ON c.id = l.campaign_id
		JOIN advertiser AS a ON a.id = c.advertiser_id
		CROSS JOIN LATERAL (SELECT (bank_now() AT TIME ZONE a.time_zone)::date AS day) AS t
		LEFT JOIN account AS life ON life.level = 'line_item' AND life.owner_id = l.id AND life.day IS NULL
		LEFT JOIN account AS d ON d.level = 'line_item' AND d.owner_id = l.id AND d.day = t.day
		WHERE l.id = $1 AND ($2::bigint IS NULL OR c.advertiser_id = $2)`,
		lineItemID, actor.demand())
}

func scanExposure(row pgx.CollectableRow) (e Exposure, err error) {
	life, today := &e.Lifetime, &e.Today
	err = row.Scan(&e.Day, &life.Wanted, &life.Limit, &life.Settled, &life.Leased,
		&today.Wanted, &today.Limit, &today.Settled, &today.Leased)
	return e, err
}
