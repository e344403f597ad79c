package delivery

import (
	"encoding/json"
	"errors"

	"github.com/valyala/fasthttp"
)

// maxMessage bounds an error's message in bytes: what we quote of a request is
// never worth more.
const maxMessage = 256

// fail answers with an error: {"error":{"code","message"}}. Codes are a closed
// list, for programs; messages are for people and tell nothing internal.
func fail(ctx *fasthttp.RequestCtx, status int, code, message string) {
	if len(message) > maxMessage {
		message = message[:maxMessage]
	}
	type detail struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	body, err := json.Marshal(map[string]detail{"error": {code, message}})
	if err != nil {
		body = nil // two strings always marshal
	}
	ctx.Response.ResetBody()
	ctx.SetStatusCode(status)
	ctx.Response.Header.SetContentType("application/json")
	noStore(ctx)
	allowEverywhere(ctx) // a page's script may read what it did wrong
	ctx.Response.SetBodyRaw(body)
}

// failBadRequest answers a mistake of the caller.
func failBadRequest(ctx *fasthttp.RequestCtx, err error) {
	var mistake *requestError
	if !errors.As(err, &mistake) {
		mistake = &requestError{"invalid_request", "the request cannot be read"}
	}
	fail(ctx, fasthttp.StatusBadRequest, mistake.code, mistake.message)
}

// Headers of every answer, as the library keeps them: set so, they need not be
// brought into that form each time.
var (
	allowOriginName      = []byte("Access-Control-Allow-Origin")
	allowOrigin          = []byte("*")
	allowCredentialsName = []byte("Access-Control-Allow-Credentials")
	allowCredentials     = []byte("true")
	cacheControlName     = []byte("Cache-Control")
	cacheControl         = []byte("no-store")
)

// allowEverywhere lets any site's scripts read the answer. Nothing here depends
// on a cookie or on who the reader is.
func allowEverywhere(ctx *fasthttp.RequestCtx) {
	ctx.Response.Header.SetCanonical(allowOriginName, allowOrigin)
}

// allowCookies lets the scripts of the site that asks read the answer, and lets
// their browser keep a cookie that comes with it, which it does for a site that is
// named and not for all. The answer is the same for all of them.
func allowCookies(ctx *fasthttp.RequestCtx) {
	if origin := ctx.Request.Header.Peek("Origin"); len(origin) > 0 {
		ctx.Response.Header.SetCanonical(allowOriginName, origin)
		ctx.Response.Header.SetCanonical(allowCredentialsName, allowCredentials)
	}
}

func noStore(ctx *fasthttp.RequestCtx) {
	ctx.Response.Header.SetCanonical(cacheControlName, cacheControl)
}

// preflight answers a browser's question whether a script may ask.
func preflight(ctx *fasthttp.RequestCtx, methods string) {
	h := &ctx.Response.Header
	h.Set("Access-Control-Allow-Methods", methods)
	h.Set("Access-Control-Allow-Headers", "Content-Type")
	h.Set("Access-Control-Max-Age", "86400")
	ctx.SetStatusCode(fasthttp.StatusNoContent)
}
