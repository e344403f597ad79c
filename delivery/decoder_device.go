package delivery

import "github.com/hayate-ads/hayate/delivery/visitor"

func (d *decoder) device() {
	var seen uint32
	who := &d.request.who
	for d.open('{'); d.more('}'); {
		switch name := d.key(); string(name) {
		case "ua":
			if d.once(&seen, 0, name) {
				who.Hints.UserAgent = d.text("device.ua")
				d.request.behalf = d.request.behalf || len(who.Hints.UserAgent) > 0
			}
		case "ip":
			if d.once(&seen, 1, name) {
				d.ip()
			}
		case "language":
			if d.once(&seen, 2, name) {
				who.Language = d.text("device.language")
			}
		case "hints":
			if d.once(&seen, 3, name) {
				d.hints()
			}
		case "make":
			if d.once(&seen, 4, name) {
				who.App.Make = d.text("device.make")
			}
		case "model":
			if d.once(&seen, 5, name) {
				who.App.Model = d.text("device.model")
			}
		case "os":
			if d.once(&seen, 6, name) {
				who.App.OS = d.text("device.os")
			}
		case "osv":
			if d.once(&seen, 7, name) {
				who.App.OSVersion = d.text("device.osv")
			}
		case "connectiontype":
			if d.once(&seen, 8, name) {
				who.App.Connection = d.whole("device.connectiontype")
			}
		case "mccmnc":
			if d.once(&seen, 9, name) {
				who.App.Carrier = d.text("device.mccmnc")
			}
		case "geo":
			if d.once(&seen, 10, name) {
				d.geo()
			}
		case "lmt":
			if d.once(&seen, 11, name) {
				who.Consent.LMT = d.flag()
			}
		default:
			d.skip()
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

// hints reads client hints, each as its header had it.
func (d *decoder) hints() {
	var seen uint32
	h := &d.request.who.Hints
	for d.open('{'); d.more('}'); {
		switch name := d.key(); string(name) {
		case "brands":
			d.hint(&seen, 0, name, &h.Brands)
		case "mobile":
			d.hint(&seen, 1, name, &h.Mobile)
		case "platform":
			d.hint(&seen, 2, name, &h.Platform)
		case "platform_version":
			d.hint(&seen, 3, name, &h.PlatformVersion)
		case "model":
			d.hint(&seen, 4, name, &h.Model)
		case "full_version_list":
			d.hint(&seen, 5, name, &h.FullVersions)
		default:
			d.skip()
		}
	}
}

func (d *decoder) hint(seen *uint32, bit int, name []byte, field *[]byte) {
	if d.once(seen, bit, name) {
		*field = d.text("device.hints")
	}
}

// geo reads a place that a device knows of itself; half of one is none.
func (d *decoder) geo() {
	var seen uint32
	app := &d.request.who.App
	known := 0
	for d.open('{'); d.more('}'); {
		switch name := d.key(); string(name) {
		case "lat":
			if d.once(&seen, 0, name) {
				app.Latitude = d.decimal("device.geo.lat", 90)
				known++
			}
		case "lon":
			if d.once(&seen, 1, name) {
				app.Longitude = d.decimal("device.geo.lon", 180)
				known++
			}
		default:
			d.skip()
		}
	}
	app.Located = known == 2
}
