package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"

	"github.com/hayate-ads/hayate/delivery/target/workload"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/rule"
	"github.com/hayate-ads/hayate/internal/snapshot"
)

var epoch = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

// publish writes a snapshot of the line items.
func publish(bucket string, items []workload.LineItem, requests []workload.Request) error {
	_, point, err := put(bucket, world(items, requests))
	return errors.Join(err, point())
}

// put writes a snapshot's object; point makes it the one in use.
func put(bucket string, s *snapshot.Snapshot) (object string, point func() error, err error) {
	file := snapshot.Append(nil, s)
	pointer := snapshot.PointTo(s, file)
	object, latest := filepath.Join(bucket, pointer.Key), filepath.Join(bucket, snapshot.PointerKey)
	return object, func() error {
		return errors.Join(os.WriteFile(latest+".new", pointer.JSON(), 0o644), os.Rename(latest+".new", latest))
	}, os.WriteFile(object, file, 0o644)
}

// world is what is published: the line items, and the placements that the
// requests name, one for each pair of site and size.
func world(items []workload.LineItem, requests []workload.Request) *snapshot.Snapshot {
	s := &snapshot.Snapshot{
		Generation: 1, CreatedAt: time.Now().UTC().Truncate(time.Microsecond), Currency: "USD", Values: new(rule.Table),
		Advertisers: []snapshot.Advertiser{{ID: 1, Domain: "advertiser.example", TimeZone: "UTC"}},
	}
	for i, item := range items {
		id, size := ad.ID(i+1), workload.Sizes[item.Size]
		s.LineItems = append(s.LineItems, snapshot.LineItem{ID: id, Campaign: 1, Advertiser: 1, Tier: ad.Auction, CostType: ad.CPM, Cost: item.CPM, Weight: 1, StartsAt: epoch, Targeting: s.Values.Pack(item.Rule)})
		s.Creatives = append(s.Creatives, snapshot.Creative{
			ID: id, LineItem: id, Revision: 1, Format: ad.Banner, Width: size.Width, Height: size.Height,
			LandingURL: fmt.Sprintf("https://advertiser.example/offers/%d", id),
			Image:      ad.Image{SHA256: fmt.Sprintf("%064x", id), Type: "image/jpeg", Bytes: 20_000},
		})
	}
	for site := ad.ID(1); site <= workload.Sites; site++ {
		s.Properties = append(s.Properties, snapshot.Property{ID: site, Publisher: 1, Kind: ad.Site, Domain: fmt.Sprintf("site-%d.example", site), RevenueShare: 7000})
	}
	named := make(map[ad.ID]bool)
	for _, r := range requests {
		named[placementOf(r)] = true
	}
	for site := ad.ID(1); site <= workload.Sites; site++ {
		for size := range workload.Sizes {
			r := workload.Request{Site: site, Size: size}
			if id := placementOf(r); named[id] {
				s.Placements = append(s.Placements, snapshot.Placement{ID: id, Property: site, Formats: []ad.Format{ad.Banner}, Sizes: []ad.Size{workload.Sizes[size]}, FloorCurrency: "USD", AuctionType: ad.FirstPrice})
			}
		}
	}
	s.SortValues()
	return s
}

// placementOf is the placement of a site that has the request's size.
func placementOf(r workload.Request) ad.ID {
	return r.Site*ad.ID(len(workload.Sizes)) + ad.ID(r.Size)
}

// agents are browsers that show the device type and the system that the
// workload drew; what no browser is like goes out with an agent that says nothing.
var agents = map[string]string{
	"windows":  "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
	"macos":    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Safari/605.1.15",
	"linux":    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
	"android":  "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36",
	"ios":      "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1",
	"chromeos": "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
}

// bodies are the decision requests as a publisher's server would send them.
func bodies(requests []workload.Request) [][]byte {
	var all [][]byte
	for _, r := range requests {
		keywords := map[string][]string{}
		for _, keyword := range r.Keywords {
			key, value, _ := bytes.Cut(keyword, []byte("="))
			keywords[string(key)] = append(keywords[string(key)], string(value))
		}
		body, err := json.Marshal(map[string]any{
			"placements": []any{map[string]string{"id": fmt.Sprint(placementOf(r))}},
			"page":       map[string]string{"url": fmt.Sprintf("https://site-%d.example/2026/11/a-story.html", r.Site), "referrer": "https://search.example/"},
			"keywords":   keywords,
			"device":     map[string]string{"ua": agents[r.OS], "ip": address(r.Country).String()},
		})
		if err != nil {
			panic(err) // maps of strings always encode
		}
		all = append(all, body)
	}
	return all
}

// address is an address that the fixture's geography places in a country.
func address(country [2]byte) net.IP { return net.IPv4(100, country[0], country[1], 7).To4() }

// writeGeography makes the MaxMind file that belongs to address.
func writeGeography(path string, requests []workload.Request) (err error) {
	tree, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: "GeoLite2-Country", RecordSize: 24, IncludeReservedNetworks: true})
	if err != nil {
		return err
	}
	for _, r := range requests {
		network := &net.IPNet{IP: address(r.Country).Mask(net.CIDRMask(24, 32)), Mask: net.CIDRMask(24, 32)}
		country := mmdbtype.Map{"country": mmdbtype.Map{"iso_code": mmdbtype.String(r.Country[:])}}
		if err := tree.Insert(network, country); err != nil {
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
