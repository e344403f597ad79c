package delivery

import (
	"bytes"
	"net"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/valyala/fasthttp"

	targeting "github.com/hayate-ads/hayate/delivery/target"
	"github.com/hayate-ads/hayate/delivery/visitor"
	"github.com/hayate-ads/hayate/internal/rule"
)

// brought is what a request brings to targeting, from its bytes on.
func brought(t *testing.T, s *testServer, raw string) (rule.Request, error) {
	t.Helper()
	var ctx fasthttp.RequestCtx
	var request fasthttp.Request
	head, body, _ := strings.Cut(raw, "\n\n")
	line, lines, _ := strings.Cut(head, "\n")
	method, uri, _ := strings.Cut(line, " ")
	request.Header.SetMethod(method)
	request.SetRequestURI(uri)
	for header := range strings.Lines(lines) {
		name, value, _ := strings.Cut(header, ":")
		request.Header.Set(name, strings.TrimSpace(value))
	}
	request.SetBodyString(body)
	ctx.Init(&request, &net.TCPAddr{IP: net.IPv4(203, 0, 113, 9), Port: 1}, nil)
	sc := s.acquire()
	defer s.release(sc)
	var err error
	if method == "GET" {
		_, err = sc.parseAd(ctx.URI().QueryString())
	} else {
		sc.request.reset()
		err = sc.decoder.decode(ctx.Request.Body(), &sc.request)
	}
	if err == nil {
		err = s.visitorOf(&ctx, s.board.current.Load(), sc)
	}
	if err != nil {
		return nil, err
	}
	sc.request.who.Now = testNow
	var q targeting.Query
	s.visitors.Describe(&sc.request.who, &q)
	return q.Plain(), nil
}

const (
	agentHeader = "User-Agent: Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36\n"
	hintHeaders = "Sec-CH-UA: \"Chromium\";v=\"140\", \"Google Chrome\";v=\"140\"\nSec-CH-UA-Mobile: ?1\nSec-CH-UA-Platform: \"Android\"\n" +
		"Sec-CH-UA-Platform-Version: \"15.0.0\"\nSec-CH-UA-Model: \"Pixel 8\"\n"
)

// Every dimension that a request can bring comes out in rules' spelling, by each
// of the ways in.
func TestRequestsBring(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)
	device := rule.Request{
		rule.DeviceType: {"mobile"}, rule.DeviceMake: {"google"}, rule.DeviceModel: {"pixel 8"}, rule.OS: {"android"}, rule.OSVersion: {"android 15.0"},
		rule.Browser: {"chrome"}, rule.BrowserVersion: {"chrome 140.0"}, rule.Language: {"ja"},
	}
	f := func(name, raw string, more rule.Request) {
		t.Helper()
		want := rule.Request{}
		for _, part := range []rule.Request{device, more} {
			for d, values := range part {
				if want[d] = values; values == nil {
					delete(want, d)
				}
			}
		}
		got, err := brought(t, s, raw)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", name, diff)
		}
	}
	page := rule.Request{
		rule.Secure: {"yes"}, rule.URLPrefix: {"news.example/sports"}, rule.Segment: {"vip"}, rule.Category: {"iab1/IAB17"}, rule.Keyword: {"topic=tea"},
	}
	headers := agentHeader + hintHeaders + "Accept-Language: ja-JP,en;q=0.5\n"
	f("browser's POST", "POST /v1/decisions\n"+headers+"\n"+`{"placements":[{"id":"11"}],"page":{"url":"https://news.example/sports?x","categories":["IAB17","nonsense"]},
		"user":{"segments":["vip"]},"keywords":{"topic":["tea"]}}`, page)
	f("GET", "GET /v1/ad?placement=11&url=https%3A%2F%2Fnews.example%2Fsports&cat=IAB17&seg=vip&kw.topic=tea\n"+headers+"\n", page)
	f("Referer", "GET /v1/ad?placement=11\n"+headers+"Referer: https://www.news.example/\n\n",
		rule.Request{rule.Secure: {"yes"}, rule.URLPrefix: {"www.news.example/"}})
	f("a page elsewhere", "GET /v1/ad?placement=11&url=https%3A%2F%2Fother.example%2Fsports\n"+headers+"\n", rule.Request{rule.Secure: {"yes"}})
	f("server", "POST /v1/decisions\nUser-Agent: Go-http-client/1.1\nAccept-Language: de\nReferer: https://news.example/\n\n"+
		`{"placements":[{"id":"11"}],"device":{"ua":"`+strings.TrimSpace(strings.TrimPrefix(agentHeader, "User-Agent: "))+`","language":"ja",
		"hints":{"platform":"\"Android\"","platform_version":"\"15.0.0\"","model":"\"Pixel 8\""}}}`, nil)
	f("app", "POST /v1/decisions\nUser-Agent: Dalvik/2.1.0 (Linux; U; Android 15; Pixel 8)\nAccept-Language: ja\n\n"+
		`{"placements":[{"id":"11"}],"device":{"make":"Google","model":"Pixel 8","os":"Android","osv":"15","connectiontype":6,"mccmnc":"440-10",
		"geo":{"lat":35.6812,"lon":139.7671}}}`,
		rule.Request{rule.Browser: {"other"}, rule.BrowserVersion: nil, rule.OSVersion: {"android 15"}, rule.Connection: {"4g"}, rule.Carrier: {"440-10"}, rule.Near: {"35.6812,139.7671"}})
}

// Each of the signals, by each way in, takes the segments away.
func TestRequestsObject(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)
	f := func(raw string, kept bool) {
		t.Helper()
		got, err := brought(t, s, raw)
		if err != nil {
			t.Errorf("%s: %v", raw, err)
		} else if (len(got[rule.Segment]) > 0) != kept {
			t.Errorf("%s: segments %q, want any: %v", raw, got[rule.Segment], kept)
		}
	}
	body := func(members string) string {
		return "POST /v1/decisions\n\n" + `{"placements":[{"id":"11"}],"user":{"segments":["vip"]}` + members + `}`
	}
	get := func(parameters string) string { return "GET /v1/ad?placement=11&seg=vip" + parameters + "\n\n" }
	f(body(``), true)
	f(body(`,"consent":{"gpc":true}`), false)
	f(body(`,"consent":{"gpc":false}`), true)
	f(strings.Replace(body(`,"consent":{"gpc":false}`), "\n", "\nSec-GPC: 1\n", 1), false)
	f(strings.Replace(body(``), "\n", "\nSec-GPC: 0\n", 1), true)
	f(body(`,"consent":{"coppa":1}`), false)
	f(body(`,"consent":{"gdpr":1}`), false)
	f(body(`,"consent":{"gdpr":false}`), true)
	f(body(`,"consent":{"tcf":"garbage"}`), false)
	f(body(`,"consent":{"tcf":"COwDzqZOwDzqZN4ABMENAPCAAP4AAP-AAAhoAFQAYABgAOABQAAAAA","gdpr":1}`), true)
	f(body(`,"consent":{"us_privacy":"1YYN"}`), false)
	f(body(`,"consent":{"us_privacy":"1YNN"}`), true)
	f(body(`,"consent":{"gpp":"DBACNY~CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA~1YNN","gpp_sid":[6]}`), true)
	f(body(`,"consent":{"gpp":"DBACNY~CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA~1YNN","gpp_sid":[2]}`), false)
	f(body(`,"consent":{"gpp":"DBACNY~CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA~1YNN"}`), false)
	f(body(`,"consent":{"gpp":"x","gpp_sid":[-1]}`), true)
	f(body(`,"consent":{"gpp_sid":[99]}`), false)
	f(body(`,"device":{"lmt":1}`), false)
	f(get(""), true)
	f(get("&gpc=1"), false)
	f(get("&lmt=1"), false)
	f(get("&coppa=1"), false)
	f(get("&gdpr=1"), false)
	f(get("&gdpr=${GDPR}"), true)
	f(get("&gdpr_consent=${GDPR_CONSENT_755}"), false)
	f(get("&us_privacy=1YYN"), false)
	f(get("&gpp=DBABM&gpp_sid=6"), false)
	f(get("&gpp=DBACNY~CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA~1YNN&gpp_sid=6"), true)
	f(get("&gpp_sid=6,x"), false)
}

// Whatever is sent, the answer names the field, or the rest counts; and it takes no
// longer than the length asks for.
func TestHostileRequests(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)
	f := func(raw, wantErr string) {
		t.Helper()
		start := time.Now()
		_, err := brought(t, s, raw)
		if took := time.Since(start); took > time.Second {
			t.Errorf("%.60q took %s", raw, took)
		}
		if wantErr == "" && err != nil || wantErr != "" && (err == nil || !strings.Contains(err.Error(), wantErr)) {
			t.Errorf("%.60q: %v, want %q", raw, err, wantErr)
		}
	}
	body := func(members string) string {
		return "POST /v1/decisions\n\n" + `{"placements":[{"id":"11"}],` + members + `}`
	}
	long := strings.Repeat("(Android 1;", 8192/len("(Android 1;"))
	f("GET /v1/ad?placement=11\nUser-Agent: "+long+"\nAccept-Language: "+strings.Repeat("a,", 4000)+"\nSec-CH-UA: "+strings.Repeat(`"`, 8000)+"\n\n", "")
	f("GET /v1/ad?placement=11\nUser-Agent: \xff\xfe\nAccept-Language: \xff\nReferer: https://\xff/\nSec-CH-UA-Model: \xc0\xaf\n\n", "")
	f("GET /v1/ad?placement=11&seg=%ff\n\n", "UTF-8")
	f("GET /v1/ad?placement=11&seg=%00\n\n", "user.segments")
	f("GET /v1/ad?placement=11"+strings.Repeat("&seg=a", 1001)+"\n\n", "user.segments: more than 1000")
	f("GET /v1/ad?placement=11"+strings.Repeat("&cat=a", 51)+"\n\n", "page.categories: more than 50")
	f("GET /v1/ad?placement=11&url="+strings.Repeat("a", 8193)+"\n\n", "url is longer than 8192")
	f("GET /v1/ad?placement=11&gpp="+strings.Repeat("~", 8192)+"&gpp_sid="+strings.Repeat(",", 8192)+"\n\n", "")
	f("GET /v1/ad?placement=11&gdpr_consent=C"+strings.Repeat("_", 8191)+"&cattax=-999999999\n\n", "")
	f(body(`"user":{"segments":[`+strings.TrimSuffix(strings.Repeat(`"acme/4711",`, 1000), ",")+`]}`), "")
	f(body(`"device":{"ua":"`+long+`","language":"`+strings.Repeat("-", 8000)+`","hints":{"brands":"`+strings.Repeat(`\"a`, 2000)+`"}}`), "")
	f(body(`"device":{"ua":"`+strings.Repeat("x", 8193)+`"}`), "device.ua is longer than 8192")
	f(body(`"device":{"geo":{"lat":1e308}}`), "device.geo.lat")
	f(body(`"device":{"geo":{"lat":`+strings.Repeat("1", 100_000)+`}}`), "device.geo.lat")
	f(body(`"consent":{"gpp_sid":[`+strings.TrimSuffix(strings.Repeat("7,", 50_000), ",")+`]}`), "")
}

func TestBundleOfAnotherApp(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)
	if _, err := brought(t, s, "GET /v1/ad?placement=11&bundle=com.other\n\n"); err == nil || !strings.Contains(err.Error(), "app.bundle") {
		t.Errorf("another app's bundle: %v", err)
	}
	if _, err := brought(t, s, "GET /v1/ad?placement=11&bundle=news.example\n\n"); err != nil {
		t.Error(err)
	}
	if _, err := brought(t, s, "GET /v1/ad?placement=999&bundle=com.other\n\n"); err != nil {
		t.Errorf("an unknown placement is answered as such: %v", err)
	}
}

// The request on the publishers' page is taken, and each of its members is known.
func TestDocumentedRequest(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/publishers.md")
	if err != nil {
		t.Fatal(err)
	}
	example := regexp.MustCompile("(?s)<!-- a test reads this -->\n```json\n(.*?)```").FindSubmatch(page)
	if example == nil {
		t.Fatal("the page has no example of a whole request")
	}
	var d decoder
	var r adRequest
	if err := d.decode(example[1], &r); err != nil {
		t.Fatal(err)
	}
	want := visitor.Visitor{
		IP:         netip.MustParseAddr("203.0.113.7"),
		Hints:      visitor.Hints{UserAgent: r.who.Hints.UserAgent, Model: []byte(`"Pixel 8"`), PlatformVersion: []byte(`"15.0.0"`)},
		App:        visitor.App{Make: []byte("Google"), Model: []byte("Pixel 8"), OS: []byte("Android"), OSVersion: []byte("15"), Connection: 6, Carrier: []byte("440-10"), Latitude: 35.6812, Longitude: 139.7671, Located: true},
		Language:   []byte("ja"),
		URL:        []byte("https://news.example/food/tea"),
		Keywords:   [][]byte{[]byte("section=food")},
		Segments:   [][]byte{[]byte("vip"), []byte("acme/4711")},
		Categories: [][]byte{[]byte("IAB8"), []byte("IAB8-18")},
		Cattax:     1,
		Consent: visitor.Consent{
			TCF: r.who.Consent.TCF, GPP: r.who.Consent.GPP, USPrivacy: []byte("1YNN"), Sections: visitor.Sections(0).With(6), Scoped: true, GDPR: visitor.No,
		},
	}
	if diff := cmp.Diff(want, r.who, cmpopts.IgnoreUnexported(visitor.Visitor{}), cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Error("(-want +got)", diff)
	}
	for _, file := range []string{"decoder.go", "decoder_device.go"} {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		names := regexp.MustCompile(`case "(\w+)":`).FindAllSubmatch(source, -1)
		if len(names) < 10 {
			t.Errorf("%s knows %d members only", file, len(names))
		}
		for _, name := range names {
			if !bytes.Contains(page, name[1]) {
				t.Errorf("the page does not name %s", name[1])
			}
		}
	}
}

func FuzzParameters(f *testing.F) {
	for _, seed := range []string{"url=https://a/&gdpr=1&gpp_sid=2,6", "seg=a&seg=b&cat=IAB1&cattax=-9", "gpp_sid=-1,,x", "lang=ja&bundle=a&coppa=1"} {
		f.Add([]byte(seed))
	}
	visitors, err := visitor.Open(visitor.Config{})
	if err != nil {
		f.Fatal(err)
	}
	sc := new(scratch)
	f.Fuzz(func(t *testing.T, query []byte) {
		if _, err := sc.parseAd(append([]byte("placement=1&"), query...)); err != nil {
			if len(err.Error()) > 2*maxMessage {
				t.Fatalf("an error of %d bytes", len(err.Error()))
			}
			return
		}
		var q targeting.Query
		visitors.Describe(&sc.request.who, &q)
		if who := &sc.request.who; len(q.Plain()[rule.Segment]) > 0 && (who.Consent.GPC || who.Consent.LMT || who.Consent.COPPA) {
			t.Fatalf("%q: segments in spite of an objection", query)
		}
	})
}
