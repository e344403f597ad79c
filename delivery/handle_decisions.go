package delivery

import (
	"github.com/valyala/fasthttp"

	"github.com/hayate-ads/hayate/delivery/auction"
	"github.com/hayate-ads/hayate/delivery/render"
	"github.com/hayate-ads/hayate/internal/event"
)

// handleDecisions answers POST /v1/decisions: decisions for 1 to 20 placements.
func (s *server) handleDecisions(ctx *fasthttp.RequestCtx) {
	if len(ctx.Request.Header.ContentEncoding()) > 0 {
		s.metrics.rejected("unsupported_encoding")
		fail(ctx, fasthttp.StatusUnsupportedMediaType, "unsupported_encoding", "send the body as it is, without Content-Encoding")
		return
	}
	serving := s.board.current.Load()
	if serving == nil {
		s.failNotReady(ctx)
		return
	}
	sc := s.acquire()
	defer s.release(sc)
	sc.request.reset()
	err := sc.decoder.decode(ctx.Request.Body(), &sc.request)
	if err == nil {
		err = s.visitorOf(ctx, serving, sc)
	}
	if err != nil {
		s.metrics.rejected("bad_decisions")
		failBadRequest(ctx, err)
		return
	}
	s.decide(serving, sc)
	s.answerJSON(ctx, serving, sc)
}

// decide runs the auction for what sc holds: sc.decisions, and the tokens of
// those that are filled.
func (s *server) decide(on *serving, sc *scratch) {
	now := s.now()
	req := &sc.auction
	s.describe(sc, now)
	req.Placements, req.Seed, req.Now = sc.request.placements, seed(), now.UnixMicro()
	req.Process, req.Hold, req.Flags = s.process(), s.cfg.Hold, 0
	if sc.request.test {
		req.Flags |= event.Test
	}
	if sc.request.who.Bot {
		req.Flags |= event.Suspect
	}
	if sc.request.who.Grant.Personal {
		req.Flags |= event.Personal
	}
	sc.decisions = auction.Run(on.catalog, req, &sc.run, sc.decisions[:0])
	tokens := sc.tokensFor(len(sc.decisions))
	hour := now.Unix() / 3600
	for i := range sc.decisions {
		d := &sc.decisions[i]
		s.metrics.decided(d)
		if d.NoFill == auction.Filled {
			on.render.Sign(&tokens[i], sc.signer, d)
		}
		if c := on.cells[d.Placement]; c != nil && !sc.request.test {
			c.add(hour, d.NoFill)
		}
	}
	if !sc.request.test {
		sc.losses.count(hour, on, sc.run.Losses())
		s.reasons.sampler.offer(on, req)
	}
	s.wantLeases(on, sc)
}

// scanGap is how long after an eligible scan the next request makes another, in
// microseconds: where traffic is thin, one request in 64 would be too rare.
const scanGap = 100_000

// wantLeases lets one request in 64 look for line items that would win if they
// had a lease, and asks the bank for those (design §5.1).
func (s *server) wantLeases(on *serving, sc *scratch) {
	req := &sc.auction
	if req.Flags&(event.Test|event.Suspect) != 0 {
		return // tests and bots draw no money
	}
	last := s.scannedAt.Load()
	if req.Seed%64 != 0 && req.Now-last < scanGap && !missed(sc.decisions) {
		return
	}
	s.scannedAt.Store(req.Now)
	sc.wants = auction.Wants(on.catalog, req, &sc.run, sc.wants[:0])
	for _, lineItem := range sc.wants {
		s.want(lineItem)
	}
}

// missed tells whether a placement stayed empty for want of a lease only. Such a
// request always looks for leases: they are what it lacked.
func missed(decisions []auction.Decision) bool {
	for i := range decisions {
		if decisions[i].NoFill == auction.NoLease {
			return true
		}
	}
	return false
}

// answerJSON writes sc's decisions.
func (s *server) answerJSON(ctx *fasthttp.RequestCtx, on *serving, sc *scratch) {
	sc.id = appendID(sc.id[:0], sc.auction.Seed)
	response := render.Response{
		ID: sc.id, Generation: on.catalog.Generation, Decisions: sc.decisions, Tokens: sc.tokens,
	}
	ctx.Response.Header.SetContentType("application/json")
	noStore(ctx)
	// The response's own buffer is as long-lived as its connection, so it grows
	// to the size of our answers once.
	ctx.Response.SwapBody(on.render.AppendDecisions(ctx.Response.SwapBody(nil)[:0], &response))
}

func (s *server) failNotReady(ctx *fasthttp.RequestCtx) {
	s.metrics.rejected("not_ready")
	fail(ctx, fasthttp.StatusServiceUnavailable, "not_ready", "no snapshot has been loaded yet, try again in a few seconds")
}
