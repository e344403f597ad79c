package event

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"slices"
	"testing"
	"time"
)

// same compares records, and what they point to.
func same(a, b []Record) bool {
	return slices.EqualFunc(a, b, func(a, b Record) bool {
		x, y := a.Reasons, b.Reasons
		a.Reasons, b.Reasons = nil, nil
		return a == b && (x == y || x != nil && y != nil && x.Hour.Equal(y.Hour) && x.Estimated == y.Estimated && slices.Equal(x.Cells, y.Cells))
	})
}

func sumOf(b []byte) []byte {
	return binary.LittleEndian.AppendUint32(nil, crc32.Checksum(b, castagnoli))
}

// page is a sealed segment of about 4 KiB in batches of 4.
func page() (b []byte, cuts []int, records []Record) {
	for len(records) < 80 {
		records = append(records, sampleRecordsV1()[:8]...)
		records = append(records, sampleReasons(len(records)%2 == 0))
	}
	b, cuts = segment(records, 4)
	return b, cuts, records
}

// wholeUpTo is how many records end at or before the offset n.
func wholeUpTo(cuts []int, n int) int {
	whole := 0
	for whole+1 < len(cuts)-1 && cuts[whole+1] <= n {
		whole++
	}
	return whole
}

func TestEveryTruncation(t *testing.T) {
	t.Parallel()
	b, cuts, records := page()
	if len(b) < 4096 {
		t.Fatalf("only %d bytes", len(b))
	}
	for n := range b {
		got, r, err := read(b[:n:n])
		whole := wholeUpTo(cuts, n)
		if !errors.Is(err, ErrTorn) || len(got) != whole || !same(got, records[:whole]) {
			t.Fatalf("first %d bytes: %d records instead of %d, %v", n, len(got), whole, err)
		}
		if n >= HeaderSize && r.Offset() != cuts[whole] {
			t.Fatalf("first %d bytes: cut at %d, want %d", n, r.Offset(), cuts[whole])
		}
	}
}

// Every flip of a byte is noticed and yields exactly the records before it;
// all but those of the footer itself are told apart from a tear.
func TestEveryFlippedByte(t *testing.T) {
	t.Parallel()
	b, cuts, records := page()
	footer := cuts[len(cuts)-2]
	for at := range b {
		mask := []byte{0x01, 0x80, 0xff}[at%3]
		c := bytes.Clone(b)
		c[at] ^= mask
		got, _, err := read(c)
		whole := wholeUpTo(cuts, at)
		want := ErrCorrupt
		if at >= footer {
			want = ErrTorn
		}
		if !errors.Is(err, want) || len(got) != whole || !same(got, records[:whole]) {
			t.Fatalf("byte %d ^ %#x: %d records instead of %d, %v", at, mask, len(got), whole, err)
		}
	}
}

// The search for later frames must stay cheap on bytes made to be expensive.
func TestHostileBytesAreCheap(t *testing.T) {
	t.Parallel()
	w := NewWriter(sampleProcess, 7)
	b := w.AppendHeader(nil)
	for len(b) < 64<<10 {
		b = append(b, 0, 0x10, 0, 0, 1, 2, 3, 4, syncedMark|1)
	}
	start := time.Now()
	_, _, err := read(b)
	took := time.Since(start)
	if !errors.Is(err, ErrCorrupt) || took > 500*time.Millisecond {
		t.Errorf("%v after %v", err, took)
	}
	t.Logf("%v", took)
}

func FuzzSegment(f *testing.F) {
	b, cuts := segment(sampleRecords(), 3)
	f.Add(b)
	f.Add(b[:cuts[2]+3])
	f.Add(append(bytes.Clone(b[:cuts[1]]), b[cuts[2]:]...))
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, r, err := read(b)
		if r.Offset() > len(b) || (err == nil) != r.Sealed() {
			t.Fatalf("offset %d of %d, sealed %t, %v", r.Offset(), len(b), r.Sealed(), err)
		}
		if r.Offset() < HeaderSize {
			return
		}
		end := r.Offset()
		if r.Sealed() {
			return
		}
		w := r.Writer()
		again, _, err := read(w.AppendFooter(bytes.Clone(b[:end])))
		if err != nil || !same(again, got) {
			t.Fatalf("the valid part, sealed, reads differently: %v", err)
		}
	})
}
