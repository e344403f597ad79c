package postgres

import (
	"context"
	"crypto/sha256"
	"time"

	"github.com/jackc/pgx/v5"
)

// Sessions keeps the console's browser sessions; it is a store as package
// scs defines it. Only the SHA-256 of a token is stored, so that somebody who
// reads the table cannot take over a session.
type Sessions struct{ db *DB }

// Sessions returns the store of browser sessions.
func (db *DB) Sessions() *Sessions { return &Sessions{db} }

// sessionPatience bounds the calls that come without a context.
const sessionPatience = 5 * time.Second

// FindCtx returns the data of a session that has not expired.
func (s *Sessions) FindCtx(ctx context.Context, token string) (data []byte, found bool, err error) {
	sum := sha256.Sum256([]byte(token))
	rows, err := many(ctx, s.db.Pool, pgx.RowTo[[]byte], `
		SELECT data FROM session WHERE token_sha256 = $1 AND expires_at > now()`, sum[:])
	if err != nil || len(rows) == 0 {
		return nil, false, err
	}
	return rows[0], true, nil
}

// CommitCtx stores a session, new or not.
func (s *Sessions) CommitCtx(ctx context.Context, token string, data []byte, expiry time.Time) error {
	sum := sha256.Sum256([]byte(token))
	_, err := s.db.Pool.Exec(ctx, `
		INSERT INTO session (token_sha256, data, expires_at) VALUES ($1, $2, $3)
		ON CONFLICT (token_sha256) DO UPDATE SET data = excluded.data, expires_at = excluded.expires_at`,
		sum[:], data, expiry)
	return err
}

// DeleteCtx ends a session; one that does not exist is no error.
func (s *Sessions) DeleteCtx(ctx context.Context, token string) error {
	sum := sha256.Sum256([]byte(token))
	_, err := s.db.Pool.Exec(ctx, "DELETE FROM session WHERE token_sha256 = $1", sum[:])
	return err
}

// DeleteExpired removes the sessions that have expired and says how many.
func (s *Sessions) DeleteExpired(ctx context.Context) (int64, error) {
	tag, err := s.db.Pool.Exec(ctx, "DELETE FROM session WHERE expires_at <= now()")
	return tag.RowsAffected(), err
}

// Find is FindCtx without a context, which the interface asks for too.
func (s *Sessions) Find(token string) ([]byte, bool, error) {
	ctx, cancel := context.WithTimeout(context.Background(), sessionPatience)
	defer cancel()
	return s.FindCtx(ctx, token)
}

// Commit is CommitCtx without a context.
func (s *Sessions) Commit(token string, data []byte, expiry time.Time) error {
	ctx, cancel := context.WithTimeout(context.Background(), sessionPatience)
	defer cancel()
	return s.CommitCtx(ctx, token, data, expiry)
}

// Delete is DeleteCtx without a context.
func (s *Sessions) Delete(token string) error {
	ctx, cancel := context.WithTimeout(context.Background(), sessionPatience)
	defer cancel()
	return s.DeleteCtx(ctx, token)
}
