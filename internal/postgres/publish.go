package postgres

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/rule"
	"github.com/hayate-ads/hayate/internal/snapshot"
)

// Refused is a line item or placement that is active and yet not published.
type Refused struct {
	Kind   string // "line_item" or "placement"
	ID     ad.ID
	Name   string
	Reason string // English, for operators and the owner
}

// PublishSettings are what a snapshot says that does not stand in Postgres.
type PublishSettings struct {
	Currency string // ISO 4217, of every price and budget in the database
	Rates    snapshot.Rates
}

// Publishable returns what may serve now, under the next generation, and what was
// left out although it is active.
//
// It reads in one REPEATABLE READ transaction, so that every reference in the
// snapshot resolves.
func (db *DB) Publishable(ctx context.Context, settings PublishSettings) (snapshot.Snapshot, []Refused, error) {
	p := publication{Snapshot: snapshot.Snapshot{Currency: settings.Currency, Rates: settings.Rates, Values: new(rule.Table)}}
	// A sequence cannot be used in a read-only transaction. A generation that is
	// never published leaves a gap, which does no harm.
	generation, err := one(ctx, db.Pool, pgx.RowTo[int64], "SELECT nextval('snapshot_generation')")
	if err != nil {
		return p.Snapshot, nil, fmt.Errorf("next generation: %w", err)
	}
	p.Generation = uint64(generation)
	options := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	err = pgx.BeginTxFunc(ctx, db.Pool, options, func(tx pgx.Tx) error { return p.read(ctx, tx) })
	p.SortValues()
	return p.Snapshot, p.refused, err
}

// publication is a snapshot in the making.
type publication struct {
	snapshot.Snapshot
	refused []Refused
	labels  map[string]bool // the different ones of all line items
}

func (p *publication) read(ctx context.Context, tx pgx.Tx) error {
	if err := tx.QueryRow(ctx, "SELECT bank_now()").Scan(&p.CreatedAt); err != nil {
		return err
	}
	p.CreatedAt = p.CreatedAt.UTC()
	for _, part := range []struct {
		name string
		read func(context.Context, pgx.Tx) error
	}{
		{"exchange rates", p.readExchangeRates}, {"line items", p.readLineItems}, {"creatives", p.readCreatives},
		{"advertisers", p.readAdvertisers}, {"properties", p.readProperties}, {"placements", p.readPlacements},
	} {
		if err := part.read(ctx, tx); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	return nil
}

// readExchangeRates leaves out the installation's own currency: one is one.
func (p *publication) readExchangeRates(ctx context.Context, tx pgx.Tx) (err error) {
	p.FX, err = many(ctx, tx, pgx.RowToStructByPos[snapshot.ExchangeRate], `
		SELECT currency, value FROM exchange_rate WHERE currency <> $1 ORDER BY currency COLLATE "C"`, p.Currency)
	return err
}

func (p *publication) hasRate(currency string) bool {
	return currency == p.Currency || slices.ContainsFunc(p.FX, func(r snapshot.ExchangeRate) bool { return r.Currency == currency })
}

// readCreatives takes the newest approved revision of each creative whose line
// item is published.
func (p *publication) readCreatives(ctx context.Context, tx pgx.Tx) error {
	rows, err := tx.Query(ctx, `
		SELECT k.id, k.line_item_id, r.number, r.format, r.width, r.height, r.landing_url,
			r.image_sha256, r.image_type, r.image_bytes, r.markup, r.categories, r.attributes
		FROM creative AS k
		JOIN line_item AS l ON l.id = k.line_item_id AND l.status = 'active'
		CROSS JOIN LATERAL (
			SELECT x.number, x.format, x.width, x.height, x.landing_url, x.image_sha256, x.image_type, x.image_bytes,
				x.markup, x.categories, x.attributes
			FROM creative_revision AS x WHERE x.creative_id = k.id AND x.review = 'approved'
			ORDER BY x.number DESC LIMIT 1) AS r
		WHERE k.status = 'active'
		ORDER BY k.id`)
	if err != nil {
		return err
	}
	published := make(map[ad.ID]bool, len(p.LineItems))
	for i := range p.LineItems {
		published[p.LineItems[i].ID] = true
	}
	var c snapshot.Creative
	var attributes []int16
	_, err = pgx.ForEachRow(rows, []any{
		&c.ID, &c.LineItem, &c.Revision, &c.Format, &c.Width, &c.Height, &c.LandingURL,
		&c.Image.SHA256, &c.Image.Type, &c.Image.Bytes, &c.Markup, &c.Categories, &attributes,
	}, func() error {
		if published[c.LineItem] {
			c.Attributes = small(attributes)
			p.Creatives = append(p.Creatives, c)
		}
		return nil
	})
	return err
}

// small is a list of AdCOM's attributes, which ad.Revision and ad.Placement bound.
func small(list []int16) []uint8 {
	var all []uint8
	for _, n := range list {
		all = append(all, uint8(n))
	}
	return all
}

func (p *publication) readAdvertisers(ctx context.Context, tx pgx.Tx) (err error) {
	ids := make([]ad.ID, 0, len(p.LineItems))
	for i := range p.LineItems {
		ids = append(ids, p.LineItems[i].Advertiser)
	}
	slices.Sort(ids)
	p.Advertisers, err = many(ctx, tx, pgx.RowToStructByPos[snapshot.Advertiser], `
		SELECT id, domain, time_zone FROM advertiser WHERE id = ANY ($1) ORDER BY id`, slices.Compact(ids))
	return err
}

func (p *publication) readProperties(ctx context.Context, tx pgx.Tx) (err error) {
	p.Properties, err = many(ctx, tx, pgx.RowToStructByPos[snapshot.Property], `
		SELECT s.id, s.publisher_id, s.kind, s.domain, s.categories, s.revenue_share
		FROM property AS s JOIN publisher AS p ON p.id = s.publisher_id
		WHERE s.status = 'active' AND p.status = 'active' ORDER BY s.id`)
	return err
}

// readPlacements leaves out, by name, those with a floor in a currency without a
// rate: nobody could say which price reaches it.
func (p *publication) readPlacements(ctx context.Context, tx pgx.Tx) error {
	placements, err := many(ctx, tx, scanPlacement, `
		SELECT `+placementColumns+`
		FROM placement AS m
		JOIN property AS s ON s.id = m.property_id
		JOIN publisher AS p ON p.id = s.publisher_id
		WHERE m.status = 'active' AND s.status = 'active' AND p.status = 'active' ORDER BY m.id`)
	for i := range placements {
		m := &placements[i]
		if m.FloorCurrency == "" {
			m.FloorCurrency = p.Currency
		}
		if !p.hasRate(m.FloorCurrency) {
			reason := fmt.Sprintf("its floor is in %s, which has no exchange rate to %s", m.FloorCurrency, p.Currency)
			p.refused = append(p.refused, Refused{"placement", m.ID, m.Name, reason})
			continue
		}
		p.Placements = append(p.Placements, published(m))
	}
	return err
}

func published(m *ad.Placement) snapshot.Placement {
	s := snapshot.Placement{
		ID: m.ID, Property: m.PropertyID, Formats: m.Formats, Sizes: m.Sizes,
		Floor: m.Floor, FloorCurrency: m.FloorCurrency, AuctionType: m.AuctionType, Position: m.Position,
		BlockedAdvertisers: m.BlockedAdvertisers, BlockedCategories: m.BlockedCategories,
	}
	for _, n := range m.BlockedAttributes {
		s.BlockedAttributes = append(s.BlockedAttributes, uint8(n))
	}
	return s
}
