// Package bucket opens the object store that the services share: a folder on
// one machine, S3, Azure Blob Storage or Google Cloud Storage on many. What it
// returns is gocloud.dev's own bucket; there is no wrapper around it.
package bucket

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"gocloud.dev/blob"
	_ "gocloud.dev/blob/azureblob" // azblob://
	"gocloud.dev/blob/fileblob"    // file://
	_ "gocloud.dev/blob/gcsblob"   // gs://
	_ "gocloud.dev/blob/s3blob"    // s3://
)

// Open opens the bucket at address, such as "file:///var/lib/hayate/bucket",
// "s3://name?region=…", "azblob://container" or "gs://name". Of a folder the
// last element is made when it is missing, its parents only when the address
// says create_dir=true: a mistyped path or a volume that is not mounted is an
// error rather than an empty bucket. A cloud bucket is not contacted here. The
// error is one line and repeats no query parameter, since those may be secrets.
func Open(ctx context.Context, address string) (*blob.Bucket, error) {
	u, err := url.Parse(address)
	switch {
	case address == "":
		return nil, errors.New("bucket: no address given (want file:///folder, s3://…, azblob://… or gs://…)")
	case err != nil || u.Scheme == "" || (u.Host == "" && u.Path == ""):
		return nil, fmt.Errorf("bucket: %q is no address (want file:///folder, s3://…, azblob://… or gs://…)", withoutQuery(address))
	case u.Scheme == fileblob.Scheme:
		return openFolder(ctx, u)
	case !blob.DefaultURLMux().ValidBucketScheme(u.Scheme):
		return nil, fmt.Errorf("bucket: no driver for %q (want file, s3, azblob or gs)", u.Scheme+"://")
	}
	b, err := blob.DefaultURLMux().OpenBucketURL(ctx, u)
	if err != nil {
		return nil, fmt.Errorf("bucket %s: %w", withoutQuery(address), err)
	}
	return b, nil
}

// openFolder adds what a shared folder needs: no sidecar files beside the
// objects, and temporary files on the same file system, so that a rename is
// what makes an object appear.
func openFolder(ctx context.Context, u *url.URL) (*blob.Bucket, error) {
	query := u.Query()
	query.Set("metadata", "skip")
	query.Set("no_tmp_dir", "true")
	if query.Get("create_dir") == "" {
		if err := makeLast(folder(u)); err != nil {
			return nil, err
		}
	}
	opened := *u
	opened.RawQuery = query.Encode()
	b, err := blob.DefaultURLMux().OpenBucketURL(ctx, &opened)
	if err != nil {
		return nil, fmt.Errorf("bucket folder %s: %w", folder(u), err)
	}
	return b, nil
}

// folder is the path that fileblob reads out of a URL: relative when the host is ".".
func folder(u *url.URL) string {
	if u.Host == "." {
		return filepath.FromSlash(strings.TrimPrefix(u.Path, "/"))
	}
	return filepath.FromSlash(u.Path)
}

func makeLast(folder string) error {
	err := os.Mkdir(folder, 0o777)
	switch {
	case err == nil || errors.Is(err, fs.ErrExist):
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("bucket folder %s: %s does not exist: create it, mount it, or correct the address", folder, filepath.Dir(folder))
	}
	return fmt.Errorf("bucket folder: %w", err)
}

func withoutQuery(address string) string {
	address, _, _ = strings.Cut(address, "?")
	return address
}

// Sync makes the object at key, which has just been written, survive a loss of
// power: in a folder it flushes the file and every folder on its path to disk.
// Cloud buckets answer a write only when it is durable, so there it does nothing.
// Whoever deletes the only other copy of the object calls it first.
func Sync(ctx context.Context, b *blob.Bucket, key string) error {
	var info os.FileInfo
	if !b.As(&info) {
		return nil
	}
	path := ""
	flush := func(as func(any) bool) error {
		var file *os.File
		if !as(&file) {
			return errors.New("the driver shows no file")
		}
		path = file.Name()
		return file.Sync()
	}
	r, err := b.NewReader(ctx, key, &blob.ReaderOptions{BeforeRead: flush})
	if err != nil {
		return fmt.Errorf("sync %s: %w", key, err)
	}
	if err := r.Close(); err != nil {
		return fmt.Errorf("sync %s: %w", key, err)
	}
	// A folder that the write created is an entry of its parent, and so on up to the bucket's own.
	for range strings.Count(key, "/") + 1 {
		path = filepath.Dir(path)
		if err := syncFolder(path); err != nil {
			return fmt.Errorf("sync %s: %w", key, err)
		}
	}
	return nil
}

func syncFolder(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
