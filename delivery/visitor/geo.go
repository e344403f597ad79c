package visitor

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/oschwald/maxminddb-golang/v2"
	"github.com/oschwald/maxminddb-golang/v2/mmdbdata"
)

// database is one MaxMind DB file; without a reader there is none.
type database struct{ reader *maxminddb.Reader }

// FileError says which database cannot be used, and why.
type FileError struct {
	File string
	Err  error
}

func (e *FileError) Error() string { return "database " + e.File + ": " + e.Err.Error() }
func (e *FileError) Unwrap() error { return e.Err }

// openDatabase opens a file. Its type must not be one of wrong: a database of
// networks given for one of places would quietly match nothing.
func openDatabase(file string, wrong ...string) (database, error) {
	if file == "" {
		return database{}, nil
	}
	reader, err := maxminddb.Open(file)
	if err != nil {
		return database{}, &FileError{file, err}
	}
	d := database{reader}
	for _, word := range wrong {
		if strings.Contains(reader.Metadata.DatabaseType, word) {
			err = errors.Join(err, fmt.Errorf("it is one of type %s, which tells something else", reader.Metadata.DatabaseType))
		}
	}
	if err == nil {
		err = d.lookup(netip.MustParseAddr("8.8.8.8"), new(place))
	}
	if err != nil {
		return database{}, &FileError{file, errors.Join(err, reader.Close())}
	}
	return d, nil
}

func (d database) close() error {
	if d.reader == nil {
		return nil
	}
	return d.reader.Close()
}

// lookup adds to p what the database knows of addr.
func (d database) lookup(addr netip.Addr, p *place) error {
	if d.reader == nil {
		return nil
	}
	return d.reader.Lookup(addr).Decode(p)
}

// place is what databases know of an address, in their own spelling. The texts
// are views of the databases' memory.
type place struct {
	country    [2]byte // zero: unknown
	region     []byte  // the part of ISO 3166-2 behind the country
	city       []byte  // English
	postal     []byte
	zone       []byte // of the tz database: "Asia/Tokyo"
	metro      uint64
	latitude   float64
	longitude  float64
	located    uint8 // coordinates seen, of two
	asn        uint64
	connection []byte
	mcc, mnc   []byte
}

// UnmarshalMaxMindDBCursor reads one record, whichever database it is of: City,
// Country, Enterprise, ASN, ISP and Connection-Type name no two things alike.
// Only what is asked for is decoded, and no text is copied.
func (p *place) UnmarshalMaxMindDBCursor(c mmdbdata.Cursor) (mmdbdata.Cursor, error) {
	return fields(c, p, (*place).member)
}

// maxFields bounds the members of one map, and the nesting is that of the
// functions below: no record, however broken, takes longer than that.
const maxFields = 64

var errFields = errors.New("a record with too many members")

// fields reads a map; read takes the value of each member, or skips it.
func fields(c mmdbdata.Cursor, p *place, read func(*place, []byte, mmdbdata.Cursor) (mmdbdata.Cursor, error)) (mmdbdata.Cursor, error) {
	m, err := c.Map()
	if err != nil {
		return c, err
	}
	if m.Size() > maxFields {
		return c, errFields
	}
	var next mmdbdata.Cursor
	for {
		key, value, ok := m.Next(next)
		if !ok {
			return m.End()
		}
		if next, err = read(p, key, value); err != nil {
			return c, err
		}
	}
}

func (p *place) member(key []byte, value mmdbdata.Cursor) (next mmdbdata.Cursor, err error) {
	switch string(key) {
	case "country":
		return fields(value, p, (*place).countryMember)
	case "subdivisions":
		return p.subdivisions(value)
	case "city":
		return fields(value, p, (*place).cityMember)
	case "postal":
		return fields(value, p, (*place).postalMember)
	case "location":
		return fields(value, p, (*place).locationMember)
	case "traits":
		return fields(value, p, (*place).trait)
	}
	return p.trait(key, value)
}

// trait reads what ASN, ISP and Connection-Type databases have in the record
// itself, and an Enterprise one under "traits".
func (p *place) trait(key []byte, value mmdbdata.Cursor) (next mmdbdata.Cursor, err error) {
	switch string(key) {
	case "autonomous_system_number":
		p.asn, next, err = value.ReadUint()
	case "connection_type":
		p.connection, next, err = text(value)
	case "mobile_country_code":
		p.mcc, next, err = text(value)
	case "mobile_network_code":
		p.mnc, next, err = text(value)
	default:
		return value.Skip()
	}
	return next, err
}

func (p *place) countryMember(key []byte, value mmdbdata.Cursor) (mmdbdata.Cursor, error) {
	if string(key) != "iso_code" {
		return value.Skip()
	}
	code, next, err := text(value)
	if err == nil && len(code) == 2 && isUpper(code[0]) && isUpper(code[1]) {
		p.country = [2]byte{code[0], code[1]}
	}
	return next, err
}

// subdivisions reads the first, which is the largest: a state or prefecture.
func (p *place) subdivisions(c mmdbdata.Cursor) (mmdbdata.Cursor, error) {
	s, err := c.Slice()
	if err != nil {
		return c, err
	}
	if size, err := s.Size(); err != nil || size > maxFields {
		return c, errFields
	}
	var next mmdbdata.Cursor
	for {
		i, value, ok := s.Next(next)
		switch {
		case !ok:
			return s.End()
		case i == 0:
			next, err = fields(value, p, (*place).regionMember)
		default:
			next, err = value.Skip()
		}
		if err != nil {
			return c, err
		}
	}
}

func (p *place) regionMember(key []byte, value mmdbdata.Cursor) (next mmdbdata.Cursor, err error) {
	if string(key) != "iso_code" {
		return value.Skip()
	}
	p.region, next, err = text(value)
	return next, err
}

func (p *place) cityMember(key []byte, value mmdbdata.Cursor) (mmdbdata.Cursor, error) {
	if string(key) != "names" {
		return value.Skip()
	}
	return fields(value, p, (*place).cityName)
}

func (p *place) cityName(key []byte, value mmdbdata.Cursor) (next mmdbdata.Cursor, err error) {
	if string(key) != "en" {
		return value.Skip()
	}
	p.city, next, err = text(value)
	return next, err
}

func (p *place) postalMember(key []byte, value mmdbdata.Cursor) (next mmdbdata.Cursor, err error) {
	if string(key) != "code" {
		return value.Skip()
	}
	p.postal, next, err = text(value)
	return next, err
}

func (p *place) locationMember(key []byte, value mmdbdata.Cursor) (next mmdbdata.Cursor, err error) {
	switch string(key) {
	case "latitude":
		p.latitude, next, err = value.ReadFloat()
		p.located++
	case "longitude":
		p.longitude, next, err = value.ReadFloat()
		p.located++
	case "metro_code":
		p.metro, next, err = value.ReadUint()
	case "time_zone":
		p.zone, next, err = text(value)
	default:
		return value.Skip()
	}
	return next, err
}

// text reads a string without copying it: as a map's key, which is the one
// reading of the library that gives a view. What is no string is an error.
func text(value mmdbdata.Cursor) (view []byte, next mmdbdata.Cursor, err error) {
	if view, _, err = value.ReadMapKey(); err == nil {
		next, err = value.Skip()
	}
	return view, next, err
}

func isUpper(c byte) bool { return c >= 'A' && c <= 'Z' }
