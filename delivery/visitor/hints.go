package visitor

import "bytes"

// Hints are the headers by which a browser describes itself. Those beyond the
// user agent are client hints (W3C, "User-Agent Client Hints"): browsers send the
// first four on their own accord over HTTPS, and freeze their user agent in exchange.
type Hints struct {
	UserAgent       []byte // User-Agent
	Brands          []byte // Sec-CH-UA: "Chromium";v="140", "Google Chrome";v="140"
	Mobile          []byte // Sec-CH-UA-Mobile: ?0 or ?1
	Platform        []byte // Sec-CH-UA-Platform: a quoted name
	PlatformVersion []byte // Sec-CH-UA-Platform-Version: "14.5.0"
	Model           []byte // Sec-CH-UA-Model: "Pixel 8"
	FullVersions    []byte // Sec-CH-UA-Full-Version-List: like Brands
}

// platform reads the value of Sec-CH-UA-Platform.
func platform(hint []byte) OS {
	switch string(unquoted(hint)) {
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

// platformVersion reads the value of Sec-CH-UA-Platform-Version. Windows counts
// releases of its programming interface there: from 13 on it is Windows 11.
func platformVersion(hint []byte, os OS) []byte {
	version := unquoted(hint)
	if os != Windows || len(version) == 0 {
		return version
	}
	major, minor, _ := bytes.Cut(version, []byte{'.'})
	switch {
	case len(major) > 1 && (major[0] > '1' || major[1] >= '3'):
		return []byte("11")
	case string(major) != "0":
		return []byte("10")
	case hasPrefix(minor, "3"):
		return []byte("8.1")
	case hasPrefix(minor, "2"):
		return []byte("8")
	}
	return []byte("7")
}

// maxBrands is how many brands are looked at: browsers send three.
const maxBrands = 8

// brand reads a list of brands: the one that means most, and its version. Browsers
// put a senseless one among them, in changing places, so that nobody relies on
// their order.
func brand(list []byte) (browser Browser, version []byte) {
	rank := 0
	for range maxBrands {
		var name, number []byte
		var ok bool
		if name, number, list, ok = nextBrand(list); !ok {
			break
		}
		if known, r := brandOf(name); r > rank {
			browser, version, rank = known, number, r
		}
	}
	return browser, version
}

func brandOf(name []byte) (Browser, int) {
	switch string(name) {
	case "Chromium":
		return Chrome, 1
	case "Google Chrome":
		return Chrome, 2
	case "Microsoft Edge":
		return Edge, 3
	case "Opera", "Opera Mobile", "Opera GX":
		return Opera, 3
	case "Samsung Internet":
		return Samsung, 3
	case "Android WebView", "Microsoft Edge WebView2":
		return WebView, 4
	case "Brave", "Vivaldi", "YaBrowser", "Yandex", "Whale", "DuckDuckGo", "HuaweiBrowser", "Silk":
		return OtherBrowser, 4
	}
	return "", 0
}

// nextBrand reads one item of a structured list: "name";v="version".
func nextBrand(list []byte) (name, version, rest []byte, ok bool) {
	if name, rest, ok = nextQuoted(list); !ok {
		return nil, nil, nil, false
	}
	version, rest, ok = nextQuoted(rest)
	return name, version, rest, ok
}

// nextQuoted reads the next text in quotes. A backslash escapes one character;
// no brand that we know has one.
func nextQuoted(list []byte) (text, rest []byte, ok bool) {
	from := bytes.IndexByte(list, '"')
	if from < 0 {
		return nil, nil, false
	}
	for i := from + 1; i < len(list); i++ {
		switch list[i] {
		case '\\':
			i++
		case '"':
			return list[from+1 : i], list[i+1:], true
		}
	}
	return nil, nil, false
}

func unquoted(hint []byte) []byte { return bytes.Trim(hint, `" `) }
