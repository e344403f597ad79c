package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/hayate-ads/hayate/internal/ad"
)

const lineItemColumns = `l.id, l.campaign_id, l.name, l.tier, l.cpm, l.weight, l.roadblock, l.labels,
	l.lifetime_budget, l.daily_budget, l.starts_at, l.ends_at, l.targeting, l.status, l.version, l.created_at, l.updated_at`

func scanLineItem(row pgx.CollectableRow) (l ad.LineItem, err error) {
	var end *time.Time
	var targeting []byte
	err = row.Scan(&l.ID, &l.CampaignID, &l.Name, &l.Tier, &l.CPM, &l.Weight, &l.Roadblock, &l.Labels,
		&l.LifetimeBudget, &l.DailyBudget, &l.StartsAt, &end, &targeting, &l.Status, &l.Version, &l.CreatedAt, &l.UpdatedAt)
	if err != nil {
		return l, err
	}
	l.StartsAt, l.EndsAt = l.StartsAt.UTC(), timeOrZero(end)
	l.CreatedAt, l.UpdatedAt = l.CreatedAt.UTC(), l.UpdatedAt.UTC()
	if err := json.Unmarshal(targeting, &l.Targeting); err != nil {
		return l, fmt.Errorf("targeting of line item %d: %w", l.ID, err)
	}
	return l, nil
}

// LineItemFilter narrows a list of line items; zero fields do not.
type LineItemFilter struct {
	AdvertiserID ad.ID
	CampaignID   ad.ID
	Page
}

// CreateLineItem adds a line item to a campaign, and its budgets to the bank.
// Advertisers may use the auction tier only: the others win whatever their price.
func (db *DB) CreateLineItem(ctx context.Context, actor Actor, l ad.LineItem) (ad.LineItem, error) {
	l.Name, l.Status = strings.TrimSpace(l.Name), orActive(l.Status)
	return inTx(ctx, db, func(tx pgx.Tx) (ad.LineItem, error) {
		if err := checkNewLineItem(ctx, tx, actor, l); err != nil {
			return l, err
		}
		targeting, err := json.Marshal(l.Targeting)
		if err != nil {
			return l, err
		}
		created, err := one(ctx, tx, scanLineItem, `
			INSERT INTO line_item AS l (campaign_id, name, tier, cpm, lifetime_budget, daily_budget,
				starts_at, ends_at, targeting, status, weight, roadblock, labels)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
			RETURNING `+lineItemColumns,
			l.CampaignID, l.Name, l.Tier, l.CPM, l.LifetimeBudget, l.DailyBudget,
			l.StartsAt, timeOrNull(l.EndsAt), targeting, l.Status, max(l.Weight, 1), l.Roadblock, orEmpty(l.Labels))
		if err != nil {
			return l, err
		}
		if err := setBudgets(ctx, tx, created); err != nil {
			return l, err
		}
		return created, auditCreate(ctx, tx, actor, "line_item", created.ID)
	})
}

func checkNewLineItem(ctx context.Context, tx pgx.Tx, actor Actor, l ad.LineItem) error {
	if l.CampaignID > 0 {
		campaign, err := findCampaign(ctx, tx, actor, l.CampaignID, " FOR SHARE")
		if err != nil {
			return err
		}
		if err := openParent("campaign_id", campaign.Status); err != nil {
			return err
		}
	}
	if err := actor.only(ad.RoleOperator, ad.RoleAdvertiser); err != nil {
		return err
	}
	if err := l.Validate(); err != nil {
		return err
	}
	if actor.Role == ad.RoleAdvertiser && l.Tier != ad.Auction {
		return fmt.Errorf("%w: only operators book the %s tier", ErrForbidden, l.Tier)
	}
	return nil
}

// FindLineItem returns one line item.
func (db *DB) FindLineItem(ctx context.Context, actor Actor, id ad.ID) (ad.LineItem, error) {
	return findLineItem(ctx, db.Pool, actor, id, "")
}

func findLineItem(ctx context.Context, q querier, actor Actor, id ad.ID, lock string) (ad.LineItem, error) {
	return one(ctx, q, scanLineItem, `
		SELECT `+lineItemColumns+`
		FROM line_item AS l JOIN campaign AS c ON c.id = l.campaign_id
		WHERE l.id = $1 AND ($2::bigint IS NULL OR c.advertiser_id = $2)`+lock,
		id, actor.demand())
}

// LineItems lists them.
func (db *DB) LineItems(ctx context.Context, actor Actor, f LineItemFilter) ([]ad.LineItem, error) {
	return many(ctx, db.Pool, scanLineItem, `
		SELECT `+lineItemColumns+`
		FROM line_item AS l JOIN campaign AS c ON c.id = l.campaign_id
		WHERE l.id > $1 AND ($2::bigint IS NULL OR c.advertiser_id = $2)
			AND ($3 = 0 OR c.advertiser_id = $3) AND ($4 = 0 OR l.campaign_id = $4)
		ORDER BY l.id LIMIT $5`,
		f.After, actor.demand(), f.AdvertiserID, f.CampaignID, f.limit())
}

// UpdateLineItem changes everything but the campaign. A lowered budget that is
// already out takes effect as it comes back, see [Exposure].
func (db *DB) UpdateLineItem(ctx context.Context, actor Actor, l ad.LineItem) (ad.LineItem, error) {
	l.Name = strings.TrimSpace(l.Name)
	return inTx(ctx, db, func(tx pgx.Tx) (ad.LineItem, error) {
		old, err := findLineItem(ctx, tx, actor, l.ID, " FOR UPDATE OF l")
		if err != nil {
			return l, err
		}
		if err := checkLineItemEdit(actor, old, &l); err != nil {
			return l, err
		}
		updated, err := updateLineItem(ctx, tx, l)
		if err != nil {
			return l, err
		}
		if err := setBudgets(ctx, tx, updated); err != nil {
			return l, err
		}
		if err := auditUpdate(ctx, tx, actor, Entry{Kind: "line_item", ItemID: l.ID}, old, updated); err != nil {
			return l, err
		}
		if updated.Status != old.Status {
			err = putStop(ctx, tx, "line_item", l.ID, updated.Status)
		}
		return updated, err
	})
}

func checkLineItemEdit(actor Actor, old ad.LineItem, l *ad.LineItem) error {
	if err := actor.only(ad.RoleOperator, ad.RoleAdvertiser); err != nil {
		return err
	}
	if err := editable(old.Status, old.Version, l.Version); err != nil {
		return err
	}
	if err := sameParent("campaign_id", old.CampaignID, &l.CampaignID); err != nil {
		return err
	}
	if err := l.Validate(); err != nil {
		return err
	}
	booked := old.Tier != ad.Auction && (l.CPM != old.CPM || max(l.Weight, 1) != old.Weight ||
		l.Roadblock != old.Roadblock || !slices.Equal(l.Labels, old.Labels))
	if actor.Role == ad.RoleAdvertiser && (l.Tier != old.Tier || booked) {
		return fmt.Errorf("%w: only operators change tiers, and outside the auction price, weight, roadblock and labels", ErrForbidden)
	}
	return nil
}

func updateLineItem(ctx context.Context, tx pgx.Tx, l ad.LineItem) (ad.LineItem, error) {
	targeting, err := json.Marshal(l.Targeting)
	if err != nil {
		return l, err
	}
	return one(ctx, tx, scanLineItem, `
		UPDATE line_item AS l SET name = $2, tier = $3, cpm = $4, lifetime_budget = $5, daily_budget = $6,
			starts_at = $7, ends_at = $8, targeting = $9, status = $10,
			weight = $11, roadblock = $12, labels = $13,
			version = l.version + 1, updated_at = now()
		WHERE l.id = $1
		RETURNING `+lineItemColumns,
		l.ID, l.Name, l.Tier, l.CPM, l.LifetimeBudget, l.DailyBudget,
		l.StartsAt, timeOrNull(l.EndsAt), targeting, l.Status, max(l.Weight, 1), l.Roadblock, orEmpty(l.Labels))
}
