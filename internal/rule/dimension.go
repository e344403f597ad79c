package rule

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// dimensions is indexed by Dimension.
var dimensions = [...]struct {
	name  string
	valid func(string) bool
	want  string // what a value has to be, for people
}{
	Placement:  {"placement", isID, "a placement's id, such as 42"},
	Property:   {"property", isID, "a property's id, such as 42"},
	Country:    {"country", isCountry, "an ISO 3166-1 country code in capitals, such as JP"},
	DeviceType: {"device_type", oneOf("desktop", "mobile", "tablet", "tv", "other"), "desktop, mobile, tablet, tv or other"},
	OS: {"os", oneOf("windows", "macos", "linux", "android", "ios", "chromeos", "other"),
		"windows, macos, linux, android, ios, chromeos or other"},
	Keyword:    {"keyword", isKeyword, "key=value in lower case, at most 200 bytes"},
	HourOfWeek: {"hour_of_week", isHour, "an hour from 0 (Monday, 00:00) to 167"},

	Region:         {"region", isText, "an ISO 3166-2 code, such as JP-13"},
	City:           {"city", isText, "a country and a city, such as JP/tokyo"},
	PostalCode:     {"postal_code", isText, "a country and a postal code, such as JP/100-0001"},
	Metro:          {"metro", isID, "a Nielsen DMA code, such as 501"},
	Near:           {"near", isText, "latitude, longitude and metres, such as 35.681,139.767,5000"},
	DeviceMake:     {"device_make", isText, "a maker in lower case, such as apple"},
	DeviceModel:    {"device_model", isText, "a model in lower case, such as pixel 8"},
	OSVersion:      {"os_version", isText, "a system and its versions, such as ios 15-17.4"},
	Browser:        {"browser", isText, "chrome, safari, firefox, edge, samsung, opera, webview or other"},
	BrowserVersion: {"browser_version", isText, "a browser and its versions, such as chrome 120-"},
	Language:       {"language", isText, "an ISO 639-1 code, such as ja"},
	Connection:     {"connection", isText, "ethernet, wifi, cellular, 2g, 3g, 4g or 5g"},
	Carrier:        {"carrier", isText, "a mobile country and network code, such as 440-10"},
	ASN:            {"asn", isID, "a number of an autonomous system, such as 2516"},
	VisitorHour:    {"visitor_hour", isHour, "an hour from 0 (Monday, 00:00) to 167"},
	Publisher:      {"publisher", isID, "a publisher's id, such as 42"},
	Exchange:       {"exchange", isText, "an exchange's name, such as example-x"},
	Deal:           {"deal", isText, "an exchange's name and a deal's id, such as example-x/d-17"},
	Domain:         {"domain", isText, "a host in lower case, such as news.example"},
	AppBundle:      {"app_bundle", isText, "a store's id of an app, such as com.example.news"},
	URLPrefix:      {"url_prefix", isText, "a host and the beginning of a path, such as news.example/sports"},
	Category:       {"category", isText, "an IAB content category, such as iab1/IAB17"},
	Segment:        {"segment", isText, "an audience segment, such as acme/4711"},
	InventoryKind:  {"inventory_kind", oneOf("site", "app", "dooh"), "site, app or dooh"},
	Position:       {"position", isText, "above_fold, below_fold, header, footer, sidebar or fullscreen"},
	Size:           {"size", isText, "a width and a height, such as 300x250"},
	Format:         {"format", oneOf("banner", "html", "native", "video"), "banner, html, native or video"},
	Secure:         {"secure", oneOf("yes", "no"), "yes or no"},
}

func isText(value string) bool { return value != "" && len(value) <= 200 && utf8.ValidString(value) }

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
	for _, d := range Dimensions() {
		if dimensions[d].name == name {
			return d, nil
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
func (d Dimension) Valid(value string) bool { return d.known() && dimensions[d].valid(value) }

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

// isID accepts one spelling of each id only, since values are compared as text.
func isID(value string) bool {
	id, err := strconv.ParseInt(value, 10, 64)
	return err == nil && id > 0 && strconv.FormatInt(id, 10) == value
}

func isHour(value string) bool {
	hour, err := strconv.Atoi(value)
	return err == nil && hour >= 0 && hour < 7*24 && strconv.Itoa(hour) == value
}

func oneOf(list ...string) func(string) bool {
	return func(value string) bool {
		for _, item := range list {
			if value == item {
				return true
			}
		}
		return false
	}
}

const maxKeyword = 200

// isKeyword wants the form in which requests are read, else it would never match.
func isKeyword(value string) bool {
	key, text, found := strings.Cut(value, "=")
	if !found || key == "" || text == "" || len(value) > maxKeyword || !utf8.ValidString(value) {
		return false
	}
	for _, r := range value {
		if r == utf8.RuneError || unicode.IsControl(r) || unicode.ToLower(r) != r {
			return false
		}
	}
	return true
}

// countries are the codes officially assigned in ISO 3166-1 and XK, which the
// usual IP databases answer for Kosovo. A code that nobody has, such as UK for
// GB, would quietly match nothing.
const countries = "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ " +
	"BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ " +
	"CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ " +
	"DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR " +
	"GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY " +
	"HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP " +
	"KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY " +
	"MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ " +
	"NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY " +
	"QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ " +
	"TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ " +
	"VA VC VE VG VI VN VU WF WS XK YE YT ZA ZM ZW"

func isCountry(value string) bool {
	return len(value) == 2 && value[0] != ' ' && value[1] != ' ' && strings.Contains(countries, value)
}
