package segment_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/oklog/ulid/v2"
	"gocloud.dev/blob/memblob"

	"github.com/hayate-ads/hayate/batch/segment"
	"github.com/hayate-ads/hayate/internal/event"
)

var (
	first  = ulid.MustParse("01J0000000PR0CESS000000001")
	second = ulid.MustParse("01M0000000PR0CESS000000002") // of another day
)

func TestBucket(t *testing.T) {
	t.Parallel()
	bucket := memblob.OpenBucket(nil)
	defer bucket.Close()
	put := func(name string, body []byte) {
		t.Helper()
		if err := bucket.WriteAll(t.Context(), name, body, nil); err != nil {
			t.Fatal(err)
		}
	}
	body := event.NewWriter(first, 1)
	whole := body.AppendFooter(body.AppendHeader(nil))
	put(event.SegmentName(first, 1), whole)
	put(event.SegmentName(first, 10), whole)
	put(event.SegmentName(second, 2), whole)
	put("events/2026-01-01/rubbish/0000000001", whole)
	put("snapshots/latest.json", whole)

	ids, err := segment.Processes(t.Context(), bucket)
	if diff := cmp.Diff([]ulid.ULID{first, second}, ids); diff != "" || err != nil {
		t.Errorf("processes, %v (-want +got):\n%s", err, diff)
	}
	later := func(process ulid.ULID, seq uint64, want string) {
		t.Helper()
		if got, err := segment.Later(t.Context(), bucket, process, seq); got != want || err != nil {
			t.Errorf("after %d of %s: %q, %v; want %q", seq, process, got, err, want)
		}
	}
	later(first, 0, event.SegmentName(first, 1))
	later(first, 1, event.SegmentName(first, 10))
	later(first, 10, "")
	later(second, 1, event.SegmentName(second, 2))

	got, err := segment.Read(t.Context(), bucket, first, 1, make([]byte, 0, 3))
	if diff := cmp.Diff(whole, got); diff != "" || err != nil {
		t.Errorf("read, %v (-want +got):\n%s", err, diff)
	}
	if _, err := segment.Read(t.Context(), bucket, second, 1, nil); !errors.Is(err, segment.ErrMissing) {
		t.Errorf("a missing one is answered with %v", err)
	}
}
