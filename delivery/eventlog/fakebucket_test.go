package eventlog

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"sync"

	"gocloud.dev/blob"
	"gocloud.dev/blob/driver"
	"gocloud.dev/gcerrors"
)

// fakeBucket is an object store in memory that fails on request.
type fakeBucket struct {
	driver.Bucket // nil: what the log does not use

	mu      sync.Mutex
	objects map[string][]byte
	fault   func(op string) fault
	puts    int
}

type fault int

const (
	fine    fault = iota
	refuse        // an error, nothing done
	hang          // until the context ends, nothing done
	unheard       // done, and then an error
	flip          // done, with a flipped bit
)

var (
	errFault  = errors.New("injected fault")
	errExists = errors.New("exists")
	errNone   = errors.New("no such object")
)

func newFakeBucket() *fakeBucket {
	return &fakeBucket{objects: map[string][]byte{}, fault: func(string) fault { return fine }}
}

func (b *fakeBucket) open() *blob.Bucket { return blob.NewBucket(b) }

// clone is a healthy bucket with the same objects.
func (b *fakeBucket) clone() *fakeBucket {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := newFakeBucket()
	c.objects = maps.Clone(b.objects)
	return c
}

func (b *fakeBucket) setFault(f func(op string) fault) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fault = f
}

func (b *fakeBucket) begin(ctx context.Context, op string) (fault, error) {
	b.mu.Lock()
	f := b.fault(op)
	b.mu.Unlock()
	switch f {
	case refuse:
		return f, errFault
	case hang:
		<-ctx.Done()
		return f, ctx.Err()
	}
	return f, nil
}

func (b *fakeBucket) Close() error            { return nil }
func (b *fakeBucket) As(any) bool             { return false }
func (b *fakeBucket) ErrorAs(error, any) bool { return false }
func (b *fakeBucket) ErrorCode(err error) gcerrors.ErrorCode {
	switch {
	case errors.Is(err, errExists):
		return gcerrors.FailedPrecondition
	case errors.Is(err, errNone):
		return gcerrors.NotFound
	}
	return gcerrors.Unknown
}

func (b *fakeBucket) get(key string) ([]byte, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	object, ok := b.objects[key]
	return object, ok
}

func (b *fakeBucket) Attributes(ctx context.Context, key string) (*driver.Attributes, error) {
	if _, err := b.begin(ctx, "attributes"); err != nil {
		return nil, err
	}
	object, ok := b.get(key)
	if !ok {
		return nil, errNone
	}
	return &driver.Attributes{Size: int64(len(object))}, nil
}

type fakeReader struct {
	io.Reader
	size int
}

func (fakeReader) Close() error { return nil }
func (fakeReader) As(any) bool  { return false }
func (r fakeReader) Attributes() *driver.ReaderAttributes {
	return &driver.ReaderAttributes{Size: int64(r.size)}
}

func (b *fakeBucket) NewRangeReader(ctx context.Context, key string, offset, length int64, _ *driver.ReaderOptions) (driver.Reader, error) {
	if _, err := b.begin(ctx, "read"); err != nil {
		return nil, err
	}
	object, ok := b.get(key)
	if !ok {
		return nil, errNone
	}
	return fakeReader{bytes.NewReader(object), len(object)}, nil
}

type fakeWriter struct {
	bytes.Buffer
	ctx    context.Context
	bucket *fakeBucket
	key    string
	create bool
}

func (b *fakeBucket) NewTypedWriter(ctx context.Context, key, _ string, opts *driver.WriterOptions) (driver.Writer, error) {
	return &fakeWriter{ctx: ctx, bucket: b, key: key, create: opts.IfNotExist}, nil
}

func (w *fakeWriter) Close() error {
	f, err := w.bucket.begin(w.ctx, "put")
	if err != nil {
		return err
	}
	w.bucket.mu.Lock()
	defer w.bucket.mu.Unlock()
	w.bucket.puts++
	if _, exists := w.bucket.objects[w.key]; exists && w.create {
		return errExists
	}
	object := bytes.Clone(w.Bytes())
	if f == flip {
		object[len(object)/2] ^= 1
	}
	w.bucket.objects[w.key] = object
	if f == unheard {
		return errFault
	}
	return nil
}
