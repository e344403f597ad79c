package delivery

import (
	"bytes"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/hayate-ads/hayate/delivery/token"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/event"
)

// For how long after a click or an impression a conversion is taken: the longest
// windows that an advertiser can have. Settle applies each advertiser's own, so
// that nothing here looks an advertiser up.
const (
	clickWindow = 90 * 24 * time.Hour
	viewWindow  = 30 * 24 * time.Hour
)

// outdated tells whether no window reaches from a touch to now.
func outdated(t token.Touch, now time.Time) bool {
	if t.PostView {
		return now.Sub(t.At) > viewWindow
	}
	return now.Sub(t.At) > clickWindow
}

// touch leaves behind what tells a later conversion what it followed: a token in
// the landing page's address, where the advertiser asks for it, and a cookie of
// the ad server for browsers whose visitor allowed that. It changes l.target.
func (s *server) touch(ctx *fasthttp.RequestCtx, sc *scratch, l *landing, now time.Time) {
	if l.kind != event.Impression && l.kind != event.Click {
		return
	}
	personal := l.counted && remembers(ctx, &sc.record.Landing)
	asked := l.kind == event.Click && asksForToken(l.target)
	if !personal && !asked {
		return
	}
	sc.touched = sc.touched[:0]
	touch := token.Touch{At: now, PostView: l.kind == event.Impression}
	// Of a click that is too old, or that nobody made, no conversion follows.
	if !l.expired && !ctx.IsHead() {
		sc.sign(touch, (l.counted || l.failed) && sc.record.Landing.Invalid != event.Valid)
	}
	if asked {
		sc.target = appendLanding(sc.target[:0], l.target, sc.touched)
		l.target = sc.target
	}
	if personal {
		sc.cookie = appendCookie(sc.cookie[:0], touch.PostView, sc.record.Landing.Reservation.Advertiser, sc.touched)
		ctx.Response.Header.SetCanonical(setCookieName, sc.cookie)
	}
}

// sign makes sc.touched the token of a conversion that follows the landing in
// sc.record. One that follows a crawler's click is invalid as that is.
func (sc *scratch) sign(touch token.Touch, invalid bool) {
	claim := sc.record.Landing.Reservation
	if invalid {
		claim.Flags |= event.Suspect
	}
	sc.tail = touch.Append(sc.tail[:0])
	sc.signer.Begin(&claim)
	sc.touched = sc.signer.Append(sc.touched[:0], token.Conversion, sc.tail)
}

// remembers tells whether a landing may be remembered in the visitor's browser:
// only with what counts as a consent where the visitor is, given when the ad was
// chosen, and not withdrawn since by Global Privacy Control.
func remembers(ctx *fasthttp.RequestCtx, l *event.Landing) bool {
	r := &l.Reservation
	return r.Flags&event.Personal != 0 && r.Advertiser != 0 && l.Invalid == event.Valid && !refusesTracking(ctx)
}

// refusesTracking tells of Global Privacy Control.
func refusesTracking(ctx *fasthttp.RequestCtx) bool {
	return string(ctx.Request.Header.Peek("Sec-GPC")) == "1"
}

// Cookies that remember the last click and the last impression of an advertiser's
// ads. Their path is that of the advertiser's pixel, so that no other request
// carries them, nor do two advertisers see what belongs to the other.
const (
	clickCookie = "hayate_click"
	viewCookie  = "hayate_view"
)

var setCookieName = []byte("Set-Cookie")

// appendCookie appends the value of a Set-Cookie header; without a token, of one
// that takes the cookie away.
func appendCookie(dst []byte, view bool, advertiser ad.ID, text []byte) []byte {
	name, age := clickCookie, clickWindow
	if view {
		name, age = viewCookie, viewWindow
	}
	if len(text) == 0 {
		age = 0
	}
	dst = append(append(append(dst, name...), '='), text...)
	dst = strconv.AppendInt(append(dst, "; Max-Age="...), int64(age/time.Second), 10)
	dst = strconv.AppendInt(append(dst, "; Path=/c/"...), int64(advertiser), 10)
	return append(dst, "; HttpOnly; Secure; SameSite=None"...)
}

// maxMacros is how often a landing URL can have the token: tokens are some 130
// characters, and a redirect has to fit into what browsers take for a header.
const maxMacros = 4

var macroName = []byte("conversion")

// asksForToken tells whether a landing URL has the macro {conversion} where it is
// replaced.
func asksForToken(target []byte) bool {
	from, _ := nextMacro(target[authorityEnd(target):])
	return from >= 0
}

// appendLanding appends a landing URL with text in place of its macros. They are
// replaced in query and fragment only, so that a redirect leads to the host and
// path that were signed, whatever is put in; text is base64url, which has no
// character that means anything there.
func appendLanding(dst, target, text []byte) []byte {
	begin := authorityEnd(target)
	dst, rest := append(dst, target[:begin]...), target[begin:]
	for range maxMacros {
		from, to := nextMacro(rest)
		if from < 0 {
			break
		}
		dst = append(append(dst, rest[:from]...), text...)
		rest = rest[to:]
	}
	return append(dst, rest...)
}

// authorityEnd is where query or fragment of a URL begin, its length without either.
func authorityEnd(url []byte) int {
	if i := bytes.IndexAny(url, "?#"); i >= 0 {
		return i
	}
	return len(url)
}

// nextMacro finds {conversion}, its braces as they are or escaped, as browsers and
// forms do to what people paste. It returns -1 when there is none.
func nextMacro(text []byte) (from, to int) {
	for at := 0; ; {
		i := bytes.Index(text[at:], macroName)
		if i < 0 {
			return -1, -1
		}
		from, to = at+i, at+i+len(macroName)
		open, end := brace(text[max(from-3, 0):from], true), brace(text[to:min(to+3, len(text))], false)
		if open > 0 && end > 0 {
			return from - open, to + end
		}
		at = to
	}
}

// brace is how many characters of text are the opening brace at its end, or the
// closing one at its begin; 0: there is none.
func brace(text []byte, opening bool) int {
	switch {
	case opening && bytes.HasSuffix(text, []byte("{")), !opening && bytes.HasPrefix(text, []byte("}")):
		return 1
	case opening && equalFold(text, "%7b"), !opening && equalFold(text, "%7d"):
		return 3
	}
	return 0
}
