package retain

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"sync"

	"github.com/oklog/ulid/v2"
	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"
	"golang.org/x/sync/errgroup"

	"github.com/hayate-ads/hayate/internal/bucket"
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// removers is how many objects are deleted at once.
const removers = 16

// segments removes settled ones: the object first, so that what is left when
// this is killed is a row without an object, which the next run removes.
func (s *sweep) segments(ctx context.Context) error {
	if s.Settings.Events == 0 {
		return nil
	}
	var total int64
	defer func() { s.did(total, "segments") }()
	for after := (postgres.SegmentKey{}); ; {
		keys, err := s.DB.RemovableSegments(ctx, s.before(s.Settings.Events), after, step)
		if err != nil || len(keys) == 0 {
			return err
		}
		gone, err := s.delete(ctx, keys)
		n, forgetErr := s.DB.ForgetSegments(ctx, gone)
		total += n
		if err := errors.Join(err, forgetErr); err != nil {
			return err
		}
		after = keys[len(keys)-1]
	}
}

// delete removes the objects of these segments and returns those that are gone.
func (s *sweep) delete(ctx context.Context, keys []postgres.SegmentKey) (gone []postgres.SegmentKey, err error) {
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(removers)
	for _, key := range keys {
		group.Go(func() error {
			if err := s.deleteObject(ctx, event.SegmentName(key.Process, key.Seq)); err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			gone = append(gone, key)
			return nil
		})
	}
	return gone, group.Wait()
}

// deleteObject is done as well when the object is gone already.
func (s *sweep) deleteObject(ctx context.Context, name string) error {
	err := s.Bucket.Delete(ctx, name)
	if err != nil && gcerrors.Code(err) != gcerrors.NotFound {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	return nil
}

// processes removes the rows of those of which nothing is left, in the bucket
// neither: settle would take one up again that has a segment there.
func (s *sweep) processes(ctx context.Context) error {
	if s.Settings.Events == 0 {
		return nil
	}
	var total int64
	defer func() { s.did(total, "processes") }()
	for after := (ulid.ULID{}); ; {
		ids, err := s.DB.GoneProcesses(ctx, s.before(s.Settings.Events), after, step)
		if err != nil || len(ids) == 0 {
			return err
		}
		var gone []ulid.ULID
		for _, id := range ids {
			empty, err := s.isEmpty(ctx, path.Dir(event.SegmentName(id, 1))+"/")
			if err != nil {
				return err
			}
			if empty {
				gone = append(gone, id)
			}
		}
		n, err := s.DB.ForgetProcesses(ctx, gone)
		total += n
		if err != nil {
			return err
		}
		after = ids[len(ids)-1]
	}
}

func (s *sweep) isEmpty(ctx context.Context, prefix string) (bool, error) {
	_, err := s.Bucket.List(&blob.ListOptions{Prefix: prefix}).Next(ctx)
	if errors.Is(err, io.EOF) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("list %s: %w", prefix, err)
	}
	return false, nil
}

// spool removes segments that settle has settled and put into the bucket, but was
// killed before it could say so.
func (s *sweep) spool(ctx context.Context) error {
	var total int64
	defer func() { s.did(total, "spooled segments") }()
	for after := (postgres.SegmentKey{}); ; {
		keys, err := s.DB.SettledSpool(ctx, after, step)
		if err != nil || len(keys) == 0 {
			return err
		}
		var gone []postgres.SegmentKey
		for _, key := range keys {
			there, err := s.hasSpooled(ctx, key)
			if err != nil {
				return fmt.Errorf("look for a spooled segment: %w", err)
			}
			if there {
				gone = append(gone, key)
			}
		}
		n, err := s.DB.ForgetSpool(ctx, gone)
		total += n
		if err != nil {
			return err
		}
		after = keys[len(keys)-1]
	}
}

// hasSpooled tells whether the bucket has a spooled segment, durably and with the
// same bytes; settle may have read them from the spool.
func (s *sweep) hasSpooled(ctx context.Context, key postgres.SegmentKey) (bool, error) {
	body, err := s.DB.SpooledBody(ctx, key)
	if errors.Is(err, postgres.ErrNotFound) {
		return false, nil // settle was faster
	}
	if err != nil {
		return false, err
	}
	name := event.SegmentName(key.Process, key.Seq)
	there, err := s.Bucket.ReadAll(ctx, name)
	if gcerrors.Code(err) == gcerrors.NotFound || err == nil && !bytes.Equal(there, body) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, bucket.Sync(ctx, s.Bucket, name)
}
