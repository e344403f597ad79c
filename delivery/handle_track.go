package delivery

import (
	"time"

	"github.com/valyala/fasthttp"

	"github.com/hayate-ads/hayate/delivery/token"
	"github.com/hayate-ads/hayate/delivery/visitor"
	"github.com/hayate-ads/hayate/internal/event"
)

// lifetime is how long after its decision a token still counts.
const lifetime = 24 * time.Hour

// pixel is a transparent GIF of 1 × 1.
const pixel = "GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\x00\x00\x00" +
	"!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"

// handleTrack answers GET /t/{purpose}/{token}; path is what follows /t/.
//
// What cannot be verified is 404, what is older than a day 410, progress of a
// video that names no quartile 400, and none of that counts. An impression or
// click that is answered with 200 or 302 is on disk, and counted once whatever
// comes twice; when the log cannot take it an impression is 503, for the page to
// try again, and a click goes on to the landing page all the same, marked
// X-Hayate-Counted: 0. So does an expired one. HEAD, prefetches and tests are
// answered and never counted. Conversions are [server.handlePostback]'s.
func (s *server) handleTrack(ctx *fasthttp.RequestCtx, path []byte) {
	sc := s.acquire()
	defer s.release(sc)
	noStore(ctx)
	purpose, kind := byte(0), event.Type(0)
	if len(path) > 2 && path[1] == '/' {
		purpose, kind = path[0], landingType(path[0])
	}
	r := &sc.record.Landing.Reservation
	var err error
	if kind == 0 {
		err = token.ErrToken
	} else {
		sc.landing, err = s.keys.Verify(sc.landing[:0], token.Purpose(purpose), path[2:], r)
	}
	if err != nil {
		s.metrics.rejected("bad_token")
		fail(ctx, fasthttp.StatusNotFound, "not_found", "this tracking URL is not one of ours")
		return
	}
	quartile, ok := quartileOf(ctx, kind)
	if !ok {
		s.metrics.rejected("bad_progress")
		fail(ctx, fasthttp.StatusBadRequest, "invalid_request", "p must be start, firstQuartile, midpoint, thirdQuartile or complete")
		return
	}
	h := &ctx.Request.Header
	if visitor.Prefetch(h.Peek("Sec-Purpose"), h.Peek("Purpose"), h.Peek("X-Moz")) {
		ctx.SetStatusCode(fasthttp.StatusNoContent)
		return
	}
	now := s.now()
	expired := now.Sub(r.DecidedAt) > lifetime
	counted := !expired && r.Flags&event.Test == 0 && !ctx.IsHead()
	if counted {
		sc.record.Type = kind
		sc.record.Landing.Clearing = r.Price
		sc.record.Landing.Late = now.Sub(r.DecidedAt) > r.Hold
		sc.record.Landing.Invalid = judge(r, h.UserAgent())
		sc.record.Landing.Quartile = quartile
		if err = s.record(&sc.record); err == nil {
			s.metrics.landed(&sc.record)
		}
	}
	l := landing{kind, sc.landing, expired, counted && err == nil, err != nil}
	s.touch(ctx, sc, &l, now)
	answerTrack(ctx, l)
}

// judge says why a landing is invalid traffic.
func judge(r *event.Reservation, userAgent []byte) event.Invalid {
	switch {
	case visitor.Bot(userAgent):
		return event.InvalidBot
	case r.Flags&event.Suspect != 0:
		return event.InvalidSuspect
	}
	return event.Valid
}

// landingType is the event that a tracking URL of a purpose reports, 0 for
// purposes that nothing answers yet.
func landingType(purpose byte) event.Type {
	switch token.Purpose(purpose) {
	case token.Impression:
		return event.Impression
	case token.Viewable:
		return event.Viewable
	case token.Click:
		return event.Click
	case token.Progress:
		return event.Progress
	}
	return 0
}

// quartileOf reads how far a video was played: parameter p, one of VAST's names
// (4.2 §3.14.1). It is not signed, since whoever has the token played the video
// or did not; other kinds of landings have none.
func quartileOf(ctx *fasthttp.RequestCtx, kind event.Type) (q event.Quartile, ok bool) {
	if kind != event.Progress {
		return 0, true
	}
	switch string(ctx.QueryArgs().Peek("p")) {
	case "start":
		return event.Start, true
	case "firstQuartile":
		return event.FirstQuartile, true
	case "midpoint":
		return event.Midpoint, true
	case "thirdQuartile":
		return event.ThirdQuartile, true
	case "complete":
		return event.Complete, true
	}
	return 0, false
}

// landing is what became of a tracking request.
type landing struct {
	kind    event.Type
	target  []byte // of a click
	expired bool
	counted bool
	failed  bool // it would have counted, and the log refused it
}

func answerTrack(ctx *fasthttp.RequestCtx, l landing) {
	switch {
	case l.kind == event.Click:
		if !l.counted {
			ctx.Response.Header.Set("X-Hayate-Counted", "0")
		}
		ctx.Response.Header.SetBytesV("Location", l.target)
		ctx.SetStatusCode(fasthttp.StatusFound)
	case l.expired:
		fail(ctx, fasthttp.StatusGone, "expired", "this tracking URL is older than a day and no longer counts")
	case l.failed:
		ctx.Response.Header.Set("Retry-After", "2")
		fail(ctx, fasthttp.StatusServiceUnavailable, "unavailable", "the event was not recorded, send it again")
	case l.kind == event.Viewable || l.kind == event.Progress:
		ctx.SetStatusCode(fasthttp.StatusNoContent)
	default:
		answerPixel(ctx)
	}
	if l.kind == event.Impression {
		allowCookies(ctx)
	}
}
