package event

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"
)

// same compares records, and what they point to.
func same(a, b []Record) bool {
	return slices.EqualFunc(a, b, func(a, b Record) bool {
		x, y, did, done := a.Reasons, b.Reasons, a.Action, b.Action
		a.Reasons, b.Reasons, a.Action, b.Action = nil, nil, nil, nil
		return a == b && (did == done || did != nil && done != nil && *did == *done) &&
			(x == y || x != nil && y != nil && x.Hour.Equal(y.Hour) && x.Estimated == y.Estimated && slices.Equal(x.Cells, y.Cells))
	})
}

// batchOfPage is the number of records that were synced together in a page.
const batchOfPage = 5

// page is a sealed segment of at least 4 KiB with all types of records several
// times, in batches. cuts holds the offset after every frame: the header's
// first, the footer's last.
func page(t *testing.T) (b []byte, cuts []int, records []Record) {
	t.Helper()
	for len(b) < 4096 {
		records = dated(append(records, sampleRecords()...))
		b, cuts = segment(records, batchOfPage)
	}
	seen := map[Type]bool{}
	for i := range records {
		seen[records[i].Type] = true
	}
	for kind := Open; kind <= Billing; kind++ {
		if !seen[kind] {
			t.Fatalf("no record of type %d among those that are damaged", kind)
		}
	}
	return b, cuts, records
}

// intact is how many records of a segment read before the first frame that
// damage changed: what a reader must find, no more and no less.
func intact(whole, damaged []byte, cuts []int) int {
	n := 0
	for n+1 < len(cuts)-1 && cuts[n+1] <= len(damaged) && bytes.Equal(whole[cuts[n]:cuts[n+1]], damaged[cuts[n]:cuts[n+1]]) {
		n++
	}
	if len(damaged) < HeaderSize || !bytes.Equal(whole[:HeaderSize], damaged[:HeaderSize]) {
		return 0
	}
	return n
}

// damageTest checks what reading a damaged segment says.
type damageTest struct {
	t       *testing.T
	whole   []byte
	cuts    []int
	records []Record
}

// reads wants the records before the damage, exactly, and its kind. What a
// writer makes of the valid part must read as that part again.
func (d *damageTest) reads(damaged []byte, want error, what string, at int) {
	d.t.Helper()
	got, r, err := read(damaged)
	n := intact(d.whole, damaged, d.cuts)
	if !errors.Is(err, want) || len(got) != n || !same(got, d.records[:n]) || r.Sealed() {
		d.t.Fatalf("%s %d: %d records instead of %d, %v, want %v", what, at, len(got), n, err, want)
	}
	if again, err := r.Next(new(Record)); again || !errors.Is(err, want) {
		d.t.Fatalf("%s %d: reading goes on: %t, %v", what, at, again, err)
	}
	if r.Offset() == 0 {
		if n != 0 {
			d.t.Fatalf("%s %d: cut at 0 with %d records", what, at, n)
		}
		return // no header: nothing to go on from
	}
	if r.Offset() != d.cuts[n] {
		d.t.Fatalf("%s %d: cut at %d, want %d", what, at, r.Offset(), d.cuts[n])
	}
	w := r.Writer()
	mended, end, err := read(w.AppendFooter(slices.Clip(damaged[:r.Offset()])))
	if err != nil || !end.Sealed() || !same(mended, got) {
		d.t.Fatalf("%s %d: mended, it reads as %d records, %v", what, at, len(mended), err)
	}
}

func newDamageTest(t *testing.T) *damageTest {
	b, cuts, records := page(t)
	return &damageTest{t, b, cuts, records}
}

// open is the page as it was after its last sync but one: without a footer.
// last is where the batch begins that nobody has acknowledged.
func (d *damageTest) open() (b []byte, last int) {
	end := len(d.cuts) - 2
	batch := (end - 1) / batchOfPage * batchOfPage
	return d.whole[:d.cuts[end]], d.cuts[batch]
}

// A file may end anywhere: what is before the end is read, and it is a tear.
func TestEveryTruncation(t *testing.T) {
	t.Parallel()
	d := newDamageTest(t)
	for n := range d.whole {
		d.reads(d.whole[:n:n], ErrTorn, "truncated to", n)
	}
	t.Logf("figure event.truncations %d segments", len(d.whole))
}

// A file system may keep a file's length and lose its bytes: they read as zeros.
func TestEveryZeroTail(t *testing.T) {
	t.Parallel()
	d := newDamageTest(t)
	for n := range d.whole {
		for _, end := range []int{n + 1, (n/512 + 1) * 512, len(d.whole), len(d.whole) + 4096} {
			b := append(bytes.Clone(d.whole[:n]), make([]byte, max(1, end-n))...)
			if bytes.Equal(b[:min(len(b), len(d.whole))], d.whole[:min(len(b), len(d.whole))]) {
				continue // what was lost was zero
			}
			d.reads(b, ErrTorn, "zeros from", n)
		}
	}
}

// Every change of a byte in a sealed segment is noticed and yields the records
// before it. All but those of the footer itself are told apart from a tear.
func TestEveryFlippedByte(t *testing.T) {
	t.Parallel()
	d := newDamageTest(t)
	footer := d.cuts[len(d.cuts)-2]
	b, masks := bytes.Clone(d.whole), []byte{1, syncedMark, 0xff}
	if os.Getenv("PROOF") != "" {
		masks = []byte{1, 2, 4, 8, 16, 32, 64, 128, 0xff}
	}
	for at := range b {
		want := ErrCorrupt
		if at >= footer {
			want = ErrTorn
		}
		for _, mask := range masks {
			b[at] ^= mask
			d.reads(b, want, "flipped byte", at)
			b[at] ^= mask
		}
	}
	t.Logf("figure event.flipped_bytes %d segments", len(b)*len(masks))
}

// Before the seal, the last batch may be torn and is cut; damage before it hit
// what was acknowledged.
func TestEveryFlippedByteUnsealed(t *testing.T) {
	t.Parallel()
	d := newDamageTest(t)
	b, last := d.open()
	b = bytes.Clone(b)
	for at := range b {
		want := ErrCorrupt
		if at >= last {
			want = ErrTorn
		}
		b[at] ^= 0xff
		d.reads(b, want, "flipped byte", at)
		b[at] ^= 0xff
	}
}

// A power cut keeps some sectors of the last batch and loses others, in any
// order; a lost one holds what was there before: nothing, or another file's
// bytes. What was synced stays, and is found.
func TestEveryTornSector(t *testing.T) {
	t.Parallel()
	const sector = 512
	records := dated(slices.Repeat(sampleRecords(), 5))
	synced := len(sampleRecords())
	b, cuts := segment(records, len(records)) // cuts are the same for all batches
	w := NewWriter(sampleProcess, 7)
	b = w.AppendHeader(b[:0])
	for i := range records {
		if i == synced {
			w.Synced()
		}
		b = w.AppendRecord(b, &records[i])
	}
	cuts = append(cuts[:len(records)+1], len(b))
	d := &damageTest{t, b, cuts, records}
	first := cuts[synced] / sector
	sectors := (len(b)+sector-1)/sector - first
	if sectors < 6 {
		t.Fatalf("the last batch has %d sectors only", sectors)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for lost := 1; lost < 1<<sectors; lost++ {
		for _, rubbish := range []bool{false, true} {
			torn := bytes.Clone(b)
			for i := range sectors {
				if lost&(1<<i) == 0 {
					continue
				}
				for at := max(cuts[synced], (first+i)*sector); at < min(len(b), (first+i+1)*sector); at++ {
					torn[at] = 0
					if rubbish {
						torn[at] = byte(random.Uint32())
					}
				}
			}
			if intact(b, torn, cuts) < synced {
				t.Fatal("this test tears what was synced")
			}
			d.reads(torn, ErrTorn, "lost sectors", lost)
		}
	}
}

// What a frame claims of its length is not believed: neither nothing, nor more
// than there is, nor more than there may be.
func TestEveryLength(t *testing.T) {
	t.Parallel()
	d := newDamageTest(t)
	b := bytes.Clone(d.whole)
	for i, at := range d.cuts[:len(d.cuts)-1] {
		want := ErrCorrupt
		if i == len(d.cuts)-2 {
			want = ErrTorn // the footer's own: nothing follows that would tell
		}
		length := binary.LittleEndian.Uint32(b[at:])
		for _, claimed := range []uint32{0, 1, length - 1, length + 1, MaxRecord, MaxRecord + 1, 1<<31 - 1, 1 << 31, 1<<32 - 8, 1<<32 - 1} {
			if claimed == length {
				continue
			}
			binary.LittleEndian.PutUint32(b[at:], claimed)
			d.reads(b, want, "length of frame", i)
		}
		binary.LittleEndian.PutUint32(b[at:], length)
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
