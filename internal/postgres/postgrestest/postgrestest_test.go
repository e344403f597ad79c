package postgrestest_test

import (
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/hayate-ads/hayate/internal/postgres/postgrestest"
)

// Tests that run side by side must not see each other's rows, or each other's tables.
func TestDatabasesAreApart(t *testing.T) {
	for i := range 6 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			pool := postgrestest.New(t)
			if _, err := pool.Exec(t.Context(), "CREATE TABLE mine (n int)"); err != nil {
				t.Fatal(err)
			}
			if _, err := pool.Exec(t.Context(), "INSERT INTO mine (n) VALUES ($1)", i); err != nil {
				t.Fatal(err)
			}
			rows, err := pool.Query(t.Context(), "SELECT n FROM mine")
			if err != nil {
				t.Fatal(err)
			}
			got, err := pgx.CollectRows(rows, pgx.RowTo[int])
			if err != nil || len(got) != 1 || got[0] != i {
				t.Errorf("mine holds %v, %v; want [%d]", got, err, i)
			}
		})
	}
}

func TestDatabasesAreMigrated(t *testing.T) {
	t.Parallel()
	tables := func(url string) int {
		t.Helper()
		conn, err := pgx.Connect(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(t.Context())
		var n int
		if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if tables(postgrestest.URL(t)) == 0 {
		t.Error("a database for tests has no tables")
	}
	if n := tables(postgrestest.EmptyURL(t)); n != 0 {
		t.Errorf("an empty database has %d tables", n)
	}
}
