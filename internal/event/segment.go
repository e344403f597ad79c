package event

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/oklog/ulid/v2"
)

// Version is what [Writer] writes; [NewReader] reads oldestVersion to Version.
// A new version keeps the header's first 36 bytes, adds a file to testdata and a
// line here.
//
//	1  2026-11  first: leases, impressions, clicks, viewability, request counts
//	2  2026-11  Unserved: why line items did not serve
//	3  2026-11  conversions, video progress, exchanges' notices; the publisher's share; why traffic is invalid
const (
	Version       = 3
	oldestVersion = 1
)

// FirstSeq is the sequence of a stream's first segment, so that 0 can say "none".
const FirstSeq = 1

// HeaderSize in bytes: magic, version u16, zero u16, process, sequence u64,
// CRC32C of all that; little endian, as everything here.
const HeaderSize = 36

const (
	magic      = "HYEV"
	frameSize  = 8 // length u32, CRC32C u32, then the payload
	footerType = 0x7f

	// syncedMark on a payload's type byte says that all before this frame was on
	// disk when the frame was written. A crash tears only what was not synced, and
	// the disk may keep later pages of it and lose earlier ones. So a bad frame
	// with intact ones of the same batch after it is torn; with a marked one
	// anywhere after it, something acknowledged was damaged.
	syncedMark = 0x80
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Writer makes one segment. Use: AppendHeader once, AppendRecord for each record,
// AppendFooter once; all append to dst and return it, and none does IO. The
// caller's bytes are the segment, in order.
type Writer struct {
	process ulid.ULID
	seq     uint64
	sum     uint32 // over (process, seq), where every frame's sum starts
	records uint64
	synced  bool
}

// NewWriter begins the segment seq of a process, seq at least [FirstSeq].
func NewWriter(process ulid.ULID, seq uint64) Writer {
	return Writer{process: process, seq: seq, sum: prefixSum(process, seq)}
}

func prefixSum(process ulid.ULID, seq uint64) uint32 {
	var b [24]byte
	copy(b[:], process[:])
	binary.LittleEndian.PutUint64(b[16:], seq)
	return crc32.Update(0, castagnoli, b[:])
}

// Records is the number of records appended.
func (w *Writer) Records() uint64 { return w.records }

// AppendHeader appends the header.
func (w *Writer) AppendHeader(dst []byte) []byte {
	start := len(dst)
	dst = append(dst, magic...)
	dst = binary.LittleEndian.AppendUint16(dst, Version)
	dst = binary.LittleEndian.AppendUint16(dst, 0)
	dst = append(dst, w.process[:]...)
	dst = binary.LittleEndian.AppendUint64(dst, w.seq)
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

// AppendRecord appends the next record's frame. rec is not validated: see
// [Record.Validate].
func (w *Writer) AppendRecord(dst []byte, rec *Record) []byte {
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0, 0, 0, 0, 0)
	dst = AppendPayload(dst, rec)
	w.frame(dst[start:])
	return dst
}

// AppendFrame is [Writer.AppendRecord] for what [AppendPayload] made earlier.
func (w *Writer) AppendFrame(dst, payload []byte) []byte {
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0, 0, 0, 0, 0)
	dst = append(dst, payload...)
	w.frame(dst[start:])
	return dst
}

// Synced says that all appended so far is on disk; see syncedMark.
func (w *Writer) Synced() { w.synced = w.records > 0 }

// AppendFooter appends the footer, which counts the records. All records must
// be on disk before the footer is written there: it stands for that.
func (w *Writer) AppendFooter(dst []byte) []byte {
	w.synced = true
	var payload [1 + binary.MaxVarintLen64]byte
	payload[0] = footerType
	records := w.records
	dst = w.AppendFrame(dst, payload[:1+binary.PutUvarint(payload[1:], records)])
	w.records = records
	return dst
}

// frame fills in length and sum of a frame whose payload stands.
func (w *Writer) frame(f []byte) {
	if w.synced {
		f[frameSize] |= syncedMark
		w.synced = false
	}
	binary.LittleEndian.PutUint32(f, uint32(len(f)-frameSize))
	binary.LittleEndian.PutUint32(f[4:], frameSum(w.sum, w.records, f[frameSize:]))
	w.records++
}

// frameSum is the CRC32C over process, sequence, index and payload. The index
// goes in byte by byte: a slice of it would escape into crc32, an allocation a record.
func frameSum(prefix uint32, index uint64, payload []byte) uint32 {
	sum := ^prefix
	for range 8 {
		sum = castagnoli[byte(sum)^byte(index)] ^ sum>>8
		index >>= 8
	}
	return crc32.Update(^sum, castagnoli, payload)
}

// What is wrong with a segment; every error of [NewReader] and [Reader.Next] is
// one of these.
var (
	// ErrTorn: the bytes end in the middle of a batch that was never
	// acknowledged. Cut at [Reader.Offset]; what is before is whole.
	// In a sealed segment, in the bucket or a .seg file, it is damage.
	ErrTorn = errors.New("torn segment")
	// ErrCorrupt: what was once on disk is damaged. Quarantine it, never skip it.
	ErrCorrupt = errors.New("corrupt segment")
	// ErrVersion: written by a program newer than this one.
	ErrVersion = errors.New("unknown segment version")
	// ErrForeign: a whole segment, but of another process or sequence than asked for.
	ErrForeign = errors.New("another segment than asked for")
)

// Header is what a segment says of itself.
type Header struct {
	Version uint16
	Process ulid.ULID
	Seq     uint64
}

// ParseHeader reads the header at the front of b, whatever segment it is.
func ParseHeader(b []byte) (Header, error) {
	if len(b) < HeaderSize {
		return Header{}, fmt.Errorf("%w: %d bytes, the header alone has %d", ErrTorn, len(b), HeaderSize)
	}
	b = b[:HeaderSize]
	if string(b[:4]) != magic {
		return Header{}, fmt.Errorf("%w: does not begin with %q", ErrCorrupt, magic)
	}
	if crc32.Checksum(b[:32], castagnoli) != binary.LittleEndian.Uint32(b[32:]) {
		return Header{}, fmt.Errorf("%w: header does not match its checksum", ErrCorrupt)
	}
	h := Header{
		Version: binary.LittleEndian.Uint16(b[4:]),
		Process: ulid.ULID(b[8:24]),
		Seq:     binary.LittleEndian.Uint64(b[24:]),
	}
	if h.Version < oldestVersion || h.Version > Version || b[6] != 0 || b[7] != 0 {
		return h, fmt.Errorf("%w %d: this program reads %d to %d", ErrVersion, h.Version, oldestVersion, Version)
	}
	return h, nil
}
