package rule

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"
)

// Bounds of hosts and URL prefixes in rules. They also bound how much the value
// of one request expands to.
const (
	MaxHost     = 253 // bytes
	MaxLabels   = 10  // of a host
	MaxURL      = 500 // bytes of a URL prefix
	MaxSegments = 12  // of a URL prefix's path
)

const maxLabel = 63 // bytes of a label (RFC 1035, 2.3.4)

// isDomain wants a host as browsers spell it: lower case, names in other scripts
// as Punycode, no dot at the end. It refuses what everybody's domains end with:
// "co.jp" would be nobody's site, or half of a country's.
func isDomain(value string) error {
	labels := strings.Split(value, ".")
	switch {
	case len(value) > MaxHost || len(labels) > MaxLabels:
		return fmt.Errorf("has %d bytes and %d labels; at most %d and %d are accepted", len(value), len(labels), MaxHost, MaxLabels)
	case strings.ContainsAny(value, "/:*?#@"):
		return errors.New("has to be a host alone, without a scheme, port, path or wildcard; its subdomains are always meant, too")
	case value == "":
		return errOther
	}
	for _, label := range labels {
		if isLabel(label) {
			continue
		}
		if right, valid := spelled(value); valid && right != value {
			return fmt.Errorf("has to be spelled %s", clip(right))
		}
		return errOther
	}
	switch suffix, official := publicsuffix.PublicSuffix(value); {
	case len(labels) == 1 || official && suffix == value:
		return errors.New("is no domain of anybody's, but what the domains of many end with")
	case only(labels[len(labels)-1], isDigit):
		return errors.New("is an address, not a name")
	case strings.Contains(value, "xn--"):
		right, valid := spelled(value)
		return orOther(valid && right == value)
	}
	return nil
}

func isLabel(label string) bool {
	return label != "" && len(label) <= maxLabel && label[0] != '-' && label[len(label)-1] != '-' &&
		only(label, func(b byte) bool { return isSmall(b) || isDigit(b) || b == '-' || b == '_' })
}

// spelled writes a host as browsers do: lower case and Punycode (UTS 46).
func spelled(host string) (right string, valid bool) {
	right, err := idna.Lookup.ToASCII(strings.TrimSuffix(host, "."))
	return right, err == nil
}

// isURLPrefix wants a host and a path as a URL has them (RFC 3986), without what
// a prefix at slashes can do without: scheme, port, query, the last slash.
func isURLPrefix(value string) error {
	host, path, found := strings.Cut(value, "/")
	switch {
	case len(value) > MaxURL:
		return fmt.Errorf("has %d bytes; at most %d are accepted", len(value), MaxURL)
	case strings.Contains(value, "://"):
		return errors.New("has to begin with the host; http and https are both meant")
	case strings.ContainsAny(value, "?#"):
		return errors.New("has to end before the query and the fragment")
	}
	if err := isDomain(host); err != nil {
		return err
	}
	if !found {
		return nil
	}
	segments := strings.Split(path, "/")
	if len(segments) > MaxSegments {
		return fmt.Errorf("has %d parts in its path; at most %d are accepted", len(segments), MaxSegments)
	}
	for _, segment := range segments {
		switch segment {
		case "":
			return errors.New("has a slash at its end, or two in a row; without them all below is meant, too")
		case ".", "..":
			return errors.New("has a part . or .. in its path, which browsers resolve")
		}
		if !isSegmentOfPath(segment) {
			return errors.New("has characters in its path that URLs write as % and two capital hexadecimal digits")
		}
	}
	return nil
}

// isSegmentOfPath accepts RFC 3986's pchar.
func isSegmentOfPath(segment string) bool {
	for i := 0; i < len(segment); i++ {
		b := segment[i]
		switch {
		case isSmall(b) || isCapitalOrDigit(b) || strings.IndexByte("-._~!$&'()*+,;=:@", b) >= 0:
		case b == '%' && i+2 < len(segment) && isHex(segment[i+1]) && isHex(segment[i+2]):
			i += 2
		default:
			return false
		}
	}
	return true
}

func isHex(b byte) bool { return isDigit(b) || 'A' <= b && b <= 'F' }
