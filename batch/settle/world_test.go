package settle

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/oklog/ulid/v2"
	"gocloud.dev/blob"
	"gocloud.dev/blob/memblob"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/postgres"
	"github.com/hayate-ads/hayate/internal/postgres/postgrestest"
)

const (
	price = money.Micros(2000) // of one impression, at the CPM of the line items below
	hold  = 20 * time.Second
)

// world is a bank, a bucket, and the clock that both live by.
type world struct {
	t         testing.TB
	db        *postgres.DB
	bucket    *blob.Bucket
	clock     *postgrestest.Clock
	cfg       Config
	campaign  ad.ID
	placement ad.ID
}

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

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// newWorld begins at noon in UTC, where the advertiser's days are.
func newWorld(t testing.TB) *world {
	t.Helper()
	return newWorldOn(t, &postgres.DB{Pool: postgrestest.New(t)})
}

func newWorldOn(t testing.TB, db *postgres.DB) *world {
	t.Helper()
	w := &world{t: t, db: db, bucket: memblob.OpenBucket(nil)}
	t.Cleanup(func() { _ = w.bucket.Close() })
	w.cfg = Config{DB: db, Bucket: w.bucket, Poll: 10 * time.Millisecond, Bank: postgres.BankConfig{
		LeaseTTL: 120 * time.Second, MaxAge: 60 * time.Second, LongestHold: 40 * time.Second,
		LostAfter: 15 * time.Second, Grace: 5 * time.Second, Margin: 5 * time.Second,
	}}
	ctx := t.Context()
	advertiser := must[ad.Advertiser](t)(db.CreateAdvertiser(ctx, postgres.System,
		ad.Advertiser{Name: "Shop", Domain: "shop.example", TimeZone: "UTC"}))
	w.campaign = must[ad.Campaign](t)(db.CreateCampaign(ctx, postgres.System,
		ad.Campaign{AdvertiserID: advertiser.ID, Name: "Spring", StartsAt: noon.AddDate(-1, 0, 0)})).ID
	publisher := must[ad.Publisher](t)(db.CreatePublisher(ctx, postgres.System, ad.Publisher{Name: "News", Domain: "news.example"}))
	property := must[ad.Property](t)(db.CreateProperty(ctx, postgres.System,
		ad.Property{PublisherID: publisher.ID, Name: "News", Kind: ad.Site, Domain: "news.example", RevenueShare: 6667}))
	w.placement = must[ad.Placement](t)(db.CreatePlacement(ctx, postgres.System, ad.Placement{
		PropertyID: property.ID, Name: "Top", Formats: []ad.Format{ad.Banner}, Sizes: []ad.Size{{Width: 300, Height: 250}},
	})).ID
	w.clock = postgrestest.NewClock(t, db.Pool, noon)
	settler := must[*postgres.Settler](t)(db.Settler(ctx))
	if err := errors.Join(settler.Check(ctx), settler.Close(ctx)); err != nil { // so that it grants
		t.Fatal(err)
	}
	return w
}

// lineItem makes a line item whose budgets buy so many impressions.
func (w *world) lineItem(lifetime, daily int64) ad.LineItem {
	w.t.Helper()
	life, day := price*money.Micros(lifetime), price*money.Micros(daily)
	return must[ad.LineItem](w.t)(w.db.CreateLineItem(w.t.Context(), postgres.System, ad.LineItem{
		CampaignID: w.campaign, Name: "Japan", Tier: ad.Auction, CPM: price * 1000,
		LifetimeBudget: &life, DailyBudget: &day, StartsAt: noon.AddDate(-1, 0, 0),
	}))
}

// stream is a process: what it logged, and how much of that is in the bucket.
type stream struct {
	process ulid.ULID
	seq     uint64 // shipped
	pending []event.Record
}

var entropy = ulid.DefaultEntropy()

func newULID(at time.Time) ulid.ULID { return ulid.MustNew(ulid.Timestamp(at), entropy) }

// process starts a process and lets it report to the bank.
func (w *world) process() *stream {
	w.t.Helper()
	s := &stream{process: newULID(w.clock.Now())}
	w.beat(s)
	return s
}

func (w *world) beat(s *stream) postgres.HeartbeatAnswer {
	w.t.Helper()
	beat := postgres.Heartbeat{Process: s.process, StartedAt: w.clock.Now(), SafeAt: w.clock.Now(), SafeSegment: s.seq}
	if len(s.pending) > 0 {
		beat.SafeSegment++
	}
	return must[postgres.HeartbeatAnswer](w.t)(w.db.Heartbeat(w.t.Context(), beat))
}

func (w *world) log(s *stream, rec event.Record) {
	rec.At = w.clock.Now()
	s.pending = append(s.pending, rec)
}

// ship puts what is pending into the bucket, as the stream's next segment.
func (w *world) ship(s *stream) {
	w.t.Helper()
	s.seq++
	w.put(s.process, s.seq, s.pending)
	s.pending = nil
}

func (w *world) put(process ulid.ULID, seq uint64, records []event.Record) {
	w.t.Helper()
	err := w.bucket.WriteAll(w.t.Context(), event.SegmentName(process, seq), encode(process, seq, records), nil)
	if err != nil {
		w.t.Fatal(err)
	}
}

func encode(process ulid.ULID, seq uint64, records []event.Record) []byte {
	writer := event.NewWriter(process, seq)
	b := writer.AppendHeader(nil)
	for i := range records {
		b = writer.AppendRecord(b, &records[i])
	}
	return writer.AppendFooter(b)
}

// grant leases for so many impressions, and logs the OPEN.
func (w *world) grant(s *stream, lineItem ad.ID, impressions int64) postgres.Grant {
	w.t.Helper()
	want := postgres.Want{
		Lease: newULID(w.clock.Now()), LineItem: lineItem,
		Micros: price * money.Micros(impressions), Impressions: impressions,
	}
	grant := must[[]postgres.Grant](w.t)(w.db.Grant(w.t.Context(), s.process, []postgres.Want{want}, w.cfg.Bank))[0]
	if grant.Refused == "" {
		w.log(s, event.Record{Type: event.Open, Lease: leaseOf(grant)})
	}
	return grant
}

func leaseOf(g postgres.Grant) event.Lease {
	return event.Lease{ID: g.Lease, LineItem: g.LineItem, Day: g.Day, Granted: g.Micros, GrantedImpressions: g.Impressions}
}

// token is a reservation of a lease, decided now.
func (w *world) token(s *stream, g postgres.Grant, index uint32) event.Reservation {
	return event.Reservation{
		Process: s.process, Lease: g.Lease, Index: index, LineItem: g.LineItem, Creative: 7, Placement: w.placement,
		DecidedAt: w.clock.Now(), Hold: hold, Price: price, BidPrice: price, Share: 6667, Bills: event.BillsImpression,
	}
}

func landing(kind event.Type, r event.Reservation) event.Record {
	return event.Record{Type: kind, Landing: event.Landing{Reservation: r, Clearing: r.Price}}
}

// closing is the CLOSE of a lease with so many reservations, the last one made now.
func (w *world) closing(g postgres.Grant, reserved int64) event.Record {
	rec := event.Record{Type: event.Close, Lease: leaseOf(g)}
	rec.Lease.Reserved, rec.Lease.ReservedCount = price*money.Micros(reserved), reserved
	if reserved > 0 {
		rec.Lease.LastExpiry = w.clock.Now().Add(hold)
	}
	return rec
}

func (w *world) settle() Stats {
	w.t.Helper()
	return must[Stats](w.t)(Once(w.t.Context(), w.cfg))
}

// pass lets time go by as it does: the settler ticks, and these processes report.
func (w *world) pass(d time.Duration, alive ...*stream) {
	w.t.Helper()
	for d > 0 {
		step := min(d, 5*time.Second)
		d -= step
		w.clock.Add(step)
		for _, s := range alive {
			w.beat(s)
		}
		w.settle()
	}
}

// totals is what the bank's books say, summed over everything.
type totals struct {
	Settled, Leased                 money.Micros // of lifetime accounts
	SettledDay, LeasedDay           money.Micros
	SettledN, LeasedN               int64
	Charged, Overage                money.Micros // of the ledger
	ChargedN, OverageN, LateN       int64
	LeaseSettled, LeaseHeld         money.Micros
	Open                            int64 // leases not final
	Impressions, Clicks, Views      int64 // of the report
	WinsAndVideo                    int64
	Invalid, ReportLate             int64
	Spend, ReportOverage, Revenue   money.Micros
	LeaseSettledN, LeaseHeldN, Bits int64
}

func (w *world) totals() totals {
	w.t.Helper()
	return must[totals](w.t)(readTotals(w.t.Context(), w.db))
}

func readTotals(ctx context.Context, db *postgres.DB) (totals, error) {
	rows, err := db.Pool.Query(ctx, `
		SELECT a.*, l.*, e.*, r.*, s.*, b.n
		FROM (SELECT
			COALESCE(sum(settled_micros) FILTER (WHERE day IS NULL), 0)::bigint, COALESCE(sum(leased_micros) FILTER (WHERE day IS NULL), 0)::bigint,
			COALESCE(sum(settled_micros) FILTER (WHERE day IS NOT NULL), 0)::bigint, COALESCE(sum(leased_micros) FILTER (WHERE day IS NOT NULL), 0)::bigint,
			COALESCE(sum(settled_impressions) FILTER (WHERE day IS NULL), 0)::bigint, COALESCE(sum(leased_impressions) FILTER (WHERE day IS NULL), 0)::bigint
			FROM account) a,
		(SELECT COALESCE(sum(charged_micros), 0)::bigint, COALESCE(sum(overage_micros), 0)::bigint, COALESCE(sum(charged_impressions), 0)::bigint,
			COALESCE(sum(overage_impressions), 0)::bigint, COALESCE(sum(late_impressions), 0)::bigint FROM ledger) l,
		(SELECT COALESCE(sum(settled_micros), 0)::bigint, COALESCE(sum(granted_micros - settled_micros - returned_micros), 0)::bigint,
			count(*) FILTER (WHERE state <> 'final') FROM lease) e,
		(SELECT COALESCE(sum(impressions), 0)::bigint, COALESCE(sum(clicks), 0)::bigint, COALESCE(sum(viewables), 0)::bigint,
			COALESCE(sum(wins + video_starts + video_first_quartiles + video_midpoints + video_third_quartiles + video_completes), 0)::bigint,
			COALESCE(sum(invalid), 0)::bigint, COALESCE(sum(late_impressions), 0)::bigint,
			COALESCE(sum(spend_micros), 0)::bigint, COALESCE(sum(overage_micros), 0)::bigint, COALESCE(sum(revenue_micros), 0)::bigint
			FROM report_hour) r,
		(SELECT COALESCE(sum(settled_impressions), 0)::bigint,
			COALESCE(sum(granted_impressions - settled_impressions - returned_impressions), 0)::bigint FROM lease) s,
		(SELECT COALESCE(sum(bit_count(bits)), 0)::bigint AS n FROM lease_bits
			WHERE purpose <> 12) b`) // valid billing notices are counted nowhere
	if err != nil {
		return totals{}, err
	}
	return pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[totals])
}

// check reports where the books disagree with each other; they never may.
func (b totals) check(t interface {
	Helper()
	Errorf(string, ...any)
}) {
	t.Helper()
	f := func(what string, x, y money.Micros) {
		t.Helper()
		if x != y {
			t.Errorf("%s: %s and %s", what, x, y)
		}
	}
	f("settled: lifetime and days", b.Settled, b.SettledDay)
	f("leased: lifetime and days", b.Leased, b.LeasedDay)
	f("settled: accounts and ledger", b.Settled, b.Charged)
	f("settled: accounts and leases", b.Settled, b.LeaseSettled)
	f("leased: accounts and leases", b.Leased, b.LeaseHeld)
	f("charged: ledger and report", b.Charged, b.Spend)
	f("overage: ledger and report", b.Overage, b.ReportOverage)
	n := func(what string, x, y int64) { t.Helper(); f(what, money.Micros(x), money.Micros(y)) }
	n("impressions settled: accounts and ledger", b.SettledN, b.ChargedN)
	n("impressions settled: accounts and leases", b.SettledN, b.LeaseSettledN)
	n("impressions leased: accounts and leases", b.LeasedN, b.LeaseHeldN)
	n("impressions: ledger and report", b.ChargedN+b.OverageN+b.LateN, b.Impressions)
	n("late: ledger and report", b.LateN, b.ReportLate)
	n("events and their bits", b.Impressions+b.Clicks+b.Views+b.WinsAndVideo+b.Invalid, b.Bits)
}
