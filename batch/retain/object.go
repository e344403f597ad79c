package retain

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"gocloud.dev/blob"
)

const (
	imageRest    = 24 * time.Hour // an image is uploaded before the creative that names it is saved
	leftoverRest = 24 * time.Hour // nothing is written to the bucket for so long
	imageStep    = 100
)

// lake removes hours of the lake, files first. The lake job writes an hour whose
// rows are gone only if it still lists it, and those hours are long over.
func (s *sweep) lake(ctx context.Context) error {
	if s.Settings.Lake == 0 {
		return nil
	}
	var total int64
	defer func() { s.did(total, "hours of the lake") }()
	for {
		hours, err := s.DB.LakePartsBefore(ctx, s.before(s.Settings.Lake), imageStep)
		if err != nil || len(hours) == 0 {
			return err
		}
		for _, hour := range hours {
			for _, kind := range []string{"events", "requests"} {
				prefix := fmt.Sprintf("lake/%s/date=%s/hour=%02d/", kind, hour.UTC().Format(time.DateOnly), hour.UTC().Hour())
				if err := s.each(ctx, prefix, func(o *blob.ListObject) error { return s.deleteObject(ctx, o.Key) }); err != nil {
					return err
				}
			}
		}
		if _, err := s.DB.ForgetLakeHours(ctx, hours); err != nil {
			return err
		}
		total += int64(len(hours))
	}
}

// images removes uploads that no creative names: somebody began to make one and
// thought better of it.
func (s *sweep) images(ctx context.Context) error {
	if newest, err := s.isNewest(ctx); err != nil || !newest {
		return err
	}
	var total int64
	defer func() { s.did(total, "images") }()
	found := make(map[string]string, imageStep) // hash to key
	flush := func() error {
		n, err := s.removeOrphans(ctx, found)
		total += n
		clear(found)
		return err
	}
	err := s.each(ctx, "assets/", func(o *blob.ListObject) error {
		hash, _, _ := strings.Cut(path.Base(o.Key), ".")
		if s.isTemporary(o.Key) || time.Since(o.ModTime) < imageRest {
			return nil
		}
		if found[hash] = o.Key; len(found) < imageStep {
			return nil
		}
		return flush()
	})
	return errors.Join(err, flush())
}

// isNewest makes sure that this is no older copy of the database, in which the
// creatives of newer images are not; after a start that takes settle some seconds.
func (s *sweep) isNewest(ctx context.Context) (bool, error) {
	for range 30 {
		compared, halted, err := s.DB.Compared(ctx)
		if err != nil || compared || halted {
			return compared && !halted, err
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-time.After(time.Second):
		}
	}
	return false, nil
}

// removeOrphans deletes those that no revision names. The same picture may be
// uploaded again in this very moment, and find the old object in its place: one
// that is named afterwards is put back.
func (s *sweep) removeOrphans(ctx context.Context, found map[string]string) (removed int64, err error) {
	var hashes []string
	for hash := range found {
		hashes = append(hashes, hash)
	}
	used, err := s.DB.ImagesInUse(ctx, hashes)
	if err != nil {
		return 0, err
	}
	hashes = slices.DeleteFunc(hashes, func(h string) bool { return slices.Contains(used, h) })
	copies := make(map[string][]byte, len(hashes))
	for _, hash := range hashes {
		if copies[hash], err = s.Bucket.ReadAll(ctx, found[hash]); err != nil {
			return removed, fmt.Errorf("read %s: %w", found[hash], err)
		}
		if err := s.deleteObject(ctx, found[hash]); err != nil {
			return removed, err
		}
		removed++
	}
	used, err = s.DB.ImagesInUse(ctx, hashes)
	for _, hash := range used {
		err = errors.Join(err, s.Bucket.WriteAll(ctx, found[hash], copies[hash], nil))
		removed--
	}
	return removed, err
}

// temporary is how the driver of folders names a file until it is complete. One
// whose writer was killed stays; in cloud buckets there is nothing of the kind.
var temporary = regexp.MustCompile(`\.[0-9a-f]{16}\.tmp$`)

func (s *sweep) isTemporary(key string) bool { return temporary.MatchString(key) }

func (s *sweep) leftovers(ctx context.Context) error {
	if folder := (os.FileInfo)(nil); !s.Bucket.As(&folder) {
		return nil
	}
	var total int64
	defer func() { s.did(total, "temporary files") }()
	return s.each(ctx, "", func(o *blob.ListObject) error {
		if !s.isTemporary(o.Key) || time.Since(o.ModTime) < leftoverRest {
			return nil
		}
		total++
		return s.deleteObject(ctx, o.Key)
	})
}

// each goes through the objects whose names begin with prefix.
func (s *sweep) each(ctx context.Context, prefix string, do func(*blob.ListObject) error) error {
	objects := s.Bucket.List(&blob.ListOptions{Prefix: prefix})
	for {
		o, err := objects.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("list %q: %w", prefix, err)
		}
		if err := do(o); err != nil {
			return err
		}
	}
}
