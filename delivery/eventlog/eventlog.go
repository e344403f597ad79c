// Package eventlog writes a process's stream of events: an acknowledged record
// is on disk, and sooner or later, exactly once, in the bucket (design §6).
//
// One goroutine commits: records gather for at most a millisecond, are written
// and synced together, and then their callers wake. Another ships: it seals
// segments, puts them into the bucket in order, verifies them there and deletes
// the local copy. What both decide by is in [Core], which does no IO.
//
// On disk, under the log folder:
//
//	lock                              who writes here, flock
//	<process>/<seq>.open              a segment that is written
//	<process>/<seq>.seg               a sealed one, not yet in the bucket
//	<process>/<seq>-<µs>.shipped      empty: the newest one in the bucket, and the log time of its last record
//	<process>/<seq>.bad               quarantined, for a person to look at
//	<process>.ended/                  all of the stream is in the bucket; about to be removed
//
// The process's own folder and those that earlier processes left are shipped
// alike. What an earlier process could not finish is finished from what its
// files say and nothing else (valid part, END, footer), so that a crash at any
// point and a second try make the same bytes.
package eventlog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oklog/ulid/v2"
	"gocloud.dev/blob"

	"github.com/hayate-ads/hayate/internal/event"
)

// ErrUnavailable refuses a durable record: the disk does not take it. The record
// is not logged (a later retry of the same event is safe: events de-duplicate).
var ErrUnavailable = errors.New("event log is not writable")

// ErrClosed refuses every record after [Log.Close].
var ErrClosed = errors.New("event log is closed")

// Config of a [Log]. The zero value of each duration and size means its default.
type Config struct {
	Dir     string           // the log folder; made when missing
	Process ulid.ULID        // of this run
	Bucket  *blob.Bucket     // where segments go
	Now     func() time.Time // bank time, dates records
	Log     *slog.Logger     // nil: silent

	RotateEvery time.Duration // a segment is closed so long after its first record, default 2 s: with the upload, what a lost disk costs
	RotateBytes int64         // or at this size, default 64 MiB
	MaxBytes    int64         // of what waits for the bucket, beyond which the disk counts as full; 0: what the disk takes
	ShipTimeout time.Duration // of one attempt to put and verify a segment, default 30 s

	// Spool keeps a segment that the bucket does not take when the log is closed:
	// once it has returned nil the local copy may go. The same call may come again
	// with the same bytes, and is then answered alike. nil: there is no spool.
	Spool    func(ctx context.Context, process ulid.ULID, seq uint64, body []byte) error
	SpoolMax int64 // bytes that one Close spools at most, default 256 MB

	// Committed is called after every commit with the time that it took to write
	// and sync, by the goroutine that commits: it must not block. nil: nobody is.
	Committed func(took time.Duration)

	// ackEarly is the mutant that the crash test must catch.
	ackEarly bool
}

func (c Config) withDefaults() Config {
	setDefault(&c.RotateEvery, 2*time.Second)
	setDefault(&c.RotateBytes, 64<<20)
	setDefault(&c.ShipTimeout, 30*time.Second)
	setDefault(&c.SpoolMax, 256_000_000)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

func setDefault[T ~int64](v *T, value T) {
	if *v <= 0 {
		*v = value
	}
}

func (c Config) limits() Limits {
	return Limits{
		CommitWait:    time.Millisecond,
		CommitRecords: 128,
		TelemetryWait: 500 * time.Millisecond,
		RotateEvery:   c.RotateEvery,
		RotateBytes:   c.RotateBytes,
		RetryEvery:    time.Second,
		StallAfter:    5 * time.Second,
		MaxFailures:   3,
		MaxTelemetry:  16_384,
		MaxGathered:   65_536,
	}
}

// Log is a process's event log. Its methods may be called at the same time.
type Log struct {
	cfg  Config
	disk disk
	lock *os.File

	mu       sync.Mutex
	core     Core
	gather   *group
	process  ulid.ULID // whose stream records go to, once the core has switched
	renewed  chan struct{}
	refusal  error // what durable records get while the log is not writable
	closed   bool
	notified chan struct{}

	committed chan struct{} // closed when the committer has ended
	shipper   *shipper

	dropped   atomic.Int64
	refused   atomic.Int64
	abandoned atomic.Int64
}

// group is a batch's bytes, and where its callers wait.
type group struct {
	payloads []byte // each behind its length, u16
	records  int
	durable  int // of the records
	done     chan struct{}
	err      error // set before done is closed
}

// Open takes the log folder, takes over what earlier processes left in it, and
// starts. An error says what is wrong with the folder; [ErrLocked] that another
// process has it. A full disk is no error: see [Log.Writable].
func Open(cfg Config) (*Log, error) {
	if cfg.Bucket == nil || cfg.Now == nil || cfg.Dir == "" || cfg.Process.IsZero() {
		return nil, errors.New("event log: folder, process, bucket and clock are needed")
	}
	if err := (osDisk{}).MkdirAll(cfg.Dir); err != nil {
		return nil, fmt.Errorf("log folder: %w", err)
	}
	held, err := lock(cfg.Dir, cfg.Process)
	if err != nil {
		return nil, err
	}
	l, err := open(cfg, osDisk{})
	if err != nil {
		return nil, errors.Join(err, held.Close())
	}
	l.lock = held
	return l, nil
}

// open is Open but for the lock.
func open(cfg Config, d disk) (*Log, error) {
	cfg = cfg.withDefaults()
	old, err := findStreams(d, cfg.Dir, cfg.Log)
	if err != nil {
		return nil, fmt.Errorf("log folder: %w", err)
	}
	for _, s := range old {
		if s.process == cfg.Process {
			return nil, fmt.Errorf("log folder: it has a stream of process %s already; an id is used once", cfg.Process)
		}
	}
	own := newStream(cfg.Dir, cfg.Process)
	err = d.MkdirAll(own.dir)
	if err != nil && !full(err) {
		return nil, fmt.Errorf("log folder: %w", err)
	}
	own.made = err == nil
	l := &Log{
		cfg: cfg, disk: d, core: NewCore(cfg.limits()), gather: newGroup(), process: cfg.Process,
		notified: make(chan struct{}, 1), committed: make(chan struct{}),
	}
	l.shipper = startShipper(cfg, d, append(old, own))
	go newCommitter(l, own).run()
	return l, nil
}

func newGroup() *group { return &group{done: make(chan struct{})} }

// Append logs a record and sets its At. For a durable type it returns when the
// record is on disk, or ErrUnavailable at once or when the write failed. For
// telemetry it returns at once; when there is no room the record is dropped and
// counted. An invalid record is an error and not logged.
func (l *Log) Append(rec *event.Record) error {
	if rec.Type == event.End {
		return errors.New("event log: END is the log's own to write")
	}
	if err := rec.Validate(); err != nil {
		return fmt.Errorf("event log: %w", err)
	}
	l.mu.Lock()
	g, err := l.take(rec)
	l.mu.Unlock()
	if err != nil || g == nil {
		return err
	}
	<-g.done
	return g.err
}

// take puts a record into the gathering group, and returns the group when the
// caller is to wait for it.
func (l *Log) take(rec *event.Record) (*group, error) {
	durable := rec.Type.Durable()
	out := l.core.Step(time.Now(), Input{Kind: Append, Clock: l.cfg.Now(), Durable: durable})
	switch out.Refused {
	case Unavailable:
		l.refused.Add(1)
		if l.refusal == nil || !l.core.broken() {
			return nil, ErrUnavailable
		}
		return nil, l.refusal
	case Dropped:
		l.dropped.Add(1)
		return nil, nil
	case Closed:
		return nil, ErrClosed
	}
	rec.At = out.At
	g := l.gather
	start := len(g.payloads)
	g.payloads = event.AppendPayload(append(g.payloads, 0, 0), rec)
	size := len(g.payloads) - start - 2
	g.payloads[start], g.payloads[start+1] = byte(size), byte(size>>8)
	g.records++
	if out.Notify {
		l.notify()
	}
	if !durable {
		return nil, nil
	}
	g.durable++
	return g, nil
}

// notify ends the committer's wait.
func (l *Log) notify() {
	select {
	case l.notified <- struct{}{}:
	default:
	}
}

// Safe is the heartbeat's word: nothing logged before at, now or later, lies
// beyond segment (0: in no segment at all).
func (l *Log) Safe() (at time.Time, segment uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.core.Safe(l.cfg.Now())
}

// Writable is nil while durable records are taken, else says why not.
func (l *Log) Writable() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
		return ErrClosed
	case l.core.broken():
		return l.refusal
	case l.core.stalled(time.Now()):
		return fmt.Errorf("%w: the disk does not answer", ErrUnavailable)
	}
	return nil
}

// Backlog counts the closed segments that are not yet verified in the bucket,
// those of earlier processes too, and their bytes on disk.
func (l *Log) Backlog() (segments int, bytes int64) { return l.shipper.backlog() }

// Used is how full the log's disk is, 0 to 1: the file system, or what waits for
// the bucket as a share of MaxBytes, whichever is fuller.
func (l *Log) Used() float64 {
	used := diskUsed(l.cfg.Dir)
	if l.cfg.MaxBytes > 0 {
		_, bytes := l.Backlog()
		used = max(used, min(1, float64(bytes)/float64(l.cfg.MaxBytes)))
	}
	return used
}

// Stats are counts since the start.
type Stats struct {
	Dropped     int64 // telemetry records for which there was no room
	Refused     int64 // durable records answered with ErrUnavailable
	Abandoned   int64 // segments left after a failed write or sync
	Shipped     int64 // segments verified in the bucket
	Quarantined int64 // segments set aside; each is an alarm
}

// Stats returns the counts.
func (l *Log) Stats() Stats {
	return Stats{
		Dropped: l.dropped.Load(), Refused: l.refused.Load(), Abandoned: l.abandoned.Load(),
		Shipped: l.shipper.verified.Load(), Quarantined: l.shipper.quarantined.Load(),
	}
}

// Reopen goes on under another process id, after the bank has answered that the
// old one is lost: the old stream is sealed, ended and shipped in the
// background, and what is logged from now on belongs to the new one. Records
// that wait for the disk at that moment go to the new stream too.
func (l *Log) Reopen(process ulid.ULID) error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return ErrClosed
	}
	if l.renewed != nil || process == l.process || process.IsZero() {
		l.mu.Unlock()
		return fmt.Errorf("event log: cannot go from process %s to %s", l.process, process)
	}
	l.process = process
	renewed := make(chan struct{})
	l.renewed = renewed
	l.core.Step(time.Now(), Input{Kind: Switch})
	l.notify()
	l.mu.Unlock()
	<-renewed
	return nil
}

// Close refuses new records, writes END, seals, and ships everything, that of
// earlier processes too. What the bucket refuses, or has not taken when two
// fifths of the time that ctx leaves are still there, goes to the spool. When
// ctx ends first, the error says how many segments, bytes and acknowledged
// records are in neither; they stay on disk and are shipped by the next start on
// this folder, and are lost with the disk.
func (l *Log) Close(ctx context.Context) error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return ErrClosed
	}
	l.closed = true
	// Without END, should the disk refuse it, the shipper ends the stream as that
	// of a crashed process.
	_, _ = l.take(&event.Record{Type: event.End})
	l.core.Step(time.Now(), Input{Kind: Closing})
	l.notify()
	l.mu.Unlock()
	left := errors.Join(l.shipper.drain(ctx, l.committed), l.unwritten())
	if l.lock != nil && l.shipper.ended() {
		left = errors.Join(left, l.lock.Close())
	}
	return left
}

// unwritten says what a disk that does not answer keeps the committer from
// closing.
func (l *Log) unwritten() error {
	select {
	case <-l.committed:
		return nil
	default:
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return fmt.Errorf("%w: the disk does not answer; the segment that was being written, with %d records, stays in %s as well", ErrUnavailable, l.core.records, l.cfg.Dir)
}
