package retain

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hayate-ads/hayate/internal/event"
)

// A life in order: settled, reconciled, past its time; and nothing earlier.
func TestSegmentsGoWhenNothingNeedsThem(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.process()
	g := w.grant(s, 10)
	w.log(s, w.shown(s, g, 0))
	w.ship(s)
	w.settle()
	w.closed(s, g, 1)
	w.log(s, event.Record{Type: event.End})
	w.ship(s)
	w.settle()
	before := w.sums()
	w.wants("at once", w.sweep(), "nothing was past its time")
	w.step(6*time.Hour, nil)
	w.clock.Add(8 * day)
	w.settle()
	w.wants("not reconciled", len(w.objects("events/")), 2)
	w.wants("not reconciled", w.sweep(), "removed 1 leases")
	w.reconciled()
	w.exec("UPDATE settlement SET halted = 'why'")
	w.wants("halted", w.sweep(), "nothing was past its time")
	w.exec("UPDATE settlement SET halted = ''")
	w.wants("all is well", w.sweep(), "removed 2 segments")
	w.wants("objects", w.objects("events/"), "[]")
	rows := "SELECT (SELECT count(*) FROM segment) || ' ' || (SELECT count(*) FROM process) || ' ' || (SELECT count(*) FROM lease_bits)"
	w.wants("rows", w.text(rows), "0 1 0")
	w.wants("sums", w.sums(), before)
	w.wants("again", w.sweep(), "nothing was past its time")
	w.settle()
	w.wants("sums", w.sums(), before)
	w.clock.Add(115 * day)
	w.sweep()
	w.wants("rows", w.text(rows), "0 0 0")
}

// The last segment of a stream stays on its disk until the folder goes: one that
// was down for weeks at that moment ships it again, and it is not counted again.
func TestSegmentShippedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.process()
	w.log(s, event.Record{Type: event.Requests, Requests: event.Count{Hour: noon, Placement: 5, N: 3}})
	w.log(s, event.Record{Type: event.End})
	last := s.pending
	w.ship(s)
	w.settle()
	w.step(6*time.Hour, nil)
	w.clock.Add(8 * day)
	w.settle()
	w.reconciled()
	w.wants("run", w.sweep(), "removed 1 segments")
	s.seq, s.pending = 0, last
	w.ship(s)
	w.settle()
	w.wants("decisions", w.text("SELECT sum(decisions)::text FROM report_supply_hour"), "3")
}

// What is in the bucket and not settled stays whatever its age, and so does its
// process: settle takes it up as soon as it can.
func TestUnsettledStays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.process()
	g := w.grant(s, 10)
	w.log(s, w.shown(s, g, 0))
	w.ship(s)
	w.settle()
	w.exec("UPDATE process SET stalled = 'a gap'")
	w.log(s, w.shown(s, g, 1))
	w.ship(s)
	w.clock.Add(100 * day)
	w.settle()
	w.reconciled()
	w.sweep()
	w.wants("objects", len(w.objects("events/")), 2)
	w.exec("UPDATE process SET stalled = ''")
	w.exec("UPDATE process SET state = 'lost'")
	w.sweep() // the first may go, the second was never settled
	w.wants("objects", len(w.objects("events/")), 1)
	w.wants("processes", w.text("SELECT count(*)::text FROM process"), "1")
}

// An event of a process that was away is counted once, whether its lease is there
// still or was folded: retention waits for the process as long as it is told to,
// and what comes later is refused rather than counted twice.
func TestLateEventsAreNeverCountedTwice(t *testing.T) {
	t.Parallel()
	f := func(away time.Duration, leases, want string) {
		t.Helper()
		w := newWorld(t)
		owner, other := w.process(), w.process()
		g := w.grant(owner, 10)
		twice := w.shown(owner, g, 0)
		w.log(owner, twice)
		w.closed(owner, g, 2)
		w.log(owner, event.Record{Type: event.End})
		w.ship(owner)
		w.beat(other)
		w.log(other, twice)                // the page sent it to both
		w.log(other, w.shown(owner, g, 1)) // and this one here alone
		w.settle()                         // other's disk is away
		w.pass(away)
		w.sweep()
		w.wants("leases kept", w.text("SELECT count(*)::text FROM lease"), leases)
		w.ship(other)
		w.settle()
		w.wants("counted", w.impressions(), want)
		w.wants("not halted", w.text("SELECT halted FROM settlement"), "")
	}
	f(3*day, "1", "2 for 2000") // after its return the second one is late: counted, not charged
	f(6*day, "0", "1 for 2000")
}

// The bits outlive the tokens: an event sent again at the end of a day is known.
func TestBitsOutliveTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.process()
	g := w.grant(s, 10)
	again := w.shown(s, g, 0)
	w.log(s, again)
	w.closed(s, g, 1)
	w.ship(s)
	for range 4 {
		w.step(6*time.Hour, []*stream{s})
		w.sweep()
		w.log(s, again)
		w.ship(s)
		w.settle()
	}
	w.wants("counted", w.impressions(), "1 for 2000")
	w.pass(3*day, s)
	w.wants("later", w.sweep(), "removed 1 leases")
}

// Whatever is swept, whenever: the sums stay, what is not settled stays, and every
// event is counted once in the end.
func TestRetentionChangesNothing(t *testing.T) {
	t.Parallel()
	const histories = 12
	for seed := range uint64(histories) {
		random, w := rand.New(rand.NewPCG(seed, 0)), newWorld(t)
		shown := 0
		for range 10 {
			switch random.IntN(4) {
			case 0, 1:
				shown += w.random(random)
			case 2:
				w.step(time.Duration(1+random.IntN(72))*time.Hour, nil)
				w.reconciled()
			case 3:
				w.clock.Add(time.Duration(random.IntN(20)) * day)
			}
			before, unsettled := w.sums(), w.unsettled()
			w.sweep()
			if after := w.sums(); after != before {
				t.Fatalf("history %d: sums were\n%s, are\n%s", seed, before, after)
			}
			if after := w.unsettled(); after != unsettled {
				t.Fatalf("history %d: not settled were %s, are %s", seed, unsettled, after)
			}
		}
		w.settle()
		w.sweep()
		if got := w.text("SELECT COALESCE(sum(impressions), 0)::text FROM report_hour"); got != strconv.Itoa(shown) {
			t.Fatalf("history %d: %s impressions were counted, %d shown", seed, got, shown)
		}
	}
}

// random lets a process show something twice, and ship it.
func (w *world) random(random *rand.Rand) (shown int) {
	w.t.Helper()
	s := w.process()
	g := w.grant(s, 20)
	shown = 1 + random.IntN(5)
	for i := range 2 * shown {
		w.log(s, w.shown(s, g, uint32(i%shown)))
	}
	w.closed(s, g, int64(shown))
	if random.IntN(2) == 0 {
		w.log(s, event.Record{Type: event.End})
	}
	w.ship(s)
	if random.IntN(2) == 0 {
		w.settle()
	}
	return shown
}

// unsettled names the objects that settle has not applied.
func (w *world) unsettled() string {
	var names []string
	for _, key := range w.objects("events/") {
		process, seq := keyOf(w.t, key)
		if w.text("SELECT (NOT EXISTS (SELECT FROM segment WHERE process_id = $1 AND seq = $2))::text", process, int64(seq)) == "true" {
			names = append(names, key)
		}
	}
	return strings.Join(names, " ")
}

// The spool's copy goes only when the bucket has the same.
func TestSpool(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.process()
	w.grant(s, 1)
	w.ship(s)
	w.settle()
	name := event.SegmentName(s.process, 1)
	body := must[[]byte](t)(w.bucket.ReadAll(t.Context(), name))
	w.exec("INSERT INTO spool (process_id, seq, body) VALUES ($1, 1, $2), ($1, 2, '')", s.process, body)
	w.wants("settled and in the bucket", w.sweep(), "removed 1 spooled segments")
	w.exec("INSERT INTO spool (process_id, seq, body) VALUES ($1, 1, $2)", s.process, body)
	if err := w.bucket.WriteAll(t.Context(), name, body[:len(body)-1], nil); err != nil {
		t.Fatal(err)
	}
	w.wants("torn in the bucket", w.sweep(), "nothing was past its time")
	if err := w.bucket.Delete(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	w.wants("not in the bucket", w.sweep(), "nothing was past its time")
}

func TestObjects(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	old := time.Now().Add(-48 * time.Hour)
	for _, key := range []string{"assets/aa.png", "assets/bb.png", "assets/cc.gif", "events/x.0123456789abcdef.tmp", "snapshots/y.0123456789abcdef.tmp", "snapshots/z",
		"lake/events/date=2026-10-01/hour=03/part-0000.parquet", "lake/requests/date=2026-10-01/hour=03/part-0000.parquet", "lake/events/date=2026-10-02/hour=03/part-0000.parquet"} {
		if err := w.bucket.WriteAll(t.Context(), key, []byte("x"), nil); err != nil {
			t.Fatal(err)
		}
		if key != "assets/bb.png" && key != "snapshots/y.0123456789abcdef.tmp" {
			if err := os.Chtimes(filepath.Join(w.folder, key), old, old); err != nil {
				t.Fatal(err)
			}
		}
	}
	creative := w.text(`INSERT INTO creative (line_item_id, name) VALUES ($1, 'c') RETURNING id::text`, w.lineItem.ID)
	w.exec(`INSERT INTO creative_revision (creative_id, number, format, width, height, landing_url, image_sha256) VALUES ($1::text::bigint, 1, 'banner', 1, 1, 'x', 'cc')`, creative)
	w.exec(`INSERT INTO lake_part (hour, part, after_batch, through_batch, written_at) VALUES
		('2026-10-01 03:00Z', 0, 0, 1, now()), ('2026-10-02 03:00Z', 0, 0, 2, now()), ('2026-11-19 03:00Z', 0, 0, 3, now())`)
	w.sweeper.Settings.Lake = 50 * day               // to 1 October, noon
	w.exec("UPDATE settlement SET halted = 'older'") // its creatives may be gone with the newer one
	w.wants("halted", w.sweep(), "removed 1 hours of the lake, 1 temporary files")
	w.exec("UPDATE settlement SET halted = ''")
	w.wants("run", w.sweep(), "removed 1 images")
	w.wants("left", w.objects(""), "[assets/bb.png assets/cc.gif lake/events/date=2026-10-02/hour=03/part-0000.parquet snapshots/y.0123456789abcdef.tmp snapshots/z]")
	w.sweeper.Settings.Lake = day // all but the newest, which tells how far the lake is
	w.wants("run", w.sweep(), "removed 1 hours of the lake")
}

// 100,000 segments, of 100 processes, go in bounded time.
func TestManySegments(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec(`INSERT INTO process (id, started_at, heartbeat_at, state, applied_segment, ended_at)
		SELECT ('01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, $1, $1, 'ended', 1000, $1 FROM generate_series(1, 100) n`, noon.Add(-130*day))
	w.exec(`INSERT INTO segment (process_id, seq, sha256, records, first_at, last_at, batch, applied_at)
		SELECT id, n, '', 1, $1, $1, n, $1 FROM process, generate_series(1, 1000) n`, noon.Add(-30*day))
	w.exec("INSERT INTO report_status (hour) VALUES ($1)", noon.Add(-30*day))
	w.exec("UPDATE settlement SET watermark = $1", noon)
	w.wants("not reconciled", w.sweep(), "nothing was past its time")
	w.reconciled()
	began := time.Now()
	w.wants("run", w.sweep(), "removed 100000 segments, 100 processes")
	t.Logf("100,000 segments in %s", time.Since(began))
}

func TestSettingsOfNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.sweeper.Settings = Settings{}
	w.clock.Add(1000 * day)
	w.wants("kept for ever", w.sweep(), "nothing was past its time")
}
