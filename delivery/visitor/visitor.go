// Package visitor tells who asks: where from, on what device, in what language,
// and whether it is a person at all, as far as the visitor allows. It turns the
// plain values of a request into what targeting asks about. It knows neither HTTP
// nor the catalog, keeps nothing of a visitor, and allocates nothing per request.
package visitor

import (
	"errors"
	"hash/maphash"
	"net/netip"
	"strconv"
	"time"

	"github.com/hayate-ads/hayate/delivery/target"
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/rule"
	"github.com/hayate-ads/hayate/internal/taxonomy"
)

// Config of a [Reader]. Every file may be missing: then what it tells is unknown.
type Config struct {
	GeoFile        string         // MaxMind DB of cities or countries
	ASNFile        string         // MaxMind DB of autonomous systems
	ConnectionFile string         // MaxMind DB of connection types, or of ISPs with mobile network codes
	Trusted        []netip.Prefix // proxies whose X-Forwarded-For is believed
	Vendor         uint16         // our id on the IAB's Global Vendor List; 0: none, see [Consent]
	Strict         bool           // whether a visitor of unknown country has to consent, as in Europe
}

// Reader reads visitors; it may be used by any number of goroutines.
type Reader struct {
	databases [3]database
	trusted   []netip.Prefix
	vendor    uint64
	strict    bool
	zones     zones
	places    cache[rememberedPlace] // of the geography database
	agents    agents
}

// Open reads the databases that are configured. Its error holds a [*FileError].
func Open(cfg Config) (*Reader, error) {
	taxonomy.Known("") // reads its tables now rather than during a request
	r := &Reader{trusted: cfg.Trusted, vendor: uint64(cfg.Vendor), strict: cfg.Strict}
	r.agents.seed = maphash.MakeSeed()
	for i, want := range []struct {
		file  string
		wrong []string
	}{
		{cfg.GeoFile, []string{"ASN", "ISP", "Connection-Type", "Anonymous", "Domain"}},
		{cfg.ASNFile, []string{"City", "Country", "Connection-Type", "Anonymous", "Domain"}},
		{cfg.ConnectionFile, []string{"City", "Country", "ASN", "Anonymous", "Domain"}},
	} {
		opened, err := openDatabase(want.file, want.wrong...)
		if err != nil {
			return nil, errors.Join(err, r.Close())
		}
		r.databases[i] = opened
	}
	return r, nil
}

// Close releases the databases; nothing may be read afterwards.
func (r *Reader) Close() error {
	var errs []error
	for _, d := range r.databases {
		errs = append(errs, d.close())
	}
	return errors.Join(errs...)
}

// Visitor is what a request says of who asks and where. It is reused with Reset.
type Visitor struct {
	Now      time.Time  // when; zero: the visitor's hour is not known
	IP       netip.Addr // the visitor's, see [Reader.ClientIP]; zero: unknown
	Hints    Hints
	App      App
	Language []byte   // a language tag, or the value of Accept-Language
	URL      []byte   // of the page
	Keywords [][]byte // from [AppendKeyword]
	Segments [][]byte // from [ParseSegment]
	Consent  Consent

	Categories [][]byte // of the page: ids of the taxonomy that Cattax names
	Cattax     int      // AdCOM, List: Category Taxonomies; 0: 1, the IAB's content taxonomy 1.0

	// Elsewhere tells that URL is not on the property whose placements are asked
	// for: then its address is not believed. A page never brings rule.Domain: the
	// domain that counts is the property's, which its publisher had approved and
	// which comes with the supply, so that no page can pass for another.
	Elsewhere bool

	// What Describe found: what the visitor allows, whether it calls itself a crawler
	// (see [Bot]), and how many of the categories no taxonomy has.
	Grant   Grant
	Bot     bool
	Unknown int

	place place
	buf   []byte
}

// Reset forgets everything but the buffers.
func (v *Visitor) Reset() {
	*v = Visitor{Keywords: v.Keywords[:0], Segments: v.Segments[:0], Categories: v.Categories[:0], buf: v.buf}
}

// Describe adds to q what targeting may ask of the visitor, and returns what
// reports tell apart. What the visitor does not allow is not added: no later part
// has to think of it.
func (r *Reader) Describe(v *Visitor, q *target.Query) (country [2]byte, kind event.DeviceType) {
	r.locate(v)
	v.Grant = r.grant(&v.Consent, v.place.country)
	d := readDevice(r.agents.of(v.Hints.UserAgent), &v.Hints, &v.App)
	v.Bot = d.bot
	v.buf = d.describe(q, v.buf)
	r.describePlace(v, q)
	v.describeNetwork(q, d.kind)
	v.describePage(q)
	v.describeCategories(q)
	for _, keyword := range v.Keywords {
		q.Add(rule.Keyword, keyword)
	}
	if v.Grant.Personal {
		for _, segment := range v.Segments {
			q.Add(rule.Segment, segment)
		}
	}
	return v.place.country, d.kind
}

// locate looks up the truncated address, once in each database: no answer may
// depend on more of an address than we would keep. A broken record costs
// targeting, never an answer.
func (r *Reader) locate(v *Visitor) {
	v.place = place{}
	if !v.IP.IsValid() {
		return
	}
	addr := Truncate(v.IP)
	r.geography(addr, &v.place)
	for _, d := range r.databases[1:] {
		before := v.place
		if d.lookup(addr, &v.place) != nil {
			v.place = before
		}
	}
}

// rememberedPlace is a record by its place in the file, which is the same for
// all networks of a town and provider.
type rememberedPlace struct {
	offset uint64
	place
}

// geography fills p, which is empty, from the first database.
func (r *Reader) geography(addr netip.Addr, p *place) {
	if r.databases[0].reader == nil {
		return
	}
	found := r.databases[0].reader.Lookup(addr)
	if !found.Found() {
		return
	}
	offset := uint64(found.Offset())
	slot := r.places.at(offset)
	if kept := slot.kept.Load(); kept != nil && kept.offset == offset {
		*p = kept.place
		return
	}
	if found.Decode(p) != nil {
		*p = place{}
	}
	if slot.again(offset) {
		slot.kept.Store(&rememberedPlace{offset, *p})
	}
}

// describePlace adds where the visitor is. Everything below a country is spelled
// with it, so it means nothing without.
func (r *Reader) describePlace(v *Visitor, q *target.Query) {
	p, buf := &v.place, v.buf
	if v.Grant.Precise {
		buf = v.describePoint(q, buf)
	}
	if zone := r.zones.of(p.zone); zone != nil && !v.Now.IsZero() {
		buf = strconv.AppendInt(buf[:0], int64(hourOfWeek(v.Now, zone)), 10)
		q.Add(rule.VisitorHour, buf)
	}
	if v.buf = buf; p.country == [2]byte{} {
		return
	}
	q.Add(rule.Country, p.country[:])
	buf = append(buf[:0], p.country[0], p.country[1], '-')
	if len(p.region) > 0 && len(p.region) <= maxRegion {
		buf = append(buf, p.region...)
		q.Add(rule.Region, buf)
	}
	if p.metro > 0 {
		q.Add(rule.Metro, strconv.AppendUint(buf[:0], p.metro, 10))
	}
	buf = append(buf[:0], p.country[0], p.country[1], '/')
	if lower, ok := appendLower(buf, p.city); ok && len(p.city) > 0 && len(p.city) <= maxWord && !v.Grant.Child {
		q.Add(rule.City, lower)
		buf = lower[:3]
	}
	if len(p.postal) > 0 && len(p.postal) <= maxPostal && v.Grant.Precise {
		for _, c := range p.postal {
			if c >= 'a' && c <= 'z' {
				c -= 'a' - 'A'
			}
			buf = append(buf, c)
		}
		q.Add(rule.PostalCode, buf)
	}
	v.buf = buf
}

// Bounds of what a database may say, in bytes: ISO 3166-2 has three letters or
// digits behind the country, and no postal code is longer than ten.
const (
	maxRegion = 3
	maxPostal = 16
)

// describePoint adds the visitor's coordinates: an app's own, else those that the
// database has for the network.
func (v *Visitor) describePoint(q *target.Query, buf []byte) []byte {
	latitude, longitude := v.App.Latitude, v.App.Longitude
	if !v.App.Located {
		if v.place.located < 2 {
			return buf
		}
		latitude, longitude = v.place.latitude, v.place.longitude
	}
	if !(latitude >= -90 && latitude <= 90 && longitude >= -180 && longitude <= 180) {
		return buf
	}
	buf = append(appendDegrees(buf[:0], latitude), ',')
	buf = appendDegrees(buf, longitude)
	q.Add(rule.Near, buf)
	return buf
}

// appendDegrees writes four decimals, which is 11 metres. strconv's exact floats
// would take three times as long.
func appendDegrees(dst []byte, degrees float64) []byte {
	const decimals = 10_000
	if degrees < 0 {
		dst, degrees = append(dst, '-'), -degrees
	}
	n := uint64(degrees*decimals + 0.5)
	dst = append(strconv.AppendUint(dst, n/decimals, 10), '.')
	n %= decimals
	return append(dst, '0'+byte(n/1000), '0'+byte(n/100%10), '0'+byte(n/10%10), '0'+byte(n%10))
}

// describeNetwork adds how the visitor is connected.
func (v *Visitor) describeNetwork(q *target.Query, kind event.DeviceType) {
	p, buf := &v.place, v.buf
	if p.asn > 0 {
		buf = strconv.AppendUint(buf[:0], p.asn, 10)
		q.Add(rule.ASN, buf)
	}
	if name := connectionOf(&v.App, p.connection, kind); name != "" {
		q.AddText(rule.Connection, name)
	}
	if isCarrier(v.App.Carrier) {
		q.Add(rule.Carrier, v.App.Carrier)
	} else if len(p.mcc) == 3 && len(p.mnc) <= 3 {
		buf = append(append(append(buf[:0], p.mcc...), '-'), p.mnc...)
		if isCarrier(buf) {
			q.Add(rule.Carrier, buf)
		}
	}
	v.buf = buf
}

// connections are AdCOM's connection types by number.
var connections = [...]string{1: "ethernet", "wifi", "cellular", "2g", "3g", "4g", "5g"}

// connectionOf is what an app states, else what the database says of the network:
// mobile, or a line. At the end of a line a phone or tablet is on a wireless
// network, other devices count as on the wire.
func connectionOf(app *App, database []byte, kind event.DeviceType) string {
	switch {
	case app.Connection > 0 && app.Connection < len(connections):
		return connections[app.Connection]
	case len(database) == 0:
		return ""
	case string(database) == "Cellular":
		return "cellular"
	case kind == event.Mobile || kind == event.Tablet:
		return "wifi"
	}
	return "ethernet"
}

// isCarrier accepts "440-10": a mobile country code of three digits and a network
// code of two or three (ITU-T E.212).
func isCarrier(text []byte) bool {
	if len(text) < 6 || len(text) > 7 || text[3] != '-' {
		return false
	}
	for i, c := range text {
		if i != 3 && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}
