package lake

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"

	"github.com/hayate-ads/hayate/internal/bucket"
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/money"
)

func TestHourIsWrittenOnceItIsComplete(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if got := w.run(); got.Message != "nothing was ever settled" || got.Lag != 0 {
		t.Errorf("before anything was settled: %+v", got)
	}
	w.settle(logged{process: process(1), seq: 1, records: w.impressions(noon, 0, 5000)})
	w.pass(noon.Add(time.Hour - time.Microsecond))
	w.run()
	if found := objects(t, w.bucket, "lake/events/"); len(found) > 0 {
		t.Fatalf("an hour that is not over is in the lake: %s", found)
	}
	w.pass(noon.Add(time.Hour))
	got := w.run()
	if !strings.HasPrefix(got.Message, "1 hours, 1 parts, 5000 events, ") || !strings.HasSuffix(got.Message, "complete before 2026-11-20T13:00:00Z") {
		t.Errorf("said %q", got.Message)
	}
	want := []string{"date=2026-11-20/hour=12/part-0000.parquet"}
	if diff := cmp.Diff(want, objects(t, w.bucket, "lake/events/")); diff != "" {
		t.Error(diff)
	}
	rows := w.events()
	price := money.Micros(2000)
	if got, want := summed(rows), (sums{5000, 5000, 5000 * price, 0, 5000 * 1333}); got != want {
		t.Errorf("the lake says %+v, want %+v", got, want)
	}
	if !slices.IsSortedFunc(rows, func(a, b Event) int { return int(a.EventAt - b.EventAt) }) {
		t.Error("rows are not in the order of the log")
	}
	if got := w.run(); !strings.HasPrefix(got.Message, "0 hours, 0 parts, 0 events") {
		t.Errorf("a second run said %q", got.Message)
	}
}

// What readers skip by: row groups of the size asked for, the least and greatest
// value of each column, and Bloom filters.
func TestRowGroups(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.settle(logged{process: process(1), seq: 1, records: w.impressions(noon, 0, 5000)})
	w.pass(noon.Add(time.Hour))
	w.run()
	body, err := w.bucket.ReadAll(t.Context(), "lake/events/date=2026-11-20/hour=12/part-0000.parquet")
	if err != nil {
		t.Fatal(err)
	}
	file, err := parquet.OpenFile(bytes.NewReader(body), int64(len(body)))
	if err != nil {
		t.Fatal(err)
	}
	var sizes []int64
	for _, group := range file.RowGroups() {
		sizes = append(sizes, group.NumRows())
		for i, column := range group.ColumnChunks() {
			name := file.Schema().Columns()[i][0]
			if filtered := column.BloomFilter() != nil; filtered != (name == "line_item" || name == "lease") {
				t.Errorf("%s: a Bloom filter: %v", name, filtered)
			}
		}
	}
	if diff := cmp.Diff([]int64{2048, 2048, 904}, sizes); diff != "" { // 2000 in steps of 512
		t.Errorf("row groups: %s", diff)
	}
	column, _ := file.Schema().Lookup("line_item")
	for _, group := range file.Metadata().RowGroups {
		stats := group.Columns[column.ColumnIndex].MetaData.Statistics
		if low, high := binary.LittleEndian.Uint64(stats.MinValue), binary.LittleEndian.Uint64(stats.MaxValue); low != 10 || high != 12 {
			t.Errorf("line items between %d and %d, want 10 and 12", low, high)
		}
	}
}

func TestRow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	at := noon.Add(5 * time.Minute)
	exchange := w.landing(at, event.Impression, 1)
	exchange.Landing.Reservation.Bills, exchange.Landing.Reservation.Exchange = event.BillsBilling, 4
	exchange.Landing.Reservation.Deal, exchange.Landing.Reservation.BidPrice = 9, 3000
	exchange.Landing.Clearing = 1500 // half the bid: half the price
	billed := exchange
	billed.Type = event.Billing
	bot := w.landing(at, event.Impression, 2)
	bot.Landing.Invalid = event.InvalidBot
	suspect := w.landing(at, event.Click, 3)
	suspect.Landing.Reservation.Flags, suspect.Landing.Reservation.Country = event.Suspect, [2]byte{}
	buy := w.landing(at, event.Conversion, 4)
	buy.Landing.Reservation.Bills = event.BillsConversion
	buy.Action = &event.Action{OrderID: "A-1", Value: 12_340_000, PostView: true, TouchedAt: noon}
	played := w.landing(at, event.Progress, 5)
	played.Landing.Quartile = event.Midpoint
	records := []event.Record{exchange, billed, bot, suspect, buy, played}
	for i := range 4 {
		records = append(records, w.landing(at, event.Impression, 10+i))
	}
	w.settle(logged{process: process(1), seq: 1, records: records, outcomes: []event.Outcome{
		{Index: 6, Fate: event.Duplicate}, {Index: 7, Fate: event.Short, Charged: 500, Overage: 1500},
		{Index: 8, Fate: event.TooLate}, {Index: 9, Fate: event.Refused},
	}})
	w.pass(noon.Add(2 * time.Hour))
	w.run()

	order, value, touched, yes, two := "A-1", int64(12_340_000), noon.UnixMilli(), true, int32(2)
	row := func(kind string, index int32, change func(*Event)) Event {
		e := Event{
			Type: kind, EventAt: at.UnixMicro(), DecidedAt: at.UnixMilli() - 1000, ReportHour: noon.UnixMilli(), Advertiser: 3,
			LineItem: int64(10 + index%3), Creative: 20, Placement: 30, Country: "JP", Device: "mobile", Process: process(1).String(),
			Lease: w.token(0).Lease.String(), Index: index, Generation: 5, Price: 2000, BidPrice: 2000, Clearing: 2000, Bills: "impression", Share: 6667,
		}
		change(&e)
		return e
	}
	sold := func(e *Event) { e.Exchange, e.Deal, e.BidPrice, e.Clearing, e.Bills = 4, 9, 3000, 1500, "billing" }
	want := []Event{
		row("impression", 1, sold),
		row("billing", 1, func(e *Event) { sold(e); e.Charged, e.Revenue = 1000, 666 }),
		row("impression", 2, func(e *Event) { e.Invalid = "bot" }),
		row("click", 3, func(e *Event) { e.Invalid, e.Country = "suspect", "" }),
		row("conversion", 4, func(e *Event) {
			e.Bills, e.Charged, e.Revenue = "conversion", 2000, 1333
			e.OrderID, e.Value, e.PostView, e.TouchedAt = &order, &value, &yes, &touched
		}),
		row("progress", 5, func(e *Event) { e.Quartile = &two }),
		row("impression", 11, func(e *Event) { e.Charged, e.Overage, e.Revenue = 500, 1500, 333 }),
		row("impression", 12, func(e *Event) { e.Late = true }),
	}
	if diff := cmp.Diff(want, w.events()); diff != "" {
		t.Error(diff)
	}
}

func TestRequests(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	count := func(n int64, why string) event.Record {
		return event.Record{Type: event.Requests, At: noon, Requests: event.Count{Hour: noon.Add(-time.Hour), Placement: 30, Exchange: 2, NoFill: why, N: n}}
	}
	w.settle(logged{process: process(1), seq: 1, records: []event.Record{count(7, ""), count(5, "no_match"), count(1<<41, "")},
		outcomes: []event.Outcome{{Index: 2, Fate: event.Refused}}})
	w.pass(noon.Add(time.Hour))
	w.run()
	row := RequestCount{EventAt: noon.UnixMicro(), ReportHour: noon.Add(-time.Hour).UnixMilli(), Placement: 30, Exchange: 2, Decisions: 7, Process: process(1).String()}
	unfilled := row
	unfilled.NoFill, unfilled.Decisions = "no_match", 5
	if diff := cmp.Diff([]RequestCount{row, unfilled}, table[RequestCount](t, w.bucket, "lake/requests/")); diff != "" {
		t.Error(diff)
	}
	if found := objects(t, w.bucket, "lake/events/"); len(found) > 0 {
		t.Errorf("files without events: %s", found)
	}
}

// A segment over the hour's end gives each hour its own, and what is settled
// afterwards becomes another part of each.
func TestLateSegmentsAreFurtherParts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one := noon.Add(time.Hour)
	across := func(first int) []event.Record {
		return append(w.impressions(one.Add(-time.Second), first, 10), w.impressions(one, first+10, 5)...)
	}
	w.settle(logged{process: process(1), seq: 1, records: across(0)})
	w.pass(one.Add(time.Minute))
	w.run()
	w.settle(logged{process: process(2), seq: 1, records: across(100)}, logged{process: process(1), seq: 2, records: w.impressions(one.Add(time.Hour), 200, 1)})
	w.run()
	w.pass(one.Add(2 * time.Hour))
	w.run()
	w.settle(logged{process: process(3), seq: 1, records: w.impressions(noon, 300, 7)})
	w.run()
	want := []string{
		"date=2026-11-20/hour=12/part-0000.parquet", "date=2026-11-20/hour=12/part-0001.parquet", "date=2026-11-20/hour=12/part-0002.parquet",
		"date=2026-11-20/hour=13/part-0000.parquet", "date=2026-11-20/hour=14/part-0000.parquet",
	}
	if diff := cmp.Diff(want, objects(t, w.bucket, "lake/events/")); diff != "" {
		t.Error(diff)
	}
	if got := summed(w.events()); got.Events != 38 || got.Distinct != 38 {
		t.Errorf("the lake says %+v, want 38 events", got)
	}
	status, err := w.bucket.ReadAll(t.Context(), "lake/status.json")
	if err != nil || string(status) != `{"complete_before":"2026-11-20T15:00:00Z"}` {
		t.Errorf("%s says %s (%v)", "lake/status.json", status, err)
	}
}

// Whatever the number of segments, readers and buffers: the same bytes.
func TestSameBytesAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var segments []logged
	for i := range 40 {
		records := w.impressions(noon.Add(time.Duration(i)*time.Minute), 1000*i, 300+i)
		segments = append(segments, logged{process: process(byte(i % 4)), seq: uint64(i/4 + 1), records: records,
			outcomes: []event.Outcome{{Index: uint32(i), Fate: event.Duplicate}}})
	}
	w.settle(segments...)
	w.pass(noon.Add(time.Hour))
	var first []byte
	for _, v := range []struct {
		readers int
		ahead   int64
	}{{0, 0}, {1, 1}, {3, 100_000}, {40, 1 << 30}} {
		w.writer.Readers, w.writer.Ahead = v.readers, v.ahead
		w.run()
		body, err := w.bucket.ReadAll(t.Context(), "lake/events/date=2026-11-20/hour=12/part-0000.parquet")
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = body
		}
		if !bytes.Equal(first, body) {
			t.Errorf("with %d readers and %d bytes ahead the file is another", v.readers, v.ahead)
		}
		w.exec("UPDATE lake_part SET written_at = NULL")
	}
}

func TestSkippedSegmentIsNamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var log bytes.Buffer
	w.writer.Log = slog.New(slog.NewTextHandler(&log, nil))
	w.settle(logged{process: process(1), seq: 1, records: w.impressions(noon, 0, 3)}, logged{process: process(1), seq: 2, records: w.impressions(noon, 10, 3)})
	w.exec("UPDATE segment SET skipped = 'burnt', first_at = NULL, last_at = NULL WHERE seq = 2")
	if err := w.bucket.Delete(t.Context(), event.SegmentName(process(1), 2)); err != nil {
		t.Fatal(err)
	}
	w.pass(noon.Add(time.Hour))
	w.run()
	w.run()
	if got := strings.Count(log.String(), "burnt"); got != 1 {
		t.Errorf("named %d times: %s", got, log.String())
	}
	if got := summed(w.events()); got.Events != 3 {
		t.Errorf("the lake says %+v", got)
	}
}

// A part that cannot be written is named, holds back only what is said to be
// complete, and is written when it can be.
func TestMissingSegment(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	f := func(what string, spoil func(key string, body []byte)) {
		t.Helper()
		w.settle(logged{process: process(byte(w.batch) + 1), seq: 1, records: w.impressions(noon.Add(time.Duration(w.batch)*2*time.Hour), 0, 3)},
			logged{process: process(byte(w.batch) + 1), seq: 2, records: w.impressions(noon.Add(time.Duration(w.batch)*2*time.Hour+time.Hour), 0, 3)})
		from := noon.Add(time.Duration(w.batch-1) * 2 * time.Hour)
		w.pass(from.Add(2 * time.Hour))
		key := event.SegmentName(process(byte(w.batch)), 1)
		body, err := w.bucket.ReadAll(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		spoil(key, bytes.Clone(body))
		result, err := w.writer.Run(t.Context())
		if err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%s: error %v does not name %s", what, err, key)
		}
		if want := "complete before " + from.Format(time.RFC3339) + ", 1 parts not written"; !strings.HasSuffix(result.Message, want) {
			t.Errorf("%s: said %q, want %q", what, result.Message, want)
		}
		if found := objects(t, w.bucket, folder(eventsTable, from)); len(found) > 0 {
			t.Errorf("%s: left %s behind", what, found)
		}
		if found := objects(t, w.bucket, folder(eventsTable, from.Add(time.Hour))); len(found) != 1 {
			t.Errorf("%s: the next hour has %s", what, found)
		}
		if err := w.bucket.WriteAll(t.Context(), key, body, nil); err != nil {
			t.Fatal(err)
		}
		w.run()
		if found := objects(t, w.bucket, folder(eventsTable, from)); len(found) != 1 {
			t.Errorf("%s: in the end the hour has %s", what, found)
		}
	}
	f("missing", func(key string, _ []byte) {
		if err := w.bucket.Delete(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	})
	f("damaged", func(key string, body []byte) {
		body[len(body)/2] ^= 1
		if err := w.bucket.WriteAll(t.Context(), key, body, nil); err != nil {
			t.Fatal(err)
		}
	})
}

// After the database was put back to an older copy and brought up to date, the
// lake holds each event once: parts that the copy did not know are replaced.
func TestOlderDatabase(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.settle(logged{process: process(1), seq: 1, records: w.impressions(noon, 0, 3)})
	w.pass(noon.Add(time.Hour))
	w.run()
	for i := range 3 { // three parts more, which the copy does not know
		w.settle(logged{process: process(byte(2 + i)), seq: 1, records: w.impressions(noon, 100*i+100, 3)})
		w.run()
	}
	w.exec("DELETE FROM lake_part WHERE part > 0")
	w.exec("DELETE FROM segment WHERE batch > 1")
	w.exec("UPDATE settlement SET batch = 1, halted = 'older'")
	w.batch = 1
	w.run() // while it is halted the lake stays as it is
	if got := objects(t, w.bucket, "lake/events/"); len(got) != 4 {
		t.Fatalf("parts of a halted database: %s", got)
	}
	w.settle(logged{process: process(2), seq: 1, records: w.impressions(noon, 100, 3)},
		logged{process: process(3), seq: 1, records: w.impressions(noon, 200, 3)},
		logged{process: process(4), seq: 1, records: w.impressions(noon, 300, 3)})
	w.exec("UPDATE settlement SET halted = ''")
	w.run()
	if got := objects(t, w.bucket, "lake/events/"); len(got) != 2 {
		t.Errorf("parts: %s", got)
	}
	if got := summed(w.events()); got.Events != 12 || got.Distinct != 12 {
		t.Errorf("the lake says %+v, want 12 events", got)
	}
}

// What is given up leaves no object behind, in a folder neither, whose driver
// takes any end of what it reads for the end of the file.
func TestAborted(t *testing.T) {
	t.Parallel()
	b, err := bucket.Open(t.Context(), "file://"+t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	f := create[Event](t.Context(), b, "lake/x.parquet", 600)
	for range 5000 {
		*f.next() = Event{Type: "click"}
		if err := f.keep(); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.abort(); err != nil {
		t.Error(err)
	}
	if found := objects(t, b, ""); len(found) > 0 {
		t.Errorf("left %s behind", found)
	}
}

func TestDimensions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec("INSERT INTO advertiser (name, domain, time_zone) VALUES ('Shop', 'shop.example', 'Asia/Tokyo')")
	w.exec("INSERT INTO campaign (advertiser_id, name, starts_at) VALUES (1, 'Spring', '2026-01-01')")
	for i := range 3 {
		w.exec("INSERT INTO line_item (campaign_id, name, tier, cpm, starts_at) VALUES (1, $1, 2, 0, '2026-01-01')", fmt.Sprint("Item ", i))
	}
	w.exec("INSERT INTO creative (line_item_id, name) VALUES (2, 'Big')")
	w.settle(logged{process: process(1), seq: 1, records: w.impressions(noon, 0, 3)})
	w.pass(noon.Add(time.Hour))
	w.run()
	item := LineItem{ID: 1, Name: "Item 0", Tier: "guaranteed", Campaign: 1, CampaignName: "Spring", Advertiser: 1, AdvertiserName: "Shop", TimeZone: "Asia/Tokyo", Currency: "USD"}
	want := []LineItem{item, item, item}
	want[1].ID, want[1].Name, want[2].ID, want[2].Name = 2, "Item 1", 3, "Item 2"
	if diff := cmp.Diff(want, table[LineItem](t, w.bucket, "lake/dimensions/line_items")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]Creative{{ID: 1, Name: "Big", LineItem: 2}}, table[Creative](t, w.bucket, "lake/dimensions/creatives")); diff != "" {
		t.Error(diff)
	}
	if got := table[Placement](t, w.bucket, "lake/dimensions/placements"); len(got) > 0 {
		t.Errorf("placements: %+v", got)
	}
}
