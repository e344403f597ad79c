package render_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/hayate-ads/hayate/delivery/auction"
	"github.com/hayate-ads/hayate/delivery/render"
)

// FuzzMarkup: whatever an advertiser writes, it is one frame in HTML and one
// string in JSON.
func FuzzMarkup(f *testing.F) {
	for _, markup := range hostile {
		f.Add(markup)
	}
	f.Add(`<a href="${CLICK_URL}&x=${CACHEBUSTER}">${WIDTH}</a>`)
	f.Fuzz(func(t *testing.T, markup string) {
		if !utf8.ValidString(markup) {
			return // the domain's validation refuses it
		}
		s := show(t, htmlOf(markup))
		if got := elements(t, s.html()); len(got) != 1 || !strings.HasPrefix(got[0], "iframe ") {
			t.Errorf("%q: rendered as %q", markup, got)
		}
		text := s.renderer.AppendDecisions(nil, &render.Response{Decisions: []auction.Decision{s.decision}, Tokens: []render.Tokens{s.tokens}})
		var got answer
		if err := json.Unmarshal(text, &got); err != nil || got.Decisions[0].HTML != s.html() || strings.Contains(string(text), "<") {
			t.Errorf("%q: answered as %s, error %v", markup, text, err)
		}
	})
}
