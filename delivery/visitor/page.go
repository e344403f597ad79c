package visitor

import (
	"bytes"

	"github.com/hayate-ads/hayate/delivery/target"
	"github.com/hayate-ads/hayate/internal/rule"
)

// address is what targeting asks of a page's URL.
type address struct {
	host   []byte // as it stands in the URL, in any case
	path   []byte // from its first slash on; empty: none
	prefix []byte // host and path as rules spell them, where they stand so in the URL
	secure bool   // https
}

// readURL reads an absolute http or https URL (RFC 3986). Others have no place on
// the web that a rule could name, and are as if not there.
func readURL(url []byte) (a address, ok bool) {
	if a, ok = plainHost(url); ok {
		a.readPath()
		return a, true
	}
	scheme, rest, found := bytes.Cut(url, []byte("://"))
	switch {
	case found && foldedEqual(scheme, "https"):
		a.secure = true
	case found && foldedEqual(scheme, "http"):
	default:
		return a, false
	}
	end := bytes.IndexAny(rest, "/?#\\")
	if end < 0 {
		end = len(rest)
	}
	authority := rest[:end]
	if at := bytes.LastIndexByte(authority, '@'); at >= 0 {
		authority = authority[at+1:]
	}
	if colon := bytes.IndexByte(authority, ':'); colon >= 0 {
		authority = authority[:colon] // a literal IPv6 address is no host either
	}
	a.host = bytes.TrimSuffix(authority, []byte{'.'})
	if end < len(rest) && rest[end] == '/' {
		a.path = rest[end:]
		if stop := bytes.IndexAny(a.path, "?#"); stop >= 0 {
			a.path = a.path[:stop]
		}
	}
	return a, isHost(a.host)
}

// plainHost reads the host of a URL as browsers write nearly all, in lower case
// and without user and port. The rest of the URL is in path.
func plainHost(url []byte) (a address, ok bool) {
	rest, secure := after(url, "https://")
	if a.secure = secure; !secure {
		if rest, ok = after(url, "http://"); !ok {
			return a, false
		}
	}
	last, end := byte('.'), 0
	for ; end < len(rest) && hostBytes[rest[end]]; end++ {
		c := rest[end]
		if c == '.' && last == '.' {
			return a, false
		}
		last = c
	}
	if last == '.' || end > rule.MaxHost || end < len(rest) && rest[end] != '/' {
		return a, false
	}
	a.host, a.path, a.prefix = rest[:end], rest[end:], rest
	return a, true
}

var hostBytes = func() (table [256]bool) {
	for _, c := range []byte("abcdefghijklmnopqrstuvwxyz0123456789-_.") {
		table[c] = true
	}
	return table
}()

// readPath ends the path of a plain URL. Its prefix ends there, too, unless a rule
// spells it otherwise.
func (a *address) readPath() {
	plain, end := true, 0
	for ; end < len(a.path) && a.path[end] != '?' && a.path[end] != '#'; end++ {
		plain = plain && a.path[end] > ' ' && a.path[end] < 0x7f
	}
	a.path = a.path[:end]
	a.prefix = a.prefix[:len(a.host)+end]
	if !plain || end > rule.MaxURL {
		a.prefix = nil
	}
}

// isHost accepts names as they travel: letters, digits, hyphens, underscores and
// dots. Browsers send other scripts as punycode.
func isHost(host []byte) bool {
	if len(host) == 0 || len(host) > rule.MaxHost {
		return false
	}
	for i, c := range host {
		if c == '.' && (i == 0 || host[i-1] == '.') {
			return false
		}
		if c != '.' && c != '-' && c != '_' && (c < '0' || c > '9') && !isLetter(c) {
			return false
		}
	}
	return true
}

// appendPrefix appends host and path as rules spell a URL prefix: the host in
// lower case, without scheme, port, query and fragment. A path longer than any
// rule's ends at a slash, so that what is left is still one of its beginnings.
func (a *address) appendPrefix(dst []byte) []byte {
	for _, c := range a.host {
		if isUpper(c) {
			c |= 0x20
		}
		dst = append(dst, c)
	}
	path := a.path
	if len(path) > rule.MaxURL {
		path = path[:bytes.LastIndexByte(path[:rule.MaxURL], '/')]
	}
	if !isPlain(path) {
		return dst
	}
	return append(dst, path...)
}

// isPlain tells whether text is ASCII without spaces and control characters, as
// a path is that came out of a browser.
func isPlain(text []byte) bool {
	for _, c := range text {
		if c <= ' ' || c >= 0x7f {
			return false
		}
	}
	return true
}

func foldedEqual(text []byte, lower string) bool {
	if len(text) != len(lower) {
		return false
	}
	for i := range text {
		if text[i]|0x20 != lower[i] {
			return false
		}
	}
	return true
}

// describePage adds the page and the language it is read in.
func (v *Visitor) describePage(q *target.Query) {
	if code, ok := language(v.Language); ok {
		q.Add(rule.Language, code[:])
	}
	a, ok := readURL(v.URL)
	if !ok {
		return
	}
	if a.secure {
		q.AddText(rule.Secure, "yes")
	} else {
		q.AddText(rule.Secure, "no")
	}
	switch {
	case v.Elsewhere:
	case a.prefix != nil:
		q.AddRef(rule.URLPrefix, a.prefix)
	default:
		v.buf = a.appendPrefix(v.buf[:0])
		q.Add(rule.URLPrefix, v.buf)
	}
}

// On tells whether a page is on a domain or one of its subdomains; a page without
// an address that we can read is on none.
func On(url []byte, domain string) bool {
	a, ok := plainHost(url)
	if !ok {
		a, ok = readURL(url)
	}
	if !ok || len(a.host) < len(domain) || domain == "" {
		return false
	}
	behind := len(a.host) - len(domain)
	if behind > 0 && a.host[behind-1] != '.' {
		return false
	}
	return foldedPrefix(a.host[behind:], domain)
}
