package catalog

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/hayate-ads/hayate/delivery/lease"
	"github.com/hayate-ads/hayate/delivery/target"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/rule"
	"github.com/hayate-ads/hayate/internal/snapshot"
)

// maxDense bounds what placements' bitmaps may take, in bytes. Beyond it they
// keep to posting lists, which cost a request a few hundred nanoseconds more.
const maxDense = 64 << 20

// Compile makes a catalog from a snapshot, and resolves the line items' slots
// from book. No line item is live at first, and none eligible: call Tick, then
// SetLive and SetStopped for what the bank knows. It fails on content that no
// publisher of snapshots should have let through, naming it.
func Compile(s *snapshot.Snapshot, book *lease.Book) (*Catalog, error) {
	k := &compiler{
		snapshot: s, book: book,
		catalog:     &Catalog{Generation: s.Generation, CreatedAt: s.CreatedAt, Currency: s.Currency, Values: s.Values},
		advertisers: make(map[ad.ID]advertiser, len(s.Advertisers)),
		items:       make(map[ad.ID]int, len(s.LineItems)),
		shapes:      make(map[shape]uint16),
	}
	for _, step := range []func() error{k.addAdvertisers, k.addLineItems, k.addCreatives, k.addIndex, k.addPlacements} {
		if err := step(); err != nil {
			return nil, fmt.Errorf("catalog of generation %d: %w", s.Generation, err)
		}
	}
	k.catalog.state.init(k.catalog)
	return k.catalog, nil
}

// compiler is what only the compiling needs.
type compiler struct {
	snapshot    *snapshot.Snapshot
	book        *lease.Book
	catalog     *Catalog
	advertisers map[ad.ID]advertiser
	items       map[ad.ID]int // places in catalog.LineItems
	shapes      map[shape]uint16
}

type advertiser struct {
	domain string
	zone   int
}

// shape is what a creative needs of a placement and a placement offers.
type shape struct {
	format        ad.Format
	width, height int
}

func (k *compiler) addAdvertisers() error {
	zones := make(map[string]int)
	for i := range k.snapshot.Advertisers {
		a := &k.snapshot.Advertisers[i]
		zone, known := zones[a.TimeZone]
		if !known {
			location, err := time.LoadLocation(a.TimeZone)
			if err != nil {
				return fmt.Errorf("time zone of advertiser %d: %w", a.ID, err)
			}
			zone = len(k.catalog.zones)
			zones[a.TimeZone] = zone
			k.catalog.zones = append(k.catalog.zones, location)
		}
		k.advertisers[a.ID] = advertiser{a.Domain, zone}
	}
	return nil
}

func (k *compiler) addLineItems() error {
	c := k.catalog
	c.LineItems = make([]LineItem, len(k.snapshot.LineItems))
	for i := range k.snapshot.LineItems {
		from := &k.snapshot.LineItems[i]
		of, ok := k.advertisers[from.Advertiser]
		if !ok {
			return fmt.Errorf("line item %d is of advertiser %d, which is not there", from.ID, from.Advertiser)
		}
		if from.Tier < ad.Sponsorship || from.Tier > ad.House || from.Cost < 0 {
			return fmt.Errorf("line item %d has tier %d and a cost of %v", from.ID, from.Tier, from.Cost)
		}
		c.LineItems[i] = LineItem{
			ID: from.ID, Campaign: from.Campaign, Advertiser: from.Advertiser,
			Tier: from.Tier, CostType: from.CostType, Cost: from.Cost, Value: from.Cost, Price: money.PerImpression(from.Cost),
			Weight: max(from.Weight, 1), Urgency: from.Urgency,
			StartsAt: from.StartsAt.UnixMicro(), EndsAt: math.MaxInt64,
			Slot: k.book.Slot(from.ID), Targeting: from.Targeting, Zone: of.zone,
		}
		if !from.EndsAt.IsZero() {
			c.LineItems[i].EndsAt = from.EndsAt.UnixMicro()
		}
	}
	slices.SortFunc(c.LineItems, byRank)
	k.group()
	for i := range c.LineItems {
		k.items[c.LineItems[i].ID] = i
	}
	return nil
}

func byRank(a, b LineItem) int {
	return cmp.Or(cmp.Compare(a.Tier, b.Tier), cmp.Compare(b.Value, a.Value), cmp.Compare(a.ID, b.ID))
}

// group finds the ends of tiers and the groups of equal rank.
func (k *compiler) group() {
	c := k.catalog
	for i := range c.LineItems {
		item := &c.LineItems[i]
		if i == 0 || item.Tier != c.LineItems[i-1].Tier || item.Value != c.LineItems[i-1].Value {
			c.peers = append(c.peers, uint32(i))
		}
		item.peers = uint32(len(c.peers) - 1)
		c.tierEnds[item.Tier] = i + 1
	}
	c.peers = append(c.peers, uint32(len(c.LineItems)))
	for tier := range c.tierEnds[1:] {
		c.tierEnds[tier+1] = max(c.tierEnds[tier+1], c.tierEnds[tier])
	}
}

func (k *compiler) addCreatives() error {
	c := k.catalog
	order, err := k.orderCreatives()
	if err != nil {
		return err
	}
	c.Creatives = make([]Creative, len(order))
	from := 0
	for i, o := range order {
		if c.Creatives[i], err = k.creative(&k.snapshot.Creatives[o.from], o); err != nil {
			return err
		}
		c.Creatives[i].Index = i
		if i+1 == len(order) || order[i+1].item != o.item {
			c.LineItems[o.item].Creatives = c.Creatives[from : i+1 : i+1]
			from = i + 1
		}
	}
	return nil
}

// ordered is what decides a creative's place: sorting these and not the
// creatives themselves takes a third of the time.
type ordered struct {
	item  int // its line item's place
	shape uint16
	id    ad.ID
	from  int // in the snapshot
}

func (k *compiler) orderCreatives() ([]ordered, error) {
	order := make([]ordered, len(k.snapshot.Creatives))
	for i := range order {
		from := &k.snapshot.Creatives[i]
		item, ok := k.items[from.LineItem]
		if !ok {
			return nil, fmt.Errorf("creative %d is of line item %d, which is not there", from.ID, from.LineItem)
		}
		number, err := k.shape(shape{from.Format, from.Width, from.Height})
		if err != nil {
			return nil, err
		}
		order[i] = ordered{item, number, from.ID, i}
	}
	slices.SortFunc(order, func(a, b ordered) int {
		return cmp.Or(cmp.Compare(a.item, b.item), cmp.Compare(a.shape, b.shape), cmp.Compare(a.id, b.id))
	})
	return order, nil
}

func (k *compiler) creative(from *snapshot.Creative, o ordered) (Creative, error) {
	if !isLanding(from.LandingURL) {
		return Creative{}, fmt.Errorf("creative %d has a landing URL that is no place for a redirect", from.ID)
	}
	item := &k.catalog.LineItems[o.item]
	return Creative{
		ID: from.ID, Shape: o.shape, Revision: from.Revision,
		Format: from.Format, Width: from.Width, Height: from.Height,
		LandingURL: from.LandingURL, Image: from.Image, Markup: from.Markup,
		Domain: k.advertisers[item.Advertiser].domain, Campaign: item.Campaign,
		LineItem: from.LineItem, Advertiser: item.Advertiser,
	}, nil
}

// isLanding refuses what could break out of the header that a redirect is: the
// last look at a URL before it is signed.
func isLanding(url string) bool {
	if !strings.HasPrefix(url, "https://") && !strings.HasPrefix(url, "http://") {
		return false
	}
	return !strings.ContainsFunc(url, func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) })
}

func (k *compiler) shape(s shape) (uint16, error) {
	number, known := k.shapes[s]
	if !known {
		if len(k.shapes) > math.MaxUint16 {
			return 0, fmt.Errorf("creatives have more than %d kinds of format and size", math.MaxUint16+1)
		}
		number = uint16(len(k.shapes))
		k.shapes[s] = number
	}
	return number, nil
}

func (k *compiler) addIndex() (err error) {
	items := make([]target.Item, len(k.catalog.LineItems))
	for i := range items {
		from := &k.catalog.LineItems[i]
		items[i] = target.Item{Rule: from.Targeting, Zone: from.Zone, Shapes: shapesOf(from.Creatives)}
	}
	k.catalog.Index, err = target.New(items, k.snapshot.Values, k.catalog.zones)
	return err
}

// shapesOf expects creatives grouped by shape.
func shapesOf(creatives []Creative) []uint16 {
	shapes := make([]uint16, 0, len(creatives))
	for i := range creatives {
		shapes = append(shapes, creatives[i].Shape)
	}
	return slices.Compact(shapes)
}

func (k *compiler) addPlacements() error {
	c := k.catalog
	properties := make(map[ad.ID]*snapshot.Property, len(k.snapshot.Properties))
	for i := range k.snapshot.Properties {
		properties[k.snapshot.Properties[i].ID] = &k.snapshot.Properties[i]
	}
	dense := len(k.snapshot.Placements)*c.Index.Words()*8 <= maxDense
	all := make([]Placement, len(k.snapshot.Placements))
	for i := range all {
		p := &all[i]
		p.Placement = k.snapshot.Placements[i]
		property := properties[p.Property]
		if property == nil {
			return fmt.Errorf("placement %d is of property %d, which is not there", p.ID, p.Property)
		}
		p.Publisher, p.Domain = property.Publisher, property.Domain
		p.BlockedAdvertisers = slices.Clone(p.BlockedAdvertisers)
		slices.Sort(p.BlockedAdvertisers)
		p.Shapes = k.shapesFor(p.Placement)
		p.Supply = c.Index.Supply(slotOf(p), dense)
	}
	c.placements = newPlacements(all)
	return nil
}

// slotOf is what targeting may ask of a placement.
func slotOf(p *Placement) target.Slot {
	return target.Slot{Shapes: p.Shapes, Values: []target.Value{
		{Dimension: rule.Placement, Text: strconv.FormatInt(int64(p.ID), 10)},
		{Dimension: rule.Property, Text: strconv.FormatInt(int64(p.Property), 10)},
	}}
}

// shapesFor leaves out the shapes that no creative has.
func (k *compiler) shapesFor(p snapshot.Placement) []uint16 {
	var found []uint16
	for _, format := range p.Formats {
		for _, size := range p.Sizes {
			if number, known := k.shapes[shape{format, size.Width, size.Height}]; known {
				found = append(found, number)
			}
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}
