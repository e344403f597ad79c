package postgres

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/hayate-ads/hayate/internal/ad"
)

// tokenPrefix lets scanners for leaked secrets know an API token when they see one.
const tokenPrefix = "hyt_"

const tokenColumns = `t.id, t.user_id, t.name, t.created_at, t.revoked_at`

func scanToken(row pgx.CollectableRow) (t ad.Token, err error) {
	var revoked *time.Time
	err = row.Scan(&t.ID, &t.UserID, &t.Name, &t.CreatedAt, &revoked)
	t.CreatedAt, t.RevokedAt = t.CreatedAt.UTC(), timeOrZero(revoked)
	return t, err
}

// CreateToken makes an API token of the actor's own and returns its text, which
// is stored nowhere: only its SHA-256 is. 128 random bits need no slow hash.
func (db *DB) CreateToken(ctx context.Context, actor Actor, name string) (text string, token ad.Token, err error) {
	token = ad.Token{UserID: actor.UserID, Name: strings.TrimSpace(name)}
	if actor.UserID == 0 {
		return "", token, ErrForbidden
	}
	if err := token.Validate(); err != nil {
		return "", token, err
	}
	text = tokenPrefix + rand.Text()
	sum := sha256.Sum256([]byte(text))
	token, err = inTx(ctx, db, func(tx pgx.Tx) (ad.Token, error) {
		created, err := one(ctx, tx, scanToken, `
			INSERT INTO api_token AS t (user_id, name, token_sha256) VALUES ($1, $2, $3)
			RETURNING `+tokenColumns,
			token.UserID, token.Name, sum[:])
		if err != nil {
			return token, err
		}
		return created, auditCreate(ctx, tx, actor, "api_token", created.ID)
	})
	if err != nil {
		return "", token, err
	}
	return text, token, nil
}

// UserByToken returns the active user on whose behalf an API token speaks. It
// asks for no actor, being how one becomes one.
func (db *DB) UserByToken(ctx context.Context, text string) (ad.User, error) {
	if !strings.HasPrefix(text, tokenPrefix) {
		return ad.User{}, ErrNotFound
	}
	sum := sha256.Sum256([]byte(text))
	return one(ctx, db.Pool, scanUser, `
		SELECT `+userColumns+`
		FROM api_token AS t JOIN app_user AS u ON u.id = t.user_id
		WHERE t.token_sha256 = $1 AND t.revoked_at IS NULL AND u.status = 'active'`, sum[:])
}

// Tokens lists the API tokens of the users that the actor may see, revoked ones too.
func (db *DB) Tokens(ctx context.Context, actor Actor, page Page) ([]ad.Token, error) {
	return many(ctx, db.Pool, scanToken, `
		SELECT `+tokenColumns+` FROM api_token AS t
		WHERE t.id > $1 AND ($2::bigint IS NULL OR t.user_id = $2)
		ORDER BY t.id LIMIT $3`,
		page.After, actor.visible(), page.limit())
}

// RevokeToken ends an API token for good; a second time changes nothing.
func (db *DB) RevokeToken(ctx context.Context, actor Actor, id ad.ID) (ad.Token, error) {
	return inTx(ctx, db, func(tx pgx.Tx) (ad.Token, error) {
		token, err := one(ctx, tx, scanToken, `
			SELECT `+tokenColumns+` FROM api_token AS t
			WHERE t.id = $1 AND ($2::bigint IS NULL OR t.user_id = $2) FOR UPDATE`,
			id, actor.visible())
		if err != nil || !token.RevokedAt.IsZero() {
			return token, err
		}
		token, err = one(ctx, tx, scanToken, `
			UPDATE api_token AS t SET revoked_at = now() WHERE t.id = $1 RETURNING `+tokenColumns, id)
		if err != nil {
			return token, err
		}
		return token, audit(ctx, tx, actor, Entry{Action: "revoke", Kind: "api_token", ItemID: id})
	})
}
