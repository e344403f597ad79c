package catalog

import (
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"

	"github.com/hayate-ads/hayate/delivery/target"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/rule"
	"github.com/hayate-ads/hayate/internal/snapshot"
)

// placements finds a placement by id: open addressing over a table at most half
// full, because every request comes by here and a Go map takes four times as long.
type placements struct {
	table []*Placement // a power of two long
	shift int
}

func newPlacements(all []Placement) placements {
	size := bits.Len(uint(2*len(all) + 1))
	p := placements{table: make([]*Placement, 1<<size), shift: 64 - size}
	for i := range all {
		at := p.home(all[i].ID)
		for p.table[at] != nil {
			at = (at + 1) & (len(p.table) - 1)
		}
		p.table[at] = &all[i]
	}
	return p
}

// home multiplies by 2^64 over the golden ratio, which spreads ids that follow
// one another, as ours do, without collisions.
func (p *placements) home(id ad.ID) int {
	return int(uint64(id) * 0x9e3779b97f4a7c15 >> p.shift)
}

// Placement finds a placement, nil when there is none of that id.
func (c *Catalog) Placement(id ad.ID) *Placement {
	p := &c.placements
	for at := p.home(id); ; at = (at + 1) & (len(p.table) - 1) {
		if found := p.table[at]; found == nil || found.ID == id {
			return found
		}
	}
}

func (k *compiler) addPlacements() error {
	c := k.catalog
	properties := make(map[ad.ID]*snapshot.Property, len(k.snapshot.Properties))
	for i := range k.snapshot.Properties {
		properties[k.snapshot.Properties[i].ID] = &k.snapshot.Properties[i]
	}
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
		all[i].Supply = c.Index.Supply(k.slot(&all[i], property))
	}
	c.placements = newPlacements(all)
	return nil
}

func (k *compiler) placement(from *snapshot.Placement, property *snapshot.Property, floors floors) (p Placement, err error) {
	p = Placement{
		Placement: k.detached(from), Publisher: property.Publisher, Domain: k.own(property.Domain), Share: uint16(property.RevenueShare),
		BlockedCategories: k.categories.among(from.BlockedCategories), Shapes: k.shapesFor(from),
	}
	if p.BlockedAttributes, err = bitsOf("placement", from.ID, from.BlockedAttributes); err != nil {
		return p, err
	}
	p.MinValue, err = floors.of(from)
	return p, err
}

// own is the same text outside of the snapshot's memory, once for all who have it.
func (k *compiler) own(text string) string {
	own, known := k.owned[text]
	if !known {
		own = strings.Clone(text)
		k.owned[own] = own
	}
	return own
}

// detached shares no memory with the snapshot's; advertisers come in order.
func (k *compiler) detached(from *snapshot.Placement) snapshot.Placement {
	p := *from
	p.Formats = slices.Clone(p.Formats)
	for i := range p.Formats {
		p.Formats[i] = constant(p.Formats[i])
	}
	p.Sizes = slices.Clone(p.Sizes)
	p.FloorCurrency, p.Position = k.own(p.FloorCurrency), k.own(p.Position)
	p.BlockedAdvertisers = slices.Clone(p.BlockedAdvertisers)
	slices.Sort(p.BlockedAdvertisers)
	p.BlockedCategories = slices.Clone(p.BlockedCategories)
	for i := range p.BlockedCategories {
		p.BlockedCategories[i] = k.own(p.BlockedCategories[i])
	}
	p.BlockedAttributes = slices.Clone(p.BlockedAttributes)
	return p
}

// slot is what targeting may ask of a placement.
func (k *compiler) slot(p *Placement, property *snapshot.Property) target.Slot {
	slot := target.Slot{Shapes: p.Shapes}
	add := func(d rule.Dimension, text string) {
		if text != "" {
			slot.Values = append(slot.Values, target.Value{Dimension: d, Text: k.own(text)})
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
func (k *compiler) shapesFor(p *snapshot.Placement) []uint16 {
	var found []uint16
	for _, format := range p.Formats {
		for _, size := range p.Sizes {
			if number, known := k.shapes[Shape{format, size.Width, size.Height}]; known {
				found = append(found, number)
			}
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}
