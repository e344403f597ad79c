package event

import (
	"bytes"
	"errors"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/hayate-ads/hayate/internal/money"
)

func TestOutcomes(t *testing.T) {
	t.Parallel()
	f := func(name string, outcomes []Outcome, want []byte) {
		t.Helper()
		b := AppendOutcomes([]byte("x"), outcomes)[1:]
		if !bytes.Equal(b, want) {
			t.Errorf("%s: %x, want %x", name, b, want)
		}
		got, err := ParseOutcomes(b)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(outcomes, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	f("none", nil, []byte{})
	f("the first record", []Outcome{{Fate: Duplicate}}, []byte{0, 1})
	f("neighbours", []Outcome{{Index: 7, Fate: Refused}, {Index: 8, Fate: TooLate}}, []byte{7, 2, 0, 4})
	f("short", []Outcome{{Index: 128, Fate: Short, Charged: 1, Overage: 128}}, []byte{0x80, 1, 3, 1, 0x80, 1})
	f("the last there can be", []Outcome{{Index: math.MaxUint32, Fate: Duplicate}}, []byte{0xff, 0xff, 0xff, 0xff, 0x0f, 1})
}

func TestOutcomesRefuse(t *testing.T) {
	t.Parallel()
	f := func(name string, b []byte) {
		t.Helper()
		if got, err := ParseOutcomes(b); !errors.Is(err, errOutcomes) || got != nil {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	f("no fate", []byte{1})
	f("counted needs no outcome", []byte{1, 0})
	f("a fate of the future", []byte{1, 5})
	f("short without amounts", []byte{1, 3})
	f("short without overage", []byte{1, 3, 1})
	f("padded index", []byte{0x81, 0, 1})
	f("index beyond 32 bits", []byte{0x80, 0x80, 0x80, 0x80, 0x10, 1})
	f("indexes that add up beyond 32 bits", []byte{0xff, 0xff, 0xff, 0xff, 0x0f, 1, 0, 1})
	f("too much money", append([]byte{1, 3}, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0))
	f("out of order", AppendOutcomes(nil, []Outcome{{Index: 5, Fate: Duplicate}, {Index: 4, Fate: Duplicate}}))
	f("the same record twice", AppendOutcomes(nil, []Outcome{{Index: 5, Fate: Duplicate}, {Index: 5, Fate: Refused}}))
	f("negative charge", AppendOutcomes(nil, []Outcome{{Fate: Short, Charged: -1}}))
	f("huge overage", AppendOutcomes(nil, []Outcome{{Fate: Short, Overage: money.Max + 1}}))
}

func TestOutcomesRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var want []Outcome
		next := uint32(0)
		for range rapid.IntRange(0, 20).Draw(t, "outcomes") {
			o := Outcome{Index: next + rapid.Uint32Range(0, 1<<27).Draw(t, "gap"), Fate: Fate(rapid.ByteRange(byte(Duplicate), byte(TooLate)).Draw(t, "fate"))}
			if o.Fate == Short {
				o.Charged, o.Overage = drawMicros(t, "charged"), drawMicros(t, "overage")
			}
			want, next = append(want, o), o.Index+1
		}
		b := AppendOutcomes(nil, want)
		got, err := ParseOutcomes(b)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
		for n := range b { // cut short, they are refused, or end after a whole one
			part, err := ParseOutcomes(b[:n])
			if err == nil && !bytes.Equal(AppendOutcomes(nil, part), b[:n]) {
				t.Fatalf("the first %d bytes read as %v", n, part)
			}
		}
	})
}

// FuzzOutcomes: what parses has no second spelling and ascends.
func FuzzOutcomes(f *testing.F) {
	f.Add([]byte{})
	f.Add(AppendOutcomes(nil, []Outcome{{Fate: Duplicate}, {Index: 300, Fate: Short, Charged: 1250, Overage: 50}, {Index: 301, Fate: TooLate}}))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0x0f, 1, 0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		outcomes, err := ParseOutcomes(b)
		if err != nil {
			return
		}
		for i := range outcomes[min(1, len(outcomes)):] {
			if outcomes[i].Index >= outcomes[i+1].Index {
				t.Fatalf("%v does not ascend", outcomes)
			}
		}
		if again := AppendOutcomes(nil, outcomes); !bytes.Equal(again, b) {
			t.Fatalf("%x reads as %x", b, again)
		}
	})
}
