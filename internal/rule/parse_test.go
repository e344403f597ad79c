package rule

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	var wrong *Error
	if !errors.As(err, &wrong) || wrong.Code != code || wrong.Message == "" || len(err.Error()) > 1000 {
		t.Errorf("error is %.300v; want code %s", err, code)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	f := func(text, code, path string) {
		t.Helper()
		_, err := Parse([]byte(text))
		wantCode(t, err, code)
		if wrong := (*Error)(nil); errors.As(err, &wrong) && wrong.Path != path {
			t.Errorf("%s: path is %q; want %q", text, wrong.Path, path)
		}
	}
	const jp = `{"is":{"dimension":"country","values":["JP"]}}`
	f(``, Syntax, "")
	f(`null`, Syntax, "")
	f(`[]`, Syntax, "")
	f(`"x"`, Syntax, "")
	f(`{`, Syntax, "")
	f(`{} {}`, Syntax, "")
	f(`{}x`, Syntax, "")
	f("{\"all\":[\xff]}", Syntax, "")
	f(`{"all":null}`, Syntax, "all")
	f(`{"not":null}`, Syntax, "not")
	f(`{"is":null}`, Syntax, "is")
	f(`{"is":{"dimension":1,"values":["1"]}}`, Syntax, "is.dimension")
	f(`{"is":{"dimension":"placement","values":[1]}}`, Syntax, "is.values[0]")
	f(`{"is":{"dimension":"placement","values":"1"}}`, Syntax, "is.values")
	f(`{"maybe":[]}`, Unknown, "")
	f(`{"ALL":[`+jp+`]}`, Unknown, "")
	f(`{"all":[{"is":{"dimension":"planet","values":["mars"]}}]}`, Unknown, "all[0].is.dimension")
	f(`{"is":{"dimension":"country","values":["JP"],"x":1}}`, Unknown, "is")
	f(`{"all":[`+jp+`],"all":[`+jp+`]}`, Repeated, "")
	f(`{"is":{"dimension":"country","dimension":"country","values":["JP"]}}`, Repeated, "is")
	f(`{"all":[`+jp+`],"any":[`+jp+`]}`, Several, "")
	f(`{"all":[]}`, Empty, "all")
	f(`{"any":[]}`, Empty, "any")
	f(`{"not":{}}`, Empty, "not")
	f(`{"all":[`+jp+`,{}]}`, Empty, "all[1]")
	f(`{"is":{"dimension":"country","values":[]}}`, Empty, "is.values")
	f(`{"is":{"dimension":"country"}}`, Empty, "is")
	f(`{"is":{"values":["JP"]}}`, Empty, "is")
	f(`{"any":[`+jp+`,{"not":{"is":{"dimension":"country","values":["JP","jp"]}}}]}`, BadValue, "any[1].not.is.values[1]")
	f(`{"is":{"dimension":"keyword","values":["a=\ud800"]}}`, BadValue, "is.values[0]")
	f(strings.Repeat(" ", MaxBytes)+`{}`, TooLong, "")
}

func TestParseReadsWhatMarshalWrites(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		e := drawExpr(t, 4, drawDimensions(t))
		text, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		back, err := Parse(text)
		if diff := cmp.Diff(e, back); diff != "" || err != nil {
			t.Fatalf("%v (-written +read):\n%s", err, diff)
		}
	})
	if e, err := Parse([]byte(" {} ")); err != nil || !cmp.Equal(e, Expr{}) {
		t.Errorf("the empty rule: %+v, %v", e, err)
	}
}

// Bombs are refused by name, quickly and in little memory. The test is not
// parallel, since it measures what is allocated.
func TestBombs(t *testing.T) {
	const jp = `{"is":{"dimension":"country","values":["JP"]}}`
	values := func(n int) string {
		return `{"is":{"dimension":"placement","values":["1"` + strings.Repeat(`,"2"`, n-1) + `]}}`
	}
	f := func(name, code string, refuse func() error) {
		t.Helper()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		started := time.Now()
		err := refuse()
		took := time.Since(started)
		runtime.ReadMemStats(&after)
		wantCode(t, err, code)
		if used := after.TotalAlloc - before.TotalAlloc; used > 64<<20 || took > 2*time.Second {
			t.Errorf("%s: took %s and %d MB", name, took, used>>20)
		}
	}
	parse := func(text string) func() error {
		return func() error {
			_, err := Parse([]byte(text))
			return err
		}
	}
	normalise := func(e Expr) func() error {
		return func() error {
			_, err := Normalise(e)
			return err
		}
	}
	f("deep not", TooDeep, parse(strings.Repeat(`{"not":`, 10_000)+jp+strings.Repeat(`}`, 10_000)))
	f("deep all", TooDeep, parse(strings.Repeat(`{"all":[`, 100_000)))
	f("deep arrays", Syntax, parse(`{"all":`+strings.Repeat(`[`, 1_000_000)))
	f("deep unknown field", Unknown, parse(`{"x":`+strings.Repeat(`[`, 1_000_000)))
	f("long field", Unknown, parse(`{"`+strings.Repeat(`x`, 1_000_000)+`":1}`))
	f("values", TooManyValues, parse(values(200_000)))
	f("a million values", TooLong, parse(values(1_000_000)))
	f("values in all", TooManyValues, parse(`{"any":[`+strings.Repeat(values(9_000)+",", 20)+jp+`]}`))
	f("nodes", TooManyNodes, parse(`{"any":[`+strings.Repeat(jp+",", 15_000)+jp+`]}`))

	deep := is(Country, "JP")
	for range 10_000 {
		deep = not(deep)
	}
	f("deep value", TooDeep, normalise(deep))
	cycle := Expr{}
	cycle.Not = &cycle
	f("cycle", TooDeep, normalise(cycle))
	var pairs []Expr // 10^6 conjunctions
	for i := range 6 {
		var list []Expr
		for j := range 10 {
			list = append(list, all(is(Keyword, fmt.Sprintf("a=%d", i)), is(Keyword, fmt.Sprintf("b=%d", j))))
		}
		pairs = append(pairs, anyOf(list...))
	}
	f("conjunctions", TooManyConjunctions, normalise(all(pairs...)))
	var wide []Expr // 2^3000 conjunctions, beyond every integer
	for range 3000 {
		wide = append(wide, anyOf(is(Country, "JP"), is(OS, "ios")))
	}
	f("saturation", TooManyConjunctions, normalise(all(wide...)))
	million := make([]string, 1_000_000)
	for i := range million {
		million[i] = "1"
	}
	f("a million values in one", TooManyValues, normalise(is(Placement, million...)))
	shared := is(Country, "JP") // 2^31 nodes that share their parts
	for range 31 {
		shared = all(shared, shared)
	}
	f("shared nodes", TooManyNodes, normalise(shared))

	product := []Expr{anyOf(sixtyFour()...)}
	for i := range 9 {
		product = append(product, is(Keyword, keywords(i, 9_000)...))
	}
	f("values of the product", TooManyValues, normalise(all(product...)))
	var many []Expr
	for i := range MaxTerms + 1 {
		many = append(many, is(Keyword, fmt.Sprintf("a=%d", i)))
	}
	f("terms", TooManyTerms, normalise(all(many...)))
}

func sixtyFour() (list []Expr) {
	for i := range 64 {
		list = append(list, all(is(Placement, fmt.Sprint(i+1)), is(OS, "ios")))
	}
	return list
}

func keywords(key, n int) (values []string) {
	for i := range n {
		values = append(values, fmt.Sprintf("%d=%d", key, i))
	}
	return values
}

// What is just within the bounds is accepted.
func TestBoundsAreAccepted(t *testing.T) {
	t.Parallel()
	f := func(name string, e Expr) {
		t.Helper()
		if _, err := Normalise(e); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	deep := is(Country, "JP")
	for range MaxDepth - 1 {
		deep = not(deep)
	}
	f("depth", deep)
	f("conjunctions", anyOf(sixtyFour()...))
	f("values", is(Keyword, keywords(1, MaxValues)...))
	var pairs []Expr // 2^6
	for i := range 6 {
		pairs = append(pairs, anyOf(is(Placement, fmt.Sprint(i+1)), is(Property, fmt.Sprint(i+1))))
	}
	f("product", all(pairs...))
	var list []Expr
	for range MaxNodes - 1 {
		list = append(list, is(Country, "JP"))
	}
	f("nodes", anyOf(list...))
	var nested []byte // as a part of another document, too
	nested = append(append(append(nested, `{"targeting":`...), `{"is":{"dimension":"os","values":["ios"]}}`...), '}')
	var document struct{ Targeting Expr }
	if err := json.NewDecoder(bytes.NewReader(nested)).Decode(&document); err != nil || document.Targeting.Is == nil {
		t.Errorf("nested: %+v, %v", document, err)
	}
}

// FuzzParse holds that what is accepted is valid, survives a round trip, and
// normalises or is refused by name; nothing may panic.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"all":[]}`, `{"not":{"not":{"is":{"dimension":"os","values":["ios"]}}}}`,
		`{"any":[{"is":{"dimension":"country","values":["JP","US"]}},{"all":[{"is":{"dimension":"keyword","values":["a=1"]}},{"not":{"is":{"dimension":"hour_of_week","values":["0"]}}}]}]}`,
		`{"is":{"dimension":"placement","values":["1"]},"is":{}}`, "{\"is\":{\"dimension\":\"keyword\",\"values\":[\"\xff=\"]}}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		e, err := Parse(text)
		if err != nil {
			if !errors.As(err, new(*Error)) {
				t.Fatalf("error without a code: %v", err)
			}
			return
		}
		if err := e.Validate(); err != nil {
			t.Fatalf("Parse accepts what Validate refuses: %v", err)
		}
		again, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		var back Expr
		if err := json.Unmarshal(again, &back); err != nil || !cmp.Equal(e, back) {
			t.Fatalf("round trip: %v", err)
		}
		n, err := Normalise(e)
		if err == nil && n.Match(Request{}) != e.Match(Request{}) {
			t.Fatal("the normal form answers the empty request otherwise")
		}
	})
}
