package lake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"
	"gocloud.dev/blob"

	"github.com/hayate-ads/hayate/internal/bucket"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// The lake's tables: folders of the bucket.
const (
	eventsTable     = "lake/events"
	requestsTable   = "lake/requests"
	dimensionsTable = "lake/dimensions"
)

// folder is where an hour's parts lie.
func folder(table string, hour time.Time) string {
	return hour.UTC().Format(table + "/date=2006-01-02/hour=15/")
}

// name is a part's file. Numbers sort as text up to 9,999; an hour with more
// parts than that would be in trouble of another kind.
func name(table string, p postgres.LakePart) string {
	return fmt.Sprintf("%spart-%04d.parquet", folder(table, p.Hour), p.Part)
}

// dictionaryBytes is how large a column's dictionary gets before the column goes
// on without: beyond, it no longer pays.
const dictionaryBytes = 4 << 20

// batchRows are handed to Parquet at a time.
const batchRows = 512

// file is a Parquet file on its way into the bucket. It streams: what is in
// memory is one row group, compressed, and a page of each column. The object
// appears when close succeeds, and only then.
type file[T any] struct {
	rows     int64
	rowGroup int
	inGroup  int
	batch    []T
	parquet  *parquet.GenericWriter[T]
	pipe     *io.PipeWriter
	counted  *counter
	cancel   context.CancelFunc
	uploaded chan error
}

// counter counts the bytes that pass.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (n int, err error) {
	n, err = c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// create begins the object at key, which it will replace. filters are the
// columns that get a Bloom filter.
func create[T any](ctx context.Context, b *blob.Bucket, key string, rowGroup int, filters ...string) *file[T] {
	ctx, cancel := context.WithCancel(ctx)
	r, w := io.Pipe()
	f := &file[T]{
		rowGroup: rowGroup, batch: make([]T, 0, batchRows), pipe: w, counted: &counter{w: w},
		cancel: cancel, uploaded: make(chan error, 1),
	}
	blooms := make([]parquet.BloomFilterColumn, len(filters))
	for i, column := range filters {
		blooms[i] = parquet.SplitBlockFilter(10, column)
	}
	f.parquet = parquet.NewGenericWriter[T](f.counted,
		parquet.Compression(&zstd.Codec{Level: zstd.SpeedFastest, Concurrency: 1}),
		parquet.CreatedBy("Hayate", "1", "lake"),
		parquet.DictionaryMaxBytes(dictionaryBytes),
		parquet.BloomFilters(blooms...))
	go func() {
		err := b.Upload(ctx, key, r, &blob.WriterOptions{ContentType: "application/vnd.apache.parquet"})
		r.CloseWithError(errors.Join(err, io.ErrClosedPipe)) // a writer that still waits must hear of it
		f.uploaded <- err
	}()
	return f
}

// next is the row to fill; keep keeps it.
func (f *file[T]) next() *T {
	return &f.batch[:len(f.batch)+1][len(f.batch)]
}

func (f *file[T]) keep() error {
	f.batch = f.batch[:len(f.batch)+1]
	f.rows++
	if len(f.batch) < batchRows {
		return nil
	}
	return f.flush()
}

func (f *file[T]) flush() error {
	if _, err := f.parquet.Write(f.batch); err != nil {
		return err
	}
	f.inGroup += len(f.batch)
	f.batch = f.batch[:0]
	if f.inGroup < f.rowGroup {
		return nil
	}
	f.inGroup = 0
	return f.parquet.Flush()
}

// close ends the file and waits until the object is there.
func (f *file[T]) close() error {
	err := f.flush()
	if err == nil {
		err = f.parquet.Close()
	}
	if err != nil {
		return errors.Join(err, f.abort())
	}
	defer f.cancel()
	if err := f.pipe.Close(); err != nil {
		return err
	}
	return <-f.uploaded
}

// abort gives the object up. The context ends before the pipe does: some
// drivers take the end of what they read for the end of the object, whatever
// the reason.
func (f *file[T]) abort() error {
	f.cancel()
	_ = f.pipe.CloseWithError(context.Canceled) // never fails
	if err := <-f.uploaded; err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// put writes a whole small file and makes it durable.
func put[T any](ctx context.Context, b *blob.Bucket, key string, each func(func(T) error) error) error {
	f := create[T](ctx, b, key, standardRowGroup)
	err := each(func(row T) error {
		*f.next() = row
		return f.keep()
	})
	if err != nil {
		return errors.Join(err, f.abort())
	}
	if err := f.close(); err != nil {
		return err
	}
	return bucket.Sync(ctx, b, key)
}
