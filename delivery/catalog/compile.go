package catalog

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/hayate-ads/hayate/delivery/lease"
	"github.com/hayate-ads/hayate/delivery/target"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/rule"
	"github.com/hayate-ads/hayate/internal/snapshot"
)

// Compile makes a catalog from a snapshot, and resolves the line items' slots
// from book. No line item is live at first, and none eligible: call SetStopped
// for what the bank knows, then Tick and Follow. It fails on content that no
// publisher of snapshots should have let through, naming it.
//
// Nothing of the catalog is part of the snapshot's memory. It works on one
// goroutine, for whoever compiles beside requests wants one quiet thread; and it
// works through large slabs, for what it leaves to the collector are processor
// cycles of those requests.
func Compile(s *snapshot.Snapshot, book *lease.Book) (*Catalog, error) {
	k := &compiler{
		snapshot: s, book: book,
		catalog: &Catalog{
			Generation: s.Generation, CreatedAt: s.CreatedAt, Currency: strings.Clone(s.Currency),
		},
		shapes:     make(map[Shape]uint16),
		owned:      make(map[string]string),
		labels:     newNumbers("labels"),
		categories: newNumbers("categories"),
	}
	for _, step := range []func() error{k.addAdvertisers, k.addLineItems, k.addCreatives, k.addIndex, k.addPlacements} {
		if err := step(); err != nil {
			return nil, fmt.Errorf("catalog of generation %d: %w", s.Generation, err)
		}
	}
	k.catalog.companions = companionsOf(k.catalog)
	k.catalog.state.init(k.catalog)
	return k.catalog, nil
}

// compiler is what only the compiling needs.
type compiler struct {
	snapshot    *snapshot.Snapshot
	book        *lease.Book
	catalog     *Catalog
	advertisers places
	ranks       []ranked // by place: where in the snapshot a line item is
	shapes      map[Shape]uint16
	shapeOf     []uint16 // by creative, as the snapshot has them
	texts       strings.Builder
	owned       map[string]string
	labels      *numbers
	categories  *numbers
}

// detached copies the texts of a table out of the snapshot they are parts of.
func detached(t *rule.Table) *rule.Table {
	var all strings.Builder
	size := 0
	for i := range t.Len() {
		size += len(t.Text(uint32(i)))
	}
	all.Grow(size)
	for i := range t.Len() {
		all.WriteString(t.Text(uint32(i)))
	}
	rest := all.String()
	texts := make([]string, t.Len())
	for i := range texts {
		n := len(t.Text(uint32(i)))
		texts[i], rest = rest[:n], rest[n:]
	}
	return rule.NewTable(texts)
}

func (k *compiler) addAdvertisers() error {
	from := k.snapshot.Advertisers
	zones := make(map[string]uint16)
	k.catalog.Advertisers = make([]Advertiser, len(from))
	for i := range from {
		zone, known := zones[from[i].TimeZone]
		if !known {
			location, err := time.LoadLocation(k.own(from[i].TimeZone))
			if err != nil {
				return fmt.Errorf("time zone of advertiser %d: %w", from[i].ID, err)
			}
			if len(k.catalog.zones) > math.MaxUint16 {
				return fmt.Errorf("there are more than %d time zones", math.MaxUint16+1)
			}
			zone = uint16(len(k.catalog.zones))
			zones[from[i].TimeZone] = zone
			k.catalog.zones = append(k.catalog.zones, location)
		}
		k.catalog.Advertisers[i] = Advertiser{from[i].ID, k.own(from[i].Domain), zone}
	}
	k.advertisers = newPlaces(len(from), k.advertiserID)
	return nil
}

func (k *compiler) advertiserID(place int) ad.ID { return k.catalog.Advertisers[place].ID }

func (k *compiler) addLineItems() error {
	c := k.catalog
	order, err := k.order()
	if err != nil {
		return err
	}
	c.LineItems = make([]LineItem, len(order))
	for from, to := range destinations(order) {
		if c.LineItems[to], err = k.lineItem(&k.snapshot.LineItems[from]); err != nil {
			return err
		}
	}
	k.group()
	k.ranks = order
	c.state.lineItems = newPlaces(len(c.LineItems), c.lineItemID)
	return nil
}

func (k *compiler) lineItem(from *snapshot.LineItem) (item LineItem, err error) {
	owner, ok := k.advertisers.find(from.Advertiser, k.advertiserID)
	if !ok {
		return item, fmt.Errorf("line item %d is of advertiser %d, which is not there", from.ID, from.Advertiser)
	}
	if from.Cost < 0 {
		return item, fmt.Errorf("line item %d has a cost of %v", from.ID, from.Cost)
	}
	roadblock := slices.Index(roadblocks[:], from.Roadblock)
	if roadblock < 0 {
		return item, fmt.Errorf("line item %d has an unknown roadblock, %.20q", from.ID, string(from.Roadblock))
	}
	item = LineItem{
		ID: from.ID, Campaign: from.Campaign, Advertiser: from.Advertiser, Owner: uint32(owner),
		Cost: from.Cost, StartsAt: from.StartsAt.UnixMicro(), EndsAt: math.MaxInt64,
		Slot:    k.book.Lend(from.ID),
		Urgency: urgency(from), Weight: uint16(min(max(from.Weight, 1), ad.MaxWeight)),
		Zone: k.catalog.Advertisers[owner].Zone, Tier: from.Tier,
		costType: uint8(slices.Index(costTypes[:], from.CostType)), roadblock: uint8(roadblock),
	}
	if item.Value, err = valueOf(from, k.snapshot.Rates); err != nil {
		return item, err
	}
	if from.CostType == ad.CPM {
		item.Price = money.PerImpression(from.Cost)
	}
	if !from.EndsAt.IsZero() {
		item.EndsAt = from.EndsAt.UnixMicro()
	}
	item.Labels, err = k.labels.list(from.Labels, itself)
	return item, err
}

func (k *compiler) addIndex() (err error) {
	c := k.catalog
	items := make([]target.Item, len(c.LineItems))
	shapes := make([]uint16, 0, len(c.Creatives)) // of all of them
	for i := range items {
		item, from := &c.LineItems[i], len(shapes)
		for j := range item.Creatives { // grouped by shape
			if shape := item.Creatives[j].Shape; len(shapes) == from || shapes[len(shapes)-1] != shape {
				shapes = append(shapes, shape)
			}
		}
		asks := k.snapshot.LineItems[k.ranks[i].from].Targeting
		items[i] = target.Item{Rule: asks, Zone: int(item.Zone), Shapes: shapes[from:len(shapes):len(shapes)]}
	}
	c.Index, err = target.New(items, detached(k.snapshot.Values), c.zones)
	return err
}
