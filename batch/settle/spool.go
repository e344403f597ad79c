package settle

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/oklog/ulid/v2"
	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"github.com/hayate-ads/hayate/batch/segment"
	"github.com/hayate-ads/hayate/internal/bucket"
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// body returns a segment's bytes, in buf if they fit: from the spool while the
// bucket does not have them or does not answer.
func (f *follower) body(ctx context.Context, process ulid.ULID, seq uint64, buf []byte) ([]byte, error) {
	b, err := segment.Read(ctx, f.cfg.Bucket, process, seq, buf)
	key := postgres.SegmentKey{Process: process, Seq: seq}
	if err == nil || ctx.Err() != nil || !f.isSpooled(key) {
		return b, err
	}
	spooled, spoolErr := f.cfg.DB.SpooledBody(ctx, key)
	if errors.Is(spoolErr, postgres.ErrNotFound) {
		return segment.Read(ctx, f.cfg.Bucket, process, seq, buf)
	}
	if spoolErr != nil {
		return nil, errors.Join(err, spoolErr)
	}
	return spooled, nil
}

// isSpooled tells whether a segment was in the spool when that was last looked at.
func (f *follower) isSpooled(key postgres.SegmentKey) bool {
	spooled := f.spooled.Load()
	return spooled != nil && (*spooled)[key]
}

// unspool brings into the bucket what processes could not put there as they
// ended, each stream's segments in order. Of those that the bucket does not take
// settle knows from then on, and reads them where they are.
func (f *follower) unspool(ctx context.Context) error {
	keys, err := f.cfg.DB.Spooled(ctx)
	if err != nil {
		return err
	}
	if err := f.introduce(ctx, keys); err != nil {
		return err
	}
	rest, failed := make(map[postgres.SegmentKey]bool), make(map[ulid.ULID]bool)
	for _, key := range keys {
		rest[key] = true
	}
	f.spooled.Store(&rest)
	done := make(map[postgres.SegmentKey]bool)
	var errs []error
	away := 0 // failures in a row that may be the bucket's
	for _, key := range keys {
		if failed[key.Process] {
			continue
		}
		if err := f.bring(ctx, key); err != nil {
			failed[key.Process] = true
			if len(errs) == 0 { // the others fail alike while the bucket is away
				errs = append(errs, err)
			}
			if away++; errors.Is(err, errOther) {
				away = 0
			}
			if gcerrors.Code(err) == gcerrors.Unknown && away >= 3 {
				break
			}
			continue
		}
		done[key], away = true, 0
	}
	if len(done) > 0 {
		left := make(map[postgres.SegmentKey]bool)
		for key := range rest {
			if !done[key] {
				left[key] = true
			}
		}
		f.spooled.Store(&left)
	}
	return errors.Join(errs...)
}

// introduce makes processes known that only the spool knows.
func (f *follower) introduce(ctx context.Context, keys []postgres.SegmentKey) error {
	var ids []ulid.ULID
	for i, key := range keys {
		if i == 0 || key.Process != keys[i-1].Process {
			ids = append(ids, key.Process)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	unknown, err := f.settler.Unknown(ctx, ids)
	if err != nil || len(unknown) == 0 {
		return err
	}
	return f.settler.AddProcesses(ctx, unknown)
}

// errOther is one segment's trouble and not the bucket's.
var errOther = errors.New("the bucket has other bytes under this name than the spool")

// bring puts one segment into the bucket, makes sure that it is there as it was
// logged, and takes it out of the spool. The object is created once: another one
// of its name stays, unless it is no whole segment, as a power cut leaves them.
func (f *follower) bring(ctx context.Context, key postgres.SegmentKey) error {
	body, err := f.cfg.DB.SpooledBody(ctx, key)
	if err != nil {
		return err
	}
	name := event.SegmentName(key.Process, key.Seq)
	there, err := f.put(ctx, name, body, true)
	if err != nil {
		return err
	}
	if !bytes.Equal(there, body) {
		if _, err := newDigester().digest(there, key.Process, key.Seq); err == nil {
			return fmt.Errorf("%s: %w, where they stay", name, errOther)
		}
		if there, err = f.put(ctx, name, body, false); err == nil && !bytes.Equal(there, body) {
			err = fmt.Errorf("%s: the bucket answers with other bytes than were put", name)
		}
		if err != nil {
			return err
		}
	}
	if err := bucket.Sync(ctx, f.cfg.Bucket, name); err != nil {
		return err
	}
	return f.cfg.DB.Unspool(ctx, key)
}

// put writes an object and returns what the bucket has then under its name.
func (f *follower) put(ctx context.Context, name string, body []byte, create bool) ([]byte, error) {
	err := f.cfg.Bucket.Upload(ctx, name, bytes.NewReader(body), &blob.WriterOptions{ContentType: "application/octet-stream", IfNotExist: create})
	if code := gcerrors.Code(err); err != nil && code != gcerrors.FailedPrecondition && code != gcerrors.AlreadyExists {
		return nil, fmt.Errorf("put %s: %w", name, err)
	}
	there, err := f.cfg.Bucket.ReadAll(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("verify %s: %w", name, err)
	}
	return there, nil
}
