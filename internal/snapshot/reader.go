package snapshot

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"
	"unicode/utf8"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/rule"
)

// reader decodes one section. After a failure it reads zeros, so that callers
// look at failure once an item instead of once a field.
type reader struct {
	b        []byte
	at       int // what of b is read; a number, since moving a slice costs a write barrier each time
	strings  []string
	promised int    // bytes of b that the totals read so far will need at least
	failure  string // what was wrong first; "": nothing yet
}

func (r *reader) fail(format string, args ...any) {
	if r.failure == "" {
		r.failure = fmt.Sprintf(format, args...)
	}
	r.at = len(r.b)
}

// left is how many bytes are not read yet.
func (r *reader) left() int { return len(r.b) - r.at }

// end wants everything read.
func (r *reader) end() {
	if r.failure == "" && r.left() > 0 {
		r.fail("%d bytes too many", r.left())
	}
}

func (r *reader) byte() byte {
	if r.at >= len(r.b) {
		r.fail("it ends too early")
		return 0
	}
	c := r.b[r.at]
	r.at++
	return c
}

func (r *reader) uint() uint64 {
	if r.at < len(r.b) && r.b[r.at] < 0x80 { // most numbers: counts, differences, frequent strings
		r.at++
		return uint64(r.b[r.at-1])
	}
	u, n := binary.Uvarint(r.b[r.at:])
	if n <= 0 {
		r.fail("it ends too early, or in a number without end")
		return 0
	}
	r.at += n
	return u
}

func (r *reader) int() int64 {
	u := r.uint()
	return int64(u>>1) ^ -int64(u&1)
}

// count reads how many things follow, each of at least least bytes: no count
// beyond what the rest can hold is believed, so none makes us allocate for it.
func (r *reader) count(what string, least int) int {
	u := r.uint()
	if u > uint64(r.left()/least) {
		r.fail("claims %d %s in %d bytes", u, what, r.left())
		return 0
	}
	return int(u)
}

// total is count for totals, several of which share the rest of the section.
func (r *reader) total(what string, least int) int {
	u, rest := r.uint(), max(0, r.left()-r.promised)
	if u > uint64(rest/least) {
		r.fail("claims %d %s in %d bytes", u, what, rest)
		return 0
	}
	r.promised += int(u) * least
	return int(u)
}

func (r *reader) id(before ad.ID) ad.ID { return before + ad.ID(r.int()) }

func (r *reader) text() string {
	u := r.uint()
	if u >= uint64(len(r.strings)) {
		r.fail("string %d of %d", u, len(r.strings))
		return ""
	}
	return r.strings[u]
}

var (
	firstTime = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()
	lastTime  = time.Date(9999, 12, 31, 23, 59, 59, 999_999_000, time.UTC).UnixMicro()
)

func (r *reader) time() time.Time {
	u := r.uint()
	if u == 0 {
		return time.Time{}
	}
	u--
	micros := int64(u>>1) ^ -int64(u&1)
	if micros < firstTime || micros > lastTime {
		r.fail("a time outside the years 1 to 9999")
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}

// take cuts n elements off slab, the room made for the announced total.
func take[T any](r *reader, slab *[]T, n int) []T {
	if n > len(*slab) {
		r.fail("holds more than the total it announced")
		return nil
	}
	if n == 0 {
		return nil
	}
	taken := (*slab)[:n:n]
	*slab = (*slab)[n:]
	return taken
}

// readTable makes one string of the whole section, of which all others are parts.
func readTable(what string, section []byte) ([]string, error) {
	r := reader{b: section}
	list := make([]string, r.count("texts", 1))
	whole := string(section)
	for i := range list {
		n := r.count("bytes of a string", 1)
		if r.failure != "" {
			break
		}
		list[i] = whole[r.at : r.at+n]
		r.at += n
		if !utf8.ValidString(list[i]) {
			r.fail("text %d is not UTF-8", i)
		}
	}
	r.end()
	if r.failure != "" {
		return nil, refuse(BadContent, "%s: %s", what, r.failure)
	}
	return list, nil
}

// texts reads a list of strings into the room for all such lists.
func (r *reader) texts(what string, room *[]string) []string {
	list := take(r, room, r.count(what, 1))
	for i := range list {
		list[i] = r.text()
	}
	return list
}

// attributes reads a list of bytes.
func (r *reader) attributes(room *[]uint8) []uint8 {
	list := take(r, room, r.count("attributes", 1))
	r.at += copy(list, r.b[r.at:])
	return list
}

// used wants every room taken: what was announced is there.
func (r *reader) used(left ...int) {
	for _, n := range left {
		if n > 0 {
			r.fail("holds less than the total it announced")
		}
	}
}

func (r *reader) settings(s *Snapshot) {
	s.Currency = r.text()
	s.Rates.Click, s.Rates.Conversion = r.uint32("a rate"), r.uint32("a rate")
	s.FX = make([]ExchangeRate, r.total("exchange rates", 2))
	for i := range s.FX {
		s.FX[i] = ExchangeRate{Currency: r.text(), Value: money.Micros(r.int())}
	}
}

func (r *reader) uint32(what string) uint32 {
	u := r.uint()
	if u > math.MaxUint32 {
		r.fail("%s of more than 32 bits", what)
		return 0
	}
	return uint32(u)
}

func (r *reader) advertisers() []Advertiser {
	list := make([]Advertiser, r.total("advertisers", 3))
	var id ad.ID
	for i := range list {
		id = r.id(id)
		list[i] = Advertiser{ID: id, Domain: r.text(), TimeZone: r.text()}
		if r.failure != "" {
			return nil
		}
	}
	return list
}

func (r *reader) lineItems() []LineItem {
	list := make([]LineItem, r.total("line items", 13))
	words := make([]uint32, r.total("words of rules", 1))
	labels := make([]string, r.total("labels", 1))
	var id, campaign, advertiser ad.ID
	for i := range list {
		id, campaign, advertiser = r.id(id), r.id(campaign), r.id(advertiser)
		l := &list[i]
		l.ID, l.Campaign, l.Advertiser = id, campaign, advertiser
		l.Tier = ad.Tier(r.byte())
		l.CostType, l.Cost = ad.CostType(r.text()), money.Micros(r.int())
		l.Weight, l.Urgency = int(r.int()), int(r.int())
		l.Roadblock, l.Labels = ad.Roadblock(r.text()), r.texts("labels", &labels)
		l.StartsAt, l.EndsAt = r.time(), r.time()
		l.Targeting = r.rule(&words)
		if r.failure != "" {
			return nil
		}
	}
	r.used(len(words), len(labels))
	return list
}

// rule reads the words; [Check] looks at what they say.
func (r *reader) rule(room *[]uint32) rule.Packed {
	words := take(r, room, r.count("words of a rule", 1))
	for i := range words {
		words[i] = r.uint32("a word of a rule")
	}
	return words
}

func (r *reader) creatives() []Creative {
	list := make([]Creative, r.total("creatives", 13))
	categories := make([]string, r.total("categories", 1))
	attributes := make([]uint8, r.total("attributes", 1))
	var id, lineItem ad.ID
	for i := range list {
		id, lineItem = r.id(id), r.id(lineItem)
		c := &list[i]
		c.ID, c.LineItem = id, lineItem
		c.Revision = int(r.int())
		c.Format = ad.Format(r.text())
		c.Width, c.Height = int(r.int()), int(r.int())
		c.LandingURL = r.text()
		c.Image.SHA256, c.Image.Type, c.Image.Bytes = r.text(), r.text(), r.int()
		c.Markup = r.text()
		c.Categories, c.Attributes = r.texts("categories", &categories), r.attributes(&attributes)
		if r.failure != "" {
			return nil
		}
	}
	r.used(len(categories), len(attributes))
	return list
}

func (r *reader) properties() []Property {
	list := make([]Property, r.total("properties", 6))
	categories := make([]string, r.total("categories", 1))
	var id, publisher ad.ID
	for i := range list {
		id, publisher = r.id(id), r.id(publisher)
		list[i] = Property{ID: id, Publisher: publisher, Kind: ad.PropertyKind(r.text()), Domain: r.text(), RevenueShare: int(r.int())}
		list[i].Categories = r.texts("categories", &categories)
		if r.failure != "" {
			return nil
		}
	}
	r.used(len(categories))
	return list
}

// slots is the room for what all placements hold.
type slots struct {
	formats     []ad.Format
	sizes       []ad.Size
	advertisers []ad.ID
	categories  []string
	attributes  []uint8
}

func (r *reader) placements() []Placement {
	list := make([]Placement, r.total("placements", 11))
	room := slots{
		formats:     make([]ad.Format, r.total("formats", 1)),
		sizes:       make([]ad.Size, r.total("sizes", 2)),
		advertisers: make([]ad.ID, r.total("blocked advertisers", 1)),
		categories:  make([]string, r.total("blocked categories", 1)),
		attributes:  make([]uint8, r.total("blocked attributes", 1)),
	}
	var id, property ad.ID
	for i := range list {
		id, property = r.id(id), r.id(property)
		list[i].ID, list[i].Property = id, property
		r.placement(&list[i], &room)
		if r.failure != "" {
			return nil
		}
	}
	r.used(len(room.formats), len(room.sizes), len(room.advertisers), len(room.categories), len(room.attributes))
	return list
}

func (r *reader) placement(p *Placement, room *slots) {
	p.Floor, p.FloorCurrency = money.Micros(r.int()), r.text()
	p.AuctionType, p.Position = ad.AuctionType(r.byte()), r.text()
	p.Formats = take(r, &room.formats, r.count("formats", 1))
	for i := range p.Formats {
		p.Formats[i] = ad.Format(r.text())
	}
	p.Sizes = take(r, &room.sizes, r.count("sizes", 2))
	for i := range p.Sizes {
		p.Sizes[i] = ad.Size{Width: int(r.int()), Height: int(r.int())}
	}
	p.BlockedAdvertisers = take(r, &room.advertisers, r.count("blocked advertisers", 1))
	var id ad.ID
	for i := range p.BlockedAdvertisers {
		id = r.id(id)
		p.BlockedAdvertisers[i] = id
	}
	p.BlockedCategories, p.BlockedAttributes = r.texts("blocked categories", &room.categories), r.attributes(&room.attributes)
}
