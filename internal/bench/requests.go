package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"

	"github.com/hayate-ads/hayate/delivery/target/workload"
)

// bodies are the decision requests as a publisher's server would send them. All
// that the workload draws is in them, but for the hour, which is now. Where the
// workload's region is one of another country, the region of the same number
// stands for it: an address has one country.
func bodies(requests []workload.Request) [][]byte {
	var all [][]byte
	for i, r := range requests {
		keywords := map[string][]string{}
		for _, keyword := range r.Keywords {
			key, value, _ := bytes.Cut(keyword, []byte("="))
			keywords[string(key)] = append(keywords[string(key)], string(value))
		}
		var categories []string
		for _, category := range r.Categories {
			categories = append(categories, strings.TrimPrefix(category, "iab3/"))
		}
		body, err := json.Marshal(map[string]any{
			"placements": []any{map[string]string{"id": fmt.Sprint(placementOf(r))}},
			"page": map[string]any{
				"url": fmt.Sprintf("https://site-%d.example/2026/11/a-story.html", r.Site), "referrer": "https://search.example/",
				"categories": categories, "cattax": 7, // AdCOM: the IAB's content taxonomy 3.0
			},
			"keywords": keywords,
			"user":     map[string]any{"segments": r.Segments},
			"device":   map[string]string{"ua": agent(r, i), "ip": address(r).String(), "language": r.Language},
			"consent":  map[string]any{"gdpr": 0}, // invented countries must not keep segments back
		})
		if err != nil {
			panic(err) // maps of strings always encode
		}
		all = append(all, body)
	}
	return all
}

// systems are what stands in the parentheses of a user agent.
var systems = map[string]string{
	"windows":  "Windows NT 10.0; Win64; x64",
	"macos":    "Macintosh; Intel Mac OS X 10_15_7",
	"linux":    "X11; Linux x86_64",
	"android":  "Linux; Android 10; K",
	"ios":      "iPhone; CPU iPhone OS 18_6 like Mac OS X",
	"chromeos": "X11; CrOS x86_64 14541.0.0",
	"other":    "PlayStation; PlayStation 5/12.00",
}

// browsers are what stands behind them, with a version in its place.
var browsers = map[string]string{
	"chrome":  "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/%d.0.0.0 Safari/537.36",
	"edge":    "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Edg/%d.0.0.0",
	"opera":   "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 OPR/%d.0.0.0",
	"samsung": "AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/%d.0 Chrome/130.0.0.0 Mobile Safari/537.36",
	"webview": "AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/%d.0.7339.51 Mobile Safari/537.36",
	"firefox": "Gecko/20100101 Firefox/%d.0",
	"safari":  "AppleWebKit/605.1.15 (KHTML, like Gecko) Version/%d.6 Safari/605.1.15",
	"other":   "Odd/%d",
}

// agent is a browser that shows the system and the browser that the workload
// drew, in one of thirty versions; without a system it says nothing.
func agent(r workload.Request, i int) string {
	if r.OS == "" {
		return ""
	}
	return fmt.Sprintf("Mozilla/5.0 ("+systems[r.OS]+") "+browsers[r.Browser], 110+i%30)
}

// address is one that the fixture's geography places in the request's country
// and region. Whoever looks it up may look at its first three bytes only.
func address(r workload.Request) net.IP {
	return net.IPv4(100+region(r)-'0', r.Country[0], r.Country[1], 7).To4()
}

// region is the digit behind the country in an ISO 3166-2 code of the workload.
func region(r workload.Request) byte { return r.Region[len(r.Region)-1] }

// writeGeography makes the MaxMind file that belongs to address.
func writeGeography(path string, requests []workload.Request) (err error) {
	tree, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: "GeoLite2-City", RecordSize: 24, IncludeReservedNetworks: true})
	if err != nil {
		return err
	}
	for _, r := range requests {
		network := &net.IPNet{IP: address(r).Mask(net.CIDRMask(24, 32)), Mask: net.CIDRMask(24, 32)}
		place := mmdbtype.Map{
			"country":      mmdbtype.Map{"iso_code": mmdbtype.String(r.Country[:])},
			"subdivisions": mmdbtype.Slice{mmdbtype.Map{"iso_code": mmdbtype.String([]byte{region(r)})}},
		}
		if err := tree.Insert(network, place); err != nil {
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
