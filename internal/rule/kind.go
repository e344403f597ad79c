package rule

import (
	"bytes"

	"github.com/hayate-ads/hayate/internal/taxonomy"
)

// Kind is how the values of a dimension are matched.
type Kind uint8

// The kinds of matching.
const (
	Exact    Kind = iota // the request has the rule's value
	Expanded             // the request's value satisfies all of [AppendExpansions], the rule's among them
	Computed             // the rule's value is a shape, the request's a point: [Circle], [Versions]
)

// Kind is how the values of d are matched.
func (d Dimension) Kind() Kind {
	switch d {
	case Domain, URLPrefix, Category:
		return Expanded
	case Near, OSVersion, BrowserVersion:
		return Computed
	}
	return Exact
}

// Satisfies is the plain meaning of one value: whether a request that has the
// value has, in d, satisfies the value of a rule. It parses shapes each time; an
// index does not.
func (d Dimension) Satisfies(value, has string) bool {
	switch d {
	case Near:
		circle, err := ParseCircle(value)
		point, known := ParsePoint([]byte(has))
		return err == nil && known && circle.Contains(point)
	case OSVersion, BrowserVersion:
		versions, err := ParseVersions(value)
		version, known := ParseVersion([]byte(has))
		return err == nil && known && versions.Contains(version)
	case Domain, URLPrefix, Category:
		var room [32][]byte
		for _, e := range AppendExpansions(room[:0], d, []byte(has)) {
			if string(e) == value {
				return true
			}
		}
		return false
	}
	return value == has
}

// AppendExpansions appends to dst the values of rules that a request with value
// in d satisfies. They are parts of value or static text: nothing is allocated
// but the room that dst lacks, and nobody may write to them.
//
// A Domain expands to itself and the domains above it, a URLPrefix to its host
// and every beginning of its path that ends at a slash, a Category to itself,
// what it is part of, and their counterparts in the other taxonomies; what no
// rule can name, such as more labels than MaxLabels, is left out. A value of any
// other dimension expands to itself.
func AppendExpansions(dst [][]byte, d Dimension, value []byte) [][]byte {
	switch d {
	case Domain:
		return appendDomains(dst, value)
	case URLPrefix:
		return appendPrefixes(dst, value)
	case Category:
		return taxonomy.AppendImplied(dst, value)
	}
	return append(dst, value)
}

func appendDomains(dst [][]byte, host []byte) [][]byte {
	first := len(dst)
	for end := len(host); end > 0; {
		end = bytes.LastIndexByte(host[:end], '.')
		if suffix := host[end+1:]; bytes.IndexByte(suffix, '.') > 0 {
			if dst = append(dst, suffix); len(dst)-first == MaxLabels-1 {
				break
			}
		}
	}
	return dst
}

func appendPrefixes(dst [][]byte, url []byte) [][]byte {
	if at := bytes.Index(url, []byte("://")); at >= 0 {
		url = url[at+3:]
	}
	if at := bytes.IndexAny(url, "?#"); at >= 0 {
		url = url[:at]
	}
	first := len(dst)
	for at := 0; at < len(url) && len(dst)-first <= MaxSegments; {
		next := bytes.IndexByte(url[at:], '/')
		if next < 0 {
			return append(dst, url)
		}
		if at += next; next > 0 { // a path's last slash, or two in a row, begin nothing new
			dst = append(dst, url[:at])
		}
		at++
	}
	return dst
}
