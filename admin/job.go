package admin

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hayate-ads/hayate/admin/views"
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// reconciledRows is how many days' comparisons are shown.
const reconciledRows = 14

// jobs is all that an operator looks at to know whether the books are true.
type jobs struct {
	health     []postgres.JobHealth
	truth      postgres.TruthHealth
	reconciled []postgres.Reconciliation // newest first
}

func (c *console) readJobs(ctx context.Context) (j jobs, err error) {
	if j.health, err = c.db.JobHealth(ctx, actorOf(ctx)); err != nil {
		return j, err
	}
	if j.truth, err = c.db.TruthHealth(ctx, actorOf(ctx)); err != nil {
		return j, err
	}
	j.reconciled, err = c.db.Reconciliations(ctx, reconciledRows)
	return j, err
}

func (c *console) jobsPage(w http.ResponseWriter, r *http.Request) error {
	j, err := c.readJobs(r.Context())
	if err != nil {
		return err
	}
	p := problems{lang: langOf(r)}
	tables := []views.Table{j.table(p)}
	if len(j.truth.Stuck) > 0 {
		tables = append(tables, j.stuckTable(p))
	}
	tables = append(tables, j.reconciledTable(p))
	return c.show(w, r, views.Home(views.Page{Title: p.t("job.title"), Section: "jobs"}, j.tiles(p), tables))
}

// tiles are what stands between the events and the books.
func (j jobs) tiles(p problems) []views.Tile {
	t := j.truth
	state := views.Tile{Name: p.t("job.books"), Value: p.t("job.working")}
	if t.Halted != "" {
		state.Value, state.Note = p.t("job.halted"), p.t("job.halted_text")+" "+t.Halted
	}
	watermark := views.Tile{Name: p.t("job.watermark"), Value: p.t("job.never")}
	if !t.Watermark.IsZero() {
		watermark.Value, watermark.Note = p.ago(t.Now.Sub(t.Watermark)), views.Moment(t.Watermark, time.UTC)
	}
	lake := views.Tile{Name: p.t("job.lake"), Value: p.t("job.lake_none")}
	if !t.LakeHour.IsZero() {
		lake.Value, lake.Note = p.ago(t.Now.Sub(t.LakeHour)), views.Moment(t.LakeHour, time.UTC)
	}
	if t.LakeOpen > 0 {
		lake.Note += " " + views.T(p.lang, "job.lake_open", t.LakeOpen)
	}
	spool := views.Tile{Name: p.t("job.spool"), Value: views.Count(t.Spooled), Note: p.t("job.spool_note")}
	return []views.Tile{state, watermark, lake, spool}
}

func (p problems) ago(d time.Duration) string { return views.T(p.lang, "job.age", span(p.lang, d)) }

// due says when a job has to start again.
func (p problems) due(d time.Duration) string {
	if d < 0 {
		return views.T(p.lang, "job.overdue", span(p.lang, -d))
	}
	return views.T(p.lang, "job.in", span(p.lang, d))
}

// span writes a duration in its two largest units, of which nobody needs more.
func span(lang string, d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < time.Second:
		return inUnits(lang, max(d, 0), time.Millisecond, time.Millisecond)
	case d < time.Minute:
		return inUnits(lang, d, time.Second, time.Second)
	case d < time.Hour:
		return inUnits(lang, d, time.Minute, time.Second)
	case d < 2*day:
		return inUnits(lang, d, time.Hour, time.Minute)
	}
	return inUnits(lang, d, day, time.Hour)
}

func inUnits(lang string, d, large, small time.Duration) string {
	if d%large < small || large == small {
		return inUnit(lang, d/large, large)
	}
	return inUnit(lang, d/large, large) + " " + inUnit(lang, d%large/small, small)
}

func inUnit(lang string, n, unit time.Duration) string {
	return views.T(lang, "job.unit_"+map[time.Duration]string{
		time.Millisecond: "ms", time.Second: "s", time.Minute: "min", time.Hour: "h", 24 * time.Hour: "d",
	}[unit], n)
}

func (j jobs) table(p problems) views.Table {
	table := views.Table{
		Columns: names(column(p.lang, "job.name"), column(p.lang, "job.outcome"), column(p.lang, "job.last"), numbers(p.lang, "job.duration"),
			numbers(p.lang, "job.lag"), column(p.lang, "job.success"), column(p.lang, "job.due"), column(p.lang, "job.message")),
		Empty: views.Empty{Title: p.t("job.none"), Text: p.t("job.none_text")},
	}
	for _, h := range j.health {
		table.Rows = append(table.Rows, jobRow(p, h))
	}
	return table
}

func jobRow(p problems, h postgres.JobHealth) []views.Cell {
	schedule := p.t("job.follows")
	if h.Schedule != "" {
		schedule = views.T(p.lang, "job.every", span(p.lang, h.Every))
	}
	last, took, success, lag := p.t("job.never"), "", p.t("job.never"), ""
	if h.Last.ID != 0 {
		last = p.ago(h.Now.Sub(h.Last.StartedAt))
	}
	if !h.Last.EndedAt.IsZero() {
		took = span(p.lang, h.Last.EndedAt.Sub(h.Last.StartedAt))
	}
	if !h.SucceededAt.IsZero() {
		success = p.ago(h.Now.Sub(h.SucceededAt))
	}
	if h.Lag > 0 {
		lag = span(p.lang, h.Lag)
	}
	return []views.Cell{
		{Text: h.Name, Note: schedule}, {Badges: jobBadges(p, h)}, {Text: last}, {Text: took, Number: true}, {Text: lag, Number: true},
		{Text: success}, {Text: p.due(h.DueAt().Sub(h.Now))}, {Text: h.Last.Message},
	}
}

var outcomeKinds = map[postgres.Outcome]string{postgres.RunOK: "good", postgres.RunRunning: "info", postgres.RunFailed: "bad", postgres.RunTimeout: "bad"}

func jobBadges(p problems, h postgres.JobHealth) []views.Badge {
	var badges []views.Badge
	if h.Last.ID != 0 {
		badges = append(badges, views.Badge{Text: p.t("outcome." + string(h.Last.Outcome)), Kind: outcomeKinds[h.Last.Outcome]})
	}
	if h.Missed() {
		badges = append(badges, views.Badge{Text: p.t("job.late"), Kind: "bad"})
	}
	return badges
}

// skipCommand goes on with a stream without the segment that it stands at.
func skipCommand(s postgres.Stuck) string {
	return fmt.Sprintf("batch settle --skip %s --why '…'", event.SegmentName(s.Process, s.Segment))
}

func (j jobs) stuckTable(p problems) views.Table {
	table := views.Table{Title: p.t("job.stalled"), Columns: names(column(p.lang, "job.segment"), column(p.lang, "job.why"))}
	for _, s := range j.truth.Stuck {
		table.Rows = append(table.Rows, []views.Cell{
			{Text: event.SegmentName(s.Process, s.Segment)}, {Text: s.Why, Note: views.T(p.lang, "job.stalled_text", skipCommand(s))},
		})
	}
	return table
}

func (j jobs) reconciledTable(p problems) views.Table {
	table := views.Table{
		Title: p.t("job.reconciled"),
		Columns: names(column(p.lang, "job.day"), column(p.lang, "job.checked"), numbers(p.lang, "job.events"), numbers(p.lang, "report.spend"),
			column(p.lang, "job.differences")),
		Empty: views.Empty{Title: p.t("job.reconciled_none"), Text: p.t("job.reconciled_text")},
	}
	for _, r := range j.reconciled {
		differences := views.Cell{Badges: []views.Badge{{Text: "0", Kind: "good"}}}
		if n := len(r.Differences); n > 0 {
			differences = views.Cell{Badges: []views.Badge{{Text: fmt.Sprint(n), Kind: "bad"}}, Note: r.Differences[0].String()}
		}
		if n := len(r.Losses); n > 0 {
			differences.Badges = append(differences.Badges, views.Badge{Text: views.T(p.lang, "job.losses", n), Kind: "wait"})
		}
		table.Rows = append(table.Rows, []views.Cell{
			{Text: r.Day.Format(time.DateOnly)}, {Text: views.Moment(r.At, time.UTC)}, {Text: views.Count(r.Events), Number: true},
			{Text: r.Charged.String(), Number: true}, differences,
		})
	}
	return table
}

type jobBody struct {
	Name            string     `json:"name"`
	Schedule        string     `json:"schedule" doc:"As cron has it; empty: it follows the events without end."`
	EverySeconds    float64    `json:"every_seconds" doc:"Longest time from one start to the next."`
	Missed          bool       `json:"missed" doc:"It has not succeeded for so long that somebody should look."`
	Outcome         string     `json:"outcome,omitempty" enum:"running,ok,failed,timeout" doc:"Of the last run; absent: it never ran."`
	Message         string     `json:"message,omitempty"`
	StartedAt       *time.Time `json:"started_at,omitempty"`
	EndedAt         *time.Time `json:"ended_at,omitempty"`
	DurationSeconds *float64   `json:"duration_seconds,omitempty"`
	LagSeconds      *float64   `json:"lag_seconds,omitempty" doc:"How far it is behind its input by now."`
	SucceededAt     *time.Time `json:"succeeded_at,omitempty" doc:"End of the last run that was well."`
	SuccessAge      float64    `json:"success_age_seconds" doc:"Since then, or since it ought to run."`
	DueAt           time.Time  `json:"due_at" doc:"When it ought to be started next at the latest."`
}

func jobBodyOf(h postgres.JobHealth) jobBody {
	b := jobBody{
		Name: h.Name, Schedule: h.Schedule, EverySeconds: h.Every.Seconds(), Missed: h.Missed(),
		Outcome: string(h.Last.Outcome), Message: h.Last.Message, StartedAt: maybe(h.Last.StartedAt), EndedAt: maybe(h.Last.EndedAt),
		SucceededAt: maybe(h.SucceededAt), SuccessAge: h.SuccessAge().Seconds(), DueAt: h.DueAt(),
	}
	if b.EndedAt != nil && b.StartedAt != nil {
		b.DurationSeconds = new(h.Last.EndedAt.Sub(h.Last.StartedAt).Seconds())
	}
	if h.Lag > 0 {
		b.LagSeconds = new(h.Lag.Seconds())
	}
	return b
}

type stuckBody struct {
	Segment string `json:"segment"`
	Why     string `json:"why"`
	Command string `json:"command" doc:"Goes on without the segment, and loses what is in it."`
}

type reconciliationBody struct {
	Day         string       `json:"day" format:"date"`
	At          time.Time    `json:"at"`
	Events      int64        `json:"events"`
	Charged     money.Micros `json:"charged"`
	Differences []string     `json:"differences" nullable:"false"`
	Losses      []string     `json:"losses" nullable:"false" doc:"Segments that nobody can read any more: what they said is in no book."`
}

type jobsBody struct {
	Items           []jobBody            `json:"items" nullable:"false"`
	Watermark       *time.Time           `json:"watermark,omitempty" doc:"Every event before it has been settled."`
	WatermarkAge    *float64             `json:"watermark_age_seconds,omitempty"`
	Halted          string               `json:"halted,omitempty" doc:"Why nothing is granted or settled until batch rebuild has run."`
	Stalled         []stuckBody          `json:"stalled" nullable:"false" doc:"Streams that settle cannot go on with, the first 20."`
	SpoolSegments   int64                `json:"spool_segments" doc:"Segments that wait in the database for the bucket."`
	LakeHour        *time.Time           `json:"lake_hour,omitempty" doc:"The newest hour that the lake has."`
	Reconciliations []reconciliationBody `json:"reconciliations" nullable:"false" doc:"Newest first."`
}

func jobsBodyOf(j jobs) jobsBody {
	body := jobsBody{
		Items: []jobBody{}, Stalled: []stuckBody{}, Reconciliations: []reconciliationBody{},
		Watermark: maybe(j.truth.Watermark), Halted: j.truth.Halted, SpoolSegments: j.truth.Spooled, LakeHour: maybe(j.truth.LakeHour),
	}
	if body.Watermark != nil {
		body.WatermarkAge = new(j.truth.Now.Sub(j.truth.Watermark).Seconds())
	}
	for _, h := range j.health {
		body.Items = append(body.Items, jobBodyOf(h))
	}
	for _, s := range j.truth.Stuck {
		body.Stalled = append(body.Stalled, stuckBody{event.SegmentName(s.Process, s.Segment), s.Why, skipCommand(s)})
	}
	for _, r := range j.reconciled {
		b := reconciliationBody{r.Day.Format(time.DateOnly), r.At, r.Events, r.Charged, []string{}, []string{}}
		for _, d := range r.Differences {
			b.Differences = append(b.Differences, d.String())
		}
		for _, l := range r.Losses {
			b.Losses = append(b.Losses, l.Segment+": "+l.Why)
		}
		body.Reconciliations = append(body.Reconciliations, b)
	}
	return body
}

// apiJobs is for operators.
func (c *console) apiJobs(api huma.API) {
	list := huma.Operation{OperationID: "list-jobs", Method: http.MethodGet, Path: "/api/v1/jobs", Summary: "How the jobs do, and how far the books are", Tags: []string{"jobs"}}
	huma.Register(api, list, func(ctx context.Context, _ *struct{}) (*answer[jobsBody], error) {
		return respond(ctx, c, list.OperationID, func() (jobsBody, error) {
			j, err := c.readJobs(ctx)
			return jobsBodyOf(j), err
		})
	})
}
