package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/hayate-ads/hayate/internal/ad"
)

const propertyColumns = `s.id, s.publisher_id, s.name, s.kind, s.domain, s.categories, s.revenue_share, s.status,
	s.version, s.created_at, s.updated_at`

func scanProperty(row pgx.CollectableRow) (p ad.Property, err error) {
	err = row.Scan(&p.ID, &p.PublisherID, &p.Name, &p.Kind, &p.Domain, &p.Categories, &p.RevenueShare, &p.Status,
		&p.Version, &p.CreatedAt, &p.UpdatedAt)
	p.CreatedAt, p.UpdatedAt = p.CreatedAt.UTC(), p.UpdatedAt.UTC()
	return p, err
}

// PropertyFilter narrows a list of properties; zero fields do not.
type PropertyFilter struct {
	PublisherID ad.ID
	Page
}

// CreateProperty is for operators, who settle what a publisher gets of a price
// and whether a site is its own.
func (db *DB) CreateProperty(ctx context.Context, actor Actor, p ad.Property) (ad.Property, error) {
	p.Name, p.Status = strings.TrimSpace(p.Name), orActive(p.Status)
	return inTx(ctx, db, func(tx pgx.Tx) (ad.Property, error) {
		if err := checkNewProperty(ctx, tx, actor, p); err != nil {
			return p, err
		}
		created, err := one(ctx, tx, scanProperty, `
			INSERT INTO property AS s (publisher_id, name, kind, domain, revenue_share, status, categories)
			VALUES ($1, $2, $3, $4, $5, $6, $7)
			RETURNING `+propertyColumns,
			p.PublisherID, p.Name, p.Kind, p.Domain, p.RevenueShare, p.Status, orEmpty(p.Categories))
		if err != nil {
			return p, err
		}
		return created, auditCreate(ctx, tx, actor, "property", created.ID)
	})
}

func checkNewProperty(ctx context.Context, tx pgx.Tx, actor Actor, p ad.Property) error {
	if p.PublisherID > 0 {
		publisher, err := findPublisher(ctx, tx, actor, p.PublisherID, " FOR SHARE")
		if err != nil {
			return err
		}
		if err := openParent("publisher_id", publisher.Status); err != nil {
			return err
		}
	}
	if err := actor.only(ad.RoleOperator); err != nil {
		return err
	}
	return p.Validate()
}

// FindProperty returns one property.
func (db *DB) FindProperty(ctx context.Context, actor Actor, id ad.ID) (ad.Property, error) {
	return findProperty(ctx, db.Pool, actor, id, "")
}

func findProperty(ctx context.Context, q querier, actor Actor, id ad.ID, lock string) (ad.Property, error) {
	return one(ctx, q, scanProperty, `
		SELECT `+propertyColumns+` FROM property AS s
		WHERE s.id = $1 AND ($2::bigint IS NULL OR s.publisher_id = $2)`+lock,
		id, actor.supply())
}

// Properties lists them.
func (db *DB) Properties(ctx context.Context, actor Actor, f PropertyFilter) ([]ad.Property, error) {
	return many(ctx, db.Pool, scanProperty, `
		SELECT `+propertyColumns+` FROM property AS s
		WHERE s.id > $1 AND ($2::bigint IS NULL OR s.publisher_id = $2) AND ($3 = 0 OR s.publisher_id = $3)
		ORDER BY s.id LIMIT $4`,
		f.After, actor.supply(), f.PublisherID, f.limit())
}

// UpdateProperty changes everything but the publisher. Publishers may change name,
// categories and status of their own.
func (db *DB) UpdateProperty(ctx context.Context, actor Actor, p ad.Property) (ad.Property, error) {
	p.Name = strings.TrimSpace(p.Name)
	return inTx(ctx, db, func(tx pgx.Tx) (ad.Property, error) {
		old, err := findProperty(ctx, tx, actor, p.ID, " FOR UPDATE")
		if err != nil {
			return p, err
		}
		if err := checkPropertyEdit(actor, old, &p); err != nil {
			return p, err
		}
		updated, err := one(ctx, tx, scanProperty, `
			UPDATE property AS s SET name = $2, kind = $3, domain = $4, revenue_share = $5, status = $6, categories = $7,
				version = s.version + 1, updated_at = now()
			WHERE s.id = $1
			RETURNING `+propertyColumns,
			p.ID, p.Name, p.Kind, p.Domain, p.RevenueShare, p.Status, orEmpty(p.Categories))
		if err != nil {
			return p, err
		}
		return updated, auditUpdate(ctx, tx, actor, Entry{Kind: "property", ItemID: p.ID}, old, updated)
	})
}

func checkPropertyEdit(actor Actor, old ad.Property, p *ad.Property) error {
	if err := actor.only(ad.RoleOperator, ad.RolePublisher); err != nil {
		return err
	}
	if err := editable(old.Status, old.Version, p.Version); err != nil {
		return err
	}
	if err := sameParent("publisher_id", old.PublisherID, &p.PublisherID); err != nil {
		return err
	}
	if err := p.Validate(); err != nil {
		return err
	}
	settled := p.RevenueShare == old.RevenueShare && p.Domain == old.Domain && p.Kind == old.Kind
	if actor.Role != ad.RoleOperator && !settled {
		return fmt.Errorf("%w: only operators change revenue share, domain and kind", ErrForbidden)
	}
	return nil
}
