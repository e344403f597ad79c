package visitor

import (
	"bytes"
	"errors"
	"net/netip"
	"unsafe"
)

// maxHops is how many addresses of X-Forwarded-For are looked at, from the
// right: no honest chain of our own proxies is longer.
const maxHops = 16

// ErrIP reports text that is no IP address.
var ErrIP = errors.New("not an IP address")

// ParseIP reads an IPv4 or IPv6 address without zone; an IPv4 address mapped
// into IPv6 comes out as IPv4.
func ParseIP(text []byte) (netip.Addr, error) {
	if len(text) == 0 || len(text) > 45 {
		return netip.Addr{}, ErrIP
	}
	addr, err := netip.ParseAddr(alias(text))
	if err != nil || addr.Zone() != "" {
		return netip.Addr{}, ErrIP // the library's error keeps the text, which is not ours to keep
	}
	return addr.Unmap(), nil
}

// ClientIP is the address of whoever asked: the peer, or, where the peer is one
// of our trusted proxies, the nearest address in forwarded (the value of
// X-Forwarded-For) that is not. Everything left of that one was written by the
// client and is worth nothing; the same goes for what cannot be read.
func (r *Reader) ClientIP(peer netip.Addr, forwarded []byte) netip.Addr {
	client := peer.Unmap()
	for range maxHops {
		if !r.trusts(client) || len(forwarded) == 0 {
			return client
		}
		hop := forwarded
		if comma := bytes.LastIndexByte(forwarded, ','); comma >= 0 {
			hop, forwarded = forwarded[comma+1:], forwarded[:comma]
		} else {
			forwarded = nil
		}
		addr, err := ParseIP(bytes.TrimSpace(hop))
		if err != nil {
			return client
		}
		client = addr
	}
	return client
}

func (r *Reader) trusts(addr netip.Addr) bool {
	for _, prefix := range r.trusted {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

// Truncate cuts an address to what may leave memory: the /24 of an IPv4
// address, the /48 of an IPv6 one.
func Truncate(addr netip.Addr) netip.Addr {
	bits := 48
	if addr = addr.Unmap(); addr.Is4() {
		bits = 24
	}
	prefix, err := addr.Prefix(bits)
	if err != nil {
		return netip.Addr{} // the zero address has nothing to cut
	}
	return prefix.Addr()
}

// alias views bytes as a string without copying, for callees that only read it
// while they run.
func alias(text []byte) string { return unsafe.String(unsafe.SliceData(text), len(text)) }
