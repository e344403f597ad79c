// Package render writes decisions as markup and JSON.
//
// A [Renderer] belongs to one catalog: it has cut every creative into pieces
// once, escaped for where they will stand, so that a decision only joins pieces,
// numbers and token texts, all of which are safe in any of those places.
package render

import (
	"github.com/hayate-ads/hayate/delivery/auction"
	"github.com/hayate-ads/hayate/delivery/catalog"
	"github.com/hayate-ads/hayate/delivery/token"
)

// Config is where the URLs in markup lead.
type Config struct {
	TrackingURL string // base of /t/…, no trailing slash: "https://ads.example"
	AssetURL    string // base of images, no trailing slash: "https://ads.example/assets"
}

// Renderer writes decisions made from one catalog. Swap it together with that.
type Renderer struct{}

// Compile prepares the creatives of c. It fails when a URL of cfg is not a plain
// absolute http or https URL.
func Compile(c *catalog.Catalog, cfg Config) (*Renderer, error) { panic("unwritten") }

// Tokens are the token texts of one decision. They keep their memory for reuse.
type Tokens struct {
	Impression []byte
	Viewable   []byte
	Click      []byte
	landing    []byte
}

// Sign makes the three tokens of a filled decision into t, the click's with the
// landing URL, macros expanded.
func (r *Renderer) Sign(t *Tokens, s *token.Signer, d *auction.Decision) { panic("unwritten") }

// Response is the answer to POST /v1/decisions.
type Response struct {
	ID         []byte // of the answer, for support and logs
	Generation uint64
	Decisions  []auction.Decision
	Tokens     []Tokens // Tokens[i] belongs to Decisions[i]; unused where that has no winner
	ShowPrice  bool     // write price_micros, per impression
}

// AppendDecisions appends the JSON form of resp:
//
//	{"id","generation","decisions":[{"placement","line_item","creative","advertiser","format","width","height",
//	 "html","click","impressions":[url],"viewables":[url],"price_micros"?} | {"placement","no_fill"}]}
//
// Identifiers are strings of digits, as in requests; the others are numbers.
func (r *Renderer) AppendDecisions(dst []byte, resp *Response) []byte { panic("unwritten") }

// AppendHTML appends the markup of a filled decision, as it stands in "html". It
// holds no impression pixel: whoever shows it calls the impression URL.
func (r *Renderer) AppendHTML(dst []byte, d *auction.Decision, t *Tokens) []byte { panic("unwritten") }

// AppendDocument appends a whole HTML document that shows the ad and reports its
// impression: the answer of /v1/ad?format=html. Serve it with [DocumentCSP].
func (r *Renderer) AppendDocument(dst []byte, d *auction.Decision, t *Tokens) []byte {
	panic("unwritten")
}

// DocumentCSP is the Content-Security-Policy for [Renderer.AppendDocument].
func (r *Renderer) DocumentCSP() string { panic("unwritten") }

// AppendJS appends a script that puts the ad before its own script element and
// reports its impression: the answer of /v1/ad?format=js.
func (r *Renderer) AppendJS(dst []byte, d *auction.Decision, t *Tokens) []byte { panic("unwritten") }

// AppendImpressionURL appends the URL that reports the impression.
func (r *Renderer) AppendImpressionURL(dst []byte, t *Tokens) []byte { panic("unwritten") }
