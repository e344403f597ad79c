package render

import (
	"strconv"
	"strings"

	"github.com/hayate-ads/hayate/delivery/auction"
	"github.com/hayate-ads/hayate/delivery/catalog"
)

// macro is a value that is known only once there is a decision. Values consist
// of letters, digits and -_.~:/%[] and mean nothing in HTML, in a quoted
// attribute, in a JavaScript or JSON string, or in a URL's path or query: so
// they are safe wherever a creative puts them, and again after the whole of it
// was escaped once more around them.
type macro uint8

const (
	none macro = iota
	clickURL
	clickURLEncoded // for another URL's query
	placementID
	cacheBuster // digits that differ from decision to decision
)

// markupMacros can stand in an HTML creative, landingMacros in a landing URL. A
// click's URL inside of the URL that the click leads to would make no sense.
var (
	markupMacros = map[string]macro{
		"CLICK_URL": clickURL, "CLICK_URL_ENC": clickURLEncoded,
		"PLACEMENT_ID": placementID, "CACHEBUSTER": cacheBuster,
	}
	landingMacros = map[string]macro{"PLACEMENT_ID": placementID, "CACHEBUSTER": cacheBuster}
)

// hasMacro tells of text that may have one; without, text is written as it is.
func hasMacro(text string) bool { return strings.Contains(text, "${") }

// constants are macros that are known when the creative is.
func constants(name string, c *catalog.Catalog, creative *catalog.Creative) (string, bool) {
	item, shape := &c.LineItems[creative.Item], &c.Shapes[creative.Shape]
	switch name {
	case "CREATIVE_ID":
		return strconv.FormatInt(int64(creative.ID), 10), true
	case "LINE_ITEM_ID":
		return strconv.FormatInt(int64(item.ID), 10), true
	case "CAMPAIGN_ID":
		return strconv.FormatInt(int64(item.Campaign), 10), true
	case "WIDTH":
		return strconv.Itoa(shape.Width), true
	case "HEIGHT":
		return strconv.Itoa(shape.Height), true
	}
	return "", false
}

// template is text with macros in it.
type template []piece

// piece is some text and the macro behind it.
type piece struct {
	text  string
	macro macro
}

// parse cuts text at its macros, ${NAME}. Unknown ones stay as they are: in
// markup they may be JavaScript.
func parse(text string, c *catalog.Catalog, creative *catalog.Creative, macros map[string]macro) template {
	var t template
	var literal strings.Builder
	for {
		before, after, found := strings.Cut(text, "${")
		literal.WriteString(before)
		if !found {
			return append(t, piece{literal.String(), none})
		}
		text = after
		name, rest, closed := strings.Cut(after, "}")
		value, constant := constants(name, c, creative)
		switch {
		case closed && constant:
			literal.WriteString(value)
			text = rest
		case closed && macros[name] != none:
			t = append(t, piece{literal.String(), macros[name]})
			literal.Reset()
			text = rest
		default:
			literal.WriteString("${")
		}
	}
}

// each changes the text between the macros.
func (t template) each(change func(string) string) template {
	changed := make(template, len(t))
	for i := range t {
		changed[i] = piece{change(t[i].text), t[i].macro}
	}
	return changed
}

// around puts text before and after.
func (t template) around(before, after string) template {
	t[0].text = before + t[0].text
	t[len(t)-1].text += after // parse ends with a piece without a macro
	return t
}

// values are what macros stand for in one decision.
type values struct {
	renderer *Renderer
	decision *auction.Decision
	tokens   *Tokens
}

func (t template) append(dst []byte, v *values) []byte {
	for i := range t {
		dst = append(dst, t[i].text...)
		switch t[i].macro {
		case clickURL:
			dst = append(append(dst, v.renderer.click...), v.tokens.Click...)
		case clickURLEncoded:
			dst = append(append(dst, v.renderer.clickEncoded...), v.tokens.Click...)
		case placementID:
			dst = strconv.AppendInt(dst, int64(v.decision.Placement), 10)
		case cacheBuster:
			dst = strconv.AppendUint(dst, v.decision.Seed%10_000_000_000, 10)
		}
	}
	return dst
}
