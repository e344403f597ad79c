package event

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/oklog/ulid/v2"
	"pgregory.net/rapid"

	"github.com/hayate-ads/hayate/internal/money"
)

var update = flag.Bool("update", false, "write testdata anew; only before a version is released")

func TestSegmentRoundTrip(t *testing.T) {
	t.Parallel()
	want := sampleRecords()
	for i := range want {
		if err := want[i].Validate(); err != nil {
			t.Errorf("record %d: %v", i, err)
		}
	}
	b, _ := segment(want, 3)
	got, r, err := read(b)
	if err != nil || !r.Sealed() || r.Offset() != len(b) || r.Records() != uint64(len(want)) {
		t.Fatalf("sealed %t, offset %d of %d, %d records, error %v", r.Sealed(), r.Offset(), len(b), r.Records(), err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
}

func TestRecordRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := drawRecord(t)
		if err := want.Validate(); err != nil {
			t.Fatal(err)
		}
		w := NewWriter(sampleProcess, 7)
		b := w.AppendRecord(w.AppendHeader(nil), &want)
		got, _, err := read(w.AppendFooter(b))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]Record{want}, got); diff != "" {
			t.Fatal(diff)
		}
	})
}

func drawRecord(t *rapid.T) Record {
	rec := Record{
		Type: Type(rapid.ByteRange(byte(Open), byte(Billing)).Draw(t, "type")),
		At:   time.UnixMicro(rapid.Int64Range(0, latest*1_000_000).Draw(t, "at")).UTC(),
	}
	switch rec.Type {
	case Open, Close:
		rec.Lease = Lease{
			ID: drawULID(t, "lease"), LineItem: drawID(t, 1, "line item"), Day: Day(rapid.Int32Range(0, maxDay).Draw(t, "day")),
			Granted: drawMicros(t, "granted"), GrantedImpressions: rapid.Int64Range(0, maxImpressions).Draw(t, "impressions"),
		}
		if rec.Type == Close && rapid.Bool().Draw(t, "touched") {
			rec.Lease.Reserved = drawMicros(t, "reserved")
			rec.Lease.ReservedCount = rapid.Int64Range(0, maxImpressions).Draw(t, "count")
			rec.Lease.LastExpiry = time.UnixMicro(rapid.Int64Range(1, latest*1_000_000-1).Draw(t, "expiry")).UTC()
		}
	case Impression, Click, Viewable, Conversion, Progress, Win, Billing:
		rec.Landing = Landing{
			Reservation: drawReservation(t), Clearing: drawMicros(t, "clearing"),
			Late: rapid.Bool().Draw(t, "late"), Invalid: Invalid(rapid.ByteRange(0, byte(InvalidSuspect)).Draw(t, "invalid")),
		}
		switch rec.Type {
		case Progress:
			rec.Landing.Quartile = Quartile(rapid.ByteRange(0, byte(Complete)).Draw(t, "quartile"))
		case Conversion:
			rec.Action = &Action{
				OrderID: rapid.StringMatching(`[ -~]{0,64}`).Draw(t, "order"), Value: drawMicros(t, "value"),
				PostView: rapid.Bool().Draw(t, "post view"), TouchedAt: time.Unix(rapid.Int64Range(0, latest-1).Draw(t, "touched"), 0).UTC(),
			}
		}
	case Requests:
		rec.Requests = Count{
			Hour: time.Unix(rapid.Int64Range(0, latest/3600-1).Draw(t, "hour")*3600, 0).UTC(), Placement: drawID(t, 1, "placement"),
			Exchange: drawID(t, 0, "exchange"), NoFill: rapid.StringN(0, 16, MaxNoFill).Draw(t, "no fill"), N: rapid.Int64Range(1, math.MaxInt64).Draw(t, "n"),
		}
	case Unserved:
		rec.Reasons = drawReasons(t)
	}
	return rec
}

func drawReasons(t *rapid.T) *Reasons {
	r := &Reasons{
		Hour:      time.Unix(rapid.Int64Range(0, latest/3600-1).Draw(t, "hour")*3600, 0).UTC(),
		Estimated: rapid.Bool().Draw(t, "estimated"),
	}
	for range rapid.IntRange(1, MaxReasonCells).Draw(t, "cells") {
		c := ReasonCell{
			LineItem: drawID(t, 0, "line item"), Reason: rapid.StringMatching(`[a-z0-9_]{1,24}`).Draw(t, "reason"),
			Dimension: rapid.StringMatching(`[a-z0-9_]{0,24}`).Draw(t, "dimension"), N: rapid.Int64Range(1, math.MaxInt64).Draw(t, "n"),
		}
		if r.Estimated {
			c.Samples = rapid.Int64Range(1, c.N).Draw(t, "samples")
		}
		r.Cells = append(r.Cells, c)
	}
	return r
}

// The longest cells there can be, as many as a record may hold, fit a frame.
func TestReasonsFitARecord(t *testing.T) {
	t.Parallel()
	word := strings.Repeat("w", MaxReasonWord)
	rec := Record{Type: Unserved, At: time.Unix(latest-1, 0), Reasons: &Reasons{Hour: sampleTime.Truncate(time.Hour), Estimated: true}}
	for range MaxReasonCells {
		rec.Reasons.Cells = append(rec.Reasons.Cells, ReasonCell{math.MaxInt64, word, word, math.MaxInt64, math.MaxInt64})
	}
	if err := rec.Validate(); err != nil {
		t.Fatal(err)
	}
	if n := len(AppendPayload(nil, &rec)); n > MaxRecord {
		t.Errorf("%d bytes, at most %d are allowed", n, MaxRecord)
	}
	rec.Reasons.Cells = append(rec.Reasons.Cells, rec.Reasons.Cells[0])
	if rec.Validate() == nil {
		t.Error("one cell too many is accepted")
	}
}

func TestRecordBounds(t *testing.T) {
	t.Parallel()
	f := func(name string, rec Record) {
		t.Helper()
		rec.At = sampleTime
		if rec.Validate() == nil {
			t.Errorf("%s: Validate accepts it", name)
		}
		w := NewWriter(sampleProcess, 7)
		b := w.AppendFooter(w.AppendRecord(w.AppendHeader(nil), &rec))
		if _, _, err := read(b); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: reading says %v", name, err)
		}
	}
	lease := Lease{ID: sampleLease, LineItem: 1}
	f("type 0", Record{})
	f("a type to come", Record{Type: Billing + 1})
	f("the footer's type", Record{Type: footerType})
	f("no line item", Record{Type: Open})
	f("day", Record{Type: Open, Lease: Lease{LineItem: 1, Day: -1}})
	f("granted", Record{Type: Open, Lease: Lease{LineItem: 1, Granted: -1}})
	f("impressions", Record{Type: Open, Lease: Lease{LineItem: 1, GrantedImpressions: 65_537}})
	lease.ReservedCount = -1
	f("count", Record{Type: Close, Lease: lease})
	lease.ReservedCount, lease.LastExpiry = 0, time.Unix(-1, 0)
	f("expiry", Record{Type: Close, Lease: lease})
	f("clearing", Record{Type: Impression, Landing: Landing{Reservation: sampleReservation(), Clearing: -1}})
	f("reservation", Record{Type: Click})
	landing := func(name string, kind Type, change func(*Record)) {
		t.Helper()
		rec := Record{Type: kind, Landing: Landing{Reservation: sampleReservation()}}
		if kind == Conversion {
			rec.Action = &Action{TouchedAt: sampleTime}
		}
		change(&rec)
		f(name, rec)
	}
	landing("reason of invalid traffic", Impression, func(r *Record) { r.Landing.Invalid = InvalidSuspect + 1 })
	landing("quartile", Progress, func(r *Record) { r.Landing.Quartile = Complete + 1 })
	landing("no action", Conversion, func(r *Record) { r.Action = nil })
	landing("long order id", Conversion, func(r *Record) { r.Action.OrderID = strings.Repeat("x", MaxOrderID+1) })
	landing("order id with a line", Conversion, func(r *Record) { r.Action.OrderID = "a\n" })
	landing("order id beyond ASCII", Conversion, func(r *Record) { r.Action.OrderID = "\u00e9" })
	landing("order id with a delete", Conversion, func(r *Record) { r.Action.OrderID = "\x7f" })
	landing("negative value", Conversion, func(r *Record) { r.Action.Value = -1 })
	landing("huge value", Conversion, func(r *Record) { r.Action.Value = money.Max + 1 })
	landing("touched before 1970", Conversion, func(r *Record) { r.Action.TouchedAt = time.Unix(-1, 0) })
	landing("never touched", Conversion, func(r *Record) { r.Action.TouchedAt = time.Time{} })
	landing("touched in the year 10000", Conversion, func(r *Record) { r.Action.TouchedAt = time.Unix(latest, 0) })
	hour := sampleTime.Truncate(time.Hour)
	f("no placement", Record{Type: Requests, Requests: Count{Hour: hour, N: 1}})
	f("no count", Record{Type: Requests, Requests: Count{Hour: hour, Placement: 1}})
	f("long reason", Record{Type: Requests, Requests: Count{Hour: hour, Placement: 1, N: 1, NoFill: string(make([]byte, MaxNoFill+1))}})
	reasons := func(name string, estimated bool, cells ...ReasonCell) {
		t.Helper()
		f(name, Record{Type: Unserved, Reasons: &Reasons{Hour: hour, Estimated: estimated, Cells: cells}})
	}
	f("no reasons", Record{Type: Unserved})
	reasons("no cells", false)
	reasons("too many cells", false, slices.Repeat([]ReasonCell{{Reason: "x", N: 1}}, MaxReasonCells+1)...)
	reasons("negative line item", false, ReasonCell{LineItem: -1, Reason: "x", N: 1})
	reasons("no reason", false, ReasonCell{N: 1})
	reasons("a reason in capitals", false, ReasonCell{Reason: "X", N: 1})
	reasons("a dimension that is no word", false, ReasonCell{Reason: "x", Dimension: "a b", N: 1})
	reasons("a long reason", false, ReasonCell{Reason: strings.Repeat("x", MaxReasonWord+1), N: 1})
	reasons("no cases", false, ReasonCell{Reason: "x"})
	reasons("an estimate from nothing", true, ReasonCell{Reason: "x", N: 1})
	reasons("more samples than cases", true, ReasonCell{Reason: "x", N: 1, Samples: 2})
}

func TestReaderRefuses(t *testing.T) {
	t.Parallel()
	b, _ := segment(sampleRecords(), 3)
	f := func(name string, want error, b []byte, process ulid.ULID, seq uint64) {
		t.Helper()
		r, err := NewReader(b, process, seq)
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
		if ok, again := r.Next(&Record{}); ok || !errors.Is(again, want) {
			t.Errorf("%s: Next says %t, %v", name, ok, again)
		}
	}
	f("another sequence", ErrForeign, b, sampleProcess, 8)
	f("another process", ErrForeign, b, sampleLease, 7)
	f("empty", ErrTorn, nil, sampleProcess, 7)
	newer := bytes.Clone(b)
	newer[4] = Version + 1
	w := Writer{process: sampleProcess, seq: 7}
	header := w.AppendHeader(nil)
	header[4] = Version + 1
	header = append(header[:32], sumOf(header[:32])...)
	f("newer version", ErrVersion, append(header, b[HeaderSize:]...), sampleProcess, 7)
	f("damaged version", ErrCorrupt, newer, sampleProcess, 7)
	f("damaged magic, nothing synced after it", ErrTorn, append([]byte("hyev"), b[4:HeaderSize+20]...), sampleProcess, 7)
}

// A frame of another segment, or of another place in this one, is a bad frame.
func TestFrameKnowsItsPlace(t *testing.T) {
	t.Parallel()
	records := sampleRecords()
	b, cuts := segment(records, 100)
	other := NewWriter(sampleProcess, 8)
	foreign := other.AppendFooter(other.AppendRecord(other.AppendHeader(nil), &records[0]))
	f := func(name string, b []byte, want int) {
		t.Helper()
		if got, _, err := read(b); len(got) != want || err == nil {
			t.Errorf("%s: %d records and %v, want %d and an error", name, len(got), err, want)
		}
	}
	f("of another segment", append(bytes.Clone(b[:HeaderSize]), foreign[HeaderSize:]...), 0)
	f("one missing", append(bytes.Clone(b[:cuts[1]]), b[cuts[2]:]...), 1)
	f("one twice", append(bytes.Clone(b[:cuts[2]]), b[cuts[1]:]...), 2)
	f("bytes after the footer", append(bytes.Clone(b), 0), len(records))
	f("two footers", append(bytes.Clone(b), b[cuts[len(cuts)-2]:]...), len(records))
}

// A footer whose sum is right still has to count right, and to be marked.
func TestFooterCounts(t *testing.T) {
	t.Parallel()
	records := sampleRecords()
	f := func(name string, mark bool, payload ...byte) {
		t.Helper()
		w := NewWriter(sampleProcess, 7)
		b := w.AppendRecord(w.AppendHeader(nil), &records[0])
		if mark {
			w.Synced()
		}
		if _, _, err := read(w.AppendFrame(b, payload)); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	f("counts too many", true, footerType, 2)
	f("counts too few", true, footerType, 0)
	f("not marked", false, footerType, 1)
	f("without a count", true, footerType)
	f("with more than a count", true, footerType, 1, 1)
	f("padded count", true, footerType, 0x81, 0)
}

// Pages of one unsynced batch may reach the disk in any order; that is a tear.
// The same hole before a later batch is damage.
func TestTornOrCorrupt(t *testing.T) {
	t.Parallel()
	records := sampleRecords()[:6]
	b, cuts := segment(records, 3)
	zeroed := func(end, record int) []byte {
		c := bytes.Clone(b[:cuts[end]])
		clear(c[cuts[record]:cuts[record+1]])
		return c
	}
	f := func(name string, b []byte, want error, whole int) {
		t.Helper()
		got, r, err := read(b)
		if !errors.Is(err, want) || len(got) != whole || r.Offset() != cuts[whole] {
			t.Errorf("%s: %d records, offset %d, %v", name, len(got), r.Offset(), err)
		}
	}
	f("hole in the first batch, alone", zeroed(3, 1), ErrTorn, 1)
	f("hole in the first batch, second follows", zeroed(4, 1), ErrCorrupt, 1)
	f("hole in the second batch", zeroed(6, 4), ErrTorn, 4)
	f("hole in the second batch, sealed", zeroed(7, 4), ErrCorrupt, 4)
	f("zeros at the end", append(bytes.Clone(b[:cuts[4]]), make([]byte, 700)...), ErrTorn, 4)
}

// Recovery goes on after the valid part with [Reader.Writer].
func TestContinue(t *testing.T) {
	t.Parallel()
	records := sampleRecords()
	b, cuts := segment(records, 3)
	for n := range len(records) {
		_, r, err := read(b[:cuts[n]+1])
		if !errors.Is(err, ErrTorn) || r.Offset() != cuts[n] {
			t.Fatalf("cut in record %d: offset %d, %v", n, r.Offset(), err)
		}
		w := r.Writer()
		mended := w.AppendFooter(bytes.Clone(b[:r.Offset()]))
		if got, _, err := read(mended); err != nil || !same(got, records[:n]) {
			t.Fatalf("mended after %d records: %d records, %v", n, len(got), err)
		}
	}
}

// Golden: a file of every version there ever was, with one record of each type
// that the version had.
func TestOldVersions(t *testing.T) {
	t.Parallel()
	if *update {
		b, _ := segment(sampleRecords(), 3)
		if err := os.WriteFile(filepath.Join("testdata", fmt.Sprintf("v%d.seg", Version)), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	files, err := filepath.Glob(filepath.Join("testdata", "v*.seg"))
	if err != nil || len(files) != Version-oldestVersion+1 {
		t.Fatalf("files %q for versions %d to %d, error %v", files, oldestVersion, Version, err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		got, r, err := read(b)
		if err != nil || !r.Sealed() {
			t.Errorf("%s: sealed %t, %v", file, r.Sealed(), err)
		}
		want := map[string][]Record{"v1.seg": sampleRecordsV1(), "v2.seg": sampleRecordsV2(), "v3.seg": sampleRecords()}[filepath.Base(file)]
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", file, diff)
		}
	}
}
