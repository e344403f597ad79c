package lake

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/parquet-go/parquet-go"
	"gocloud.dev/blob"
	"gocloud.dev/blob/memblob"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/postgres"
	"github.com/hayate-ads/hayate/internal/postgres/postgrestest"
)

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// world is a database and a bucket as settle leaves them; the tests say what
// settle did.
type world struct {
	t      testing.TB
	db     *postgres.DB
	bucket *blob.Bucket
	writer *Writer
	batch  int64
	random *rand.Rand
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, db: &postgres.DB{Pool: postgrestest.New(t)}, bucket: memblob.OpenBucket(nil), random: rand.New(rand.NewPCG(1, 2))}
	t.Cleanup(func() { _ = w.bucket.Close() })
	w.writer = &Writer{DB: w.db, Bucket: w.bucket, Currency: "USD", RowGroup: 2000}
	return w
}

func (w *world) exec(sql string, args ...any) {
	w.t.Helper()
	if _, err := w.db.Pool.Exec(w.t.Context(), sql, args...); err != nil {
		w.t.Fatal(err)
	}
}

// pass moves the watermark.
func (w *world) pass(at time.Time) {
	w.t.Helper()
	w.exec("UPDATE settlement SET watermark = $1", at)
}

// logged is a segment with what settle noted of it.
type logged struct {
	process  ulid.ULID
	seq      uint64
	records  []event.Record
	outcomes []event.Outcome
}

// settle books segments as one batch. Those that it books are in the bucket.
func (w *world) settle(segments ...logged) {
	w.t.Helper()
	w.batch++
	for _, s := range segments {
		body := encode(s)
		if err := w.bucket.WriteAll(w.t.Context(), event.SegmentName(s.process, s.seq), body, nil); err != nil {
			w.t.Fatal(err)
		}
		sum := sha256.Sum256(body)
		w.exec(`INSERT INTO segment (process_id, seq, sha256, records, first_at, last_at, batch, outcomes) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
			s.process, int64(s.seq), sum[:], len(s.records), s.records[0].At, s.records[len(s.records)-1].At, w.batch,
			event.AppendOutcomes([]byte{}, s.outcomes))
	}
	w.exec("UPDATE settlement SET batch = $1", w.batch)
}

func encode(s logged) []byte {
	writer := event.NewWriter(s.process, s.seq)
	b := writer.AppendHeader(nil)
	for i := range s.records {
		b = writer.AppendRecord(b, &s.records[i])
	}
	return writer.AppendFooter(b)
}

func (w *world) run() postgres.JobResult {
	w.t.Helper()
	result, err := w.writer.Run(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return result
}

func process(n byte) ulid.ULID {
	id := ulid.MustNew(ulid.Timestamp(noon), nil)
	id[15] = n
	return id
}

// token is a reservation; every index is one.
func (w *world) token(index int) event.Reservation {
	lease := process(200)
	lease[14] = byte(index >> 16)
	return event.Reservation{
		Process: process(1), Lease: lease, Index: uint32(index & 0xffff), LineItem: ad.ID(10 + index%3), Creative: 20, Placement: 30,
		Country: [2]byte{'J', 'P'}, Device: event.Mobile, DecidedAt: noon, Hold: time.Minute, Generation: 5,
		Price: 2000, BidPrice: 2000, Share: 6667, Advertiser: 3, Bills: event.BillsImpression,
	}
}

func (w *world) landing(at time.Time, kind event.Type, index int) event.Record {
	r := w.token(index)
	r.DecidedAt = at.Add(-time.Second).Truncate(time.Millisecond)
	return event.Record{Type: kind, At: at, Landing: event.Landing{Reservation: r, Clearing: r.Price}}
}

// impressions are n impressions within some seconds from at on.
func (w *world) impressions(at time.Time, first, n int) []event.Record {
	records := make([]event.Record, n)
	for i := range records {
		records[i] = w.landing(at.Add(time.Duration(i)*time.Millisecond), event.Impression, first+i)
	}
	return records
}

// objects are the names in the bucket that begin so, without what is before.
func objects(t testing.TB, b *blob.Bucket, prefix string) (keys []string) {
	t.Helper()
	list := b.List(&blob.ListOptions{Prefix: prefix})
	for {
		object, err := list.Next(context.WithoutCancel(t.Context()))
		if errors.Is(err, io.EOF) {
			return keys
		}
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, strings.TrimPrefix(object.Key, prefix))
	}
}

// table reads all rows of a table, in the order of its files. Like every reader
// it leaves alone what is not named so.
func table[T any](t testing.TB, b *blob.Bucket, prefix string) (rows []T) {
	t.Helper()
	for _, key := range objects(t, b, prefix) {
		if !strings.HasSuffix(key, ".parquet") {
			continue
		}
		body, err := b.ReadAll(t.Context(), prefix+key)
		if err != nil {
			t.Fatal(err)
		}
		found, err := parquet.Read[T](bytes.NewReader(body), int64(len(body)))
		if err != nil {
			t.Fatalf("%s: %v", prefix+key, err)
		}
		rows = append(rows, found...)
	}
	return rows
}

func (w *world) events() []Event { w.t.Helper(); return table[Event](w.t, w.bucket, "lake/events/") }

// sums is what a lake says as a whole.
type sums struct {
	Events, Distinct          int
	Charged, Overage, Revenue money.Micros
}

func summed(rows []Event) (s sums) {
	type key struct {
		kind, lease, invalid string
		index, quartile      int32
	}
	seen := map[key]bool{}
	for i := range rows {
		r := &rows[i]
		k := key{kind: r.Type, lease: r.Lease, invalid: r.Invalid, index: r.Index}
		if r.Quartile != nil {
			k.quartile = *r.Quartile
		}
		seen[k] = true
		s.Events++
		s.Charged += money.Micros(r.Charged)
		s.Overage += money.Micros(r.Overage)
		s.Revenue += money.Micros(r.Revenue)
	}
	s.Distinct = len(seen)
	return s
}
