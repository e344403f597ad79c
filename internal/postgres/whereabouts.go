package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/oklog/ulid/v2"
)

// ErrUnchecked says that this database may be an older copy: its server was
// started, or its tables were loaded, since settle last compared it with the
// event log. Nothing is granted until settle has, which takes seconds. A want
// may be repeated.
var ErrUnchecked = errors.New("the database was started or restored, and settle has not yet compared it with the event log")

// whereabouts names what the state of a database depends on: its server's start
// (a restored folder, a replica that took over), the database (a dump loaded into
// a new one), and settlement's file (a dump loaded into this one). A name that
// differs from settlement.checked proves nothing by itself; it asks for a look.
const whereabouts = `concat_ws('/', extract(epoch FROM pg_postmaster_start_time()),
	(SELECT oid FROM pg_database WHERE datname = current_database()), pg_relation_filenode('settlement'))`

// isChecked is a condition on settlement. Where nothing was ever settled or
// checked there was nothing to lose.
const isChecked = `(checked = ` + whereabouts + ` OR (checked = '' AND batch = 0))`

// wordFor is how long after its start a server waits for the word of the
// processes that ran when it stopped: a grant that went missing may be on none
// but their disks, and their heartbeats say so.
const wordFor = 4 * time.Second

// Unchecked tells whether [Settler.Check] has still to be earned. A session asks
// before it settles anything: the last settler's last tick tells when the server stopped.
func (s *Settler) Unchecked(ctx context.Context) (bool, error) {
	if s.checked {
		return false, nil
	}
	var checked bool
	err := s.conn.QueryRow(ctx, "SELECT checked = "+whereabouts+", ticked_at FROM settlement").Scan(&checked, &s.stopped)
	if err != nil {
		return false, fmt.Errorf("was the database compared with the log: %w", err)
	}
	return !checked, nil
}

// Check notes that the log holds nothing that this database lacks; from then on
// leases are granted. Settle calls it when it has looked at all that the bucket
// holds, and again and again from then on. No session outlives its server, but
// tables may be loaded or rewritten beside one: then the error is [ErrUnchecked],
// and all has to be compared once more.
//
// After a start the processes that ran before it have wordFor to say what they
// were granted; until then Check does nothing, and has to be called again.
func (s *Settler) Check(ctx context.Context) error {
	if s.checked {
		return s.recheck(ctx)
	}
	tag, err := s.conn.Exec(ctx, `
		UPDATE settlement SET checked = `+whereabouts+`
		WHERE halted = '' AND (checked = '' OR NOT EXISTS (
			SELECT FROM process p
			WHERE p.state = 'running' AND p.stalled = '' AND p.heartbeat_at < pg_postmaster_start_time()
				AND p.heartbeat_at > $2::timestamptz - make_interval(secs => $1)
				AND bank_now() BETWEEN pg_postmaster_start_time() AND pg_postmaster_start_time() + make_interval(secs => $1)))`,
		wordFor.Seconds(), s.stopped)
	if err != nil {
		return fmt.Errorf("note that the database agrees with the log: %w", err)
	}
	s.checked = tag.RowsAffected() > 0
	return nil
}

func (s *Settler) recheck(ctx context.Context) error {
	err := s.conn.QueryRow(ctx, "SELECT checked = "+whereabouts+" FROM settlement").Scan(&s.checked)
	switch {
	case err != nil:
		return fmt.Errorf("is this still the database that was compared with the log: %w", err)
	case !s.checked:
		s.months = nil // the partitions may be others too
		return ErrUnchecked
	}
	return nil
}

// UnknownGrants returns those of leases, which the log says were granted money,
// of whose money the database does not know.
func (s *Settler) UnknownGrants(ctx context.Context, leases []ulid.ULID) ([]ulid.ULID, error) {
	minted := make([]time.Time, len(leases))
	for i, id := range leases {
		minted[i] = ulid.Time(id.Time())
	}
	unknown, err := many(ctx, s.conn, scanULID, `
		SELECT n.id FROM unnest($1::uuid[], $2::timestamptz[]) AS n (id, minted_at), settlement s
		WHERE n.minted_at >= s.folded
			AND NOT EXISTS (SELECT FROM lease e WHERE e.id = n.id AND e.granted_micros + e.clipped_micros > 0)
		ORDER BY n.id`, leases, minted)
	if err != nil {
		return nil, fmt.Errorf("look leases up: %w", err)
	}
	return unknown, nil
}

// knows fails with [ErrRebuild] when a process was granted a lease, by its own
// word, that this database does not know. Of one so old that it may have been
// folded into lease_day nobody can tell.
func knows(ctx context.Context, tx pgx.Tx, beat Heartbeat) error {
	if beat.NewestLease == (ulid.ULID{}) {
		return nil
	}
	var known bool
	err := tx.QueryRow(ctx, `
		SELECT EXISTS (SELECT FROM lease WHERE id = $1) OR $2 < folded FROM settlement`,
		beat.NewestLease, ulid.Time(beat.NewestLease.Time())).Scan(&known)
	if err == nil && !known {
		err = fmt.Errorf("%w: process %s was granted lease %s, which it does not know", ErrRebuild, beat.Process, beat.NewestLease)
	}
	return err
}

// halt stops all granting and settling; the first reason stays.
func halt(ctx context.Context, q querier, why string) error {
	if _, err := q.Exec(ctx, "UPDATE settlement SET halted = $1 WHERE halted = ''", why); err != nil {
		return fmt.Errorf("halt: %w", err)
	}
	return nil
}
