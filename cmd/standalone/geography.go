package main

import (
	"errors"
	"net/netip"
	"os"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
	"go4.org/netipx"
)

// networks are the address blocks set aside for documentation (RFC 5737). The
// demo places them in countries, so that its traffic has a geography although no
// real geography file may be shipped.
var networks = map[string]string{
	"203.0.113.0/24":  "JP",
	"198.51.100.0/24": "US",
	"192.0.2.0/24":    "DE",
}

// writeGeography makes a MaxMind file of the demo's countries.
func writeGeography(path string) (err error) {
	tree, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: "GeoLite2-Country", RecordSize: 24, IncludeReservedNetworks: true})
	if err != nil {
		return err
	}
	for network, country := range networks {
		record := mmdbtype.Map{"country": mmdbtype.Map{"iso_code": mmdbtype.String(country)}}
		if err := tree.Insert(netipx.PrefixIPNet(netip.MustParsePrefix(network)), record); err != nil {
			return err
		}
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	_, err = tree.WriteTo(file)
	return err
}
