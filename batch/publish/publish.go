// Package publish is the job that turns what stands in Postgres into the
// snapshot that delivery serves: the object first, created once under a name of
// its own, then the pointer to it, then the removal of what is long out of use.
//
// It runs under the runner's lock, one at a time, and every step may be
// repeated: a run that dies leaves at most an object that no pointer names.
package publish

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/bucket"
	"github.com/hayate-ads/hayate/internal/postgres"
	"github.com/hayate-ads/hayate/internal/snapshot"
)

// A Publisher is made as a literal. Its Run is not for two goroutines at once.
type Publisher struct {
	DB       *postgres.DB
	Bucket   *blob.Bucket
	Settings postgres.PublishSettings

	Keep        int           // newest snapshots that stay whatever their age; at least 1
	KeepFor     time.Duration // how long the others stay
	RepeatAfter time.Duration // a snapshot this old is made anew though nothing has changed
	AllowShrink bool          // tell delivery that the loss of most line items is meant

	Log *slog.Logger

	refused map[refusal]string // the reasons that the last run logged
}

// refusal names what was refused.
type refusal struct {
	kind string
	id   ad.ID
}

// Run publishes once and says in one line what it did. Time is bank time.
func (p *Publisher) Run(ctx context.Context) (postgres.JobResult, error) {
	stored, err := p.list(ctx)
	if err != nil {
		return postgres.JobResult{}, err
	}
	newest, err := p.pointer(ctx)
	if err != nil {
		return postgres.JobResult{}, err
	}
	s, refused, err := p.DB.Publishable(ctx, p.Settings)
	if err != nil {
		return postgres.JobResult{}, fmt.Errorf("read what is publishable: %w", err)
	}
	p.logRefused(refused)
	highest := newest.Generation
	for _, o := range stored {
		highest = max(highest, o.generation)
	}
	if s.Generation <= highest {
		return postgres.JobResult{}, fmt.Errorf("the bucket holds generation %d, the database is only at %d: is it an older copy, or another bucket's? "+
			"If it is the right one: SELECT setval('snapshot_generation', %d)", highest, s.Generation, highest)
	}
	if err := snapshot.Check(&s); err != nil {
		return postgres.JobResult{}, fmt.Errorf("not published: %w", err)
	}
	file := snapshot.Append(nil, &s)
	if len(file) > snapshot.MaxSize {
		return postgres.JobResult{}, fmt.Errorf("not published: %d bytes are more than the %d that delivery takes", len(file), snapshot.MaxSize)
	}
	if p.isPublished(ctx, newest, snapshot.PointTo(&s, file), file) {
		return done("generation %d: unchanged, %d refused", newest.Generation, len(refused)), nil
	}
	size, err := p.publish(ctx, snapshot.PointTo(&s, file), file)
	if err != nil {
		return postgres.JobResult{}, err
	}
	removed, err := p.prune(ctx, stored, s.CreatedAt)
	if err != nil {
		// The new one is out, which is what counts; the next run tries again.
		p.Log.Warn("old snapshots stay", "error", err)
	}
	return done("generation %d: %d line items, %d creatives, %d placements in %d bytes; %d refused, %d old snapshots removed",
		s.Generation, len(s.LineItems), len(s.Creatives), len(s.Placements), size, len(refused), removed), nil
}

func done(format string, args ...any) postgres.JobResult {
	return postgres.JobResult{Message: fmt.Sprintf(format, args...)}
}

// logRefused names each thing once, and again only when its reason changes
// or it was well in between.
func (p *Publisher) logRefused(refused []postgres.Refused) {
	now := make(map[refusal]string, len(refused))
	for _, r := range refused {
		thing := refusal{r.Kind, r.ID}
		now[thing] = r.Reason
		if p.refused[thing] != r.Reason {
			p.Log.Warn("not published", r.Kind, int64(r.ID), "name", r.Name, "reason", r.Reason)
		}
	}
	p.refused = now
}

// pointer reads what is published now; the zero Pointer when nothing is, or
// nothing that can be read: then the names of the objects still keep us from
// going back.
func (p *Publisher) pointer(ctx context.Context) (snapshot.Pointer, error) {
	text, err := p.Bucket.ReadAll(ctx, snapshot.PointerKey)
	if gcerrors.Code(err) == gcerrors.NotFound {
		return snapshot.Pointer{}, nil
	}
	if err != nil {
		return snapshot.Pointer{}, fmt.Errorf("read the pointer: %w", err)
	}
	pointer, err := snapshot.ParsePointer(text)
	if err != nil {
		p.Log.Warn("the pointer is replaced", "error", err)
		return snapshot.Pointer{}, nil
	}
	return pointer, nil
}

// isPublished tells whether file says the same as the object that newest names.
// It spares delivery the compiling, and the bucket the space. In doubt it says no.
func (p *Publisher) isPublished(ctx context.Context, newest, next snapshot.Pointer, file []byte) bool {
	if newest.Generation == 0 || p.AllowShrink || newest.AllowShrink || newest.Size != next.Size ||
		next.CreatedAt.Sub(newest.CreatedAt) >= p.RepeatAfter {
		return false
	}
	published, err := p.Bucket.ReadAll(ctx, newest.Key)
	return err == nil && newest.Names(published) && snapshot.Same(published, file)
}

// publish writes the object, makes it durable, and only then points to it.
func (p *Publisher) publish(ctx context.Context, pointer snapshot.Pointer, file []byte) (size int64, err error) {
	pointer.AllowShrink = p.AllowShrink
	once := &blob.WriterOptions{ContentType: "application/octet-stream", IfNotExist: true}
	if err := p.Bucket.Upload(ctx, pointer.Key, bytes.NewReader(file), once); err != nil {
		// Its name holds the generation, which is never drawn twice, and its checksum.
		return 0, fmt.Errorf("write %s: %w", pointer.Key, err)
	}
	if err := bucket.Sync(ctx, p.Bucket, pointer.Key); err != nil {
		return 0, err
	}
	// Whoever lost the lock while it stood still must not take the pointer back.
	if now, err := p.pointer(ctx); err != nil {
		return 0, err
	} else if now.Generation >= pointer.Generation {
		return 0, fmt.Errorf("generation %d was published meanwhile, by somebody without the lock", now.Generation)
	}
	// No cache in between may answer the polls.
	latest := &blob.WriterOptions{ContentType: "application/json", CacheControl: "no-store"}
	if err := p.Bucket.Upload(ctx, snapshot.PointerKey, bytes.NewReader(pointer.JSON()), latest); err != nil {
		return 0, fmt.Errorf("write %s: %w", snapshot.PointerKey, err)
	}
	return pointer.Size, bucket.Sync(ctx, p.Bucket, snapshot.PointerKey)
}
