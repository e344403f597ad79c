// Package render writes decisions as markup and JSON.
//
// A [Renderer] belongs to one catalog: it has cut into pieces once, escaped for
// where they will stand, what banners have in common and what HTML creatives
// consist of, so that a decision only joins pieces, numbers and token texts, all
// of which are safe in any of those places.
package render

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/hayate-ads/hayate/delivery/auction"
	"github.com/hayate-ads/hayate/delivery/catalog"
	"github.com/hayate-ads/hayate/delivery/token"
	"github.com/hayate-ads/hayate/internal/ad"
)

// Config is where the URLs in markup lead.
type Config struct {
	TrackingURL string // base of /t/…: "https://ads.example"
	AssetURL    string // base of images: "https://ads.example/assets"
}

// Renderer writes decisions made from one catalog. Swap it together with that.
type Renderer struct {
	catalog *catalog.Catalog

	click, clickEncoded, impression, viewable []byte // tracking URLs up to the token

	// The same with the JSON between them, so that an answer takes fewer steps.
	jsonClick, jsonImpression, jsonViewable []byte

	jsonShape      []string         // members of a decision that say format and size, by shape
	banner, quoted *form            // of all banners; quoted for a string of JSON or JavaScript
	frames         map[int]frame    // of HTML creatives, by catalog.Creative.Index
	landings       map[int]template // of creatives with macros in their landing URLs, likewise
}

// frame is an HTML creative, cut into pieces.
type frame struct {
	html   template
	quoted template // the same for a string of JSON or JavaScript
}

// Compile prepares the creatives of c. It fails when a URL of cfg is not an
// absolute http or https URL of plain characters, and on a creative of a format
// that it cannot write.
func Compile(c *catalog.Catalog, cfg Config) (*Renderer, error) {
	tracking, err := base("tracking URL", cfg.TrackingURL)
	if err != nil {
		return nil, err
	}
	assets, err := base("asset URL", cfg.AssetURL)
	if err != nil {
		return nil, err
	}
	r := &Renderer{
		catalog:      c,
		click:        []byte(tracking + "/t/c/"),
		clickEncoded: []byte(url.QueryEscape(tracking + "/t/c/")),
		impression:   []byte(tracking + "/t/i/"),
		viewable:     []byte(tracking + "/t/v/"),
		frames:       make(map[int]frame),
		landings:     make(map[int]template),
	}
	r.jsonClick = fmt.Appendf(nil, `","click":"%s`, r.click)
	r.jsonImpression = fmt.Appendf(nil, `","impressions":["%s`, r.impression)
	r.jsonViewable = fmt.Appendf(nil, `"],"viewables":["%s`, r.viewable)
	r.banner = newForm(r, assets, func(text string) string { return text })
	r.quoted = newForm(r, assets, quote)
	for _, shape := range c.Shapes {
		r.jsonShape = append(r.jsonShape, fmt.Sprintf(`","format":"%s","width":%d,"height":%d,"html":"`, shape.Format, shape.Width, shape.Height))
	}
	for i := range c.Creatives {
		if err := r.add(&c.Creatives[i]); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// add cuts into pieces what cannot be written from the catalog as it is.
func (r *Renderer) add(c *catalog.Creative) error {
	switch format := r.catalog.Shapes[c.Shape].Format; format {
	case ad.Banner:
	case ad.HTML:
		html := framed(r.catalog, c)
		r.frames[c.Index] = frame{html, html.each(quote)}
	default:
		return fmt.Errorf("creative %d is of format %q, which cannot be shown", c.ID, format)
	}
	if landing := r.catalog.Landing(c); hasMacro(landing) {
		r.landings[c.Index] = parse(landing, r.catalog, c, landingMacros)
	}
	return nil
}

// base checks a URL that others are made from. Its characters mean nothing in
// HTML, CSS, JavaScript and JSON, so that URLs can stand anywhere as they are.
func base(what, text string) (string, error) {
	text = strings.TrimRight(text, "/")
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return "", fmt.Errorf("%s %q is not an absolute http or https URL", what, text)
	}
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:/.-_~[]"
	if odd := strings.Trim(text, plain); odd != "" {
		return "", fmt.Errorf("%s %q holds other characters than letters, digits and %s", what, text, ":/.-_~[]")
	}
	return text, nil
}

// Tokens are the token texts of one decision. They keep their memory for reuse.
type Tokens struct {
	Impression []byte
	Viewable   []byte
	Click      []byte
	landing    []byte
}

// Sign makes the three tokens of a filled decision into t, the click's with the
// landing URL, macros expanded.
func (r *Renderer) Sign(t *Tokens, s *token.Signer, d *auction.Decision) {
	landing := r.catalog.Landing(d.Creative)
	t.landing = append(t.landing[:0], landing...)
	if hasMacro(landing) {
		t.landing = r.landings[d.Creative.Index].append(t.landing[:0], &values{decision: d})
	}
	if len(t.landing) > token.MaxLanding {
		t.landing = append(t.landing[:0], landing...)
	}
	s.Begin(&d.Claim)
	t.Impression = s.Append(t.Impression[:0], token.Impression, nil)
	t.Viewable = s.Append(t.Viewable[:0], token.Viewable, nil)
	t.Click = s.Append(t.Click[:0], token.Click, t.landing)
}

// AppendHTML appends the markup of a filled decision, as it stands in "html". It
// holds no impression pixel: whoever shows it calls the impression URL.
func (r *Renderer) AppendHTML(dst []byte, d *auction.Decision, t *Tokens) []byte {
	if r.catalog.Shapes[d.Creative.Shape].Format == ad.Banner {
		return r.banner.append(dst, r.catalog, d.Creative, t.Click)
	}
	return r.frames[d.Creative.Index].html.append(dst, &values{r, d, t})
}

// appendQuotedHTML is AppendHTML for the inside of a string of JSON or JavaScript.
func (r *Renderer) appendQuotedHTML(dst []byte, d *auction.Decision, t *Tokens) []byte {
	if r.catalog.Shapes[d.Creative.Shape].Format == ad.Banner {
		return r.quoted.append(dst, r.catalog, d.Creative, t.Click)
	}
	return r.frames[d.Creative.Index].quoted.append(dst, &values{r, d, t})
}

// AppendImpressionURL appends the URL that reports the impression.
func (r *Renderer) AppendImpressionURL(dst []byte, t *Tokens) []byte {
	return append(append(dst, r.impression...), t.Impression...)
}

// AppendViewableURL appends the URL that reports the ad as viewable.
func (r *Renderer) AppendViewableURL(dst []byte, t *Tokens) []byte {
	return append(append(dst, r.viewable...), t.Viewable...)
}
