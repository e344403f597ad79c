package visitor

import (
	"bytes"

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

// Browser is what a visitor reads with, in the spelling of targeting rules; ""
// is unknown.
type Browser string

// The browsers that rules can name.
const (
	Chrome       Browser = "chrome"
	Safari       Browser = "safari"
	Firefox      Browser = "firefox"
	Edge         Browser = "edge"
	Samsung      Browser = "samsung"
	Opera        Browser = "opera"
	WebView      Browser = "webview" // a page inside an app
	OtherBrowser Browser = "other"
)

// maxUserAgent is how much of a user agent is looked at, in bytes.
const maxUserAgent = 1024

// agent is what a user agent says. Its texts are parts of the user agent.
type agent struct {
	os        OS
	osVersion []byte // with dots or underscores; empty: unknown, or frozen
	model     []byte
	browser   Browser
	version   []byte
	kind      event.DeviceType

	bot bool // it says so, see [Bot]

	mobile, tablet, tv, webview bool
	rank                        uint8 // of browser: the higher one counts
}

// readAgent reads a user agent: a product, the platform in parentheses, and more
// products. Time is linear in its length, and nothing is allocated.
func readAgent(userAgent []byte) (a agent) {
	text := clip(userAgent)
	a.bot = Bot(text)
	for len(text) > 0 {
		if text[0] == '(' {
			end := closing(text)
			if a.os == "" { // later ones are remarks such as "(KHTML, like Gecko)"
				a.platform(text[1:end])
			}
			text = text[min(end+1, len(text)):]
			continue
		}
		end := bytes.IndexAny(text, " (")
		switch {
		case end < 0:
			end = len(text)
		case end == 0:
			end = 1
		}
		a.product(text[:end])
		text = text[end:]
	}
	a.finish()
	return a
}

// closing is where the parenthesis ends that text begins with.
func closing(text []byte) int {
	depth := 0
	for i, c := range text {
		switch c {
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return len(text)
}

// platform reads the parts of the first parenthesis, with semicolons between.
func (a *agent) platform(text []byte) {
	for len(text) > 0 {
		var part []byte
		part, text, _ = bytes.Cut(text, []byte{';'})
		a.part(bytes.TrimSpace(part))
	}
}

func (a *agent) part(part []byte) {
	if len(part) == 0 {
		return
	}
	switch part[0] {
	case 'A':
		if version, ok := after(part, "Android"); ok && a.os != Android {
			a.os, a.osVersion = Android, bytes.TrimSpace(version)
			return
		}
	case 'C':
		if _, ok := after(part, "CrOS "); ok {
			a.os = ChromeOS // its version has been frozen since 2022
			return
		}
		if _, ok := after(part, "CPU "); ok && a.os == IOS {
			a.appleVersion(part)
			return
		}
	case 'W':
		if version, ok := after(part, "Windows NT "); ok {
			a.os, a.osVersion = Windows, windowsVersion(version)
			return
		}
		if _, ok := after(part, "Windows Phone"); ok {
			a.os, a.mobile = OtherOS, true
			return
		}
	case 'i':
		if isApple(part) {
			a.os, a.model = IOS, part
			return
		}
	case 'I', 'P':
		if version, ok := between(part, "Mac OS X "); ok && a.os == MacOS {
			a.osVersion = version
			return
		}
	}
	a.rest(part)
}

// rest reads the parts that mean something only by what came before.
func (a *agent) rest(part []byte) {
	switch string(part) {
	case "Macintosh":
		a.os = MacOS
	case "X11", "Linux":
		if a.os == "" {
			a.os = Linux
		}
	case "Mobile":
		a.mobile = true
	case "Tablet":
		a.tablet = true
	case "wv":
		a.webview = true
	case "K", "U", "I", "N", "compatible", "Ubuntu", "Wayland":
	default:
		switch {
		case bytes.HasPrefix(part, []byte("Linux ")) && a.os == "":
			a.os = Linux
		case bytes.HasPrefix(part, []byte("Tizen")), bytes.HasPrefix(part, []byte("Web0S")):
			a.os, a.tv = OtherOS, true
		case bytes.HasPrefix(part, []byte("FreeBSD")), bytes.HasPrefix(part, []byte("OpenBSD")):
			a.os = OtherOS
		case a.os == Android && len(a.model) == 0 && !isLocale(part) && !bytes.HasPrefix(part, []byte("rv:")):
			a.model = androidModel(part)
		}
	}
	if bytes.Contains(part, []byte("TV")) || bytes.HasPrefix(part, []byte("AFT")) || bytes.HasPrefix(part, []byte("BRAVIA")) {
		a.tv = true
	}
}

// product reads a product and its version, such as "Chrome/140.0.0.0".
func (a *agent) product(token []byte) {
	name, version, _ := bytes.Cut(token, []byte{'/'})
	if len(name) < 3 {
		return
	}
	switch string(name) {
	case "Mobile":
		a.mobile = true
	case "Tablet":
		a.tablet = true
	case "Safari":
		a.is(Safari, nil, 1)
	case "Version":
		a.versionToken(version)
	case "Chrome", "Chromium":
		a.is(Chrome, version, 2)
	case "CriOS":
		a.is(Chrome, version, 3)
	case "Firefox", "FxiOS":
		a.is(Firefox, version, 3)
	case "Edg", "EdgA", "EdgiOS", "Edge", "EdgW":
		a.is(Edge, version, 5)
	case "OPR", "OPT", "OPiOS", "OPX", "Opera":
		a.is(Opera, version, 5)
	case "SamsungBrowser":
		a.is(Samsung, version, 5)
	case "CrKey", "AppleTV", "SmartTV", "SMART-TV", "GoogleTV", "HbbTV", "Roku":
		a.tv = true
	case "Vivaldi", "YaBrowser", "UCBrowser", "MiuiBrowser", "HuaweiBrowser", "DuckDuckGo", "Ddg", "Brave", "Silk", "QQBrowser",
		"HeyTapBrowser", "VivoBrowser", "Whale", "Puffin", "SeaMonkey", "PaleMoon", "Maxthon", "Electron", "Trident", "Epiphany":
		a.is(OtherBrowser, nil, 6)
	case "GSA", "Instagram", "Line", "MicroMessenger", "BytedanceWebview", "musical_ly", "Snapchat", "Pinterest", "Twitter",
		"YJApp-IOS", "YJApp-ANDROID", "SmartNews", "FB_IAB":
		a.webview = true
	default:
		if bytes.HasPrefix(name, []byte("[FB")) {
			a.webview = true
		}
	}
}

// is notes a browser, unless a more telling product has been seen: nearly all
// call themselves Safari, and most Chrome.
func (a *agent) is(browser Browser, version []byte, rank uint8) {
	if rank > a.rank {
		a.browser, a.version, a.rank = browser, version, rank
	}
}

// versionToken reads Safari's version, which stands before its name. Before
// Chrome's it is the mark of Android's WebView.
func (a *agent) versionToken(version []byte) {
	switch a.os {
	case Android:
		a.webview = true
	default:
		a.is(Safari, version, 1)
	}
}

func (a *agent) finish() {
	switch {
	case a.rank >= 5:
	case a.webview && (a.os == Android || a.os == IOS):
		if a.browser != Chrome {
			a.version = nil // Safari's number is that of the system, and the app has none
		}
		a.browser = WebView
	case a.os == IOS && a.rank == 0 && a.mobile:
		a.browser = WebView // a page in an app lacks Safari's name
	case a.rank == 0, a.browser == Safari && a.os != IOS && a.os != MacOS:
		a.browser, a.version = OtherBrowser, nil
	}
	a.thaw()
	a.kind = a.deviceType()
}

// thaw forgets what browsers say whatever is true: Chrome is always on Android 10
// on a "K", and everybody is on macOS 10.15.
func (a *agent) thaw() {
	switch {
	case a.os == MacOS && (bytes.HasPrefix(a.osVersion, []byte("10_15")) || bytes.HasPrefix(a.osVersion, []byte("10.15"))):
		a.osVersion = nil
	case a.os == Android && string(a.osVersion) == "10" && len(a.model) == 0 && a.rank >= 2 && a.browser != Firefox:
		a.osVersion = nil
	}
}

func (a *agent) deviceType() event.DeviceType {
	switch {
	case a.tv:
		return event.TV
	case a.os == IOS && bytes.HasPrefix(a.model, []byte("iPad")), a.tablet:
		return event.Tablet
	case a.mobile, a.os == IOS:
		return event.Mobile
	case a.os == Android && a.rank == 0:
		return event.Mobile // an app's own requests say nothing of it
	case a.os == Android:
		return event.Tablet // browsers on phones say "Mobile"
	case a.os != "" && a.os != OtherOS:
		return event.Desktop
	}
	return event.OtherDevice
}

// appleVersion reads "CPU iPhone OS 18_5 like Mac OS X".
func (a *agent) appleVersion(part []byte) {
	if version, ok := between(part, "OS "); ok {
		a.osVersion = version
	}
}

func isApple(part []byte) bool {
	for _, name := range [...]string{"iPhone", "iPad", "iPod"} {
		if bytes.HasPrefix(part, []byte(name)) {
			return true
		}
	}
	return false
}

// windowsVersion translates the kernel's number into the one that people know.
// Windows 11 calls itself 10 here; its client hint tells (see platformVersion).
func windowsVersion(nt []byte) []byte {
	number, _, _ := bytes.Cut(nt, []byte{' '})
	switch string(number) {
	case "10.0":
		return []byte("10")
	case "6.3":
		return []byte("8.1")
	case "6.2":
		return []byte("8")
	case "6.1":
		return []byte("7")
	}
	return nil
}

// androidModel takes the maker's name and the build off "SAMSUNG SM-S918B Build/TP1A".
func androidModel(part []byte) []byte {
	if at := bytes.Index(part, []byte("Build/")); at >= 0 {
		part = part[:at]
	}
	if short, ok := after(part, "SAMSUNG "); ok {
		part = short
	}
	return bytes.TrimSpace(part)
}

// isLocale tells whether part is a language of old user agents: "en", "en-us".
func isLocale(part []byte) bool {
	return len(part) == 2 && isLetter(part[0]) || len(part) == 5 && (part[2] == '-' || part[2] == '_') && isLetter(part[0]) && isLetter(part[3])
}

// after is what follows prefix at the beginning of text.
func after(text []byte, prefix string) ([]byte, bool) {
	if !hasPrefix(text, prefix) {
		return nil, false
	}
	return text[len(prefix):], true
}

// between is the word that follows mark.
func between(text []byte, mark string) ([]byte, bool) {
	at := bytes.Index(text, []byte(mark))
	if at < 0 {
		return nil, false
	}
	word, _, _ := bytes.Cut(text[at+len(mark):], []byte{' '})
	return word, true
}

func clip(userAgent []byte) []byte { return userAgent[:min(len(userAgent), maxUserAgent)] }
