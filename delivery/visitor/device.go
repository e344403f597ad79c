package visitor

import (
	"bytes"

	"github.com/medama-io/go-useragent/agents"

	"github.com/hayate-ads/hayate/internal/event"
)

// OS is a visitor's operating system, in the spelling of targeting rules; "" is unknown.
type OS string

// The operating systems that rules can name.
const (
	Windows  OS = "windows"
	MacOS    OS = "macos"
	Linux    OS = "linux"
	Android  OS = "android"
	IOS      OS = "ios"
	ChromeOS OS = "chromeos"
	OtherOS  OS = "other"
)

// maxUserAgent is how much of a user agent is looked at, in bytes.
const maxUserAgent = 1024

// Hints are the headers by which a browser describes itself.
type Hints struct {
	UserAgent []byte // User-Agent
	Mobile    []byte // Sec-CH-UA-Mobile: ?0 or ?1
	Platform  []byte // Sec-CH-UA-Platform: a quoted name
}

// Device tells the kind of device and its operating system: by the client hints
// where they say it, else by the user agent. Browsers send hints on their own
// accord over HTTPS, and freeze their user agent in exchange.
func (r *Reader) Device(h Hints) (event.DeviceType, OS) {
	agent := r.agents.Parse(alias(clip(h.UserAgent)))
	os := platform(h.Platform)
	if os == "" {
		os = systems[agent.OS()]
		if os == "" && len(h.UserAgent) > 0 {
			os = OtherOS
		}
	}
	kind := devices[agent.Device()]
	switch {
	case kind == event.TV || kind == event.Tablet:
		// The mobile hint knows two answers only; the user agent knows better.
	case string(h.Mobile) == "?1":
		kind = event.Mobile
	case string(h.Mobile) == "?0" && os == Android:
		kind = event.Tablet
	case string(h.Mobile) == "?0" && os != IOS && os != "":
		kind = event.Desktop
	}
	return kind, os
}

var devices = map[agents.Device]event.DeviceType{
	agents.DeviceDesktop: event.Desktop,
	agents.DeviceMobile:  event.Mobile,
	agents.DeviceTablet:  event.Tablet,
	agents.DeviceTV:      event.TV,
}

var systems = map[agents.OS]OS{
	agents.OSWindows:  Windows,
	agents.OSMacOS:    MacOS,
	agents.OSLinux:    Linux,
	agents.OSAndroid:  Android,
	agents.OSIOS:      IOS,
	agents.OSChromeOS: ChromeOS,
}

// platform reads the value of Sec-CH-UA-Platform.
func platform(hint []byte) OS {
	switch string(bytes.Trim(hint, `"`)) {
	case "Windows":
		return Windows
	case "macOS":
		return MacOS
	case "Linux":
		return Linux
	case "Android":
		return Android
	case "iOS":
		return IOS
	case "Chrome OS", "Chromium OS":
		return ChromeOS
	}
	return ""
}

func clip(userAgent []byte) []byte { return userAgent[:min(len(userAgent), maxUserAgent)] }
