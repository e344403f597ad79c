package postgres

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/hayate-ads/hayate/internal/ad"
)

const userColumns = `u.id, u.email, u.name, u.role, u.advertiser_id, u.publisher_id, u.language, u.status,
	u.version, u.created_at, u.updated_at`

func scanUser(row pgx.CollectableRow) (u ad.User, err error) {
	var advertiser, publisher *ad.ID
	err = row.Scan(&u.ID, &u.Email, &u.Name, &u.Role, &advertiser, &publisher, &u.Language, &u.Status,
		&u.Version, &u.CreatedAt, &u.UpdatedAt)
	u.AdvertiserID, u.PublisherID = idOrZero(advertiser), idOrZero(publisher)
	u.CreatedAt, u.UpdatedAt = u.CreatedAt.UTC(), u.UpdatedAt.UTC()
	return u, err
}

// ActorOf is the actor that a signed-in user is.
func ActorOf(u ad.User) Actor {
	return Actor{UserID: u.ID, Role: u.Role, AdvertiserID: u.AdvertiserID, PublisherID: u.PublisherID}
}

// visible is the user that the actor may see, nil for all: operators see
// everybody, others themselves.
func (a Actor) visible() *ad.ID {
	if a.Role == ad.RoleOperator {
		return nil
	}
	self := a.UserID
	if self == 0 {
		self = nobody
	}
	return &self
}

// CreateUser is for operators. passwordHash is a PHC string; "" allows no sign-in.
func (db *DB) CreateUser(ctx context.Context, actor Actor, u ad.User, passwordHash string) (ad.User, error) {
	if err := actor.only(ad.RoleOperator); err != nil {
		return u, err
	}
	u.Name, u.Status = strings.TrimSpace(u.Name), orActive(u.Status)
	if u.Language == "" {
		u.Language = "en"
	}
	if err := u.Validate(); err != nil {
		return u, err
	}
	return inTx(ctx, db, func(tx pgx.Tx) (ad.User, error) {
		created, err := one(ctx, tx, scanUser, `
			INSERT INTO app_user AS u (email, name, role, advertiser_id, publisher_id, language, status, password_hash)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
			RETURNING `+userColumns,
			u.Email, u.Name, u.Role, idOrNull(u.AdvertiserID), idOrNull(u.PublisherID), u.Language, u.Status, passwordHash)
		if err != nil {
			return u, userError(err)
		}
		return created, auditCreate(ctx, tx, actor, "user", created.ID)
	})
}

// userError names what Postgres found wrong: only operators get here, who may
// know which addresses are in use.
func userError(err error) error {
	switch {
	case violates(err, uniqueViolation):
		return wrong("email", ad.Taken, "belongs to another user")
	case violates(err, foreignKeyViolation):
		return ErrNotFound // the advertiser or publisher
	}
	return err
}

// FindUser returns one user; others than operators find themselves only.
func (db *DB) FindUser(ctx context.Context, actor Actor, id ad.ID) (ad.User, error) {
	return findUser(ctx, db.Pool, actor, id, "")
}

func findUser(ctx context.Context, q querier, actor Actor, id ad.ID, lock string) (ad.User, error) {
	return one(ctx, q, scanUser, `
		SELECT `+userColumns+` FROM app_user AS u
		WHERE u.id = $1 AND ($2::bigint IS NULL OR u.id = $2)`+lock,
		id, actor.visible())
}

// UserByEmail returns the user of this address, in whatever case, with the hash of
// its password. It asks for no actor, being how one becomes one; the caller
// checks the status.
func (db *DB) UserByEmail(ctx context.Context, email string) (user ad.User, passwordHash string, err error) {
	scan := func(row pgx.CollectableRow) (ad.User, error) {
		return scanUser(withFirst{row, &passwordHash})
	}
	user, err = one(ctx, db.Pool, scan, `
		SELECT u.password_hash, `+userColumns+` FROM app_user AS u WHERE lower(u.email) = lower($1)`, email)
	return user, passwordHash, err
}

// withFirst reads a row's first column into first, and the others as asked.
type withFirst struct {
	pgx.CollectableRow
	first any
}

func (r withFirst) Scan(rest ...any) error {
	return r.CollectableRow.Scan(append([]any{r.first}, rest...)...)
}

// Users lists them.
func (db *DB) Users(ctx context.Context, actor Actor, page Page) ([]ad.User, error) {
	return many(ctx, db.Pool, scanUser, `
		SELECT `+userColumns+` FROM app_user AS u
		WHERE u.id > $1 AND ($2::bigint IS NULL OR u.id = $2)
		ORDER BY u.id LIMIT $3`,
		page.After, actor.visible(), page.limit())
}

// UpdateUser changes a user; others than operators change their own name and
// language only. Nobody changes their own role or status, so that the last
// operator cannot lock the house.
func (db *DB) UpdateUser(ctx context.Context, actor Actor, u ad.User) (ad.User, error) {
	u.Name = strings.TrimSpace(u.Name)
	return inTx(ctx, db, func(tx pgx.Tx) (ad.User, error) {
		old, err := findUser(ctx, tx, actor, u.ID, " FOR UPDATE")
		if err != nil {
			return u, err
		}
		if err := checkUserEdit(actor, old, u); err != nil {
			return u, err
		}
		updated, err := one(ctx, tx, scanUser, `
			UPDATE app_user AS u SET email = $2, name = $3, role = $4, advertiser_id = $5, publisher_id = $6,
				language = $7, status = $8, version = u.version + 1, updated_at = now()
			WHERE u.id = $1
			RETURNING `+userColumns,
			u.ID, u.Email, u.Name, u.Role, idOrNull(u.AdvertiserID), idOrNull(u.PublisherID), u.Language, u.Status)
		if err != nil {
			return u, userError(err)
		}
		return updated, auditUpdate(ctx, tx, actor, Entry{Kind: "user", ItemID: u.ID}, old, updated)
	})
}

func checkUserEdit(actor Actor, old, u ad.User) error {
	if err := editable(old.Status, old.Version, u.Version); err != nil {
		return err
	}
	if err := u.Validate(); err != nil {
		return err
	}
	if actor.UserID == u.ID && (u.Role != old.Role || u.Status != old.Status) {
		return wrong("role", ad.Conflict, "and status cannot be changed by oneself")
	}
	own := old
	own.Name, own.Language, own.Stamp = u.Name, u.Language, u.Stamp
	if actor.Role != ad.RoleOperator && own != u {
		return ErrForbidden
	}
	return nil
}

// SetPassword stores a new hash, for operators and the user itself. The caller
// has checked the old password where that is asked for.
func (db *DB) SetPassword(ctx context.Context, actor Actor, userID ad.ID, passwordHash string) error {
	return InTx(ctx, db.Pool, func(tx pgx.Tx) error {
		if _, err := findUser(ctx, tx, actor, userID, " FOR UPDATE"); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `
			UPDATE app_user SET password_hash = $2, version = version + 1, updated_at = now() WHERE id = $1`,
			userID, passwordHash)
		if err != nil {
			return err
		}
		return audit(ctx, tx, actor, Entry{Action: "set_password", Kind: "user", ItemID: userID})
	})
}
