// Package refresh keeps a delivery process supplied with snapshots: it polls the
// pointer in the bucket, fetches what is new, proves it whole, hands it over to
// be compiled, and only then keeps a copy in a folder of its own, from which a
// restart serves while the bucket is away.
//
// A snapshot that fails any check never replaces the one in use. It is counted
// by its [snapshot.Reason] and logged once.
package refresh

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"gocloud.dev/blob"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/snapshot"
	"github.com/hayate-ads/hayate/internal/telemetry"
)

// A Refresher is made as a literal; its fields are not changed after the first
// call. Load, Poll, Fetch and Run take turns; the other methods may be called
// from any goroutine at any time.
type Refresher struct {
	Bucket   *blob.Bucket
	CacheDir string        // made when missing
	Every    time.Duration // between two looks at the pointer; 0: 2 s
	Retry    time.Duration // before the same refused pointer is tried again; 0: 30 s
	Timeout  time.Duration // of one poll's reading; 0: 1 minute
	MaxSize  int64         // of a snapshot in bytes; 0: snapshot.MaxSize

	// Swap compiles and puts to use; an error, or a panic, keeps what is in use. Nil: nothing to do.
	Swap func(*snapshot.Snapshot) error

	Log     *slog.Logger      // nil: slog.Default()
	Metrics *telemetry.Client // nil: none

	turn     sync.Mutex
	inUse    atomic.Pointer[inUse]
	loaded   bool     // Load has been here
	good     []string // cached files that were proved good in this run, newest last
	standing standing
	logged   map[refusal]bool
	outage   bool // the last poll could not read the bucket
	cacheBad bool // the last copy could not be written

	counting sync.Mutex
	refused  map[snapshot.Reason]int64
}

// inUse is what must be known of the snapshot in use.
type inUse struct {
	snapshot.Pointer
	lineItems []ad.ID
	fromCache bool
}

// standing is the last refusal of the pointer in the bucket, so that a bad
// object is not fetched again with every poll.
type standing struct {
	pointer string
	err     error
	until   time.Time
}

type refusal struct {
	generation uint64
	reason     snapshot.Reason
}

// Generation of the snapshot in use; 0: none yet.
func (r *Refresher) Generation() uint64 {
	if used := r.inUse.Load(); used != nil {
		return used.Generation
	}
	return 0
}

// CreatedAt of the snapshot in use, in bank time; zero: none yet.
func (r *Refresher) CreatedAt() time.Time {
	if used := r.inUse.Load(); used != nil {
		return used.CreatedAt
	}
	return time.Time{}
}

// Refused counts what was not put to use since the start, by reason.
func (r *Refresher) Refused() map[snapshot.Reason]int64 {
	r.counting.Lock()
	defer r.counting.Unlock()
	counts := make(map[snapshot.Reason]int64, len(r.refused))
	for reason, n := range r.refused {
		counts[reason] = n
	}
	return counts
}

// Run loads the newest good snapshot from the cache and then follows the bucket
// until ctx ends. Its only error is a cache folder that cannot be used.
func (r *Refresher) Run(ctx context.Context) error {
	if err := r.Load(); err != nil {
		return err
	}
	ticker := time.NewTicker(or(r.Every, 2*time.Second))
	defer ticker.Stop()
	for {
		// What went wrong is logged and counted already, and the next poll tries again.
		_ = r.Poll(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// Fetch puts the newest snapshot into the cache, as an init container does. An
// older good one that is there already will do when the bucket is away.
func (r *Refresher) Fetch(ctx context.Context) error {
	if err := r.Load(); err != nil {
		return err
	}
	if err := r.Poll(ctx); err != nil && r.Generation() == 0 {
		return fmt.Errorf("no snapshot to start with: %w", err)
	}
	if len(r.good) == 0 {
		return fmt.Errorf("the snapshot of generation %d could not be kept in %s", r.Generation(), r.CacheDir)
	}
	return nil
}

// Poll looks at the pointer once and puts a new snapshot to use. It returns nil
// when there is none, a [*snapshot.Error] when it was refused, and another error
// when the bucket could not be read.
func (r *Refresher) Poll(ctx context.Context) error {
	r.turn.Lock()
	defer r.turn.Unlock()
	started := time.Now()
	ctx, cancel := context.WithTimeout(ctx, or(r.Timeout, time.Minute))
	defer cancel()
	text, err := r.readPointer(ctx)
	if err == nil && r.standing.err != nil && text == r.standing.pointer && started.Before(r.standing.until) {
		return r.standing.err
	}
	var p snapshot.Pointer
	if err == nil {
		p, err = snapshot.ParsePointer([]byte(text))
	}
	if err == nil {
		if used := r.inUse.Load(); used != nil && p.Generation == used.Generation && p.SHA256 == used.SHA256 {
			r.standing = standing{}
			r.reachable(ctx, nil)
			return nil
		}
		err = r.news(ctx, p)
	}
	if err == nil {
		r.standing = standing{}
		r.Metrics.Distribution(telemetry.SnapshotLoadTime, time.Since(started).Seconds())
	}
	var refused *snapshot.Error
	if errors.As(err, &refused) {
		r.refuse(refused, p.Generation)
		r.standing = standing{pointer: text, err: err, until: started.Add(or(r.Retry, 30*time.Second))}
		r.reachable(ctx, nil)
		return err
	}
	r.reachable(ctx, err)
	return err
}

// news takes what p names, quietly where something serves meanwhile.
func (r *Refresher) news(ctx context.Context, p snapshot.Pointer) error {
	take := func() error { return r.take(ctx, p) }
	if r.inUse.Load() == nil {
		return take()
	}
	return quietly(take)
}

// take fetches what p names and puts it to use.
func (r *Refresher) take(ctx context.Context, p snapshot.Pointer) error {
	if used := r.inUse.Load(); used != nil && p.Generation <= used.Generation {
		return older(p, used)
	}
	file, err := r.download(ctx, p)
	if err != nil {
		return err
	}
	s, err := r.parse(p.Key, file)
	if err != nil {
		return err
	}
	if s.Generation != p.Generation || !s.CreatedAt.Equal(p.CreatedAt) {
		return &snapshot.Error{Reason: snapshot.BadPointer, Key: p.Key,
			Detail: fmt.Sprintf("the object is generation %d of %s, the pointer says %d of %s", s.Generation, s.CreatedAt, p.Generation, p.CreatedAt)}
	}
	if err := r.use(p, s, false); err != nil {
		return err
	}
	// It serves already: a full disk costs the copy, not the news.
	r.keep(p, file)
	return nil
}

func older(p snapshot.Pointer, used *inUse) *snapshot.Error {
	return &snapshot.Error{Reason: snapshot.Older, Key: p.Key, Detail: fmt.Sprintf("generation %d is in use", used.Generation)}
}

// parse is snapshot.Parse with the name in its errors.
func (r *Refresher) parse(key string, file []byte) (*snapshot.Snapshot, error) {
	s, err := snapshot.Parse(file, snapshot.Limits{Size: r.maxSize()})
	var refused *snapshot.Error
	if errors.As(err, &refused) {
		refused.Key = key
	}
	return s, err
}

// use checks s against what is in use, and swaps.
func (r *Refresher) use(p snapshot.Pointer, s *snapshot.Snapshot, fromCache bool) error {
	used := r.inUse.Load()
	if used != nil && s.Generation <= used.Generation {
		return older(p, used)
	}
	next := &inUse{Pointer: p, fromCache: fromCache, lineItems: make([]ad.ID, len(s.LineItems))}
	for i := range s.LineItems {
		next.lineItems[i] = s.LineItems[i].ID
	}
	if err := shrink(used, next); err != nil {
		return err
	}
	if err := r.swap(s); err != nil {
		return &snapshot.Error{Reason: snapshot.BadContent, Key: p.Key, Detail: err.Error()}
	}
	r.inUse.Store(next)
	clear(r.logged)
	r.log().Info("snapshot in use", "generation", p.Generation, "line_items", len(next.lineItems), "bytes", p.Size, "from_cache", fromCache)
	return nil
}

// What the shrink guard looks at.
const (
	shrinkFrom = 20        // line items; with fewer, losing half is everyday work
	shrinkGap  = time.Hour // between the making of a cached snapshot and the next
)

// shrink refuses the loss of more than half of the line items at once, the mark
// of a query gone wrong, unless an operator has said that it is meant. After a
// start from the cache much may have changed honestly since; then only a
// snapshot that was made soon after the cached one is held to it.
func shrink(used, next *inUse) error {
	if used == nil || next.AllowShrink || len(used.lineItems) < shrinkFrom {
		return nil
	}
	if used.fromCache && next.CreatedAt.Sub(used.CreatedAt) > shrinkGap {
		return nil
	}
	lost := 0
	for _, id := range used.lineItems {
		if _, kept := slices.BinarySearch(next.lineItems, id); !kept {
			lost++
		}
	}
	if 2*lost <= len(used.lineItems) {
		return nil
	}
	return &snapshot.Error{Reason: snapshot.Shrunk, Key: next.Key,
		Detail: fmt.Sprintf("%d of %d line items are gone; if that is meant, publish with allow_shrink", lost, len(used.lineItems))}
}

// swap keeps a compiler's bug from taking the server down with it.
func (r *Refresher) swap(s *snapshot.Snapshot) (err error) {
	if r.Swap == nil {
		return nil
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("compiling it panicked: %v", p)
		}
	}()
	return r.Swap(s)
}

// refuse counts, and logs what was not logged before.
func (r *Refresher) refuse(err *snapshot.Error, generation uint64) {
	r.counting.Lock()
	if r.refused == nil {
		r.refused = map[snapshot.Reason]int64{}
	}
	r.refused[err.Reason]++
	r.counting.Unlock()
	r.Metrics.Count(telemetry.SnapshotRefused, 1, "reason:"+string(err.Reason))
	key := refusal{generation, err.Reason}
	if r.logged[key] {
		return
	}
	if r.logged == nil || len(r.logged) >= 1000 {
		r.logged = map[refusal]bool{}
	}
	r.logged[key] = true
	r.log().Error("snapshot refused", "key", err.Key, "generation", generation, "reason", string(err.Reason),
		"detail", err.Detail, "in_use", r.Generation())
}

// reachable logs when the bucket goes away and when it is back.
func (r *Refresher) reachable(ctx context.Context, err error) {
	switch {
	case err != nil && !r.outage && !errors.Is(context.Cause(ctx), context.Canceled):
		r.log().Warn("snapshots cannot be read; the one in use stays", "error", err, "in_use", r.Generation())
		r.outage = true
	case err == nil && r.outage:
		r.log().Info("snapshots can be read again")
		r.outage = false
	}
}

func (r *Refresher) log() *slog.Logger {
	if r.Log == nil {
		return slog.Default()
	}
	return r.Log
}

func or(d, standard time.Duration) time.Duration {
	if d <= 0 {
		return standard
	}
	return d
}
