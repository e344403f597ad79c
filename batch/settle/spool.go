package settle

import (
	"context"

	"github.com/oklog/ulid/v2"

	"github.com/hayate-ads/hayate/batch/segment"
)

// body returns a segment's bytes, in buf if they fit.
func (f *follower) body(ctx context.Context, process ulid.ULID, seq uint64, buf []byte) ([]byte, error) {
	return segment.Read(ctx, f.cfg.Bucket, process, seq, buf)
}
