package postgres

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/hayate-ads/hayate/internal/ad"
)

const publisherColumns = `p.id, p.name, p.domain, p.status, p.version, p.created_at, p.updated_at`

func scanPublisher(row pgx.CollectableRow) (p ad.Publisher, err error) {
	err = row.Scan(&p.ID, &p.Name, &p.Domain, &p.Status, &p.Version, &p.CreatedAt, &p.UpdatedAt)
	p.CreatedAt, p.UpdatedAt = p.CreatedAt.UTC(), p.UpdatedAt.UTC()
	return p, err
}

// CreatePublisher is for operators.
func (db *DB) CreatePublisher(ctx context.Context, actor Actor, p ad.Publisher) (ad.Publisher, error) {
	if err := actor.only(ad.RoleOperator); err != nil {
		return p, err
	}
	p.Name, p.Status = strings.TrimSpace(p.Name), orActive(p.Status)
	if err := p.Validate(); err != nil {
		return p, err
	}
	return inTx(ctx, db, func(tx pgx.Tx) (ad.Publisher, error) {
		created, err := one(ctx, tx, scanPublisher, `
			INSERT INTO publisher AS p (name, domain, status) VALUES ($1, $2, $3)
			RETURNING `+publisherColumns,
			p.Name, p.Domain, p.Status)
		if err != nil {
			return p, err
		}
		return created, auditCreate(ctx, tx, actor, "publisher", created.ID)
	})
}

// FindPublisher returns one publisher.
func (db *DB) FindPublisher(ctx context.Context, actor Actor, id ad.ID) (ad.Publisher, error) {
	return findPublisher(ctx, db.Pool, actor, id, "")
}

func findPublisher(ctx context.Context, q querier, actor Actor, id ad.ID, lock string) (ad.Publisher, error) {
	return one(ctx, q, scanPublisher, `
		SELECT `+publisherColumns+` FROM publisher AS p
		WHERE p.id = $1 AND ($2::bigint IS NULL OR p.id = $2)`+lock,
		id, actor.supply())
}

// Publishers lists them.
func (db *DB) Publishers(ctx context.Context, actor Actor, page Page) ([]ad.Publisher, error) {
	return many(ctx, db.Pool, scanPublisher, `
		SELECT `+publisherColumns+` FROM publisher AS p
		WHERE p.id > $1 AND ($2::bigint IS NULL OR p.id = $2)
		ORDER BY p.id LIMIT $3`,
		page.After, actor.supply(), page.limit())
}

// UpdatePublisher is for operators: the domain stands in sellers.json.
func (db *DB) UpdatePublisher(ctx context.Context, actor Actor, p ad.Publisher) (ad.Publisher, error) {
	p.Name = strings.TrimSpace(p.Name)
	return inTx(ctx, db, func(tx pgx.Tx) (ad.Publisher, error) {
		old, err := findPublisher(ctx, tx, actor, p.ID, " FOR UPDATE")
		if err != nil {
			return p, err
		}
		if err := actor.only(ad.RoleOperator); err != nil {
			return p, err
		}
		if err := editable(old.Status, old.Version, p.Version); err != nil {
			return p, err
		}
		if err := p.Validate(); err != nil {
			return p, err
		}
		updated, err := one(ctx, tx, scanPublisher, `
			UPDATE publisher AS p SET name = $2, domain = $3, status = $4, version = p.version + 1, updated_at = now()
			WHERE p.id = $1
			RETURNING `+publisherColumns,
			p.ID, p.Name, p.Domain, p.Status)
		if err != nil {
			return p, err
		}
		return updated, auditUpdate(ctx, tx, actor, Entry{Kind: "publisher", ItemID: p.ID}, old, updated)
	})
}
