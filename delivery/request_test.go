package delivery

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hayate-ads/hayate/internal/ad"
)

// asked is an adRequest as a test writes it down.
type asked struct {
	Placements []ad.ID
	Keywords   []string
	UserAgent  string
	IP         string
	Test       bool
}

func askedOf(r *adRequest) asked {
	a := asked{Placements: r.placements, UserAgent: string(r.who.Hints.UserAgent), Test: r.test}
	for _, k := range r.who.Keywords {
		a.Keywords = append(a.Keywords, string(k))
	}
	if r.who.IP.IsValid() {
		a.IP = r.who.IP.String()
	}
	return a
}

func decodeText(body string) (asked, error) {
	var d decoder
	var r adRequest
	err := d.decode([]byte(body), &r)
	return askedOf(&r), err
}

func TestDecode(t *testing.T) {
	t.Parallel()
	f := func(body string, want asked) {
		t.Helper()
		got, err := decodeText(body)
		if err != nil {
			t.Errorf("%s: %v", body, err)
		} else if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", body, diff)
		}
	}
	f(`{"placements":[{"id":"12"}]}`, asked{Placements: []ad.ID{12}})
	f(` { "placements" : [ { "id" : "12" } , {"id":"7","other":[1,{"a":null}]} ] } `, asked{Placements: []ad.ID{12, 7}})
	f(`{"placements":[{"id":"1"}],"keywords":{"Topic":["Go","rust"],"x":[]},"test":true}`,
		asked{Placements: []ad.ID{1}, Keywords: []string{"topic=go", "topic=rust"}, Test: true})
	f(`{"placements":[{"\u0069d":"\u0031"}],"keywords":{"\u00c4":["\ud83d\ude00\n"]}}`,
		asked{Placements: []ad.ID{1}, Keywords: []string{"ä=😀"}})
	f(`{"placements":[{"id":"1"}],"device":{"ua":"a\"b\\c","ip":"::ffff:203.0.113.9"}}`,
		asked{Placements: []ad.ID{1}, UserAgent: `a"b\c`, IP: "203.0.113.9"})
	f(`{"placements":[{"id":"1"}],"page":{"url":"https://x.example/<script>","referrer":""},
		"user":{"id":"u","segments":["a","b"]},
		"consent":{"tcf":"garbage","gpp":"","gpp_sid":[7,-1,2500],"us_privacy":"1YNN","gpc":true}}`, asked{Placements: []ad.ID{1}})
	f(`{"placements":[{"id":"1"}],"page":null,"keywords":null,"device":null,"user":null,"consent":null,"test":null}`,
		asked{Placements: []ad.ID{1}})
	f(`{"x":`+strings.Repeat("[", 31)+strings.Repeat("]", 31)+`,"placements":[{"id":"1"}]}`, asked{Placements: []ad.ID{1}})
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	f := func(body, code, message string) {
		t.Helper()
		_, err := decodeText(body)
		var mistake *requestError
		if !errors.As(err, &mistake) {
			t.Errorf("%.80s: accepted", body)
		} else if mistake.code != code || !strings.Contains(mistake.message, message) || len(mistake.message) > maxMessage {
			t.Errorf("%.80s: %s: %s; want %s: …%s…", body, mistake.code, mistake.message, code, message)
		}
	}
	const one = `{"placements":[{"id":"1"}]`
	for _, body := range []string{"", " ", "null", "[]", "1", `"x"`, "{", "}", one, one + "}}", one + "} x", one + ",}", "\ufeff" + one + "}"} {
		f(body, "invalid_json", "at byte ")
	}
	for _, value := range []string{
		"01", "+1", "1.", ".5", "-", "1e", "1e+", "NaN", "Infinity", "0x1", "tru", "nul", "'a'", "{a:1}", `{"a" 1}`, `{"a":1,}`, "[1,]", "[,1]",
		`"\x"`, `"\u12"`, `"\ud800"`, `"\ud800\u0041"`, `"\udc00"`, "\"a\nb\"", "\"\x00\"", "\"\xff\"", "\"\xc0\xaf\"", "\"\xed\xa0\x80\"", `"`, `"\`, `"\u`,
	} {
		f(one+`,"ext":`+value+`}`, "invalid_json", "at byte ")
	}
	f(`{"placements":[{"id":"1","id":"2"}]}`, "invalid_json", "twice")
	f(one+`,"placements":[]}`, "invalid_json", "twice")
	f(one+`,"test":1}`, "invalid_json", "true or false")
	f(one+`,"keywords":{"k":"v"}}`, "invalid_json", "a list")
	f(one+`,"keywords":[]}`, "invalid_json", "an object")
	f(one+`,"device":{"ua":7}}`, "invalid_json", "a string")
	f(one+`,"x":`+strings.Repeat("[", 200)+`}`, "invalid_json", "too deep")

	f(`{}`, "invalid_request", "placements is missing")
	f(`{"placements":[]}`, "invalid_request", "placements is missing")
	f(`{"placements":[{}]}`, "invalid_request", "needs an id")
	f(`{"placements":[{"id":null}]}`, "invalid_request", "every placement needs an id")
	for _, id := range []string{"", "0", "-1", "01", "1.0", "1e3", " 1", "a", "9999999999999999999", strings.Repeat("9", 10_000), "../1", "<script>"} {
		f(`{"placements":[{"id":"`+id+`"}]}`, "invalid_request", "positive whole number")
	}
	f(`{"placements":[{"id":"1"},{"id":"1"}]}`, "invalid_request", "asked for twice")
	f(`{"placements":[`+strings.TrimSuffix(manyPlacements(21), ",")+`]}`, "invalid_request", "more than 20")
	f(one+`,"keywords":{"k":[`+strings.Repeat(`"v",`, 100)+`"v"]}}`, "invalid_request", "more than 100")
	f(one+`,"keywords":{"":["v"]}}`, "invalid_request", "a key is not empty")
	f(one+`,"keywords":{"k":["`+strings.Repeat("v", 300)+`"]}}`, "invalid_request", "at most 199 bytes")
	f(one+`,"device":{"ip":"1.2.3"}}`, "invalid_request", "device.ip")
	f(one+`,"page":{"url":"`+strings.Repeat("u", 9000)+`"}}`, "invalid_request", "url is longer")
	f(one+`,"page":{"cattax":"7"}}`, "invalid_json", "a number")
	f(one+`,"page":{"cattax":1.5}}`, "invalid_request", "page.cattax")
	f(one+`,"page":{"categories":[`+strings.Repeat(`"IAB1",`, 50)+`"IAB1"]}}`, "invalid_request", "page.categories: more than 50")
	f(one+`,"consent":{"gpp_sid":[2.5e3]}}`, "invalid_request", "consent.gpp_sid")
	f(one+`,"consent":{"gpp_sid":[99999999999999999999]}}`, "invalid_request", "consent.gpp_sid")
	f(one+`,"consent":{"gpc":2}}`, "invalid_json", "true or false")
	f(one+`,"consent":{"gdpr":"yes"}}`, "invalid_json", "true or false")
	f(one+`,"consent":{"tcf":"`+strings.Repeat("C", 9000)+`"}}`, "invalid_request", "consent.tcf is longer")
	f(one+`,"device":{"geo":{"lat":90.1}}}`, "invalid_request", "device.geo.lat is a number from -90 to 90")
	f(one+`,"device":{"geo":{"lon":-1e999}}}`, "invalid_request", "device.geo.lon")
	f(one+`,"device":{"connectiontype":"4g"}}`, "invalid_json", "a number")
	f(one+`,"device":{"hints":{"model":7}}}`, "invalid_json", "a string")
	f(one+`,"user":{"segments":[""]}}`, "invalid_request", "user.segments: a segment has")
	f(one+`,"user":{"segments":["a\u0000b"]}}`, "invalid_request", "user.segments: a segment has")
	f(one+`,"user":{"segments":["`+strings.Repeat("s", 201)+`"]}}`, "invalid_request", "user.segments: a segment has")
	f(one+`,"app":{"bundle":1}}`, "invalid_json", "a string")
	f(one+`,"user":{"segments":[`+strings.Repeat(`"s",`, 1000)+`"s"]}}`, "invalid_request", "more than 1000")
}

func manyPlacements(n int) string {
	text := ""
	for i := range n {
		text += fmt.Sprintf(`{"id":"%d"},`, i+1)
	}
	return text
}

// The twentieth placement is the last that is taken.
func TestDecodeMost(t *testing.T) {
	t.Parallel()
	got, err := decodeText(`{"placements":[` + strings.TrimSuffix(manyPlacements(20), ",") + `]}`)
	if err != nil || len(got.Placements) != 20 {
		t.Errorf("%d placements, %v", len(got.Placements), err)
	}
}

// Work grows with the length of the body and not with its square.
func TestDecodeIsLinear(t *testing.T) {
	t.Parallel()
	for _, unit := range []string{"[", `{"a":`, `"\u0041`, `{"keywords":{"k":["`, `{"id":"1"},`} {
		body := `{"placements":[{"id":"1"}],"x":` + strings.Repeat(unit, maxBodyBytes/len(unit))
		start := time.Now()
		if _, err := decodeText(body); err == nil {
			t.Errorf("%q repeated was accepted", unit)
		}
		if took := time.Since(start); took > 500*time.Millisecond {
			t.Errorf("%q repeated took %s", unit, took)
		}
	}
}

// Whatever is accepted is JSON for the standard library too, and means the same.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`{"placements":[{"id":"12"}]}`, `{"placements":[{"id":"1"}],"keywords":{"a":["b"]},"test":true,"x":[1.5e-3,null,"\u00e9"]}`,
		`{"placements":[{"id":"1"}],"device":{"ua":"x","ip":"::1"},"consent":{"gpc":false}}`, `[[[[`, `{"a":01}`, `"\ud800"`,
	} {
		f.Add([]byte(seed))
	}
	var d decoder
	var r adRequest
	f.Fuzz(func(t *testing.T, body []byte) {
		r.reset()
		err := d.decode(body, &r)
		if err != nil {
			if len(err.Error()) > 2*maxMessage {
				t.Fatalf("an error of %d bytes", len(err.Error()))
			}
			return
		}
		var plain struct {
			Placements []struct{ ID string }
			Keywords   map[string][]string
			Test       bool
		}
		if err := json.Unmarshal(body, &plain); err != nil {
			// The standard library ignores case and so may see a known member
			// in one that is none to us; its syntax errors are ours to answer.
			var syntax *json.SyntaxError
			if errors.As(err, &syntax) {
				t.Fatalf("accepted %q: %v", body, err)
			}
			return
		}
		if len(r.placements) == 0 || len(r.placements) > maxPlacements || len(r.who.Keywords) > maxKeywords {
			t.Fatalf("%d placements and %d keywords of %q", len(r.placements), len(r.who.Keywords), body)
		}
	})
}
