package rule

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// In one dimension: any of some values, any of others, none of more, asked of
// everything that requests bring.
func TestMergeKeepsTheMeaning(t *testing.T) {
	t.Parallel()
	for _, d := range Dimensions() {
		t.Run(d.String(), func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				some := func(label string) Expr {
					return is(d, rapid.SliceOfN(rapid.SampledFrom(vocabulary[d]), 1, 5).Draw(t, label)...)
				}
				e := all(some("any"), not(some("none")))
				if rapid.Bool().Draw(t, "both") {
					e = all(some("also"), e)
				}
				n, err := Normalise(e)
				if err != nil {
					t.Fatal(err)
				}
				checkForm(t, n)
				for _, first := range slices.Concat(brought[d], vocabulary[d]) {
					r := Request{d: {first}}
					if d.Many() {
						r[d] = append(r[d], rapid.SliceOfN(rapid.SampledFrom(append(brought[d], vocabulary[d]...)), 0, 1).Draw(t, "second")...)
					}
					if want, got := e.Match(r), n.Match(r); want != got {
						t.Fatalf("%v: expression answers %v, its normal form %v\nnormal form: %+v", r, want, got, n)
					}
				}
			})
		})
	}
}

// What can be decided is: values that others of the list make needless are
// dropped, and what is excluded as a whole is not asked for.
func TestNormaliseImplied(t *testing.T) {
	t.Parallel()
	f := func(d Dimension, include, exclude string, want ...string) {
		t.Helper()
		e := is(d, strings.Split(include, "|")...)
		if exclude != "" {
			e = all(e, not(is(d, strings.Split(exclude, "|")...)))
		}
		n, err := Normalise(e)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, c := range n.Conjunctions {
			for _, term := range c {
				got = append(got, fmt.Sprintf("%v %s", term.Exclude, strings.Join(term.Values, "|")))
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s %s without %s (-want +got):\n%s", d, include, exclude, diff)
		}
	}
	f(Domain, "a.news.example|news.example|x.example", "", "false news.example|x.example")
	f(Domain, "news.example", "a.news.example", "false news.example", "true a.news.example")
	f(Domain, "a.news.example", "news.example") // nothing
	f(Domain, "a.news.example|x.example", "b.a.news.example|news.example", "false x.example", "true news.example")
	f(URLPrefix, "n.example/a/b|n.example/a|n.example/ab", "", "false n.example/a|n.example/ab")
	f(URLPrefix, "n.example/a/b", "n.example") // nothing
	f(URLPrefix, "n.example", "n.example/a", "false n.example", "true n.example/a")
	f(Category, "iab1/IAB17|iab1/IAB17-1|iab2/483", "", "false iab1/IAB17|iab2/483")
	f(Category, "iab2/4", "iab2/1") // a sedan, but not about cars
	f(OSVersion, "ios 15-17.4|ios 15-16|ios 16-|windows 11-", "", "false ios 15-17.4|ios 16-|windows 11-")
	f(OSVersion, "ios 15-17", "ios 14-15|ios 16-16.3|ios 16.4-") // nothing
	f(OSVersion, "ios 15-17", "ios 14-15|ios 16-16.3|ios 16.5-", "false ios 15-17", "true ios 14-15|ios 16-16.3|ios 16.5-")
	f(OSVersion, "android 10-12", "android -9|android 13-", "false android 10-12", "true android -9|android 13-")
	f(Near, "35.681,139.767,5000|35.681,139.767,4000|35.69,139.7,3000", "", "false 35.681,139.767,5000|35.69,139.7,3000")
	f(Near, "35.681,139.767,5000", "35.69,139.7,90000") // nothing
	f(Keyword, "a=1|a=2", "a=1", "false a=2", "true a=1")
}

// Many circles are not compared in pairs; they keep their meaning all the same.
func TestManyCircles(t *testing.T) {
	t.Parallel()
	var values []string
	for i := range 2_000 {
		values = append(values, fmt.Sprintf("35.%d,139.7,%d", 1000+i*10+1, 100+i))
	}
	n, err := Normalise(is(Near, values...))
	if err != nil || len(n.Conjunctions) != 1 || len(n.Conjunctions[0][0].Values) != len(values) {
		t.Fatalf("%d conjunctions, %v", len(n.Conjunctions), err)
	}
}

func TestVersions(t *testing.T) {
	t.Parallel()
	f := func(text string, inside, outside []string) {
		t.Helper()
		r, err := ParseVersions(text)
		if err != nil {
			t.Fatal(err)
		}
		for _, list := range [...][]string{inside, outside} {
			for _, version := range list {
				v, known := ParseVersion([]byte(version))
				if !known {
					t.Errorf("%q is not read", version)
				}
				if want := slices.Contains(inside, version); r.Contains(v) != want {
					t.Errorf("%q contains %q: %v; want %v", text, version, !want, want)
				}
			}
		}
	}
	f("ios 15-17.4", []string{"ios 15", "ios 15.0", "ios 16.9.9.9", "ios 17.4.1", "ios 17.4.65535.9", "ios 017.4", "ios 17"},
		[]string{"ios 14.9", "ios 17.5", "ios 17.40", "android 16"})
	f("ios -17.4", []string{"ios 0", "ios 17.4.99999"}, []string{"ios 17.5"})
	f("chrome 120.0.6099-", []string{"chrome 120.0.6099", "chrome 99999999999999999999999", "chrome 120.0.6099.1.7"},
		[]string{"chrome 120", "chrome 120.0.6098.9"})
	f("windows 10-10", []string{"windows 10", "windows 10.0.22631"}, []string{"windows 11", "windows 9.9"})
	for _, text := range []string{"", "ios", "ios ", " 15", "ios x", "ios 15.", "ios .1", "ios 15..1", "ios -1", "beos 1", "other 1", "ios  15", "ios 15 "} {
		if v, known := ParseVersion([]byte(text)); known {
			t.Errorf("%q is read as %v", text, v)
		}
	}
}

func TestCircles(t *testing.T) {
	t.Parallel()
	f := func(circle, point string, want bool) {
		t.Helper()
		c, err := ParseCircle(circle)
		p, known := ParsePoint([]byte(point))
		if err != nil || !known {
			t.Fatalf("%s: %v; %s: %v", circle, err, point, known)
		}
		if got := c.Contains(p); got != want {
			t.Errorf("%s contains %s: %v, %.1f m away", circle, point, got, c.centre.metres(p))
		}
	}
	f("35.681,139.767,1", "35.681,139.767", true)
	f("35.681,139.767,1", "35.681009,139.767", false)   // a metre in the north
	f("35.681,139.767,1", "35.681008999,139.767", true) // digits beyond the sixth are cut off
	f("0,0,111196", "1,0", true)                        // a degree is 111,195.1 m
	f("0,0,111195", "1,0", false)
	f("60,0,55598", "60,1", true) // half of that at 60° north, nearly
	f("60,0,55596", "60,1", false)
	f("0,179.999,1000", "0,-179.999", true) // across the date line
	f("90,0,1000", "90,123", true)          // a pole has every longitude
	f("-90,0,20000000", "89.8,0", true)
	f("0,0,20000000", "0,180", false) // 15 km beyond
	f("0,0,20000000", "0,179.86", true)
	f("51.5,-0.12,342573", "48.8566,2.3522", true) // London to Paris: 342,572.7 m
	f("51.5,-0.12,342572", "48.8566,2.3522", false)
	for _, text := range []string{"", ",", "1", "1,", ",1", "1,2,3", "91,0", "0,181", "0,-180.5", "a,b", "1 ,2", "+1,2", "1.,2", ".5,2", "1e3,2", "--1,2"} {
		if p, known := ParsePoint([]byte(text)); known {
			t.Errorf("%q is read as %v", text, p)
		}
	}
}

// Against the haversine formula, everywhere but within a metre of the edge.
func TestCirclesAreCircles(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		latitude, longitude := rapid.IntRange(-90e6, 90e6), rapid.IntRange(-180e6+1, 180e6)
		north, east := latitude.Draw(t, "north"), longitude.Draw(t, "east")
		radius := rapid.IntRange(MinRadius, MaxRadius).Draw(t, "radius")
		north2, east2 := latitude.Draw(t, "north2"), longitude.Draw(t, "east2")
		c, err := ParseCircle(fmt.Sprintf("%s,%s,%d", decimal(north), decimal(east), radius))
		if err != nil {
			t.Fatal(err)
		}
		p, _ := ParsePoint(fmt.Appendf(nil, "%.6f,%.6f", float64(north2)/degree, float64(east2)/degree))
		rad := func(micro int) float64 { return float64(micro) / degree * math.Pi / 180 }
		hav := func(a float64) float64 { return math.Sin(a/2) * math.Sin(a/2) }
		h := hav(rad(north2-north)) + math.Cos(rad(north))*math.Cos(rad(north2))*hav(rad(east2-east))
		distance := 2 * earthRadius * math.Asin(min(1, math.Sqrt(h)))
		if math.Abs(distance-float64(radius)) > 1 && c.Contains(p) != (distance < float64(radius)) {
			t.Fatalf("%.1f m away, radius %d: contains is %v", distance, radius, c.Contains(p))
		}
		if lat, lon := c.Latitude(), c.Longitude(); lat != float64(north)/degree || lon != float64(east)/degree || c.Metres() != float64(radius) {
			t.Fatalf("reads %v %v %v", lat, lon, c.Metres())
		}
	})
}

// decimal writes millionths as rules have them.
func decimal(micro int) string {
	text := strings.TrimRight(fmt.Sprintf("%.6f", float64(micro)/degree), "0")
	if text = strings.TrimSuffix(text, "."); text == "-0" {
		return "0"
	}
	return text
}

func TestExpansions(t *testing.T) {
	t.Parallel()
	f := func(d Dimension, value string, want ...string) {
		t.Helper()
		var got []string
		for _, e := range AppendExpansions(nil, d, []byte(value)) {
			got = append(got, string(e))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s %s (-want +got):\n%s", d, value, diff)
		}
	}
	f(Domain, "a.b.news.example", "news.example", "b.news.example", "a.b.news.example")
	f(Domain, "localhost")
	f(Domain, "")
	f(Domain, "l.k.j.i.h.g.f.e.d.c.b.a", "b.a", "c.b.a", "d.c.b.a", "e.d.c.b.a", "f.e.d.c.b.a", "g.f.e.d.c.b.a", "h.g.f.e.d.c.b.a",
		"i.h.g.f.e.d.c.b.a", "j.i.h.g.f.e.d.c.b.a") // ten labels at most
	f(URLPrefix, "n.example", "n.example")
	f(URLPrefix, "https://n.example/a//b/?c=/d", "n.example", "n.example/a", "n.example/a//b")
	f(URLPrefix, "n.example/a#/b", "n.example", "n.example/a")
	f(URLPrefix, "n/1/2/3/4/5/6/7/8/9/10/11/12/13", "n", "n/1", "n/1/2", "n/1/2/3", "n/1/2/3/4", "n/1/2/3/4/5", "n/1/2/3/4/5/6",
		"n/1/2/3/4/5/6/7", "n/1/2/3/4/5/6/7/8", "n/1/2/3/4/5/6/7/8/9", "n/1/2/3/4/5/6/7/8/9/10",
		"n/1/2/3/4/5/6/7/8/9/10/11", "n/1/2/3/4/5/6/7/8/9/10/11/12") // twelve parts at most
	f(Category, "iab1/IAB17-1", "iab1/IAB17-1", "iab1/IAB17", "iab2/518", "iab2/483", "iab3/518", "iab3/483")
	f(Category, "iab9/unknown", "iab9/unknown")
	f(Keyword, "a=b.c/d", "a=b.c/d")
	f(City, "", "")
}

// The test is not parallel, since it counts allocations.
func TestMatchingAllocatesNothing(t *testing.T) {
	room := make([][]byte, 0, 64)
	host, url, category := []byte("a.b.c.news.example"), []byte("https://news.example/a/b/c?d"), []byte("iab2/4")
	point, version := []byte("35.681,139.767"), []byte("chrome 140.0.7339.127")
	circle, _ := ParseCircle("35.681,139.767,5000")
	versions, _ := ParseVersions("chrome 120-")
	if n := testing.AllocsPerRun(100, func() {
		room = AppendExpansions(room[:0], Domain, host)
		room = AppendExpansions(room, URLPrefix, url)
		room = AppendExpansions(room, Category, category)
		p, _ := ParsePoint(point)
		v, _ := ParseVersion(version)
		if !circle.Contains(p) || !versions.Contains(v) {
			t.Error("outside")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkMatching(b *testing.B) {
	room := make([][]byte, 0, 64)
	host, url, category := []byte("a.b.c.news.example"), []byte("https://news.example/a/b/c?d"), []byte("iab2/4")
	point, version := []byte("35.681,139.767"), []byte("chrome 140.0.7339.127")
	for name, work := range map[string]func(){
		"Domain":    func() { room = AppendExpansions(room[:0], Domain, host) },
		"URLPrefix": func() { room = AppendExpansions(room[:0], URLPrefix, url) },
		"Category":  func() { room = AppendExpansions(room[:0], Category, category) },
		"Point":     func() { ParsePoint(point) },
		"Version":   func() { ParseVersion(version) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				work()
			}
		})
	}
}
