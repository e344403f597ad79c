// Package render writes decisions as markup and JSON.
//
// A [Renderer] belongs to one catalog: it has cut every creative into pieces
// once, escaped for where they will stand, so that a decision only joins pieces,
// numbers and token texts, all of which are safe in any of those places.
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
	click, clickEncoded, impression, viewable []byte // tracking URLs up to the token

	// The same with the JSON between them, so that an answer takes fewer steps.
	jsonClick, jsonImpression, jsonViewable []byte

	ads []compiled // by catalog.Creative.Index
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
		click:        []byte(tracking + "/t/c/"),
		clickEncoded: []byte(url.QueryEscape(tracking + "/t/c/")),
		impression:   []byte(tracking + "/t/i/"),
		viewable:     []byte(tracking + "/t/v/"),
		ads:          make([]compiled, len(c.Creatives)),
	}
	r.jsonClick = fmt.Appendf(nil, `","click":"%s`, r.click)
	r.jsonImpression = fmt.Appendf(nil, `","impressions":["%s`, r.impression)
	r.jsonViewable = fmt.Appendf(nil, `"],"viewables":["%s`, r.viewable)
	for i := range c.Creatives {
		if r.ads[i], err = compile(&c.Creatives[i], assets); err != nil {
			return nil, err
		}
	}
	return r, nil
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
	t.landing = r.ads[d.Creative.Index].landing.append(t.landing[:0], &values{decision: d})
	if len(t.landing) > token.MaxLanding {
		t.landing = append(t.landing[:0], d.Creative.LandingURL...)
	}
	s.Begin(&d.Claim)
	t.Impression = s.Append(t.Impression[:0], token.Impression, nil)
	t.Viewable = s.Append(t.Viewable[:0], token.Viewable, nil)
	t.Click = s.Append(t.Click[:0], token.Click, t.landing)
}

// AppendHTML appends the markup of a filled decision, as it stands in "html". It
// holds no impression pixel: whoever shows it calls the impression URL.
func (r *Renderer) AppendHTML(dst []byte, d *auction.Decision, t *Tokens) []byte {
	return r.ads[d.Creative.Index].html.append(dst, &values{r, d, t})
}

// AppendImpressionURL appends the URL that reports the impression.
func (r *Renderer) AppendImpressionURL(dst []byte, t *Tokens) []byte {
	return append(append(dst, r.impression...), t.Impression...)
}

// AppendViewableURL appends the URL that reports the ad as viewable.
func (r *Renderer) AppendViewableURL(dst []byte, t *Tokens) []byte {
	return append(append(dst, r.viewable...), t.Viewable...)
}

// extensions of images in the bucket, by media type.
var extensions = map[string]string{"image/png": "png", "image/jpeg": "jpg", "image/gif": "gif"}

// compiled is one creative, cut into pieces.
type compiled struct {
	html    template
	quoted  template // html, escaped for a string of JSON or JavaScript
	landing template
	json    []byte // members of the decision from the placement's closing quote to html's opening one
}

func compile(c *catalog.Creative, assets string) (compiled, error) {
	made := compiled{
		landing: parse(c.LandingURL, c, landingMacros),
		json: fmt.Appendf(nil, `","line_item":"%d","creative":"%d","advertiser":"%d","format":"%s","width":%d,"height":%d,"html":"`,
			c.LineItem, c.ID, c.Advertiser, c.Format, c.Width, c.Height),
	}
	switch c.Format {
	case ad.Banner:
		extension := extensions[c.Image.Type]
		if extension == "" {
			return made, fmt.Errorf("creative %d has an image of type %q", c.ID, c.Image.Type)
		}
		made.html = banner(c, assets+"/"+c.Image.SHA256+"."+extension)
	case ad.HTML:
		made.html = framed(c)
	default:
		return made, fmt.Errorf("creative %d is of format %q, which cannot be shown", c.ID, c.Format)
	}
	made.quoted = made.html.each(quote)
	return made, nil
}
