package delivery

import (
	"log/slog"
	"net"
	"net/netip"
	"runtime/debug"
	"strings"
	"time"

	"github.com/valyala/fasthttp"
)

// endpoint is one of what the public port answers; it names metrics.
type endpoint int

const (
	other endpoint = iota
	decisionsEndpoint
	adEndpoint
	trackEndpoint
	assetEndpoint
	tagEndpoint
	conversionEndpoint
	endpoints
)

var endpointNames = [endpoints]string{"other", "decisions", "ad", "track", "asset", "tag", "conversion"}

// handle is every request of the public port. The library does not recover from
// panics: one would end the process, and with it everybody else's requests.
func (s *server) handle(ctx *fasthttp.RequestCtx) {
	at := other
	defer func() {
		if cause := recover(); cause != nil {
			s.crashed(ctx, cause)
		}
		// The library has read the clock just before this was called.
		s.metrics.answered(at, ctx.Response.StatusCode(), time.Since(ctx.Time()))
	}()
	if s.draining.Load() {
		ctx.SetConnectionClose()
	}
	if refused := guard(&ctx.Request.Header); refused != nil {
		s.metrics.rejected(refused.code)
		fail(ctx, refused.status, refused.code, refused.message)
		ctx.SetConnectionClose()
		return
	}
	at = s.route(ctx)
}

// route dispatches by the path as it was sent: every path we know is plain
// ASCII, so nothing needs decoding, and what is encoded is not ours.
func (s *server) route(ctx *fasthttp.RequestCtx) endpoint {
	path := ctx.URI().PathOriginal()
	switch {
	case string(path) == "/v1/decisions":
		if allowEverywhere(ctx); s.allow(ctx, "POST, OPTIONS") {
			s.handleDecisions(ctx)
		}
		return decisionsEndpoint
	case string(path) == "/v1/ad":
		if allowEverywhere(ctx); s.allow(ctx, "GET, HEAD, OPTIONS") {
			s.handleAd(ctx)
		}
		return adEndpoint
	case len(path) > 5 && string(path[:5]) == "/t/x/":
		if allowEverywhere(ctx); s.allow(ctx, "GET, HEAD, POST") {
			s.handlePostback(ctx, path[5:])
		}
		return conversionEndpoint
	case len(path) > 3 && string(path[:3]) == "/c/":
		if allowEverywhere(ctx); s.allow(ctx, "GET, HEAD") {
			s.handlePixel(ctx, path[3:])
		}
		return conversionEndpoint
	case len(path) > 3 && string(path[:3]) == "/t/":
		if allowEverywhere(ctx); s.allow(ctx, "GET, HEAD") {
			s.handleTrack(ctx, path[3:])
		}
		return trackEndpoint
	case len(path) > 8 && string(path[:8]) == "/assets/":
		if allowEverywhere(ctx); s.allow(ctx, "GET, HEAD") {
			s.handleAsset(ctx, string(path[8:]))
		}
		return assetEndpoint
	case string(path) == "/tag.js":
		if allowEverywhere(ctx); s.allow(ctx, "GET, HEAD") {
			s.handleTag(ctx)
		}
		return tagEndpoint
	}
	fail(ctx, fasthttp.StatusNotFound, "not_found", "there is nothing at this path")
	return other
}

// allow answers methods that are not in the list, and preflights where it names
// OPTIONS; it tells whether the request is still to be answered.
func (s *server) allow(ctx *fasthttp.RequestCtx, methods string) bool {
	method := ctx.Method()
	for rest := methods; rest != ""; {
		var name string
		if name, rest, _ = strings.Cut(rest, ", "); name != string(method) {
			continue
		}
		if name == fasthttp.MethodOptions {
			preflight(ctx, methods)
			return false
		}
		return true
	}
	ctx.Response.Header.Set("Allow", methods)
	fail(ctx, fasthttp.StatusMethodNotAllowed, "method_not_allowed", "this path answers "+methods)
	return false
}

// crashed answers a request whose handler panicked, and leaves a trace of it.
func (s *server) crashed(ctx *fasthttp.RequestCtx, cause any) {
	s.throttle.Warn(time.Now(), "panic", "a request handler panicked",
		slog.Any("cause", cause), slog.String("stack", string(debug.Stack())))
	ctx.Response.Reset()
	fail(ctx, fasthttp.StatusInternalServerError, "internal", "the server failed to answer; it has been noted")
	ctx.SetConnectionClose()
}

// unread answers what the library could not read.
func (s *server) unread(ctx *fasthttp.RequestCtx, err error) {
	refused := unreadable(err)
	s.metrics.rejected(refused.code)
	fail(ctx, refused.status, refused.code, refused.message)
}

// clientIP is where the request comes from, looking behind our proxies.
func (s *server) clientIP(ctx *fasthttp.RequestCtx, sc *scratch) netip.Addr {
	peer, ok := ctx.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.Addr{} // a test's connection in memory
	}
	sc.forwarded = sc.forwarded[:0]
	for _, value := range ctx.Request.Header.PeekAll("X-Forwarded-For") {
		if len(sc.forwarded) > 0 {
			sc.forwarded = append(sc.forwarded, ',') // several headers are one list (RFC 9110, 5.3)
		}
		sc.forwarded = append(sc.forwarded, value...)
	}
	return s.visitors.ClientIP(peer.AddrPort().Addr(), sc.forwarded)
}
