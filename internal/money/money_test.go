package money

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestParse(t *testing.T) {
	t.Parallel()
	f := func(text string, want Micros) {
		t.Helper()
		if got, err := Parse(text); got != want || err != nil {
			t.Errorf("Parse(%q) = %d, %v; want %d", text, got, err, want)
		}
	}
	f("0", 0)
	f("-0", 0)
	f("12", 12*Unit)
	f("0.5", Unit/2)
	f("-3.25", -3_250_000)
	f("007.10", 7_100_000)
	f("0.000001", 1)
	f("1.2345670000", 1_234_567)
	f("1000000000000", Max)
	f("-1000000000000.000000", -Max)
	f("2.01", 2_010_000) // through a float and truncated it is one micro less
}

// Every cent up to a thousand, which floats get wrong now and then.
func TestParseEveryCent(t *testing.T) {
	t.Parallel()
	for cents := range 100_000 {
		text := fmt.Sprintf("%d.%02d", cents/100, cents%100)
		if got, err := Parse(text); got != Micros(cents)*10_000 || err != nil {
			t.Fatalf("Parse(%q) = %d, %v", text, got, err)
		}
		if got := (Micros(cents) * 10_000).String(); got != text {
			t.Fatalf("%d cents are written %q; want %q", cents, got, text)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	f := func(want error, texts ...string) {
		t.Helper()
		for _, text := range texts {
			got, err := Parse(text)
			if !errors.Is(err, want) || got != 0 || len(err.Error()) > 200 {
				t.Errorf("Parse(%q) = %d, %v; want %v", text, got, err, want)
			}
		}
	}
	f(ErrSyntax, "", "-", "+1", "--1", ".", ".5", "5.", "-.5", "1,5", "1 000", " 1", "1 ", "1e6", "0x10", "1.2.3", "NaN", "Inf",
		"１", "1\n", "1\x00", "1_000", "99999999999999999999x", "99999999999999999999.1.2")
	f(ErrPrecision, "0.0000001", "1.0000000000001")
	f(ErrRange, "1000000000000.000001", "1000000000001", "-1000000000001", "9223372036854775808",
		"99999999999999999999999999", strings.Repeat("9", 1_000_000))
}

// A number just above the limit must not pass for one whose digits are too many.
func TestParseAgainstBigRationals(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`-?[0-9]{1,15}(\.[0-9]{1,8})?`).Draw(t, "text")
		exact, ok := new(big.Rat).SetString(text)
		if !ok {
			t.Fatalf("%q is no rational", text)
		}
		exact.Mul(exact, big.NewRat(int64(Unit), 1))
		inRange := new(big.Rat).Abs(exact).Cmp(big.NewRat(int64(Max), 1)) <= 0
		got, err := Parse(text)
		switch {
		case err == nil && (!exact.IsInt() || !inRange || exact.Num().Int64() != int64(got)):
			t.Fatalf("Parse(%q) = %d; exactly it is %s", text, got, exact)
		case err != nil && exact.IsInt() && inRange:
			t.Fatalf("Parse(%q): %v", text, err)
		}
	})
}

func TestStringIsReadBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := Micros(rapid.Int64Range(-int64(Max), int64(Max)).Draw(t, "amount"))
		if got, err := Parse(m.String()); got != m || err != nil {
			t.Fatalf("%d is written %q and read as %d, %v", m, m, got, err)
		}
		text, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		var back Micros
		if err := json.Unmarshal(text, &back); err != nil || back != m || text[0] != '"' {
			t.Fatalf("%d is %s in JSON and read as %d, %v", m, text, back, err)
		}
	})
}

func TestString(t *testing.T) {
	t.Parallel()
	f := func(m Micros, want string) {
		t.Helper()
		if got := m.String(); got != want {
			t.Errorf("%d is written %q; want %q", int64(m), got, want)
		}
	}
	f(0, "0.00")
	f(1, "0.000001")
	f(-1, "-0.000001")
	f(1_500_000, "1.50")
	f(1_050_000, "1.05")
	f(1_234_560, "1.23456")
	f(-Unit, "-1.00")
	f(math.MaxInt64, "9223372036854.775807")
	f(math.MinInt64, "-9223372036854.775808")
}

func TestUnmarshalKeepsTheOldAmount(t *testing.T) {
	t.Parallel()
	m := Unit
	for _, text := range []string{`"x"`, `1`, `1.5`, `true`} {
		if err := json.Unmarshal([]byte(text), &m); err == nil || m != Unit {
			t.Errorf("%s: %v leaves %s", text, err, m)
		}
	}
}

func TestPerImpression(t *testing.T) {
	t.Parallel()
	f := func(cpm, want Micros) {
		t.Helper()
		if got := PerImpression(cpm); got != want {
			t.Errorf("PerImpression(%d) = %d; want %d", cpm, got, want)
		}
	}
	f(0, 0)
	f(499, 0)
	f(500, 0) // half to even
	f(501, 1)
	f(1499, 1)
	f(1500, 2)
	f(2500, 2)
	f(2501, 3)
	f(2*Unit, 2000)
	f(Max, Max/1000)
	f(-500, 0)
	f(-1500, -2)
	f(-1501, -2)
}

// The price differs from the exact thousandth by at most half a micro.
func TestPerImpressionIsNearest(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		cpm := rapid.Int64Range(-int64(Max), int64(Max)).Draw(t, "cpm")
		price := int64(PerImpression(Micros(cpm)))
		if rest := cpm - price*1000; rest < -500 || rest > 500 || (rest%1000 != 0 && (rest == 500 || rest == -500) && price%2 != 0) {
			t.Fatalf("PerImpression(%d) = %d", cpm, price)
		}
	})
}

func TestMulDiv(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := rapid.Int64Range(0, math.MaxInt64).Draw(t, "m")
		num := rapid.Int64Range(0, math.MaxInt64).Draw(t, "num")
		den := rapid.Int64Range(1, math.MaxInt64).Draw(t, "den")
		want := new(big.Int).Mul(big.NewInt(m), big.NewInt(num))
		want.Quo(want, big.NewInt(den))
		if !want.IsInt64() {
			want.SetInt64(math.MaxInt64)
		}
		if got := Micros(m).MulDiv(num, den); int64(got) != want.Int64() {
			t.Fatalf("%d × %d / %d = %d; want %s", m, num, den, got, want)
		}
	})
	if got := Micros(100).MulDiv(7000, 10_000); got != 70 {
		t.Errorf("70 %% of 100 is %d", got)
	}
	if got := Micros(99).MulDiv(1, 100); got != 0 {
		t.Errorf("1 %% of 99 is %d; want it rounded down", got)
	}
}

func TestAppendDoesNotAllocate(t *testing.T) {
	buf := make([]byte, 0, 64)
	if n := testing.AllocsPerRun(100, func() { buf = Micros(123_456_789).Append(buf[:0]) }); n != 0 {
		t.Errorf("Append allocates %v times", n)
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"0", "-3.25", "1.0000001", "999999999999.999999", "1e6", ".", "1000000000000.1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		m, err := Parse(text)
		if err != nil {
			if m != 0 || !errors.Is(err, ErrSyntax) && !errors.Is(err, ErrPrecision) && !errors.Is(err, ErrRange) {
				t.Fatalf("Parse(%q) = %d, %v", text, m, err)
			}
			return
		}
		if again, err := Parse(m.String()); again != m || err != nil || m < -Max || m > Max {
			t.Fatalf("Parse(%q) = %d, written %q, read again %d, %v", text, m, m, again, err)
		}
	})
}
