package eventlog

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var coreLimits = Config{RotateEvery: 2 * time.Second, RotateBytes: 1000}.limits()

var start = time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)

// after is a moment of the test, in milliseconds from its start.
func after(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }

func durable(ms int) Input { return Input{Kind: Append, Clock: after(ms), Durable: true} }

// TestCore walks through the life of a segment, one step a line.
func TestCore(t *testing.T) {
	t.Parallel()
	c := NewCore(coreLimits)
	f := func(ms int, in Input, want Output) {
		t.Helper()
		if diff := cmp.Diff(want, c.Step(after(ms), in)); diff != "" {
			t.Errorf("at %d ms: %s", ms, diff)
		}
	}
	tick := Input{}
	done := Input{Kind: Done, OK: true, Bytes: 100}
	f(0, tick, Output{}) // nothing to do, nothing to wait for
	f(0, durable(0), Output{At: after(0), Notify: true})
	f(0, tick, Output{Wake: after(1)})
	f(0, durable(0), Output{At: after(0)}) // joins without a word
	f(1, tick, Output{Op: Commit, Seq: 1, Create: true})
	f(1, durable(1), Output{At: after(1)}) // gathers while the sync is under way
	f(5, tick, Output{})
	f(6, done, Output{})
	f(6, tick, Output{Wake: after(7)}) // waits for company from when the disk is free
	f(7, tick, Output{Op: Commit, Seq: 1})
	f(8, done, Output{})
	f(8, tick, Output{Wake: after(2006)})
	f(2006, tick, Output{Op: Rotate, Seq: 1}) // by age
	f(2006, tick, Output{})                   // idle: no segment is begun
	f(3000, durable(2000), Output{At: after(2000), Notify: true})
	f(3000, durable(1000), Output{At: after(2000)}) // bank time went back, log time does not
	f(3001, tick, Output{Op: Commit, Seq: 2, Create: true})
	f(3002, Input{Kind: Done, OK: true, Bytes: 1000}, Output{})
	f(3002, tick, Output{Op: Rotate, Seq: 2}) // by size
	f(3003, durable(3003), Output{At: after(3003), Notify: true})
	f(3003, Input{Kind: Closing}, Output{Notify: true})
	f(3003, durable(3003), Output{Refused: Closed})
	f(3003, tick, Output{Op: Commit, Seq: 3, Create: true}) // closing waits for no company
	f(3004, done, Output{})
	f(3004, tick, Output{Op: Rotate, Seq: 3})
	f(3004, tick, Output{Op: Finished})
}

func TestCoreTelemetry(t *testing.T) {
	t.Parallel()
	c := NewCore(coreLimits)
	telemetry := Input{Kind: Append, Clock: after(0)}
	if out := c.Step(after(0), telemetry); out.Refused != Taken || !out.Notify {
		t.Errorf("first: %+v", out)
	}
	if out := c.Step(after(1), Input{}); out.Wake != after(500) {
		t.Errorf("telemetry alone waits until %v", out.Wake)
	}
	if out := c.Step(after(2), durable(2)); !out.Notify {
		t.Error("the first durable record does not shorten the wait")
	}
	if out := c.Step(after(2), Input{}); out.Wake != after(3) {
		t.Errorf("with a durable record it waits until %v", out.Wake)
	}
	for range coreLimits.CommitRecords - 2 {
		c.Step(after(2), telemetry)
	}
	if out := c.Step(after(2), Input{}); out.Op != Commit {
		t.Errorf("a full batch waits: %+v", out)
	}
	for range coreLimits.MaxTelemetry {
		c.Step(after(2), telemetry)
	}
	if out := c.Step(after(2), telemetry); out.Refused != Dropped {
		t.Errorf("without room: %+v", out)
	}
	if out := c.Step(after(2), durable(2)); out.Refused != Taken {
		t.Errorf("durable, where telemetry has no room: %+v", out)
	}
}

// TestCoreFailures: the first failures begin new segments, the third makes the
// log unwritable, and a probe a second brings it back without traffic.
func TestCoreFailures(t *testing.T) {
	t.Parallel()
	c := NewCore(coreLimits)
	f := func(ms int, in Input, want Output) {
		t.Helper()
		if diff := cmp.Diff(want, c.Step(after(ms), in)); diff != "" {
			t.Errorf("at %d ms: %s", ms, diff)
		}
	}
	tick, failed := Input{}, Input{Kind: Done}
	f(0, durable(0), Output{At: after(0), Notify: true})
	f(1, tick, Output{Op: Commit, Seq: 1, Create: true})
	f(2, Input{Kind: Done, OK: true, Bytes: 136}, Output{})
	f(3, durable(3), Output{At: after(3), Notify: true})
	f(4, tick, Output{Op: Commit, Seq: 1})
	f(5, failed, Output{Abandon: true, Seq: 1, Keep: 136})
	f(6, durable(6), Output{At: after(6), Notify: true})
	f(7, tick, Output{Op: Commit, Seq: 2, Create: true})
	f(8, failed, Output{Abandon: true, Seq: 2}) // nothing acknowledged: 2 is used again
	f(9, durable(9), Output{At: after(9), Notify: true})
	f(10, tick, Output{Op: Commit, Seq: 2, Create: true})
	f(10, durable(10), Output{At: after(10)})
	f(11, failed, Output{Abandon: true, Seq: 2, Refuse: true})
	f(12, durable(12), Output{Refused: Unavailable})
	f(12, Input{Kind: Append, Clock: after(12)}, Output{Refused: Dropped})
	f(12, tick, Output{Wake: after(1011)})
	f(1011, tick, Output{Op: Commit, Seq: 2, Create: true})
	f(1012, failed, Output{Abandon: true, Seq: 2, Refuse: true})
	f(2012, tick, Output{Op: Commit, Seq: 2, Create: true})
	f(2013, Input{Kind: Done, OK: true, Bytes: 36}, Output{})
	f(2014, tick, Output{}) // a segment of a header alone is not rotated
	f(2015, durable(2015), Output{At: after(2015), Notify: true})
	f(2016, tick, Output{Op: Commit, Seq: 2})
}

func TestCoreSwitch(t *testing.T) {
	t.Parallel()
	c := NewCore(coreLimits)
	c.Step(after(0), durable(0))
	c.Step(after(1), Input{})
	c.Step(after(1), durable(1))
	c.Step(after(1), Input{Kind: Switch})
	if out := c.Step(after(1), Input{}); out.Op != Wait {
		t.Errorf("switches while a sync is under way: %+v", out)
	}
	c.Step(after(2), Input{Kind: Done, OK: true, Bytes: 136})
	for i, want := range []Output{{Op: Rotate, Seq: 1}, {Op: Renew}, {Op: Commit, Seq: 1, Create: true}} {
		if diff := cmp.Diff(want, c.Step(after(3), Input{})); diff != "" {
			t.Errorf("step %d: %s", i, diff)
		}
	}
}

// TestCoreSafe holds the heartbeat's word against random lives: no record gets
// an earlier log time than its predecessor, nor one before a named moment
// beyond the named segment.
func TestCoreSafe(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := coreWorld{core: NewCore(coreLimits), now: start, bank: start}
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) { w.check(t) },
			"append": func(t *rapid.T) {
				out := w.core.Step(w.now, Input{Kind: Append, Clock: w.bank, Durable: rapid.Bool().Draw(t, "durable")})
				if out.Refused == Taken {
					w.gathered = append(w.gathered, out.At)
				}
			},
			"time": func(t *rapid.T) {
				w.now = w.now.Add(time.Duration(rapid.IntRange(0, 3000).Draw(t, "ms")) * time.Millisecond)
				w.bank = w.bank.Add(time.Duration(rapid.IntRange(-2000, 3000).Draw(t, "bank ms")) * time.Millisecond)
			},
			"tick": func(*rapid.T) { w.tick() },
			"done": func(t *rapid.T) {
				if w.flight != nil {
					w.done(rapid.IntRange(0, 3).Draw(t, "luck") > 0)
				}
			},
			"safe": func(*rapid.T) {
				at, segment := w.core.Safe(w.bank)
				w.promises = append(w.promises, promise{at, segment})
			},
		})
	})
}

// coreWorld is a driver without a disk.
type coreWorld struct {
	core      Core
	now, bank time.Time
	gathered  []time.Time
	flight    []time.Time
	flightSeq uint64
	logged    []loggedAt
	promises  []promise
}

type promise struct {
	at      time.Time
	segment uint64
}

type loggedAt struct {
	at  time.Time
	seq uint64
}

func (w *coreWorld) tick() {
	if out := w.core.Step(w.now, Input{}); out.Op == Commit {
		w.flight, w.flightSeq, w.gathered = append([]time.Time{}, w.gathered...), out.Seq, nil
	}
}

func (w *coreWorld) done(ok bool) {
	out := w.core.Step(w.now, Input{Kind: Done, OK: ok, Bytes: int64(100 * len(w.flight))})
	for _, at := range w.flight {
		if ok {
			w.logged = append(w.logged, loggedAt{at, w.flightSeq})
		}
	}
	w.flight = nil
	if out.Refuse {
		w.gathered = nil
	}
}

func (w *coreWorld) check(t *rapid.T) {
	for i, l := range w.logged {
		if i > 0 && (l.at.Before(w.logged[i-1].at) || l.seq < w.logged[i-1].seq) {
			t.Fatalf("record %d: %+v after %+v", i, l, w.logged[i-1])
		}
		for _, p := range w.promises {
			if l.seq > p.segment && l.at.Before(p.at) {
				t.Fatalf("promised: nothing before %v beyond segment %d; record %d is %+v", p.at, p.segment, i, l)
			}
		}
	}
}

// When bank time goes back, log time stands still and waits for it. The
// heartbeat's word is by the clock meanwhile: what waits for the bucket then
// holds the watermark as it always does.
func TestCoreSafeAfterTheClockWentBack(t *testing.T) {
	t.Parallel()
	ahead := time.Date(2026, 11, 20, 13, 0, 0, 0, time.UTC)
	clock := ahead.Add(-time.Hour)
	c := NewCore(Limits{CommitRecords: 1, RotateEvery: time.Minute, MaxFailures: 3, MaxGathered: 10, MaxTelemetry: 10})
	c.Safe(ahead) // a heartbeat before the bank first answered
	if at, segment := c.Safe(clock); !at.Equal(clock) || segment != 0 {
		t.Errorf("nothing logged: safe at %s, segment %d; want %s, 0", at, segment, clock)
	}
	now := ahead
	if out := c.Step(now, Input{Kind: Append, Clock: clock, Durable: true}); !out.At.Equal(ahead) {
		t.Errorf("log time went back to %s", out.At)
	}
	for range 3 { // gathered, in flight, in the segment
		if at, _ := c.Safe(clock.Add(time.Minute)); !at.Equal(clock) {
			t.Errorf("safe at %s though a record of %s waits", at, clock)
		}
		if out := c.Step(now, Input{Kind: Tick}); out.Op == Wait {
			c.Step(now, Input{Kind: Done, OK: true, Bytes: 100})
		}
	}
}
