package eventlog

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/hayate-ads/hayate/internal/event"
)

// committer is the one goroutine that writes. What it holds, no other touches.
type committer struct {
	log    *Log
	stream *stream
	file   file // of the segment that is written; nil: none
	writer event.Writer
	buffer []byte
	spare  []byte // a written group's payloads, for the next group
	timer  *time.Timer
}

func newCommitter(l *Log, own *stream) *committer {
	return &committer{log: l, stream: own, timer: time.NewTimer(time.Hour)}
}

func (c *committer) run() {
	defer close(c.log.committed)
	defer c.timer.Stop()
	for {
		out, g := c.next()
		switch out.Op {
		case Wait:
			c.wait(out.Wake)
		case Commit:
			begun := time.Now()
			n, err := c.commit(out, g)
			c.answer(g, n, err)
			if c.log.cfg.Committed != nil {
				c.log.cfg.Committed(time.Since(begun))
			}
			c.spare = g.payloads // its callers look at the outcome only
		case Rotate:
			c.log.shipper.add(c.stream, segment{seq: out.Seq, file: c.file, writer: c.writer, keep: c.stream.written, size: c.stream.written, durable: c.stream.durable})
			c.file = nil
		case Renew:
			c.renew()
		case Finished:
			c.discard()
			c.log.shipper.finish(c.stream)
			return
		}
	}
}

// next asks the core, and takes the gathered group when it is to be committed.
func (c *committer) next() (Output, *group) {
	l := c.log
	l.mu.Lock()
	defer l.mu.Unlock()
	out := l.core.Step(time.Now(), Input{Kind: Tick})
	if out.Op != Commit {
		return out, nil
	}
	g := l.gather
	l.gather = newGroup()
	l.gather.payloads, c.spare = c.spare[:0], nil
	return out, g
}

func (c *committer) wait(until time.Time) {
	if until.IsZero() {
		<-c.log.notified
		return
	}
	c.timer.Reset(time.Until(until))
	select {
	case <-c.log.notified:
	case <-c.timer.C:
	}
}

// commit writes a group and syncs it, in a new file if asked. It returns the
// bytes that the segment grew by.
func (c *committer) commit(out Output, g *group) (int64, error) {
	c.buffer = c.buffer[:0]
	if out.Create {
		if err := c.room(); err != nil {
			return 0, err
		}
		if err := c.create(out.Seq); err != nil {
			return 0, err
		}
		c.buffer = c.writer.AppendHeader(c.buffer)
	} else {
		c.writer.Synced()
	}
	for rest := g.payloads; len(rest) > 0; {
		size := 2 + (int(rest[0]) | int(rest[1])<<8)
		c.buffer = c.writer.AppendFrame(c.buffer, rest[2:size])
		rest = rest[size:]
	}
	if c.log.cfg.ackEarly {
		close(g.done)
	}
	if _, err := c.file.Write(c.buffer); err != nil {
		return 0, err
	}
	if err := c.file.Datasync(); err != nil {
		return 0, err
	}
	if out.Create {
		if err := c.log.disk.SyncDir(c.stream.dir); err != nil {
			return 0, err
		}
	}
	c.stream.written += int64(len(c.buffer))
	c.stream.durable += g.durable
	return int64(len(c.buffer)), nil
}

// room refuses a new segment when what waits is all that the log may hold. It
// is treated as the full disk that it would soon be: a volume with a limit is
// taken away with all that is on it once the limit is passed.
func (c *committer) room() error {
	if most := c.log.cfg.MaxBytes; most > 0 {
		if _, bytes := c.log.shipper.backlog(); bytes >= most {
			return fmt.Errorf("%w: %d bytes wait for the bucket, the log may hold %d", syscall.ENOSPC, bytes, most)
		}
	}
	return nil
}

// create makes the file of a new segment. What stands there under its name was
// never acknowledged.
func (c *committer) create(seq uint64) error {
	d := c.log.disk
	if !c.stream.made {
		if err := d.MkdirAll(c.stream.dir); err != nil {
			return err
		}
		c.stream.made = true
	}
	path := c.stream.path(seq, opened)
	if err := remove(d, path); err != nil {
		return err
	}
	f, err := d.Create(path)
	if err != nil {
		c.stream.made = false // somebody may have removed the folder
		return err
	}
	c.file, c.writer, c.stream.written, c.stream.durable = f, event.NewWriter(c.stream.process, seq), 0, 0
	return nil
}

// answer tells the core how the commit went, and wakes the callers.
func (c *committer) answer(g *group, n int64, err error) {
	l := c.log
	l.mu.Lock()
	wasBroken := l.core.broken()
	out := l.core.Step(time.Now(), Input{Kind: Done, OK: err == nil, Bytes: n})
	broken := l.core.broken()
	late := l.gather
	if err != nil {
		l.refusal = fmt.Errorf("%w: %w", ErrUnavailable, err)
		g.err = l.refusal
	}
	if out.Refuse {
		late.err = l.refusal
		l.gather = newGroup()
	}
	l.mu.Unlock()
	c.wake(g)
	if out.Refuse {
		c.wake(late)
	}
	if out.Abandon {
		c.abandon(out)
	}
	switch log := l.cfg.Log; {
	case broken && !wasBroken:
		log.Error("event log is not writable; durable events are refused until it is", "error", err)
	case wasBroken && !broken:
		log.Info("event log is writable again")
	case err != nil && !broken:
		log.Warn("event log: a batch was refused, a new segment begins", "segment", out.Seq, "error", err)
	}
}

// wake lets a group's callers go on.
func (c *committer) wake(g *group) {
	if g.err != nil {
		c.log.refused.Add(int64(g.durable))
		c.log.dropped.Add(int64(g.records - g.durable))
	}
	if !c.log.cfg.ackEarly {
		close(g.done)
	}
}

// abandon leaves a file after a failure. With something acknowledged in it the
// shipper cuts the rest off; else the next attempt replaces it.
func (c *committer) abandon(out Output) {
	c.discard()
	c.log.abandoned.Add(1)
	if out.Keep > 0 {
		c.log.shipper.add(c.stream, segment{seq: out.Seq, keep: out.Keep, size: out.Keep, durable: c.stream.durable})
	}
}

// discard closes the file; all of it that matters is synced.
func (c *committer) discard() {
	if c.file != nil {
		_ = c.file.Close()
		c.file = nil
	}
}

// renew ends the old process's stream and begins the new one's.
func (c *committer) renew() {
	l := c.log
	c.discard()
	l.shipper.finish(c.stream)
	l.mu.Lock()
	c.stream = newStream(l.cfg.Dir, l.process)
	renewed := l.renewed
	l.renewed = nil
	l.mu.Unlock()
	l.shipper.begin(c.stream)
	if l.lock != nil {
		sign(l.lock, c.stream.process)
	}
	close(renewed)
}

// full tells a full disk from a broken one.
func full(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }
