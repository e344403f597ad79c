package render_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/oklog/ulid/v2"
	"golang.org/x/net/html"

	"github.com/hayate-ads/hayate/delivery/auction"
	"github.com/hayate-ads/hayate/delivery/catalog"
	"github.com/hayate-ads/hayate/delivery/lease"
	"github.com/hayate-ads/hayate/delivery/render"
	"github.com/hayate-ads/hayate/delivery/token"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/rule"
	"github.com/hayate-ads/hayate/internal/snapshot"
)

const (
	tracking = "https://ads.example"
	assets   = "https://cdn.example/assets"
	sum      = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
)

var config = render.Config{TrackingURL: tracking, AssetURL: assets}

var now = time.Date(2026, 11, 20, 18, 0, 0, 0, time.UTC)

func keys(t testing.TB) *token.Keys {
	t.Helper()
	k, err := token.ParseKeys([]byte("1 " + sum))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// shown is a decision for one creative, everything rendered.
type shown struct {
	renderer *render.Renderer
	decision auction.Decision
	tokens   render.Tokens
	landing  string // as the click's token carries it
}

// show compiles a catalog with the one creative and decides for placement 9.
func show(t *testing.T, creative snapshot.Creative) *shown {
	t.Helper()
	creative.ID, creative.LineItem, creative.Revision, creative.Width, creative.Height = 3, 2, 1, 300, 250
	s := &snapshot.Snapshot{
		Generation:  5,
		Advertisers: []snapshot.Advertiser{{ID: 1, Domain: `brand".example`, TimeZone: "UTC"}},
		LineItems: []snapshot.LineItem{{ID: 2, Campaign: 4, Advertiser: 1, Tier: ad.Auction, CostType: ad.CPM, Cost: money.Unit, StartsAt: now,
			Targeting: rule.Packed{0}}},
		Creatives:  []snapshot.Creative{creative},
		Properties: []snapshot.Property{{ID: 8, Publisher: 7, Kind: ad.Site}},
		Placements: []snapshot.Placement{{ID: 9, Property: 8, Formats: []ad.Format{creative.Format}, Sizes: []ad.Size{{Width: 300, Height: 250}}}},
	}
	var book lease.Book
	l := lease.New(ulid.ULID{1}, 2, money.Unit, 100)
	l.Process = ulid.ULID{1}
	l.Until = now.Add(time.Hour).UnixMicro()
	book.Slot(2).Store(l)
	c, err := catalog.Compile(s, &book)
	if err != nil {
		t.Fatal(err)
	}
	c.Tick(now)
	c.SetLive(2, true)
	made := new(shown)
	if made.renderer, err = render.Compile(c, config); err != nil {
		t.Fatal(err)
	}
	req := &auction.Request{Placements: []ad.ID{9}, Seed: 11, Now: now.UnixMicro(), Hold: time.Minute}
	made.decision = auction.Run(c, req, new(auction.Scratch), nil)[0]
	if made.decision.NoFill != auction.Filled {
		t.Fatalf("no fill: %s", made.decision.NoFill)
	}
	k := keys(t)
	made.renderer.Sign(&made.tokens, k.Signer(), &made.decision)
	var r event.Reservation
	landing, err := k.Verify(nil, token.Click, made.tokens.Click, &r)
	if err != nil || r != made.decision.Claim {
		t.Fatalf("the click's token says %+v, error %v", r, err)
	}
	made.landing = string(landing)
	return made
}

func bannerOf(landing string) snapshot.Creative {
	return snapshot.Creative{Format: ad.Banner, LandingURL: landing, Image: ad.Image{SHA256: sum, Type: "image/png", Bytes: 1}}
}

func htmlOf(markup string) snapshot.Creative {
	return snapshot.Creative{Format: ad.HTML, LandingURL: "https://brand.example/", Markup: markup}
}

func (s *shown) html() string { return string(s.renderer.AppendHTML(nil, &s.decision, &s.tokens)) }

func (s *shown) click() string { return tracking + "/t/c/" + string(s.tokens.Click) }

// elements parses markup as a browser would and lists the elements with their
// attributes; text between them shows as such.
func elements(t *testing.T, markup string) []string {
	t.Helper()
	var list []string
	z := html.NewTokenizer(strings.NewReader(markup))
	for {
		switch z.Next() {
		case html.ErrorToken:
			return list
		case html.TextToken:
			list = append(list, "text "+z.Token().Data)
		case html.StartTagToken, html.SelfClosingTagToken:
			tag := z.Token()
			line := tag.Data
			for _, a := range tag.Attr {
				line += " [" + a.Key + "=" + a.Val + "]"
			}
			list = append(list, line)
		}
	}
}

func TestBanner(t *testing.T) {
	t.Parallel()
	s := show(t, bannerOf("https://shop.example/"))
	want := []string{
		"a [href=" + s.click() + "] [target=_blank] [rel=noopener sponsored]",
		"img [src=" + assets + "/" + sum + `.png] [width=300] [height=250] [alt=Advertisement: brand".example] [style=display:block;border:0]`,
	}
	if diff := cmp.Diff(want, elements(t, s.html())); diff != "" {
		t.Errorf("banner (-want +got):\n%s", diff)
	}
}

// hostile is what an advertiser might write to break out of where it stands.
var hostile = []string{
	`</script><script>alert(1)</script>`,
	`"></iframe><script>alert(1)</script>`,
	`'"` + "`" + `\"\\"` + "\n\r\t\x00\x07\x7f",
	"line\u2028separator\u2029paragraph",
	`&quot;&amp;&#34;><b>&lt;`,
	`<!--<script>`,
	"malformed \xff\xc3 UTF-8",
	`${UNKNOWN} ${ ${CLICK_URL ${}`,
	`]]>*/"}]};alert(1)//`,
}

func TestMarkupStaysInItsFrame(t *testing.T) {
	t.Parallel()
	for _, markup := range hostile {
		s := show(t, htmlOf(markup))
		got := elements(t, s.html())
		if len(got) != 1 || !strings.HasPrefix(got[0], "iframe [width=300] [height=250]") || !strings.Contains(got[0], "[sandbox="+render.Sandbox+"]") {
			t.Errorf("%q: rendered as %q", markup, got)
			continue
		}
		_, document, _ := strings.Cut(got[0], "[srcdoc=")
		document = strings.TrimSuffix(document, "]")
		want := strings.NewReplacer("\r", "\n", "\x00", "\uFFFD").Replace(markup) // as HTML reads it
		if !strings.HasSuffix(document, want) {
			t.Errorf("%q: the frame shows %q", markup, document)
		}
	}
}

func TestMacros(t *testing.T) {
	t.Parallel()
	s := show(t, htmlOf(`a="${CLICK_URL}" b=${CLICK_URL_ENC} c=${PLACEMENT_ID}/${LINE_ITEM_ID}/${CREATIVE_ID}/${CAMPAIGN_ID} ${WIDTH}x${HEIGHT} ${CACHEBUSTER}${OTHER}`))
	encoded := strings.NewReplacer(":", "%3A", "/", "%2F").Replace(s.click())
	want := fmt.Sprintf(`a="%s" b=%s c=9/2/3/4 300x250 %d${OTHER}]`, s.click(), encoded, s.decision.Seed%1e10)
	if got := elements(t, s.html())[0]; !strings.HasSuffix(got, want) {
		t.Errorf("markup is %s, want it to end in %s", got, want)
	}
}

func TestLanding(t *testing.T) {
	t.Parallel()
	f := func(landing, want string) {
		t.Helper()
		s := show(t, bannerOf(landing))
		if s.landing != want {
			t.Errorf("landing %q, want %q", s.landing, want)
		}
		if strings.Contains(s.html(), "shop") {
			t.Errorf("the landing URL stands in the markup: %s", s.html())
		}
	}
	f("https://shop.example/", "https://shop.example/")
	f("https://shop.example/?p=${PLACEMENT_ID}&c=${CREATIVE_ID}&l=${LINE_ITEM_ID}&k=${CAMPAIGN_ID}", "https://shop.example/?p=9&c=3&l=2&k=4")
	f("https://shop.example/?u=${CLICK_URL}", "https://shop.example/?u=${CLICK_URL}")
	f(`https://shop.example/"><script>alert(1)</script>&\`, `https://shop.example/"><script>alert(1)</script>&\`)
	// Expanded it would be too long for a token, so it stays as it is.
	long := "https://shop.example/" + strings.Repeat("${CACHEBUSTER}", 10)
	long += strings.Repeat("x", token.MaxLanding-len(long))
	f(long, strings.NewReplacer("${CACHEBUSTER}", cacheBusterOf(t)).Replace(long))
}

func cacheBusterOf(t *testing.T) string {
	t.Helper()
	return fmt.Sprint(show(t, bannerOf("https://shop.example/")).decision.Seed % 1e10)
}

// answer is the JSON of POST /v1/decisions, read strictly.
type answer struct {
	ID         string `json:"id"`
	Generation uint64 `json:"generation"`
	Decisions  []struct {
		Placement   string   `json:"placement"`
		NoFill      string   `json:"no_fill"`
		LineItem    string   `json:"line_item"`
		Creative    string   `json:"creative"`
		Advertiser  string   `json:"advertiser"`
		Format      string   `json:"format"`
		Width       int      `json:"width"`
		Height      int      `json:"height"`
		HTML        string   `json:"html"`
		Click       string   `json:"click"`
		Impressions []string `json:"impressions"`
		Viewables   []string `json:"viewables"`
		Price       *int64   `json:"price_micros"`
	} `json:"decisions"`
}

func (s *shown) answer(t *testing.T, showPrice bool) (answer, []byte) {
	t.Helper()
	response := &render.Response{
		ID: []byte("ab\"\u2028"), Generation: 5, ShowPrice: showPrice,
		Decisions: []auction.Decision{s.decision, {Placement: 10, NoFill: auction.NoMatch}},
		Tokens:    []render.Tokens{s.tokens, {}},
	}
	text := s.renderer.AppendDecisions([]byte("before"), response)
	text = bytes.TrimPrefix(text, []byte("before"))
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	var got answer
	if err := decoder.Decode(&got); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return got, text
}

func TestDecisions(t *testing.T) {
	t.Parallel()
	s := show(t, bannerOf("https://shop.example/"))
	got, text := s.answer(t, true)
	const head = `{"id":"ab\"\u2028","generation":5,"decisions":[{"placement":"9","line_item":"2","creative":"3","advertiser":"1","format":"banner","width":300,"height":250,"html":"`
	const tail = `"],"price_micros":1000},{"placement":"10","no_fill":"no_match"}]}`
	if !strings.HasPrefix(string(text), head) || !strings.HasSuffix(string(text), tail) {
		t.Errorf("answer is %s", text)
	}
	d := got.Decisions[0]
	if d.HTML != s.html() || d.Click != s.click() ||
		!cmp.Equal(d.Impressions, []string{tracking + "/t/i/" + string(s.tokens.Impression)}) ||
		!cmp.Equal(d.Viewables, []string{tracking + "/t/v/" + string(s.tokens.Viewable)}) {
		t.Errorf("decision is %+v", d)
	}
	if got, _ := s.answer(t, false); got.Decisions[0].Price != nil {
		t.Error("the price shows though nobody asked")
	}
}

// TestQuotedMarkup holds JSON and script alike to the markup they carry, and to
// standing inside a script element.
func TestQuotedMarkup(t *testing.T) {
	t.Parallel()
	for _, markup := range hostile {
		s := show(t, htmlOf(markup))
		want := strings.ToValidUTF8(s.html(), "\uFFFD")
		if strings.Contains(markup, "\xff\xc3") {
			want = strings.ReplaceAll(s.html(), "\xff\xc3", "\uFFFD\uFFFD") // one each, as browsers do
		}
		got, text := s.answer(t, false)
		if got.Decisions[0].HTML != want {
			t.Errorf("%q: JSON carries %q, want %q", markup, got.Decisions[0].HTML, want)
		}
		script := s.renderer.AppendJS(nil, &s.decision, &s.tokens)
		_, rest, _ := strings.Cut(string(script), "innerHTML=")
		literal, _, _ := strings.Cut(rest, `;s.parentNode`)
		var unquoted string
		if err := json.Unmarshal([]byte(literal), &unquoted); err != nil || unquoted != want {
			t.Errorf("%q: script carries %q, error %v", markup, unquoted, err)
		}
		for _, out := range [][]byte{text, script} {
			if bytes.ContainsAny(out, "<\u2028\u2029\n") || !utf8.Valid(out) {
				t.Errorf("%q: cannot stand in a script element: %q", markup, out)
			}
		}
	}
}

func TestDocument(t *testing.T) {
	t.Parallel()
	s := show(t, htmlOf(hostile[0]))
	document := string(s.renderer.AppendDocument(nil, &s.decision, &s.tokens))
	var names, pixels []string
	for _, element := range elements(t, document) {
		name, _, _ := strings.Cut(element, " ")
		names = append(names, name)
		if name == "img" {
			pixels = append(pixels, element)
		}
	}
	want := strings.Fields("html head meta title text meta style text body div iframe img script text")
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("document (-want +got):\n%s", diff)
	}
	url := string(s.renderer.AppendImpressionURL(nil, &s.tokens))
	if len(pixels) != 1 || !strings.Contains(pixels[0], "[src="+url+"]") || url != tracking+"/t/i/"+string(s.tokens.Impression) {
		t.Errorf("pixels are %q, want %s", pixels, url)
	}
	if !strings.Contains(document, s.html()) || !strings.Contains(document, tracking+"/t/v/"+string(s.tokens.Viewable)) {
		t.Error("the document lacks the markup or the viewable URL")
	}
	if csp := s.renderer.DocumentCSP(); !strings.HasPrefix(csp, "sandbox "+render.Sandbox+";") || strings.Contains(csp, "allow-same-origin") {
		t.Errorf("CSP is %s", csp)
	}
}

func TestCompileRefuses(t *testing.T) {
	t.Parallel()
	c := &catalog.Catalog{}
	f := func(tracking, assets, want string) {
		t.Helper()
		_, err := render.Compile(c, render.Config{TrackingURL: tracking, AssetURL: assets})
		if fmt.Sprint(err) != want {
			t.Errorf("error %v, want %s", err, want)
		}
	}
	f("https://a.example/", "http://127.0.0.1:8080/assets", "<nil>")
	f("http://[::1]:8080", "https://a.example", "<nil>")
	f("", "https://a.example", `tracking URL "" is not an absolute http or https URL`)
	f("ads.example", "https://a.example", `tracking URL "ads.example" is not an absolute http or https URL`)
	f("https://a.example", "javascript:alert(1)", `asset URL "javascript:alert(1)" is not an absolute http or https URL`)
	for _, odd := range []string{`"`, "'", "<", "&", "?x=1", "\\", "%41", "é"} {
		f("https://a.example/"+odd, "https://a.example", fmt.Sprintf("tracking URL %q holds other characters than letters, digits and :/.-_~[]", "https://a.example/"+odd))
	}
	c.Shapes = []catalog.Shape{{Format: ad.Video}}
	c.Creatives = []catalog.Creative{{ID: 7}}
	f("https://a.example", "https://a.example", `creative 7 is of format "video", which cannot be shown`)
}
