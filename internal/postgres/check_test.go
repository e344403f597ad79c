package postgres_test

import (
	"errors"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/oklog/ulid/v2"
)

// M1 and the lease's own bounds hold whatever code asks for: Postgres itself
// refuses what would break them.
func TestPostgresItselfKeepsTheBudgets(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	grant := h.grant(t, ulid.Make(), wantOf(h.lineItem.ID, 10))[0]
	if grant.Micros <= 0 {
		t.Fatalf("granted %+v", grant)
	}
	h.exec(t, `UPDATE account SET limit_impressions = 1000 WHERE owner_id = $1`, h.lineItem.ID)
	f := func(constraint, sql string) {
		t.Helper()
		_, err := h.Pool.Exec(t.Context(), sql)
		var refused *pgconn.PgError
		if !errors.As(err, &refused) || refused.Code != "23514" || refused.ConstraintName != constraint {
			t.Errorf("%s\n%v; want that %s refuses it", sql, err, constraint)
		}
	}
	f("account_micros_within_limit", `UPDATE account SET leased_micros = limit_micros - settled_micros + 1 WHERE limit_micros IS NOT NULL`)
	f("account_micros_within_limit", `UPDATE account SET settled_micros = limit_micros - leased_micros + 1 WHERE limit_micros IS NOT NULL`)
	f("account_micros_within_limit", `UPDATE account SET limit_micros = settled_micros + leased_micros - 1 WHERE leased_micros > 0`)
	f("account_impressions_within_limit", `UPDATE account SET leased_impressions = limit_impressions - settled_impressions + 1`)
	f("account_leased_micros_check", `UPDATE account SET leased_micros = -1`)
	f("account_settled_micros_check", `UPDATE account SET settled_micros = -1`)
	f("lease_micros_within_grant", `UPDATE lease SET settled_micros = granted_micros, returned_micros = 1`)
	f("lease_micros_within_grant", `UPDATE lease SET returned_micros = granted_micros + 1`)
	f("lease_impressions_within_grant", `UPDATE lease SET settled_impressions = granted_impressions, returned_impressions = 1`)
	f("lease_returned_micros_check", `UPDATE lease SET returned_micros = -1`)
}
