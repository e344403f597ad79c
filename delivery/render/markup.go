package render

import (
	"fmt"

	"github.com/hayate-ads/hayate/delivery/auction"
	"github.com/hayate-ads/hayate/delivery/catalog"
)

// Sandbox is what an HTML creative may do: run scripts in an origin of its own,
// open windows that are free of the sandbox, and lead the page away when the
// visitor clicks. It can neither read the page nor its cookies.
const Sandbox = "allow-scripts allow-popups allow-popups-to-escape-sandbox allow-top-navigation-by-user-activation"

// framed is an HTML creative in a frame of its own: a document inside of an
// attribute, so it is escaped as one.
func framed(c *catalog.Catalog, creative *catalog.Creative) template {
	const start = `<!doctype html><meta charset="utf-8"><base target="_blank"><style>html,body{margin:0}</style>`
	markup := parse(c.Markup(creative), c, creative, markupMacros).around(start, "").each(attribute)
	shape, advertiser := c.Shapes[creative.Shape], &c.Advertisers[c.LineItems[creative.Item].Owner]
	frame := fmt.Sprintf(`<iframe width="%d" height="%d" title="%s" sandbox="%s" scrolling="no" style="display:block;border:0" srcdoc="`,
		shape.Width, shape.Height, attribute("Advertisement: "+advertiser.Domain), Sandbox)
	return markup.around(frame, `"></iframe>`)
}

// watch is a script that waits until half of the element e has been visible for
// a second, the Media Rating Council's viewable impression, and then calls a URL.
const watchStart = `if(window.IntersectionObserver){var t,o=new IntersectionObserver(function(n){` +
	`clearTimeout(t);if(n[n.length-1].intersectionRatio>=.5)t=setTimeout(function(){o.disconnect();new Image().src="`

const watchEnd = `"},1000)},{threshold:.5});o.observe(e)}`

// AppendDocument appends a whole HTML document that shows the ad and reports its
// impression: the answer of /v1/ad?format=html. Serve it with [Renderer.DocumentCSP].
func (r *Renderer) AppendDocument(dst []byte, d *auction.Decision, t *Tokens) []byte {
	dst = append(dst, `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Advertisement</title>`+
		`<meta name="referrer" content="no-referrer-when-downgrade">`+
		`<style>html,body{margin:0;overflow:hidden}</style></head><body><div id="ad">`...)
	dst = r.AppendHTML(dst, d, t)
	dst = append(dst, `</div><img src="`...)
	dst = r.AppendImpressionURL(dst, t)
	dst = append(dst, `" width="1" height="1" alt="" style="position:absolute;visibility:hidden">`+
		`<script>(function(e){`+watchStart...)
	dst = r.AppendViewableURL(dst, t)
	return append(dst, watchEnd+`})(document.getElementById("ad"))</script></body></html>`...)
}

// documentCSP puts the document into the same sandbox as HTML creatives, whose
// frames inherit it: whatever a creative does, it does not do it as the server's
// own origin. What it may load is open, as reviewers see to that, but plain
// scripts over HTTPS only.
const documentCSP = "sandbox " + Sandbox + "; default-src https: data: blob:; img-src http: https: data: blob:; " +
	"style-src https: 'unsafe-inline'; script-src https: 'unsafe-inline' 'unsafe-eval'; object-src 'none'; form-action 'none'"

// DocumentCSP is the Content-Security-Policy for [Renderer.AppendDocument].
func (r *Renderer) DocumentCSP() string { return documentCSP }

// AppendJS appends a script that puts the ad before its own script element and
// reports its impression: the answer of /v1/ad?format=js.
func (r *Renderer) AppendJS(dst []byte, d *auction.Decision, t *Tokens) []byte {
	dst = append(dst, `(function(s){if(!s||!s.parentNode)return;var e=document.createElement("div");e.innerHTML="`...)
	dst = r.appendQuotedHTML(dst, d, t)
	dst = append(dst, `";s.parentNode.insertBefore(e,s);new Image().src="`...)
	dst = r.AppendImpressionURL(dst, t)
	dst = append(dst, `";`+watchStart...)
	dst = r.AppendViewableURL(dst, t)
	return append(dst, watchEnd+`})(document.currentScript);`...)
}
