package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/oklog/ulid/v2"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/postgres"
	"github.com/hayate-ads/hayate/internal/postgres/postgrestest"
)

var bankConfig = postgres.BankConfig{
	LeaseTTL: 30 * time.Minute, MaxAge: 600 * time.Second, LongestHold: 300 * time.Second,
	LostAfter: 90 * time.Second, Grace: 30 * time.Second, Margin: 5 * time.Second,
}

// price of an impression of sampleLineItem, whose CPM is 2.
const price = 2 * money.Unit / 1000

func wantOf(lineItem ad.ID, n int64) postgres.Want {
	return postgres.Want{Lease: ulid.Make(), LineItem: lineItem, Micros: price * money.Micros(n), Impressions: n}
}

func (h *house) grant(t testing.TB, process ulid.ULID, wants ...postgres.Want) []postgres.Grant {
	t.Helper()
	return must[[]postgres.Grant](t)(h.Grant(t.Context(), process, wants, bankConfig))
}

func (h *house) beat(t testing.TB, process ulid.ULID) postgres.HeartbeatAnswer {
	t.Helper()
	return must[postgres.HeartbeatAnswer](t)(h.Heartbeat(t.Context(), postgres.Heartbeat{Process: process, StartedAt: time.Now()}))
}

func (h *house) exec(t testing.TB, sql string, args ...any) {
	t.Helper()
	if _, err := h.Pool.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

func TestGrantRepeatedIsAnsweredAsItWas(t *testing.T) {
	t.Parallel()
	h, process := newHouse(t), ulid.Make()
	wants := []postgres.Want{wantOf(h.lineItem.ID, 100), wantOf(h.lineItem.ID, 50)}
	first := h.grant(t, process, wants...)
	if first[0].Refused != "" || first[0].Micros != 100*price || first[1].Micros != 50*price {
		t.Fatalf("granted %+v", first)
	}
	h.exec(t, "UPDATE line_item SET status = 'paused', cpm = 7000000")
	if diff := cmp.Diff(first, h.grant(t, process, wants...)); diff != "" {
		t.Errorf("the repeat differs:\n%s", diff)
	}
	e := must[postgres.Exposure](t)(h.Exposure(t.Context(), postgres.System, h.lineItem.ID))
	if e.Lifetime.Leased != 150*price || e.Today.Leased != 150*price {
		t.Errorf("leased %s and today %s, want %s", e.Lifetime.Leased, e.Today.Leased, 150*price)
	}
	if _, err := h.Grant(t.Context(), ulid.Make(), wants, bankConfig); err == nil {
		t.Error("another process was answered with these leases")
	}
	wants[0].LineItem++
	if _, err := h.Grant(t.Context(), process, wants, bankConfig); err == nil {
		t.Error("the same lease was answered for another line item")
	}
}

func TestGrantRepeatedAtOnceIsGrantedOnce(t *testing.T) {
	t.Parallel()
	h, process := newHouse(t), ulid.Make()
	want := wantOf(h.lineItem.ID, 100)
	answers := make([][]postgres.Grant, 6)
	var group sync.WaitGroup
	for i := range answers {
		group.Go(func() { answers[i], _ = h.Grant(context.Background(), process, []postgres.Want{want}, bankConfig) })
	}
	group.Wait()
	for _, answer := range answers {
		if diff := cmp.Diff(answers[0], answer); diff != "" || len(answer) != 1 {
			t.Errorf("repeats differ:\n%s", diff)
		}
	}
	if e := must[postgres.Exposure](t)(h.Exposure(t.Context(), postgres.System, h.lineItem.ID)); e.Lifetime.Leased != 100*price {
		t.Errorf("leased %s, want %s", e.Lifetime.Leased, 100*price)
	}
}

func TestGrantRefusals(t *testing.T) {
	t.Parallel()
	f := func(name, sql string, want postgres.Refusal) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			if sql != "" {
				h.exec(t, sql)
			}
			if got := h.grant(t, ulid.Make(), wantOf(h.lineItem.ID, 10))[0]; got.Refused != want {
				t.Errorf("answered %+v, want refusal %q", got, want)
			}
		})
	}
	f("served", "", "")
	f("line item paused", "UPDATE line_item SET status = 'paused'", postgres.RefusedStopped)
	f("campaign paused", "UPDATE campaign SET status = 'paused'", postgres.RefusedStopped)
	f("advertiser archived", "UPDATE advertiser SET status = 'archived'", postgres.RefusedStopped)
	f("not yet", "UPDATE line_item SET starts_at = now() + interval '1 minute'", postgres.RefusedStopped)
	f("no more", "UPDATE campaign SET ends_at = now() - interval '1 minute'", postgres.RefusedStopped)
	f("stop", "INSERT INTO stop (kind, item_id, stopped) SELECT 'campaign', id, true FROM campaign ON CONFLICT (kind, item_id) DO UPDATE SET stopped = true", postgres.RefusedStopped)
	f("stop lifted", "INSERT INTO stop (kind, item_id, stopped) SELECT 'campaign', id, false FROM campaign ON CONFLICT (kind, item_id) DO UPDATE SET stopped = false", "")
	f("no end", "UPDATE line_item SET ends_at = NULL", "")
	f("daily budget spent", "UPDATE line_item SET daily_budget = 1999", postgres.RefusedSpent)
	f("lifetime budget spent", "UPDATE account SET settled_micros = limit_micros - 1999", postgres.RefusedSpent)
	f("limit above a lowered budget", "UPDATE account SET wanted_micros = 1999", postgres.RefusedSpent)
	f("budget lowered below what is out", "UPDATE account SET settled_micros = 5000000, wanted_micros = 1000000", postgres.RefusedSpent)
}

func TestGrantUnknownLineItem(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	answers := h.grant(t, ulid.Make(), wantOf(h.lineItem.ID+1, 10), wantOf(h.lineItem.ID, 10))
	if answers[0].Refused != postgres.RefusedUnknown || answers[1].Refused != "" {
		t.Errorf("answered %+v", answers)
	}
}

func TestGrantRefusesNonsense(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	good := wantOf(h.lineItem.ID, 10)
	f := func(name string, wants ...postgres.Want) {
		t.Helper()
		if _, err := h.Grant(t.Context(), ulid.Make(), wants, bankConfig); err == nil {
			t.Errorf("%s: granted", name)
		}
	}
	f("twice in one batch", good, good)
	f("negative", postgres.Want{Lease: ulid.Make(), LineItem: h.lineItem.ID, Micros: -1, Impressions: 1})
	f("too much", postgres.Want{Lease: ulid.Make(), LineItem: h.lineItem.ID, Micros: postgres.MaxLeaseMicros + 1, Impressions: 1})
	f("no impression", postgres.Want{Lease: ulid.Make(), LineItem: h.lineItem.ID, Micros: 1})
	f("too many impressions", postgres.Want{Lease: ulid.Make(), LineItem: h.lineItem.ID, Micros: 1, Impressions: 65537})
}

func TestGrantOfPriceZeroIsAPermit(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.exec(t, "UPDATE line_item SET cpm = 0")
	want := wantOf(h.lineItem.ID, 1000)
	if got := h.grant(t, ulid.Make(), want)[0]; got.Refused != "" || got.Micros != 0 || got.Impressions != 1000 {
		t.Errorf("granted %+v", got)
	}
}

func TestGrantWithoutBudgetIsWhatIsAsked(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.exec(t, "UPDATE line_item SET lifetime_budget = NULL, daily_budget = NULL")
	h.exec(t, "UPDATE account SET wanted_micros = NULL, limit_micros = NULL")
	for range 3 {
		if got := h.grant(t, ulid.Make(), wantOf(h.lineItem.ID, 60_000))[0]; got.Micros != 60_000*price || got.Impressions != 60_000 {
			t.Errorf("granted %+v", got)
		}
	}
}

// TestGrantsNeverExceedABudget lets eight processes fight over the last micro of
// one line item. The CHECK would refuse an over-grant: no call may fail.
func TestGrantsNeverExceedABudget(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	const processes = 8
	granted := make([]money.Micros, processes)
	errs := make([]error, processes)
	var group sync.WaitGroup
	for i := range processes {
		group.Go(func() {
			process := ulid.Make()
			for refusals := 0; refusals < 20 && errs[i] == nil; {
				var answers []postgres.Grant
				answers, errs[i] = h.Grant(context.Background(), process,
					[]postgres.Want{wantOf(h.lineItem.ID, 400), wantOf(h.lineItem.ID, 3)}, bankConfig)
				for _, answer := range answers {
					granted[i] += answer.Micros
					if answer.Refused != "" {
						refusals++
					}
				}
			}
		})
	}
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	var sum money.Micros
	for _, g := range granted {
		sum += g
	}
	e := must[postgres.Exposure](t)(h.Exposure(t.Context(), postgres.System, h.lineItem.ID))
	if limit := *e.Today.Limit; sum != limit || e.Today.Leased != sum || e.Lifetime.Leased != sum {
		t.Errorf("granted %s; leased %s and today %s; want all of %s", sum, e.Lifetime.Leased, e.Today.Leased, limit)
	}
}

func TestFewImpressionsStayWithFewHolders(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	clock := postgrestest.NewClock(t, h.Pool, time.Now())
	h.exec(t, "UPDATE line_item SET daily_budget = $1", 6*price)
	processes := make([]ulid.ULID, 5)
	var refused []ulid.ULID
	for i := range processes {
		processes[i] = ulid.Make()
		h.beat(t, processes[i])
	}
	for _, process := range processes {
		if h.grant(t, process, wantOf(h.lineItem.ID, 1))[0].Refused == postgres.RefusedHolders {
			refused = append(refused, process)
		}
	}
	if diff := cmp.Diff(processes[2:], refused); diff != "" {
		t.Fatalf("6 impressions are shared by other than the first two:\n%s", diff)
	}
	if recalled := h.beat(t, processes[0]).Recalled; len(recalled) != 0 {
		t.Errorf("a lease as young as that is recalled: %v", recalled)
	}
	clock.Add(11 * time.Second)
	own := h.grant(t, processes[0], wantOf(h.lineItem.ID, 2))[0]
	if own.Refused != "" || own.Impressions != 1 {
		t.Errorf("a holder was answered %+v", own)
	}
	h.grant(t, processes[4], wantOf(h.lineItem.ID, 1))
	for i, want := range []int{1, 1, 0, 0, 0} {
		if recalled := h.beat(t, processes[i]).Recalled; len(recalled) != want {
			t.Errorf("process %d: %d leases recalled, want %d", i, len(recalled), want)
		}
	}
}

func TestLostProcessIsNotGranted(t *testing.T) {
	t.Parallel()
	f := func(sql string, want error) {
		t.Helper()
		h, process := newHouse(t), ulid.Make()
		h.beat(t, process)
		h.exec(t, sql)
		if _, err := h.Grant(t.Context(), process, []postgres.Want{wantOf(h.lineItem.ID, 1)}, bankConfig); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", sql, err, want)
		}
		if lost := h.beat(t, process).Lost; lost != (want == postgres.ErrProcessLost) {
			t.Errorf("%s: heartbeat answers lost = %t", sql, lost)
		}
	}
	f("UPDATE process SET state = 'lost'", postgres.ErrProcessLost)
	f("UPDATE process SET state = 'ended'", postgres.ErrProcessLost)
	f("UPDATE process SET stalled = 'corrupt'", postgres.ErrProcessLost)
	f("UPDATE settlement SET halted = 'older'", postgres.ErrRebuild)
	f("UPDATE process SET state = 'running'", nil)
}

func TestHeartbeatKeepsTheNewestWord(t *testing.T) {
	t.Parallel()
	h, process := newHouse(t), ulid.Make()
	now := time.Now().UTC().Truncate(time.Microsecond)
	clock := postgrestest.NewClock(t, h.Pool, now)
	f := func(at time.Time, segment uint64, wantAt time.Time, wantSegment uint64) {
		t.Helper()
		beat := postgres.Heartbeat{Process: process, StartedAt: now.Add(time.Hour), SafeAt: at, SafeSegment: segment}
		if answer := must[postgres.HeartbeatAnswer](t)(h.Heartbeat(t.Context(), beat)); !answer.Now.Equal(clock.Now()) || answer.Lost {
			t.Errorf("answered %+v", answer)
		}
		var startedAt, safeAt time.Time
		var safeSegment uint64
		if err := h.Pool.QueryRow(t.Context(), "SELECT started_at, safe_at, safe_segment FROM process").
			Scan(&startedAt, &safeAt, &safeSegment); err != nil {
			t.Fatal(err)
		}
		if !safeAt.Equal(wantAt) || safeSegment != wantSegment || startedAt.After(now) {
			t.Errorf("noted %v and %d, started %v; want %v and %d", safeAt, safeSegment, startedAt, wantAt, wantSegment)
		}
	}
	f(now.Add(-4*time.Second), 1, now.Add(-4*time.Second), 1)
	f(now.Add(-2*time.Second), 3, now.Add(-2*time.Second), 3)
	f(now.Add(-3*time.Second), 2, now.Add(-2*time.Second), 3)
	clock.Add(time.Second)
	f(now.Add(time.Hour), 4, now.Add(time.Second), 4)
}

func TestHeartbeatCarriesStops(t *testing.T) {
	t.Parallel()
	h, process := newHouse(t), ulid.Make()
	now := time.Now()
	h.exec(t, "DELETE FROM stop")
	h.exec(t, `INSERT INTO stop (kind, item_id, stopped, changed_at)
		VALUES ('line_item', 1, true, $1), ('campaign', 2, false, $2), ('creative', 3, true, $3)`,
		now.Add(-30*time.Second), now.Add(-50*time.Second), now.Add(-70*time.Second))
	answer := must[postgres.HeartbeatAnswer](t)(h.Heartbeat(t.Context(),
		postgres.Heartbeat{Process: process, StartedAt: now, StopsSince: now}))
	want := []postgres.Stop{{Kind: "campaign", ID: 2}, {Kind: "line_item", ID: 1, Stopped: true}}
	if diff := cmp.Diff(want, answer.Stops); diff != "" {
		t.Error(diff)
	}
}

// TestDayChange walks over the end of a day, where it is 24 hours long and where
// it is not.
func TestDayChange(t *testing.T) {
	t.Parallel()
	f := func(zone string, y int, m time.Month, d int, length time.Duration) {
		t.Run(fmt.Sprintf("%s %d-%d-%d", zone, y, m, d), func(t *testing.T) {
			t.Parallel()
			h, process := newHouse(t), ulid.Make()
			location := must[*time.Location](t)(time.LoadLocation(zone))
			midnight := firstInstant(y, m, d+1, location)
			dayStart := firstInstant(y, m, d, location)
			today := event.Day(time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix() / 86400)
			if got := midnight.Sub(dayStart); got != length {
				t.Fatalf("the day has %v, the test says %v", got, length)
			}
			h.exec(t, "UPDATE advertiser SET time_zone = $1", zone)
			clock := postgrestest.NewClock(t, h.Pool, midnight.Add(-61*time.Second))
			expect := func(name string, wantDay event.Day) {
				t.Helper()
				got := h.grant(t, process, wantOf(h.lineItem.ID, 5))[0]
				start, end := dayStart, midnight
				if wantDay != today {
					start, end = midnight, firstInstant(y, m, d+2, location)
				}
				if got.Refused != "" || got.Day != wantDay || !got.DayStart.Equal(start) || !got.DayEnd.Equal(end) {
					t.Errorf("%s: %+v\nwant day %d, %v to %v", name, got, wantDay, start, end)
				}
				if want := clock.Now().Add(bankConfig.LeaseTTL).Truncate(time.Microsecond); !got.Deadline.Equal(want) {
					t.Errorf("%s: deadline %v, want %v", name, got.Deadline, want)
				}
			}
			expect("well before midnight", today)
			clock.Add(2 * time.Second)
			expect("a holder on the eve", today+1)
			expect("beyond that one", today)
			process = ulid.Make()
			expect("no holder on the eve", today)
			clock.Set(midnight.Add(-time.Microsecond))
			expect("the last moment, a holder", today+1)
			clock.Set(midnight)
			expect("midnight", today+1)
		})
	}
	f("Asia/Tokyo", 2026, 11, 20, 24*time.Hour)
	f("UTC", 2026, 12, 31, 24*time.Hour)
	f("America/New_York", 2026, 3, 8, 23*time.Hour)
	f("America/New_York", 2026, 11, 1, 25*time.Hour)
	f("America/New_York", 2026, 3, 7, 24*time.Hour)
	f("Africa/Cairo", 2026, 4, 23, 24*time.Hour)  // the next day begins at 1:00
	f("Africa/Cairo", 2026, 10, 29, 25*time.Hour) // its last hour comes twice
	f("America/Havana", 2026, 10, 31, 24*time.Hour)
	f("America/Havana", 2026, 11, 1, 25*time.Hour) // its first hour comes twice
}

// firstInstant is the first moment at which a calendar in location shows the
// day, found by walking: no rule of how midnight is spelled is trusted here.
func firstInstant(y int, m time.Month, d int, location *time.Location) time.Time {
	want := time.Date(y, m, d, 12, 0, 0, 0, time.UTC).Format(time.DateOnly)
	at := time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Add(-15 * time.Hour)
	for at.In(location).Format(time.DateOnly) != want {
		at = at.Add(15 * time.Minute)
	}
	return at
}

// TestDayStart compares the database's days with those of package time over two
// years of some zones.
func TestDayStart(t *testing.T) {
	t.Parallel()
	h := newDB(t)
	for _, zone := range []string{"Asia/Tokyo", "America/New_York", "Africa/Cairo", "America/Havana", "Australia/Lord_Howe", "Asia/Kathmandu", "America/Santiago", "Asia/Beirut"} {
		location := must[*time.Location](t)(time.LoadLocation(zone))
		rows, err := h.Pool.Query(t.Context(), `
			SELECT d::date, day_start(d::date, $1) FROM generate_series(date '2025-01-01', date '2026-12-31', interval '1 day') d`, zone)
		if err != nil {
			t.Fatal(err)
		}
		var days int
		for rows.Next() {
			var day, got time.Time
			if err := rows.Scan(&day, &got); err != nil {
				t.Fatal(err)
			}
			days++
			if want := firstInstant(day.Year(), day.Month(), day.Day(), location); !got.Equal(want) {
				t.Errorf("%s %s begins at %v, want %v", zone, day.Format(time.DateOnly), got.UTC(), want.UTC())
			}
		}
		if err := rows.Err(); err != nil || days != 730 {
			t.Fatalf("%s: %d days, %v", zone, days, err)
		}
	}
}

// TestTimeZoneIsKnownToTheBank: one that is not would fail every batch of wants
// that has a line item of that advertiser among others.
func TestTimeZoneIsKnownToTheBank(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	if _, err := h.Pool.Exec(t.Context(), "UPDATE advertiser SET time_zone = 'Mars/Olympus_Mons'"); err == nil {
		t.Error("a zone that Postgres does not know is stored")
	}
}

// TestGrantsAndEditsDoNotWaitForEachOther runs grants of many line items against
// edits of their budgets and the opening of their days.
func TestGrantsAndEditsDoNotWaitForEachOther(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ids := []ad.ID{h.lineItem.ID}
	for range 9 {
		ids = append(ids, must[ad.LineItem](t)(h.CreateLineItem(t.Context(), postgres.System, sampleLineItem(h.campaign.ID))).ID)
	}
	const workers = 6
	errs := make([]error, workers)
	var group sync.WaitGroup
	for i := range workers {
		group.Go(func() {
			for range 15 {
				if i < 2 {
					errs[i] = errors.Join(errs[i], h.editBudget(ids[i]))
					continue
				}
				order := slices.Clone(ids)
				if i%2 == 0 {
					slices.Reverse(order)
				}
				var wants []postgres.Want
				for _, id := range order {
					wants = append(wants, wantOf(id, 5))
				}
				_, err := h.Grant(context.Background(), ulid.Make(), wants, bankConfig)
				errs[i] = errors.Join(errs[i], err)
			}
		})
	}
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
}

func (h *house) editBudget(id ad.ID) error {
	ctx := context.Background()
	line, err := h.FindLineItem(ctx, postgres.System, id)
	if err != nil {
		return err
	}
	line.DailyBudget = micros(*line.DailyBudget + price)
	_, err = h.UpdateLineItem(ctx, postgres.System, line)
	return err
}
