package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/hayate-ads/hayate/internal/ad"
)

const exchangeRateColumns = `x.id, x.currency, x.value, x.version, x.created_at, x.updated_at`

func scanExchangeRate(row pgx.CollectableRow) (r ad.ExchangeRate, err error) {
	err = row.Scan(&r.ID, &r.Currency, &r.Value, &r.Version, &r.CreatedAt, &r.UpdatedAt)
	r.CreatedAt, r.UpdatedAt = r.CreatedAt.UTC(), r.UpdatedAt.UTC()
	return r, err
}

// ExchangeRates lists them all by currency. They are for operators.
func (db *DB) ExchangeRates(ctx context.Context, actor Actor) ([]ad.ExchangeRate, error) {
	if err := actor.only(ad.RoleOperator); err != nil {
		return nil, err
	}
	return many(ctx, db.Pool, scanExchangeRate, `
		SELECT `+exchangeRateColumns+` FROM exchange_rate AS x ORDER BY x.currency`)
}

// SetExchangeRate adds the rate of a currency, with Version 0, or changes the
// value of the one there is, from the version that was read. It is for operators.
func (db *DB) SetExchangeRate(ctx context.Context, actor Actor, r ad.ExchangeRate) (ad.ExchangeRate, error) {
	if err := actor.only(ad.RoleOperator); err != nil {
		return r, err
	}
	if err := r.Validate(); err != nil {
		return r, err
	}
	return inTx(ctx, db, func(tx pgx.Tx) (ad.ExchangeRate, error) {
		if r.Version == 0 {
			return createExchangeRate(ctx, tx, actor, r)
		}
		old, err := lockExchangeRate(ctx, tx, r.Currency, r.Version)
		if err != nil {
			return r, err
		}
		updated, err := one(ctx, tx, scanExchangeRate, `
			UPDATE exchange_rate AS x SET value = $2, version = x.version + 1, updated_at = now()
			WHERE x.id = $1
			RETURNING `+exchangeRateColumns, old.ID, r.Value)
		if err != nil {
			return r, err
		}
		return updated, auditUpdate(ctx, tx, actor, Entry{Kind: "exchange_rate", ItemID: old.ID}, old, updated)
	})
}

func createExchangeRate(ctx context.Context, tx pgx.Tx, actor Actor, r ad.ExchangeRate) (ad.ExchangeRate, error) {
	created, err := one(ctx, tx, scanExchangeRate, `
		INSERT INTO exchange_rate AS x (currency, value) VALUES ($1, $2)
		RETURNING `+exchangeRateColumns, r.Currency, r.Value)
	if violates(err, uniqueViolation) {
		return r, wrong("currency", ad.Taken, "has a rate already; change that one")
	}
	if err != nil {
		return r, err
	}
	return created, auditCreate(ctx, tx, actor, "exchange_rate", created.ID)
}

func lockExchangeRate(ctx context.Context, tx pgx.Tx, currency string, version int64) (ad.ExchangeRate, error) {
	found, err := one(ctx, tx, scanExchangeRate, `
		SELECT `+exchangeRateColumns+` FROM exchange_rate AS x WHERE x.currency = $1 FOR UPDATE`, currency)
	if err == nil && found.Version != version {
		err = ErrVersion
	}
	return found, err
}

// DeleteExchangeRate removes a rate that no active placement's floor needs. It is
// for operators.
func (db *DB) DeleteExchangeRate(ctx context.Context, actor Actor, currency string, version int64) error {
	if err := actor.only(ad.RoleOperator); err != nil {
		return err
	}
	return InTx(ctx, db.Pool, func(tx pgx.Tx) error {
		old, err := lockExchangeRate(ctx, tx, currency, version)
		if err != nil {
			return err
		}
		users, err := one(ctx, tx, pgx.RowTo[int], `
			SELECT count(*) FROM placement WHERE floor_currency = $1 AND status = 'active'`, currency)
		if err != nil {
			return err
		}
		if users > 0 {
			return wrong("currency", ad.Conflict, fmt.Sprintf("is that of the floor of %d active placements", users))
		}
		if _, err := tx.Exec(ctx, `DELETE FROM exchange_rate WHERE id = $1`, old.ID); err != nil {
			return err
		}
		return audit(ctx, tx, actor, Entry{Action: "delete", Kind: "exchange_rate", ItemID: old.ID})
	})
}
