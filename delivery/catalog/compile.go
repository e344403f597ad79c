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
		labels:      newNumbers("labels"),
		categories:  newNumbers("categories"),
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
	advertisers map[ad.ID]advertiser
	items       map[ad.ID]int // places in catalog.LineItems
	shapes      map[shape]uint16
	labels      *numbers
	categories  *numbers
}

type advertiser struct {
	domain string
	zone   uint16
}

// shape is what a creative needs of a placement and a placement offers.
type shape struct {
	format        ad.Format
	width, height int
}

func (k *compiler) addAdvertisers() error {
	zones := make(map[string]uint16)
	for i := range k.snapshot.Advertisers {
		a := &k.snapshot.Advertisers[i]
		zone, known := zones[a.TimeZone]
		if !known {
			location, err := time.LoadLocation(a.TimeZone)
			if err != nil {
				return fmt.Errorf("time zone of advertiser %d: %w", a.ID, err)
			}
			if len(k.catalog.zones) > math.MaxUint16 {
				return fmt.Errorf("there are more than %d time zones", math.MaxUint16+1)
			}
			zone = uint16(len(k.catalog.zones))
			zones[a.TimeZone] = zone
			k.catalog.zones = append(k.catalog.zones, location)
		}
		k.advertisers[a.ID] = advertiser{a.Domain, zone}
	}
	return nil
}

func (k *compiler) addLineItems() (err error) {
	c := k.catalog
	c.LineItems = make([]LineItem, len(k.snapshot.LineItems))
	for i := range k.snapshot.LineItems {
		if c.LineItems[i], err = k.lineItem(&k.snapshot.LineItems[i]); err != nil {
			return err
		}
	}
	slices.SortFunc(c.LineItems, byRank)
	k.group()
	for i := range c.LineItems {
		k.items[c.LineItems[i].ID] = i
	}
	return nil
}

func (k *compiler) lineItem(from *snapshot.LineItem) (LineItem, error) {
	of, ok := k.advertisers[from.Advertiser]
	if !ok {
		return LineItem{}, fmt.Errorf("line item %d is of advertiser %d, which is not there", from.ID, from.Advertiser)
	}
	if from.Tier < ad.Sponsorship || from.Tier > ad.House || from.Cost < 0 {
		return LineItem{}, fmt.Errorf("line item %d has tier %d and a cost of %v", from.ID, from.Tier, from.Cost)
	}
	roadblock := slices.Index(roadblocks[:], from.Roadblock)
	if roadblock < 0 {
		return LineItem{}, fmt.Errorf("line item %d has an unknown roadblock, %.20q", from.ID, string(from.Roadblock))
	}
	value, err := valueOf(from, k.snapshot.Rates)
	if err != nil {
		return LineItem{}, err
	}
	labels, err := k.labels.list(from.Labels, itself)
	if err != nil {
		return LineItem{}, err
	}
	item := LineItem{
		ID: from.ID, Campaign: from.Campaign, Advertiser: from.Advertiser,
		Cost: from.Cost, Value: value, StartsAt: from.StartsAt.UnixMicro(), EndsAt: math.MaxInt64,
		Slot: k.book.Slot(from.ID), Labels: labels, Targeting: from.Targeting,
		Urgency: int32(min(max(from.Urgency, 0), math.MaxInt32)), Weight: uint16(min(max(from.Weight, 1), ad.MaxWeight)),
		Zone: of.zone, Tier: from.Tier,
		costType: uint8(slices.Index(costTypes[:], from.CostType)), roadblock: uint8(roadblock),
	}
	if from.CostType == ad.CPM {
		item.Price = money.PerImpression(from.Cost)
	}
	if !from.EndsAt.IsZero() {
		item.EndsAt = from.EndsAt.UnixMicro()
	}
	return item, nil
}

// worth is what decides between line items of one tier: how urgent a guaranteed
// one is, what one of the auction is expected to bring. Sponsorships are equal,
// and so are house ads; their weights decide between them, request by request.
func (l *LineItem) worth() int64 {
	switch l.Tier {
	case ad.Guaranteed:
		return int64(l.Urgency)
	case ad.Auction:
		return int64(l.Value)
	}
	return 0
}

func byRank(a, b LineItem) int {
	return cmp.Or(cmp.Compare(a.Tier, b.Tier), cmp.Compare(b.worth(), a.worth()), cmp.Compare(a.ID, b.ID))
}

// group finds the ends of tiers and the groups of equal rank.
func (k *compiler) group() {
	c := k.catalog
	for i := range c.LineItems {
		item := &c.LineItems[i]
		if i == 0 || item.Tier != c.LineItems[i-1].Tier || item.worth() != c.LineItems[i-1].worth() {
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
	attributes, err := bitsOf(fmt.Sprintf("creative %d", from.ID), from.Attributes)
	if err != nil {
		return Creative{}, err
	}
	categories, err := k.categories.list(from.Categories, ancestors)
	if err != nil {
		return Creative{}, err
	}
	item := &k.catalog.LineItems[o.item]
	return Creative{
		ID: from.ID, Attributes: attributes, Categories: categories, Shape: o.shape, Revision: from.Revision,
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
		items[i] = target.Item{Rule: from.Targeting, Zone: int(from.Zone), Shapes: shapesOf(from.Creatives)}
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
	floors, err := newFloors(k.snapshot)
	if err != nil {
		return err
	}
	all := make([]Placement, len(k.snapshot.Placements))
	for i := range all {
		from := &k.snapshot.Placements[i]
		property := properties[from.Property]
		if property == nil {
			return fmt.Errorf("placement %d is of property %d, which is not there", from.ID, from.Property)
		}
		if all[i], err = k.placement(from, property, floors); err != nil {
			return err
		}
		all[i].Supply = c.Index.Supply(slotOf(&all[i], property), dense)
	}
	c.placements = newPlacements(all)
	return nil
}

func (k *compiler) placement(from *snapshot.Placement, property *snapshot.Property, floors floors) (p Placement, err error) {
	p = Placement{
		Placement: *from, Publisher: property.Publisher, Domain: property.Domain,
		BlockedCategories: k.categories.among(from.BlockedCategories), Shapes: k.shapesFor(*from),
	}
	p.BlockedAdvertisers = slices.Clone(p.BlockedAdvertisers)
	slices.Sort(p.BlockedAdvertisers)
	if p.BlockedAttributes, err = bitsOf(fmt.Sprintf("placement %d", from.ID), from.BlockedAttributes); err != nil {
		return p, err
	}
	p.MinValue, err = floors.of(from)
	return p, err
}

// slotOf is what targeting may ask of a placement.
func slotOf(p *Placement, property *snapshot.Property) target.Slot {
	slot := target.Slot{Shapes: p.Shapes}
	add := func(d rule.Dimension, text string) {
		if text != "" {
			slot.Values = append(slot.Values, target.Value{Dimension: d, Text: text})
		}
	}
	add(rule.Placement, strconv.FormatInt(int64(p.ID), 10))
	add(rule.Property, strconv.FormatInt(int64(p.Property), 10))
	add(rule.Publisher, strconv.FormatInt(int64(p.Publisher), 10))
	add(hostOf(property.Kind == ad.App, property.Domain))
	add(rule.InventoryKind, string(property.Kind))
	for _, category := range property.Categories {
		add(rule.Category, category)
	}
	add(rule.Position, p.Position)
	for _, size := range p.Sizes {
		add(rule.Size, strconv.Itoa(size.Width)+"x"+strconv.Itoa(size.Height))
	}
	for _, format := range p.Formats {
		add(rule.Format, string(format))
	}
	return slot
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
