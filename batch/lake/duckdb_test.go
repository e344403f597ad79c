package lake

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/oklog/ulid/v2"

	"github.com/hayate-ads/hayate/batch/settle"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/bucket"
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/postgres"
	"github.com/hayate-ads/hayate/internal/postgres/postgrestest"
)

const (
	price = money.Micros(2003)
	hold  = 20 * time.Second
)

// market is a world in which settle itself is at work: processes that are
// granted leases, decide, and log what lands, some of it twice, late, invalid or
// beyond the lease.
type market struct {
	*world
	clock      *postgrestest.Clock
	bank       postgres.BankConfig
	advertiser ad.ID
	items      []ad.ID
	placements []ad.ID
	streams    []*stream
}

// stream is a process.
type stream struct {
	process ulid.ULID
	seq     uint64
	pending []event.Record
	grants  []*grant
	silent  bool
}

type grant struct {
	postgres.Grant
	tokens []event.Reservation
}

func newMarket(t *testing.T, folder string) *market {
	t.Helper()
	m := &market{world: newWorld(t), bank: postgres.BankConfig{
		LeaseTTL: 120 * time.Second, MaxAge: 60 * time.Second, LongestHold: 40 * time.Second,
		LostAfter: 15 * time.Second, Grace: 5 * time.Second, Margin: 5 * time.Second,
	}}
	b, err := bucket.Open(t.Context(), "file://"+folder)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	m.bucket, m.writer.Bucket = b, b
	ctx := t.Context()
	advertiser := must[ad.Advertiser](t)(m.db.CreateAdvertiser(ctx, postgres.System, ad.Advertiser{Name: "Shop", Domain: "shop.example", TimeZone: "UTC"}))
	campaign := must[ad.Campaign](t)(m.db.CreateCampaign(ctx, postgres.System, ad.Campaign{AdvertiserID: advertiser.ID, Name: "Spring", StartsAt: noon.AddDate(-1, 0, 0)}))
	publisher := must[ad.Publisher](t)(m.db.CreatePublisher(ctx, postgres.System, ad.Publisher{Name: "News", Domain: "news.example"}))
	property := must[ad.Property](t)(m.db.CreateProperty(ctx, postgres.System,
		ad.Property{PublisherID: publisher.ID, Name: "News", Kind: ad.Site, Domain: "news.example", RevenueShare: 6667}))
	for _, name := range []string{"Top", "Side"} {
		m.placements = append(m.placements, must[ad.Placement](t)(m.db.CreatePlacement(ctx, postgres.System, ad.Placement{
			PropertyID: property.ID, Name: name, Formats: []ad.Format{ad.Banner}, Sizes: []ad.Size{{Width: 300, Height: 250}},
		})).ID)
	}
	for i := range 4 {
		m.items = append(m.items, must[ad.LineItem](t)(m.db.CreateLineItem(ctx, postgres.System, ad.LineItem{
			CampaignID: campaign.ID, Name: fmt.Sprint("Item ", i), Tier: ad.Auction, CPM: price * 1000, StartsAt: noon.AddDate(-1, 0, 0),
		})).ID)
	}
	m.advertiser = advertiser.ID
	m.clock = postgrestest.NewClock(t, m.db.Pool, noon.Add(59*time.Minute+30*time.Second))
	settler := must[*postgres.Settler](t)(m.db.Settler(ctx))
	if err := errors.Join(settler.Check(ctx), settler.Close(ctx)); err != nil {
		t.Fatal(err)
	}
	return m
}

func must[T any](t testing.TB) func(T, error) T {
	return func(value T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func (m *market) start() {
	m.t.Helper()
	s := &stream{process: ulid.MustNew(ulid.Timestamp(m.clock.Now()), ulid.DefaultEntropy())}
	m.streams = append(m.streams, s)
	m.beat(s)
	for _, item := range m.items {
		n := 4 + m.random.Int64N(40)
		want := postgres.Want{
			Lease:    ulid.MustNew(ulid.Timestamp(m.clock.Now()), ulid.DefaultEntropy()),
			LineItem: item, Micros: price * money.Micros(n), Impressions: n,
		}
		granted := must[[]postgres.Grant](m.t)(m.db.Grant(m.t.Context(), s.process, []postgres.Want{want}, m.bank))[0]
		if granted.Refused != "" {
			m.t.Fatalf("not granted: %s", granted.Refused)
		}
		s.grants = append(s.grants, &grant{Grant: granted})
		m.log(s, event.Record{Type: event.Open, Lease: event.Lease{
			ID: granted.Lease, LineItem: item, Day: granted.Day, Granted: granted.Micros, GrantedImpressions: granted.Impressions,
		}})
	}
}

func (m *market) beat(s *stream) {
	m.t.Helper()
	beat := postgres.Heartbeat{Process: s.process, StartedAt: m.clock.Now(), SafeAt: m.clock.Now(), SafeSegment: s.seq}
	if len(s.pending) > 0 {
		beat.SafeSegment++
	}
	must[postgres.HeartbeatAnswer](m.t)(m.db.Heartbeat(m.t.Context(), beat))
}

func (m *market) log(s *stream, rec event.Record) {
	rec.At = m.clock.Now()
	s.pending = append(s.pending, rec)
}

// decide reserves: more tokens than the lease has room for, now and then.
func (m *market) decide(s *stream) {
	g := s.grants[m.random.IntN(len(s.grants))]
	r := event.Reservation{
		Process: s.process, Lease: g.Lease, Index: uint32(len(g.tokens)), LineItem: g.LineItem, Creative: ad.ID(7 + m.random.IntN(2)),
		Placement: m.placements[m.random.IntN(2)], Country: [...][2]byte{{'J', 'P'}, {'D', 'E'}, {}}[m.random.IntN(3)],
		Device: event.DeviceType(m.random.IntN(5)), DecidedAt: m.clock.Now().Truncate(time.Millisecond), Hold: hold, Generation: 5,
		Price: price, BidPrice: price, Share: 6667, Advertiser: m.advertiser, Bills: event.BillsImpression,
	}
	switch m.random.IntN(6) {
	case 0:
		r.Bills = event.BillsClick
	case 1:
		r.Bills = event.BillsConversion
	case 2, 3:
		r.Exchange, r.Deal, r.BidPrice = 4, 9, price*3
		r.Bills = [...]event.Bills{event.BillsWin, event.BillsBilling, event.BillsImpression}[m.random.IntN(3)]
	}
	if m.random.IntN(15) == 0 {
		r.Flags |= event.Suspect
	}
	if m.random.IntN(25) == 0 {
		r.Flags |= event.Test
	}
	g.tokens = append(g.tokens, r)
}

var landingTypes = [...]event.Type{
	event.Impression, event.Impression, event.Impression, event.Viewable, event.Click, event.Conversion, event.Progress, event.Win, event.Billing,
}

// land logs one landing of any process's token, at any process that answers.
func (m *market) land(s *stream) {
	of := m.streams[m.random.IntN(len(m.streams))]
	g := of.grants[m.random.IntN(len(of.grants))]
	if len(g.tokens) == 0 {
		return
	}
	r := g.tokens[m.random.IntN(len(g.tokens))]
	rec := event.Record{Type: landingTypes[m.random.IntN(len(landingTypes))], Landing: event.Landing{Reservation: r, Clearing: r.BidPrice}}
	if r.Exchange != 0 {
		rec.Landing.Clearing = r.BidPrice / money.Micros(1+uint64(r.Index%3)) // a decision has one
	}
	rec.Landing.Late = r.Exchange == 0 && m.clock.Now().After(r.DecidedAt.Add(r.Hold))
	switch rec.Type {
	case event.Progress:
		rec.Landing.Quartile = event.Quartile(m.random.IntN(5))
	case event.Conversion:
		rec.Action = &event.Action{Value: money.Micros(m.random.Int64N(1e9)), PostView: m.random.IntN(3) == 0, TouchedAt: r.DecidedAt.Truncate(time.Second)}
		if m.random.IntN(2) == 0 {
			rec.Action.OrderID = fmt.Sprint("order ", m.random.IntN(60))
		}
		if m.random.IntN(8) == 0 {
			rec.Action.TouchedAt = rec.Action.TouchedAt.AddDate(0, 0, -40)
		}
	}
	if m.random.IntN(20) == 0 {
		rec.Landing.Invalid = event.InvalidBot
	}
	m.log(s, rec)
	if m.random.IntN(10) == 0 { // the visitor's browser tried twice
		m.log(m.talking(), rec)
	}
	if m.random.IntN(10) == 0 {
		m.log(s, event.Record{Type: event.Requests, Requests: event.Count{
			Hour: m.clock.Now().Truncate(time.Hour), Placement: r.Placement, Exchange: r.Exchange, NoFill: [...]string{"", "no_match"}[m.random.IntN(2)], N: 1 + m.random.Int64N(50),
		}})
	}
}

func (m *market) talking() *stream {
	for {
		if s := m.streams[m.random.IntN(len(m.streams))]; !s.silent {
			return s
		}
	}
}

func (m *market) ship(s *stream) {
	m.t.Helper()
	if len(s.pending) == 0 {
		return
	}
	s.seq++
	body := encode(logged{process: s.process, seq: s.seq, records: s.pending})
	if err := m.bucket.WriteAll(m.t.Context(), event.SegmentName(s.process, s.seq), body, nil); err != nil {
		m.t.Fatal(err)
	}
	s.pending = nil
}

// pass lets time go by: those that are not silent ship and report, settle and
// the lake do their work.
func (m *market) pass(d time.Duration) {
	m.t.Helper()
	for _, s := range m.streams {
		if !s.silent {
			m.ship(s)
		}
	}
	m.clock.Add(d)
	for _, s := range m.streams {
		if !s.silent {
			m.beat(s)
		}
	}
	must[settle.Stats](m.t)(settle.Once(m.t.Context(), settle.Config{DB: m.db, Bucket: m.bucket, Bank: m.bank}))
	m.run()
}

// play goes on for some steps of a few seconds.
func (m *market) play(steps int) {
	m.t.Helper()
	for range steps {
		for range 150 {
			s := m.talking()
			m.decide(s)
			m.land(s)
			m.land(m.talking())
		}
		m.pass(time.Duration(1+m.random.IntN(6)) * time.Second)
	}
}

// TestDuckDBAgreesWithTheReports lets the jobs work for some hours, among them a
// process that is lost and comes back when its hours are long in the lake. Then
// the queries of docs/lake.md, run by DuckDB over the bucket's folder, have to
// say what the reports in Postgres say, row by row and to the micro.
func TestDuckDBAgreesWithTheReports(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	m := newMarket(t, folder)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	m.random = rand.New(rand.NewPCG(seed, 0))
	for range 3 {
		m.start()
	}
	m.play(16) // over one o'clock
	lost := m.streams[2]
	lost.silent = true
	for range 40 {
		m.decide(lost)
		m.land(lost)
	}
	m.play(10)
	for range 3 {
		m.clock.Add(time.Hour)
		m.start()
		m.play(3)
	}
	lost.silent = false
	m.ship(lost)
	m.play(2)
	m.finish()

	named, others := duckdb(t, folder, "SELECT count(*)::int AS files, count(DISTINCT regexp_extract(file, 'hour=..'))::int AS hours FROM glob('lake/events/*/*/*.parquet')")
	if files, hours := others[0][0]["files"].(float64), others[0][0]["hours"].(float64); hours < 4 || files <= hours {
		t.Errorf("%v files of %v hours: no hour has a late part", files, hours)
	}
	m.compare(named["report"], hourly)
	m.compare(named["audience"], audience)
	m.compare(named["supply"], supply)
	for what, total := range m.eventful() {
		if total == 0 {
			t.Errorf("nothing was %s: the comparison says nothing of it", what)
		}
	}
}

// finish ends the processes and lets the last hour pass.
func (m *market) finish() {
	m.t.Helper()
	for _, s := range m.streams {
		m.log(s, event.Record{Type: event.End})
	}
	m.pass(time.Second)
	m.clock.Add(2 * time.Hour)
	m.pass(time.Second)
}

// The reports, under the columns' names that the page's queries have.
const (
	hourly = `SELECT to_char(hour AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS+00') AS report_hour, line_item_id AS line_item, creative_id AS creative,
		placement_id AS placement, exchange_id AS exchange, impressions, viewables, clicks, wins, conversions, view_conversions,
		conversion_value_micros AS "conversion_value/", video_starts, video_first_quartiles, video_midpoints, video_third_quartiles, video_completes,
		spend_micros AS "spend/", overage_micros AS "overage/", revenue_micros AS "revenue/", late_impressions, invalid FROM report_hour`
	audience = `SELECT to_char(hour AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS+00') AS report_hour, line_item_id AS line_item, country, device, invalid,
		impressions, viewables, clicks, conversions, spend_micros AS "spend/" FROM report_audience_hour`
	supply = `SELECT to_char(hour AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS+00') AS report_hour, placement_id AS placement, exchange_id AS exchange, no_fill,
		decisions FROM report_supply_hour WHERE decisions > 0`
)

// compare brings both sides into lines of text. A column of the report whose name
// ends in a slash is in micros.
func (m *market) compare(rows []map[string]any, report string) {
	m.t.Helper()
	found, err := m.db.Pool.Query(m.t.Context(), report)
	if err != nil {
		m.t.Fatal(err)
	}
	columns := found.FieldDescriptions()
	want, err := pgx.CollectRows(found, func(row pgx.CollectableRow) (string, error) {
		values, err := row.Values()
		line := make([]string, len(values))
		for i, v := range values {
			line[i] = fmt.Sprintf("%s=%v", strings.TrimSuffix(columns[i].Name, "/"), v)
		}
		return strings.Join(line, " "), err
	})
	if err != nil {
		m.t.Fatal(err)
	}
	var got []string
	for _, row := range rows {
		line := make([]string, len(columns))
		for i, column := range columns {
			name, amount := strings.CutSuffix(column.Name, "/")
			value := fmt.Sprint(row[name])
			if amount {
				value = fmt.Sprint(int64(must[money.Micros](m.t)(money.Parse(value))))
			}
			line[i] = name + "=" + value
		}
		got = append(got, strings.Join(line, " "))
	}
	// A report may hold a row of which nothing is left but the key, the lake may
	// hold events that no report counts: both are rows of zeros.
	want, got = slices.DeleteFunc(want, empty), slices.DeleteFunc(got, empty)
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" || len(want) == 0 {
		m.t.Errorf("%d rows (-report +lake):\n%s", len(want), diff)
	}
}

// empty tells whether all that a row counts is 0.
func empty(line string) bool {
	_, counts, _ := strings.Cut(line, " impressions=")
	if counts == "" {
		return false // requests
	}
	for field := range strings.FieldsSeq("impressions=" + counts) {
		if !strings.HasSuffix(field, "=0") {
			return false
		}
	}
	return true
}

// eventful are sums over the report, all of which have to be more than 0.
func (m *market) eventful() map[string]int64 {
	m.t.Helper()
	sums := map[string]int64{}
	for _, column := range []string{
		"impressions", "viewables", "clicks", "wins", "conversions", "view_conversions", "video_starts", "video_completes",
		"late_impressions", "invalid", "spend_micros", "overage_micros", "revenue_micros",
	} {
		var total int64
		if err := m.db.Pool.QueryRow(m.t.Context(), "SELECT sum("+column+")::bigint FROM report_hour").Scan(&total); err != nil {
			m.t.Fatal(err)
		}
		sums[column] = total
	}
	return sums
}
