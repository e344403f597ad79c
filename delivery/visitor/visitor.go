// Package visitor tells who asks: where from, on what device, in what language,
// and whether it is a person at all, as far as the visitor allows. It turns the
// plain values of a request into what targeting asks about. It knows neither HTTP
// nor the catalog, and allocates nothing per request. It keeps nothing of a visitor
// but what many share: kinds of devices, and networks by their truncated addresses.
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
	databases  [3]database
	trusted    []netip.Prefix
	vendor     uint64
	strict     bool
	zones      zones
	categories categories
	places     cache[rememberedPlace] // of the geography database
	networks   cache[network]
	devices    devices
}

// Open reads the databases that are configured. Its error holds a [*FileError].
func Open(cfg Config) (*Reader, error) {
	r := &Reader{trusted: cfg.Trusted, vendor: uint64(cfg.Vendor), strict: cfg.Strict, categories: knownCategories()}
	r.devices.seed = maphash.MakeSeed()
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

	buf []byte
	own *own
}

// own is a visitor's memory for what is not remembered of others.
type own struct {
	place   place
	network network
	device  device
}

func (v *Visitor) memory() *own {
	if v.own == nil {
		v.own = new(own)
	}
	return v.own
}

// Reset forgets everything but the buffers.
func (v *Visitor) Reset() {
	*v = Visitor{Keywords: v.Keywords[:0], Segments: v.Segments[:0], Categories: v.Categories[:0], buf: v.buf, own: v.own}
}

// Describe adds to q what targeting may ask of the visitor, and returns what
// reports tell apart. What the visitor does not allow is not added: no later part
// has to think of it. The query refers to the visitor's memory: it is good until
// that changes, or the visitor is reset or described again.
func (r *Reader) Describe(v *Visitor, q *target.Query) (country [2]byte, kind event.DeviceType) {
	n := r.network(v)
	v.Grant = r.grant(&v.Consent, n.country)
	d := r.device(v)
	v.Bot = d.bot
	d.refer(q, 0)
	v.describeNetwork(q, n, d.kind)
	v.describePage(q)
	r.describeCategories(v, q)
	q.AddRefs(rule.Keyword, v.Keywords)
	if v.Grant.Personal {
		q.AddRefs(rule.Segment, v.Segments)
	}
	return n.country, d.kind
}

// describeNetwork adds where the visitor is and how connected. What an app states
// counts before what a database says.
func (v *Visitor) describeNetwork(q *target.Query, n *network, kind event.DeviceType) {
	without := set(0)
	if v.Grant.Child {
		without |= setOf(rule.City)
	}
	if !v.Grant.Precise {
		without |= setOf(rule.Near, rule.PostalCode)
	} else if v.App.Located {
		without |= setOf(rule.Near)
		v.buf = appendPoint(v.buf[:0], v.App.Latitude, v.App.Longitude)
		q.Add(rule.Near, v.buf)
	}
	if isCarrier(v.App.Carrier) {
		without |= setOf(rule.Carrier)
		q.Add(rule.Carrier, v.App.Carrier)
	}
	n.refer(q, without)
	if name := connectionOf(&v.App, n.line, kind); name != "" {
		q.AddText(rule.Connection, name)
	}
	if n.zone != nil && !v.Now.IsZero() {
		v.buf = strconv.AppendInt(v.buf[:0], int64(n.zone.hour(v.Now)), 10)
		q.Add(rule.VisitorHour, v.buf)
	}
}

// connections are AdCOM's connection types by number.
var connections = [...]string{1: "ethernet", "wifi", "cellular", "2g", "3g", "4g", "5g"}

// connectionOf is what an app states, else what the database says of the network:
// mobile, or a line. At the end of a line a phone or tablet is on a wireless
// network, other devices count as on the wire.
func connectionOf(app *App, line line, kind event.DeviceType) string {
	switch {
	case app.Connection > 0 && app.Connection < len(connections):
		return connections[app.Connection]
	case line == unknownLine:
		return ""
	case line == mobileLine:
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
