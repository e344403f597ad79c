// Package segment reads segments of the event log from the bucket, for all jobs
// that do.
package segment

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/oklog/ulid/v2"
	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"github.com/hayate-ads/hayate/internal/event"
)

// largest segment in bytes; delivery rotates long before.
const largest = 256 << 20

// ErrMissing says that the bucket does not have the segment.
var ErrMissing = errors.New("segment is not in the bucket")

// ErrTooLarge says that no process of ours wrote it.
var ErrTooLarge = errors.New("segment is too large")

// Read returns a segment's bytes, in buf if they fit there. Errors wrap
// [ErrMissing], [ErrTooLarge], or are the bucket's.
func Read(ctx context.Context, bucket *blob.Bucket, process ulid.ULID, seq uint64, buf []byte) ([]byte, error) {
	name := event.SegmentName(process, seq)
	r, err := bucket.NewReader(ctx, name, nil)
	if gcerrors.Code(err) == gcerrors.NotFound {
		return nil, fmt.Errorf("%s: %w", name, ErrMissing)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	defer r.Close()
	if r.Size() > largest {
		return nil, fmt.Errorf("%s: %w: %d bytes, at most %d are allowed", name, ErrTooLarge, r.Size(), largest)
	}
	if int64(cap(buf)) < r.Size() {
		buf = make([]byte, r.Size())
	}
	buf = buf[:r.Size()]
	if _, err := io.ReadFull(r, buf); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return buf, nil
}
