package visitor

import (
	"net/netip"
	"strconv"

	"github.com/hayate-ads/hayate/internal/rule"
)

// network is what the databases know of a truncated address, as queries ask it.
type network struct {
	key     uint64
	country [2]byte // zero: unknown
	line    line
	zone    *zone // nil: unknown
	parts
}

// line is how a network's visitors are connected.
type line uint8

const (
	unknownLine line = iota
	mobileLine
	fixedLine
)

var nowhere network

// keyOf tells truncated addresses apart.
func keyOf(addr netip.Addr) (key uint64) {
	addr = addr.Unmap()
	if addr.Is4() {
		b := addr.As4()
		return 1<<48 | uint64(b[0])<<16 | uint64(b[1])<<8 | uint64(b[2])
	}
	b := addr.As16()
	for _, c := range b[:6] {
		key = key<<8 | uint64(c)
	}
	return key
}

// network is the visitor's, remembered or looked up. No answer may depend on more
// of an address than we would keep. It stays as it is until the visitor is reset
// or described again.
func (r *Reader) network(v *Visitor) *network {
	if !v.IP.IsValid() {
		return &nowhere
	}
	key := keyOf(v.IP)
	slot := r.networks.at(key)
	if kept := slot.kept.Load(); kept != nil && kept.key == key {
		return kept
	}
	own := v.memory()
	n := &own.network
	if slot.again(key) {
		n = new(network)
		defer slot.kept.Store(n)
	}
	r.locate(Truncate(v.IP), &own.place)
	n.key = key
	r.readNetwork(n, &own.place)
	return n
}

// locate looks an address up, once in each database. A broken record costs
// targeting, never an answer.
func (r *Reader) locate(addr netip.Addr, p *place) {
	*p = place{}
	r.geography(addr, p)
	for _, d := range r.databases[1:] {
		if d.reader == nil {
			continue
		}
		before := *p
		if d.lookup(addr, p) != nil {
			*p = before
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

// readNetwork spells a place as rules do, all that a visitor may allow. Whatever
// is below a country is spelled with it, so it means nothing without.
func (r *Reader) readNetwork(n *network, p *place) {
	n.reset()
	n.country, n.zone, n.line = p.country, r.zones.of(p.zone), lineOf(p.connection)
	if p.located >= 2 {
		n.text = appendPoint(n.text, p.latitude, p.longitude)
		n.end(rule.Near)
	}
	if p.asn > 0 {
		n.text = strconv.AppendUint(n.text, p.asn, 10)
		n.end(rule.ASN)
	}
	if len(p.mcc) == 3 && len(p.mnc) <= 3 {
		n.text = append(append(append(n.text, p.mcc...), '-'), p.mnc...)
		if !isCarrier(n.text[n.from():]) {
			n.undo()
		}
		n.end(rule.Carrier)
	}
	if p.country != [2]byte{} {
		n.readPlace(p)
	}
}

// Bounds of what a database may say, in bytes: ISO 3166-2 has three letters or
// digits behind the country, and no postal code is longer than ten.
const (
	maxRegion = 3
	maxPostal = 16
)

func (n *network) readPlace(p *place) {
	n.text = append(n.text, p.country[:]...)
	n.end(rule.Country)
	if len(p.region) > 0 && len(p.region) <= maxRegion {
		n.text = append(append(n.text, p.country[0], p.country[1], '-'), p.region...)
		n.end(rule.Region)
	}
	if p.metro > 0 {
		n.text = strconv.AppendUint(n.text, p.metro, 10)
		n.end(rule.Metro)
	}
	if len(p.city) > 0 && len(p.city) <= maxWord {
		var ok bool
		if n.text, ok = appendLower(append(n.text, p.country[0], p.country[1], '/'), p.city); !ok {
			n.undo()
		}
		n.end(rule.City)
	}
	if len(p.postal) > 0 && len(p.postal) <= maxPostal {
		n.text = append(n.text, p.country[0], p.country[1], '/')
		for _, c := range p.postal {
			if c >= 'a' && c <= 'z' {
				c -= 'a' - 'A'
			}
			n.text = append(n.text, c)
		}
		n.end(rule.PostalCode)
	}
}

// lineOf reads what a database says of a connection.
func lineOf(connection []byte) line {
	switch string(connection) {
	case "":
		return unknownLine
	case "Cellular":
		return mobileLine
	}
	return fixedLine
}

// appendPoint appends coordinates, unless there is no such place.
func appendPoint(dst []byte, latitude, longitude float64) []byte {
	if !(latitude >= -90 && latitude <= 90 && longitude >= -180 && longitude <= 180) {
		return dst
	}
	dst = append(appendDegrees(dst, latitude), ',')
	return appendDegrees(dst, longitude)
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
