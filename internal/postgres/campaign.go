package postgres

import (
	"context"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/hayate-ads/hayate/internal/ad"
)

const campaignColumns = `c.id, c.advertiser_id, c.name, c.starts_at, c.ends_at, c.status, c.version, c.created_at, c.updated_at`

func scanCampaign(row pgx.CollectableRow) (c ad.Campaign, err error) {
	var end *time.Time
	err = row.Scan(&c.ID, &c.AdvertiserID, &c.Name, &c.StartsAt, &end, &c.Status, &c.Version, &c.CreatedAt, &c.UpdatedAt)
	c.StartsAt, c.EndsAt = c.StartsAt.UTC(), timeOrZero(end)
	c.CreatedAt, c.UpdatedAt = c.CreatedAt.UTC(), c.UpdatedAt.UTC()
	return c, err
}

// CampaignFilter narrows a list of campaigns; zero fields do not.
type CampaignFilter struct {
	AdvertiserID ad.ID
	Page
}

// CreateCampaign adds a campaign to an advertiser.
func (db *DB) CreateCampaign(ctx context.Context, actor Actor, c ad.Campaign) (ad.Campaign, error) {
	c.Name, c.Status = strings.TrimSpace(c.Name), orActive(c.Status)
	return inTx(ctx, db, func(tx pgx.Tx) (ad.Campaign, error) {
		if err := checkNewCampaign(ctx, tx, actor, c); err != nil {
			return c, err
		}
		created, err := one(ctx, tx, scanCampaign, `
			INSERT INTO campaign AS c (advertiser_id, name, starts_at, ends_at, status) VALUES ($1, $2, $3, $4, $5)
			RETURNING `+campaignColumns,
			c.AdvertiserID, c.Name, c.StartsAt, timeOrNull(c.EndsAt), c.Status)
		if err != nil {
			return c, err
		}
		return created, auditCreate(ctx, tx, actor, "campaign", created.ID)
	})
}

func checkNewCampaign(ctx context.Context, tx pgx.Tx, actor Actor, c ad.Campaign) error {
	if c.AdvertiserID > 0 {
		advertiser, err := findAdvertiser(ctx, tx, actor, c.AdvertiserID, " FOR SHARE")
		if err != nil {
			return err
		}
		if err := openParent("advertiser_id", advertiser.Status); err != nil {
			return err
		}
	}
	if err := actor.only(ad.RoleOperator, ad.RoleAdvertiser); err != nil {
		return err
	}
	return c.Validate()
}

// FindCampaign returns one campaign.
func (db *DB) FindCampaign(ctx context.Context, actor Actor, id ad.ID) (ad.Campaign, error) {
	return findCampaign(ctx, db.Pool, actor, id, "")
}

func findCampaign(ctx context.Context, q querier, actor Actor, id ad.ID, lock string) (ad.Campaign, error) {
	return one(ctx, q, scanCampaign, `
		SELECT `+campaignColumns+` FROM campaign AS c
		WHERE c.id = $1 AND ($2::bigint IS NULL OR c.advertiser_id = $2)`+lock,
		id, actor.demand())
}

// Campaigns lists them.
func (db *DB) Campaigns(ctx context.Context, actor Actor, f CampaignFilter) ([]ad.Campaign, error) {
	return many(ctx, db.Pool, scanCampaign, `
		SELECT `+campaignColumns+` FROM campaign AS c
		WHERE c.id > $1 AND ($2::bigint IS NULL OR c.advertiser_id = $2) AND ($3 = 0 OR c.advertiser_id = $3)
		ORDER BY c.id LIMIT $4`,
		f.After, actor.demand(), f.AdvertiserID, f.limit())
}

// UpdateCampaign changes name, dates and status.
func (db *DB) UpdateCampaign(ctx context.Context, actor Actor, c ad.Campaign) (ad.Campaign, error) {
	c.Name = strings.TrimSpace(c.Name)
	return inTx(ctx, db, func(tx pgx.Tx) (ad.Campaign, error) {
		old, err := findCampaign(ctx, tx, actor, c.ID, " FOR UPDATE")
		if err != nil {
			return c, err
		}
		if err := checkCampaignEdit(actor, old, &c); err != nil {
			return c, err
		}
		updated, err := one(ctx, tx, scanCampaign, `
			UPDATE campaign AS c SET name = $2, starts_at = $3, ends_at = $4, status = $5,
				version = c.version + 1, updated_at = now()
			WHERE c.id = $1
			RETURNING `+campaignColumns,
			c.ID, c.Name, c.StartsAt, timeOrNull(c.EndsAt), c.Status)
		if err != nil {
			return c, err
		}
		if err := auditUpdate(ctx, tx, actor, Entry{Kind: "campaign", ItemID: c.ID}, old, updated); err != nil {
			return c, err
		}
		if updated.Status != old.Status {
			err = putStop(ctx, tx, "campaign", c.ID, updated.Status)
		}
		return updated, err
	})
}

func checkCampaignEdit(actor Actor, old ad.Campaign, c *ad.Campaign) error {
	if err := actor.only(ad.RoleOperator, ad.RoleAdvertiser); err != nil {
		return err
	}
	if err := editable(old.Status, old.Version, c.Version); err != nil {
		return err
	}
	if err := sameParent("advertiser_id", old.AdvertiserID, &c.AdvertiserID); err != nil {
		return err
	}
	return c.Validate()
}
