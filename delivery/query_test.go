package delivery

import (
	"fmt"
	"net/url"
	"testing"
)

func TestQueryScanner(t *testing.T) {
	t.Parallel()
	f := func(query, want string) {
		t.Helper()
		if got := scanQuery(query); got != want {
			t.Errorf("%q: %s, want %s", query, got, want)
		}
	}
	f("", "")
	f("a=1", `"a"="1" `)
	f("a=1&b=2&&c", `"a"="1" "b"="2" "c"="" `)
	f("kw.a%20b=c+d%3D%26e&x=a=b", `"kw.a b"="c d=&e" "x"="a=b" `)
	f("a=%e3%81%82%C3%A9", `"a"="あé" `)
	f("a=%00", `"a"="\x00" `)
	f("a=%c0%af", "bad")
	f("a=\xff", "bad")
	f("a=%", "bad")
	f("a=%4", "bad")
	f("a=%zz", "bad")
	f("a=%4g", "bad")
}

func scanQuery(query string) (all string) {
	var q queryScanner
	q.reset([]byte(query))
	for {
		name, value, ok := q.next()
		if q.bad {
			return "bad"
		}
		if !ok {
			return all
		}
		all += fmt.Sprintf("%q=%q ", name, value)
	}
}

// Where both accept a query, the scanner and net/url agree on every value.
func FuzzQuery(f *testing.F) {
	for _, seed := range []string{"placement=12&format=js&kw.a=b", "a=%41+%2b&b", "&&=&=1", "%zz", "a=%c3%28"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		values, err := url.ParseQuery(query)
		if err != nil {
			return // net/url also refuses semicolons
		}
		var q queryScanner
		q.reset([]byte(query))
		for {
			name, value, ok := q.next()
			if !ok {
				return
			}
			first := values[string(name)]
			if len(first) == 0 || first[0] != string(value) {
				t.Fatalf("%q: %q is %q, net/url says %q", query, name, value, first)
			}
			values[string(name)] = first[1:]
		}
	})
}
