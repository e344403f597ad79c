package rule

import (
	"encoding/binary"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// What is packed is unpacked as it was, and well formed.
func TestPackedIsTheRule(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		table := NewTable([]string{"a=1"})
		for range 3 { // one table for several rules
			n, err := Normalise(drawExpr(t, 3, drawDimensions(t)))
			if err != nil {
				t.Skip("too large")
			}
			packed := table.Pack(n)
			if !packed.WellFormed(table.Len()) || packed.Len() != len(n.Conjunctions) {
				t.Fatalf("%v is not well formed, or has %d conjunctions", packed, packed.Len())
			}
			if diff := cmp.Diff(n, table.Unpack(packed)); diff != "" {
				t.Fatalf("(-rule +unpacked):\n%s", diff)
			}
			if len(packed) > 0 && packed[:len(packed)-1].WellFormed(table.Len()) {
				t.Fatalf("%v is well formed without its last word", packed)
			}
		}
	})
}

func TestTable(t *testing.T) {
	t.Parallel()
	table := NewTable([]string{"b", "a"})
	for i, text := range []string{"b", "a", "c", "a", "d", "c"} {
		if n := table.Number(text); n != [...]uint32{0, 1, 2, 1, 3, 2}[i] || table.Text(n) != text {
			t.Errorf("%q has the number %d", text, n)
		}
	}
	if table.Len() != 4 || !table.Equal(NewTable([]string{"b", "a", "c", "d"})) || table.Equal(NewTable(nil)) {
		t.Errorf("%d texts", table.Len())
	}
	if none := (*Table)(nil); none.Len() != 0 || !none.Equal(NewTable(nil)) {
		t.Error("no table is not an empty one")
	}
}

// FuzzPacked holds that what is well formed can be walked.
func FuzzPacked(f *testing.F) {
	table := NewTable(nil)
	rule, _ := Normalise(anyOf(all(is(Country, "JP", "US"), not(is(OS, "ios"))), is(Keyword, "a=1")))
	seed, _ := binary.Append(nil, binary.LittleEndian, table.Pack(rule))
	f.Add(seed, table.Len())
	f.Add([]byte{0, 0, 0, 0}, 0)
	f.Fuzz(func(t *testing.T, text []byte, values int) {
		p := make(Packed, len(text)/4)
		for i := range p {
			p[i] = binary.LittleEndian.Uint32(text[4*i:])
		}
		if values < 0 || !p.WellFormed(values) {
			return
		}
		conjunctions := 0
		for c := range p.Conjunctions() {
			conjunctions++
			for term := range c.Terms() {
				for _, number := range term.Values {
					if int(number) >= values {
						t.Fatalf("%v names the value %d of %d", p, number, values)
					}
				}
			}
		}
		if p.Len() != conjunctions {
			t.Fatalf("%v has %d conjunctions and %d", p, p.Len(), conjunctions)
		}
	})
}
