package render

import (
	"fmt"

	"github.com/hayate-ads/hayate/delivery/catalog"
)

// A banner is a linked image. There may be a million of them, so none has
// markup of its own in memory: what one shares with all others, with those of
// its shape, and with those of its advertiser, is kept once, and the rest is
// written as it is asked for.

// form is how banners are written: as HTML, or once more escaped for a string of
// JSON or JavaScript. Between the parts stand the click's token, the image's
// digest, and the advertiser's name.
type form struct {
	click   string   // to the token
	image   string   // from there to the digest
	shapes  []string // by shape: from the digest to the name
	domains []string // by place in Catalog.Advertisers: the name
	end     string
}

func newForm(r *Renderer, assets string, escape func(string) string) *form {
	f := &form{
		click:   escape(`<a href="` + string(r.click)),
		image:   escape(`" target="_blank" rel="noopener sponsored"><img src="` + assets + "/"),
		shapes:  make([]string, len(r.catalog.Shapes)),
		domains: make([]string, len(r.catalog.Advertisers)),
		end:     escape(`" style="display:block;border:0"></a>`),
	}
	for i, shape := range r.catalog.Shapes {
		f.shapes[i] = escape(fmt.Sprintf(`" width="%d" height="%d" alt="Advertisement: `, shape.Width, shape.Height))
	}
	for i := range r.catalog.Advertisers {
		f.domains[i] = escape(attribute(r.catalog.Advertisers[i].Domain))
	}
	return f
}

// extensions of images in the bucket, by media type.
func extension(mediaType string) string {
	switch mediaType {
	case "image/png":
		return ".png"
	case "image/jpeg":
		return ".jpg"
	}
	return ".gif" // the catalog lets through no fourth one
}

func (f *form) append(dst []byte, c *catalog.Catalog, creative *catalog.Creative, click []byte) []byte {
	digest, mediaType := c.Image(creative)
	dst = append(dst, f.click...)
	dst = append(dst, click...)
	dst = append(dst, f.image...)
	dst = appendHex(dst, digest)
	dst = append(dst, extension(mediaType)...)
	dst = append(dst, f.shapes[creative.Shape]...)
	dst = append(dst, f.domains[c.LineItems[creative.Item].Owner]...)
	return append(dst, f.end...)
}

// appendHex is hex.AppendEncode for text.
func appendHex(dst []byte, text string) []byte {
	const digits = "0123456789abcdef"
	for i := range len(text) {
		dst = append(dst, digits[text[i]>>4], digits[text[i]&15])
	}
	return dst
}
