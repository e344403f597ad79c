package reconcile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/parquet-go/parquet-go"
	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// lakeKey is an hour of log time and the batch that settled what is in it.
type lakeKey struct {
	hour  int64 // Unix seconds
	batch int64
}

// lakeSum is what is compared of a part.
type lakeSum struct {
	events                    int64
	charged, overage, revenue money.Micros
}

func (s *lakeSum) add(t lakeSum) {
	s.events += t.events
	s.charged += t.charged
	s.overage += t.overage
	s.revenue += t.revenue
}

func (a *audit) addLake(rec *event.Record, batch int64, sum lakeSum) {
	key := lakeKey{rec.At.Truncate(time.Hour).Unix(), batch}
	if a.lake[key] == nil {
		a.lake[key] = &lakeSum{}
	}
	a.lake[key].add(sum)
}

// lakeRow is what of lake/events is compared; docs/lake.md has the whole schema.
type lakeRow struct {
	EventAt int64 `parquet:"event_at,timestamp(microsecond)"`
	Charged int64 `parquet:"charged,decimal(6:18)"`
	Overage int64 `parquet:"overage,decimal(6:18)"`
	Revenue int64 `parquet:"revenue,decimal(6:18)"`
}

func lakeName(p postgres.LakePart) string {
	return fmt.Sprintf("lake/events/date=%s/hour=%02d/part-%04d.parquet", p.Hour.Format(time.DateOnly), p.Hour.Hour(), p.Part)
}

// compareLake holds every written part of the day's hours against what its batches say
// of that hour, and looks for batches that no part has.
func (x *Auditor) compareLake(ctx context.Context, a *audit) error {
	newest := map[int64]int64{} // by hour, the last batch that a part has
	for _, part := range a.books.Lake {
		var want lakeSum
		for key, sum := range a.lake {
			if key.hour == part.Hour.Unix() && key.batch > part.AfterBatch && key.batch <= part.ThroughBatch {
				want.add(*sum)
				delete(a.lake, key)
			}
		}
		newest[part.Hour.Unix()] = max(newest[part.Hour.Unix()], part.ThroughBatch)
		got, err := x.readPart(ctx, a, part)
		if err != nil {
			return err
		}
		a.compareParts(lakeName(part), want, got)
	}
	for key, sum := range a.lake {
		if key.batch <= newest[key.hour] {
			a.compareParts(fmt.Sprintf("%s, batch %d, in no part", hourName(key.hour), key.batch), *sum, lakeSum{})
		}
	}
	return nil
}

func (a *audit) compareParts(name string, want, got lakeSum) {
	sheet[string]{"lake", []string{"events", "charged", "overage", "revenue"}, func(name string) string { return name }}.compare(a,
		map[string][]int64{name: want.figures()}, map[string][]int64{name: got.figures()})
}

func (s lakeSum) figures() []int64 {
	return []int64{s.events, int64(s.charged), int64(s.overage), int64(s.revenue)}
}

// readPart adds a part's rows up. A part without events has no file; one that
// should have a file is found by its figures.
func (x *Auditor) readPart(ctx context.Context, a *audit, part postgres.LakePart) (sum lakeSum, err error) {
	name := lakeName(part)
	attributes, err := x.Bucket.Attributes(ctx, name)
	if gcerrors.Code(err) == gcerrors.NotFound {
		return sum, nil
	}
	if err != nil {
		return sum, fmt.Errorf("read %s: %w", name, err)
	}
	file, err := parquet.OpenFile(&ranges{ctx, x.Bucket, name}, attributes.Size)
	if err != nil {
		return sum, fmt.Errorf("read %s: %w", name, err)
	}
	reader := parquet.NewGenericReader[lakeRow](file)
	defer reader.Close()
	rows := make([]lakeRow, 4096)
	misplaced := int64(0)
	for {
		n, err := reader.Read(rows)
		for _, row := range rows[:n] {
			sum.add(lakeSum{1, money.Micros(row.Charged), money.Micros(row.Overage), money.Micros(row.Revenue)})
			if at := time.UnixMicro(row.EventAt); at.Before(part.Hour) || !at.Before(part.Hour.Add(time.Hour)) {
				misplaced++
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return sum, fmt.Errorf("read %s: %w", name, err)
		}
	}
	if misplaced > 0 {
		a.found.add(postgres.Difference{Book: "lake", Key: name, What: "events of another hour", Want: 0, Got: misplaced})
	}
	return sum, nil
}

// ranges reads parts of an object, so that no more of a file is in memory than is
// being looked at.
type ranges struct {
	ctx    context.Context // of the one call of readPart that it lives for
	bucket *blob.Bucket
	name   string
}

func (r *ranges) ReadAt(b []byte, offset int64) (int, error) {
	reader, err := r.bucket.NewRangeReader(r.ctx, r.name, offset, int64(len(b)), nil)
	if err != nil {
		return 0, err
	}
	defer reader.Close()
	return io.ReadFull(reader, b)
}
