package rule

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"slices"
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

// bomb is an expression that is refused by name, with the size found.
type bomb struct {
	name, code, message string
	refuse              func() error
}

// TestBombs holds that they are refused quickly and in little memory. The test is
// not parallel, since it measures what is allocated.
func TestBombs(t *testing.T) {
	for _, b := range slices.Concat(textBombs(), valueBombs(), productBombs()) {
		t.Run(b.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			started := time.Now()
			err := b.refuse()
			took := time.Since(started)
			runtime.ReadMemStats(&after)
			wantCode(t, err, b.code)
			if !strings.HasSuffix(err.Error(), b.message) {
				t.Errorf("error is %.300v; want %s", err, b.message)
			}
			if used := after.TotalAlloc - before.TotalAlloc; used > 64<<20 || took > 2*time.Second {
				t.Errorf("took %s and %d MB", took, used>>20)
			}
		})
	}
}

// textBombs come as JSON.
func textBombs() []bomb {
	const jp = `{"is":{"dimension":"country","values":["JP"]}}`
	values := func(n int) string {
		return `{"is":{"dimension":"placement","values":["1"` + strings.Repeat(`,"2"`, n-1) + `]}}`
	}
	parse := func(name, code, message, text string) bomb {
		return bomb{name, code, message, func() error {
			_, err := Parse([]byte(text))
			return err
		}}
	}
	nots := func(n int) string { return strings.Repeat(`{"not":`, n) + jp + strings.Repeat(`}`, n) }
	return []bomb{
		parse("33 deep", TooDeep, "is nested 33 levels deep; at most 32 are accepted", nots(32)),
		parse("10,000 deep", TooDeep, "is nested 10,000 levels deep; at most 32 are accepted", nots(9_999)),
		parse("100,000 deep and unfinished", TooDeep, "is nested 100,000 levels deep; at most 32 are accepted", strings.Repeat(`{"all":[`, 100_000)),
		parse("deep arrays", Syntax, "all[0]: has to be an object", `{"all":`+strings.Repeat(`[`, 1_000_000)),
		parse("deep unknown field", Unknown, "known are all, any, not and is", `{"x":`+strings.Repeat(`[`, 1_000_000)),
		parse("long field", Unknown, "known are all, any, not and is", `{"`+strings.Repeat(`x`, 1_000_000)+`":1}`),
		parse("200,000 values", TooManyValues, "is.values: has 200,000 values; at most 10,000 are accepted", values(200_000)),
		parse("a million values", TooLong, "has 4,000,043 bytes; at most 1,048,576 are accepted", values(1_000_000)),
		parse("values in all", TooManyValues, "has 180,001 values in all; at most 100,000 are accepted",
			`{"any":[`+strings.Repeat(values(9_000)+",", 20)+jp+`]}`),
		parse("nodes", TooManyNodes, "has 15,002 nodes; at most 10,000 are accepted", `{"any":[`+strings.Repeat(jp+",", 15_000)+jp+`]}`),
		parse("an empty list", Empty, "any: is an empty list", `{"any":[]}`),
		parse("an empty list of values", Empty, "is.values: is an empty list", `{"is":{"dimension":"os","values":[]}}`),
	}
}

func normalise(name, code, message string, e Expr) bomb {
	return bomb{name, code, message, func() error {
		_, err := Normalise(e)
		return err
	}}
}

// valueBombs are made by programs.
func valueBombs() []bomb {
	deep := is(Country, "JP")
	for range 9_999 {
		deep = not(deep)
	}
	cycle := Expr{}
	cycle.Not = &cycle
	million := slices.Repeat([]string{"1"}, 1_000_000)
	shared := is(Country, "JP") // 2^31 nodes that share their parts
	for range 31 {
		shared = all(shared, shared)
	}
	return []bomb{
		normalise("10,000 deep as a value", TooDeep, "is nested 10,000 levels deep; at most 32 are accepted", deep),
		normalise("cycle", TooDeep, "is nested more than 250,000 levels deep; at most 32 are accepted", cycle),
		normalise("a million values in one", TooManyValues, "is: has 1,000,000 values; at most 10,000 are accepted", is(Placement, million...)),
		normalise("a million values in all", TooManyValues, "has 1,000,000 values in all; at most 100,000 are accepted",
			anyOf(slices.Repeat([]Expr{is(Placement, million[:10_000]...)}, 100)...)),
		normalise("shared nodes", TooManyNodes, "has more than 250,000 nodes; at most 10,000 are accepted", shared),
		normalise("an empty list as a value", Empty, "all: is an empty list", Expr{All: []Expr{}}),
		normalise("no values", Empty, "is: has no values", is(Country)),
	}
}

// productBombs are small until they are multiplied out.
func productBombs() []bomb {
	var pairs []Expr // 2^20 conjunctions
	for i := range 20 {
		pairs = append(pairs, anyOf(is(Placement, fmt.Sprint(i+1)), is(Property, fmt.Sprint(i+1))))
	}
	var tens []Expr // 10^6, of conjunctions
	for i := range 6 {
		var list []Expr
		for j := range 10 {
			list = append(list, all(is(Keyword, fmt.Sprintf("a=%d", i)), is(Keyword, fmt.Sprintf("b=%d", j))))
		}
		tens = append(tens, anyOf(list...))
	}
	wide := slices.Repeat([]Expr{anyOf(is(Country, "JP"), is(OS, "ios"))}, 3000) // 2^3000, beyond every integer
	product := []Expr{anyOf(sixtyFour()...)}
	for i := range 9 {
		product = append(product, is(Keyword, keywords(i, 9_000)...))
	}
	var many []Expr
	for i := range MaxTerms + 1 {
		many = append(many, is(Keyword, fmt.Sprintf("a=%d", i)))
	}
	return []bomb{
		normalise("65 combinations", TooManyConjunctions, "has 65 combinations of alternatives; at most 64 are accepted",
			anyOf(append(sixtyFour(), all(is(OS, "ios"), is(Placement, "9999")))...)),
		normalise("2^20 combinations", TooManyConjunctions, "has 1,048,576 combinations of alternatives; at most 64 are accepted", all(pairs...)),
		normalise("a million combinations", TooManyConjunctions, "has 1,000,000 combinations of alternatives; at most 64 are accepted", all(tens...)),
		normalise("their negation", TooManyConjunctions, "has 1,000,000 combinations of alternatives; at most 64 are accepted", not(not(all(tens...)))),
		normalise("2^3000 combinations", TooManyConjunctions,
			"has more than 1,000,000,000,000 combinations of alternatives; at most 64 are accepted", all(wide...)),
		normalise("values of the product", TooManyValues,
			"has 5,184,128 values once its alternatives are combined; at most 1,000,000 are accepted", all(product...)),
		normalise("terms", TooManyTerms, "asks for 65 things at once; at most 64 are accepted", all(many...)),
	}
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

// What is accepted is normalised in bounded time, however it is made to cost: the
// most values, in the most combinations, where values imply others.
func TestLargestRules(t *testing.T) {
	list := func(n int, format string) (values []string) {
		for i := range n {
			values = append(values, fmt.Sprintf(format, i+1, i%7+1))
		}
		return values
	}
	f := func(name string, e Expr) {
		t.Helper()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		started := time.Now()
		_, err := Normalise(e)
		took := time.Since(started)
		runtime.ReadMemStats(&after)
		used := after.TotalAlloc - before.TotalAlloc
		t.Logf("%s: %s, %d MB", name, took, used>>20)
		if err != nil || took > 10*time.Second || used > 1<<30 {
			t.Errorf("%s: %v, took %s and %d MB", name, err, took, used>>20)
		}
	}
	for name, values := range map[string][]string{
		"domains":    list(MaxValues, "h%d.l%d.a.b.c.d.e.news.example"),
		"prefixes":   list(MaxValues, "news.example/a/b/c/d/e/f/g/h/x%d/%d"),
		"versions":   list(MaxValues, "ios 1.%d-20000.%[1]d.%d"),
		"circles":    list(MaxValues, "1.%d1,2,%d"),
		"few nested": list(200, "1,2,%d1%d"),
	} {
		d := map[byte]Dimension{'d': Domain, 'p': URLPrefix, 'v': OSVersion, 'c': Near, 'f': Near}[name[0]]
		// Each of 32 alternatives has the lists over again.
		f(name, all(anyOf(sixtyFour()[:32]...), is(d, values...), is(d, values[1:]...), not(is(d, values[:len(values)/2]...))))
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
		if inText, inValue := censusOfText(text), censusOf(&e); inText != inValue {
			t.Fatalf("the text has %+v, what is read has %+v", inText, inValue)
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
