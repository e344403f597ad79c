package bank

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/hayate-ads/hayate/delivery/eventlog"
	"github.com/hayate-ads/hayate/delivery/lease"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/postgres"
	"github.com/hayate-ads/hayate/internal/telemetry"
)

// Config is what a [Bank] works with.
type Config struct {
	DB      *postgres.DB // may be out of reach at any time
	Process ulid.ULID
	Book    *lease.Book
	Log     *eventlog.Log
	Logger  *slog.Logger
	Metrics *telemetry.Client // nil: none

	Bank           postgres.BankConfig
	Hold           time.Duration // longest hold of this process's formats
	Silence        time.Duration // no money is reserved after this long without an answer: 180 s
	HeartbeatEvery time.Duration // 2 s
	Timeout        time.Duration // of one call of Postgres: 2 s
	StopsSince     time.Time     // the first heartbeat asks for stops since then; the snapshot's CreatedAt

	Price      func(ad.ID) (money.Micros, bool) // per impression, by the current catalog
	Least      func(ad.ID) int64                // reservations that it needs at once; nil: one
	Generation func() uint64                    // of the current catalog; nil: both may change at any time
	OnChange   func(lineItem ad.ID)             // its slot changed: a lease came or went, was asked for or refused
	OnStop     func(postgres.Stop)
}

// Bank runs a [Core]: it owns its goroutine, its clock and its calls to Postgres.
type Bank struct {
	cfg     Config
	core    *Core
	clock   *clock
	process atomic.Pointer[ulid.ULID]

	wants   chan ad.ID
	results chan any // inputs that calls in the background came to
	stops   time.Time
	started time.Time
	widened widening
	newest  ulid.ULID      // the newest lease that the bank granted; under whatever id it was
	calls   sync.WaitGroup // appends under way
	done    chan struct{}  // closed when Run has returned

	serving    atomic.Int64 // line items with a lease
	left       atomic.Int64 // micros that their leases can still reserve
	answeredAt atomic.Int64 // Unix seconds of the bank's last answer, 0: none yet
	unchecked  atomic.Bool  // the bank answered last that settle has to look at it first
}

// New makes a bank; [Bank.Run] starts it.
func New(cfg Config) *Bank {
	b := &Bank{
		cfg: cfg, wants: make(chan ad.ID, 1024), results: make(chan any, 64),
		stops: cfg.StopsSince, done: make(chan struct{}),
	}
	b.core = NewCore(Rules{
		Hold: cfg.Hold, Silence: cfg.Silence, AskEvery: time.Second, PermitTTL: 30 * time.Minute,
		Price: cfg.Price, Least: cfg.Least, Generation: cfg.Generation, MintID: ulid.Make, Process: b.Process,
	}, cfg.Book)
	b.clock = newClock(cfg.Silence, &b.core.horizon)
	b.started = b.clock.now()
	b.process.Store(&cfg.Process)
	return b
}

// Now is bank time, UTC. It dates decisions and log records.
func (b *Bank) Now() time.Time { return b.clock.now() }

// Process is the id under which this process's leases and stream run; it changes
// only when the bank has declared the process lost.
func (b *Bank) Process() ulid.ULID { return *b.process.Load() }

// Want says that a line item would have won but has no lease. It never blocks:
// a want that finds the queue full is dropped, since a request soon repeats it.
func (b *Bank) Want(lineItem ad.ID) {
	select {
	case b.wants <- lineItem:
	default:
	}
}

// Serving is the number of line items with a lease in service.
func (b *Bank) Serving() int64 { return b.serving.Load() }

// Left is what the leases in service can still reserve.
func (b *Bank) Left() money.Micros { return money.Micros(b.left.Load()) }

// Silence is how long ago the bank last answered.
func (b *Bank) Silence() time.Duration {
	last := b.answeredAt.Load()
	if last == 0 {
		return b.clock.now().Sub(b.started)
	}
	return time.Duration(time.Now().Unix()-last) * time.Second
}

// tickEvery is how soon a used-up lease gives way to its successor.
const tickEvery = 100 * time.Millisecond

// Run drives the core until ctx ends; [Bank.Close] then closes the leases.
func (b *Bank) Run(ctx context.Context) error {
	defer close(b.done)
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	beat := time.NewTicker(b.cfg.HeartbeatEvery)
	defer beat.Stop()
	beating := b.heartbeat(ctx, false)
	for {
		select {
		case <-ctx.Done():
			return nil
		case lineItem := <-b.wants:
			b.step(ctx, Wanted{lineItem})
		case <-tick.C:
			b.step(ctx, Tick{})
		case <-beat.C:
			beating = b.heartbeat(ctx, beating)
		case result := <-b.results:
			switch result := result.(type) {
			case answered:
				beating = false
				b.heard(ctx, result)
				continue
			case Granted:
				b.newest = newest(b.newest, result.Grants)
			}
			b.step(ctx, result)
		}
	}
}

// Close closes every lease into the log and waits until that is durable. Call
// it after Run has ended and before the log is closed; no request may be under way.
func (b *Bank) Close(ctx context.Context) error {
	<-b.done
	if !waited(ctx, &b.calls) {
		return errors.New("bank: opening leases still waits for the log")
	}
	b.perform(ctx, b.core.Step(b.clock.now(), Drain{}))
	if !waited(ctx, &b.calls) {
		return errors.New("bank: the log did not take every CLOSE; the leases return with END")
	}
	return nil
}

// waited waits for calls or ctx, and tells which came first.
func waited(ctx context.Context, calls *sync.WaitGroup) bool {
	finished := make(chan struct{})
	go func() { calls.Wait(); close(finished) }()
	select {
	case <-finished:
		return true
	case <-ctx.Done():
		return false
	}
}

func (b *Bank) step(ctx context.Context, input any) {
	b.perform(ctx, b.core.Step(b.clock.now(), input))
	if _, tick := input.(Tick); tick { // adding up takes too long to do with every want
		leases, left := b.core.Serving()
		b.serving.Store(int64(leases))
		b.left.Store(int64(left))
	}
}

// perform does what a step asks for. Appends run in the background, since they
// wait for the disk; the log groups them.
func (b *Bank) perform(ctx context.Context, out Outputs) {
	process := b.Process() // of this step; a call may begin after the id has changed
	for _, record := range out.Close {
		record.LastExpiry = b.lastExpiry(record)
		b.calls.Go(func() { b.closeLease(ctx, process, record) })
	}
	for _, record := range out.Open {
		b.calls.Go(func() {
			err := b.cfg.Log.Append(&event.Record{Type: event.Open, Lease: record})
			b.deliver(ctx, Opened{Lease: record.ID, Failed: err != nil})
		})
	}
	for _, lineItem := range out.Changed {
		b.cfg.OnChange(lineItem)
	}
	if len(out.Ask) > 0 {
		b.calls.Go(func() { b.ask(ctx, process, out.Ask) })
	}
}

// lastExpiry is the record's last hold's end, moved on when the step that closed
// the lease was held up, as in a process that was stopped for a while: until it
// closed, requests with a later clock than the step's could still reserve.
func (b *Bank) lastExpiry(record event.Lease) time.Time {
	latest := b.clock.now().Add(b.cfg.Hold)
	if record.ReservedCount > 0 && latest.After(record.LastExpiry) {
		return latest
	}
	return record.LastExpiry
}

// deliver hands a result to Run's loop, unless that has ended.
func (b *Bank) deliver(ctx context.Context, result any) {
	select {
	case b.results <- result:
	case <-ctx.Done():
	}
}

// closeLease writes one CLOSE, again and again while the log refuses: until it is
// written the lease's money stays out.
func (b *Bank) closeLease(ctx context.Context, process ulid.ULID, record event.Lease) {
	for b.Process() == process {
		if b.cfg.Log.Append(&event.Record{Type: event.Close, Lease: record}) == nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(openRetry):
		}
	}
}

// ask sends a batch of wants, on behalf of the process that minted their ids:
// under a later id nobody would wait for the answer, and nobody close the leases.
func (b *Bank) ask(ctx context.Context, process ulid.ULID, wants []postgres.Want) {
	call, cancel := context.WithTimeout(ctx, b.cfg.Timeout)
	defer cancel()
	grants, err := b.cfg.DB.Grant(call, process, wants, b.cfg.Bank)
	unchecked := errors.Is(err, postgres.ErrUnchecked)
	if again := b.unchecked.Swap(unchecked); err != nil && ctx.Err() == nil && !(unchecked && again) {
		b.cfg.Logger.Warn("bank: leases were not granted; asking again", "wants", len(wants), "error", err)
	}
	b.count(grants)
	b.deliver(ctx, Granted{Grants: grants, Failed: err != nil, Later: unchecked})
}

// newest is the newest of lease and what was granted of grants. Ids are minted
// in ascending order.
func newest(lease ulid.ULID, grants []postgres.Grant) ulid.ULID {
	for _, grant := range grants {
		if grant.Refused == "" && grant.Lease.Compare(lease) > 0 {
			lease = grant.Lease
		}
	}
	return lease
}

// count tells the metrics what the bank answered.
func (b *Bank) count(grants []postgres.Grant) {
	for _, grant := range grants {
		if grant.Refused == "" {
			b.cfg.Metrics.Count(telemetry.BankGrants, 1)
		} else {
			b.cfg.Metrics.Count(telemetry.BankRefusals, 1, "reason:"+string(grant.Refused))
		}
	}
}

// answered is a heartbeat's outcome on its way to the loop.
type answered struct {
	answer postgres.HeartbeatAnswer
	sent   time.Time
	err    error
}

// heartbeat sends one unless the last one is still under way.
func (b *Bank) heartbeat(ctx context.Context, underWay bool) bool {
	if underWay {
		return true
	}
	safeAt, segment := b.cfg.Log.Safe()
	safeAt = b.widened.apply(safeAt, b.clock.now())
	beat := postgres.Heartbeat{
		Process: b.Process(), StartedAt: b.started, SafeAt: safeAt, SafeSegment: segment, StopsSince: b.stops,
		NewestLease: b.newest,
	}
	b.calls.Go(func() {
		call, cancel := context.WithTimeout(ctx, b.cfg.Timeout)
		defer cancel()
		sent := time.Now()
		answer, err := b.cfg.DB.Heartbeat(call, beat)
		b.deliver(ctx, answered{answer, sent, err})
	})
	return true
}

// jumpAlarm is how far the bank's clock may move against ours between two answers.
const jumpAlarm = 2 * time.Second

// heard takes a heartbeat's outcome into the clock, the catalog and the core.
func (b *Bank) heard(ctx context.Context, a answered) {
	if a.err != nil {
		if ctx.Err() == nil {
			b.cfg.Logger.Warn("bank: no answer; serving goes on from the leases at hand",
				"silent_seconds", int(b.Silence().Seconds()), "error", a.err)
		}
		return
	}
	jump := b.clock.set(a.answer.Now, a.sent)
	if first := b.answeredAt.Swap(time.Now().Unix()) == 0; !first && jump.Abs() > jumpAlarm {
		b.cfg.Logger.Error("bank: the bank's clock jumped", "by", jump)
		b.cfg.Metrics.Count(telemetry.BankClockJumps, 1)
		b.widened = b.widened.jumped(jump, b.clock.now(), b.cfg.Bank.LongestHold)
	}
	b.stops = a.answer.Now
	for _, stop := range a.answer.Stops {
		b.cfg.OnStop(stop)
	}
	b.step(ctx, Answered{a.answer})
	if a.answer.Lost {
		b.reborn()
	}
}

// reborn goes on under a new id: the old stream ends with END, which accounts for
// all the leases that the core has just forgotten.
func (b *Bank) reborn() {
	b.cfg.Metrics.Count(telemetry.BankLost, 1)
	id := ulid.Make()
	old := b.Process()
	b.process.Store(&id)
	if err := b.cfg.Log.Reopen(id); err != nil {
		b.cfg.Logger.Error("bank: declared lost, and the log could not begin a new stream", "error", err)
		return
	}
	b.cfg.Logger.Error("bank: this process was declared lost and goes on under a new id", "old", old, "new", id)
}
