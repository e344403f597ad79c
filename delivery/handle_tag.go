package delivery

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"

	"github.com/valyala/fasthttp"
)

// tagSource is the publishers' tag, served as it is written.
//
//go:embed tag.js
var tagSource []byte

var tagETag = func() string {
	sum := sha256.Sum256(tagSource)
	return `"` + hex.EncodeToString(sum[:8]) + `"`
}()

// handleTag answers GET /tag.js. Pages keep it for an hour, so that is how long
// a new version takes to reach everybody.
func (s *server) handleTag(ctx *fasthttp.RequestCtx) {
	h := &ctx.Response.Header
	h.Set("Cache-Control", "public, max-age=3600")
	h.Set("ETag", tagETag)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	h.SetContentType("text/javascript; charset=utf-8")
	if string(ctx.Request.Header.Peek("If-None-Match")) == tagETag {
		ctx.SetStatusCode(fasthttp.StatusNotModified)
		return
	}
	ctx.Response.SetBodyRaw(tagSource)
}
