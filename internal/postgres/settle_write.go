package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/oklog/ulid/v2"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/money"
)

// Settlement is all that one transaction changes: what batch/settle's core decided.
type Settlement struct {
	Leases   []*Lease // the changed ones, as they are now
	Bits     []*Bits  // the changed ones
	Accounts map[BudgetKey]*AccountChange
	Ledger   map[BudgetKey]*LedgerEntry
	Cells    map[CellKey]*Cell
	Audience map[AudienceKey]*AudienceCell
	Supply   map[SupplyKey]*SupplyCell
	Reasons  map[ReasonKey]ReasonCount

	Conversions []NewConversion
}

// BudgetKey names a line item's budget of one day; its lifetime budget goes with it.
type BudgetKey struct {
	LineItem ad.ID
	Day      event.Day
}

// AccountChange is what one budget's accounts, of the day and the lifetime, gain.
type AccountChange struct {
	Settled       Amount
	Freed         Amount // no longer leased: settled or returned
	FinalReserved int64  // impressions of leases now final: reserved …
	FinalSettled  int64  // … and charged
}

// LedgerEntry is what one batch charged to one budget.
type LedgerEntry struct {
	Charged Amount
	Overage Amount // delivered but not charged: the platform's cost
	Late    int64  // impressions on own inventory after their hold, without room
}

// BitsKey names 8192 de-duplication bits of a lease.
type BitsKey struct {
	Lease   ulid.ULID
	Purpose uint8 // event type; video progress: 0x20 | quartile; with 0x80: found invalid
	Block   uint8 // index / 8192
}

// BitsPerBlock is how many indexes one row of bits covers.
const BitsPerBlock = 8192

// Bits is one row of de-duplication bits: which events were counted.
type Bits struct {
	BitsKey
	Set []byte // bit i%8 of byte i/8; as long as it has to be, at most [BitsPerBlock] / 8
}

// Mark sets bit i, below [BitsPerBlock], and tells whether it was unset.
func (b *Bits) Mark(i uint32) bool {
	at, mask := int(i/8), byte(1)<<(i%8)
	if at >= len(b.Set) {
		b.Set = append(b.Set, make([]byte, at+1-len(b.Set))...)
	}
	if b.Set[at]&mask != 0 {
		return false
	}
	b.Set[at] |= mask
	return true
}

// Bits reads the rows that exist among keys.
func (t *SettleTx) Bits(ctx context.Context, keys []BitsKey) ([]*Bits, error) {
	n := len(keys)
	leases, purposes, blocks := make([]ulid.ULID, n), make([]int16, n), make([]int16, n)
	for i, k := range keys {
		leases[i], purposes[i], blocks[i] = k.Lease, int16(k.Purpose), int16(k.Block)
	}
	bits, err := many(ctx, t.tx, scanBits, `
		SELECT b.lease_id, b.purpose, b.block, b.bits
		FROM unnest($1::uuid[], $2::smallint[], $3::smallint[]) AS n (lease_id, purpose, block)
		JOIN lease_bits b USING (lease_id, purpose, block)`, leases, purposes, blocks)
	if err != nil {
		return nil, fmt.Errorf("read de-duplication bits: %w", err)
	}
	return bits, nil
}

func scanBits(row pgx.CollectableRow) (*Bits, error) {
	b := new(Bits)
	var purpose, block int16
	err := row.Scan((*[16]byte)(&b.Lease), &purpose, &block, &b.Set)
	b.Purpose, b.Block = uint8(purpose), uint8(block)
	return b, err
}

// Write books s. Leases are locked already; the accounts are locked here, by id,
// as grants lock them.
func (t *SettleTx) Write(ctx context.Context, s *Settlement) error {
	accounts, err := t.lockAccounts(ctx, s.Accounts)
	if err != nil {
		return err
	}
	batch := &pgx.Batch{}
	t.queueLeases(batch, s.Leases)
	queueAccountChanges(batch, accounts)
	queueBits(batch, s.Bits)
	t.queueLedger(batch, s.Ledger)
	queueReasons(batch, s.Reasons)
	t.queueConversions(batch, s.Conversions)
	if batch.Len() > 0 {
		if err := t.tx.SendBatch(ctx, batch).Close(); err != nil {
			return fmt.Errorf("write the settlement: %w", err)
		}
	}
	return t.writeReports(ctx, s)
}

// lockAccounts locks both accounts of each budget and returns the change of
// each, by account id.
func (t *SettleTx) lockAccounts(ctx context.Context, changes map[BudgetKey]*AccountChange) (map[int64]*AccountChange, error) {
	if len(changes) == 0 {
		return nil, nil
	}
	var lineItems []ad.ID
	var days []time.Time
	for key := range changes {
		lineItems, days = append(lineItems, key.LineItem), append(days, dateOf(key.Day))
	}
	rows, err := t.tx.Query(ctx, `
		SELECT id, owner_id, day FROM account
		WHERE level = 'line_item' AND owner_id = ANY($1) AND (day IS NULL OR day = ANY($2))
		ORDER BY id FOR UPDATE`, lineItems, days)
	if err != nil {
		return nil, fmt.Errorf("lock accounts: %w", err)
	}
	ofDay, lifetime := map[BudgetKey]int64{}, map[ad.ID]int64{}
	var id int64
	var lineItem ad.ID
	var day *time.Time
	if _, err := pgx.ForEachRow(rows, []any{&id, &lineItem, &day}, func() error {
		if day == nil {
			lifetime[lineItem] = id
		} else {
			ofDay[BudgetKey{lineItem, dayOf(*day)}] = id
		}
		return nil
	}); err != nil {
		return nil, fmt.Errorf("lock accounts: %w", err)
	}
	byID := make(map[int64]*AccountChange, 2*len(changes))
	for key, change := range changes {
		for _, id := range [2]int64{ofDay[key], lifetime[key.LineItem]} {
			if id == 0 {
				return nil, fmt.Errorf("line item %d has leases but no account for %s", key.LineItem, dateOf(key.Day).Format(time.DateOnly))
			}
			if byID[id] == nil {
				byID[id] = new(AccountChange)
			}
			byID[id].add(change)
		}
	}
	return byID, nil
}

func (c *AccountChange) add(d *AccountChange) {
	c.Settled, c.Freed = c.Settled.Add(d.Settled), c.Freed.Add(d.Freed)
	c.FinalReserved += d.FinalReserved
	c.FinalSettled += d.FinalSettled
}

// queueAccountChanges also lets a limit that was lowered below what was out
// follow that down, until it is what was asked for.
func queueAccountChanges(batch *pgx.Batch, changes map[int64]*AccountChange) {
	if len(changes) == 0 {
		return
	}
	var ids, settledN, freedN, reserved, settled []int64
	var settledMicros, freedMicros []money.Micros
	for id, c := range changes {
		ids = append(ids, id)
		settledMicros, settledN = append(settledMicros, c.Settled.Micros), append(settledN, c.Settled.Impressions)
		freedMicros, freedN = append(freedMicros, c.Freed.Micros), append(freedN, c.Freed.Impressions)
		reserved, settled = append(reserved, c.FinalReserved), append(settled, c.FinalSettled)
	}
	batch.Queue(`
		UPDATE account x SET
			settled_micros      = x.settled_micros + n.settled_micros,
			leased_micros       = x.leased_micros - n.freed_micros,
			settled_impressions = x.settled_impressions + n.settled_impressions,
			leased_impressions  = x.leased_impressions - n.freed_impressions,
			final_reserved      = x.final_reserved + n.final_reserved,
			final_settled       = x.final_settled + n.final_settled,
			limit_micros = CASE WHEN x.limit_micros > x.wanted_micros
				THEN GREATEST(x.wanted_micros, x.settled_micros + n.settled_micros + x.leased_micros - n.freed_micros)
				ELSE x.limit_micros END,
			limit_impressions = CASE WHEN x.limit_impressions > x.wanted_impressions
				THEN GREATEST(x.wanted_impressions,
					x.settled_impressions + n.settled_impressions + x.leased_impressions - n.freed_impressions)
				ELSE x.limit_impressions END
		FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[])
			AS n (id, settled_micros, settled_impressions, freed_micros, freed_impressions, final_reserved, final_settled)
		WHERE x.id = n.id`, ids, settledMicros, settledN, freedMicros, freedN, reserved, settled)
}

func (t *SettleTx) queueLeases(batch *pgx.Batch, leases []*Lease) {
	n := len(leases)
	if n == 0 {
		return
	}
	ids, states, expiries := make([]ulid.ULID, n), make([]LeaseState, n), make([]*time.Time, n)
	var micros [3][]money.Micros
	var impressions [3][]int64
	for i, l := range leases {
		ids[i], states[i], expiries[i] = l.ID, l.State, timeOrNull(l.LastExpiry)
		for j, amount := range [3]Amount{l.Reserved, l.Settled, l.Returned} {
			micros[j], impressions[j] = append(micros[j], amount.Micros), append(impressions[j], amount.Impressions)
		}
	}
	batch.Queue(`
		UPDATE lease e SET
			reserved_micros = n.reserved_micros, reserved_impressions = n.reserved_impressions,
			settled_micros  = n.settled_micros,  settled_impressions  = n.settled_impressions,
			returned_micros = n.returned_micros, returned_impressions = n.returned_impressions,
			state = n.state, last_expiry = n.last_expiry,
			closed_at = CASE WHEN n.state <> 'open' THEN COALESCE(e.closed_at, $10) END
		FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[],
				$8::text[], $9::timestamptz[])
			AS n (id, reserved_micros, reserved_impressions, settled_micros, settled_impressions,
				returned_micros, returned_impressions, state, last_expiry)
		WHERE e.id = n.id`,
		ids, micros[0], impressions[0], micros[1], impressions[1], micros[2], impressions[2], states, expiries, t.Now)
}

func queueBits(batch *pgx.Batch, bits []*Bits) {
	n := len(bits)
	if n == 0 {
		return
	}
	leases, purposes, blocks, sets := make([]ulid.ULID, n), make([]int16, n), make([]int16, n), make([][]byte, n)
	for i, b := range bits {
		leases[i], purposes[i], blocks[i], sets[i] = b.Lease, int16(b.Purpose), int16(b.Block), b.Set
	}
	batch.Queue(`
		INSERT INTO lease_bits (lease_id, purpose, block, bits)
		SELECT n.lease_id, n.purpose, n.block, n.bits
		FROM unnest($1::uuid[], $2::smallint[], $3::smallint[], $4::bytea[]) AS n (lease_id, purpose, block, bits)
		ON CONFLICT (lease_id, purpose, block) DO UPDATE SET bits = excluded.bits`, leases, purposes, blocks, sets)
}

func (t *SettleTx) queueLedger(batch *pgx.Batch, ledger map[BudgetKey]*LedgerEntry) {
	if len(ledger) == 0 {
		return
	}
	var lineItems []ad.ID
	var days []time.Time
	var charged, overage []money.Micros
	var chargedN, overageN, late []int64
	for key, e := range ledger {
		lineItems, days = append(lineItems, key.LineItem), append(days, dateOf(key.Day))
		charged, chargedN = append(charged, e.Charged.Micros), append(chargedN, e.Charged.Impressions)
		overage, overageN = append(overage, e.Overage.Micros), append(overageN, e.Overage.Impressions)
		late = append(late, e.Late)
	}
	batch.Queue(`
		INSERT INTO ledger AS l (batch, line_item_id, day, hour, charged_micros, charged_impressions,
			overage_micros, overage_impressions, late_impressions, at)
		SELECT $1, n.line_item_id, n.day, date_trunc('hour', $2::timestamptz, 'UTC'),
			n.charged, n.charged_n, n.overage, n.overage_n, n.late, $2
		FROM unnest($3::bigint[], $4::date[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[])
			AS n (line_item_id, day, charged, charged_n, overage, overage_n, late)
		ORDER BY n.line_item_id, n.day
		ON CONFLICT (line_item_id, day, hour) WHERE correction_id IS NULL DO UPDATE SET
			batch               = excluded.batch,
			at                  = excluded.at,
			charged_micros      = l.charged_micros + excluded.charged_micros,
			charged_impressions = l.charged_impressions + excluded.charged_impressions,
			overage_micros      = l.overage_micros + excluded.overage_micros,
			overage_impressions = l.overage_impressions + excluded.overage_impressions,
			late_impressions    = l.late_impressions + excluded.late_impressions`,
		t.Batch, t.Now, lineItems, days, charged, chargedN, overage, overageN, late)
}
