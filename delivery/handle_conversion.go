package delivery

import (
	"bytes"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/hayate-ads/hayate/delivery/token"
	"github.com/hayate-ads/hayate/delivery/visitor"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/money"
)

// handlePostback answers GET and POST /t/x/{token}: an advertiser's server or page
// reports a conversion by the token that the landing page was called with.
//
// Parameters are order and value (see [scratch.readAction]), in the query or in a
// POST's form. What is answered with 200 or 204 is on disk; what the log cannot
// take is 503, to be sent again. Sending twice does no harm: settle counts an
// order once. What cannot be verified is 404, what no window reaches 410, bad
// parameters 400, and none of that counts; nor do HEAD, prefetches and tests,
// which are answered alike.
//
// The caller's user agent is not judged here: whoever has the token got it from
// the advertiser, whose servers are programs. The click was judged, and its token
// says how.
func (s *server) handlePostback(ctx *fasthttp.RequestCtx, text []byte) {
	sc := s.acquire()
	defer s.release(sc)
	noStore(ctx)
	r := &sc.record.Landing.Reservation
	var err error
	sc.tail, err = s.keys.Verify(sc.tail[:0], token.Conversion, text, r)
	touch, ok := token.ParseTouch(sc.tail)
	if err != nil || !ok {
		s.metrics.rejected("bad_token")
		fail(ctx, fasthttp.StatusNotFound, "not_found", "this conversion token is not one of ours; send the value of {conversion} as it is")
		return
	}
	action, ok := s.action(ctx, sc)
	if !ok {
		return
	}
	action.TouchedAt, action.PostView = touch.At, touch.PostView
	switch {
	case outdated(touch, s.now()):
		fail(ctx, fasthttp.StatusGone, "expired", "the click was 90 days ago, or the impression 30: the conversion no longer counts")
	case !s.convert(ctx, sc, &action, event.Valid):
		failConversion(ctx)
	case ctx.IsPost():
		ctx.SetStatusCode(fasthttp.StatusNoContent)
	default:
		answerPixel(ctx)
	}
}

// handlePixel answers GET /c/{advertiser}: an image on an advertiser's page, which
// reports a conversion by the cookies that a click or an impression left in the
// browser. A click wins over an impression. Without cookies there is nothing to
// report, and the answer is the same.
//
// Parameters and answers are those of [server.handlePostback]. Here the user agent
// is the visitor's, so crawlers' conversions are recorded as invalid. Global
// Privacy Control counts nothing and takes the cookies away.
func (s *server) handlePixel(ctx *fasthttp.RequestCtx, path []byte) {
	advertiser, ok := parseID(path)
	if !ok {
		fail(ctx, fasthttp.StatusNotFound, "not_found", "the address of a pixel is /c/ and the advertiser's id")
		return
	}
	sc := s.acquire()
	defer s.release(sc)
	noStore(ctx)
	action, ok := s.action(ctx, sc)
	if !ok {
		return
	}
	if refusesTracking(ctx) {
		for _, view := range [...]bool{false, true} {
			sc.cookie = appendCookie(sc.cookie[:0], view, advertiser, nil)
			ctx.Response.Header.SetCanonical(setCookieName, sc.cookie)
		}
		answerPixel(ctx)
		return
	}
	if touch, ok := s.recall(ctx, sc, advertiser); ok {
		action.TouchedAt, action.PostView = touch.At, touch.PostView
		invalid := judge(&sc.record.Landing.Reservation, ctx.Request.Header.UserAgent())
		if !s.convert(ctx, sc, &action, invalid) {
			failConversion(ctx)
			return
		}
	}
	answerPixel(ctx)
}

// recall looks into the cookies for the touch that a conversion follows, and fills
// sc.record's reservation from it.
func (s *server) recall(ctx *fasthttp.RequestCtx, sc *scratch, advertiser ad.ID) (token.Touch, bool) {
	now, r := s.now(), &sc.record.Landing.Reservation
	for _, name := range [...]string{clickCookie, viewCookie} {
		text := ctx.Request.Header.Cookie(name)
		if len(text) == 0 {
			continue
		}
		var err error
		if sc.tail, err = s.keys.Verify(sc.tail[:0], token.Conversion, text, r); err != nil {
			continue
		}
		touch, ok := token.ParseTouch(sc.tail)
		// Whoever makes up a request may send any cookie under any name.
		if ok && touch.PostView == (name == viewCookie) && r.Advertiser == advertiser && !outdated(touch, now) {
			return touch, true
		}
	}
	return token.Touch{}, false
}

// convert records a conversion of the reservation in sc.record; false: the log
// could not take it. Tests, and requests that nobody made on purpose, are not
// recorded.
func (s *server) convert(ctx *fasthttp.RequestCtx, sc *scratch, action *event.Action, invalid event.Invalid) bool {
	l, h := &sc.record.Landing, &ctx.Request.Header
	if l.Reservation.Flags&event.Test != 0 || ctx.IsHead() ||
		visitor.Prefetch(h.Peek("Sec-Purpose"), h.Peek("Purpose"), h.Peek("X-Moz")) {
		return true
	}
	if invalid == event.Valid && l.Reservation.Flags&event.Suspect != 0 {
		invalid = event.InvalidSuspect
	}
	sc.record.Type, sc.record.Action = event.Conversion, action
	// The hold is how long money waits for an impression: conversions have windows
	// instead, and are not late.
	l.Clearing, l.Late, l.Invalid, l.Quartile = l.Reservation.Price, false, invalid, 0
	err := s.record(&sc.record)
	sc.record.Action = nil
	if err == nil {
		s.metrics.landed(&sc.record)
	}
	return err == nil
}

// action reads what a conversion's parameters say, or answers what is wrong.
func (s *server) action(ctx *fasthttp.RequestCtx, sc *scratch) (event.Action, bool) {
	body := ctx.Request.Body()
	if len(body) > 0 && !isForm(&ctx.Request.Header) {
		s.metrics.rejected("bad_conversion")
		fail(ctx, fasthttp.StatusUnsupportedMediaType, "unsupported_body",
			"send order and value in the query, or as application/x-www-form-urlencoded")
		return event.Action{}, false
	}
	action, err := sc.readAction(ctx.URI().QueryString(), body)
	if err != nil {
		s.metrics.rejected("bad_conversion")
		failBadRequest(ctx, err)
	}
	return action, err == nil
}

func isForm(h *fasthttp.RequestHeader) bool {
	kind, _, _ := bytes.Cut(h.ContentType(), []byte{';'})
	return len(h.ContentEncoding()) == 0 && equalFold(bytes.TrimSpace(kind), "application/x-www-form-urlencoded")
}

// readAction reads the parameters of a conversion from each source: order, at most
// 64 printable ASCII characters, and value, a decimal such as 49.90 in the currency
// of the budgets; both may be empty or left out. Others are ignored.
func (sc *scratch) readAction(sources ...[]byte) (a event.Action, err error) {
	order, value := false, false
	for _, source := range sources {
		sc.query.reset(source)
		for {
			name, text, ok := sc.query.next()
			if !ok {
				break
			}
			switch {
			case string(name) == "order" && order, string(name) == "value" && value:
				return a, invalidRequest("%s is given twice", name)
			case string(name) == "order":
				order, a.OrderID = true, string(text)
			case string(name) == "value":
				value = true
				a.Value, err = parseValue(string(text))
			}
			if err != nil {
				return a, err
			}
		}
		if sc.query.bad {
			return a, invalidRequest("the parameters hold a broken %% escape, or are not UTF-8")
		}
	}
	if len(a.OrderID) > event.MaxOrderID || strings.ContainsFunc(a.OrderID, unprintable) {
		return a, invalidRequest("order has to be at most %d printable ASCII characters", event.MaxOrderID)
	}
	return a, nil
}

func unprintable(c rune) bool { return c < ' ' || c > '~' }

func parseValue(text string) (money.Micros, error) {
	if text == "" {
		return 0, nil
	}
	value, err := money.Parse(text)
	if err != nil || value < 0 || value > event.MaxConversionValue {
		return 0, invalidRequest("value has to be a decimal such as 49.90: digits, a point, at most six decimal places, at most %s", event.MaxConversionValue)
	}
	return value, nil
}

func failConversion(ctx *fasthttp.RequestCtx) {
	ctx.Response.Header.Set("Retry-After", "2")
	fail(ctx, fasthttp.StatusServiceUnavailable, "unavailable", "the conversion was not recorded, send it again")
}

func answerPixel(ctx *fasthttp.RequestCtx) {
	ctx.Response.Header.SetContentType("image/gif")
	ctx.Response.SetBodyString(pixel)
}
