package event

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/oklog/ulid/v2"
)

// Reader reads the records of one segment that lies in memory. It allocates
// nothing for a record but the first sight of a no-fill reason, and the cells of
// reasons, which are not overwritten by the next record.
type Reader struct {
	b       []byte
	process ulid.ULID
	seq     uint64
	sum     uint32
	version uint16
	offset  int
	records uint64
	sealed  bool
	err     error
	names   interner
}

// NewReader checks the header of the segment (process, seq) in b. Errors wrap
// [ErrTorn], [ErrCorrupt], [ErrVersion] or [ErrForeign].
func NewReader(b []byte, process ulid.ULID, seq uint64) (Reader, error) {
	r := Reader{b: b, process: process, seq: seq, sum: prefixSum(process, seq)}
	h, err := ParseHeader(b)
	switch {
	case errors.Is(err, ErrVersion):
		r.err = err
	case err != nil:
		// Nothing before the first frame is marked, so a header that its own first
		// batch lost is torn; one before acknowledged records is damage.
		r.err = r.damage(err.Error())
	case h.Process != process || h.Seq != seq:
		r.err = fmt.Errorf("%w: it says process %s, segment %d; asked for %s, %d", ErrForeign, h.Process, h.Seq, process, seq)
	default:
		r.offset, r.version = HeaderSize, h.Version
	}
	return r, r.err
}

// Next reads the next record into rec, which it overwrites wholly. It returns
// false without an error after the footer of a sealed segment; false with an
// error, the same ever after, where the valid part ends ([Reader.Offset]).
func (r *Reader) Next(rec *Record) (ok bool, err error) {
	if r.err != nil || r.sealed {
		return false, r.err
	}
	payload, reason := r.frame()
	if reason != "" {
		r.err = r.damage(reason)
		return false, r.err
	}
	t := Type(payload[0] &^ syncedMark)
	if t == footerType {
		r.err = r.footer(payload)
		return false, r.err
	}
	if err := parsePayload(t, &decoder{b: payload[1:], version: r.version}, rec, &r.names); err != nil {
		// Its sum is right: it was written like this, so no tear explains it.
		r.err = fmt.Errorf("%w: record %d at byte %d: %w", ErrCorrupt, r.records, r.offset, err)
		return false, r.err
	}
	r.offset += frameSize + len(payload)
	r.records++
	return true, nil
}

// Offset is the length in bytes of what has been read and found whole.
func (r *Reader) Offset() int { return r.offset }

// Records is the number of records read.
func (r *Reader) Records() uint64 { return r.records }

// Sealed tells whether the footer has been read.
func (r *Reader) Sealed() bool { return r.sealed }

// Writer goes on after the last record read: it appends to the first
// [Reader.Offset] bytes, which the caller has made durable.
func (r *Reader) Writer() Writer {
	w := Writer{process: r.process, seq: r.seq, sum: r.sum, records: r.records}
	w.Synced()
	return w
}

// frame returns the payload at the offset, or why there is none.
func (r *Reader) frame() (payload []byte, reason string) {
	rest := r.b[r.offset:]
	if len(rest) == 0 {
		return nil, "ends without a footer"
	}
	if len(rest) < frameSize {
		return nil, "ends within a frame"
	}
	length := binary.LittleEndian.Uint32(rest)
	if length == 0 || length > MaxRecord {
		return nil, fmt.Sprintf("frame claims %d bytes", length)
	}
	if int(length) > len(rest)-frameSize {
		return nil, "ends within a frame"
	}
	payload = rest[frameSize : frameSize+int(length)]
	if frameSum(r.sum, r.records, payload) != binary.LittleEndian.Uint32(rest[4:]) {
		return nil, "frame does not match its checksum"
	}
	return payload, ""
}

func (r *Reader) footer(payload []byte) error {
	d := decoder{b: payload[1:]}
	count := d.uvarint()
	end := r.offset + frameSize + len(payload)
	switch {
	case d.err != nil || len(d.b) > 0 || payload[0] != footerType|syncedMark:
		return fmt.Errorf("%w: malformed footer at byte %d", ErrCorrupt, r.offset)
	case count != r.records:
		return fmt.Errorf("%w: footer counts %d records, there are %d", ErrCorrupt, count, r.records)
	case end != len(r.b):
		return fmt.Errorf("%w: %d bytes after the footer", ErrCorrupt, len(r.b)-end)
	}
	r.offset, r.sealed = end, true
	return nil
}

// damage names what is wrong at the offset: torn, unless something later shows
// that more than the last batch is damaged.
func (r *Reader) damage(reason string) error {
	kind := ErrTorn
	if r.syncedLater() {
		kind = ErrCorrupt
	}
	return fmt.Errorf("%w: record %d at byte %d: %s", kind, r.records, r.offset, reason)
}

// Limits of the search below: its work on hostile bytes stays at some
// milliseconds, and an honest one (some pages lost) needs far less.
const (
	smallestFrame = frameSize + 2
	searchBytes   = 32 << 20
	attemptBytes  = 64 // what one attempt costs beside its bytes
)

// syncedLater looks for a marked frame or a footer beyond the bad frame. How many
// records the damage swallowed is unknown, so every index that fits is tried.
// When the work exceeds its limit the answer is yes: a needless quarantine is
// looked at by a person, a wrong cut by nobody.
func (r *Reader) syncedLater() bool {
	budget := searchBytes
	for at := r.offset + 1; at+smallestFrame <= len(r.b); at++ {
		rest := r.b[at:]
		length := binary.LittleEndian.Uint32(rest)
		if rest[frameSize]&syncedMark == 0 || length == 0 || length > MaxRecord || int(length) > len(rest)-frameSize {
			continue
		}
		sum, payload := binary.LittleEndian.Uint32(rest[4:]), rest[frameSize:frameSize+int(length)]
		last := r.records + uint64((at-r.offset)/smallestFrame)
		for index := r.records; index <= last; index++ {
			if frameSum(r.sum, index, payload) == sum {
				return true
			}
			if budget -= attemptBytes + len(payload); budget < 0 {
				return true
			}
		}
	}
	return false
}
