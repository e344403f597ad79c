package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

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
