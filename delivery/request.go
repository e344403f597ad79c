package delivery

import (
	"fmt"
	"net/netip"
	"strconv"

	"github.com/hayate-ads/hayate/delivery/visitor"
	"github.com/hayate-ads/hayate/internal/ad"
)

// Bounds of one ad request.
const (
	maxPlacements = 20
	maxKeywords   = 100  // key and value pairs
	maxText       = 8192 // bytes of a URL, user agent, id or consent string
	maxSegments   = 1000
)

// adRequest is what a publisher asks, whichever endpoint it came by. It is
// reused: slices point into the request's body or into arenas of the scratch
// and are gone with it.
//
// User ids, segments and consent strings are checked for their form and not
// kept: nothing here uses an id yet, so there is nothing that consent could
// allow or GPC forbid.
type adRequest struct {
	placements []ad.ID
	keywords   [][]byte // "key=value", normalised
	userAgent  []byte   // of device.ua, empty when not given
	ip         netip.Addr
	test       bool

	text []byte // arena of keywords
}

func (r *adRequest) reset() {
	*r = adRequest{placements: r.placements[:0], keywords: r.keywords[:0], text: r.text[:0]}
}

// requestError is a mistake of the caller, told in words that name the field.
type requestError struct{ code, message string }

func (e *requestError) Error() string { return e.code + ": " + e.message }

func invalidRequest(format string, args ...any) error {
	return &requestError{"invalid_request", fmt.Sprintf(format, args...)}
}

// addPlacement takes a placement's id as the console shows it.
func (r *adRequest) addPlacement(text []byte) error {
	id, ok := parseID(text)
	if !ok {
		return invalidRequest("a placement's id is the positive whole number that the console shows, such as \"12\"")
	}
	if len(r.placements) == maxPlacements {
		return invalidRequest("more than %d placements in one request", maxPlacements)
	}
	for _, other := range r.placements {
		if other == id {
			return invalidRequest("placement %d is asked for twice: make two placements, or two requests", id)
		}
	}
	r.placements = append(r.placements, id)
	return nil
}

// parseID reads a positive decimal without sign or leading zero, at most 18 digits.
func parseID(text []byte) (ad.ID, bool) {
	if len(text) == 0 || len(text) > 18 || text[0] == '0' {
		return 0, false
	}
	var id ad.ID
	for _, c := range text {
		if c < '0' || c > '9' {
			return 0, false
		}
		id = id*10 + ad.ID(c-'0')
	}
	return id, true
}

func (r *adRequest) addKeyword(key, value []byte) error {
	if len(r.keywords) == maxKeywords {
		return invalidRequest("more than %d keywords in one request", maxKeywords)
	}
	from := len(r.text)
	text, err := visitor.AppendKeyword(r.text, key, value)
	if err != nil {
		return invalidRequest("keywords: %v", err)
	}
	r.text = text
	r.keywords = append(r.keywords, text[from:len(text):len(text)])
	return nil
}

// decoder reads the body of POST /v1/decisions into an adRequest.
type decoder struct {
	scanner
	request *adRequest
	wrong   error // what the grammar allows and we do not
}

// decode reads body. Members it does not know are ignored, as long as they are
// JSON; known ones may be null, which is as if they were not there.
func (d *decoder) decode(body []byte, request *adRequest) error {
	d.reset(body)
	d.request, d.wrong = request, nil
	d.root()
	d.end()
	switch {
	case d.wrong != nil:
		return d.wrong
	case d.fault != "":
		return &requestError{"invalid_json", "at byte " + strconv.Itoa(d.at) + ": " + d.fault}
	case len(request.placements) == 0:
		return invalidRequest("placements is missing: a list of 1 to %d objects such as {\"id\":\"12\"}", maxPlacements)
	}
	return nil
}

// refuse stops the reading with an error that is not about JSON.
func (d *decoder) refuse(err error) {
	if d.wrong == nil && d.fault == "" && err != nil {
		d.wrong = err
		d.fail("refused")
	}
}

// member reads the next known member's name, reduced to its place in names, and
// -1 for others. A known name that comes twice is refused: which of the two
// counts would be anybody's guess.
func (d *decoder) member(seen *uint32, names []string) int {
	key := d.key()
	for i, name := range names {
		if string(key) != name {
			continue
		}
		if *seen&(1<<i) != 0 {
			d.fail("the member \"" + name + "\" comes twice")
		}
		*seen |= 1 << i
		if d.null() {
			return ignored
		}
		return i
	}
	d.skip()
	return ignored
}

// ignored is the member whose value has been read already.
const ignored = -1

var rootMembers = []string{"placements", "keywords", "device", "page", "user", "consent", "test"}

func (d *decoder) root() {
	var seen uint32
	for d.open('{'); d.more('}'); {
		switch d.member(&seen, rootMembers) {
		case 0:
			d.placements()
		case 1:
			d.keywords()
		case 2:
			d.device()
		case 3:
			d.page()
		case 4:
			d.user()
		case 5:
			d.consent()
		case 6:
			d.request.test = d.boolean()
		}
	}
}

var placementMembers = []string{"id"}

func (d *decoder) placements() {
	for d.open('['); d.more(']'); {
		var seen uint32
		before := len(d.request.placements)
		for d.open('{'); d.more('}'); {
			if d.member(&seen, placementMembers) == 0 {
				if id := d.str(); d.fault == "" {
					d.refuse(d.request.addPlacement(id))
				}
			}
		}
		if len(d.request.placements) == before {
			d.refuse(invalidRequest("placements: every placement needs an id"))
		}
	}
}

func (d *decoder) keywords() {
	for d.open('{'); d.more('}'); {
		key := d.key()
		for d.open('['); d.more(']'); {
			if value := d.str(); d.fault == "" {
				d.refuse(d.request.addKeyword(key, value))
			}
		}
	}
}

var deviceMembers = []string{"ua", "ip"}

func (d *decoder) device() {
	var seen uint32
	for d.open('{'); d.more('}'); {
		switch d.member(&seen, deviceMembers) {
		case 0:
			d.request.userAgent = d.text("device.ua")
		case 1:
			d.ip()
		}
	}
}

func (d *decoder) ip() {
	text := d.str()
	if d.fault != "" {
		return
	}
	addr, err := visitor.ParseIP(text)
	if err != nil {
		d.refuse(invalidRequest("device.ip is not an IPv4 or IPv6 address"))
	}
	d.request.ip = addr
}

// text reads a string of bounded length.
func (d *decoder) text(name string) []byte {
	text := d.str()
	if len(text) > maxText {
		d.refuse(invalidRequest("%s is longer than %d bytes", name, maxText))
	}
	return text
}

var pageMembers = []string{"url", "referrer"}

func (d *decoder) page() {
	var seen uint32
	for d.open('{'); d.more('}'); {
		if i := d.member(&seen, pageMembers); i != ignored {
			d.text(pageMembers[i])
		}
	}
}

var userMembers = []string{"id", "segments"}

func (d *decoder) user() {
	var seen uint32
	for d.open('{'); d.more('}'); {
		switch d.member(&seen, userMembers) {
		case 0:
			d.text("user.id")
		case 1:
			d.segments()
		}
	}
}

func (d *decoder) segments() {
	n := 0
	for d.open('['); d.more(']'); n++ {
		d.text("user.segments")
		if n == maxSegments {
			d.refuse(invalidRequest("user.segments: more than %d", maxSegments))
		}
	}
}

var consentMembers = []string{"tcf", "gpp", "us_privacy", "gpp_sid", "gpc"}

func (d *decoder) consent() {
	var seen uint32
	for d.open('{'); d.more('}'); {
		switch i := d.member(&seen, consentMembers); i {
		case 0, 1, 2:
			d.text(consentMembers[i])
		case 3:
			for d.open('['); d.more(']'); {
				d.number()
			}
		case 4:
			d.boolean()
		}
	}
}
