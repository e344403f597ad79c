package refresh

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"gocloud.dev/gcerrors"

	"github.com/hayate-ads/hayate/internal/snapshot"
)

// readPointer returns the pointer's text, cut just beyond the length at which
// parsing refuses it.
func (r *Refresher) readPointer(ctx context.Context) (string, error) {
	object, err := r.Bucket.NewReader(ctx, snapshot.PointerKey, nil)
	if gcerrors.Code(err) == gcerrors.NotFound {
		return "", &snapshot.Error{Reason: snapshot.BadPointer, Key: snapshot.PointerKey, Detail: "the bucket holds none: nothing was published yet"}
	}
	if err != nil {
		return "", fmt.Errorf("read %s: %w", snapshot.PointerKey, err)
	}
	defer object.Close()
	text, err := io.ReadAll(io.LimitReader(object, snapshot.MaxPointerSize+1))
	if err != nil {
		return "", fmt.Errorf("read %s: %w", snapshot.PointerKey, err)
	}
	return string(text), nil
}

// download returns the object that p names if it is, byte for byte, what p
// says. Memory is taken for it only when limit, pointer and bucket agree on its size.
func (r *Refresher) download(ctx context.Context, p snapshot.Pointer) ([]byte, error) {
	refuse := func(reason snapshot.Reason, format string, args ...any) error {
		return &snapshot.Error{Reason: reason, Key: p.Key, Detail: fmt.Sprintf(format, args...)}
	}
	if p.Size > r.maxSize() {
		return nil, refuse(snapshot.TooLarge, "%d bytes, the limit is %d", p.Size, r.maxSize())
	}
	object, err := r.Bucket.NewReader(ctx, p.Key, nil)
	if gcerrors.Code(err) == gcerrors.NotFound {
		return nil, refuse(snapshot.BadPointer, "the bucket holds no such object")
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", p.Key, err)
	}
	defer object.Close()
	if size := object.Size(); size < p.Size {
		return nil, refuse(snapshot.Truncated, "%d bytes of %d", size, p.Size)
	} else if size > p.Size {
		return nil, refuse(snapshot.BadPointer, "%d bytes, the pointer says %d", size, p.Size)
	}
	file := make([]byte, p.Size)
	switch n, err := io.ReadFull(object, file); {
	case errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF):
		return nil, refuse(snapshot.Truncated, "%d bytes of %d", n, p.Size)
	case err != nil:
		return nil, fmt.Errorf("read %s: %w", p.Key, err)
	}
	if sum := sha256.Sum256(file); hex.EncodeToString(sum[:]) != p.SHA256 {
		return nil, refuse(snapshot.BadChecksum, "its SHA-256 is %x, the pointer says %s", sum, p.SHA256)
	}
	return file, nil
}

func (r *Refresher) maxSize() int64 {
	if r.MaxSize <= 0 {
		return snapshot.MaxSize
	}
	return r.MaxSize
}
