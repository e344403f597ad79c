package visitor

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"

	"github.com/hayate-ads/hayate/delivery/target"
	"github.com/hayate-ads/hayate/internal/rule"
)

// records are what a test database knows, by network.
type records map[string]mmdbtype.Map

// writeDatabase writes a database of documentation networks.
func writeDatabase(t testing.TB, kind string, all records) string {
	t.Helper()
	tree, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: kind, RecordSize: 24, IncludeReservedNetworks: true})
	if err != nil {
		t.Fatal(err)
	}
	for network, record := range all {
		_, block, err := net.ParseCIDR(network)
		if err != nil {
			t.Fatal(err)
		}
		if err := tree.Insert(block, record); err != nil {
			t.Fatal(err)
		}
	}
	name := filepath.Join(t.TempDir(), kind+".mmdb")
	file, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tree.WriteTo(file); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	return name
}

// texts makes a record's map of strings of pairs.
func texts(pairs ...string) mmdbtype.Map {
	m := mmdbtype.Map{}
	for i := 0; i < len(pairs); i += 2 {
		m[mmdbtype.String(pairs[i])] = mmdbtype.String(pairs[i+1])
	}
	return m
}

// names are a thing's in the languages that such databases have, so that reading
// one costs what it costs in earnest.
func names(english string) mmdbtype.Map {
	return texts("de", english+" (de)", "en", english, "es", english+" (es)", "fr", english+" (fr)", "ja", "日本語", "ru", english+" (ru)")
}

// town is a record as City databases have them.
func town(country, region, city, postal, zone string, latitude, longitude float64) mmdbtype.Map {
	return mmdbtype.Map{
		"city":      mmdbtype.Map{"geoname_id": mmdbtype.Uint32(1), "names": names(city)},
		"continent": mmdbtype.Map{"code": mmdbtype.String("AS"), "geoname_id": mmdbtype.Uint32(2), "names": names("Asia")},
		"country":   mmdbtype.Map{"geoname_id": mmdbtype.Uint32(3), "iso_code": mmdbtype.String(country), "names": names(country)},
		"location": mmdbtype.Map{"accuracy_radius": mmdbtype.Uint16(20), "latitude": mmdbtype.Float64(latitude),
			"longitude": mmdbtype.Float64(longitude), "time_zone": mmdbtype.String(zone)},
		"postal":             texts("code", postal),
		"registered_country": mmdbtype.Map{"geoname_id": mmdbtype.Uint32(3), "iso_code": mmdbtype.String(country), "names": names(country)},
		"subdivisions": mmdbtype.Slice{
			mmdbtype.Map{"geoname_id": mmdbtype.Uint32(4), "iso_code": mmdbtype.String(region), "names": names("Region")},
			mmdbtype.Map{"geoname_id": mmdbtype.Uint32(5), "iso_code": mmdbtype.String("99"), "names": names("County")},
		},
	}
}

const (
	tokyoIP   = "203.0.113.9"
	newYorkIP = "198.51.100.7"
	berlinIP  = "2001:db8:1::1"
	brokenIP  = "192.0.2.1"
	londonIP  = "2001:db8:2::1"
)

func cityFile(t testing.TB) string {
	newYork := town("US", "NY", "New York", "10001", "America/New_York", 40.7128, -74.006)
	newYork["location"].(mmdbtype.Map)["metro_code"] = mmdbtype.Uint16(501)
	return writeDatabase(t, "Test-City", records{
		"203.0.113.0/24":  town("JP", "13", "Tokyo", "100-0001", "Asia/Tokyo", 35.68953, 139.69171),
		"198.51.100.0/24": newYork,
		"2001:db8:1::/48": town("DE", "BE", "Berlin", "10115", "Europe/Berlin", 52.52, 13.405),
		"2001:db8:2::/48": town("GB", "ENG", "London", "sw1a", "Europe/London", -0.00004, 0),
		// What is in it is not what we understand.
		"192.0.2.0/24": {"country": mmdbtype.Map{"iso_code": mmdbtype.String("FR")}, "city": mmdbtype.String("Paris")},
	})
}

func asnFile(t testing.TB) string {
	return writeDatabase(t, "Test-ASN", records{"203.0.113.0/24": {
		"autonomous_system_number":       mmdbtype.Uint32(2516),
		"autonomous_system_organization": mmdbtype.String("KDDI"),
	}})
}

func connectionFile(t testing.TB) string {
	return writeDatabase(t, "Test-Connection-Type", records{
		"203.0.113.0/24":  texts("connection_type", "Cellular", "mobile_country_code", "440", "mobile_network_code", "10"),
		"198.51.100.0/24": texts("connection_type", "Cable/DSL", "mobile_country_code", "x"),
	})
}

// describe is what a visitor brings to a query.
func describe(r *Reader, v *Visitor) rule.Request {
	var q target.Query
	r.Describe(v, &q)
	return q.Plain()
}

// at is a visitor of an address outside any law, so that all is allowed.
func at(addr string) *Visitor {
	return &Visitor{IP: netip.MustParseAddr(addr), Consent: Consent{GDPR: No}}
}

func TestDescribePlace(t *testing.T) {
	t.Parallel()
	r := open(t, Config{GeoFile: cityFile(t), ASNFile: asnFile(t), ConnectionFile: connectionFile(t)})
	f := func(addr string, want rule.Request) {
		t.Helper()
		if diff := cmp.Diff(want, describe(r, at(addr))); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", addr, diff)
		}
	}
	f(tokyoIP, rule.Request{
		rule.Country: {"JP"}, rule.Region: {"JP-13"}, rule.City: {"JP/tokyo"}, rule.PostalCode: {"JP/100-0001"},
		rule.Near: {"35.6895,139.6917"}, rule.ASN: {"2516"}, rule.Connection: {"cellular"}, rule.Carrier: {"440-10"},
	})
	f(newYorkIP, rule.Request{
		rule.Country: {"US"}, rule.Region: {"US-NY"}, rule.City: {"US/new york"}, rule.PostalCode: {"US/10001"},
		rule.Metro: {"501"}, rule.Near: {"40.7128,-74.0060"}, rule.Connection: {"ethernet"},
	})
	f(londonIP, rule.Request{
		rule.Country: {"GB"}, rule.Region: {"GB-ENG"}, rule.City: {"GB/london"}, rule.PostalCode: {"GB/SW1A"}, rule.Near: {"-0.0000,0.0000"},
	})
	f(brokenIP, rule.Request{}) // none of a broken record counts, not even its beginning
	f("10.0.0.1", rule.Request{})
}

// The values are those that rules accept, and the shapes are read as meant.
func TestDescribedValuesAreThoseOfRules(t *testing.T) {
	t.Parallel()
	r := open(t, Config{GeoFile: cityFile(t), ASNFile: asnFile(t), ConnectionFile: connectionFile(t)})
	v := at(tokyoIP)
	v.Now, v.Language, v.URL = time.Now(), []byte("ja"), []byte("https://news.example/sports/football")
	v.Hints = Hints{UserAgent: []byte(samsungPhone)}
	for d, values := range describe(r, v) {
		for _, value := range values {
			if d.Kind() != rule.Computed && !d.Valid(value) {
				t.Errorf("no rule can have %s %q", d, value)
			}
		}
	}
	for d, value := range map[rule.Dimension]string{
		rule.Near: "35.681,139.767,8000", rule.OSVersion: "android 13-", rule.BrowserVersion: "samsung -25", rule.URLPrefix: "news.example/sports",
	} {
		if got := describe(r, v)[d]; !d.Valid(value) || len(got) == 0 || !d.Satisfies(value, got[0]) {
			t.Errorf("%s %q does not contain %q", d, value, got)
		}
	}
}

func TestCountryDatabase(t *testing.T) {
	t.Parallel()
	r := open(t, Config{GeoFile: writeDatabase(t, "Test-Country", records{
		"203.0.113.0/24":  {"country": texts("iso_code", "JP")},
		"198.51.100.0/24": {"country": texts("iso_code", "DE"), "traits": mmdbtype.Map{"autonomous_system_number": mmdbtype.Uint16(7)}},
		"192.0.2.0/24":    {"country": texts("iso_code", "not a code")},
	})})
	f := func(addr, want string) {
		t.Helper()
		var q target.Query
		got, _ := r.Describe(at(addr), &q)
		if strings.TrimRight(string(got[:]), "\x00") != want || string(q.Value(rule.Country)) != want {
			t.Errorf("country of %s: %q, want %q", addr, got, want)
		}
	}
	f("203.0.113.9", "JP")
	f("::ffff:198.51.100.7", "DE")
	f("2001:db8:2::1", "")
	f("192.0.2.1", "")
	if got := describe(r, at("198.51.100.7"))[rule.ASN]; len(got) != 1 || got[0] != "7" {
		t.Errorf("an ASN among the traits: %q", got)
	}
	if got := describe(open(t, Config{}), at(tokyoIP)); len(got) != 0 {
		t.Errorf("without a database: %v", got)
	}
}

// Two visitors whose truncated addresses are equal are at the same place.
func TestPlaceOfTruncatedAddress(t *testing.T) {
	t.Parallel()
	r := open(t, Config{GeoFile: writeDatabase(t, "Test-City", records{
		"203.0.113.0/25":   {"country": texts("iso_code", "JP")},
		"203.0.113.128/25": {"country": texts("iso_code", "US")},
	})})
	if got := describe(r, at("203.0.113.200"))[rule.Country]; len(got) != 1 || got[0] != "JP" {
		t.Errorf("the second half of a /24 is in %v", got)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	broken := filepath.Join(t.TempDir(), "broken.mmdb")
	if err := os.WriteFile(broken, []byte("no database"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := func(cfg Config, names ...string) {
		t.Helper()
		_, err := Open(cfg)
		var which *FileError
		if !errors.As(err, &which) {
			t.Errorf("Open(%+v): %v, want an error that names the file", cfg, err)
		}
		for _, name := range names {
			if err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("Open(%+v): %v, want an error with %q", cfg, err, name)
			}
		}
	}
	city, asn := cityFile(t), asnFile(t)
	f(Config{GeoFile: broken}, broken)
	f(Config{GeoFile: "/nonexistent.mmdb"}, "/nonexistent.mmdb")
	f(Config{GeoFile: asn}, asn, "type Test-ASN")
	f(Config{GeoFile: city, ASNFile: city}, "type Test-City")
	f(Config{ConnectionFile: asn}, "type Test-ASN")
}

// A database that is cut off, or has bytes changed, costs targeting at most.
func TestBrokenDatabases(t *testing.T) {
	t.Parallel()
	whole, err := os.ReadFile(cityFile(t))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for i := 0; i < len(whole); i += 7 {
		for _, change := range []byte{0x00, 0xff, 0xe1, 0x20} {
			name := filepath.Join(dir, "changed.mmdb")
			changed := append([]byte(nil), whole...)
			changed[i] = change
			if err := os.WriteFile(name, changed, 0o600); err != nil {
				t.Fatal(err)
			}
			r, err := Open(Config{GeoFile: name})
			if err != nil {
				continue // refused at the start, which is as good
			}
			for _, addr := range []string{tokyoIP, newYorkIP, berlinIP, brokenIP} {
				describe(r, at(addr))
			}
			r.Close()
		}
	}
}

func TestVisitorHour(t *testing.T) {
	t.Parallel()
	r := open(t, Config{GeoFile: cityFile(t)})
	f := func(addr, now, want string) {
		t.Helper()
		v := at(addr)
		var err error
		if v.Now, err = time.Parse(time.RFC3339, now); err != nil {
			t.Fatal(err)
		}
		if got := describe(r, v)[rule.VisitorHour]; len(got) != 1 || got[0] != want {
			t.Errorf("hour of week at %s of %s: %q, want %s", addr, now, got, want)
		}
	}
	f(tokyoIP, "2026-11-20T12:30:00Z", "117") // Friday 21:30
	f(tokyoIP, "2026-11-22T15:00:00Z", "0")   // Monday 00:00
	f(tokyoIP, "2026-11-22T14:59:59Z", "167")
	// New York's clocks go forward on 8 March and back on 1 November 2026, at 2.
	f(newYorkIP, "2026-03-08T06:59:59Z", "145") // Sunday 01:59 EST
	f(newYorkIP, "2026-03-08T07:00:00Z", "147") // 03:00 EDT: there is no 2 o'clock
	f(newYorkIP, "2026-11-01T05:30:00Z", "145") // 01:30 EDT
	f(newYorkIP, "2026-11-01T06:30:00Z", "145") // 01:30 EST, once more
	f(newYorkIP, "2026-11-01T07:00:00Z", "146")

	if got := describe(r, at(tokyoIP))[rule.VisitorHour]; got != nil {
		t.Errorf("an hour without a time: %q", got)
	}
}

func TestZones(t *testing.T) {
	t.Parallel()
	var z zones
	if a, b := z.of([]byte("Asia/Tokyo")), z.of([]byte("Asia/Tokyo")); a == nil || a != b {
		t.Errorf("Asia/Tokyo: %p, %p", a, b)
	}
	for _, name := range []string{"", "Local", "No/Where", "../../etc/passwd", strings.Repeat("x", 10_000)} {
		for range 2 { // the second time it is remembered
			if z.of([]byte(name)) != nil {
				t.Errorf("%.20q is a zone", name)
			}
		}
	}
	for i := range 2 * maxZones {
		z.of([]byte("x" + strings.Repeat("y", i)))
	}
	if n := len(*z.known.Load()); n > maxZones {
		t.Errorf("%d zones are kept", n)
	}
}
