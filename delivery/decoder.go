package delivery

import (
	"strconv"
	"unsafe"
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

// once tells whether to read the value of a known member: not that of null, and
// not where name comes twice in an object, which is refused: which of the two
// counts would be anybody's guess. seen is the object's, bit the member's in it.
func (d *decoder) once(seen *uint32, bit int, name []byte) bool {
	if *seen&(1<<bit) != 0 {
		d.fail("the member \"" + string(name) + "\" comes twice")
	}
	*seen |= 1 << bit
	return !d.null() && d.fault == ""
}

func (d *decoder) root() {
	var seen uint32
	for d.open('{'); d.more('}'); {
		switch name := d.key(); string(name) {
		case "placements":
			if d.once(&seen, 0, name) {
				d.placements()
			}
		case "keywords":
			if d.once(&seen, 1, name) {
				d.keywords()
			}
		case "device":
			if d.once(&seen, 2, name) {
				d.device()
			}
		case "page":
			if d.once(&seen, 3, name) {
				d.page()
			}
		case "user":
			if d.once(&seen, 4, name) {
				d.user()
			}
		case "consent":
			if d.once(&seen, 5, name) {
				d.consent()
			}
		case "test":
			if d.once(&seen, 6, name) {
				d.request.test = d.boolean()
			}
		case "app":
			if d.once(&seen, 7, name) {
				d.app()
			}
		default:
			d.skip()
		}
	}
}

func (d *decoder) placements() {
	for d.open('['); d.more(']'); {
		var seen uint32
		before := len(d.request.placements)
		for d.open('{'); d.more('}'); {
			switch name := d.key(); string(name) {
			case "id":
				if d.once(&seen, 0, name) {
					d.placement()
				}
			default:
				d.skip()
			}
		}
		if len(d.request.placements) == before {
			d.refuse(invalidRequest("placements: every placement needs an id"))
		}
	}
}

func (d *decoder) placement() {
	if id := d.str(); d.fault == "" {
		d.refuse(d.request.addPlacement(id))
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

func (d *decoder) page() {
	var seen uint32
	for d.open('{'); d.more('}'); {
		switch name := d.key(); string(name) {
		case "url":
			if d.once(&seen, 0, name) {
				d.request.who.URL = d.text("page.url")
			}
		case "referrer":
			if d.once(&seen, 1, name) {
				d.text("page.referrer")
			}
		case "categories":
			if d.once(&seen, 2, name) {
				for d.open('['); d.more(']'); {
					if id := d.text("page.categories"); d.fault == "" {
						d.refuse(d.request.addCategory(id))
					}
				}
			}
		case "cattax":
			if d.once(&seen, 3, name) {
				d.request.who.Cattax = d.whole("page.cattax")
			}
		default:
			d.skip()
		}
	}
}

func (d *decoder) app() {
	var seen uint32
	for d.open('{'); d.more('}'); {
		switch name := d.key(); string(name) {
		case "bundle":
			if d.once(&seen, 0, name) {
				d.request.bundle = d.text("app.bundle")
			}
		default:
			d.skip()
		}
	}
}

func (d *decoder) user() {
	var seen uint32
	for d.open('{'); d.more('}'); {
		switch name := d.key(); string(name) {
		case "id":
			if d.once(&seen, 0, name) {
				d.text("user.id")
			}
		case "segments":
			if d.once(&seen, 1, name) {
				for d.open('['); d.more(']'); {
					if text := d.str(); d.fault == "" {
						d.refuse(d.request.addSegment(text, d.plain))
					}
				}
			}
		default:
			d.skip()
		}
	}
}

func (d *decoder) consent() {
	var seen uint32
	c := &d.request.who.Consent
	for d.open('{'); d.more('}'); {
		switch name := d.key(); string(name) {
		case "tcf":
			if d.once(&seen, 0, name) {
				c.TCF = d.text("consent.tcf")
			}
		case "gpp":
			if d.once(&seen, 1, name) {
				c.GPP = d.text("consent.gpp")
			}
		case "us_privacy":
			if d.once(&seen, 2, name) {
				c.USPrivacy = d.text("consent.us_privacy")
			}
		case "gpp_sid":
			if d.once(&seen, 3, name) {
				c.Scoped = true
				for d.open('['); d.more(']'); {
					d.request.addSection(d.whole("consent.gpp_sid"))
				}
			}
		case "gpc":
			if d.once(&seen, 4, name) {
				c.GPC = d.flag()
			}
		case "gdpr":
			if d.once(&seen, 5, name) {
				c.GDPR = answer(d.flag())
			}
		case "coppa":
			if d.once(&seen, 6, name) {
				c.COPPA = d.flag()
			}
		default:
			d.skip()
		}
	}
}
