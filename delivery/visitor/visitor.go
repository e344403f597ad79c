// Package visitor tells who asks: where from, on what device, and whether it is
// a person at all. It turns the plain values of a request into what targeting
// asks about. It knows neither HTTP nor the catalog, keeps nothing of a visitor,
// and allocates nothing per request.
package visitor

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"github.com/medama-io/go-useragent"
	"github.com/oschwald/maxminddb-golang/v2"

	"github.com/hayate-ads/hayate/delivery/target"
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/rule"
)

// Config of a [Reader].
type Config struct {
	GeoFile string         // a MaxMind DB with country/iso_code; "": no country is ever known
	Trusted []netip.Prefix // proxies whose X-Forwarded-For is believed
}

// Reader reads visitors; it may be used by any number of goroutines.
type Reader struct {
	geo     *maxminddb.Reader // nil: none
	agents  *useragent.Parser
	trusted []netip.Prefix
}

// Open reads the country database into memory, if one is configured.
func Open(cfg Config) (*Reader, error) {
	r := &Reader{agents: useragent.NewParser(), trusted: cfg.Trusted}
	if cfg.GeoFile == "" {
		return r, nil
	}
	geo, err := maxminddb.Open(cfg.GeoFile)
	if err != nil {
		return nil, fmt.Errorf("country database %s: %w", cfg.GeoFile, err)
	}
	r.geo = geo
	if _, err := r.lookup(netip.MustParseAddr("8.8.8.8")); err != nil {
		return nil, errors.Join(fmt.Errorf("country database %s: %w", cfg.GeoFile, err), geo.Close())
	}
	return r, nil
}

// Close releases the country database; nothing may be read afterwards.
func (r *Reader) Close() error {
	if r.geo == nil {
		return nil
	}
	return r.geo.Close()
}

// Visitor is what a request says of who asks.
type Visitor struct {
	IP       netip.Addr // the visitor's, see [Reader.ClientIP]; zero: unknown
	Hints    Hints
	Keywords [][]byte // from [AppendKeyword]
}

// Describe adds to q what targeting may ask of the visitor, and returns what
// reports tell apart.
func (r *Reader) Describe(v *Visitor, q *target.Query) (country [2]byte, device event.DeviceType) {
	country = r.Country(v.IP)
	if country != [2]byte{} {
		q.Add(rule.Country, country[:])
	}
	device, os := r.Device(v.Hints)
	if len(v.Hints.UserAgent) > 0 || len(v.Hints.Mobile) > 0 || len(v.Hints.Platform) > 0 {
		q.AddText(rule.DeviceType, device.String())
	}
	q.AddText(rule.OS, string(os))
	for _, keyword := range v.Keywords {
		q.Add(rule.Keyword, keyword)
	}
	return country, device
}

// Country is the ISO 3166-1 alpha-2 code of where an address is, zero when that
// is not known. Only the truncated address is looked up: no answer may depend on
// more of an address than we would keep.
func (r *Reader) Country(addr netip.Addr) [2]byte {
	if r.geo == nil || !addr.IsValid() {
		return [2]byte{}
	}
	country, err := r.lookup(Truncate(addr))
	if err != nil {
		return [2]byte{} // a broken database costs targeting, never an answer
	}
	return country
}

func (r *Reader) lookup(addr netip.Addr) (country [2]byte, err error) {
	found := codes.Get().(*code)
	defer codes.Put(found)
	found.text = ""
	if err := r.geo.Lookup(addr).DecodePath(&found.text, countryPath...); err != nil {
		return country, err
	}
	if text := found.text; len(text) == 2 && isUpper(text[0]) && isUpper(text[1]) {
		country = [2]byte{text[0], text[1]}
	}
	return country, nil
}

var countryPath = []any{"country", "iso_code"}

// code is where the database writes a country; pooled, because what is handed
// to it would be allocated otherwise.
type code struct{ text string }

var codes = sync.Pool{New: func() any { return new(code) }}

func isUpper(c byte) bool { return c >= 'A' && c <= 'Z' }
