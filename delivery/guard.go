package delivery

import (
	"bytes"
	"errors"
	"io"
	"net"

	"github.com/valyala/fasthttp"
)

// maxHeaders is how many header lines a request may have. A browser behind two
// proxies sends about thirty.
const maxHeaders = 64

// refusal is an answer to a request that is not served.
type refusal struct {
	status  int
	code    string
	message string
}

// guard refuses what the HTTP library lets pass and no honest client sends:
// requests whose end two servers may see in different places, foreign
// protocols, and heaps of headers. After a refusal the connection must be
// closed, since nobody knows where the next request begins.
func guard(h *fasthttp.RequestHeader) *refusal {
	if protocol := h.Protocol(); string(protocol) != "HTTP/1.1" && string(protocol) != "HTTP/1.0" {
		return &refusal{fasthttp.StatusBadRequest, "http_version", "this server speaks HTTP/1.1"}
	}
	if refused := framing(h.RawHeaders()); refused != nil {
		return refused
	}
	return target(h)
}

// framing looks at the header lines as they came: the library unfolds lines, takes
// LF alone for their end, and prefers Transfer-Encoding to Content-Length, all
// without a word.
func framing(raw []byte) *refusal {
	lines, length, transfer := 0, false, false
	for len(raw) > 0 {
		line := raw
		if end := bytes.IndexByte(raw, '\n'); end >= 0 {
			line, raw = raw[:end], raw[end+1:]
		} else {
			raw = nil
		}
		if len(line) == 0 || line[len(line)-1] != '\r' {
			return &refusal{fasthttp.StatusBadRequest, "malformed_request", "end each header line with CR and LF"}
		}
		if len(line) == 1 {
			break // the empty line
		}
		if lines++; lines > maxHeaders {
			return &refusal{fasthttp.StatusRequestHeaderFieldsTooLarge, "too_many_headers", "send at most 64 header lines"}
		}
		if line[0] == ' ' || line[0] == '\t' {
			return &refusal{fasthttp.StatusBadRequest, "malformed_request", "a header line is folded: write each header on one line"}
		}
		name, _, _ := bytes.Cut(line, []byte{':'})
		if bytes.IndexByte(name, ' ') >= 0 {
			return &refusal{fasthttp.StatusBadRequest, "malformed_request", "a header's name holds a space"}
		}
		length = length || equalFold(name, "content-length")
		if equalFold(name, "transfer-encoding") {
			transfer = true
			if !equalFold(bytes.TrimSpace(line[len(name)+1:]), "chunked") {
				return &refusal{fasthttp.StatusBadRequest, "malformed_request", "the only transfer encoding is chunked"}
			}
		}
	}
	if length && transfer {
		return &refusal{fasthttp.StatusBadRequest, "malformed_request", "send Content-Length or Transfer-Encoding, not both"}
	}
	return nil
}

// target refuses a request target that names another host than the Host header.
func target(h *fasthttp.RequestHeader) *refusal {
	uri := h.RequestURI()
	if len(uri) > 0 && uri[0] == '/' {
		return nil
	}
	if _, rest, absolute := bytes.Cut(uri, []byte("://")); absolute {
		authority := rest
		if end := bytes.IndexAny(rest, "/?#"); end >= 0 {
			authority = rest[:end]
		}
		if bytes.Equal(authority, h.Host()) {
			return nil
		}
	}
	return &refusal{fasthttp.StatusBadRequest, "malformed_request", "the request target must be a path on the host of the Host header"}
}

// equalFold compares with a lower-case ASCII word.
func equalFold(text []byte, word string) bool {
	if len(text) != len(word) {
		return false
	}
	for i := range text {
		c := text[i]
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != word[i] {
			return false
		}
	}
	return true
}

// unreadable answers requests that the library could not read to their end. The
// library closes the connection afterwards.
func unreadable(err error) refusal {
	var small *fasthttp.ErrSmallBuffer
	var network net.Error
	switch {
	case errors.As(err, &small):
		return refusal{fasthttp.StatusRequestHeaderFieldsTooLarge, "headers_too_large", "send at most 8 KB of request line and headers"}
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		return refusal{fasthttp.StatusRequestEntityTooLarge, "body_too_large", "send at most 256 KB"}
	case errors.As(err, &network) && network.Timeout(), errors.Is(err, io.ErrUnexpectedEOF):
		return refusal{fasthttp.StatusRequestTimeout, "timeout", "the request did not arrive within two seconds"}
	}
	return refusal{fasthttp.StatusBadRequest, "malformed_request", "this is not an HTTP/1.1 request"}
}
