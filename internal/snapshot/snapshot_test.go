package snapshot_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/snapshot"
	"github.com/hayate-ads/hayate/internal/snapshot/snapshottest"
)

var update = flag.Bool("update", false, "write testdata's file of the current version")

func reason(err error) snapshot.Reason {
	var refused *snapshot.Error
	if errors.As(err, &refused) {
		return refused.Reason
	}
	return ""
}

func diff(want, got *snapshot.Snapshot) string { return cmp.Diff(want, got, cmpopts.EquateEmpty()) }

func TestWhatIsWrittenIsRead(t *testing.T) {
	t.Parallel()
	f := func(want *snapshot.Snapshot) {
		t.Helper()
		file := snapshot.Append(nil, want)
		got, err := snapshot.Parse(file, snapshot.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if d := diff(want, got); d != "" {
			t.Errorf("read back otherwise (-want +got):\n%s", d)
		}
		if again := snapshot.Append([]byte("before"), got); string(again) != "before"+string(file) {
			t.Error("the same snapshot gave other bytes")
		}
	}
	f(snapshottest.Make(1, 0))
	f(snapshottest.Make(2, 1))
	f(snapshottest.Make(math.MaxUint64, 137))
	rare := snapshottest.Make(3, 20)
	rare.LineItems[3].Cost = 0
	rare.LineItems[4].Targeting = nil // matches nothing
	rare.LineItems[5].StartsAt = time.Time{}
	rare.LineItems[19].ID = math.MaxInt64
	rare.Creatives = rare.Creatives[:30]
	rare.Placements[0].Sizes = nil
	rare.Placements[0].Formats = []ad.Format{ad.Native, ad.Video}
	f(rare)
}

func TestSame(t *testing.T) {
	t.Parallel()
	s := snapshottest.Make(1, 20)
	file := snapshot.Append(nil, s)
	f := func(want bool, change func(*snapshot.Snapshot)) {
		t.Helper()
		other := snapshottest.Make(1, 20)
		change(other)
		if got := snapshot.Same(file, snapshot.Append(nil, other)); got != want {
			t.Errorf("got %v", got)
		}
	}
	type S = snapshot.Snapshot
	f(true, func(*S) {})
	f(true, func(s *S) { s.Generation, s.CreatedAt = 99, s.CreatedAt.Add(time.Hour) })
	f(false, func(s *S) { s.Currency = "CAD" })
	f(false, func(s *S) { s.LineItems[7].Cost++ })
	f(false, func(s *S) { s.LineItems[1].Urgency++ })
	f(false, func(s *S) { s.Rates.Click++ })
	f(false, func(s *S) { s.Placements = s.Placements[1:] })
	older := bytes.Clone(file)
	binary.LittleEndian.PutUint32(older[8:], snapshot.Version-1)
	if snapshot.Same(file, older) || snapshot.Same(nil, nil) {
		t.Error("another version is the same, or nothing is")
	}
	if p := snapshot.PointTo(s, file); !p.Names(file) || p.Names(older) || p.Names(file[1:]) {
		t.Error("the pointer names another file, or not its own")
	}
}

// Files of every version that was ever written stay in testdata: those from
// ReadMin on stay readable, the older ones are refused by name.
func TestOldFiles(t *testing.T) {
	t.Parallel()
	want := snapshottest.Make(7, 23)
	if *update {
		if err := os.WriteFile(fileOf(snapshot.Version), snapshot.Append(nil, want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	files, err := filepath.Glob("testdata/v*.snap")
	if err != nil || len(files) != snapshot.Version {
		t.Fatalf("testdata holds %d files (%v), want one of each version from 1 to %d", len(files), err, snapshot.Version)
	}
	for version := 1; version <= snapshot.Version; version++ {
		file, err := os.ReadFile(fileOf(version))
		if err != nil {
			t.Fatal(err)
		}
		got, err := snapshot.Parse(file, snapshot.Limits{})
		if version < snapshot.ReadMin {
			if reason(err) != snapshot.BadVersion || !strings.Contains(err.Error(), fmt.Sprintf("version %d ", version)) {
				t.Errorf("version %d: %v", version, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("version %d: %v", version, err)
			continue
		}
		if d := diff(want, got); d != "" {
			t.Errorf("version %d (-want +got):\n%s", version, d)
		}
		if version == snapshot.Version && !bytes.Equal(file, snapshot.Append(nil, want)) {
			t.Errorf("this build writes other bytes than version %d: raise Version and add a file", version)
		}
	}
}

func fileOf(version int) string { return filepath.Join("testdata", fmt.Sprintf("v%d.snap", version)) }

func TestEveryCutIsRefused(t *testing.T) {
	t.Parallel()
	file := snapshot.Append(nil, snapshottest.Make(1, 5))
	for n := range file {
		if _, err := snapshot.Parse(file[:n], snapshot.Limits{}); reason(err) != snapshot.Truncated {
			t.Fatalf("the first %d bytes of %d: %v", n, len(file), err)
		}
		// Sealed again, the cut is a lie about the content.
		if n >= 72 {
			if s, err := snapshot.Parse(snapshottest.Seal(bytes.Clone(file[:n])), snapshot.Limits{}); reason(err) != snapshot.BadContent {
				t.Fatalf("the first %d bytes, sealed: %v, %v", n, s, err)
			}
		}
	}
	if _, err := snapshot.Parse(append(bytes.Clone(file), 0), snapshot.Limits{}); reason(err) != snapshot.BadChecksum {
		t.Errorf("one byte more: %v", err)
	}
}

func TestEveryFlippedBitIsRefused(t *testing.T) {
	t.Parallel()
	file := snapshot.Append(nil, snapshottest.Make(1, 3))
	seen := map[snapshot.Reason]int{}
	for i := range len(file) * 8 {
		file[i/8] ^= 1 << (i % 8)
		_, err := snapshot.Parse(file, snapshot.Limits{})
		if reason(err) == "" {
			t.Fatalf("bit %d of byte %d: %v", i%8, i/8, err)
		}
		seen[reason(err)]++
		file[i/8] ^= 1 << (i % 8)
	}
	for _, r := range []snapshot.Reason{snapshot.BadMagic, snapshot.BadVersion, snapshot.BadChecksum, snapshot.Truncated, snapshot.TooLarge} {
		if seen[r] == 0 {
			t.Errorf("no flip was refused as %s: %v", r, seen)
		}
	}
}

func TestHeader(t *testing.T) {
	t.Parallel()
	f := func(want snapshot.Reason, change func([]byte) []byte) {
		t.Helper()
		file := snapshottest.Seal(change(snapshot.Append(nil, snapshottest.Make(1, 5))))
		if _, err := snapshot.Parse(file, snapshot.Limits{Size: 1 << 20}); reason(err) != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
	u32 := binary.LittleEndian.PutUint32
	f("", func(b []byte) []byte { return b })
	f(snapshot.Truncated, func([]byte) []byte { return nil })
	f(snapshot.BadMagic, func([]byte) []byte { return []byte("<html>") })
	f(snapshot.BadMagic, func(b []byte) []byte { b[3] = 'b'; return b })
	f(snapshot.BadVersion, func(b []byte) []byte { u32(b[8:], 0); return b })
	f(snapshot.BadVersion, func(b []byte) []byte { u32(b[8:], snapshot.Version+1); u32(b[12:], snapshot.Version+1); return b })
	f(snapshot.BadVersion, func(b []byte) []byte { u32(b[12:], snapshot.Version+1); return b })
	f(snapshot.TooLarge, func(b []byte) []byte { return append(b, make([]byte, 1<<20)...) })
	f(snapshot.BadContent, func(b []byte) []byte { clear(b[24:32]); return b }) // generation 0
	f(snapshot.BadContent, func(b []byte) []byte { b[39] = 0x80; return b })    // created before the epoch
}

// A newer build may add sections that this one does not know.
func TestNewerFileThatThisBuildMayRead(t *testing.T) {
	t.Parallel()
	want := snapshottest.Make(1, 5)
	file := snapshot.Append(nil, want)
	file = append(file[:len(file)-32], 99, 3, 0, 0, 0, 0, 0, 0, 0, 'n', 'e', 'w')
	file = append(file, make([]byte, 32)...)
	binary.LittleEndian.PutUint32(file[8:], snapshot.Version+3)
	got, err := snapshot.Parse(snapshottest.Seal(file), snapshot.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if d := diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// What a file claims makes nobody allocate: only its bytes do.
func TestHugeCounts(t *testing.T) {
	file := snapshot.Append(nil, snapshottest.Make(1, 200))
	f := func(what string, lie []byte) {
		t.Helper()
		snapshottest.Seal(lie)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := snapshot.Parse(lie, snapshot.Limits{})
		runtime.ReadMemStats(&after)
		if reason(err) != snapshot.BadContent {
			t.Errorf("%s: %v", what, err)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > uint64(len(lie))*33+100_000 {
			t.Errorf("%s: %d bytes allocated for a file of %d", what, used, len(lie))
		}
	}
	for _, at := range sectionOffsets(file) {
		for _, count := range [][]byte{{0xff, 0xff, 0x3f}, {0xff, 0xff, 0xff, 0xff, 0x7f}} { // a million, 34 billion
			f(fmt.Sprintf("% x at %d", count, at), slices.Concat(file[:at], count, file[at+len(count):]))
		}
	}
	// Each total could be true alone, but not all of them together.
	const room = 1 << 20
	items := sectionOffsets(file)[2]
	var claims []byte
	for _, least := range []uint64{13, 1, 1} { // line items, words, labels
		claims = binary.AppendUvarint(claims, room/least)
	}
	content := append(claims, make([]byte, room)...)
	length := binary.LittleEndian.AppendUint64(nil, uint64(len(content)))
	next := items + int(binary.LittleEndian.Uint64(file[items-8:]))
	f("totals together", slices.Concat(file[:items-8], length, content, file[next:]))
}

// What a section holds is neither more nor less than the totals it announced.
func TestTotals(t *testing.T) {
	t.Parallel()
	s := snapshottest.Make(1, 11)
	s.Placements[1].BlockedAdvertisers, s.Placements[1].BlockedAttributes = []ad.ID{1}, []uint8{1}
	s.Placements[1].BlockedCategories = []string{"iab1/IAB1"}
	file := snapshot.Append(nil, s)
	sections := sectionOffsets(file)
	for section, totals := range map[int]int{2: 2, 3: 5, 4: 1, 6: 2} { // line items, placements, properties, creatives
		at := sections[section]
		for range totals {
			_, n := binary.Uvarint(file[at:]) // the count, or the total before
			at += n
			for _, wrong := range []int{-1, 1} {
				lie := bytes.Clone(file)
				if lie[at]&0x7f == 0 || lie[at]&0x7f == 0x7f {
					t.Fatalf("section %d: the total at %d is %x: choose another snapshot", section, at, lie[at])
				}
				lie[at] = byte(int(lie[at]) + wrong)
				_, err := snapshot.Parse(snapshottest.Seal(lie), snapshot.Limits{})
				if reason(err) != snapshot.BadContent || !strings.Contains(err.Error(), "the total it announced") {
					t.Errorf("section %d, total at %d, %+d: %v", section, at, wrong, err)
				}
			}
		}
	}
}

func sectionOffsets(file []byte) (content []int) {
	for at := 40; at < len(file)-32; {
		content = append(content, at+9)
		at += 9 + int(binary.LittleEndian.Uint64(file[at+1:]))
	}
	return content
}

func TestSectionsLie(t *testing.T) {
	t.Parallel()
	file := snapshot.Append(nil, snapshottest.Make(1, 50))
	for i, at := range sectionOffsets(file) {
		f := func(change func(b []byte)) {
			t.Helper()
			lie := bytes.Clone(file)
			change(lie)
			if _, err := snapshot.Parse(snapshottest.Seal(lie), snapshot.Limits{}); reason(err) != snapshot.BadContent {
				t.Errorf("section %d: %v", i, err)
			}
		}
		length := file[at-8 : at]
		end := at + int(binary.LittleEndian.Uint64(length))
		twice := snapshottest.Seal(slices.Concat(file[:end], file[at-9:]))
		if _, err := snapshot.Parse(twice, snapshot.Limits{}); reason(err) != snapshot.BadContent {
			t.Errorf("section %d twice: %v", i, err)
		}
		f(func(b []byte) { b[at-9] = 77 })                                              // missing
		f(func(b []byte) { b[at-9] = b[at-9]%7 + 1 })                                   // under another's name
		f(func(b []byte) { binary.LittleEndian.PutUint64(b[at-8:], math.MaxUint64-3) }) // beyond the end
		f(func(b []byte) { b[at-8] = length[0] + 1 })                                   // overlapping the next
		f(func(b []byte) { b[at-8] = length[0] - 1 })
	}
}
