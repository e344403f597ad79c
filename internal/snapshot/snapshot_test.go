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
	"github.com/hayate-ads/hayate/internal/rule"
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
	rare.LineItems[3].CPM = 0
	rare.LineItems[4].Targeting = rule.Rule{} // matches nothing
	rare.LineItems[5].StartsAt = time.Time{}
	rare.LineItems[19].ID = math.MaxInt64
	rare.Creatives = rare.Creatives[:30]
	rare.Placements[0].Sizes = nil
	rare.Placements[0].Formats = []ad.Format{ad.Native, ad.Video}
	f(rare)
}

// Files of every version that was ever written stay in testdata and stay readable.
func TestOldFiles(t *testing.T) {
	t.Parallel()
	want := snapshottest.Make(7, 23)
	current := filepath.Join("testdata", fmt.Sprintf("v%d.snap", snapshot.Version))
	if *update {
		if err := os.WriteFile(current, snapshot.Append(nil, want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	files, err := filepath.Glob("testdata/v*.snap")
	if err != nil || len(files) < snapshot.Version-snapshot.ReadMin+1 {
		t.Fatalf("testdata holds %d files (%v), want one of each version from %d to %d", len(files), err, snapshot.ReadMin, snapshot.Version)
	}
	for _, name := range files {
		file, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		got, err := snapshot.Parse(file, snapshot.Limits{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if d := diff(want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
		if name == current && !bytes.Equal(file, snapshot.Append(nil, want)) {
			t.Errorf("%s: this build writes other bytes: raise Version and add a file", name)
		}
	}
}

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

func TestCheckRefuses(t *testing.T) {
	t.Parallel()
	f := func(want string, lie func(*snapshot.Snapshot)) {
		t.Helper()
		s := snapshottest.Make(1, 30)
		lie(s)
		if err := snapshot.Check(s); reason(err) != snapshot.BadContent || !strings.Contains(err.Error(), want) {
			t.Errorf("checked: %v, want %q", err, want)
		}
		if _, err := snapshot.Parse(snapshot.Append(nil, s), snapshot.Limits{}); reason(err) != snapshot.BadContent || !strings.Contains(err.Error(), want) {
			t.Errorf("parsed: %v, want %q", err, want)
		}
	}
	type S = snapshot.Snapshot
	f("generation 0", func(s *S) { s.Generation = 0 })
	f("currency", func(s *S) { s.Currency = "usd" })
	f("advertiser 3 follows 3", func(s *S) { s.Advertisers[1].ID = 3 })
	f("advertiser 3 has no time zone", func(s *S) { s.Advertisers[0].TimeZone = "" })
	f("line item 2 follows 4", func(s *S) { s.LineItems[0], s.LineItems[1] = s.LineItems[1], s.LineItems[0] })
	f("line item 0 follows 0", func(s *S) { s.LineItems[0].ID = 0 })
	f("line item -5 follows 0", func(s *S) { s.LineItems[0].ID = -5 })
	f("line item 2 has no campaign", func(s *S) { s.LineItems[0].Campaign = 0 })
	f("line item 2 is of an advertiser", func(s *S) { s.LineItems[0].Advertiser = 5 })
	f("line item 2 has an unknown tier", func(s *S) { s.LineItems[0].Tier = 5 })
	f("line item 2 has a price", func(s *S) { s.LineItems[0].CPM = -1 })
	f("line item 2 ends before", func(s *S) { s.LineItems[0].EndsAt = s.LineItems[0].StartsAt })
	f("creative 2 follows 2", func(s *S) { s.Creatives[2].ID = 2 })
	f("creative 1 is of a line item", func(s *S) { s.Creatives[0].LineItem = 1 })
	f("creative 59 is of a line item", func(s *S) { s.LineItems = s.LineItems[:29] })
	f("creative 1 has no revision", func(s *S) { s.Creatives[0].Revision = 0 })
	f("creative 1 has a size", func(s *S) { s.Creatives[0].Height = 10_001 })
	f("creative 1 has no landing", func(s *S) { s.Creatives[0].LandingURL = "" })
	f("creative 1 has an unknown format", func(s *S) { s.Creatives[0].Format = ad.Video })
	f("creative 1 is a banner without", func(s *S) { s.Creatives[0].Image.SHA256 = "" })
	f("creative 1 has an unknown type", func(s *S) { s.Creatives[0].Image.Type = "image/svg+xml" })
	f("creative 2 is HTML without", func(s *S) { s.Creatives[1].Markup = "" })
	f("property 1 follows 1", func(s *S) { s.Properties[1].ID = 1 })
	f("property 1 has no publisher", func(s *S) { s.Properties[0].Publisher = 0 })
	f("property 1 is of an unknown kind", func(s *S) { s.Properties[0].Kind = "" })
	f("property 1 has a revenue share", func(s *S) { s.Properties[0].RevenueShare = 10_001 })
	f("placement 5 follows 5", func(s *S) { s.Placements[1].ID = 5 })
	f("placement 5 is of a property", func(s *S) { s.Placements[0].Property = 99 })
	f("placement 5 has a floor", func(s *S) { s.Placements[0].Floor = -1 })
	f("placement 5 has an unknown format", func(s *S) { s.Placements[0].Formats = nil })
	f("placement 5 has an unknown format", func(s *S) { s.Placements[0].Formats[0] = "audio" })
	f("placement 5 has a size", func(s *S) { s.Placements[0].Sizes[0].Width = 0 })
	f("placement 5 blocks", func(s *S) { s.Placements[0].BlockedAdvertisers = []ad.ID{2, 2} })
}

func TestCheckRefusesRules(t *testing.T) {
	t.Parallel()
	f := func(want string, conjunctions ...rule.Conjunction) {
		t.Helper()
		s := snapshottest.Make(1, 1)
		s.LineItems[0].Targeting = rule.Rule{Conjunctions: conjunctions}
		err := snapshot.Check(s)
		if (want == "") != (err == nil) || (err != nil && !strings.Contains(err.Error(), want)) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	is := func(d rule.Dimension, values ...string) rule.Term { return rule.Term{Dimension: d, Values: values} }
	not := func(d rule.Dimension, values ...string) rule.Term {
		return rule.Term{Dimension: d, Exclude: true, Values: values}
	}
	f("")
	f("", rule.Conjunction{})
	f("", rule.Conjunction{is(rule.Country, "JP", "US"), is(rule.Keyword, "a=1"), is(rule.Keyword, "b=1"), not(rule.Keyword, "c=1")})
	f("too many conjunctions", make([]rule.Conjunction, rule.MaxConjunctions+1)...)
	f("too many terms", make(rule.Conjunction, rule.MaxTerms+1))
	f("unknown dimension", rule.Conjunction{is(0, "x")})
	f("unknown dimension", rule.Conjunction{is(rule.HourOfWeek+1, "x")})
	f("not normal", rule.Conjunction{is(rule.Country)})
	f("not normal", rule.Conjunction{is(rule.Country, "US", "JP")})
	f("not normal", rule.Conjunction{is(rule.Country, "JP", "JP")})
	f("not normal", rule.Conjunction{is(rule.OS, "ios"), is(rule.Country, "JP")})
	f("not normal", rule.Conjunction{is(rule.Country, "JP"), is(rule.Country, "US")})
	f("not normal", rule.Conjunction{not(rule.Keyword, "a=1"), not(rule.Keyword, "b=1")})
	f("not normal", rule.Conjunction{is(rule.Keyword, "b=1"), is(rule.Keyword, "a=1")})
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
	claims := binary.AppendUvarint(nil, room/8)
	for _, least := range []uint64{1, 3, 1} {
		claims = binary.AppendUvarint(claims, room/least)
	}
	content := append(claims, make([]byte, room)...)
	length := binary.LittleEndian.AppendUint64(nil, uint64(len(content)))
	next := items + int(binary.LittleEndian.Uint64(file[items-8:]))
	f("totals together", slices.Concat(file[:items-8], length, content, file[next:]))
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
