package snapshot

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/hayate-ads/hayate/internal/rule"
)

// Limits bound what [Parse] takes.
type Limits struct {
	Size int64 // of the file in bytes; 0 means MaxSize
}

func (l Limits) size() uint64 {
	if l.Size <= 0 {
		return MaxSize
	}
	return uint64(l.Size)
}

// Parse reads a file that [Append] wrote, whole or not at all: magic, version,
// size and checksum first, then the content, then the rules of [Check]. Its
// error is always an [*Error]. It never panics, keeps no reference to b, and
// allocates at most some 32 bytes for each byte of b, whatever b claims.
func Parse(b []byte, limits Limits) (*Snapshot, error) {
	if err := verify(b, limits); err != nil {
		return nil, err
	}
	sections, err := split(b[headerSize : len(b)-trailerSize])
	if err != nil {
		return nil, err
	}
	created := time.UnixMicro(int64(binary.LittleEndian.Uint64(b[createdAt:]))).UTC()
	s := &Snapshot{Generation: binary.LittleEndian.Uint64(b[generationAt:]), CreatedAt: created}
	if err := decode(s, sections); err != nil {
		return nil, err
	}
	if err := Check(s); err != nil {
		return nil, err
	}
	return s, nil
}

// verify answers whether b is, byte for byte, a file that some build sealed and
// that this one may read.
func verify(b []byte, limits Limits) error {
	if n := min(len(b), len(magic)); string(b[:n]) != magic[:n] {
		return refuse(BadMagic, "it begins with % x", b[:n])
	}
	if len(b) < minSize {
		return refuse(Truncated, "%d bytes are fewer than the shortest snapshot has", len(b))
	}
	version, readable := binary.LittleEndian.Uint32(b[versionAt:]), binary.LittleEndian.Uint32(b[readableAt:])
	if version < ReadMin || readable > Version || readable > version {
		return refuse(BadVersion, "version %d for builds from %d on; this build reads %d to %d", version, readable, ReadMin, Version)
	}
	size := binary.LittleEndian.Uint64(b[sizeAt:])
	switch {
	case max(size, uint64(len(b))) > limits.size():
		return refuse(TooLarge, "%d bytes, the limit is %d", max(size, uint64(len(b))), limits.size())
	case uint64(len(b)) < size:
		return refuse(Truncated, "%d bytes of %d", len(b), size)
	case uint64(len(b)) > size:
		return refuse(BadChecksum, "%d bytes after its end", uint64(len(b))-size)
	}
	content, trailer := b[:len(b)-trailerSize], b[len(b)-trailerSize:]
	if sum := sha256.Sum256(content); !bytes.Equal(sum[:], trailer) {
		return refuse(BadChecksum, "its SHA-256 is %x, it says %x", sum, trailer)
	}
	return nil
}

// split finds the sections. Those of newer builds are skipped: the file's
// "readable by" says that this build may.
func split(b []byte) (sections [tagEnd][]byte, err error) {
	for len(b) > 0 {
		if len(b) < prefixSize {
			return sections, refuse(BadContent, "%d bytes after the last section", len(b))
		}
		tag, length := b[0], binary.LittleEndian.Uint64(b[1:])
		if b = b[prefixSize:]; length > uint64(len(b)) {
			return sections, refuse(BadContent, "section %d claims %d bytes of %d", tag, length, len(b))
		}
		if tag < tagEnd {
			if sections[tag] != nil {
				return sections, refuse(BadContent, "section %d comes twice", tag)
			}
			sections[tag] = b[:length:length]
		}
		b = b[length:]
	}
	for tag := tagSettings; tag < tagEnd; tag++ {
		if sections[tag] == nil {
			return sections, refuse(BadContent, "section %d is missing", tag)
		}
	}
	return sections, nil
}

func decode(s *Snapshot, sections [tagEnd][]byte) error {
	table, err := readTable("strings", sections[tagStrings])
	if err != nil {
		return err
	}
	values, err := readTable("values", sections[tagValues])
	if err != nil {
		return err
	}
	s.Values = rule.NewTable(values)
	read := func(tag int, what string, content func(*reader)) {
		if err != nil {
			return
		}
		r := reader{b: sections[tag], strings: table}
		content(&r)
		r.end()
		if r.failure != "" {
			err = refuse(BadContent, "%s: %s", what, r.failure)
		}
	}
	read(tagSettings, "settings", func(r *reader) { r.settings(s) })
	read(tagAdvertisers, "advertisers", func(r *reader) { s.Advertisers = r.advertisers() })
	read(tagLineItems, "line items", func(r *reader) { s.LineItems = r.lineItems() })
	read(tagCreatives, "creatives", func(r *reader) { s.Creatives = r.creatives() })
	read(tagProperties, "properties", func(r *reader) { s.Properties = r.properties() })
	read(tagPlacements, "placements", func(r *reader) { s.Placements = r.placements() })
	return err
}

func refuse(reason Reason, format string, args ...any) *Error {
	return &Error{Reason: reason, Detail: fmt.Sprintf(format, args...)}
}
