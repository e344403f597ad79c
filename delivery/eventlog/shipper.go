package eventlog

import (
	"context"
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Pauses between attempts of one stream: short at first, since most failures
// are hiccups; a second at most, so that a backlog drains soon after an outage.
const (
	firstPause = 50 * time.Millisecond
	longest    = time.Second
)

// shipper is the one goroutine that seals, uploads and deletes. Each stream goes
// in order, one segment at a time; streams take turns, so that one that cannot
// go on does not hold up the others.
type shipper struct {
	cfg  Config
	disk disk

	mu       sync.Mutex
	streams  []*stream
	draining bool

	notified    chan struct{}
	done        chan struct{} // closed when the goroutine has ended
	cancel      context.CancelFunc
	giveUp      context.CancelFunc // on the bucket: of bucketCtx
	bucketCtx   context.Context
	spool       spooling
	verified    atomic.Int64
	quarantined atomic.Int64
}

func startShipper(cfg Config, d disk, streams []*stream) *shipper {
	ctx, cancel := context.WithCancel(context.Background())
	bucketCtx, giveUp := context.WithCancel(ctx)
	sh := &shipper{
		bucketCtx: bucketCtx, giveUp: giveUp, cfg: cfg, disk: d, streams: streams, cancel: cancel,
		notified: make(chan struct{}, 1), done: make(chan struct{}),
	}
	go sh.run(ctx)
	return sh
}

// add queues a closed segment.
func (sh *shipper) add(s *stream, seg segment) {
	sh.change(func() {
		s.queue = append(s.queue, seg)
		s.next = seg.seq + 1
	})
}

// finish says that no segment follows.
func (sh *shipper) finish(s *stream) { sh.change(func() { s.finished = true }) }

// begin adds a stream.
func (sh *shipper) begin(s *stream) { sh.change(func() { sh.streams = append(sh.streams, s) }) }

func (sh *shipper) change(f func()) {
	sh.mu.Lock()
	f()
	sh.mu.Unlock()
	select {
	case sh.notified <- struct{}{}:
	default:
	}
}

func (sh *shipper) backlog() (segments int, bytes int64) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for _, s := range sh.streams {
		segments += len(s.queue)
		for _, seg := range s.queue {
			bytes += seg.size
		}
	}
	return segments, bytes
}

func (sh *shipper) unended() int {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return len(sh.streams)
}

// ended tells whether the goroutine has ended.
func (sh *shipper) ended() bool {
	select {
	case <-sh.done:
		return true
	default:
		return false
	}
}

func (sh *shipper) run(ctx context.Context) {
	defer close(sh.done)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for turn := 0; ctx.Err() == nil; turn++ {
		sh.turnToSpool()
		s, until, over := sh.next(turn)
		switch {
		case over:
			return
		case s != nil:
			sh.work(ctx, s)
			continue
		case until.IsZero():
			until = time.Now().Add(time.Hour)
		}
		timer.Reset(time.Until(until))
		select {
		case <-sh.notified:
		case <-timer.C:
		case <-ctx.Done():
		}
	}
}

// next picks the stream whose turn it is, or says until when there is none.
func (sh *shipper) next(turn int) (s *stream, until time.Time, over bool) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.draining && len(sh.streams) == 0 {
		return nil, until, true
	}
	now := time.Now()
	for i := range sh.streams {
		s := sh.streams[(turn+i)%len(sh.streams)]
		if len(s.queue) == 0 && !s.finished {
			continue
		}
		if !now.Before(s.notBefore) {
			return s, until, false
		}
		if until.IsZero() || s.notBefore.Before(until) {
			until = s.notBefore
		}
	}
	return nil, until, false
}

// work does one step for a stream, and paces it when that fails.
func (sh *shipper) work(ctx context.Context, s *stream) {
	err := sh.step(ctx, s)
	log := sh.cfg.Log.With("process", s.process)
	switch {
	case err == nil && s.failures > 0:
		log.Info("event log: shipping goes on", "failures", s.failures)
		fallthrough
	case err == nil:
		s.failures, s.notBefore = 0, time.Time{}
		return
	case s.failures == 0 && ctx.Err() == nil:
		log.Warn("event log: shipping fails and is retried", "error", err)
	}
	pause := min(longest, firstPause<<min(s.failures, 10))
	s.failures++
	s.notBefore = time.Now().Add(pause)
}

// step ships the stream's next segment, or ends the stream.
func (sh *shipper) step(ctx context.Context, s *stream) error {
	sh.mu.Lock()
	queued, finished := len(s.queue), s.finished
	var seg segment
	if queued > 0 {
		seg = s.queue[0]
	}
	sh.mu.Unlock()
	if queued == 0 {
		return sh.endStream(ctx, s)
	}
	body, found, err := s.body(sh.disk, &seg)
	sh.mu.Lock()
	s.queue[0] = seg // what sealing changed: it is not done twice
	sh.mu.Unlock()
	switch {
	case err == nil && found.lastAt.IsZero() && finished && queued == 1:
		// Nothing in it, and nothing after it but END, which takes its place.
		sh.pop(s, seg.seq)
		return nil
	case err == nil:
		err = sh.store(ctx, s, seg.seq, body)
	}
	if errors.Is(err, errBad) || errors.Is(err, errConflict) {
		err = sh.quarantine(s, &seg, err)
	} else if err == nil {
		err = sh.shipped(s, &seg, found)
	}
	if err == nil {
		sh.pop(s, seg.seq+1)
	}
	return err
}

// shipped notes that a segment is verified in the bucket, or in the spool. The one with END stays
// on disk until the folder goes: a marker would not say that the stream ended.
func (sh *shipper) shipped(s *stream, seg *segment, found contents) error {
	if found.lastAt.After(s.lastAt) {
		s.lastAt = found.lastAt
	}
	s.endLogged = found.end
	if s.endLogged {
		return nil
	}
	return s.markShipped(sh.disk, seg)
}

// pop takes the first segment off the queue; next is the sequence after it.
func (sh *shipper) pop(s *stream, next uint64) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	s.queue = s.queue[1:]
	if len(s.queue) == 0 {
		s.next = next
	}
}

// put puts a segment into the bucket and verifies it there.
func (sh *shipper) put(ctx context.Context, patience time.Duration, s *stream, seq uint64, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := put(ctx, sh.cfg.Bucket, s, seq, body); err != nil {
		return err
	}
	sh.verified.Add(1)
	return nil
}

// endStream makes sure that END is where the segments are, and forgets the stream.
func (sh *shipper) endStream(ctx context.Context, s *stream) error {
	if !s.endLogged {
		body, err := s.endBody(sh.disk, s.next)
		if err == nil {
			err = sh.store(ctx, s, s.next, body)
		}
		switch {
		case errors.Is(err, errConflict):
			sh.alarm(s, s.next, err)
		case err != nil:
			return err
		}
		s.endLogged = true
	}
	if err := s.end(sh.disk); err != nil {
		return err
	}
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for i := range sh.streams {
		if sh.streams[i] == s {
			sh.streams = append(sh.streams[:i], sh.streams[i+1:]...)
			break
		}
	}
	return nil
}

// quarantine sets a segment aside, loudly: skipping it silently would lose what
// was acknowledged, and shipping it would settle what was never logged.
func (sh *shipper) quarantine(s *stream, seg *segment, why error) error {
	err := sh.disk.Rename(s.file(seg), s.path(seg.seq, bad))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	sh.alarm(s, seg.seq, why)
	return sh.disk.SyncDir(s.dir)
}

func (sh *shipper) alarm(s *stream, seq uint64, why error) {
	sh.quarantined.Add(1)
	sh.cfg.Log.Error("event log: segment quarantined; its events are not settled until a person decides",
		"process", s.process, "segment", seq, "file", s.path(seq, bad), "error", why)
}
