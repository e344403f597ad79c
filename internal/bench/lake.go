package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/oklog/ulid/v2"

	"github.com/hayate-ads/hayate/batch/lake"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/bucket"
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/postgres"
	"github.com/hayate-ads/hayate/internal/postgres/cluster"
)

var lakeFigures = []string{"lake.events_per_second", "lake.bytes_per_event", "lake.memory_mb"}

// The lake's workload: two settled hours of segments in a bucket that is a
// folder. The first is a tenth of the second, to see whether memory grows.
const (
	lakeEvents       = 5_000_000
	lakeSegment      = 20_000 // records
	lakeProcesses    = 10
	lakeLeases       = 1_000
	lakeLineItems    = 500
	lakeDuplicates   = 20 // one in so many is one
	lakePostgresName = "postgres-lake"
)

// lake measures the job that writes Parquet, from segments in the bucket to
// files in the bucket, as a process of its own on one core.
func (b *bench) lake(ctx context.Context) (err error) {
	pg, err := cluster.Start(ctx, cluster.Config{Dir: filepath.Join(b.dir, lakePostgresName), Durable: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pg.Stop(ctx)) }()
	url, folder := pg.URL("postgres"), filepath.Join(b.dir, "lake-bucket")
	if err := postgres.Migrate(ctx, url); err != nil {
		return err
	}
	events := lakeEvents
	if b.quick {
		events /= 10
	}
	w := lakeWorld{folder: folder, random: rand.New(rand.NewPCG(seed, 0))}
	if err := w.make(ctx, url, events); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	c := exec.CommandContext(ctx, self, "lake", url, folder)
	c.Env = append(os.Environ(), "GOMAXPROCS=1")
	c.Stdout, c.Stderr = b.out, os.Stderr
	return c.Run()
}

// lakePart is that process: bench lake DATABASE FOLDER. Its speed is in seconds
// of processor time, the kernel's and the collector's included: what one core
// does that nobody else uses.
func lakePart(args []string) (err error) {
	if len(args) != 2 {
		return errors.New("usage: bench lake DATABASE FOLDER")
	}
	ctx, b := context.Background(), &bench{only: os.Getenv("ONLY"), out: os.Stdout}
	db, err := postgres.Open(ctx, args[0])
	if err != nil {
		return err
	}
	defer db.Close()
	objects, err := bucket.Open(ctx, "file://"+args[1])
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, objects.Close()) }()
	w := &lake.Writer{DB: db, Bucket: objects}
	if _, err := w.Run(ctx); err != nil { // the small hour
		return err
	}
	small := resident("VmHWM:") / 1e6
	if _, err := db.Pool.Exec(ctx, "UPDATE settlement SET watermark = watermark + interval '1 hour'"); err != nil {
		return err
	}
	begun, used := time.Now(), processorTime()
	result, err := w.Run(ctx)
	if err != nil {
		return err
	}
	wall, processor := time.Since(begun), processorTime()-used
	large := resident("VmHWM:") / 1e6
	var events, bytes int64
	if err := db.Pool.QueryRow(ctx, "SELECT events, bytes FROM lake_part ORDER BY hour DESC LIMIT 1").Scan(&events, &bytes); err != nil {
		return err
	}
	note("lake: %s; %s by the clock, %s of processor time; memory was at most %.1f MB after an hour of a tenth as many events", result.Message, wall, processor, small)
	b.print("lake.events_per_second", float64(events)/processor.Seconds(), "1/s")
	b.print("lake.bytes_per_event", float64(bytes)/float64(events), "bytes")
	b.print("lake.memory_mb", large, "MB")
	return nil
}

// lakeWorld makes settled segments and what Postgres notes of them.
type lakeWorld struct {
	folder string
	random *rand.Rand
	used   [lakeLeases]uint32
	rows   [][]any
}

var lakeNoon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func (w *lakeWorld) make(ctx context.Context, url string, events int) error {
	for hour, n := range []int{events / 10, events} {
		for i := range n / lakeSegment {
			seq := uint64(hour*1_000_000 + i/lakeProcesses + 1)
			at := lakeNoon.Add(time.Duration(hour)*time.Hour + time.Duration(i)*time.Hour/time.Duration(n/lakeSegment))
			if err := w.segment(lakeULID(i%lakeProcesses), seq, at); err != nil {
				return err
			}
		}
	}
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	columns := []string{"process_id", "seq", "sha256", "records", "first_at", "last_at", "batch", "outcomes"}
	_, err = conn.CopyFrom(ctx, pgx.Identifier{"segment"}, columns, pgx.CopyFromRows(w.rows))
	if err == nil {
		_, err = conn.Exec(ctx, "UPDATE settlement SET batch = 1, watermark = $1", lakeNoon.Add(time.Hour))
	}
	return errors.Join(err, conn.Close(ctx))
}

func lakeULID(n int) ulid.ULID {
	return ulid.MustNew(ulid.Timestamp(lakeNoon)+uint64(n%7), rand.NewChaCha8([32]byte{byte(n), byte(n >> 8), 1}))
}

// segment puts one segment where delivery would, its records some 50 µs apart.
func (w *lakeWorld) segment(process ulid.ULID, seq uint64, from time.Time) error {
	writer := event.NewWriter(process, seq)
	body := writer.AppendHeader(make([]byte, 0, lakeSegment*100))
	outcomes := make([]event.Outcome, 0, lakeSegment/lakeDuplicates)
	var rec event.Record
	for i := range lakeSegment {
		w.record(&rec, from.Add(time.Duration(i)*50*time.Microsecond))
		body = writer.AppendRecord(body, &rec)
		if i%lakeDuplicates == 0 {
			outcomes = append(outcomes, event.Outcome{Index: uint32(i), Fate: event.Duplicate})
		}
	}
	body = writer.AppendFooter(body)
	path := filepath.Join(w.folder, filepath.FromSlash(event.SegmentName(process, seq)))
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, body, 0o644)); err != nil {
		return err
	}
	sum := sha256.Sum256(body)
	w.rows = append(w.rows, []any{process, int64(seq), sum[:], int64(lakeSegment), from, rec.At, int64(1), event.AppendOutcomes([]byte{}, outcomes)})
	return nil
}

var lakeTypes = [...]event.Type{
	event.Impression, event.Impression, event.Impression, event.Impression, event.Impression, event.Impression,
	event.Viewable, event.Viewable, event.Viewable, event.Progress,
}

// record is one landing of a random lease: mostly impressions and viewable ones,
// one click in a hundred, one conversion in a thousand.
func (w *lakeWorld) record(rec *event.Record, at time.Time) {
	lease := w.random.IntN(lakeLeases)
	w.used[lease]++
	price := money.Micros(500 + 10*(lease%100))
	*rec = event.Record{Type: lakeTypes[w.random.IntN(len(lakeTypes))], At: at, Landing: event.Landing{
		Clearing: price,
		Reservation: event.Reservation{
			Process: lakeULID(lease % lakeProcesses), Lease: lakeLeaseIDs[lease], Index: w.used[lease] & event.MaxIndex,
			LineItem: ad.ID(1000 + lease%lakeLineItems), Creative: ad.ID(5000 + lease%lakeLineItems*3 + w.random.IntN(2)), Placement: ad.ID(1 + w.random.IntN(5)),
			Country: [...][2]byte{{'J', 'P'}, {'U', 'S'}, {'D', 'E'}, {'F', 'R'}, {}}[w.random.IntN(5)], Device: event.DeviceType(1 + w.random.IntN(3)),
			DecidedAt: at.Add(-time.Duration(w.random.IntN(20_000)) * time.Millisecond).Truncate(time.Millisecond), Hold: time.Minute, Generation: 77,
			Price: price, BidPrice: price, Share: 7000, Advertiser: ad.ID(1 + lease%50), Bills: event.BillsImpression,
		},
	}}
	switch w.random.IntN(1000) {
	case 0, 1, 2, 3, 4, 5, 6, 7, 8, 9:
		rec.Type = event.Click
	case 10:
		rec.Type = event.Conversion
		rec.Action = &event.Action{OrderID: fmt.Sprint("order-", w.random.IntN(1e9)), Value: 12_340_000, TouchedAt: at.Truncate(time.Second)}
	case 11:
		rec.Landing.Invalid = event.InvalidBot
	}
	if rec.Type == event.Progress {
		rec.Landing.Quartile = event.Quartile(w.random.IntN(5))
	}
}

var lakeLeaseIDs = func() (ids [lakeLeases]ulid.ULID) {
	for i := range ids {
		ids[i] = lakeULID(100 + i)
	}
	return ids
}()
