package postgres

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/hayate-ads/hayate/internal/ad"
)

const placementColumns = `m.id, m.property_id, m.name, m.formats, m.widths, m.heights, m.floor, m.floor_currency,
	m.auction_type, m.position, m.blocked_advertisers, m.blocked_categories, m.blocked_attributes, m.status, m.version, m.created_at, m.updated_at`

func scanPlacement(row pgx.CollectableRow) (p ad.Placement, err error) {
	var widths, heights []int
	err = row.Scan(&p.ID, &p.PropertyID, &p.Name, &p.Formats, &widths, &heights, &p.Floor, &p.FloorCurrency,
		&p.AuctionType, &p.Position, &p.BlockedAdvertisers, &p.BlockedCategories, &p.BlockedAttributes, &p.Status, &p.Version, &p.CreatedAt, &p.UpdatedAt)
	if err != nil {
		return p, err
	}
	for i := range widths { // a CHECK keeps the arrays in step
		p.Sizes = append(p.Sizes, ad.Size{Width: widths[i], Height: heights[i]})
	}
	p.CreatedAt, p.UpdatedAt = p.CreatedAt.UTC(), p.UpdatedAt.UTC()
	return p, nil
}

// sides splits sizes into the two columns that store them.
func sides(sizes []ad.Size) (widths, heights []int) {
	widths, heights = make([]int, len(sizes)), make([]int, len(sizes))
	for i, size := range sizes {
		widths[i], heights[i] = size.Width, size.Height
	}
	return widths, heights
}

// orEmpty is an empty list in place of NULL, which the column does not take.
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// PlacementFilter narrows a list of placements; zero fields do not.
type PlacementFilter struct {
	PublisherID ad.ID
	PropertyID  ad.ID
	Page
}

// CreatePlacement adds a placement to a property.
func (db *DB) CreatePlacement(ctx context.Context, actor Actor, p ad.Placement) (ad.Placement, error) {
	p.Name, p.Status = strings.TrimSpace(p.Name), orActive(p.Status)
	return inTx(ctx, db, func(tx pgx.Tx) (ad.Placement, error) {
		if err := checkNewPlacement(ctx, tx, actor, p); err != nil {
			return p, err
		}
		widths, heights := sides(p.Sizes)
		created, err := one(ctx, tx, scanPlacement, `
			INSERT INTO placement AS m (property_id, name, formats, widths, heights, floor, blocked_advertisers, status,
				floor_currency, auction_type, position, blocked_categories, blocked_attributes)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
			RETURNING `+placementColumns,
			p.PropertyID, p.Name, p.Formats, widths, heights, p.Floor, orEmpty(p.BlockedAdvertisers), p.Status,
			p.FloorCurrency, max(p.AuctionType, ad.FirstPrice), p.Position, orEmpty(p.BlockedCategories), orEmpty(p.BlockedAttributes))
		if err != nil {
			return p, err
		}
		return created, auditCreate(ctx, tx, actor, "placement", created.ID)
	})
}

func checkNewPlacement(ctx context.Context, tx pgx.Tx, actor Actor, p ad.Placement) error {
	if p.PropertyID > 0 {
		property, err := findProperty(ctx, tx, actor, p.PropertyID, " FOR SHARE")
		if err != nil {
			return err
		}
		if err := openParent("property_id", property.Status); err != nil {
			return err
		}
	}
	if err := actor.only(ad.RoleOperator, ad.RolePublisher); err != nil {
		return err
	}
	return p.Validate()
}

// FindPlacement returns one placement.
func (db *DB) FindPlacement(ctx context.Context, actor Actor, id ad.ID) (ad.Placement, error) {
	return findPlacement(ctx, db.Pool, actor, id, "")
}

func findPlacement(ctx context.Context, q querier, actor Actor, id ad.ID, lock string) (ad.Placement, error) {
	return one(ctx, q, scanPlacement, `
		SELECT `+placementColumns+`
		FROM placement AS m JOIN property AS s ON s.id = m.property_id
		WHERE m.id = $1 AND ($2::bigint IS NULL OR s.publisher_id = $2)`+lock,
		id, actor.supply())
}

// Placements lists them.
func (db *DB) Placements(ctx context.Context, actor Actor, f PlacementFilter) ([]ad.Placement, error) {
	return many(ctx, db.Pool, scanPlacement, `
		SELECT `+placementColumns+`
		FROM placement AS m JOIN property AS s ON s.id = m.property_id
		WHERE m.id > $1 AND ($2::bigint IS NULL OR s.publisher_id = $2)
			AND ($3 = 0 OR s.publisher_id = $3) AND ($4 = 0 OR m.property_id = $4)
		ORDER BY m.id LIMIT $5`,
		f.After, actor.supply(), f.PublisherID, f.PropertyID, f.limit())
}

// UpdatePlacement changes everything but the property.
func (db *DB) UpdatePlacement(ctx context.Context, actor Actor, p ad.Placement) (ad.Placement, error) {
	p.Name = strings.TrimSpace(p.Name)
	return inTx(ctx, db, func(tx pgx.Tx) (ad.Placement, error) {
		old, err := findPlacement(ctx, tx, actor, p.ID, " FOR UPDATE OF m")
		if err != nil {
			return p, err
		}
		if err := checkPlacementEdit(actor, old, &p); err != nil {
			return p, err
		}
		widths, heights := sides(p.Sizes)
		updated, err := one(ctx, tx, scanPlacement, `
			UPDATE placement AS m SET name = $2, formats = $3, widths = $4, heights = $5, floor = $6,
				blocked_advertisers = $7, status = $8, floor_currency = $9, auction_type = $10, position = $11,
				blocked_categories = $12, blocked_attributes = $13, version = m.version + 1, updated_at = now()
			WHERE m.id = $1
			RETURNING `+placementColumns,
			p.ID, p.Name, p.Formats, widths, heights, p.Floor, orEmpty(p.BlockedAdvertisers), p.Status,
			p.FloorCurrency, max(p.AuctionType, ad.FirstPrice), p.Position, orEmpty(p.BlockedCategories), orEmpty(p.BlockedAttributes))
		if err != nil {
			return p, err
		}
		return updated, auditUpdate(ctx, tx, actor, Entry{Kind: "placement", ItemID: p.ID}, old, updated)
	})
}

func checkPlacementEdit(actor Actor, old ad.Placement, p *ad.Placement) error {
	if err := actor.only(ad.RoleOperator, ad.RolePublisher); err != nil {
		return err
	}
	if err := editable(old.Status, old.Version, p.Version); err != nil {
		return err
	}
	if err := sameParent("property_id", old.PropertyID, &p.PropertyID); err != nil {
		return err
	}
	return p.Validate()
}
