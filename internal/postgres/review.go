package postgres

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/hayate-ads/hayate/internal/ad"
)

// ReviseCreative gives a creative new content: a draft that needs review. What
// was approved before goes on serving; what was waiting for review no longer is.
// version is the creative's, as the editor read it.
func (db *DB) ReviseCreative(ctx context.Context, actor Actor, creativeID ad.ID, version int64, r ad.Revision) (ad.Creative, error) {
	return inTx(ctx, db, func(tx pgx.Tx) (ad.Creative, error) {
		c, err := lockCreative(ctx, tx, actor, creativeID)
		if err != nil {
			return c, err
		}
		if err := editable(c.Status, c.Version, version); err != nil {
			return c, err
		}
		if err := r.Validate(); err != nil {
			return c, err
		}
		_, err = tx.Exec(ctx, `
			UPDATE creative_revision SET review = 'draft' WHERE creative_id = $1 AND review = 'pending'`, c.ID)
		if err != nil {
			return c, err
		}
		r.CreativeID, r.Number = c.ID, c.Latest.Number+1
		if _, err := insertRevision(ctx, tx, r); err != nil {
			return c, err
		}
		return touchCreative(ctx, tx, actor, c.ID, reviewEntry("revise", r.Number))
	})
}

// SubmitCreative asks for a review of the latest revision, which has to have this
// number and to be a draft.
func (db *DB) SubmitCreative(ctx context.Context, actor Actor, creativeID ad.ID, number int) (ad.Creative, error) {
	return inTx(ctx, db, func(tx pgx.Tx) (ad.Creative, error) {
		c, err := lockCreative(ctx, tx, actor, creativeID)
		if err != nil {
			return c, err
		}
		if err := reviewable(c, number, ad.Draft); err != nil {
			return c, err
		}
		_, err = tx.Exec(ctx, `
			UPDATE creative_revision SET review = 'pending' WHERE creative_id = $1 AND number = $2`, c.ID, number)
		if err != nil {
			return c, err
		}
		return touchCreative(ctx, tx, actor, c.ID, reviewEntry("submit", number))
	})
}

// ReviewCreative judges the latest revision, which has to have this number and to
// be pending. A rejection needs a reason. It is for reviewers and operators.
func (db *DB) ReviewCreative(ctx context.Context, actor Actor, creativeID ad.ID, number int, approve bool, reason string) (ad.Creative, error) {
	review, action := ad.Approved, "approve"
	if !approve {
		review, action = ad.Rejected, "reject"
	}
	reason = strings.TrimSpace(reason)
	return inTx(ctx, db, func(tx pgx.Tx) (ad.Creative, error) {
		c, err := findCreative(ctx, tx, actor, creativeID, " FOR UPDATE OF k")
		if err != nil {
			return c, err
		}
		if err := actor.only(ad.RoleReviewer, ad.RoleOperator); err != nil {
			return c, err
		}
		if err := reviewable(c, number, ad.Pending); err != nil {
			return c, err
		}
		if !approve || reason != "" {
			if err := ad.ValidateReason(reason); err != nil {
				return c, err
			}
		}
		_, err = tx.Exec(ctx, `
			UPDATE creative_revision SET review = $3, reason = $4, reviewed_by = $5, reviewed_at = now()
			WHERE creative_id = $1 AND number = $2`,
			c.ID, number, review, reason, idOrNull(actor.UserID))
		if err != nil {
			return c, err
		}
		return touchCreative(ctx, tx, actor, c.ID, reviewEntry(action, number))
	})
}

// reviewable says whether revision number of c is the latest one and stands where
// the next step begins.
func reviewable(c ad.Creative, number int, from ad.Review) error {
	if c.Status == ad.Archived {
		return wrong("status", ad.Final, "is archived, which is final")
	}
	if c.Latest.Number != number {
		return ErrVersion
	}
	if c.Latest.Review != from {
		return wrong("review", ad.Conflict, "is "+string(c.Latest.Review)+", not "+string(from))
	}
	return nil
}

func reviewEntry(action string, number int) Entry {
	detail, _ := json.Marshal(map[string]int{"revision": number}) // a map of numbers always marshals
	return Entry{Action: action, Kind: "creative", Detail: detail}
}

// touchCreative makes a change of a revision a change of the creative.
func touchCreative(ctx context.Context, tx pgx.Tx, actor Actor, id ad.ID, e Entry) (ad.Creative, error) {
	_, err := tx.Exec(ctx, "UPDATE creative SET version = version + 1, updated_at = now() WHERE id = $1", id)
	if err != nil {
		return ad.Creative{}, err
	}
	e.ItemID = id
	if err := audit(ctx, tx, actor, e); err != nil {
		return ad.Creative{}, err
	}
	return findCreative(ctx, tx, actor, id, "")
}

// PendingCreatives lists the creatives whose latest revision waits for review.
func (db *DB) PendingCreatives(ctx context.Context, actor Actor, page Page) ([]ad.Creative, error) {
	list, err := many(ctx, db.Pool, scanCreative, `
		SELECT `+creativeColumns+` FROM `+creativeJoins+`
		JOIN creative_revision AS r ON r.creative_id = k.id AND r.review = 'pending'
		WHERE k.id > $1 AND ($2::bigint IS NULL OR c.advertiser_id = $2) AND k.status <> 'archived'
		ORDER BY k.id LIMIT $3`,
		page.After, actor.demand(), min(page.limit(), 100))
	if err != nil {
		return nil, err
	}
	return list, addRevisions(ctx, db.Pool, list)
}

// Revisions lists a creative's revisions, the newest first, at most 100.
func (db *DB) Revisions(ctx context.Context, actor Actor, creativeID ad.ID) ([]ad.Revision, error) {
	if _, err := db.FindCreative(ctx, actor, creativeID); err != nil {
		return nil, err
	}
	return many(ctx, db.Pool, scanRevision, `
		SELECT `+revisionColumns+` FROM creative_revision AS r
		WHERE r.creative_id = $1 ORDER BY r.number DESC LIMIT 100`, creativeID)
}
