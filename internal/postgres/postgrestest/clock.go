package postgrestest

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Clock is the bank's clock in one test's database, which stands still until
// the test moves it.
type Clock struct {
	t    testing.TB
	pool *pgxpool.Pool
	now  time.Time
}

// NewClock replaces the bank's clock in the database of pool by one that shows now.
func NewClock(t testing.TB, pool *pgxpool.Pool, now time.Time) *Clock {
	t.Helper()
	if _, err := pool.Exec(t.Context(), `
		CREATE TABLE clock (now timestamptz NOT NULL);
		INSERT INTO clock VALUES (clock_timestamp());
		CREATE OR REPLACE FUNCTION bank_now() RETURNS timestamptz LANGUAGE sql VOLATILE RETURN (SELECT now FROM clock)`); err != nil {
		t.Fatal(err)
	}
	c := &Clock{t: t, pool: pool}
	c.Set(now)
	// The bank has been up for ever: a jump of the clock is no time it was away.
	if _, err := pool.Exec(t.Context(), "UPDATE settlement SET ticked_at = $1, up_since = $1", now); err != nil {
		t.Fatal(err)
	}
	return c
}

// Set moves the clock to now.
func (c *Clock) Set(now time.Time) {
	c.t.Helper()
	c.now = now
	if _, err := c.pool.Exec(c.t.Context(), "UPDATE clock SET now = $1", now); err != nil {
		c.t.Fatal(err)
	}
}

// Add moves the clock by d.
func (c *Clock) Add(d time.Duration) {
	c.t.Helper()
	c.Set(c.now.Add(d))
}

// Now is what the clock shows.
func (c *Clock) Now() time.Time { return c.now }
