// Package logtest is a small world for tests of jobs that read the event log: a
// bank, a bucket, processes that lease, log and ship, and the clock that all of
// them live by.
package logtest

import (
	"context"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"gocloud.dev/blob"

	"github.com/hayate-ads/hayate/batch/settle"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/postgres"
)

const (
	Price = money.Micros(2000) // of one impression, at the CPM of every line item
	Hold  = 20 * time.Second
	Share = 6667 // of publishers, basis points
)

// Noon is when worlds begin, by default.
var Noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// Fataler is what steps need of a test; rapid's are none of testing's.
type Fataler interface {
	Helper()
	Fatal(args ...any)
}

// Must is for steps that a test is not about.
func Must[T any](t Fataler) func(T, error) T {
	return func(value T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

// World is made by [New]. DB may be replaced by another one, as by a restore.
type World struct {
	T          Fataler
	DB         *postgres.DB
	Bucket     *blob.Bucket
	Bank       postgres.BankConfig
	Advertiser ad.ID
	Campaign   ad.ID
	Placement  ad.ID
	now        time.Time
}

var background = context.Background()

// New fills an empty database and begins at a moment of a UTC day.
func New(t testing.TB, db *postgres.DB, bucket *blob.Bucket, now time.Time) *World {
	t.Helper()
	w := &World{T: t, DB: db, Bucket: bucket, now: now, Bank: postgres.BankConfig{
		LeaseTTL: 120 * time.Second, MaxAge: 60 * time.Second, LongestHold: 40 * time.Second,
		LostAfter: 15 * time.Second, Grace: 5 * time.Second, Margin: 5 * time.Second,
	}}
	advertiser := Must[ad.Advertiser](t)(db.CreateAdvertiser(background, postgres.System,
		ad.Advertiser{Name: "Shop", Domain: "shop.example", TimeZone: "UTC"}))
	w.Advertiser = advertiser.ID
	w.Campaign = Must[ad.Campaign](t)(db.CreateCampaign(background, postgres.System,
		ad.Campaign{AdvertiserID: advertiser.ID, Name: "Spring", StartsAt: now.AddDate(-1, 0, 0)})).ID
	publisher := Must[ad.Publisher](t)(db.CreatePublisher(background, postgres.System, ad.Publisher{Name: "News", Domain: "news.example"}))
	property := Must[ad.Property](t)(db.CreateProperty(background, postgres.System,
		ad.Property{PublisherID: publisher.ID, Name: "News", Kind: ad.Site, Domain: "news.example", RevenueShare: Share}))
	w.Placement = Must[ad.Placement](t)(db.CreatePlacement(background, postgres.System, ad.Placement{
		PropertyID: property.ID, Name: "Top", Formats: []ad.Format{ad.Banner}, Sizes: []ad.Size{{Width: 300, Height: 250}},
	})).ID
	w.exec(`CREATE TABLE clock (now timestamptz NOT NULL)`)
	w.exec(`INSERT INTO clock VALUES ($1)`, now)
	w.exec(`CREATE OR REPLACE FUNCTION bank_now() RETURNS timestamptz LANGUAGE sql VOLATILE RETURN (SELECT now FROM clock)`)
	w.exec(`UPDATE settlement SET ticked_at = $1, up_since = $1`, now)
	return w
}

func (w *World) exec(sql string, args ...any) {
	w.T.Helper()
	if _, err := w.DB.Pool.Exec(background, sql, args...); err != nil {
		w.T.Fatal(err)
	}
}

// Now is what the bank's clock shows.
func (w *World) Now() time.Time { return w.now }

// SetClock brings the database's clock to Now, as after a restore.
func (w *World) SetClock() { w.T.Helper(); w.exec("UPDATE clock SET now = $1", w.now) }

// Add moves the clock by d.
func (w *World) Add(d time.Duration) { w.T.Helper(); w.now = w.now.Add(d); w.SetClock() }

// LineItem makes a line item whose budgets buy so many impressions.
func (w *World) LineItem(lifetime, daily int64) ad.LineItem {
	w.T.Helper()
	life, day := Price*money.Micros(lifetime), Price*money.Micros(daily)
	return Must[ad.LineItem](w.T)(w.DB.CreateLineItem(background, postgres.System, ad.LineItem{
		CampaignID: w.Campaign, Name: "Japan", Tier: ad.Auction, CPM: Price * 1000,
		LifetimeBudget: &life, DailyBudget: &day, StartsAt: w.now.AddDate(-1, 0, 0),
	}))
}

// Stream is a process: what it logged, and how much of that is in the bucket.
type Stream struct {
	Process ulid.ULID
	Seq     uint64 // shipped
	Newest  ulid.ULID
	Pending []event.Record
}

var entropy = ulid.DefaultEntropy()

// NewULID mints an id at the world's time.
func (w *World) NewULID() ulid.ULID { return ulid.MustNew(ulid.Timestamp(w.now), entropy) }

// Process starts a process and lets it report to the bank.
func (w *World) Process() *Stream {
	w.T.Helper()
	s := &Stream{Process: w.NewULID()}
	w.Beat(s)
	return s
}

// TryBeat lets a process report to the bank.
func (w *World) TryBeat(s *Stream) (postgres.HeartbeatAnswer, error) {
	beat := postgres.Heartbeat{Process: s.Process, StartedAt: w.now, SafeAt: w.now, SafeSegment: s.Seq, NewestLease: s.Newest}
	if len(s.Pending) > 0 {
		beat.SafeSegment++
	}
	return w.DB.Heartbeat(background, beat)
}

// Beat is TryBeat where it has to succeed.
func (w *World) Beat(s *Stream) postgres.HeartbeatAnswer {
	w.T.Helper()
	return Must[postgres.HeartbeatAnswer](w.T)(w.TryBeat(s))
}

// Log appends a record to a process's log, now.
func (w *World) Log(s *Stream, rec event.Record) {
	rec.At = w.now
	s.Pending = append(s.Pending, rec)
}

// Ship puts what is pending into the bucket, as the stream's next segment.
func (w *World) Ship(s *Stream) {
	w.T.Helper()
	s.Seq++
	writer := event.NewWriter(s.Process, s.Seq)
	b := writer.AppendHeader(nil)
	for i := range s.Pending {
		b = writer.AppendRecord(b, &s.Pending[i])
	}
	if err := w.Bucket.WriteAll(background, event.SegmentName(s.Process, s.Seq), writer.AppendFooter(b), nil); err != nil {
		w.T.Fatal(err)
	}
	s.Pending = nil
}

// TryGrant asks for a lease of so many impressions, no fewer; what is granted is opened in the log.
func (w *World) TryGrant(s *Stream, lineItem ad.ID, impressions int64) (postgres.Grant, error) {
	want := postgres.Want{Lease: w.NewULID(), LineItem: lineItem, Micros: Price * money.Micros(impressions), Impressions: impressions, Least: impressions}
	grants, err := w.DB.Grant(background, s.Process, []postgres.Want{want}, w.Bank)
	if err != nil {
		return postgres.Grant{}, err
	}
	if grants[0].Refused == "" {
		s.Newest = grants[0].Lease
		w.Log(s, event.Record{Type: event.Open, Lease: leaseOf(grants[0])})
	}
	return grants[0], nil
}

// Grant is TryGrant where it has to succeed, refused or not.
func (w *World) Grant(s *Stream, lineItem ad.ID, impressions int64) postgres.Grant {
	w.T.Helper()
	return Must[postgres.Grant](w.T)(w.TryGrant(s, lineItem, impressions))
}

func leaseOf(g postgres.Grant) event.Lease {
	return event.Lease{ID: g.Lease, LineItem: g.LineItem, Day: g.Day, Granted: g.Micros, GrantedImpressions: g.Impressions}
}

// Token is a reservation of a lease, decided now.
func (w *World) Token(s *Stream, g postgres.Grant, index uint32) event.Reservation {
	return event.Reservation{
		Process: s.Process, Lease: g.Lease, Index: index, Advertiser: w.Advertiser, LineItem: g.LineItem, Creative: 7, Placement: w.Placement,
		Country: [2]byte{'J', 'P'}, Device: event.Mobile,
		DecidedAt: w.now, Hold: Hold, Price: Price, BidPrice: Price, Share: Share, Bills: event.BillsImpression,
	}
}

// Landing is a call of one of a reservation's URLs.
func Landing(kind event.Type, r event.Reservation) event.Record {
	return event.Record{Type: kind, Landing: event.Landing{Reservation: r, Clearing: r.BidPrice}}
}

// Closing is the CLOSE of a lease with so many reservations, the last one made now.
func (w *World) Closing(g postgres.Grant, reserved int64) event.Record {
	rec := event.Record{Type: event.Close, Lease: leaseOf(g)}
	rec.Lease.Reserved, rec.Lease.ReservedCount = Price*money.Micros(reserved), reserved
	if reserved > 0 {
		rec.Lease.LastExpiry = w.now.Add(Hold)
	}
	return rec
}

// TrySettle settles all that is in the bucket.
func (w *World) TrySettle() error {
	_, err := settle.Once(background, settle.Config{DB: w.DB, Bucket: w.Bucket, Bank: w.Bank})
	return err
}

// Settle is TrySettle where it has to succeed.
func (w *World) Settle() {
	w.T.Helper()
	if err := w.TrySettle(); err != nil {
		w.T.Fatal(err)
	}
}

// Pass lets time go by as it does: the settler ticks, and these processes report.
func (w *World) Pass(d time.Duration, alive ...*Stream) {
	w.T.Helper()
	for d > 0 {
		step := min(d, 5*time.Second)
		d -= step
		w.Add(step)
		for _, s := range alive {
			w.Beat(s)
		}
		w.Settle()
	}
}
