package segment

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"

	"github.com/oklog/ulid/v2"
	"gocloud.dev/blob"

	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// Stream is what of one process's segments is in the bucket and not settled.
type Stream struct {
	Process ulid.ULID
	Seqs    []uint64 // ascending; a number that is left out is missing
}

// Unsettled lists what the bucket holds beyond what the database has settled, by
// process. Streams that ended or are quarantined are not looked at.
func Unsettled(ctx context.Context, settler *postgres.Settler, bucket *blob.Bucket) ([]Stream, error) {
	ids, err := Processes(ctx, bucket)
	if err != nil {
		return nil, err
	}
	unknown, err := settler.Unknown(ctx, ids)
	if err != nil {
		return nil, err
	}
	known, err := settler.Processes(ctx)
	if err != nil {
		return nil, err
	}
	applied := make(map[ulid.ULID]uint64, len(unknown)+len(known))
	for _, id := range unknown {
		applied[id] = 0
	}
	for _, p := range known {
		if p.Stalled == "" {
			applied[p.ID] = p.Applied
		}
	}
	var streams []Stream
	for id, seq := range applied {
		seqs, err := beyond(ctx, bucket, id, seq)
		if err != nil {
			return nil, fmt.Errorf("list the stream of process %s: %w", id, err)
		}
		if len(seqs) > 0 {
			streams = append(streams, Stream{id, seqs})
		}
	}
	slices.SortFunc(streams, func(a, b Stream) int { return a.Process.Compare(b.Process) })
	return streams, nil
}

// Processes lists all whose segments are in the bucket.
func Processes(ctx context.Context, bucket *blob.Bucket) ([]ulid.ULID, error) {
	var ids []ulid.ULID
	err := list(ctx, bucket, "events/", "/", func(day *blob.ListObject) error {
		return list(ctx, bucket, day.Key, "/", func(process *blob.ListObject) error {
			if id, err := ulid.ParseStrict(path.Base(process.Key)); err == nil && process.IsDir {
				ids = append(ids, id)
			}
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("list the bucket: %w", err)
	}
	return ids, nil
}

// beyond lists the segments of a stream after number seq. Names have ten digits,
// so that they are listed in ascending order.
func beyond(ctx context.Context, bucket *blob.Bucket, process ulid.ULID, seq uint64) (seqs []uint64, err error) {
	prefix := path.Dir(event.SegmentName(process, 1)) + "/"
	err = list(ctx, bucket, prefix, "/", func(object *blob.ListObject) error {
		if n, err := strconv.ParseUint(path.Base(object.Key), 10, 64); err == nil && n > seq {
			seqs = append(seqs, n)
		}
		return nil
	})
	return seqs, err
}

// Later returns the name of a segment of the stream after number seq, "" when
// the bucket has none.
func Later(ctx context.Context, bucket *blob.Bucket, process ulid.ULID, seq uint64) (later string, err error) {
	prefix := path.Dir(event.SegmentName(process, 1)) + "/"
	err = list(ctx, bucket, prefix, "/", func(object *blob.ListObject) error {
		if n, err := strconv.ParseUint(path.Base(object.Key), 10, 64); err == nil && n > seq {
			later = object.Key
			return errFound
		}
		return nil
	})
	if err != nil && !errors.Is(err, errFound) {
		return "", fmt.Errorf("list the stream of process %s: %w", process, err)
	}
	return later, nil
}

// errFound ends a listing.
var errFound = errors.New("found")

func list(ctx context.Context, bucket *blob.Bucket, prefix, delimiter string, each func(*blob.ListObject) error) error {
	objects := bucket.List(&blob.ListOptions{Prefix: prefix, Delimiter: delimiter})
	for {
		object, err := objects.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := each(object); err != nil {
			return err
		}
	}
}

// Records visits the records of a segment that was read, with their places in it.
// The record is overwritten by the next one. Errors are those of the format
// (package event), which says that the rest cannot be read, and of each.
func Records(b []byte, process ulid.ULID, seq uint64, each func(index uint32, rec *event.Record) error) error {
	reader, err := event.NewReader(b, process, seq)
	if err != nil {
		return err
	}
	var rec event.Record
	for index := uint32(0); ; index++ {
		ok, err := reader.Next(&rec)
		if err != nil || !ok {
			return err
		}
		if err := each(index, &rec); err != nil {
			return err
		}
	}
}
