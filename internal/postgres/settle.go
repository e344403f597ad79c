package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/oklog/ulid/v2"
)

// ErrSettlerLocked says that another session settles. Somebody always should.
var ErrSettlerLocked = errors.New("another settler is at work")

// settleLock is the advisory lock of the one settler in a database.
const settleLock = 20_100_001

// Settler is the one session that may settle. Its advisory lock and its
// transactions share a connection, so a settler that lost the lock has lost its
// transaction too: no second one can ever write beside it. A pooler that hands
// sessions around must therefore not stand between settle and Postgres.
type Settler struct {
	// Reports bounds what is written; zero fields mean their defaults.
	Reports ReportConfig

	conn    *pgx.Conn
	months  map[time.Time]bool // whose partitions are known to exist
	checked bool               // this session has seen settlement.checked right
	stopped time.Time          // the last tick before this session: about when the server stopped, if it did

	rebuilding bool // writes though all else is halted: see [Settler.BeginRebuild]
}

// settlerSession makes Postgres notice a dead settler within 5 s, whatever it
// died of: a closed socket at once, a lost host by keepalives, a client that
// vanished while a statement runs, and one that stopped within a transaction.
const settlerSession = `
	SET tcp_keepalives_idle = 1; SET tcp_keepalives_interval = 1; SET tcp_keepalives_count = 3;
	SET tcp_user_timeout = 4000; SET client_connection_check_interval = 1000;
	SET idle_in_transaction_session_timeout = 4000; SET application_name = 'hayate settle'`

// Settler opens a session; [Settler.Lock] makes it the one that settles.
func (db *DB) Settler(ctx context.Context) (*Settler, error) {
	conn, err := pgx.ConnectConfig(ctx, db.Pool.Config().ConnConfig)
	if err != nil {
		return nil, fmt.Errorf("settler: %w", err)
	}
	if _, err := conn.Exec(ctx, settlerSession); err != nil {
		return nil, errors.Join(fmt.Errorf("settler: %w", err), conn.Close(context.WithoutCancel(ctx)))
	}
	return &Settler{conn: conn}, nil
}

// Lock tries to become the one settler; [ErrSettlerLocked] if another one is.
func (s *Settler) Lock(ctx context.Context) error {
	var locked bool
	if err := s.conn.QueryRow(ctx, "SELECT pg_try_advisory_lock($1)", settleLock).Scan(&locked); err != nil {
		return fmt.Errorf("lock settle: %w", err)
	}
	if !locked {
		return ErrSettlerLocked
	}
	return nil
}

// Close ends the session and with it the lock, which it gives back first: the
// server takes a moment to end a session, and the next settler may be waiting.
//
// A statement that was cut off has closed the session already, without that
// courtesy; then it waits until the server was told at least.
func (s *Settler) Close(ctx context.Context) error {
	if s.conn.IsClosed() {
		select {
		case <-s.conn.PgConn().CleanupDone():
		case <-ctx.Done():
		}
		return nil
	}
	_, err := s.conn.Exec(ctx, "SELECT pg_advisory_unlock($1)", settleLock)
	return errors.Join(err, s.conn.Close(ctx))
}

// Closed tells whether the session is over, by an error or by [Settler.Close].
func (s *Settler) Closed() bool { return s.conn.IsClosed() }

// SettleTx is one transaction of the settler.
type SettleTx struct {
	tx        pgx.Tx
	Batch     int64     // the number that its ledger rows carry
	Now       time.Time // the bank's clock as it began
	Watermark time.Time // zero while nothing was ever settled
	Folded    time.Time // leases minted before it may be gone; zero: none are

	reports ReportConfig
}

// InTx runs work in a transaction that first proves that this session holds the
// settler's lock, and takes settlement's row, so that even then only one can write.
// It fails with [ErrRebuild] when settling has been halted. Work may be run again
// when Postgres ends the transaction to resolve a deadlock.
func (s *Settler) InTx(ctx context.Context, work func(*SettleTx) error) error {
	return retryDeadlock(func() error { return s.inTx(ctx, work) })
}

func (s *Settler) inTx(ctx context.Context, work func(*SettleTx) error) error {
	return pgx.BeginFunc(ctx, s.conn, func(tx pgx.Tx) error {
		t := &SettleTx{tx: tx, reports: s.Reports.withDefaults()}
		var halted string
		var watermark, folded *time.Time
		err := tx.QueryRow(ctx, `
			SELECT batch + 1, watermark, NULLIF(folded, '-infinity'), halted, bank_now() FROM settlement
			WHERE EXISTS (
				SELECT FROM pg_locks
				WHERE locktype = 'advisory' AND pid = pg_backend_pid() AND granted
					AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
					AND classid = 0 AND objid = $1 AND objsubid = 1)
			FOR UPDATE`, settleLock).Scan(&t.Batch, &watermark, &folded, &halted, &t.Now)
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			return ErrSettlerLocked
		case err != nil:
			return fmt.Errorf("begin to settle: %w", err)
		case halted != "" && !s.rebuilding:
			return fmt.Errorf("%w (%s)", ErrRebuild, halted)
		}
		t.Now, t.Watermark, t.Folded = t.Now.UTC(), timeOrZero(watermark), timeOrZero(folded)
		return work(t)
	})
}

// Processes lists those whose streams are not settled to the end.
func (s *Settler) Processes(ctx context.Context) ([]Process, error) {
	found, err := many(ctx, s.conn, scanProcess, `
		SELECT `+processColumns+` FROM process WHERE state <> 'ended' ORDER BY id`)
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	return found, nil
}

// Unknown returns those of ids that the bank has never heard of.
func (s *Settler) Unknown(ctx context.Context, ids []ulid.ULID) ([]ulid.ULID, error) {
	found, err := many(ctx, s.conn, scanULID, `
		SELECT n.id FROM unnest($1::uuid[]) AS n (id)
		WHERE NOT EXISTS (SELECT FROM process p WHERE p.id = n.id) ORDER BY n.id`, ids)
	if err != nil {
		return nil, fmt.Errorf("look processes up: %w", err)
	}
	return found, nil
}

// AddProcesses makes processes known that only the bucket knew.
func (s *Settler) AddProcesses(ctx context.Context, ids []ulid.ULID) error {
	return addProcesses(ctx, s.conn, ids)
}

// Stall notes why a stream cannot be settled any further. It leaves the
// watermark, as a lost process does, so that it does not hold others' money.
func (s *Settler) Stall(ctx context.Context, process ulid.ULID, why string) error {
	_, err := s.conn.Exec(ctx, "UPDATE process SET stalled = $2 WHERE id = $1 AND stalled = ''", process, why)
	if err != nil {
		return fmt.Errorf("stall process %s: %w", process, err)
	}
	return nil
}

// Halt stops all granting and settling until the ledger is made anew.
func (s *Settler) Halt(ctx context.Context, why string) error {
	return halt(ctx, s.conn, why)
}

// tickGap is how long the settler may be silent before it no longer trusts that
// processes could have reached the bank meanwhile.
const tickGap = 10 * time.Second

// Tick notes that the bank is up, and declares those processes lost that were
// silent for lostAfter although it was. It returns the newly lost.
func (t *SettleTx) Tick(ctx context.Context, lostAfter time.Duration) ([]ulid.ULID, error) {
	var upSince time.Time
	err := t.tx.QueryRow(ctx, `
		UPDATE settlement SET
			up_since  = CASE WHEN $1 - ticked_at > make_interval(secs => $2) THEN $1 ELSE up_since END,
			ticked_at = GREATEST(ticked_at, $1)
		RETURNING up_since`, t.Now, tickGap.Seconds()).Scan(&upSince)
	if err != nil {
		return nil, fmt.Errorf("tick: %w", err)
	}
	lost, err := many(ctx, t.tx, scanULID, `
		UPDATE process SET state = 'lost'
		WHERE state = 'running' AND GREATEST(heartbeat_at, $1) < $2::timestamptz - make_interval(secs => $3)
		RETURNING id`, upSince, t.Now, lostAfter.Seconds())
	if err != nil {
		return nil, fmt.Errorf("declare processes lost: %w", err)
	}
	return lost, nil
}

// Advance notes how far streams are settled and moves the watermark: the least
// log time up to which the streams of all running processes are in. It never goes back.
func (t *SettleTx) Advance(ctx context.Context, applied []Applied) error {
	batch := int64(0)
	if len(applied) > 0 {
		batch = t.Batch
		if err := t.writeApplied(ctx, applied); err != nil {
			return fmt.Errorf("advance streams: %w", err)
		}
	}
	// A stream that is caught up with the process's word counts up to the moment
	// of that word, one that is not up to its last record. Without any process
	// nothing can be outstanding.
	err := t.tx.QueryRow(ctx, `
		UPDATE settlement SET batch = GREATEST(batch, $1), watermark = GREATEST(watermark, LEAST(bank_now(), (
			SELECT min(CASE WHEN applied_segment >= safe_segment
				THEN GREATEST(applied_at, safe_at, started_at)
				ELSE COALESCE(applied_at, started_at) END)
			FROM process WHERE state = 'running' AND stalled = '')))
		RETURNING watermark`, batch).Scan(&t.Watermark)
	if err != nil {
		return fmt.Errorf("move the watermark: %w", err)
	}
	return nil
}

// Streams returns how far the streams of these processes are settled; those
// that ended or stalled are left out.
func (t *SettleTx) Streams(ctx context.Context, ids []ulid.ULID) (map[ulid.ULID]uint64, error) {
	rows, err := t.tx.Query(ctx, `
		SELECT id, applied_segment FROM process WHERE id = ANY($1) AND state <> 'ended' AND stalled = ''`, ids)
	if err != nil {
		return nil, fmt.Errorf("read streams: %w", err)
	}
	applied := make(map[ulid.ULID]uint64, len(ids))
	var id ulid.ULID
	var segment uint64
	if _, err := pgx.ForEachRow(rows, []any{(*[16]byte)(&id), &segment}, func() error {
		applied[id] = segment
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read streams: %w", err)
	}
	return applied, nil
}

// Applied says how far one stream is settled.
type Applied struct {
	Process ulid.ULID
	Segment uint64
	At      time.Time // log time of the last record; zero: the segments were empty
	Ended   bool      // its END is settled
}

func (t *SettleTx) writeApplied(ctx context.Context, applied []Applied) error {
	n := len(applied)
	ids, segments, ended := make([]ulid.ULID, n), make([]int64, n), make([]bool, n)
	at := make([]*time.Time, n)
	for i, a := range applied {
		ids[i], segments[i], at[i], ended[i] = a.Process, int64(a.Segment), timeOrNull(a.At), a.Ended
	}
	_, err := t.tx.Exec(ctx, `
		UPDATE process p SET
			applied_segment = n.segment,
			applied_at      = GREATEST(p.applied_at, LEAST(n.at, $5)), -- a stream's clock may have run ahead
			state           = CASE WHEN n.ended THEN 'ended' ELSE p.state END,
			ended_at        = CASE WHEN n.ended THEN $5 ELSE p.ended_at END
		FROM unnest($1::uuid[], $2::bigint[], $3::timestamptz[], $4::boolean[]) AS n (id, segment, at, ended)
		WHERE p.id = n.id`, ids, segments, at, ended, t.Now)
	return err
}

// Now is the bank's clock.
func (s *Settler) Now(ctx context.Context) (time.Time, error) {
	now, err := one(ctx, s.conn, pgx.RowTo[time.Time], "SELECT bank_now()")
	if err != nil {
		return now, fmt.Errorf("bank time: %w", err)
	}
	return now.UTC(), nil
}
