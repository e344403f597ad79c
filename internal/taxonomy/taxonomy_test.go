package taxonomy

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func implied(value string) (list []string) {
	for _, text := range AppendImplied(nil, []byte(value)) {
		list = append(list, string(text))
	}
	return list
}

// The numbers of categories are those of the published tables.
func TestEveryCategoryIsThere(t *testing.T) {
	t.Parallel()
	count := map[string]int{}
	for value, name := range All() {
		family, id, _ := strings.Cut(value, "/")
		count[family]++
		if id == "" || name == "" || !Known(value) || Name(value) != name {
			t.Errorf("%q has the name %q; Name says %q", value, name, Name(value))
		}
	}
	// 3.1 has 704 and 47 descriptive vectors.
	if diff := cmp.Diff(map[string]int{"iab1": 392, "iab2": 1196, "iab3": 704 + 47}, count); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLookups(t *testing.T) {
	t.Parallel()
	f := func(value, name string, ancestors, mapped []string) {
		t.Helper()
		if got := Name(value); got != name {
			t.Errorf("%s is called %q; want %q", value, got, name)
		}
		if diff := cmp.Diff(ancestors, Ancestors(value)); diff != "" {
			t.Errorf("%s: ancestors (-want +got):\n%s", value, diff)
		}
		if diff := cmp.Diff(mapped, Mapped(value)); diff != "" {
			t.Errorf("%s: counterparts (-want +got):\n%s", value, diff)
		}
	}
	f("iab1/IAB17", "Sports", nil, []string{"iab2/483", "iab3/483"})
	f("iab1/IAB17-1", "Auto Racing", []string{"iab1/IAB17"}, []string{"iab2/518", "iab3/518"})
	f("iab1/IAB5-1", "7-12 Education", []string{"iab1/IAB5"}, []string{"iab2/132", "iab3/132"})
	f("iab2/4", "Sedan", []string{"iab2/2", "iab2/1"}, []string{"iab1/IAB2-20", "iab3/4"})
	f("iab3/324", "Movies", []string{"iab3/JLBCU7"}, []string{"iab2/324", "iab1/IAB1-5"})
	f("iab3/JLBCU7", "Entertainment", nil, nil)
	f("iab3/497", "Horse Racing", []string{"iab3/483"}, []string{"iab2/497", "iab1/IAB17-16"})
	f("iab2/243", "Musical Instruments", []string{"iab2/239"}, []string{"iab1/IAB9", "iab3/243"})
	f("iab1/IAB25-3", "Pornography", []string{"iab1/IAB25"}, []string{"iab2/Rm3SiT", "iab3/Rm3SiT"})
	f("iab1/IAB99", "", nil, nil)
	f("", "", nil, nil)
}

// A category implies itself first, and with each what that is part of.
func TestImplied(t *testing.T) {
	t.Parallel()
	for value := range All() {
		list := implied(value)
		if list[0] != value {
			t.Fatalf("%s implies %s first", value, list[0])
		}
		if sorted := slices.Sorted(slices.Values(list)); len(slices.Compact(sorted)) != len(list) {
			t.Errorf("%s implies one twice: %v", value, list)
		}
		for _, one := range append(list, Mapped(value)...) {
			for _, above := range append(Ancestors(one), one) {
				if !slices.Contains(list, above) {
					t.Errorf("%s implies %s but not %s", value, one, above)
				}
			}
		}
		if len(list) > 20 {
			t.Errorf("%s implies %d categories", value, len(list))
		}
	}
	if diff := cmp.Diff([]string{"nothing"}, implied("nothing")); diff != "" {
		t.Errorf("unknown category (-want +got):\n%s", diff)
	}
}

// Inside a family its own tree alone says what is part of what.
func TestOwnTree(t *testing.T) {
	t.Parallel()
	for value := range All() {
		own := slices.DeleteFunc(implied(value), func(v string) bool { return v[:5] != value[:5] })
		if diff := cmp.Diff(append([]string{value}, Ancestors(value)...), own); diff != "" {
			t.Errorf("%s (-tree +implied):\n%s", value, diff)
		}
	}
}

// Most of what people use has a counterpart; the rest is vectors and news.
func TestCounterparts(t *testing.T) {
	t.Parallel()
	with := map[string]int{}
	for value := range All() {
		if other := implied(value); slices.ContainsFunc(other, func(v string) bool { return v[:5] != value[:5] }) {
			with[value[:4]]++
		}
	}
	if diff := cmp.Diff(map[string]int{"iab1": 387, "iab2": 1193, "iab3": 721}, with); diff != "" {
		t.Errorf("categories with a counterpart (-want +got):\n%s", diff)
	}
}

func TestPrefix(t *testing.T) {
	t.Parallel()
	f := func(want string, numbers ...int) {
		t.Helper()
		for _, n := range numbers {
			if got := Prefix(n); got != want {
				t.Errorf("cattax %d is %q; want %q", n, got, want)
			}
		}
	}
	f("iab1/", 1)
	f("iab2/", 2, 5, 6)
	f("iab3/", 7, 9)
	f("", 0, 3, 4, 8, 10, -1, 500)
}

// The test is not parallel, since it counts allocations.
func TestLookupsAllocateNothing(t *testing.T) {
	room := make([][]byte, 0, 32)
	value := []byte("iab2/4")
	if n := testing.AllocsPerRun(100, func() {
		room = AppendImplied(room[:0], value)
		_ = Known("iab1/IAB17")
		_ = Name("iab1/IAB17")
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
