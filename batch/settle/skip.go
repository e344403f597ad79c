package settle

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
	"gocloud.dev/blob"

	"github.com/hayate-ads/hayate/batch/segment"
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// ErrReadable says that nothing is wrong with the segment that was to be skipped.
var ErrReadable = errors.New("nothing is wrong with this segment")

// ParseSegment reads the name of a segment: its key in the bucket, or
// process/sequence.
func ParseSegment(name string) (key postgres.SegmentKey, err error) {
	parts := strings.Split(strings.Trim(name, "/"), "/")
	if n := len(parts); n >= 2 {
		key.Process, err = ulid.ParseStrict(parts[n-2])
		if err == nil {
			key.Seq, err = strconv.ParseUint(parts[n-1], 10, 63)
		}
	}
	switch full := strings.Contains(name, "events/"); {
	case len(parts) < 2 || err != nil || key.Seq == 0 || full && name != event.SegmentName(key.Process, key.Seq):
		return key, fmt.Errorf("%q names no segment: it is like events/2026-11-20/01JD4PZ1V0QZTKB7X1N3M5H8WC/0000000012, or 01JD4PZ1V0QZTKB7X1N3M5H8WC/12", name)
	}
	return key, nil
}

// Skip goes on with a stalled stream without the segment that it stands at, and
// says what is lost as far as that can be known. It may run beside a settler.
// Nothing is changed, and an error says why, when the stream does not stand there
// ([postgres.ErrNotNext]), when it is not stalled, or when the segment reads well
// ([ErrReadable]); one that Postgres refuses may be skipped though it does.
func Skip(ctx context.Context, db *postgres.DB, bucket *blob.Bucket, key postgres.SegmentKey, why string) (message string, err error) {
	name := event.SegmentName(key.Process, key.Seq)
	if strings.TrimSpace(why) == "" || len(why) > 500 || !plainText(why) {
		return "", errors.New("a reason of 1 to 500 bytes is needed: whoever reads the books later will ask")
	}
	process, err := standsAt(ctx, db, key)
	if err != nil {
		return "", err
	}
	if spooled, err := db.IsSpooled(ctx, key); err != nil || spooled {
		return "", errors.Join(err, inSpool(name, spooled))
	}
	found, err := inspect(ctx, bucket, key)
	if err != nil {
		return "", err
	}
	if found.whole && !strings.HasPrefix(process.Stalled, refusedWhy) {
		return "", fmt.Errorf("%s: %w: `batch settle --resume %s` goes on with it", name, ErrReadable, name)
	}
	err = db.SkipSegment(ctx, postgres.Skip{SegmentKey: key, Why: why, SHA256: found.sum, From: found.from, To: found.to})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s is skipped: %s. Its stream goes on", name, found), nil
}

func inSpool(name string, spooled bool) error {
	if !spooled {
		return nil
	}
	return fmt.Errorf("%s is not lost but in the spool: settle brings it into the bucket, then `batch settle --resume %s` goes on with it", name, name)
}

// Resume lets settle go on with a stalled stream whose segment was repaired. Like
// [Skip] it changes nothing where that does not apply.
func Resume(ctx context.Context, db *postgres.DB, bucket *blob.Bucket, key postgres.SegmentKey) (message string, err error) {
	if _, err := standsAt(ctx, db, key); err != nil {
		return "", err
	}
	name := event.SegmentName(key.Process, key.Seq)
	found, err := inspect(ctx, bucket, key)
	if err != nil {
		return "", err
	}
	if !found.whole {
		return "", fmt.Errorf("%s is still not whole: %s", name, found)
	}
	if err := db.Resume(ctx, key); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s reads well: its stream goes on with it", name), nil
}

// standsAt makes sure that a stream is stalled at a segment.
func standsAt(ctx context.Context, db *postgres.DB, key postgres.SegmentKey) (postgres.Process, error) {
	p, err := db.FindProcess(ctx, key.Process)
	switch {
	case errors.Is(err, postgres.ErrNotFound):
		return p, fmt.Errorf("the bank does not know a process %s", key.Process)
	case err != nil:
		return p, err
	case p.State == postgres.ProcessEnded:
		return p, fmt.Errorf("the stream of process %s is settled to its end, %d segments: %w", key.Process, p.Applied, postgres.ErrNotNext)
	case p.Applied+1 != key.Seq:
		return p, fmt.Errorf("%w: it stands at %s", postgres.ErrNotNext, event.SegmentName(key.Process, p.Applied+1))
	case p.Stalled == "":
		return p, fmt.Errorf("the stream of process %s is not stalled: settle goes on by itself once %s is there", key.Process, event.SegmentName(key.Process, key.Seq))
	}
	return p, nil
}

// loss is what can be known of a segment that is skipped.
type loss struct {
	there    bool
	whole    bool
	bytes    int
	sum      [32]byte
	records  int // that can be read
	billing  int // of those, valid ones of the type that bills …
	worth    money.Micros
	from, to time.Time
	damage   error
}

func inspect(ctx context.Context, bucket *blob.Bucket, key postgres.SegmentKey) (l loss, err error) {
	b, err := segment.Read(ctx, bucket, key.Process, key.Seq, nil)
	switch {
	case errors.Is(err, segment.ErrMissing):
		return l, nil
	case errors.Is(err, segment.ErrTooLarge):
		l.there, l.damage = true, err
		return l, nil
	case err != nil:
		return l, err
	}
	l.there, l.bytes, l.sum = true, len(b), sha256.Sum256(b)
	l.damage = segment.Records(b, key.Process, key.Seq, func(_ uint32, rec *event.Record) error {
		if l.records++; l.records == 1 {
			l.from = rec.At
		}
		l.to = rec.At
		if rec.Type.IsLanding() && invalid(rec) == event.Valid && rec.Type == rec.Landing.Reservation.Bills.Type() {
			l.billing++
			l.worth = min(l.worth+rec.Landing.Charge(), money.Max)
		}
		return nil
	})
	if errors.Is(l.damage, event.ErrVersion) {
		return l, fmt.Errorf("%s: %w", event.SegmentName(key.Process, key.Seq), l.damage) // nothing is wrong with it
	}
	l.whole = l.damage == nil
	return l, nil
}

// String says what is lost.
func (l loss) String() string {
	if !l.there {
		return "it is not in the bucket, and what it held is not known"
	}
	text := fmt.Sprintf("of its %d bytes %d records can be read, %d of which bill, worth %s", l.bytes, l.records, l.billing, l.worth)
	if l.records > 0 {
		text += fmt.Sprintf(", logged from %s to %s", l.from.Format(time.RFC3339), l.to.Format(time.RFC3339))
	}
	if l.damage != nil {
		text += fmt.Sprintf("; then: %s", l.damage)
	}
	return text
}
