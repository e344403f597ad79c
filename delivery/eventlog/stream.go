package eventlog

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/hayate-ads/hayate/internal/event"
)

// Endings of file names.
const (
	opened  = ".open"
	sealed  = ".seg"
	shipped = ".shipped"
	bad     = ".bad"
	ended   = ".ended" // of a folder
)

// stream is one process's folder. The committer uses written, durable and made, the
// shipper the rest, under its lock where said.
type stream struct {
	process ulid.ULID
	dir     string

	made    bool  // the folder exists
	written int64 // durable bytes of the segment being written
	durable int   // records of durable types among them

	queue    []segment // closed, not yet verified in the bucket; under the shipper's lock
	finished bool      // nothing more comes but END; under the shipper's lock
	next     uint64    // sequence after the last one closed; under the shipper's lock

	lastAt    time.Time // log time of the last record shipped; at first, when the process started
	endLogged bool      // END has been shipped
	notBefore time.Time // of the next attempt
	failures  int       // in a row
}

// segment is a closed one that waits to be shipped.
type segment struct {
	seq    uint64
	file   file // still open: only the seal is missing; else nil
	writer event.Writer
	keep   int64 // bytes that count; -1: what reads as whole
	size   int64 // on disk
	whole  bool  // a .seg

	durable int // records of durable types in it; -1: only the file tells
}

func newStream(dir string, process ulid.ULID) *stream {
	return &stream{
		process: process, dir: filepath.Join(dir, process.String()), next: event.FirstSeq,
		lastAt: ulid.Time(process.Time()).UTC(),
	}
}

// path of a segment's file in one of its states.
func (s *stream) path(seq uint64, ending string) string {
	return filepath.Join(s.dir, fmt.Sprintf("%010d%s", seq, ending))
}

// file is where a closed segment lies.
func (s *stream) file(seg *segment) string {
	if seg.whole {
		return s.path(seg.seq, sealed)
	}
	return s.path(seg.seq, opened)
}

// marker remembers, when the segments themselves are gone, how far the stream
// is in the bucket. It keeps no bytes, so it can be made on a full disk.
func (s *stream) marker(seq uint64) string {
	return filepath.Join(s.dir, fmt.Sprintf("%010d-%d%s", seq, s.lastAt.UnixMicro(), shipped))
}

// findStreams lists what earlier processes left, the oldest first, without
// reading any of it: the start does not wait for gigabytes.
func findStreams(d disk, dir string, log *slog.Logger) ([]*stream, error) {
	// What a killed process renamed may not be durable yet; nothing is built on it
	// before it is.
	if err := d.SyncDir(dir); err != nil {
		return nil, err
	}
	entries, err := d.List(dir)
	if err != nil {
		return nil, err
	}
	var streams []*stream
	for _, e := range entries {
		name, over := strings.CutSuffix(e.name, ended)
		process, err := ulid.ParseStrict(name)
		switch {
		case err != nil && e.name == "lock":
		case err != nil || !e.dir:
			log.Warn("event log: not mine, left alone", "file", filepath.Join(dir, e.name))
		case over:
			kept, err := clearEnded(d, filepath.Join(dir, e.name))
			if kept || err != nil {
				log.Error("event log: a shipped stream's folder stays; quarantined segments in it wait for a person",
					"folder", filepath.Join(dir, e.name), "quarantined", kept, "error", err)
			}
		default:
			s := newStream(dir, process)
			if err := s.scan(d, log); err != nil {
				return nil, err
			}
			streams = append(streams, s)
		}
	}
	return streams, nil
}

// scan queues what an ended process's folder holds.
func (s *stream) scan(d disk, log *slog.Logger) error {
	entries, err := d.List(s.dir)
	if err != nil {
		return err
	}
	s.made, s.finished = true, true
	for _, e := range entries {
		seq, at, ending, ok := parseName(e.name)
		switch {
		case !ok:
			log.Warn("event log: not mine, left alone", "file", filepath.Join(s.dir, e.name))
			continue
		case ending == shipped && seq >= s.next:
			s.lastAt = at
		case ending == bad:
			log.Error("event log: a quarantined segment waits for a person", "file", filepath.Join(s.dir, e.name))
		case ending == opened:
			s.queue = append(s.queue, segment{seq: seq, keep: -1, size: e.size, durable: -1})
		case ending == sealed:
			s.queue = append(s.queue, segment{seq: seq, keep: e.size, size: e.size, whole: true, durable: -1})
		}
		s.next = max(s.next, seq+1)
	}
	slices.SortFunc(s.queue, func(a, b segment) int { return int(a.seq) - int(b.seq) })
	return nil
}

// parseName takes a file name apart.
func parseName(name string) (seq uint64, at time.Time, ending string, ok bool) {
	ending = filepath.Ext(name)
	number, micros, dated := strings.Cut(strings.TrimSuffix(name, ending), "-")
	known := slices.Contains([]string{opened, sealed, shipped, bad}, ending)
	seq, err := strconv.ParseUint(number, 10, 62)
	if !known || err != nil || seq < event.FirstSeq || dated != (ending == shipped) {
		return 0, at, "", false
	}
	if dated {
		us, err := strconv.ParseInt(micros, 10, 64)
		if err != nil {
			return 0, at, "", false
		}
		at = time.UnixMicro(us).UTC()
	}
	return seq, at, ending, true
}

// end removes the folder of a stream that is wholly in the bucket. The rename
// comes first: from then on no start takes the folder for an unfinished stream.
func (s *stream) end(d disk) error {
	gone := s.dir + ended
	if err := d.Rename(s.dir, gone); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil // the disk never let it be made
		}
		return err
	}
	if err := d.SyncDir(filepath.Dir(s.dir)); err != nil {
		return err
	}
	_, err := clearEnded(d, gone)
	return err
}

// clearEnded removes an ended stream's folder, but not what is quarantined in it.
func clearEnded(d disk, dir string) (kept bool, err error) {
	entries, err := d.List(dir)
	if err != nil {
		return false, err
	}
	for _, e := range entries {
		if filepath.Ext(e.name) == bad {
			kept = true
			continue
		}
		if err := d.Remove(filepath.Join(dir, e.name)); err != nil {
			return kept, err
		}
	}
	if kept {
		return true, nil
	}
	return false, d.Remove(dir)
}

// remove is Remove for what may not be there.
func remove(d disk, path string) error {
	if err := d.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
