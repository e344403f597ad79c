package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/money"
)

var (
	// ErrFigures refuses a correction that would credit something else than its
	// preview said: events were settled or another correction was made meanwhile,
	// or this one has been made already.
	ErrFigures = errors.New("the figures have changed since the preview")
	// ErrBooks says that the budgets hold less than the reports say was charged.
	ErrBooks = errors.New("the reports say more than the budgets were charged: run `batch run reconcile`")
)

// CorrectionPreview is what a correction would credit.
type CorrectionPreview struct {
	ad.Credit
	LineItems []CorrectionLine // those with something to credit, by id
	// Folded was charged in hours whose cells had become too many to be told apart:
	// of it a correction that is narrowed to a creative, a placement or an exchange
	// credits nothing. Others credit it to the advertiser, and take no revenue back
	// for it, as nobody can say whose it was.
	Folded money.Micros
}

// CorrectionLine is a line item's part in a credit.
type CorrectionLine struct {
	LineItem ad.ID
	Name     string
	ad.Credit
}

// PreviewCorrection says what [DB.Correct] would do. It is for operators.
func (db *DB) PreviewCorrection(ctx context.Context, actor Actor, k ad.Correction) (CorrectionPreview, error) {
	c, err := newCrediting(actor, k)
	if err != nil {
		return CorrectionPreview{}, err
	}
	// All of it is read as it is at one moment: nothing is locked.
	moment := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	err = pgx.BeginTxFunc(ctx, db.Pool, moment, func(tx pgx.Tx) error { return c.read(ctx, tx, false) })
	return c.preview(), err
}

// Correct credits what was charged for the traffic that k names and has not been
// credited yet, in one transaction. No charge is edited: the ledger gains rows
// with negative amounts, report cells say how much of them was credited, and the
// budgets may spend the money again. It fails with [ErrFigures], and changes
// nothing, unless that is exactly what was expected; so the same correction sent
// twice is made once. It is for operators.
func (db *DB) Correct(ctx context.Context, actor Actor, k ad.Correction, expected ad.Credit) (ad.Correction, error) {
	c, err := newCrediting(actor, k)
	if err != nil {
		return k, err
	}
	err = retryDeadlock(func() error {
		return InTx(ctx, db.Pool, func(tx pgx.Tx) error {
			if err := c.read(ctx, tx, true); err != nil {
				return err
			}
			switch {
			case c.total != expected:
				return ErrFigures
			case c.total == (ad.Credit{}):
				return wrong("from", ad.Conflict, "and to have nothing between them that could be credited")
			}
			return c.write(ctx, tx, actor)
		})
	})
	return c.Correction, err
}

func newCrediting(actor Actor, k ad.Correction) (*crediting, error) {
	if err := actor.only(ad.RoleOperator); err != nil {
		return nil, err
	}
	k.Why, k.From, k.To = strings.TrimSpace(k.Why), k.From.UTC(), k.To.UTC()
	k.ID, k.Credit, k.UserID = 0, ad.Credit{}, actor.UserID
	if err := k.Validate(); err != nil {
		return nil, err
	}
	return &crediting{Correction: k}, nil
}

const correctionColumns = `k.id, k.advertiser_id, k.line_item_id, k.creative_id, k.placement_id, k.exchange_id,
	k.from_hour, k.to_hour, k.why, k.impressions, k.credited_micros, k.credited_revenue_micros, k.user_id, k.at`

func scanCorrection(row pgx.CollectableRow) (k ad.Correction, err error) {
	var lineItem, creative, placement, user *ad.ID
	err = row.Scan(&k.ID, &k.AdvertiserID, &lineItem, &creative, &placement, &k.ExchangeID,
		&k.From, &k.To, &k.Why, &k.Impressions, &k.Charged, &k.Revenue, &user, &k.At)
	k.LineItemID, k.CreativeID, k.PlacementID, k.UserID = idOrZero(lineItem), idOrZero(creative), idOrZero(placement), idOrZero(user)
	k.From, k.To, k.At = k.From.UTC(), k.To.UTC(), k.At.UTC()
	return k, err
}

// FindCorrection returns one correction. Advertisers see theirs, without who
// made it and what publishers gave back.
func (db *DB) FindCorrection(ctx context.Context, actor Actor, id ad.ID) (ad.Correction, error) {
	k, err := one(ctx, db.Pool, scanCorrection, `
		SELECT `+correctionColumns+` FROM correction AS k
		WHERE k.id = $1 AND ($2::bigint IS NULL OR k.advertiser_id = $2)`, id, actor.buyer())
	return actor.shown(k), err
}

// CorrectionFilter narrows a list of corrections; a zero id does not.
type CorrectionFilter struct {
	AdvertiserID ad.ID
	Page
}

// Corrections lists them, the newest first: Page.After is the last id of the page
// before.
func (db *DB) Corrections(ctx context.Context, actor Actor, f CorrectionFilter) ([]ad.Correction, error) {
	found, err := many(ctx, db.Pool, scanCorrection, `
		SELECT `+correctionColumns+` FROM correction AS k
		WHERE ($1 = 0 OR k.id < $1) AND ($2 = 0 OR k.advertiser_id = $2) AND ($3::bigint IS NULL OR k.advertiser_id = $3)
		ORDER BY k.id DESC LIMIT $4`, f.After, f.AdvertiserID, actor.buyer(), f.limit())
	for i := range found {
		found[i] = actor.shown(found[i])
	}
	return found, err
}

// buyer is the advertiser whose money the actor may see, nil for all.
func (a Actor) buyer() *ad.ID {
	if a.Role == ad.RoleReviewer {
		none := nobody
		return &none
	}
	return a.demand()
}

// shown leaves out of a correction what is not the actor's business.
func (a Actor) shown(k ad.Correction) ad.Correction {
	if a.Role != ad.RoleOperator {
		k.Revenue, k.UserID = 0, 0
	}
	return k
}

// CorrectionParts lists what a correction credited to each line item.
func (db *DB) CorrectionParts(ctx context.Context, actor Actor, id ad.ID) ([]CorrectionLine, error) {
	return many(ctx, db.Pool, scanCorrectionPart, `
		SELECT g.line_item_id, l.name, -sum(g.charged_impressions)::bigint, -sum(g.charged_micros)::bigint
		FROM correction AS k
		JOIN ledger AS g ON g.correction_id = k.id
		JOIN line_item AS l ON l.id = g.line_item_id
		WHERE k.id = $1 AND ($2::bigint IS NULL OR k.advertiser_id = $2)
		GROUP BY g.line_item_id, l.name ORDER BY g.line_item_id`, id, actor.buyer())
}

func scanCorrectionPart(row pgx.CollectableRow) (l CorrectionLine, err error) {
	err = row.Scan(&l.LineItem, &l.Name, &l.Impressions, &l.Charged)
	return l, err
}

func (c *crediting) audit(ctx context.Context, tx pgx.Tx, actor Actor) error {
	detail, err := json.Marshal(map[string]any{
		"AdvertiserID": c.AdvertiserID, "From": c.From.Format(time.RFC3339), "To": c.To.Format(time.RFC3339),
		"Why": c.Why, "Charged": c.total.Charged, "Impressions": c.total.Impressions,
	})
	if err != nil {
		return fmt.Errorf("write a correction: %w", err)
	}
	return audit(ctx, tx, actor, Entry{Action: "create", Kind: "correction", ItemID: c.ID, Detail: detail})
}
