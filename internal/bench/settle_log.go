package main

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/money"
)

// benchPrice of one impression.
const benchPrice = money.Micros(2000)

// Of all events three in five are impressions, the others, of the same
// reservations, have been seen; one in a hundred of those is a click instead, one
// a duplicate at another process.
const (
	segmentRecords = 20_000
	mostLineItems  = 10_000
)

// settleLog is an hour of events as several processes logged it. All leases are
// in use all the time, at every process.
type settleLog struct {
	name       string
	dir        string
	hour       time.Time
	events     int
	leases     int
	cellsOf    int // a lease: placements on which it serves
	processes  int
	duplicates int64 // made by write
}

func (l *settleLog) lineItems() int { return min(l.leases, mostLineItems) }

// perLease is how many events a lease has, reservations how many impressions.
func (l *settleLog) perLease() int { return l.events / l.leases }

func (l *settleLog) reservations() int { return max(1, l.perLease()*3/5) }

func (l *settleLog) process(i int) (id ulid.ULID) {
	_ = id.SetTime(ulid.Timestamp(l.hour))
	id[15] = byte(i + 1)
	return id
}

// reservation is the nth one of a lease. In the log of 1,000 leases every one
// serves a line item of its own; beyond 10,000 they share them.
func (l *settleLog) reservation(lease, n int) event.Reservation {
	r := event.Reservation{
		Process: l.process(lease % l.processes), Index: uint32(n), LineItem: ad.ID(lease%l.lineItems() + 1), Creative: ad.ID(lease + 1),
		Placement: ad.ID((lease*l.cellsOf+n%l.cellsOf)%500 + 1), Country: [2]byte{'J', 'P'}, Device: event.DeviceType(n % 2),
		DecidedAt: l.hour.Add(time.Duration(n) * 50 * time.Minute / time.Duration(l.reservations())), Hold: time.Minute,
		Generation: 12345, Price: benchPrice, BidPrice: benchPrice, Share: 7000, Advertiser: 1, Bills: event.BillsImpression,
	}
	r.Lease = r.Process
	binary.BigEndian.PutUint32(r.Lease[8:], uint32(lease+1))
	return r
}

// write makes the segments and returns their bytes.
func (l *settleLog) write() (bytes int64, err error) {
	streams := make([]*benchStream, l.processes)
	for i := range streams {
		streams[i] = &benchStream{dir: l.dir, process: l.process(i)}
	}
	at := 0
	put := func(rec *event.Record) {
		s := streams[(at*7+at/l.processes)%l.processes]
		at++
		err = errors.Join(err, s.add(rec))
	}
	n := l.reservations()
	rest := l.perLease() - n // events of a lease that are no impressions
	for i := range n {
		for lease := range l.leases {
			r := l.reservation(lease, i)
			rec := event.Record{Type: event.Impression, At: r.DecidedAt.Add(time.Second), Landing: event.Landing{Reservation: r, Clearing: r.Price}}
			put(&rec)
			if i >= rest {
				continue
			}
			switch {
			case i%100 == 50:
				l.duplicates++ // the impression again, elsewhere
			case i%100 == 99:
				rec.Type = event.Click
			default:
				rec.Type = event.Viewable
			}
			put(&rec)
		}
		if err != nil {
			return 0, err
		}
	}
	for _, s := range streams {
		err = errors.Join(err, s.seal())
		bytes += s.bytes
	}
	return bytes, err
}

// benchStream is one process's.
type benchStream struct {
	dir     string
	process ulid.ULID
	seq     uint64
	writer  event.Writer
	buf     []byte
	bytes   int64
}

func (s *benchStream) add(rec *event.Record) error {
	if len(s.buf) == 0 {
		s.seq++
		s.writer = event.NewWriter(s.process, s.seq)
		s.buf = s.writer.AppendHeader(s.buf)
	}
	s.buf = s.writer.AppendRecord(s.buf, rec)
	if s.writer.Records() < segmentRecords {
		return nil
	}
	return s.seal()
}

func (s *benchStream) seal() error {
	if len(s.buf) == 0 {
		return nil
	}
	s.buf = s.writer.AppendFooter(s.buf)
	path := filepath.Join(s.dir, filepath.FromSlash(event.SegmentName(s.process, s.seq)))
	if s.seq == 1 {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
	}
	s.bytes += int64(len(s.buf))
	err := os.WriteFile(path, s.buf, 0o644)
	s.buf = s.buf[:0]
	return err
}
