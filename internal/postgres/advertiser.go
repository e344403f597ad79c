package postgres

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/hayate-ads/hayate/internal/ad"
)

const advertiserColumns = `a.id, a.name, a.domain, a.time_zone, a.status,
	a.click_window_days, a.view_window_days, a.version, a.created_at, a.updated_at`

func scanAdvertiser(row pgx.CollectableRow) (a ad.Advertiser, err error) {
	err = row.Scan(&a.ID, &a.Name, &a.Domain, &a.TimeZone, &a.Status,
		&a.ClickWindowDays, &a.ViewWindowDays, &a.Version, &a.CreatedAt, &a.UpdatedAt)
	a.CreatedAt, a.UpdatedAt = a.CreatedAt.UTC(), a.UpdatedAt.UTC()
	return a, err
}

// CreateAdvertiser is for operators. Without a click window, which every advertiser
// has, both windows are the usual ones.
func (db *DB) CreateAdvertiser(ctx context.Context, actor Actor, a ad.Advertiser) (ad.Advertiser, error) {
	if err := actor.only(ad.RoleOperator); err != nil {
		return a, err
	}
	a.Name, a.Status = strings.TrimSpace(a.Name), orActive(a.Status)
	if a.ClickWindowDays == 0 && a.ViewWindowDays == 0 {
		a.ClickWindowDays, a.ViewWindowDays = ad.DefaultClickWindowDays, ad.DefaultViewWindowDays
	}
	if err := a.Validate(); err != nil {
		return a, err
	}
	return inTx(ctx, db, func(tx pgx.Tx) (ad.Advertiser, error) {
		if err := knownTimeZone(ctx, tx, a.TimeZone); err != nil {
			return a, err
		}
		created, err := one(ctx, tx, scanAdvertiser, `
			INSERT INTO advertiser AS a (name, domain, time_zone, status, click_window_days, view_window_days)
			VALUES ($1, $2, $3, $4, $5, $6)
			RETURNING `+advertiserColumns,
			a.Name, a.Domain, a.TimeZone, a.Status, a.ClickWindowDays, a.ViewWindowDays)
		if err != nil {
			return a, err
		}
		return created, auditCreate(ctx, tx, actor, "advertiser", created.ID)
	})
}

// knownTimeZone asks Postgres too, whose list may be another one than Go's: the
// bank computes days there.
func knownTimeZone(ctx context.Context, tx pgx.Tx, name string) error {
	var known bool
	err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_timezone_names WHERE name = $1)", name).Scan(&known)
	if err == nil && !known {
		err = wrong("time_zone", ad.Unknown, "is not known to the database")
	}
	return err
}

// FindAdvertiser returns one advertiser.
func (db *DB) FindAdvertiser(ctx context.Context, actor Actor, id ad.ID) (ad.Advertiser, error) {
	return findAdvertiser(ctx, db.Pool, actor, id, "")
}

func findAdvertiser(ctx context.Context, q querier, actor Actor, id ad.ID, lock string) (ad.Advertiser, error) {
	return one(ctx, q, scanAdvertiser, `
		SELECT `+advertiserColumns+` FROM advertiser AS a
		WHERE a.id = $1 AND ($2::bigint IS NULL OR a.id = $2)`+lock,
		id, actor.demand())
}

// Advertisers lists them.
func (db *DB) Advertisers(ctx context.Context, actor Actor, page Page) ([]ad.Advertiser, error) {
	return many(ctx, db.Pool, scanAdvertiser, `
		SELECT `+advertiserColumns+` FROM advertiser AS a
		WHERE a.id > $1 AND ($2::bigint IS NULL OR a.id = $2)
		ORDER BY a.id LIMIT $3`,
		page.After, actor.demand(), page.limit())
}

// UpdateAdvertiser changes everything but the time zone of an advertiser that
// has line items: their days would begin anew. It is for operators, since
// publishers block advertisers by their domain.
func (db *DB) UpdateAdvertiser(ctx context.Context, actor Actor, a ad.Advertiser) (ad.Advertiser, error) {
	a.Name = strings.TrimSpace(a.Name)
	return inTx(ctx, db, func(tx pgx.Tx) (ad.Advertiser, error) {
		old, err := findAdvertiser(ctx, tx, actor, a.ID, " FOR UPDATE")
		if err != nil {
			return a, err
		}
		if err := checkAdvertiserEdit(ctx, tx, actor, old, a); err != nil {
			return a, err
		}
		updated, err := one(ctx, tx, scanAdvertiser, `
			UPDATE advertiser AS a SET name = $2, domain = $3, time_zone = $4, status = $5,
				click_window_days = $6, view_window_days = $7, version = a.version + 1, updated_at = now()
			WHERE a.id = $1
			RETURNING `+advertiserColumns,
			a.ID, a.Name, a.Domain, a.TimeZone, a.Status, a.ClickWindowDays, a.ViewWindowDays)
		if err != nil {
			return a, err
		}
		if err := auditUpdate(ctx, tx, actor, Entry{Kind: "advertiser", ItemID: a.ID}, old, updated); err != nil {
			return a, err
		}
		if updated.Status != old.Status {
			err = putStop(ctx, tx, "advertiser", a.ID, updated.Status)
		}
		return updated, err
	})
}

func checkAdvertiserEdit(ctx context.Context, tx pgx.Tx, actor Actor, old, a ad.Advertiser) error {
	if err := actor.only(ad.RoleOperator); err != nil {
		return err
	}
	if err := editable(old.Status, old.Version, a.Version); err != nil {
		return err
	}
	if err := a.Validate(); err != nil {
		return err
	}
	if a.TimeZone == old.TimeZone {
		return nil
	}
	var used bool
	err := tx.QueryRow(ctx, `
		SELECT EXISTS (SELECT FROM line_item AS l JOIN campaign AS c ON c.id = l.campaign_id WHERE c.advertiser_id = $1)`,
		a.ID).Scan(&used)
	if err != nil {
		return err
	}
	if used {
		return wrong("time_zone", ad.Immutable, "cannot change once there are line items")
	}
	return knownTimeZone(ctx, tx, a.TimeZone)
}
