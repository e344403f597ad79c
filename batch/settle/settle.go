// Package settle is the job that turns what delivery logged into charges: it
// follows every process's stream of segments, charges each event once, moves the
// watermark, and gives back what can no longer be charged (design §5.7 to §5.9).
//
// The rules are in [Core], which does no IO. Around it, one settler at a time
// reads segments from the bucket and writes one transaction for each batch.
package settle

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oklog/ulid/v2"
	"gocloud.dev/blob"

	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// Config is what a settler works with. DB, Bucket and Bank are needed.
type Config struct {
	DB      *postgres.DB
	Bucket  *blob.Bucket
	Bank    postgres.BankConfig
	Reports postgres.ReportConfig
	Poll    time.Duration       // between two looks at the bucket when there is nothing to do; 0: 250 ms
	Log     *slog.Logger        // nil: silent
	Observe func(Stats)         // called with what each batch or sweep did; may be nil
	Lag     func(time.Duration) // called after each sweep with the watermark's age; may be nil

	batchBytes int64 // of segments in one transaction, roughly; 0: the default
}

const (
	defaultPoll = 250 * time.Millisecond
	lockEvery   = 500 * time.Millisecond // a waiting settler asks for the lock
	sweepEvery  = time.Second            // money is given back, lost processes are noticed
	scanEvery   = time.Minute            // the bucket is listed for what the bank does not know
	retryAfter  = time.Second            // after an error of the bucket or the database
	goodbye     = 2 * time.Second        // for closing the session
)

// Once settles all that is in the bucket now, and returns what it did. Errors:
// [postgres.ErrSettlerLocked] when another settler is at work (then nothing is
// left undone), [postgres.ErrRebuild], or those of the bucket and the database;
// what was settled before the error stays settled.
func Once(ctx context.Context, cfg Config) (Stats, error) {
	f, err := start(ctx, cfg)
	if err != nil {
		return Stats{}, err
	}
	defer f.close(ctx)
	if err := f.settler.Lock(ctx); err != nil {
		return Stats{}, err
	}
	if err := f.compare(ctx); err != nil {
		return f.stats, err
	}
	if err := errors.Join(f.unspool(ctx), f.scan(ctx)); err != nil {
		return f.stats, err
	}
	for more := true; more; {
		if more, err = f.round(ctx, true); err != nil {
			return f.stats, err
		}
	}
	return f.stats, errors.Join(f.sweep(ctx, true), f.check(ctx))
}

// Follow settles as segments arrive, until ctx ends; it returns nil then. While
// another settler is at work it waits to take over. It outlasts failures of the
// bucket and the database; only [postgres.ErrRebuild], which nobody but a person
// can mend, ends it.
func Follow(ctx context.Context, cfg Config) error {
	for {
		err := follow(ctx, cfg)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, postgres.ErrRebuild):
			return err
		case cfg.Log != nil:
			cfg.Log.Warn("settle lost its session and starts a new one", "error", err)
		}
		if !wait(ctx, retryAfter) {
			return nil
		}
	}
}

// follow settles within one session, until that is over.
func follow(ctx context.Context, cfg Config) error {
	f, err := start(ctx, cfg)
	if err != nil {
		return err
	}
	defer f.close(ctx)
	for {
		err := f.settler.Lock(ctx)
		if err == nil {
			break
		}
		if !errors.Is(err, postgres.ErrSettlerLocked) || !wait(ctx, lockEvery) {
			return err
		}
	}
	f.log().Info("settling")
	for {
		pause, err := f.turn(ctx)
		if err != nil {
			return err
		}
		if !wait(ctx, pause) {
			return ctx.Err()
		}
	}
}

// follower is one settler at work.
type follower struct {
	cfg     Config
	settler *postgres.Settler
	stats   Stats

	scanned, swept time.Time               // when last
	compared       bool                    // the database was, with all that the bucket held at some moment of this session
	listed         bool                    // the bucket was, in this session
	seen           bool                    // all that the bucket held at some moment of this session is settled
	asked          map[ulid.ULID]time.Time // when a process that is silent was last asked for
	idle           sync.Pool               // of *reader
	spooled        atomic.Pointer[map[postgres.SegmentKey]bool]
	ahead          *ahead // the next batch, while this one is written; nil: none is fetched
	trouble        string // the last error logged, so that a lasting one is logged once
}

func start(ctx context.Context, cfg Config) (*follower, error) {
	settler, err := cfg.DB.Settler(ctx)
	if err != nil {
		return nil, err
	}
	return newFollower(cfg, settler), nil
}

func newFollower(cfg Config, settler *postgres.Settler) *follower {
	if cfg.Poll <= 0 {
		cfg.Poll = defaultPoll
	}
	if cfg.batchBytes <= 0 {
		cfg.batchBytes = batchBytes
	}
	settler.Reports = cfg.Reports
	return &follower{cfg: cfg, settler: settler, asked: make(map[ulid.ULID]time.Time)}
}

func (f *follower) close(ctx context.Context) {
	f.ahead.drop()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbye)
	defer cancel()
	_ = f.settler.Close(ctx) // the server notices a session that went without a word
}

func (f *follower) log() *slog.Logger {
	if f.cfg.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return f.cfg.Log
}

// turn does what is due and returns how long there is nothing to do. An error
// ends the session.
func (f *follower) turn(ctx context.Context) (time.Duration, error) {
	more, err := f.work(ctx)
	switch {
	case err == nil:
		f.trouble = ""
	case ctx.Err() != nil || f.settler.Closed() || errors.Is(err, postgres.ErrRebuild) || errors.Is(err, postgres.ErrSettlerLocked):
		return 0, err
	default:
		if f.trouble != err.Error() {
			f.trouble = err.Error()
			f.log().Warn("settle goes on trying", "error", err)
		}
		return retryAfter, nil
	}
	if more {
		return 0, nil
	}
	return f.cfg.Poll, nil
}

// work settles a batch, lists and sweeps when that is due, and tells whether
// there may be more to settle. The trouble of one part keeps no other from its
// turn, but nothing is touched before the database was compared with the log.
func (f *follower) work(ctx context.Context) (more bool, err error) {
	if err := f.compare(ctx); err != nil {
		return false, err
	}
	var errs []error
	if time.Since(f.swept) >= sweepEvery {
		errs = append(errs, f.unspool(ctx))
	}
	if now := time.Now(); !f.listed || now.Sub(f.scanned) >= scanEvery {
		errs = append(errs, f.scan(ctx))
	}
	more, err = f.round(ctx, !f.seen)
	errs = append(errs, err, f.check(ctx))
	if now := time.Now(); now.Sub(f.swept) >= sweepEvery {
		errs = append(errs, f.sweep(ctx, now.Sub(f.scanned) < sweepEvery))
	}
	return more, errors.Join(errs...)
}

// round settles one batch and tells whether there may be more.
func (f *follower) round(ctx context.Context, all bool) (more bool, err error) {
	processes, err := f.settler.Processes(ctx)
	if err != nil {
		return false, err
	}
	some := f.ahead != nil // of the streams: it is not to be taken for all
	found := f.next(ctx, processes, all)
	if found.full {
		f.fetchAhead(ctx, processes, found)
	}
	if len(found.segments) > 0 {
		if err := f.apply(ctx, found.segments); err != nil {
			f.ahead.drop()
			f.ahead = nil
			return false, err
		}
	}
	for _, bad := range found.corrupt { // last: what is before the damage counts
		if err := f.stall(ctx, bad.SegmentKey, bad.why); err != nil {
			return false, err
		}
	}
	f.seen = f.seen || all && !some && f.listed && !found.full && found.err == nil
	return some || len(found.segments) > 0, found.err
}

// check lets the bank lease once this session has compared the database with all
// that the bucket held: then it is not an older copy. When its tables have become
// others since, all is compared again.
func (f *follower) check(ctx context.Context) error {
	if !f.compared {
		return nil
	}
	err := f.settler.Check(ctx)
	if errors.Is(err, postgres.ErrUnchecked) {
		f.compared, f.listed, f.seen = false, false, false
		return nil
	}
	return err
}

// stall takes a stream out of settlement at a segment, and says so once.
func (f *follower) stall(ctx context.Context, key postgres.SegmentKey, why string) error {
	process, at := key.Process, event.SegmentName(key.Process, key.Seq)
	if err := f.settler.Stall(ctx, process, why); err != nil {
		return err
	}
	f.log().Error("a process's stream is quarantined: its later events are not settled", "process", process, "why", why,
		"repair", "put it right and `batch settle --resume "+at+"`, or go on without it: `batch settle --skip "+at+" --why '…'`")
	f.did(Stats{Stalled: 1})
	return nil
}

func (f *follower) did(s Stats) {
	f.stats.add(s)
	if f.cfg.Observe != nil {
		f.cfg.Observe(s)
	}
}

// sweep declares processes lost, moves the watermark, and gives back what that
// proves to be free. A full one also looks for leases that nobody will close.
func (f *follower) sweep(ctx context.Context, full bool) error {
	for more := true; more; {
		var core *Core
		var lost []ulid.ULID
		var lag time.Duration
		err := f.settler.InTx(ctx, func(tx *postgres.SettleTx) (err error) {
			core = NewCore(State{Now: tx.Now, LongestHold: f.cfg.Bank.LongestHold})
			lost, more, err = f.giveBack(ctx, tx, core, full)
			lag = tx.Now.Sub(tx.Watermark)
			return err
		})
		if err != nil {
			return fmt.Errorf("sweep: %w", err)
		}
		if f.cfg.Lag != nil {
			f.cfg.Lag(lag)
		}
		for _, process := range lost {
			f.log().Warn("process lost: no heartbeat", "process", process)
		}
		if s := core.Stats(); s.Returned > 0 || len(lost) > 0 {
			s.Lost = int64(len(lost))
			f.did(s)
		}
	}
	f.swept = time.Now()
	return nil
}

func (f *follower) giveBack(ctx context.Context, tx *postgres.SettleTx, core *Core, full bool) (lost []ulid.ULID, more bool, err error) {
	bank := f.cfg.Bank
	if lost, err = tx.Tick(ctx, bank.LostAfter); err != nil {
		return nil, false, err
	}
	if err := tx.Advance(ctx, nil); err != nil {
		return nil, false, err
	}
	due, err := tx.Due(ctx, bank.Margin, bank.LongestHold+bank.Grace)
	if err != nil {
		return nil, false, err
	}
	var abandoned []*postgres.Lease
	if f.seen { // else the bucket may hold a lost process's last events
		if abandoned, err = tx.Abandoned(ctx, bank.LongestHold+bank.Grace); err != nil {
			return nil, false, err
		}
	}
	for _, lease := range append(due, abandoned...) {
		core.Return(lease)
	}
	if full {
		stranded, err := tx.Stranded(ctx)
		if err != nil {
			return nil, false, err
		}
		for _, lease := range stranded {
			core.Abandon(lease)
		}
	}
	return lost, len(due)+len(abandoned) > 0, tx.Write(ctx, core.Settlement())
}

// wait pauses; false means that ctx ended.
func wait(ctx context.Context, pause time.Duration) bool {
	if pause <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
