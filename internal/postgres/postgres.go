// Package postgres is all that the services keep in Postgres: the nouns of
// package ad, who may see them, the bank, and the reports.
//
// One file holds one noun, with its SQL beside it. Every method that serves a
// person takes an [Actor], and its SQL sees only what that actor may see: what
// lies outside is [ErrNotFound], never "forbidden", so that nobody can probe for
// what exists.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/hayate-ads/hayate/internal/ad"
)

var (
	// ErrNotFound reports a thing that does not exist or that the actor may not see.
	ErrNotFound = errors.New("not found")
	// ErrForbidden reports a change that the actor may not make to a thing it may see.
	ErrForbidden = errors.New("not allowed")
	// ErrVersion reports an edit made from a version that is no longer the newest.
	ErrVersion = errors.New("somebody else has changed it meanwhile")
)

// DB is the store. It may be used from any goroutine.
type DB struct {
	Pool *pgxpool.Pool
}

// openPatience bounds how long [Open] waits for a server that does not answer.
const openPatience = 10 * time.Second

// Open connects to the database at url, a postgres:// address or a keyword
// string, and makes sure that it answers. Its error is one line and never shows
// the password.
func Open(ctx context.Context, url string) (*DB, error) {
	db, err := Connect(ctx, url)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, openPatience)
	defer cancel()
	if err := db.Pool.Ping(ctx); err != nil {
		db.Close()
		return nil, fmt.Errorf("database does not answer: %w", oneLine{err})
	}
	return db, nil
}

// Connect is [Open] for those who can work while the database is away: it does
// not wait for an answer, and fails on a malformed address only.
func Connect(ctx context.Context, url string) (*DB, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("database address: %w", err)
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	return &DB{Pool: pool}, nil
}

// oneLine is an error whose text is brought onto one line: pgx lists every
// address it has tried on a line of its own.
type oneLine struct{ error }

func (e oneLine) Error() string { return strings.Join(strings.Fields(e.error.Error()), " ") }
func (e oneLine) Unwrap() error { return e.error }

// Close ends all connections once those in use are given back.
func (db *DB) Close() { db.Pool.Close() }

// InTx runs work in a READ COMMITTED transaction, which is committed when work
// returns nil and rolled back otherwise.
func InTx(ctx context.Context, pool *pgxpool.Pool, work func(pgx.Tx) error) error {
	return pgx.BeginFunc(ctx, pool, work)
}

// Actor is on whose behalf something is read or changed. Its zero value sees
// nothing. An operator without UserID is the system itself.
type Actor struct {
	UserID       ad.ID
	Role         ad.Role
	AdvertiserID ad.ID // of role advertiser
	PublisherID  ad.ID // of role publisher
}

// System is the actor of what no person does: migrations of data, demo data, jobs.
var System = Actor{Role: ad.RoleOperator}

// nobody is a scope that no row is in: ids are positive.
const nobody ad.ID = -1

// demand is the advertiser whose things the actor may see, nil for all; as a
// parameter of "($1::bigint IS NULL OR advertiser_id = $1)".
func (a Actor) demand() *ad.ID {
	switch {
	case a.Role == ad.RoleOperator || a.Role == ad.RoleReviewer:
		return nil
	case a.Role == ad.RoleAdvertiser && a.AdvertiserID > 0:
		return &a.AdvertiserID
	}
	none := nobody
	return &none
}

// supply is the publisher whose things the actor may see, nil for all.
func (a Actor) supply() *ad.ID {
	switch {
	case a.Role == ad.RoleOperator:
		return nil
	case a.Role == ad.RolePublisher && a.PublisherID > 0:
		return &a.PublisherID
	}
	none := nobody
	return &none
}

// only lets the named roles pass. It is asked after the thing was found, so that
// whoever may not see it learns nothing; at creation there is nothing to find.
func (a Actor) only(roles ...ad.Role) error {
	for _, role := range roles {
		if a.Role == role {
			return nil
		}
	}
	return ErrForbidden
}

// Page is a part of a list in ascending order of id.
type Page struct {
	After ad.ID // the last id of the page before; 0 for the first page
	Limit int   // at most 1000; 0 means 100
}

func (p Page) limit() int {
	if p.Limit <= 0 {
		return 100
	}
	return min(p.Limit, 1000)
}

// querier is a pool or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

// one reads exactly one row, or says ErrNotFound.
func one[T any](ctx context.Context, q querier, scan pgx.RowToFunc[T], sql string, args ...any) (T, error) {
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		var none T
		return none, err
	}
	found, err := pgx.CollectExactlyOneRow(rows, scan)
	if errors.Is(err, pgx.ErrNoRows) {
		err = ErrNotFound
	}
	return found, err
}

// many reads all rows; no row is an empty list.
func many[T any](ctx context.Context, q querier, scan pgx.RowToFunc[T], sql string, args ...any) ([]T, error) {
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scan)
}

// inTx is InTx for work that has a result.
func inTx[T any](ctx context.Context, db *DB, work func(pgx.Tx) (T, error)) (result T, err error) {
	err = InTx(ctx, db.Pool, func(tx pgx.Tx) (err error) {
		result, err = work(tx)
		return err
	})
	return result, err
}

// timeOrNull stores the zero time, which means "open", as NULL.
func timeOrNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// timeOrZero reads NULL as the zero value. Times are UTC inside.
func timeOrZero(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}

// idOrNull stores id 0, which means "none", as NULL.
func idOrNull(id ad.ID) *ad.ID {
	if id == 0 {
		return nil
	}
	return &id
}

func idOrZero(id *ad.ID) ad.ID {
	if id == nil {
		return 0
	}
	return *id
}
