package delivery

import (
	"bytes"

	"github.com/valyala/fasthttp"

	"github.com/hayate-ads/hayate/delivery/auction"
)

// handleAd answers GET /v1/ad: one placement, as a page that can embed nothing
// but a URL asks for it. Parameters are placement, format (html, js, vast,
// native or json; html when left out), kw.<key>=<value> any number of times, and
// test=1. Unknown parameters are ignored, so that cache busters do no harm.
//
// Without an ad the answer is 204, except for json, which says why. Nothing
// answers vast and native yet: they are always 204, and no lease is touched.
// HEAD answers as a test does.
func (s *server) handleAd(ctx *fasthttp.RequestCtx) {
	serving := s.board.current.Load()
	if serving == nil {
		s.failNotReady(ctx)
		return
	}
	sc := s.acquire()
	defer s.release(sc)
	format, err := sc.parseAd(ctx.URI().QueryString())
	if err == nil {
		err = s.visitorOf(ctx, serving, sc)
	}
	if err != nil {
		s.metrics.rejected("bad_ad")
		failBadRequest(ctx, err)
		return
	}
	noStore(ctx)
	if format == formatVAST || format == formatNative {
		ctx.SetStatusCode(fasthttp.StatusNoContent)
		return
	}
	sc.request.test = sc.request.test || ctx.IsHead()
	s.decide(serving, sc)
	s.answerAd(ctx, serving, sc, format)
}

// format is the form of an answer.
type format string

const (
	formatHTML   format = "html"
	formatJS     format = "js"
	formatVAST   format = "vast"
	formatNative format = "native"
	formatJSON   format = "json"
)

// parseAd reads the query into sc.request.
func (sc *scratch) parseAd(query []byte) (format, error) {
	sc.request.reset()
	sc.query.reset(query)
	form, seen := formatHTML, false
	for {
		name, value, ok := sc.query.next()
		if !ok {
			break
		}
		var err error
		switch {
		case string(name) == "placement":
			err = sc.request.addPlacement(value)
		case string(name) == "format" && seen:
			err = invalidRequest("format is given twice")
		case string(name) == "format":
			seen = true
			form, err = parseFormat(value)
		case bytes.HasPrefix(name, []byte("kw.")):
			err = sc.request.addKeyword(name[len("kw."):], value)
		case string(name) == "test":
			sc.request.test = string(value) == "1"
		default:
			err = sc.request.parameter(name, value)
		}
		if err != nil {
			return "", err
		}
	}
	switch {
	case sc.query.bad:
		return "", invalidRequest("the query string holds a broken %% escape, or is not UTF-8")
	case len(sc.request.placements) != 1:
		return "", invalidRequest("give one placement: /v1/ad?placement=12")
	}
	return form, nil
}

func parseFormat(text []byte) (format, error) {
	for _, known := range [...]format{formatHTML, formatJS, formatVAST, formatNative, formatJSON} {
		if string(text) == string(known) {
			return known, nil
		}
	}
	return "", invalidRequest("format is html, js, vast, native or json")
}

// answerAd writes sc's only decision in the form that was asked for.
func (s *server) answerAd(ctx *fasthttp.RequestCtx, on *serving, sc *scratch, form format) {
	if form == formatJSON {
		s.answerJSON(ctx, on, sc)
		return
	}
	decision, tokens := &sc.decisions[0], &sc.tokens[0]
	if decision.NoFill != auction.Filled {
		ctx.Response.Header.Set("X-Hayate-No-Fill", string(decision.NoFill))
		ctx.SetStatusCode(fasthttp.StatusNoContent)
		return
	}
	body := ctx.Response.SwapBody(nil)[:0]
	if form == formatJS {
		ctx.Response.Header.SetContentType("text/javascript; charset=utf-8")
		body = on.render.AppendJS(body, decision, tokens)
	} else {
		ctx.Response.Header.SetContentType("text/html; charset=utf-8")
		ctx.Response.Header.Set("Content-Security-Policy", on.render.DocumentCSP())
		body = on.render.AppendDocument(body, decision, tokens)
	}
	ctx.Response.Header.Set("X-Content-Type-Options", "nosniff")
	ctx.Response.SwapBody(body)
}
