package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/oklog/ulid/v2"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/money"
)

// rebuildUnderWay is why nothing is granted while the books are made anew.
const rebuildUnderWay = "`batch rebuild` is at work, or was stopped: run it again"

// BeginRebuild halts everything else, and lets this session settle all the same.
// The caller holds the settler's lock.
func (s *Settler) BeginRebuild(ctx context.Context) error {
	s.rebuilding = true
	return s.Halt(ctx, rebuildUnderWay)
}

// EndRebuild lets granting and settling go on, since the books hold all that the
// log does, and makes sure that ids which the log names are not given out again:
// the rows that had them may be gone.
func (s *Settler) EndRebuild(ctx context.Context, highest map[string]ad.ID) error {
	return s.InTx(ctx, func(t *SettleTx) error {
		for table, id := range highest {
			_, err := t.tx.Exec(ctx, `
				SELECT setval(pg_get_serial_sequence($1, 'id'), $2)
				WHERE $2 > (SELECT COALESCE(pg_sequence_last_value(pg_get_serial_sequence($1, 'id')::regclass), 0))`, table, int64(id))
			if err != nil {
				return fmt.Errorf("keep the ids of %s from being given out again: %w", table, err)
			}
		}
		_, err := t.tx.Exec(ctx, "UPDATE settlement SET halted = '', rebuilt = rebuilt + 1, checked = "+whereabouts)
		if err != nil {
			return fmt.Errorf("end the rebuild: %w", err)
		}
		return nil
	})
}

// CountedBits returns the bits of these leases and purposes that are set already.
func (s *Settler) CountedBits(ctx context.Context, leases []ulid.ULID, purposes []int16) ([]*Bits, error) {
	bits, err := many(ctx, s.conn, scanBits, `
		SELECT lease_id, purpose, block, bits FROM lease_bits WHERE lease_id = ANY($1) AND purpose = ANY($2)`, leases, purposes)
	if err != nil {
		return nil, fmt.Errorf("read de-duplication bits: %w", err)
	}
	return bits, nil
}

// LeasesOf locks and returns the leases of line items that still hold money, and
// those of ids.
func (t *SettleTx) LeasesOf(ctx context.Context, lineItems []ad.ID, ids []ulid.ULID) ([]*Lease, error) {
	leases, err := many(ctx, t.tx, scanLease, `
		SELECT `+leaseColumns+` FROM lease e
		WHERE e.line_item_id = ANY($1) AND e.state <> 'final' OR e.id = ANY($2)
		ORDER BY e.id FOR UPDATE`, lineItems, ids)
	if err != nil {
		return nil, fmt.Errorf("lock leases: %w", err)
	}
	return leases, nil
}

// Budget is what one account may hold in leases: its limit less what is settled.
type Budget struct {
	LineItem ad.ID
	Day      *time.Time // nil: lifetime
	Limit    Amount     // in force; very large where there is none
	Left     Amount     // never negative
}

// Budgets locks and returns the accounts of these line items, lifetime and all
// days, making those that are missing for the named days. Line items that the
// database does not know have none.
func (t *SettleTx) Budgets(ctx context.Context, days []BudgetKey) ([]Budget, error) {
	ids, dates := make([]ad.ID, len(days)), make([]time.Time, len(days))
	for i, key := range days {
		ids[i], dates[i] = key.LineItem, dateOf(key.Day)
	}
	_, err := t.tx.Exec(ctx, `
		INSERT INTO account (level, owner_id, day, wanted_micros, limit_micros)
		SELECT DISTINCT 'line_item', l.id, n.day, CASE WHEN n.day IS NULL THEN l.lifetime_budget ELSE l.daily_budget END,
			CASE WHEN n.day IS NULL THEN l.lifetime_budget ELSE l.daily_budget END
		FROM (SELECT d.id, d.day FROM unnest($1::bigint[], $2::date[]) AS d (id, day)
			UNION SELECT u.id, NULL FROM unnest($1::bigint[]) AS u (id)) AS n (line_item_id, day)
		JOIN line_item l ON l.id = n.line_item_id
		ON CONFLICT (level, owner_id, day) DO NOTHING`, ids, dates)
	if err != nil {
		return nil, fmt.Errorf("add accounts: %w", err)
	}
	budgets, err := many(ctx, t.tx, scanBudget, `
		SELECT owner_id, day, COALESCE(limit_micros, $2), COALESCE(limit_impressions, $3),
			settled_micros, settled_impressions
		FROM account WHERE level = 'line_item' AND owner_id = ANY($1) ORDER BY id FOR UPDATE`,
		ids, unlimited.Micros, unlimited.Impressions)
	if err != nil {
		return nil, fmt.Errorf("lock accounts: %w", err)
	}
	return budgets, nil
}

func scanBudget(row pgx.CollectableRow) (b Budget, err error) {
	var settled Amount
	err = row.Scan(&b.LineItem, &b.Day, &b.Limit.Micros, &b.Limit.Impressions, &settled.Micros, &settled.Impressions)
	left := b.Limit.Sub(settled)
	b.Left = Amount{Micros: max(0, left.Micros), Impressions: max(0, left.Impressions)}
	return b, err
}

// RebuiltLease is a lease as the log has it, and when nothing more is reserved on it.
type RebuiltLease struct {
	Lease
	Opened   time.Time
	Deadline time.Time
}

// WriteRebuilt writes leases, known or not, and then the accounts of their line
// items: what they hold in leases is what their leases hold.
func (t *SettleTx) WriteRebuilt(ctx context.Context, leases []RebuiltLease) error {
	n := len(leases)
	ids, processes, lineItems := make([]ulid.ULID, n), make([]ulid.ULID, n), make([]ad.ID, n)
	days, states := make([]time.Time, n), make([]LeaseState, n)
	opened, deadlines, expiries := make([]time.Time, n), make([]time.Time, n), make([]*time.Time, n)
	var micros [4][]money.Micros
	var impressions [3][]int64
	for i := range leases {
		l := &leases[i]
		ids[i], processes[i], lineItems[i], days[i], states[i] = l.ID, l.Process, l.LineItem, dateOf(l.Day), l.State
		opened[i], deadlines[i], expiries[i] = l.Opened, l.Deadline, timeOrNull(l.LastExpiry)
		for j, amount := range [3]Amount{l.Granted, l.Reserved, l.Returned} {
			micros[j], impressions[j] = append(micros[j], amount.Micros), append(impressions[j], amount.Impressions)
		}
		micros[3] = append(micros[3], l.Clipped)
	}
	_, err := t.tx.Exec(ctx, `
		INSERT INTO lease AS e (id, process_id, line_item_id, day, granted_micros, granted_impressions, reserved_micros, reserved_impressions,
			returned_micros, returned_impressions, clipped_micros, granted_at, deadline, last_expiry, state, closed_at)
		SELECT n.id, n.process_id, n.line_item_id, n.day, n.granted, n.granted_n, n.reserved, n.reserved_n, n.returned, n.returned_n,
			n.clipped, n.opened, n.deadline, n.last_expiry, n.state, CASE WHEN n.state <> 'open' THEN $16::timestamptz END
		FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::date[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[],
				$9::bigint[], $10::bigint[], $11::bigint[], $12::timestamptz[], $13::timestamptz[], $14::timestamptz[], $15::text[])
			AS n (id, process_id, line_item_id, day, granted, granted_n, reserved, reserved_n, returned, returned_n,
				clipped, opened, deadline, last_expiry, state)
		ORDER BY n.id
		ON CONFLICT (id) DO UPDATE SET
			granted_micros = excluded.granted_micros, granted_impressions = excluded.granted_impressions,
			reserved_micros = excluded.reserved_micros, reserved_impressions = excluded.reserved_impressions,
			returned_micros = excluded.returned_micros, returned_impressions = excluded.returned_impressions,
			clipped_micros = excluded.clipped_micros, last_expiry = excluded.last_expiry, state = excluded.state,
			deadline = GREATEST(e.deadline, excluded.deadline), closed_at = COALESCE(e.closed_at, excluded.closed_at)`,
		ids, processes, lineItems, days, micros[0], impressions[0], micros[1], impressions[1], micros[2], impressions[2],
		micros[3], opened, deadlines, expiries, states, t.Now)
	if err != nil {
		return fmt.Errorf("write leases from the log: %w", err)
	}
	_, err = t.tx.Exec(ctx, `
		UPDATE account a SET leased_micros = h.micros, leased_impressions = h.impressions
		FROM (
			SELECT x.id, COALESCE(sum(e.granted_micros - e.settled_micros - e.returned_micros), 0)::bigint AS micros,
				COALESCE(sum(e.granted_impressions - e.settled_impressions - e.returned_impressions), 0)::bigint AS impressions
			FROM account x
			LEFT JOIN lease e ON e.line_item_id = x.owner_id AND e.state <> 'final' AND (x.day IS NULL OR e.day = x.day)
			WHERE x.level = 'line_item' AND x.owner_id = ANY($1)
			GROUP BY x.id) h
		WHERE a.id = h.id AND (a.leased_micros, a.leased_impressions) <> (h.micros, h.impressions)`, lineItems)
	if err != nil {
		return fmt.Errorf("write what accounts hold in leases: %w", err)
	}
	return nil
}
