package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/oklog/ulid/v2"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/money"
)

const (
	// dayEve is how long before its day's end a process may lease for the next.
	dayEve = 60 * time.Second
	// recallAge keeps a lease that was only just granted from being recalled.
	recallAge = 10 * time.Second
	// deadlockTries bounds how often a batch starts anew when Postgres ends it to
	// resolve a deadlock, as with an edit of several budgets of one line item.
	deadlockTries = 5
)

// Grant answers a batch of wants, in their order, in one transaction. A want
// that was granted before is answered as it was then. Errors: [ErrProcessLost],
// [ErrUnchecked], [ErrRebuild], a want that makes no sense, or the database's; nothing is
// granted then, and the batch may be repeated.
func (db *DB) Grant(ctx context.Context, process ulid.ULID, wants []Want, cfg BankConfig) ([]Grant, error) {
	if err := checkWants(wants); err != nil || len(wants) == 0 {
		return nil, err
	}
	if err := db.admit(ctx, process); err != nil {
		return nil, err
	}
	var g *granting
	err := retryDeadlock(func() error {
		g = &granting{process: process, wants: wants, cfg: cfg}
		return InTx(ctx, db.Pool, func(tx pgx.Tx) error { return g.run(ctx, tx) })
	})
	if err != nil {
		return nil, fmt.Errorf("grant: %w", err)
	}
	// The grants stand, whatever becomes of the recall: the next refusal repeats it.
	_ = db.recall(ctx, process, g.starved)
	return g.answers, nil
}

func checkWants(wants []Want) error {
	seen := make(map[ulid.ULID]bool, len(wants))
	for _, w := range wants {
		switch {
		case seen[w.Lease]:
			return fmt.Errorf("grant: lease %s is wanted twice in one batch", w.Lease)
		case w.Micros < 0 || w.Micros > MaxLeaseMicros:
			return fmt.Errorf("grant: lease %s: %s is not between 0 and %s", w.Lease, w.Micros, MaxLeaseMicros)
		case w.Impressions < 1 || w.Impressions > MaxLeaseImpressions:
			return fmt.Errorf("grant: lease %s: %d impressions are not between 1 and %d", w.Lease, w.Impressions, MaxLeaseImpressions)
		}
		seen[w.Lease] = true
	}
	return nil
}

func retryDeadlock(work func() error) (err error) {
	for range deadlockTries {
		err = work()
		var pgErr *pgconn.PgError
		if !errors.As(err, &pgErr) || pgErr.Code != "40P01" {
			return err
		}
	}
	return err
}

// granting is one batch on its way: what was read, then what was decided.
type granting struct {
	process ulid.ULID
	wants   []Want
	cfg     BankConfig

	now       time.Time
	lineItems map[ad.ID]*grantLineItem
	accounts  map[accountKey]*grantAccount
	before    map[ulid.ULID]Grant // granted earlier under the same ids
	live      int64               // processes that run

	answers []Grant
	fresh   []Grant // those of answers to insert
	starved []ad.ID // line items refused because others hold what is left
}

// accountKey names a line item's account; lifetime has no day.
type accountKey struct {
	lineItem ad.ID
	day      event.Day
	lifetime bool
}

// run follows one order of locks, accounts by id, so that no two grants wait for
// each other. The accounts are locked in a statement of their own: what is
// decided from rows read in the statement that also changes them over-grants.
func (g *granting) run(ctx context.Context, tx pgx.Tx) error {
	if err := g.readLineItems(ctx, tx); err != nil {
		return fmt.Errorf("read line items: %w", err)
	}
	if err := g.addAccounts(ctx, tx); err != nil {
		return fmt.Errorf("add accounts: %w", err)
	}
	if err := g.lockAccounts(ctx, tx); err != nil {
		return fmt.Errorf("lock accounts: %w", err)
	}
	// Under the accounts' locks: a repeat that overtakes its own first try waits
	// there, and then finds what that has granted.
	if err := g.readLeases(ctx, tx); err != nil {
		return fmt.Errorf("read leases: %w", err)
	}
	for _, want := range g.wants {
		answer, err := g.answer(want)
		if err != nil {
			return err
		}
		g.answers = append(g.answers, answer)
	}
	return g.write(ctx, tx)
}

// answer decides one want from what was read and what the batch took so far.
func (g *granting) answer(want Want) (Grant, error) {
	if before, ok := g.before[want.Lease]; ok {
		if before.LineItem != want.LineItem {
			return Grant{}, fmt.Errorf("lease %s belongs to line item %d, not %d", want.Lease, before.LineItem, want.LineItem)
		}
		return before, nil
	}
	refuse := func(why Refusal) (Grant, error) {
		if (why == RefusedSpent || why == RefusedHolders) && !slices.Contains(g.starved, want.LineItem) {
			g.starved = append(g.starved, want.LineItem)
		}
		return Grant{Lease: want.Lease, LineItem: want.LineItem, Refused: why}, nil
	}
	item := g.lineItems[want.LineItem]
	if item == nil {
		return refuse(RefusedUnknown)
	}
	if !item.open {
		return refuse(RefusedStopped)
	}
	when := item.dayFor(g.process)
	lifetime := g.accounts[accountKey{lineItem: item.id, lifetime: true}]
	today := g.accounts[accountKey{lineItem: item.id, day: when.day}]
	if lifetime == nil || today == nil {
		return Grant{}, fmt.Errorf("line item %d has no account for %s", item.id, when.start.Format(time.DateOnly))
	}
	a := allotment{
		price: money.PerImpression(item.cpm), left: lifetime.left().least(today.left()), live: g.live,
		holders: int64(len(item.holders)), holds: item.holders[g.process],
	}
	amount, refused := a.allot(want)
	if refused != "" {
		return refuse(refused)
	}
	lifetime.take(amount)
	today.take(amount)
	item.hold(g.process, when.day)
	grant := Grant{
		Lease: want.Lease, LineItem: want.LineItem, Micros: amount.Micros, Impressions: amount.Impressions,
		Day: when.day, DayStart: when.start, DayEnd: when.end,
		Deadline: g.now.Add(g.cfg.LeaseTTL), MaxAge: leaseAge(g.cfg.MaxAge, lifetime, today),
	}
	g.fresh = append(g.fresh, grant)
	return grant, nil
}

// recall asks the other holders of what these line items have left to give back
// the leases that they have not touched; heartbeats carry it. It stands outside
// the grant's transaction and skips what is locked, because settle locks leases
// before accounts.
func (db *DB) recall(ctx context.Context, process ulid.ULID, lineItems []ad.ID) error {
	if len(lineItems) == 0 {
		return nil
	}
	_, err := db.Pool.Exec(ctx, `
		UPDATE lease SET recalled = true WHERE id IN (
			SELECT id FROM lease
			WHERE line_item_id = ANY($1) AND state = 'open' AND NOT recalled
				AND process_id <> $2 AND granted_at < bank_now() - make_interval(secs => $3)
			ORDER BY id FOR UPDATE SKIP LOCKED)`,
		lineItems, process, recallAge.Seconds())
	if err != nil {
		return fmt.Errorf("recall leases: %w", err)
	}
	return nil
}
