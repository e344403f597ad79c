package retain

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/oklog/ulid/v2"
	"gocloud.dev/blob"

	"github.com/hayate-ads/hayate/batch/settle"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/bucket"
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/postgres"
	"github.com/hayate-ads/hayate/internal/postgres/postgrestest"
)

const (
	price = money.Micros(2000)
	hold  = 20 * time.Second
	day   = 24 * time.Hour
)

func must[T any](t interface {
	Helper()
	Fatal(...any)
}) func(T, error) T {
	return func(value T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

var (
	noon    = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	entropy = ulid.DefaultEntropy()
)

// world is a bank, a folder as bucket, the clock that both live by, a settler and a sweeper.
type world struct {
	t        testing.TB
	db       *postgres.DB
	bucket   *blob.Bucket
	folder   string
	clock    *postgrestest.Clock
	cfg      settle.Config
	sweeper  *Sweeper
	lineItem ad.LineItem
}

func newWorld(t testing.TB) *world {
	t.Helper()
	ctx, folder := t.Context(), filepath.Join(t.TempDir(), "bucket")
	objects := must[*blob.Bucket](t)(bucket.Open(ctx, (&url.URL{Scheme: "file", Path: folder}).String()))
	t.Cleanup(func() { _ = objects.Close() })
	db := &postgres.DB{Pool: postgrestest.New(t)}
	w := &world{t: t, db: db, bucket: objects, folder: folder}
	w.cfg = settle.Config{DB: db, Bucket: objects, Bank: postgres.BankConfig{
		LeaseTTL: 120 * time.Second, MaxAge: 60 * time.Second, LongestHold: 40 * time.Second,
		LostAfter: 15 * time.Second, Grace: 5 * time.Second, Margin: 5 * time.Second,
	}}
	w.sweeper = &Sweeper{DB: db, Bucket: objects, Settings: Settings{
		Events: 7 * day, Leases: 2 * day, Lost: 5 * day, ReportHours: 92 * day, ReportDays: 1096 * day, Conversions: 400 * day, Runs: 30 * day,
	}}
	advertiser := must[ad.Advertiser](t)(db.CreateAdvertiser(ctx, postgres.System, ad.Advertiser{
		Name: "Shop", Domain: "shop.example", TimeZone: "UTC", ClickWindowDays: 30, ViewWindowDays: 1}))
	campaign := must[ad.Campaign](t)(db.CreateCampaign(ctx, postgres.System,
		ad.Campaign{AdvertiserID: advertiser.ID, Name: "Spring", StartsAt: noon.AddDate(-1, 0, 0)}))
	w.lineItem = must[ad.LineItem](t)(db.CreateLineItem(ctx, postgres.System, ad.LineItem{
		CampaignID: campaign.ID, Name: "Japan", Tier: ad.Auction, CPM: price * 1000, StartsAt: noon.AddDate(-1, 0, 0)}))
	w.clock = postgrestest.NewClock(t, db.Pool, noon)
	settler := must[*postgres.Settler](t)(db.Settler(ctx))
	if err := errors.Join(settler.Check(ctx), settler.Close(ctx)); err != nil { // so that it grants
		t.Fatal(err)
	}
	return w
}

// stream is a process: what it logged, and how much of that is in the bucket.
type stream struct {
	process ulid.ULID
	seq     uint64
	pending []event.Record
}

func (w *world) newULID() ulid.ULID { return ulid.MustNew(ulid.Timestamp(w.clock.Now()), entropy) }

func (w *world) process() *stream {
	w.t.Helper()
	s := &stream{process: w.newULID()}
	w.beat(s)
	return s
}

func (w *world) beat(s *stream) {
	w.t.Helper()
	beat := postgres.Heartbeat{Process: s.process, StartedAt: w.clock.Now(), SafeAt: w.clock.Now(), SafeSegment: s.seq}
	if len(s.pending) > 0 {
		beat.SafeSegment++
	}
	must[postgres.HeartbeatAnswer](w.t)(w.db.Heartbeat(w.t.Context(), beat))
}

func (w *world) log(s *stream, rec event.Record) {
	rec.At = w.clock.Now()
	s.pending = append(s.pending, rec)
}

// ship puts what is pending into the bucket, as the stream's next segment.
func (w *world) ship(s *stream) {
	w.t.Helper()
	s.seq++
	writer := event.NewWriter(s.process, s.seq)
	b := writer.AppendHeader(nil)
	for i := range s.pending {
		b = writer.AppendRecord(b, &s.pending[i])
	}
	if err := w.bucket.WriteAll(w.t.Context(), event.SegmentName(s.process, s.seq), writer.AppendFooter(b), nil); err != nil {
		w.t.Fatal(err)
	}
	s.pending = nil
}

// grant leases for so many impressions, and logs the OPEN.
func (w *world) grant(s *stream, impressions int64) postgres.Grant {
	w.t.Helper()
	want := postgres.Want{Lease: w.newULID(), LineItem: w.lineItem.ID, Micros: price * money.Micros(impressions), Impressions: impressions}
	g := must[[]postgres.Grant](w.t)(w.db.Grant(w.t.Context(), s.process, []postgres.Want{want}, w.cfg.Bank))[0]
	if g.Refused != "" {
		w.t.Fatalf("refused: %s", g.Refused)
	}
	w.log(s, event.Record{Type: event.Open, Lease: leaseOf(g)})
	return g
}

func leaseOf(g postgres.Grant) event.Lease {
	return event.Lease{ID: g.Lease, LineItem: g.LineItem, Day: g.Day, Granted: g.Micros, GrantedImpressions: g.Impressions}
}

// shown is an impression of a reservation decided now.
func (w *world) shown(s *stream, g postgres.Grant, index uint32) event.Record {
	r := event.Reservation{
		Process: s.process, Lease: g.Lease, Index: index, LineItem: g.LineItem, Creative: 7, Placement: 5,
		DecidedAt: w.clock.Now(), Hold: hold, Price: price, BidPrice: price, Share: 6667, Bills: event.BillsImpression,
	}
	return event.Record{Type: event.Impression, Landing: event.Landing{Reservation: r, Clearing: price}}
}

func (w *world) closed(s *stream, g postgres.Grant, reserved int64) {
	rec := event.Record{Type: event.Close, Lease: leaseOf(g)}
	rec.Lease.Reserved, rec.Lease.ReservedCount, rec.Lease.LastExpiry = price*money.Micros(reserved), reserved, w.clock.Now().Add(hold)
	w.log(s, rec)
}

func (w *world) settle() settle.Stats {
	w.t.Helper()
	return must[settle.Stats](w.t)(settle.Once(w.t.Context(), w.cfg))
}

// pass lets days go by while these processes report; settle and the proof keep up.
func (w *world) pass(d time.Duration, alive ...*stream) {
	w.t.Helper()
	for range int(d / (6 * time.Hour)) {
		w.step(6*time.Hour, alive)
	}
	w.reconciled()
}

// step moves the clock: those alive are not lost by it, and those that are not are.
func (w *world) step(d time.Duration, alive []*stream) {
	w.t.Helper()
	w.clock.Add(d - 30*time.Second)
	for range 4 { // at first the bank was away, for all that settle knows
		w.settle()
		for _, s := range alive {
			w.beat(s)
		}
		w.clock.Add(10 * time.Second)
	}
}

// reconciled notes that all days so far agree.
func (w *world) reconciled() {
	w.exec(`INSERT INTO reconciliation (day, events, charged_micros, differences, losses)
		SELECT DISTINCT (hour AT TIME ZONE 'UTC')::date, 1, 1, '[]'::jsonb, '[]'::jsonb FROM report_status`)
}

func (w *world) exec(sql string, args ...any) {
	w.t.Helper()
	if _, err := w.db.Pool.Exec(w.t.Context(), sql, args...); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) sweep() string {
	w.t.Helper()
	return must[postgres.JobResult](w.t)(w.sweeper.Run(w.t.Context())).Message
}

func (w *world) text(sql string, args ...any) string {
	w.t.Helper()
	rows, err := w.db.Pool.Query(w.t.Context(), sql, args...)
	if err != nil {
		w.t.Fatal(err)
	}
	return must[string](w.t)(pgx.CollectExactlyOneRow(rows, pgx.RowTo[string]))
}

// sums is all that retention may not change.
func (w *world) sums() string {
	w.t.Helper()
	return w.text(`SELECT concat_ws('; ',
		(SELECT concat_ws(' ', 'ledger', count(*), sum(charged_micros), sum(charged_impressions), sum(overage_micros), sum(overage_impressions), sum(late_impressions)) FROM ledger),
		(SELECT concat_ws(' ', 'accounts', count(*), sum(settled_micros), sum(leased_micros), sum(settled_impressions), sum(leased_impressions)) FROM account),
		(SELECT concat_ws(' ', 'reports', count(*), sum(impressions), sum(spend_micros), sum(overage_micros), sum(revenue_micros), sum(invalid)) FROM report_hour),
		(SELECT concat_ws(' ', 'leases', sum(n), sum(g), sum(s), sum(r)) FROM (
			SELECT leases n, granted_micros g, settled_micros s, returned_micros r FROM lease_day
			UNION ALL SELECT 1, granted_micros, settled_micros, returned_micros FROM lease) x))`)
}

func (w *world) objects(prefix string) (keys []string) {
	w.t.Helper()
	s := &sweep{Sweeper: w.sweeper}
	if err := s.each(w.t.Context(), prefix, func(o *blob.ListObject) error { keys = append(keys, o.Key); return nil }); err != nil {
		w.t.Fatal(err)
	}
	return keys
}

func (w *world) impressions() string {
	w.t.Helper()
	return w.text("SELECT COALESCE(sum(impressions), 0) || ' for ' || COALESCE(sum(spend_micros), 0) FROM report_hour")
}

func (w *world) wants(what string, got, want any) {
	w.t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		w.t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// keyOf reads a segment's name.
func keyOf(t testing.TB, name string) (process ulid.ULID, seq uint64) {
	t.Helper()
	process, err := ulid.ParseStrict(path.Base(path.Dir(name)))
	if err != nil {
		t.Fatal(err)
	}
	return process, must[uint64](t)(strconv.ParseUint(path.Base(name), 10, 64))
}
