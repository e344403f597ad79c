package delivery

import (
	"strconv"
	"unsafe"

	"github.com/hayate-ads/hayate/delivery/visitor"
)

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

var rootMembers = []string{"placements", "keywords", "device", "page", "user", "consent", "test", "app"}

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
		case 7:
			d.app()
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

var deviceMembers = []string{
	"ua", "ip", "language", "hints", "make", "model", "os", "osv", "connectiontype", "mccmnc", "geo", "lmt",
}

func (d *decoder) device() {
	var seen uint32
	who := &d.request.who
	for d.open('{'); d.more('}'); {
		switch i := d.member(&seen, deviceMembers); i {
		case 0:
			who.Hints.UserAgent = d.text("device.ua")
			d.request.behalf = d.request.behalf || len(who.Hints.UserAgent) > 0
		case 1:
			d.ip()
		case 2:
			who.Language = d.text("device.language")
		case 3:
			d.hints()
		case 4:
			who.App.Make = d.text("device.make")
		case 5:
			who.App.Model = d.text("device.model")
		case 6:
			who.App.OS = d.text("device.os")
		case 7:
			who.App.OSVersion = d.text("device.osv")
		case 8:
			who.App.Connection = d.whole("device.connectiontype")
		case 9:
			who.App.Carrier = d.text("device.mccmnc")
		case 10:
			d.geo()
		case 11:
			who.Consent.LMT = d.flag()
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
	d.request.who.IP, d.request.behalf = addr, true
}

var hintMembers = []string{"brands", "mobile", "platform", "platform_version", "model", "full_version_list"}

// hints reads client hints, each as its header had it.
func (d *decoder) hints() {
	var seen uint32
	h := &d.request.who.Hints
	fields := [...]*[]byte{&h.Brands, &h.Mobile, &h.Platform, &h.PlatformVersion, &h.Model, &h.FullVersions}
	for d.open('{'); d.more('}'); {
		if i := d.member(&seen, hintMembers); i != ignored {
			*fields[i] = d.text("device.hints")
		}
	}
}

var geoMembers = []string{"lat", "lon"}

// geo reads a place that a device knows of itself; half of one is none.
func (d *decoder) geo() {
	var seen uint32
	app := &d.request.who.App
	known := 0
	for d.open('{'); d.more('}'); {
		switch d.member(&seen, geoMembers) {
		case 0:
			app.Latitude = d.decimal("device.geo.lat", 90)
			known++
		case 1:
			app.Longitude = d.decimal("device.geo.lon", 180)
			known++
		}
	}
	app.Located = known == 2
}

// text reads a string of bounded length.
func (d *decoder) text(name string) []byte {
	text := d.str()
	if len(text) > maxText {
		d.refuse(invalidRequest("%s is longer than %d bytes", name, maxText))
	}
	return text
}

// written is a number as it stands in the source.
func (d *decoder) written() []byte {
	d.peek()
	from := d.pos
	d.number()
	return d.src[from:d.pos]
}

// whole reads a whole number.
func (d *decoder) whole(name string) int {
	n, ok := wholeNumber(d.written())
	if !ok {
		d.refuse(invalidRequest("%s is a whole number", name))
	}
	return n
}

// decimal reads a number from -most to most.
func (d *decoder) decimal(name string, most float64) float64 {
	text := d.written()
	if d.fault != "" {
		return 0
	}
	n, err := strconv.ParseFloat(unsafe.String(unsafe.SliceData(text), len(text)), 64)
	if err != nil || n < -most || n > most {
		d.refuse(invalidRequest("%s is a number from %v to %v", name, -most, most))
	}
	return n
}

// flag reads true or false, or 1 or 0 as OpenRTB has them.
func (d *decoder) flag() bool {
	if c := d.peek(); c == '0' || c == '1' {
		return string(d.written()) == "1"
	}
	return d.boolean()
}

var pageMembers = []string{"url", "referrer", "categories", "cattax"}

func (d *decoder) page() {
	var seen uint32
	for d.open('{'); d.more('}'); {
		switch d.member(&seen, pageMembers) {
		case 0:
			d.request.who.URL = d.text("page.url")
		case 1:
			d.text("page.referrer")
		case 2:
			for d.open('['); d.more(']'); {
				if id := d.text("page.categories"); d.fault == "" {
					d.refuse(d.request.addCategory(id))
				}
			}
		case 3:
			d.request.who.Cattax = d.whole("page.cattax")
		}
	}
}

var appMembers = []string{"bundle"}

func (d *decoder) app() {
	var seen uint32
	for d.open('{'); d.more('}'); {
		if d.member(&seen, appMembers) == 0 {
			d.request.bundle = d.text("app.bundle")
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
			for d.open('['); d.more(']'); {
				if text := d.str(); d.fault == "" {
					d.refuse(d.request.addSegment(text))
				}
			}
		}
	}
}

var consentMembers = []string{"tcf", "gpp", "us_privacy", "gpp_sid", "gpc", "gdpr", "coppa"}

func (d *decoder) consent() {
	var seen uint32
	c := &d.request.who.Consent
	for d.open('{'); d.more('}'); {
		switch d.member(&seen, consentMembers) {
		case 0:
			c.TCF = d.text("consent.tcf")
		case 1:
			c.GPP = d.text("consent.gpp")
		case 2:
			c.USPrivacy = d.text("consent.us_privacy")
		case 3:
			c.Scoped = true
			for d.open('['); d.more(']'); {
				d.request.addSection(d.whole("consent.gpp_sid"))
			}
		case 4:
			c.GPC = d.flag()
		case 5:
			c.GDPR = answer(d.flag())
		case 6:
			c.COPPA = d.flag()
		}
	}
}
