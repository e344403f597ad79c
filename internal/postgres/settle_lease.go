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

// LeaseState is how far a lease is on its way. It only moves forward.
type LeaseState string

const (
	LeaseOpen   LeaseState = "open"
	LeaseClosed LeaseState = "closed" // reserves nothing more; what it reserved may still be charged
	LeaseFinal  LeaseState = "final"  // all that it held is settled or returned
)

// Lease is a lease as settle sees it. While it is open, Reserved is unknown.
type Lease struct {
	ID         ulid.ULID
	Process    ulid.ULID
	LineItem   ad.ID
	Day        event.Day // of the advertiser's time zone, whose budget it draws on
	Granted    Amount
	Reserved   Amount
	Settled    Amount
	Returned   Amount
	State      LeaseState
	LastExpiry time.Time    // known when closed: the last hold's end
	Clipped    money.Micros // granted by the log's word, without room in accounts that were restored
}

// Leased is what the process was told that it may reserve.
func (l *Lease) Leased() money.Micros { return l.Granted.Micros + l.Clipped }

// Room is what can still be charged to the lease.
func (l *Lease) Room() Amount { return l.Granted.Sub(l.Settled).Sub(l.Returned) }

const leaseColumns = `e.id, e.process_id, e.line_item_id, e.day,
	e.granted_micros, e.granted_impressions, e.reserved_micros, e.reserved_impressions,
	e.settled_micros, e.settled_impressions, e.returned_micros, e.returned_impressions, e.state, e.last_expiry, e.clipped_micros`

func scanLease(row pgx.CollectableRow) (*Lease, error) {
	l := new(Lease)
	var day time.Time
	var lastExpiry *time.Time
	err := row.Scan((*[16]byte)(&l.ID), (*[16]byte)(&l.Process), &l.LineItem, &day,
		&l.Granted.Micros, &l.Granted.Impressions, &l.Reserved.Micros, &l.Reserved.Impressions,
		&l.Settled.Micros, &l.Settled.Impressions, &l.Returned.Micros, &l.Returned.Impressions, &l.State, &lastExpiry, &l.Clipped)
	l.Day, l.LastExpiry = dayOf(day), timeOrZero(lastExpiry)
	return l, err
}

// Leases locks and returns the leases of these ids, and all open ones of the
// processes that end.
func (t *SettleTx) Leases(ctx context.Context, ids, ending []ulid.ULID) ([]*Lease, error) {
	leases, err := many(ctx, t.tx, scanLease, `
		SELECT `+leaseColumns+` FROM lease e
		WHERE e.id = ANY($1) OR (e.process_id = ANY($2) AND e.state = 'open')
		ORDER BY e.id FOR UPDATE`, ids, ending)
	if err != nil {
		return nil, fmt.Errorf("lock leases: %w", err)
	}
	return leases, nil
}

// NewLease is a lease that the log names and the database does not know.
type NewLease struct {
	ID       ulid.ULID
	Process  ulid.ULID
	LineItem ad.ID
	Day      event.Day // 0: the day of At in the advertiser's time zone
	At       time.Time
}

// UnknownLeases returns those of ids that the database does not know.
func (t *SettleTx) UnknownLeases(ctx context.Context, ids []ulid.ULID) ([]ulid.ULID, error) {
	unknown, err := many(ctx, t.tx, scanULID, `
		SELECT n.id FROM unnest($1::uuid[]) AS n (id)
		WHERE NOT EXISTS (SELECT FROM lease e WHERE e.id = n.id) ORDER BY n.id`, ids)
	if err != nil {
		return nil, fmt.Errorf("look leases up: %w", err)
	}
	return unknown, nil
}

// AddLeases inserts leases with nothing granted: final from the start, since
// they have nothing to give back, but events need them to be told apart.
func (t *SettleTx) AddLeases(ctx context.Context, leases []NewLease) error {
	n := len(leases)
	ids, processes, lineItems := make([]ulid.ULID, n), make([]ulid.ULID, n), make([]ad.ID, n)
	days, at := make([]*time.Time, n), make([]time.Time, n)
	for i, l := range leases {
		ids[i], processes[i], lineItems[i], at[i] = l.ID, l.Process, l.LineItem, l.At
		if l.Day != 0 {
			day := dateOf(l.Day)
			days[i] = &day
		}
	}
	_, err := t.tx.Exec(ctx, `
		INSERT INTO lease (id, process_id, line_item_id, day, granted_micros, granted_impressions, deadline, state, closed_at)
		SELECT n.id, n.process_id, n.line_item_id,
			COALESCE(n.day, (n.at AT TIME ZONE COALESCE(a.time_zone, 'UTC'))::date), 0, 0, n.at, 'final', $6
		FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::date[], $5::timestamptz[])
			AS n (id, process_id, line_item_id, day, at)
		LEFT JOIN line_item l ON l.id = n.line_item_id
		LEFT JOIN campaign c ON c.id = l.campaign_id
		LEFT JOIN advertiser a ON a.id = c.advertiser_id
		ORDER BY n.id
		ON CONFLICT (id) DO NOTHING`, ids, processes, lineItems, days, at, t.Now)
	if err != nil {
		return fmt.Errorf("add leases that only the log knows: %w", err)
	}
	return nil
}

// sweepSize bounds how many leases one transaction gives back.
const sweepSize = 5000

// Due locks and returns leases whose every event is in: closed ones when the
// watermark is margin beyond their last hold's end, and open ones when it is wait
// beyond their deadline, though no CLOSE came: they reserved nothing since, so
// that the watermark says of them what it says of the closed ones. Those of
// processes that left the watermark are not among them, as it says nothing of
// their streams.
//
// After the bank's clock went back the watermark is ahead of it for a while, and
// proves nothing of what was reserved meanwhile: the clock counts then.
func (t *SettleTx) Due(ctx context.Context, margin, wait time.Duration) ([]*Lease, error) {
	watermark := t.Watermark
	if t.Now.Before(watermark) {
		watermark = t.Now
	}
	leases, err := many(ctx, t.tx, scanLease, `
		SELECT `+leaseColumns+` FROM lease e
		WHERE (e.state = 'closed' AND e.last_expiry < $1::timestamptz - make_interval(secs => $2)
				OR e.state = 'open' AND e.deadline < $1::timestamptz - make_interval(secs => $4))
			AND NOT EXISTS (SELECT FROM process p WHERE p.id = e.process_id AND p.state <> 'ended'
				AND (p.state = 'lost' OR p.stalled <> ''))
		ORDER BY e.id LIMIT $3 FOR UPDATE OF e`, watermark, margin.Seconds(), sweepSize, wait.Seconds())
	if err != nil {
		return nil, fmt.Errorf("find leases due: %w", err)
	}
	return leases, nil
}

// Abandoned locks and returns the leases of lost and stalled processes that the
// bank's clock gives back: wait after their deadline. Where settling is behind, the
// watermark counts: their events may have landed at processes that run.
func (t *SettleTx) Abandoned(ctx context.Context, wait time.Duration) ([]*Lease, error) {
	settled := t.Now
	if t.Watermark.Before(settled) {
		settled = t.Watermark
	}
	leases, err := many(ctx, t.tx, scanLease, `
		SELECT `+leaseColumns+` FROM process p JOIN lease e ON e.process_id = p.id
		WHERE p.state <> 'ended' AND (p.state = 'lost' OR p.stalled <> '')
			AND e.state <> 'final' AND e.deadline < $1::timestamptz - make_interval(secs => $2)
		ORDER BY e.id LIMIT $3 FOR UPDATE OF e`, settled, wait.Seconds(), sweepSize)
	if err != nil {
		return nil, fmt.Errorf("find abandoned leases: %w", err)
	}
	return leases, nil
}

// Stranded locks and returns open leases of ended processes: granted while the
// stream's end was already on its way, so that no CLOSE can follow.
func (t *SettleTx) Stranded(ctx context.Context) ([]*Lease, error) {
	leases, err := many(ctx, t.tx, scanLease, `
		SELECT `+leaseColumns+` FROM lease e JOIN process p ON p.id = e.process_id
		WHERE e.state = 'open' AND p.state = 'ended'
		ORDER BY e.id LIMIT $1 FOR UPDATE OF e`, sweepSize)
	if err != nil {
		return nil, fmt.Errorf("find stranded leases: %w", err)
	}
	return leases, nil
}
