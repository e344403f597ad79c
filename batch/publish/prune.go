package publish

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"github.com/hayate-ads/hayate/internal/snapshot"
)

// object is a snapshot in the bucket.
type object struct {
	key        string
	generation uint64
	written    time.Time // by the bucket's clock
}

// list returns the snapshots in the bucket, newest generation first. What it does
// not know by its name is none of its business.
func (p *Publisher) list(ctx context.Context) (stored []object, err error) {
	objects := p.Bucket.List(&blob.ListOptions{Prefix: snapshot.Prefix})
	for {
		o, err := objects.Next(ctx)
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("list the bucket's snapshots: %w", err)
		}
		if generation, ok := snapshot.ParseKey(o.Key); ok {
			stored = append(stored, object{o.Key, generation, o.ModTime})
		}
	}
	slices.SortFunc(stored, func(a, b object) int { return cmp.Compare(b.generation, a.generation) })
	return stored, nil
}

// prune removes what is neither among the newest, the one just published
// included, nor young enough to be on its way to somebody.
func (p *Publisher) prune(ctx context.Context, stored []object, now time.Time) (removed int, err error) {
	kept := max(1, p.Keep) - 1
	for _, o := range stored[min(kept, len(stored)):] {
		if now.Sub(o.written) <= p.KeepFor {
			continue
		}
		switch e := p.Bucket.Delete(ctx, o.key); {
		case e == nil:
			removed++
		case gcerrors.Code(e) != gcerrors.NotFound:
			err = errors.Join(err, e)
		}
	}
	return removed, err
}
