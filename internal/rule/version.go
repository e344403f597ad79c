package rule

import (
	"errors"
	"slices"
	"strconv"
	"strings"
)

// versioned are the systems and browsers that have versions.
var (
	versionedSystems  = []string{"windows", "macos", "linux", "android", "ios", "chromeos"}
	versionedBrowsers = []string{"chrome", "safari", "firefox", "edge", "samsung", "opera", "webview"}
	versioned         = slices.Concat(versionedSystems, versionedBrowsers)
)

// Version is what a request says of a system or browser: its name, and up to four
// numbers of 16 bits each, the first the highest; numbers that are missing are 0.
type Version struct {
	name   uint8 // place in versioned, from 1
	number uint64
}

// Versions is a range of versions of one system or browser, both ends included.
// An end with fewer numbers than a version stands for all that begin with it.
type Versions struct {
	name      uint8
	low, high uint64
}

const (
	maxNumbers = 4
	maxNumber  = 1<<16 - 1 // of requests: this and all above; no rule names it
)

// Contains tells whether v is of the range.
func (r Versions) Contains(v Version) bool {
	return r.name == v.name && r.low <= v.number && v.number <= r.high
}

// includes tells whether every version of other is one of r.
func (r Versions) includes(other Versions) bool {
	return r.name == other.name && r.low <= other.low && other.high <= r.high
}

var errVersions = errors.New("has to be a name and its versions, lowest and highest, such as ios 15-17.4, ios 15- or ios -17.4")

// ParseVersions reads a range in its one spelling: a name, a space, the lowest
// and the highest version with a hyphen between them, one of which may be left
// out. Versions are up to four numbers from 0 to 65534 with dots between them,
// without leading zeros; the lowest does not end with .0, which would add nothing.
func ParseVersions(text string) (Versions, error) {
	name, span, found := strings.Cut(text, " ")
	lowest, highest, hyphen := strings.Cut(span, "-")
	r := Versions{name: versionedName(name), high: 1<<64 - 1}
	switch {
	case !found || !hyphen:
		return Versions{}, errVersions
	case r.name == 0:
		return Versions{}, errors.New("has to begin with one of " + strings.Join(versioned, ", "))
	case lowest == "" && highest == "":
		return Versions{}, errors.New("names no version; all of " + name + " needs no range")
	case lowest == "0" || strings.HasSuffix(lowest, ".0"):
		return Versions{}, errors.New("has a needless 0 at the end of its lowest version")
	}
	var valid bool
	if lowest != "" {
		if r.low, valid = parseBound(lowest, 0); !valid {
			return Versions{}, errVersions
		}
	}
	if highest != "" {
		if r.high, valid = parseBound(highest, maxNumber); !valid {
			return Versions{}, errVersions
		}
	}
	if r.low > r.high {
		return Versions{}, errors.New("has its lowest version above its highest")
	}
	return r, nil
}

// parseBound reads an end of a range; numbers that it lacks are rest.
func parseBound(text string, rest uint64) (number uint64, valid bool) {
	n := 0
	for part := range strings.SplitSeq(text, ".") {
		value, err := strconv.ParseUint(part, 10, 16)
		if err != nil || value == maxNumber || n == maxNumbers || (len(part) > 1 && part[0] == '0') {
			return 0, false
		}
		number = number<<16 | value
		n++
	}
	for ; n < maxNumbers; n++ {
		number = number<<16 | rest
	}
	return number, true
}

// versionedName is 0 for a name that has no versions. A switch would be as fast;
// the list is what the errors name, too.
func versionedName(name string) uint8 {
	return uint8(slices.Index(versioned, name) + 1)
}

// ParseVersion reads what a request says: a name, a space, a version. Nobody
// vouches for it, so it is read kindly: numbers beyond the fourth are left out,
// those beyond 65535 count as 65535, zeros may lead. It is false when there is no
// known name or no number to read.
func ParseVersion(text []byte) (Version, bool) {
	space := 0
	for space < len(text) && text[space] != ' ' {
		space++
	}
	if space == len(text) {
		return Version{}, false
	}
	v := Version{name: versionedName(string(text[:space]))}
	digits, n, part := text[space+1:], 0, uint64(0)
	for i := 0; i <= len(digits) && n < maxNumbers; i++ {
		switch {
		case i == len(digits) || digits[i] == '.':
			if i == 0 || digits[i-1] == '.' {
				return Version{}, false
			}
			v.number |= part << (16 * (maxNumbers - 1 - n))
			n, part = n+1, 0
		case digits[i] >= '0' && digits[i] <= '9':
			part = min(part*10+uint64(digits[i]-'0'), maxNumber)
		default:
			return Version{}, false
		}
	}
	return v, v.name != 0 && n > 0
}
