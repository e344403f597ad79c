package admin

import (
	"testing"
	"time"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/postgres"
)

func TestJobs(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	operator, program := h.as(ad.RoleOperator), h.program(ad.RoleOperator)
	operator.get("/jobs").want(t, 200).has(t, "No job has run yet", "No day has been compared yet", "Settling")
	program.call("GET", "/api/v1/jobs", nil).want(t, 200).has(t, `"items":[]`, `"stalled":[]`, `"reconciliations":[]`)

	must(t, 0, h.db.PlanJobs(t.Context(), []postgres.JobPlan{{Name: "lake", Schedule: "@every 1m", Every: time.Minute}, {Name: "settle", Every: 10 * time.Minute}}))
	for _, sql := range []string{
		"UPDATE job SET since = now() - interval '3 days'",
		`INSERT INTO job_run (job, started_at, ended_at, outcome, message, lag) VALUES
			('lake', now() - interval '2 hours', now() - interval '1 hour', 'ok', '7 hours written', '90 minutes'),
			('lake', now() - interval '5 minutes', now() - interval '4 minutes', 'failed', 'no <bucket>', NULL)`,
		"UPDATE settlement SET watermark = now() - interval '65 seconds', halted = 'the log knows of more'",
		"INSERT INTO process (id, started_at, stalled, applied_segment) VALUES ('0190163d-8694-739b-aea5-966c26f8ad91', now(), 'a record is torn', 41)",
		"INSERT INTO reconciliation (day, events, charged_micros, differences, losses) VALUES ('2026-04-01', 1234, 5600000, '[{\"book\":\"ledger\",\"key\":\"line item 7\",\"what\":\"charged_micros\",\"want\":5,\"got\":6}]', '[]')",
	} {
		_, err := h.db.Pool.Exec(t.Context(), sql)
		must(t, 0, err)
	}
	operator.get("/jobs").want(t, 200).has(t, "lake", "at least every 1 min", "Failed", "Missed", "no &lt;bucket&gt;", "2 h 30 min", "1 h ago", "overdue",
		"follows the events without end", "Settling is halted", "the log knows of more", "a record is torn", "batch settle --skip events/", "--why",
		"1,234", "5.60", "charged_micros is 6, the log says 5").lacks(t, "No job has run yet")
	program.call("GET", "/api/v1/jobs", nil).want(t, 200).has(t, `"name":"lake"`, `"missed":true`, `"outcome":"failed"`, `"lag_seconds":`, `"success_age_seconds":36`,
		`"halted":"the log knows of more"`, `"charged":"5.60"`, "the log says 5", `"segment":"events/`)
	japanese := h.as(ad.RoleOperator)
	japanese.post("/language", map[string][]string{"language": {"ja"}, "back": {"/jobs"}})
	japanese.get("/jobs").want(t, 200).has(t, "ジョブ", "失敗", "精算は停止中です", "照合結果").lacks(t, "Missed", "job.")
}

func TestSpan(t *testing.T) {
	t.Parallel()
	f := func(d time.Duration, want string) {
		t.Helper()
		if got := span("en", d); got != want {
			t.Errorf("%s is %q, want %q", d, got, want)
		}
	}
	if got := span("ja", 90*time.Second); got != "1 分 30 秒" {
		t.Errorf("in Japanese: %q", got)
	}
	f(0, "0 ms")
	f(-90*time.Second, "0 ms")
	f(24*time.Hour, "24 h")
	f(59*time.Second, "59 s")
	f(47*time.Hour+59*time.Minute, "47 h 59 min")
	f(100*time.Hour, "4 d 4 h")
}
