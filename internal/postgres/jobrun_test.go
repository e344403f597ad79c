package postgres_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/postgres"
	"github.com/hayate-ads/hayate/internal/postgres/postgrestest"
)

func TestJobHealth(t *testing.T) {
	t.Parallel()
	db, ctx := newDB(t), t.Context()
	plans := []postgres.JobPlan{{"gone", "@every 1m", time.Minute}, {"lake", "@every 1m", time.Minute}, {"retain", "30 5 * * *", 24 * time.Hour}, {"settle", "", 586 * time.Second}}
	for _, plan := range [][]postgres.JobPlan{plans, plans[1:], plans[1:]} {
		if err := db.PlanJobs(ctx, plan); err != nil {
			t.Fatal(err)
		}
	}
	exec(t, db, "UPDATE job SET since = clock_timestamp() - interval '2 days'")
	run := func(job, ago string, took string, outcome postgres.Outcome, lag any) {
		t.Helper()
		exec(t, db, `INSERT INTO job_run (job, started_at, ended_at, outcome, message, lag)
			VALUES ($1, clock_timestamp() - $2::interval, clock_timestamp() - $2::interval + $3::interval, $4, 'said', $5::interval)`, job, ago, took, outcome, lag)
	}
	run("lake", "30 minutes", "1 minute", postgres.RunOK, "5 minutes")
	run("lake", "2 minutes", "10 seconds", postgres.RunFailed, "9 minutes")
	run("lake", "1 minute", "0", postgres.RunLocked, nil)
	run("settle", "10 minutes", "9 minutes", postgres.RunOK, "2 seconds")
	exec(t, db, "UPDATE settlement SET watermark = bank_now() - interval '7 seconds'")

	type row struct {
		Name         string
		Outcome      postgres.Outcome
		Age, Lag, In time.Duration
		Missed       bool
	}
	var got []row
	for _, h := range must[[]postgres.JobHealth](t)(db.JobHealth(ctx, postgres.System)) {
		round := func(d time.Duration) time.Duration { return d.Truncate(time.Second) }
		got = append(got, row{h.Name, h.Last.Outcome, round(h.SuccessAge()), round(h.Lag), h.DueAt().Sub(h.Now).Round(time.Second), h.Missed()})
	}
	want := []row{
		{"lake", postgres.RunFailed, 29 * time.Minute, 34 * time.Minute, -time.Minute, true},
		{"retain", "", 48 * time.Hour, 0, -24 * time.Hour, true},
		{"settle", postgres.RunOK, time.Minute, 7 * time.Second, -14 * time.Second, false},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("health (-want +got):\n%s", d)
	}
	if _, err := db.JobHealth(ctx, postgres.Actor{Role: ad.RoleAdvertiser, AdvertiserID: 1}); err != postgres.ErrForbidden {
		t.Errorf("advertiser: %v", err)
	}
}

func TestRunsAreNoted(t *testing.T) {
	t.Parallel()
	db, ctx := newDB(t), t.Context()
	if err := db.PlanJobs(ctx, []postgres.JobPlan{{"publish", "@every 15s", 15 * time.Second}, {"settle", "", time.Minute}}); err != nil {
		t.Fatal(err)
	}
	for _, job := range []string{"settle", "publish", "settle"} {
		id := must[int64](t)(db.StartRun(ctx, job))
		if job == "settle" {
			if err := db.EndRun(ctx, id, postgres.RunFailed, postgres.JobResult{Message: strings.Repeat("颯", 5000), Lag: 90 * time.Second}); err != nil {
				t.Fatal(err)
			}
		}
	}
	health := must[[]postgres.JobHealth](t)(db.JobHealth(ctx, postgres.System))
	publish, settle := health[0].Last, health[1].Last
	if publish.Outcome != postgres.RunRunning || !publish.EndedAt.IsZero() ||
		settle.Outcome != postgres.RunFailed || settle.ID != 3 || len(settle.Message) > 2010 || settle.Lag != 90*time.Second {
		t.Errorf("health is %+v", health)
	}
	if err := db.EndRun(ctx, 99, postgres.RunOK, postgres.JobResult{}); err == nil {
		t.Error("ending an unknown run is no error")
	}
}

func TestTruthHealth(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	postgrestest.NewClock(t, db.Pool, today)
	if got := must[postgres.TruthHealth](t)(db.TruthHealth(t.Context(), postgres.System)); !cmp.Equal(got, postgres.TruthHealth{Now: today, Stuck: []postgres.Stuck{}}) {
		t.Errorf("new: %+v", got)
	}
	exec(t, db, "UPDATE settlement SET watermark = $1, halted = 'why'", today.Add(-time.Minute))
	exec(t, db, "INSERT INTO process (id, started_at, stalled) VALUES ($2, $1, 'gap')", today, mintedAt(today, 1))
	exec(t, db, "INSERT INTO spool (process_id, seq, body) SELECT gen_random_uuid(), 1, '' FROM generate_series(1, 2)")
	exec(t, db, "INSERT INTO lake_part (hour, part, after_batch, through_batch, written_at) VALUES ($1, 0, 0, 1, $1), ($2, 0, 0, 1, NULL)", today.Add(-2*time.Hour), today.Add(-time.Hour))
	want := postgres.TruthHealth{Now: today, Watermark: today.Add(-time.Minute), Halted: "why", Spooled: 2, Stalled: 1, Stuck: []postgres.Stuck{{mintedAt(today, 1), 1, "gap"}}, LakeHour: today.Add(-2 * time.Hour), LakeOpen: 1}
	if got := must[postgres.TruthHealth](t)(db.TruthHealth(t.Context(), postgres.System)); !cmp.Equal(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}
