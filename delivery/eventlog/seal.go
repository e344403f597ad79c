package eventlog

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/hayate-ads/hayate/internal/event"
)

// errBad marks a segment that no retry will mend.
var errBad = errors.New("damaged segment")

// contents is what reading a segment told.
type contents struct {
	reader event.Reader
	lastAt time.Time // of its last record; zero: it has none
	end    bool      // its last record is END
}

// read checks all records of b.
func (s *stream) read(b []byte, seq uint64) (contents, error) {
	r, err := event.NewReader(b, s.process, seq)
	var c contents
	var rec event.Record
	for ok := err == nil; ok; {
		if ok, err = r.Next(&rec); ok {
			c.lastAt, c.end = rec.At, rec.Type == event.End
		}
	}
	c.reader = r
	return c, err
}

// body makes the sealed bytes of a closed segment from its file and nothing
// else, so that every attempt, before and after a crash, makes the same. A file
// that has no seal is cut to its valid part, and that is synced, before a byte
// of it goes to the bucket.
func (s *stream) body(d disk, seg *segment) ([]byte, contents, error) {
	if seg.file != nil {
		s.seal(d, seg)
	}
	b, err := d.ReadFile(s.file(seg))
	if errors.Is(err, os.ErrNotExist) && !seg.whole {
		seg.whole = true // a rename that reported an error, and happened
		b, err = d.ReadFile(s.file(seg))
	}
	if errors.Is(err, os.ErrNotExist) {
		return nil, contents{}, fmt.Errorf("%w: somebody removed it: %w", errBad, err)
	}
	if err != nil {
		return nil, contents{}, err
	}
	if !seg.whole {
		return s.cut(d, seg, b)
	}
	c, err := s.read(b, seg.seq)
	if err != nil {
		return nil, c, fmt.Errorf("%w: %w", errBad, err)
	}
	return b, c, nil
}

// cut is body for a file without a seal.
func (s *stream) cut(d disk, seg *segment, b []byte) ([]byte, contents, error) {
	if seg.keep >= 0 && seg.keep < int64(len(b)) {
		b = b[:seg.keep]
	}
	c, err := s.read(b, seg.seq)
	if err != nil && !errors.Is(err, event.ErrTorn) {
		return nil, c, fmt.Errorf("%w: %w", errBad, err)
	}
	whole := c.reader.Offset()
	if seg.keep >= 0 && int64(whole) != seg.keep {
		return nil, c, fmt.Errorf("%w: %d bytes were acknowledged, %d are whole: %w", errBad, seg.keep, whole, err)
	}
	if err := d.Cut(s.file(seg), int64(whole)); err != nil {
		return nil, c, err
	}
	if err := d.SyncDir(s.dir); err != nil {
		return nil, c, err
	}
	w := c.reader.Writer()
	switch {
	case c.reader.Sealed():
		return b, c, nil
	case whole < event.HeaderSize:
		w = event.NewWriter(s.process, seg.seq)
		b = w.AppendHeader(nil)
	default:
		b = b[:whole:whole]
	}
	return w.AppendFooter(b), c, nil
}

// endBody is a segment of nothing but END, for a stream that ends without one.
// END is dated like the record before it: the clock would say another time at
// every attempt.
func (s *stream) endBody(d disk, seq uint64) ([]byte, error) {
	// A first batch that was refused may lie there; no later start may find it.
	path := s.path(seq, opened)
	if err := d.Remove(path); err == nil {
		err = d.SyncDir(s.dir)
		if err != nil {
			return nil, err
		}
	} else if !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	w := event.NewWriter(s.process, seq)
	b := w.AppendRecord(w.AppendHeader(nil), &event.Record{Type: event.End, At: s.lastAt})
	return w.AppendFooter(b), nil
}

// seal writes the footer, syncs and renames. Should any of it fail, the segment
// is shipped as one without a seal: its records are durable all the same.
func (s *stream) seal(d disk, seg *segment) {
	footer := seg.writer.AppendFooter(nil)
	_, err := seg.file.Write(footer)
	if err == nil {
		err = seg.file.Datasync()
	}
	err = errors.Join(err, seg.file.Close())
	seg.file = nil
	if err != nil || d.Rename(s.path(seg.seq, opened), s.path(seg.seq, sealed)) != nil {
		return
	}
	seg.whole, seg.keep = true, seg.keep+int64(len(footer))
	seg.size = seg.keep
	// A crash may undo a rename that is not synced; what is found then is an .open
	// with its footer, which ships as the same bytes.
	_ = d.SyncDir(s.dir)
}

// markShipped leaves a marker in place of the local copy.
func (s *stream) markShipped(d disk, seg *segment) error {
	marker := s.marker(seg.seq)
	if err := d.Rename(s.file(seg), marker); err != nil {
		return err
	}
	// The rest frees space; what of it fails is done with the next segment's. The
	// bytes go only when the name is durable: a .seg of no bytes would be damage.
	if d.SyncDir(s.dir) != nil || d.Cut(marker, 0) != nil {
		return nil
	}
	entries, _ := d.List(s.dir)
	for _, e := range entries {
		if seq, _, ending, ok := parseName(e.name); ok && ending == shipped && seq < seg.seq {
			_ = d.Remove(filepath.Join(s.dir, e.name))
		}
	}
	return nil
}
