// Package snapshottest makes snapshots for tests.
package snapshottest

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/rule"
	"github.com/hayate-ads/hayate/internal/snapshot"
)

// Start is when generation 0 would have been made; each generation is a second younger.
var Start = time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)

// Make returns a valid snapshot with n line items, two creatives each, and as
// many advertisers, properties and placements as go with them. Equal arguments
// make equal snapshots.
func Make(generation uint64, n int) *snapshot.Snapshot {
	s := &snapshot.Snapshot{
		Generation: generation,
		CreatedAt:  Start.Add(time.Duration(generation) * time.Second),
		Currency:   "USD",
		FX:         []snapshot.ExchangeRate{{Currency: "EUR", Value: 1_083_200}, {Currency: "JPY", Value: 6_700}},
		Rates:      snapshot.Rates{Click: 1000, Conversion: 20_000},
		Values:     new(rule.Table),
	}
	zones := []string{"Asia/Tokyo", "UTC", "America/New_York"}
	for i := 1; i <= (n+9)/10; i++ {
		s.Advertisers = append(s.Advertisers, snapshot.Advertiser{ID: ad.ID(i * 3), Domain: fmt.Sprintf("brand%d.example", i), TimeZone: zones[i%3]})
		s.Properties = append(s.Properties, property(i))
		s.Placements = append(s.Placements, placement(i))
	}
	for i := 1; i <= n; i++ {
		s.LineItems = append(s.LineItems, lineItem(s, i))
		s.Creatives = append(s.Creatives, banner(i), html(i))
	}
	s.SortValues()
	return s
}

func property(i int) snapshot.Property {
	p := snapshot.Property{ID: ad.ID(i), Publisher: ad.ID(i%7 + 1), Kind: ad.Site, Domain: fmt.Sprintf("news%d.example", i), RevenueShare: 7000}
	if i%2 == 0 {
		p.Categories = []string{"iab1/IAB12", "iab1/IAB17"}
	}
	return p
}

func placement(i int) snapshot.Placement {
	p := snapshot.Placement{
		ID: ad.ID(i * 5), Property: ad.ID(i), Floor: money.Micros(i%4) * money.Unit / 4,
		FloorCurrency: [...]string{"USD", "USD", "EUR", "JPY"}[i%4], AuctionType: ad.AuctionType(i%2 + 1),
		Position: [...]string{"", "above_fold", "sidebar"}[i%3],
		Formats:  []ad.Format{ad.Banner, ad.HTML}, Sizes: []ad.Size{{Width: 300, Height: 250}, {Width: 728, Height: 90}},
	}
	if i%3 == 0 {
		p.BlockedAdvertisers = []ad.ID{3, 4, 900}
		p.BlockedCategories, p.BlockedAttributes = []string{"iab1/IAB26", "iab1/IAB7-39"}, []uint8{1, 3, 8}
	}
	return p
}

func lineItem(s *snapshot.Snapshot, i int) snapshot.LineItem {
	l := snapshot.LineItem{
		ID: ad.ID(i * 2), Campaign: ad.ID((i+4)/5 + 1), Advertiser: ad.ID((i+9)/10) * 3,
		Tier: ad.Tier(i%4 + 1), CostType: ad.CPM, Cost: money.Micros(i%500+1) * money.Unit / 100,
		Weight: i%5 + 1, StartsAt: Start.Add(time.Duration(i%100) * time.Hour), Targeting: s.Values.Pack(targeting(i)),
	}
	if l.Tier == ad.Guaranteed {
		l.Urgency = 1000 + i%3*250
	}
	switch i % 11 {
	case 0:
		l.Roadblock, l.Labels = ad.AllOrNone, []string{"cars"}
	case 5:
		l.Roadblock, l.Labels = ad.OnlyOne, []string{"banks", "insurance"}
	}
	if i%2 == 0 {
		l.EndsAt = l.StartsAt.Add(30*24*time.Hour + time.Microsecond)
	}
	return l
}

func targeting(i int) rule.Rule {
	countries := [...]string{"BR", "DE", "FR", "GB", "IN", "JP", "KR", "US"}
	first := rule.Conjunction{
		{Dimension: rule.Country, Values: countries[i%4 : i%4+1+i%5]},
		{Dimension: rule.DeviceType, Values: []string{"desktop", "mobile"}},
		{Dimension: rule.Keyword, Exclude: true, Values: []string{"section=politics"}},
	}
	switch i % 5 {
	case 0: // matches everything
		return rule.Rule{Conjunctions: []rule.Conjunction{nil}}
	case 1:
		return rule.Rule{Conjunctions: []rule.Conjunction{first, {
			{Dimension: rule.Placement, Values: []string{strconv.Itoa(i%50*5 + 5)}},
			{Dimension: rule.Keyword, Values: []string{"k=" + strconv.Itoa(i%1000)}},
			{Dimension: rule.Keyword, Values: []string{"z=1", "z=2"}},
		}}}
	}
	return rule.Rule{Conjunctions: []rule.Conjunction{first}}
}

func banner(i int) snapshot.Creative {
	sum := sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(i%1000)))
	c := snapshot.Creative{
		ID: ad.ID(i*2 - 1), LineItem: ad.ID(i * 2), Revision: i%3 + 1, Format: ad.Banner, Width: 300, Height: 250,
		LandingURL: fmt.Sprintf("https://brand%d.example/landing?item=%d", (i+9)/10, i),
		Image:      ad.Image{SHA256: hex.EncodeToString(sum[:]), Type: "image/png", Bytes: 20_000},
	}
	if i%6 == 0 {
		c.Categories, c.Attributes = []string{"iab1/IAB17"}, []uint8{3, 8}
	}
	return c
}

func html(i int) snapshot.Creative {
	return snapshot.Creative{
		ID: ad.ID(i * 2), LineItem: ad.ID(i * 2), Revision: 1, Format: ad.HTML, Width: 728, Height: 90,
		LandingURL: fmt.Sprintf("https://brand%d.example/", (i+9)/10),
		Markup:     fmt.Sprintf(`<a href="${CLICK_URL}">疾風 %d</a>`, i%100),
	}
}

// Seal makes the size and checksum of a snapshot's file true again after its
// content was changed on purpose. The file is changed in place and returned.
func Seal(file []byte) []byte {
	const header, trailer = 40, sha256.Size
	if len(file) < header+trailer {
		return file
	}
	binary.LittleEndian.PutUint64(file[16:], uint64(len(file)))
	sum := sha256.Sum256(file[:len(file)-trailer])
	copy(file[len(file)-trailer:], sum[:])
	return file
}
