package eventlog

import (
	"bytes"
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"github.com/hayate-ads/hayate/internal/event"
)

// errConflict: the bucket has a whole segment under this name, and it is not ours.
var errConflict = errors.New("the bucket has other bytes under this name")

// put creates the object, or finds that an earlier attempt, whose answer was
// lost, has made it; either way it has been read back when put returns nil.
func put(ctx context.Context, bucket *blob.Bucket, s *stream, seq uint64, body []byte) error {
	key := event.SegmentName(s.process, seq)
	err := upload(ctx, bucket, key, body, true)
	exists := gcerrors.Code(err) == gcerrors.FailedPrecondition || gcerrors.Code(err) == gcerrors.AlreadyExists
	if err != nil && !exists {
		return fmt.Errorf("put %s: %w", key, err)
	}
	equal, err := same(ctx, bucket, key, body)
	if err != nil {
		return fmt.Errorf("verify %s: %w", key, err)
	}
	if !equal {
		if err := replaceTorn(ctx, bucket, s, seq, body); err != nil {
			return err
		}
	}
	return syncObject(ctx, bucket, key)
}

func upload(ctx context.Context, bucket *blob.Bucket, key string, body []byte, create bool) error {
	options := blob.WriterOptions{ContentType: "application/octet-stream", IfNotExist: create}
	if !isFolder(bucket) { // whose bytes are compared one by one below, and which keeps no sum
		sum := md5.Sum(body)
		options.ContentMD5 = sum[:]
	}
	return bucket.Upload(ctx, key, bytes.NewReader(body), &options)
}

// same compares the object with body: by size and MD5 where the bucket keeps
// one, else byte by byte.
func same(ctx context.Context, bucket *blob.Bucket, key string, body []byte) (bool, error) {
	attributes, err := bucket.Attributes(ctx, key)
	if err != nil {
		return false, err
	}
	if attributes.Size != int64(len(body)) {
		return false, nil
	}
	if len(attributes.MD5) > 0 {
		sum := md5.Sum(body)
		return bytes.Equal(attributes.MD5, sum[:]), nil
	}
	there, err := bucket.ReadAll(ctx, key)
	return bytes.Equal(there, body), err
}

// replaceTorn handles an object that differs. One that is no whole segment is
// replaced: nobody can have settled it. A folder as bucket leaves such objects
// after a power cut, since it renames before anything is synced. A whole one is
// a conflict.
func replaceTorn(ctx context.Context, bucket *blob.Bucket, s *stream, seq uint64, body []byte) error {
	key := event.SegmentName(s.process, seq)
	there, err := bucket.ReadAll(ctx, key)
	if err != nil {
		return fmt.Errorf("verify %s: %w", key, err)
	}
	if _, err := s.read(there, seq); !errors.Is(err, event.ErrTorn) && !errors.Is(err, event.ErrCorrupt) {
		return fmt.Errorf("%w: %s", errConflict, key)
	}
	if err := upload(ctx, bucket, key, body, false); err != nil {
		return fmt.Errorf("put %s again: %w", key, err)
	}
	equal, err := same(ctx, bucket, key, body)
	if err == nil && !equal {
		err = errors.New("differs again")
	}
	if err != nil {
		return fmt.Errorf("verify %s: %w", key, err)
	}
	return nil
}

// isFolder tells a file:// bucket: the only kind whose objects are not durable
// when the put has been answered.
func isFolder(bucket *blob.Bucket) bool {
	var info os.FileInfo
	return bucket.As(&info)
}

// syncObject makes a folder bucket's object durable: the file, and the folders
// down to it, which the put may have made.
func syncObject(ctx context.Context, bucket *blob.Bucket, key string) error {
	if !isFolder(bucket) {
		return nil
	}
	var synced error = errors.New("the bucket does not show its file")
	r, err := bucket.NewRangeReader(ctx, key, 0, 0, &blob.ReaderOptions{BeforeRead: func(as func(any) bool) error {
		var f *os.File
		if as(&f) {
			synced = syncUpwards(f, 1+strings.Count(key, "/"))
		}
		return synced
	}})
	if err != nil {
		return fmt.Errorf("sync %s: %w", key, errors.Join(err, synced))
	}
	return r.Close()
}

func syncUpwards(f *os.File, folders int) error {
	if err := f.Sync(); err != nil {
		return err
	}
	dir := f.Name()
	for range folders {
		dir = filepath.Dir(dir)
		if err := (osDisk{}).SyncDir(dir); err != nil {
			return err
		}
	}
	return nil
}
