package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/rule"
	"github.com/hayate-ads/hayate/internal/snapshot"
)

// Refused is a line item that is active and yet not published.
type Refused struct {
	LineItem ad.ID
	Name     string
	Reason   string // English, for operators and the advertiser
}

// Publishable returns what may serve now, under the next generation, and the line
// items left out although they are active. The caller sets Currency.
//
// It reads in one REPEATABLE READ transaction, so that every reference in the
// snapshot resolves.
func (db *DB) Publishable(ctx context.Context) (snapshot.Snapshot, []Refused, error) {
	var s snapshot.Snapshot
	var refused []Refused
	// A sequence cannot be used in a read-only transaction. A generation that is
	// never published leaves a gap, which does no harm.
	generation, err := one(ctx, db.Pool, pgx.RowTo[int64], "SELECT nextval('snapshot_generation')")
	if err != nil {
		return s, nil, fmt.Errorf("next generation: %w", err)
	}
	options := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	err = pgx.BeginTxFunc(ctx, db.Pool, options, func(tx pgx.Tx) (err error) {
		s, refused, err = publishable(ctx, tx)
		return err
	})
	s.Generation = uint64(generation)
	return s, refused, err
}

func publishable(ctx context.Context, tx pgx.Tx) (s snapshot.Snapshot, refused []Refused, err error) {
	if err := tx.QueryRow(ctx, "SELECT bank_now()").Scan(&s.CreatedAt); err != nil {
		return s, nil, err
	}
	s.CreatedAt, s.Values = s.CreatedAt.UTC(), new(rule.Table)
	if s.LineItems, refused, err = publishableLineItems(ctx, tx, s.Values, s.CreatedAt); err != nil {
		return s, nil, fmt.Errorf("line items: %w", err)
	}
	lineItems, advertisers := make([]ad.ID, len(s.LineItems)), make([]ad.ID, len(s.LineItems))
	for i, l := range s.LineItems {
		lineItems[i], advertisers[i] = l.ID, l.Advertiser
	}
	if s.Creatives, err = publishableCreatives(ctx, tx, lineItems); err != nil {
		return s, nil, fmt.Errorf("creatives: %w", err)
	}
	s.Advertisers, err = many(ctx, tx, pgx.RowToStructByPos[snapshot.Advertiser], `
		SELECT id, domain, time_zone FROM advertiser WHERE id = ANY ($1) ORDER BY id`, advertisers)
	if err != nil {
		return s, nil, fmt.Errorf("advertisers: %w", err)
	}
	s.Properties, err = many(ctx, tx, pgx.RowToStructByPos[snapshot.Property], `
		SELECT s.id, s.publisher_id, s.kind, s.domain, s.revenue_share
		FROM property AS s JOIN publisher AS p ON p.id = s.publisher_id
		WHERE s.status = 'active' AND p.status = 'active' ORDER BY s.id`)
	if err != nil {
		return s, nil, fmt.Errorf("properties: %w", err)
	}
	if s.Placements, err = publishablePlacements(ctx, tx); err != nil {
		return s, nil, fmt.Errorf("placements: %w", err)
	}
	return s, refused, nil
}

// candidate is an active line item on its way into the snapshot.
type candidate struct {
	snapshot.LineItem
	rule      rule.Rule
	name      string
	targeting []byte
	creatives bool // at least one may serve
}

// publishableLineItems leaves out quietly what has ended, which is no mistake,
// and by name what cannot serve as it stands. What starts later is included.
func publishableLineItems(ctx context.Context, tx pgx.Tx, values *rule.Table, now time.Time) ([]snapshot.LineItem, []Refused, error) {
	candidates, err := many(ctx, tx, scanCandidate, `
		SELECT l.id, l.campaign_id, c.advertiser_id, l.tier, l.cpm, l.name, l.targeting,
			GREATEST(l.starts_at, c.starts_at), LEAST(l.ends_at, c.ends_at),
			EXISTS (SELECT FROM creative AS k JOIN creative_revision AS r ON r.creative_id = k.id AND r.review = 'approved'
				WHERE k.line_item_id = l.id AND k.status = 'active')
		FROM line_item AS l
		JOIN campaign AS c ON c.id = l.campaign_id
		JOIN advertiser AS a ON a.id = c.advertiser_id
		WHERE l.status = 'active' AND c.status = 'active' AND a.status = 'active'
			AND (l.ends_at IS NULL OR l.ends_at > $1) AND (c.ends_at IS NULL OR c.ends_at > $1)
		ORDER BY l.id`, now)
	if err != nil {
		return nil, nil, err
	}
	published, refused := make([]snapshot.LineItem, 0, len(candidates)), []Refused(nil)
	for i := range candidates {
		c := &candidates[i]
		if reason := c.judge(); reason != "" {
			refused = append(refused, Refused{c.ID, c.name, reason})
			continue
		}
		c.Targeting = values.Pack(c.rule)
		published = append(published, c.LineItem)
	}
	return published, refused, nil
}

func scanCandidate(row pgx.CollectableRow) (c candidate, err error) {
	var end *time.Time
	err = row.Scan(&c.ID, &c.Campaign, &c.Advertiser, &c.Tier, &c.Cost, &c.name, &c.targeting,
		&c.StartsAt, &end, &c.creatives)
	c.StartsAt, c.EndsAt = c.StartsAt.UTC(), timeOrZero(end)
	return c, err
}

// judge sets the normalised rule, or says why the line item cannot serve.
func (c *candidate) judge() string {
	if !c.creatives {
		return "it has no active creative with an approved revision"
	}
	if !c.EndsAt.IsZero() && !c.EndsAt.After(c.StartsAt) {
		return "its dates and its campaign's do not overlap"
	}
	var targeting rule.Expr
	if err := json.Unmarshal(c.targeting, &targeting); err != nil {
		return err.Error()
	}
	normal, err := rule.Normalise(targeting)
	if err != nil {
		return err.Error()
	}
	if len(normal.Conjunctions) == 0 {
		return "its targeting contradicts itself and matches nothing"
	}
	c.rule, c.CostType, c.Weight = normal, ad.CPM, 1
	return ""
}

func publishableCreatives(ctx context.Context, tx pgx.Tx, lineItems []ad.ID) ([]snapshot.Creative, error) {
	return many(ctx, tx, scanPublishedCreative, `
		SELECT DISTINCT ON (k.id) k.id, k.line_item_id, r.number, r.format, r.width, r.height, r.landing_url,
			r.image_sha256, r.image_type, r.image_bytes, r.markup
		FROM creative AS k JOIN creative_revision AS r ON r.creative_id = k.id AND r.review = 'approved'
		WHERE k.line_item_id = ANY ($1) AND k.status = 'active'
		ORDER BY k.id, r.number DESC`, lineItems)
}

func scanPublishedCreative(row pgx.CollectableRow) (c snapshot.Creative, err error) {
	err = row.Scan(&c.ID, &c.LineItem, &c.Revision, &c.Format, &c.Width, &c.Height, &c.LandingURL,
		&c.Image.SHA256, &c.Image.Type, &c.Image.Bytes, &c.Markup)
	return c, err
}

func publishablePlacements(ctx context.Context, tx pgx.Tx) ([]snapshot.Placement, error) {
	placements, err := many(ctx, tx, scanPlacement, `
		SELECT `+placementColumns+`
		FROM placement AS m
		JOIN property AS s ON s.id = m.property_id
		JOIN publisher AS p ON p.id = s.publisher_id
		WHERE m.status = 'active' AND s.status = 'active' AND p.status = 'active' ORDER BY m.id`)
	published := make([]snapshot.Placement, len(placements))
	for i, p := range placements {
		published[i] = snapshot.Placement{
			ID: p.ID, Property: p.PropertyID, Formats: p.Formats, Sizes: p.Sizes,
			Floor: p.Floor, BlockedAdvertisers: p.BlockedAdvertisers,
		}
	}
	return published, err
}
