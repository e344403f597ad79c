package snapshot

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"time"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/rule"
)

// Append appends the file that holds s. Equal snapshots give equal bytes. It
// writes whatever it is given: [Check] first what is to be published.
func Append(dst []byte, s *Snapshot) []byte {
	start := len(dst)
	w := writer{b: dst, index: map[string]uint64{"": 0}, strings: []string{""}}
	w.header(s)
	w.section(tagSettings, func() { w.settings(s) })
	w.section(tagValues, func() { w.values(s.Values) })
	// Readers find sections by tag. Those with few, often repeated strings come
	// first, so that these get the small numbers.
	w.section(tagLineItems, func() { w.lineItems(s.LineItems) })
	w.section(tagPlacements, func() { w.placements(s.Placements) })
	w.section(tagProperties, func() { w.properties(s.Properties) })
	w.section(tagAdvertisers, func() { w.advertisers(s.Advertisers) })
	w.section(tagCreatives, func() { w.creatives(s.Creatives) })
	// The others have filled the table.
	w.section(tagStrings, func() { w.table(len(w.strings), func(i int) string { return w.strings[i] }) })
	return seal(w.b, start)
}

// seal writes size and checksum of the file that begins at start.
func seal(b []byte, start int) []byte {
	binary.LittleEndian.PutUint64(b[start+sizeAt:], uint64(len(b)-start+trailerSize))
	sum := sha256.Sum256(b[start:])
	return append(b, sum[:]...)
}

// Same tells whether two whole files, which [Append] made, hold the same but for
// their generation and time of creation.
func Same(a, b []byte) bool {
	return len(a) == len(b) && len(a) >= minSize &&
		bytes.Equal(a[:generationAt], b[:generationAt]) &&
		bytes.Equal(a[headerSize:len(a)-trailerSize], b[headerSize:len(b)-trailerSize])
}

// writer gathers every distinct string once; the sections refer to them by number.
type writer struct {
	b       []byte
	index   map[string]uint64
	strings []string
}

func (w *writer) header(s *Snapshot) {
	w.b = append(w.b, magic...)
	w.b = binary.LittleEndian.AppendUint32(w.b, Version)
	w.b = binary.LittleEndian.AppendUint32(w.b, WriteMin)
	w.b = binary.LittleEndian.AppendUint64(w.b, 0) // size, known at the end
	w.b = binary.LittleEndian.AppendUint64(w.b, s.Generation)
	w.b = binary.LittleEndian.AppendUint64(w.b, uint64(s.CreatedAt.UnixMicro()))
}

func (w *writer) section(tag byte, content func()) {
	w.b = append(w.b, tag)
	at := len(w.b)
	w.b = binary.LittleEndian.AppendUint64(w.b, 0)
	content()
	binary.LittleEndian.PutUint64(w.b[at:], uint64(len(w.b)-at-8))
}

func (w *writer) count(n int) { w.b = binary.AppendUvarint(w.b, uint64(n)) }
func (w *writer) int(n int64) { w.b = binary.AppendVarint(w.b, n) }

// id writes the difference to the id before it, which is small in sorted lists,
// and returns id for the next call.
func (w *writer) id(id, before ad.ID) ad.ID {
	w.int(int64(id - before))
	return id
}

func (w *writer) text(s string) {
	n, known := w.index[s]
	if !known {
		n = uint64(len(w.strings))
		w.index[s] = n
		w.strings = append(w.strings, s)
	}
	w.b = binary.AppendUvarint(w.b, n)
}

// time writes 0 for the zero time, so that an open end needs no flag.
func (w *writer) time(t time.Time) {
	if t.IsZero() {
		w.b = append(w.b, 0)
		return
	}
	micros := t.UnixMicro()
	zigzag := uint64(micros)<<1 ^ uint64(micros>>63)
	w.b = binary.AppendUvarint(w.b, zigzag+1)
}

func (w *writer) texts(list []string) {
	w.count(len(list))
	for _, s := range list {
		w.text(s)
	}
}

// table writes n strings themselves.
func (w *writer) table(n int, text func(i int) string) {
	w.count(n)
	for i := range n {
		s := text(i)
		w.count(len(s))
		w.b = append(w.b, s...)
	}
}

// values have a table of their own: a number of a rule is a number of it.
func (w *writer) values(t *rule.Table) {
	w.table(t.Len(), func(i int) string { return t.Text(uint32(i)) })
}

func (w *writer) settings(s *Snapshot) {
	w.text(s.Currency)
	w.count(int(s.Rates.Click))
	w.count(int(s.Rates.Conversion))
	w.count(len(s.FX))
	for _, r := range s.FX {
		w.text(r.Currency)
		w.int(int64(r.Value))
	}
}

func (w *writer) advertisers(list []Advertiser) {
	w.count(len(list))
	var id ad.ID
	for i := range list {
		a := &list[i]
		id = w.id(a.ID, id)
		w.text(a.Domain)
		w.text(a.TimeZone)
	}
}

// lineItems writes the totals of what the items hold first, so that a reader
// can make room for all of them at once.
func (w *writer) lineItems(list []LineItem) {
	words, labels := 0, 0
	for i := range list {
		words += len(list[i].Targeting)
		labels += len(list[i].Labels)
	}
	w.count(len(list))
	w.count(words)
	w.count(labels)
	var id, campaign, advertiser ad.ID
	for i := range list {
		l := &list[i]
		id = w.id(l.ID, id)
		campaign = w.id(l.Campaign, campaign)
		advertiser = w.id(l.Advertiser, advertiser)
		w.b = append(w.b, byte(l.Tier))
		w.text(string(l.CostType))
		w.int(int64(l.Cost))
		w.int(int64(l.Weight))
		w.int(int64(l.Urgency))
		w.text(string(l.Roadblock))
		w.texts(l.Labels)
		w.time(l.StartsAt)
		w.time(l.EndsAt)
		w.rule(l.Targeting)
	}
}

// rule writes a packed rule as it is: its words are small numbers but for the
// heads, whose low byte comes first in a varint.
func (w *writer) rule(p rule.Packed) {
	w.count(len(p))
	for _, word := range p {
		w.b = binary.AppendUvarint(w.b, uint64(word))
	}
}

func (w *writer) creatives(list []Creative) {
	categories, attributes := 0, 0
	for i := range list {
		categories += len(list[i].Categories)
		attributes += len(list[i].Attributes)
	}
	w.count(len(list))
	w.count(categories)
	w.count(attributes)
	var id, lineItem ad.ID
	for i := range list {
		c := &list[i]
		id = w.id(c.ID, id)
		lineItem = w.id(c.LineItem, lineItem)
		w.int(int64(c.Revision))
		w.text(string(c.Format))
		w.int(int64(c.Width))
		w.int(int64(c.Height))
		w.text(c.LandingURL)
		w.text(c.Image.SHA256)
		w.text(c.Image.Type)
		w.int(c.Image.Bytes)
		w.text(c.Markup)
		w.texts(c.Categories)
		w.attributes(c.Attributes)
	}
}

func (w *writer) attributes(list []uint8) {
	w.count(len(list))
	w.b = append(w.b, list...)
}

func (w *writer) properties(list []Property) {
	categories := 0
	for i := range list {
		categories += len(list[i].Categories)
	}
	w.count(len(list))
	w.count(categories)
	var id, publisher ad.ID
	for i := range list {
		p := &list[i]
		id = w.id(p.ID, id)
		publisher = w.id(p.Publisher, publisher)
		w.text(string(p.Kind))
		w.text(p.Domain)
		w.int(int64(p.RevenueShare))
		w.texts(p.Categories)
	}
}

func (w *writer) placements(list []Placement) {
	var formats, sizes, advertisers, categories, attributes int
	for i := range list {
		p := &list[i]
		formats += len(p.Formats)
		sizes += len(p.Sizes)
		advertisers += len(p.BlockedAdvertisers)
		categories += len(p.BlockedCategories)
		attributes += len(p.BlockedAttributes)
	}
	for _, total := range [...]int{len(list), formats, sizes, advertisers, categories, attributes} {
		w.count(total)
	}
	var id, property ad.ID
	for i := range list {
		p := &list[i]
		id = w.id(p.ID, id)
		property = w.id(p.Property, property)
		w.placement(p)
	}
}

func (w *writer) placement(p *Placement) {
	w.int(int64(p.Floor))
	w.text(p.FloorCurrency)
	w.b = append(w.b, byte(p.AuctionType))
	w.text(p.Position)
	w.count(len(p.Formats))
	for _, f := range p.Formats {
		w.text(string(f))
	}
	w.count(len(p.Sizes))
	for _, s := range p.Sizes {
		w.int(int64(s.Width))
		w.int(int64(s.Height))
	}
	w.count(len(p.BlockedAdvertisers))
	var id ad.ID
	for _, a := range p.BlockedAdvertisers {
		id = w.id(a, id)
	}
	w.texts(p.BlockedCategories)
	w.attributes(p.BlockedAttributes)
}
