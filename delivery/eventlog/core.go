package eventlog

import (
	"time"

	"github.com/hayate-ads/hayate/internal/event"
)

// Limits are the durations and sizes that [Core] decides by.
type Limits struct {
	CommitWait    time.Duration // a durable record waits at most this long for company, once the disk is free
	CommitRecords int           // and not at all once this many have gathered
	TelemetryWait time.Duration // telemetry alone waits this long before it costs a sync
	RotateEvery   time.Duration // a segment is closed this long after its first record
	RotateBytes   int64         // or when it is this large
	RetryEvery    time.Duration // while the log is not writable, one attempt each
	StallAfter    time.Duration // a write that takes this long makes it so too, until it ends
	MaxFailures   int           // failures in a row that make it so
	MaxTelemetry  int           // records gathered beyond which telemetry is dropped
	MaxGathered   int           // records gathered beyond which durable ones are refused
}

// Kind is what happened.
type Kind uint8

const (
	Tick    Kind = iota // nothing, or time went by
	Append              // a record wants to be logged
	Done                // the operation that was under way ended: OK, Bytes
	Switch              // go on as another process, in a new stream
	Closing             // no more records; the driver appends END before it says so
)

// Input is one happening for [Core.Step].
type Input struct {
	Kind    Kind
	Clock   time.Time // Append: bank time
	Durable bool      // Append: of a durable type
	OK      bool      // Done
	Bytes   int64     // Done: what the operation added to the segment
}

// Op is what the driver does next; one at a time, each answered by [Done] unless
// it says otherwise.
type Op uint8

const (
	Wait     Op = iota // until Output.Wake or a notification; no Done
	Commit             // write the gathered batch to segment Seq and sync; first create it if Create
	Rotate             // close segment Seq, seal and ship it; no Done
	Renew              // begin the other process's stream; no Done
	Finished           // closed, and all is written; no Done, and no further steps
)

// Refusal says why a record was not taken.
type Refusal uint8

const (
	Taken       Refusal = iota
	Unavailable         // durable, and the log is not writable
	Dropped             // telemetry, and there is no room
	Closed
)

// Output is what [Core.Step] decided.
type Output struct {
	// Answer to Append.
	Refused Refusal
	At      time.Time // the record's log time
	Notify  bool      // the driver's Wait must end

	// What to do, after Tick.
	Op     Op
	Seq    uint64
	Create bool      // Commit: the segment is new; what stands under its name is refused rubbish
	Wake   time.Time // Wait: step again then; zero: only when notified

	// Answer to a failed Done.
	Abandon bool  // segment Seq gets nothing more; its first Keep bytes are durable
	Keep    int64 // 0: nothing in it was acknowledged, its sequence is used again
	Refuse  bool  // what has gathered is refused too: no attempt is near
}

// Core decides when a batch is written, when a segment ends and what a failure
// means. It does no IO and has no clock: Step is told what time it is.
//
// Log times never go back: each is at least its predecessor and at least every
// moment that [Core.Safe] has named.
type Core struct {
	limits Limits
	lastAt time.Time

	gathered batch // taken, not yet handed to the driver
	flight   batch // being written
	busy     bool
	busyAt   time.Time // since when

	seq     uint64 // of the segment that is written, or will be
	created bool
	records int       // durable in it
	size    int64     // of its durable part
	firstAt time.Time // of its first record, as a batch's
	begun   time.Time // when its first record became durable

	failures  int // in a row
	retryAt   time.Time
	switching bool
	closing   bool
}

// batch is what the core knows of a batch; the driver has its bytes.
type batch struct {
	records int
	durable bool
	firstAt time.Time // log time of its first record, or bank time if that was behind
	due     time.Time
}

// NewCore begins a stream.
func NewCore(limits Limits) Core { return Core{limits: limits, seq: event.FirstSeq} }

// Step takes one input. now must not go back; it need not be bank time.
func (c *Core) Step(now time.Time, in Input) Output {
	switch in.Kind {
	case Append:
		return c.append(now, in)
	case Done:
		return c.done(now, in)
	case Switch:
		c.switching = true
		return Output{Notify: true}
	case Closing:
		c.closing = true
		return Output{Notify: true}
	}
	return c.next(now)
}

func (c *Core) append(now time.Time, in Input) Output {
	switch {
	case c.closing:
		return Output{Refused: Closed}
	case in.Durable && (c.broken() || c.stalled(now) || c.gathered.records >= c.limits.MaxGathered):
		return Output{Refused: Unavailable}
	case !in.Durable && (c.broken() || c.gathered.records >= c.limits.MaxTelemetry):
		return Output{Refused: Dropped}
	}
	c.tick(in.Clock)
	g := &c.gathered
	g.records++
	notify := g.records == 1 || g.records == c.limits.CommitRecords
	if g.records == 1 {
		// By the bank's clock and not by the log's, which stands still after a jump
		// back: what waits here must hold the watermark meanwhile.
		g.firstAt, g.due = earlier(c.lastAt, in.Clock), now.Add(c.limits.TelemetryWait)
	}
	if in.Durable && !g.durable {
		g.durable, g.due, notify = true, now.Add(c.limits.CommitWait), true
	}
	return Output{At: c.lastAt, Notify: notify && !c.busy}
}

// tick moves the log's time on. Bank time may jump back; log time waits for it.
func (c *Core) tick(clock time.Time) {
	if clock = clock.Truncate(time.Microsecond); clock.After(c.lastAt) {
		c.lastAt = clock
	}
}

func (c *Core) next(now time.Time) Output {
	if c.busy {
		return Output{}
	}
	full := c.records > 0 && (!now.Before(c.begun.Add(c.limits.RotateEvery)) || c.size >= c.limits.RotateBytes)
	switch {
	case full || (c.records > 0 && c.switching):
		return c.rotate()
	case c.switching:
		c.switching, c.seq, c.created, c.size = false, event.FirstSeq, false, 0
		return Output{Op: Renew}
	case c.broken() && !c.closing:
		return c.probe(now)
	case c.due(now):
		return c.commit(now)
	case c.closing && c.records > 0:
		return c.rotate()
	case c.closing:
		return Output{Op: Finished}
	}
	return Output{Wake: c.wake()}
}

func (c *Core) due(now time.Time) bool {
	g := &c.gathered
	return g.records > 0 && (c.closing || g.records >= c.limits.CommitRecords || !now.Before(g.due))
}

// wake is when something becomes due by itself.
func (c *Core) wake() time.Time {
	var at time.Time
	if c.gathered.records > 0 {
		at = c.gathered.due
	}
	if c.records > 0 {
		if age := c.begun.Add(c.limits.RotateEvery); at.IsZero() || age.Before(at) {
			at = age
		}
	}
	return at
}

func (c *Core) commit(now time.Time) Output {
	c.flight, c.gathered, c.busy, c.busyAt = c.gathered, batch{}, true, now
	return Output{Op: Commit, Seq: c.seq, Create: !c.created}
}

// probe is a commit of nothing: a log without traffic must recover too, for
// without being ready it gets no traffic.
func (c *Core) probe(now time.Time) Output {
	if now.Before(c.retryAt) {
		return Output{Wake: c.retryAt}
	}
	return c.commit(now)
}

// rotate closes the segment; the next commit begins the next one, so an idle log
// makes no empty segments.
func (c *Core) rotate() Output {
	out := Output{Op: Rotate, Seq: c.seq}
	c.seq++
	c.created, c.records, c.size = false, 0, 0
	return out
}

func (c *Core) done(now time.Time, in Input) Output {
	flight := c.flight
	c.flight, c.busy = batch{}, false
	if !in.OK {
		return c.failed(now)
	}
	c.failures = 0
	if c.records == 0 {
		c.firstAt, c.begun = flight.firstAt, now
	}
	if g := &c.gathered; g.durable {
		// Who came during the commit has waited for the disk, not for company. At once
		// it would be half a batch, and a busy process would sync twice as often.
		g.due = now.Add(c.limits.CommitWait)
	}
	c.created = true
	c.records += flight.records
	c.size += in.Bytes
	return Output{}
}

// failed abandons the segment: after a failed write or sync nobody knows what
// the file holds beyond its durable part, and a repeated sync would lie.
func (c *Core) failed(now time.Time) Output {
	c.failures++
	c.retryAt = now.Add(c.limits.RetryEvery)
	out := Output{Abandon: true, Seq: c.seq}
	if c.records > 0 {
		out.Keep = c.size
		c.seq++
	}
	c.created, c.records, c.size = false, 0, 0
	if c.broken() {
		out.Refuse = true
		c.gathered = batch{}
	}
	return out
}

// broken tells whether the log has stopped taking durable records.
func (c *Core) broken() bool { return c.failures >= c.limits.MaxFailures }

// stalled tells whether the disk has not answered for so long that nobody should
// wait for it any more. What waits already goes on to: it may be durable by now.
func (c *Core) stalled(now time.Time) bool {
	return c.busy && c.limits.StallAfter > 0 && now.Sub(c.busyAt) >= c.limits.StallAfter
}

// Safe says up to when the stream is known: nothing logged before at lies beyond
// segment. With nothing pending that is the clock itself, and no later record
// gets an earlier log time.
//
// It never claims more than the clock: log time that waits for a clock which
// jumped back would otherwise answer for events of the future.
func (c *Core) Safe(clock time.Time) (at time.Time, segment uint64) {
	c.tick(clock)
	at = earlier(c.lastAt, clock)
	if c.records > 0 {
		at = earlier(at, c.firstAt)
	}
	for _, pending := range []*batch{&c.flight, &c.gathered} {
		if pending.records > 0 {
			at = earlier(at, pending.firstAt)
		}
	}
	return at, c.seq - 1
}

// earlier returns the earlier of two times, in whole microseconds.
func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		a = b
	}
	return a.Truncate(time.Microsecond)
}
