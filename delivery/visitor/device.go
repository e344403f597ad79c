package visitor

import (
	"bytes"

	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/rule"
)

// App is what an app or a server states of a visitor's device in so many words
// (OpenRTB 2.6, 3.2.18). It counts before what headers say; empty is not stated.
type App struct {
	Make, Model   []byte
	OS, OSVersion []byte // "iOS", "17.4"
	Connection    int    // AdCOM, List: Connection Types: 1 to 7; 0 and others: unknown
	Carrier       []byte // MCC and MNC: "440-10"
	Latitude      float64
	Longitude     float64
	Located       bool
}

// reading is what a visitor asks with: by what an app states, then by client hints, then
// by the user agent.
type reading struct {
	agent
	maker []byte // stated
	known bool   // something was said at all
}

func readDevice(h *Hints, app *App) (d reading) {
	d.agent = readAgent(h.UserAgent)
	d.known = len(h.UserAgent)+len(h.Mobile)+len(h.Platform)+len(app.OS) > 0
	if len(h.UserAgent) > 0 && d.os == "" {
		d.os = OtherOS
	}
	if len(h.UserAgent) == 0 {
		d.browser = ""
	}
	d.readBrands(h)
	if os := platform(h.Platform); os != "" && os != d.os {
		d.os, d.osVersion = os, nil
	}
	if version := platformVersion(h.PlatformVersion, d.os); len(version) > 0 {
		d.osVersion = version
	}
	if model := unquoted(h.Model); len(model) > 0 {
		d.model = model
	}
	d.kind = kindOf(&d.agent, h.Mobile)
	d.state(app)
	return d
}

// readBrands takes the browser from the hints. The full versions are sent on
// request only, and the user agent's are as good as the short ones.
func (d *reading) readBrands(h *Hints) {
	for _, list := range [...][]byte{h.FullVersions, h.Brands} {
		if browser, version := brand(list); browser != "" {
			if browser == d.browser && len(version) < len(d.version) {
				return
			}
			d.browser, d.version = browser, version
			return
		}
	}
}

// kindOf corrects the user agent's kind by the mobile hint, which knows two
// answers only: about tablets and televisions the user agent knows better.
func kindOf(a *agent, mobile []byte) event.DeviceType {
	switch {
	case a.kind == event.TV:
		return event.TV
	case string(mobile) == "?1" && !a.tablet:
		return event.Mobile
	case string(mobile) == "?0" && a.os == Android:
		return event.Tablet
	case string(mobile) == "?0" && a.os != IOS && a.os != "" && a.kind != event.Tablet:
		return event.Desktop
	}
	return a.kind
}

// state takes what an app says of its device.
func (d *reading) state(app *App) {
	if os := statedOS(app.OS); os != "" {
		if os != d.os {
			d.osVersion, d.model = nil, nil
		}
		d.os = os
	}
	if len(app.OSVersion) > 0 {
		d.osVersion = app.OSVersion
	}
	if len(app.Model) > 0 {
		d.model = app.Model
	}
	d.maker = app.Make
}

func statedOS(name []byte) OS {
	switch {
	case len(name) == 0:
		return ""
	case foldedEqual(name, "ios"), foldedEqual(name, "ipados"):
		return IOS
	case foldedEqual(name, "android"):
		return Android
	case foldedEqual(name, "windows"):
		return Windows
	case foldedEqual(name, "macos"), foldedEqual(name, "mac os"), foldedEqual(name, "os x"):
		return MacOS
	case foldedEqual(name, "linux"):
		return Linux
	case foldedEqual(name, "chromeos"), foldedEqual(name, "chrome os"):
		return ChromeOS
	}
	return OtherOS
}

// spell adds to p the device as rules ask for it.
func (d *reading) spell(p *parts) {
	if d.known {
		p.add(rule.DeviceType, d.kind.String())
	}
	p.add(rule.OS, string(d.os))
	p.add(rule.Browser, string(d.browser))
	p.addVersion(rule.OSVersion, string(d.os), d.osVersion)
	p.addVersion(rule.BrowserVersion, string(d.browser), d.version)
	if len(d.model) > maxWord {
		d.model = nil
	}
	if len(d.maker) > 0 {
		p.addLower(rule.DeviceMake, d.maker)
	} else {
		p.add(rule.DeviceMake, makerOf(d.os, d.model))
	}
	p.addLower(rule.DeviceModel, d.model)
}

// addVersion adds a name and a version as rules ask for them: "ios 16.2". Of a
// version, the numbers at its beginning count; zeros at its end, such as the three
// that Chrome sends in place of its own, say nothing and are left out.
func (p *parts) addVersion(d rule.Dimension, name string, version []byte) {
	if name == "" || name == string(OtherOS) {
		return
	}
	p.text = append(append(p.text, name...), ' ')
	from, dots, digit := len(p.text), 0, false
	for _, c := range version[:min(len(version), maxVersion)] {
		isDot := c == '.' || c == '_'
		switch {
		case isDot && digit:
			p.text = append(p.text, '.')
			dots++
		case c >= '0' && c <= '9':
			p.text = append(p.text, c)
		default:
			version = nil // a letter, or a second dot: it ends here
		}
		if digit = !isDot; version == nil {
			break
		}
	}
	for dots > 0 && (p.text[len(p.text)-1] == '.' || dots > 1 && bytes.HasSuffix(p.text, []byte(".0"))) {
		p.text = p.text[:bytes.LastIndexByte(p.text, '.')]
		dots--
	}
	if len(p.text) == from {
		p.undo()
	}
	p.end(d)
}

// maxVersion bounds a version's length, in bytes.
const maxVersion = 32

// makers are the beginnings of models by which their makers are known, in lower
// case; the first that fits counts.
var makers = [...]struct{ prefix, maker string }{
	{"sm-", "samsung"}, {"gt-", "samsung"}, {"sc-", "samsung"}, {"scg", "samsung"}, {"samsung", "samsung"}, {"galaxy", "samsung"},
	{"pixel", "google"}, {"nexus", "google"}, {"chromecast", "google"},
	{"redmi", "xiaomi"}, {"mi ", "xiaomi"}, {"poco", "xiaomi"}, {"xiaomi", "xiaomi"}, {"mix ", "xiaomi"},
	{"so-", "sony"}, {"sog", "sony"}, {"xq-", "sony"}, {"xperia", "sony"}, {"bravia", "sony"},
	{"sh-", "sharp"}, {"shg", "sharp"}, {"aquos", "sharp"}, {"f-", "fujitsu"}, {"arrows", "fujitsu"}, {"kyv", "kyocera"}, {"kyg", "kyocera"},
	{"huawei", "huawei"}, {"honor", "honor"}, {"oneplus", "oneplus"}, {"moto", "motorola"}, {"xt1", "motorola"}, {"xt2", "motorola"},
	{"lg-", "lg"}, {"lm-", "lg"}, {"vivo", "vivo"}, {"oppo", "oppo"}, {"cph", "oppo"}, {"rmx", "realme"}, {"realme", "realme"},
	{"nokia", "nokia"}, {"asus", "asus"}, {"zenfone", "asus"}, {"tecno", "tecno"}, {"infinix", "infinix"}, {"lenovo", "lenovo"},
	{"kf", "amazon"}, {"aft", "amazon"}, {"iphone", "apple"}, {"ipad", "apple"}, {"ipod", "apple"},
}

// makerOf is who makes a model, "" when that is not known.
func makerOf(os OS, model []byte) string {
	if os == IOS || os == MacOS {
		return "apple"
	}
	if len(model) == 0 {
		return ""
	}
	first := model[0] | 0x20
	for i := range makers {
		m := &makers[i]
		if m.prefix[0] == first && len(model) >= len(m.prefix) && foldedPrefix(model, m.prefix) {
			return m.maker
		}
	}
	return ""
}

// foldedPrefix compares the beginning of text with a lower-case word.
func foldedPrefix(text []byte, lower string) bool {
	for i := range len(lower) {
		c := text[i]
		if isUpper(c) {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}
