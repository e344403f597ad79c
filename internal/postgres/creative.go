package postgres

import (
	"context"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/hayate-ads/hayate/internal/ad"
)

const creativeColumns = `k.id, k.line_item_id, k.name, k.status, k.version, k.created_at, k.updated_at`

// creativeJoins leads from a creative to its advertiser.
const creativeJoins = `creative AS k
	JOIN line_item AS l ON l.id = k.line_item_id
	JOIN campaign AS c ON c.id = l.campaign_id`

func scanCreative(row pgx.CollectableRow) (c ad.Creative, err error) {
	err = row.Scan(&c.ID, &c.LineItemID, &c.Name, &c.Status, &c.Version, &c.CreatedAt, &c.UpdatedAt)
	c.CreatedAt, c.UpdatedAt = c.CreatedAt.UTC(), c.UpdatedAt.UTC()
	return c, err
}

const revisionColumns = `r.creative_id, r.number, r.format, r.width, r.height, r.landing_url,
	r.image_sha256, r.image_type, r.image_bytes, r.markup, r.categories, r.attributes,
	r.review, r.reason, r.reviewed_by, r.reviewed_at, r.created_at`

func scanRevision(row pgx.CollectableRow) (r ad.Revision, err error) {
	var by *ad.ID
	var at *time.Time
	err = row.Scan(&r.CreativeID, &r.Number, &r.Format, &r.Width, &r.Height, &r.LandingURL,
		&r.Image.SHA256, &r.Image.Type, &r.Image.Bytes, &r.Markup, &r.Categories, &r.Attributes,
		&r.Review, &r.Reason, &by, &at, &r.CreatedAt)
	r.ReviewedBy, r.ReviewedAt, r.CreatedAt = idOrZero(by), timeOrZero(at), r.CreatedAt.UTC()
	return r, err
}

// CreativeFilter narrows a list of creatives; zero fields do not.
type CreativeFilter struct {
	AdvertiserID ad.ID
	LineItemID   ad.ID
	Page         // creatives are large: at most 100 on a page
}

// CreateCreative adds a creative to a line item; its Latest is revision 1, a draft.
func (db *DB) CreateCreative(ctx context.Context, actor Actor, c ad.Creative) (ad.Creative, error) {
	c.Name, c.Status = strings.TrimSpace(c.Name), orActive(c.Status)
	return inTx(ctx, db, func(tx pgx.Tx) (ad.Creative, error) {
		if err := checkNewCreative(ctx, tx, actor, c); err != nil {
			return c, err
		}
		created, err := one(ctx, tx, scanCreative, `
			INSERT INTO creative AS k (line_item_id, name, status) VALUES ($1, $2, $3)
			RETURNING `+creativeColumns,
			c.LineItemID, c.Name, c.Status)
		if err != nil {
			return c, err
		}
		c.Latest.CreativeID, c.Latest.Number = created.ID, 1
		if created.Latest, err = insertRevision(ctx, tx, c.Latest); err != nil {
			return c, err
		}
		return created, auditCreate(ctx, tx, actor, "creative", created.ID)
	})
}

func checkNewCreative(ctx context.Context, tx pgx.Tx, actor Actor, c ad.Creative) error {
	if c.LineItemID > 0 {
		lineItem, err := findLineItem(ctx, tx, actor, c.LineItemID, " FOR SHARE OF l")
		if err != nil {
			return err
		}
		if err := openParent("line_item_id", lineItem.Status); err != nil {
			return err
		}
	}
	if err := actor.only(ad.RoleOperator, ad.RoleAdvertiser); err != nil {
		return err
	}
	return c.Validate()
}

func insertRevision(ctx context.Context, tx pgx.Tx, r ad.Revision) (ad.Revision, error) {
	return one(ctx, tx, scanRevision, `
		INSERT INTO creative_revision AS r (creative_id, number, format, width, height, landing_url,
			image_sha256, image_type, image_bytes, markup, categories, attributes)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
		RETURNING `+revisionColumns,
		r.CreativeID, r.Number, r.Format, r.Width, r.Height, r.LandingURL,
		r.Image.SHA256, r.Image.Type, r.Image.Bytes, r.Markup, orEmpty(r.Categories), orEmpty(r.Attributes))
}

// FindCreative returns one creative with its latest and its serving revision.
func (db *DB) FindCreative(ctx context.Context, actor Actor, id ad.ID) (ad.Creative, error) {
	return findCreative(ctx, db.Pool, actor, id, "")
}

func findCreative(ctx context.Context, q querier, actor Actor, id ad.ID, lock string) (ad.Creative, error) {
	found, err := one(ctx, q, scanCreative, `
		SELECT `+creativeColumns+` FROM `+creativeJoins+`
		WHERE k.id = $1 AND ($2::bigint IS NULL OR c.advertiser_id = $2)`+lock,
		id, actor.demand())
	if err != nil {
		return found, err
	}
	list := []ad.Creative{found}
	err = addRevisions(ctx, q, list)
	return list[0], err
}

// Creatives lists them.
func (db *DB) Creatives(ctx context.Context, actor Actor, f CreativeFilter) ([]ad.Creative, error) {
	list, err := many(ctx, db.Pool, scanCreative, `
		SELECT `+creativeColumns+` FROM `+creativeJoins+`
		WHERE k.id > $1 AND ($2::bigint IS NULL OR c.advertiser_id = $2)
			AND ($3 = 0 OR c.advertiser_id = $3) AND ($4 = 0 OR k.line_item_id = $4)
		ORDER BY k.id LIMIT $5`,
		f.After, actor.demand(), f.AdvertiserID, f.LineItemID, min(f.limit(), 100))
	if err != nil {
		return nil, err
	}
	return list, addRevisions(ctx, db.Pool, list)
}

// addRevisions sets Latest and Serving of each creative.
func addRevisions(ctx context.Context, q querier, list []ad.Creative) error {
	place := make(map[ad.ID]int, len(list))
	ids := make([]ad.ID, len(list))
	for i, c := range list {
		place[c.ID], ids[i] = i, c.ID
	}
	revisions, err := many(ctx, q, scanRevision, `
		SELECT `+revisionColumns+` FROM creative_revision AS r
		WHERE r.creative_id = ANY ($1) AND (
			r.number = (SELECT max(x.number) FROM creative_revision AS x WHERE x.creative_id = r.creative_id)
			OR r.number = (SELECT max(x.number) FROM creative_revision AS x
				WHERE x.creative_id = r.creative_id AND x.review = 'approved'))
		ORDER BY r.creative_id, r.number`,
		ids)
	for _, r := range revisions {
		c := &list[place[r.CreativeID]]
		c.Latest = r // the last one in order stays
		if r.Review == ad.Approved {
			c.Serving = &r
		}
	}
	return err
}

// UpdateCreative changes name and status; the content changes by [DB.ReviseCreative].
func (db *DB) UpdateCreative(ctx context.Context, actor Actor, c ad.Creative) (ad.Creative, error) {
	return inTx(ctx, db, func(tx pgx.Tx) (ad.Creative, error) {
		old, err := lockCreative(ctx, tx, actor, c.ID)
		if err != nil {
			return c, err
		}
		if err := editable(old.Status, old.Version, c.Version); err != nil {
			return c, err
		}
		if err := sameParent("line_item_id", old.LineItemID, &c.LineItemID); err != nil {
			return c, err
		}
		updated := old
		updated.Name, updated.Status = strings.TrimSpace(c.Name), c.Status
		if err := updated.Validate(); err != nil {
			return c, err
		}
		stamped, err := one(ctx, tx, scanCreative, `
			UPDATE creative AS k SET name = $2, status = $3, version = k.version + 1, updated_at = now()
			WHERE k.id = $1
			RETURNING `+creativeColumns,
			c.ID, updated.Name, updated.Status)
		if err != nil {
			return c, err
		}
		updated.Stamp = stamped.Stamp
		if err := auditUpdate(ctx, tx, actor, Entry{Kind: "creative", ItemID: c.ID}, old, updated); err != nil {
			return c, err
		}
		if updated.Status != old.Status {
			err = putStop(ctx, tx, "creative", c.ID, updated.Status)
		}
		return updated, err
	})
}

// lockCreative finds a creative for a change by somebody who may change demand.
func lockCreative(ctx context.Context, tx pgx.Tx, actor Actor, id ad.ID) (ad.Creative, error) {
	c, err := findCreative(ctx, tx, actor, id, " FOR UPDATE OF k")
	if err != nil {
		return c, err
	}
	return c, actor.only(ad.RoleOperator, ad.RoleAdvertiser)
}
