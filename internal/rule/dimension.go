package rule

import (
	"fmt"
	"strconv"
)

// dimensions is indexed by Dimension.
var dimensions = [...]struct {
	name  string
	check func(string) error // nil: spelled as asked; [errOther]: there is nothing to add to want
	want  string             // what a value has to be, for people
}{
	Placement:      {"placement", isID, "a placement's id, such as 42"},
	Property:       {"property", isID, "a property's id, such as 42"},
	Country:        {"country", isCountry, "an ISO 3166-1 country code in capitals, such as JP"},
	DeviceType:     {"device_type", oneOf("desktop", "mobile", "tablet", "tv", "other"), "desktop, mobile, tablet, tv or other"},
	OS:             {"os", oneOf(append(versionedSystems, "other")...), "windows, macos, linux, android, ios, chromeos or other"},
	Keyword:        {"keyword", isKeyword, "key=value in lower case, at most 200 bytes"},
	HourOfWeek:     {"hour_of_week", isHour, "an hour from 0 (Monday, 00:00) to 167"},
	Region:         {"region", isRegion, "an ISO 3166-2 code, such as JP-13"},
	City:           {"city", isCity, "a country and a city in lower case, such as JP/tokyo"},
	PostalCode:     {"postal_code", isPostalCode, "a country and a postal code in capitals, such as JP/100-0001"},
	Metro:          {"metro", isMetro, "a Nielsen DMA code from 500 to 899, such as 501"},
	Near:           {"near", isCircle, "latitude, longitude and metres, such as 35.681,139.767,5000"},
	DeviceMake:     {"device_make", isName, "a maker in lower case, such as apple"},
	DeviceModel:    {"device_model", isName, "a model in lower case, such as pixel 8"},
	OSVersion:      {"os_version", isVersionsOf(versionedSystems), "a system and its versions, such as ios 15-17.4"},
	Browser:        {"browser", oneOf(append(versionedBrowsers, "other")...), "chrome, safari, firefox, edge, samsung, opera, webview or other"},
	BrowserVersion: {"browser_version", isVersionsOf(versionedBrowsers), "a browser and its versions, such as chrome 120-"},
	Language:       {"language", isLanguage, "an ISO 639-1 code in lower case, such as ja"},
	Connection:     {"connection", oneOf("ethernet", "wifi", "cellular", "2g", "3g", "4g", "5g"), "ethernet, wifi, cellular, 2g, 3g, 4g or 5g"},
	Carrier:        {"carrier", isCarrier, "a mobile country and network code, such as 440-10"},
	ASN:            {"asn", isASN, "the number of an autonomous system, such as 2516"},
	VisitorHour:    {"visitor_hour", isHour, "an hour from 0 (Monday, 00:00) to 167"},
	Publisher:      {"publisher", isID, "a publisher's id, such as 42"},
	Exchange:       {"exchange", isExchange, "an exchange's name in lower case, such as example-x"},
	Deal:           {"deal", isDeal, "an exchange's name and a deal's id, such as example-x/d-17"},
	Domain:         {"domain", isDomain, "a host in lower case, such as news.example"},
	AppBundle:      {"app_bundle", isBundle, "a store's id of an app, such as com.example.news or 1207472156"},
	URLPrefix:      {"url_prefix", isURLPrefix, "a host and the beginning of a path up to a slash, such as news.example/sports"},
	Category:       {"category", isCategory, "a category of the IAB's content taxonomies, such as iab1/IAB17, iab2/483 or iab3/JLBCU7"},
	Segment:        {"segment", isSegment, "an audience segment, such as acme/4711 or vip"},
	InventoryKind:  {"inventory_kind", oneOf("site", "app", "dooh"), "site, app or dooh"},
	Position: {"position", oneOf("above_fold", "below_fold", "header", "footer", "sidebar", "fullscreen"),
		"above_fold, below_fold, header, footer, sidebar or fullscreen"},
	Size:   {"size", isSize, "a width and a height from 1 to 10000, such as 300x250"},
	Format: {"format", oneOf("banner", "html", "native", "video"), "banner, html, native or video"},
	Secure: {"secure", oneOf("yes", "no"), "yes or no"},
}

// Dimensions returns all dimensions in their order, for pages that offer them.
func Dimensions() []Dimension {
	all := make([]Dimension, 0, len(dimensions)-1)
	for d := 1; d < len(dimensions); d++ {
		all = append(all, Dimension(d))
	}
	return all
}

// ParseDimension reads the name of a dimension as in JSON: "device_type".
func ParseDimension(name string) (Dimension, error) {
	for d := range dimensions[1:] {
		if dimensions[d+1].name == name {
			return Dimension(d + 1), nil
		}
	}
	return 0, fmt.Errorf("no dimension %s", clip(name))
}

func (d Dimension) known() bool { return d >= 1 && int(d) < len(dimensions) }

// Many tells whether a request may satisfy several values of d, because it has
// several or because one value is part of another; else it is at most one.
func (d Dimension) Many() bool {
	switch d {
	case Keyword, Near, OSVersion, BrowserVersion, Deal, Domain, URLPrefix, Category, Segment, Size, Format:
		return true
	}
	return false
}

// Valid tells whether value is in the spelling that d asks for.
func (d Dimension) Valid(value string) bool { return d.known() && dimensions[d].check(value) == nil }

// Want says what a value of d has to be, for people: "yes or no".
func (d Dimension) Want() string {
	if !d.known() {
		return "nothing"
	}
	return dimensions[d].want
}

// Check is Valid with the reason: an error that says what would be right. The
// value is quoted, and cut where it is long.
func (d Dimension) Check(value string) error {
	if !d.known() {
		return fmt.Errorf("no dimension has the number %d", d)
	}
	switch err := dimensions[d].check(value); err {
	case nil:
		return nil
	case errOther:
		return fmt.Errorf("%s is not %s", clip(value), dimensions[d].want)
	default:
		return fmt.Errorf("%s is not %s: it %w", clip(value), dimensions[d].want, err)
	}
}

// String is the name in JSON.
func (d Dimension) String() string {
	if !d.known() {
		return "dimension(" + strconv.Itoa(int(d)) + ")"
	}
	return dimensions[d].name
}

// MarshalText writes the name; an unknown number is an error.
func (d Dimension) MarshalText() ([]byte, error) {
	if !d.known() {
		return nil, fmt.Errorf("no dimension has the number %d", d)
	}
	return []byte(dimensions[d].name), nil
}

// UnmarshalText is [ParseDimension].
func (d *Dimension) UnmarshalText(text []byte) error {
	parsed, err := ParseDimension(string(text))
	if err == nil {
		*d = parsed
	}
	return err
}
