package catalog

import (
	"cmp"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hayate-ads/hayate/delivery/target"
	"github.com/hayate-ads/hayate/internal/ad"
)

// state is what of a catalog changes. Writers take mu; requests read the masks,
// the creatives' bits and the hours without it.
type state struct {
	servable target.Mask
	eligible target.Mask
	live     target.Mask
	halted   []atomic.Uint64 // a bit per creative: stopped
	hours    atomic.Pointer[target.Hours]

	mu          sync.Mutex
	flags       []flags   // per line item
	lineItems   directory // by line item …
	campaigns   directory // … and by what it belongs to
	advertisers directory
	creatives   directory
	changes     []change // in the order of time, from the first Tick on
	ticked      int64    // Unix microseconds of the last Tick
	minute      int64    // of which hours holds
}

// flags say why a line item is, or is not, eligible and live.
type flags uint8

const (
	inDate flags = 1 << iota
	leased
	stoppedItem
	stoppedCampaign
	stoppedAdvertiser
	aside // the bank is being asked for a lease, or has just refused one

	stopped = stoppedItem | stoppedCampaign | stoppedAdvertiser
)

// servable: in date and not stopped.
func (f flags) servable() bool { return f&(inDate|stopped) == inDate }
func (f flags) live() bool     { return f.servable() && f&leased != 0 }

// eligible leaves out what the bank has been asked for already: else a line item
// whose budget is spent would win every eligible scan, and hide those below it
// that could lease.
func (f flags) eligible() bool { return f.servable() && f&(leased|aside) != aside }

// change is a moment at which a line item comes into date or goes out of it.
type change struct {
	at   int64
	item uint32
}

func (s *state) init(c *Catalog) {
	n := len(c.LineItems)
	s.servable = make(target.Mask, c.Index.Words())
	s.eligible = make(target.Mask, c.Index.Words())
	s.live = make(target.Mask, c.Index.Words())
	s.halted = make([]atomic.Uint64, (len(c.Creatives)+63)/64)
	s.flags = make([]flags, n)
	s.ticked, s.minute = math.MinInt64, math.MinInt64
	s.lineItems = newDirectory(n, func(i int) ad.ID { return c.LineItems[i].ID })
	s.campaigns = newDirectory(n, func(i int) ad.ID { return c.LineItems[i].Campaign })
	s.advertisers = newDirectory(n, func(i int) ad.ID { return c.LineItems[i].Advertiser })
	s.creatives = newDirectory(len(c.Creatives), func(i int) ad.ID { return c.Creatives[i].ID })
}

// directory finds places by an id: sorted, at a sixth of a map's memory, for
// looking up what changes and not what is asked.
type directory struct {
	places []uint32 // in the order of their ids
	id     func(place int) ad.ID
}

func newDirectory(n int, id func(int) ad.ID) directory {
	type entry struct {
		id    ad.ID
		place uint32
	}
	entries := make([]entry, n)
	for i := range entries {
		entries[i] = entry{id(i), uint32(i)}
	}
	slices.SortFunc(entries, func(a, b entry) int { return cmp.Or(cmp.Compare(a.id, b.id), cmp.Compare(a.place, b.place)) })
	d := directory{places: make([]uint32, n), id: id}
	for i := range entries {
		d.places[i] = entries[i].place
	}
	return d
}

// all returns the places with that id.
func (d *directory) all(id ad.ID) []uint32 {
	compare := func(place uint32, id ad.ID) int { return cmp.Compare(d.id(int(place)), id) }
	from, _ := slices.BinarySearchFunc(d.places, id, compare)
	to := from
	for to < len(d.places) && d.id(int(d.places[to])) == id {
		to++
	}
	return d.places[from:to]
}

// find returns the first place with that id.
func (d *directory) find(id ad.ID) (int, bool) {
	if all := d.all(id); len(all) > 0 {
		return int(all[0]), true
	}
	return 0, false
}

// set changes one flag of a line item, and its rows' bits where that matters.
func (c *Catalog) set(item int, flag flags, value bool) {
	before := c.state.flags[item]
	after := before &^ flag
	if value {
		after |= flag
	}
	c.state.flags[item] = after
	from, to := c.Index.RowsOf(item)
	if before.servable() != after.servable() {
		c.state.servable.Set(from, to, after.servable())
	}
	if before.eligible() != after.eligible() {
		c.state.eligible.Set(from, to, after.eligible())
	}
	if before.live() != after.live() {
		c.state.live.Set(from, to, after.live())
	}
}

// Tick derives again what follows from the time: which line items are in date,
// and the hours of the week. Call it once before serving and then once a
// second, with bank time; it costs what has changed.
func (c *Catalog) Tick(now time.Time) {
	c.state.mu.Lock()
	defer c.state.mu.Unlock()
	at := now.UnixMicro()
	if at < c.state.ticked || c.state.ticked == math.MinInt64 {
		c.dateAll(at)
	}
	due := 0
	for due < len(c.state.changes) && c.state.changes[due].at <= at {
		c.date(int(c.state.changes[due].item), at)
		due++
	}
	c.state.changes = c.state.changes[due:]
	c.state.ticked = at
	// Zones are whole minutes off UTC, so no hour begins between two minutes.
	if minute := at / time.Minute.Microseconds(); minute != c.state.minute {
		c.state.minute = minute
		c.state.hours.Store(c.Index.HoursAt(now))
	}
}

// dateAll starts over: the first time, or when the clock was set back.
func (c *Catalog) dateAll(at int64) {
	c.state.changes = nil
	for i := range c.LineItems {
		c.date(i, at)
		for _, moment := range []int64{c.LineItems[i].StartsAt, c.LineItems[i].EndsAt} {
			if moment > at && moment != math.MaxInt64 {
				c.state.changes = append(c.state.changes, change{moment, uint32(i)})
			}
		}
	}
	slices.SortFunc(c.state.changes, func(a, b change) int { return cmp.Compare(a.at, b.at) })
}

func (c *Catalog) date(item int, at int64) {
	c.set(item, inDate, c.LineItems[item].StartsAt <= at && at < c.LineItems[item].EndsAt)
}

// SetLive says whether this process has a lease for the line item. Unknown ids
// are ignored: a lease may outlive its line item's stay in the snapshot.
func (c *Catalog) SetLive(lineItem ad.ID, live bool) {
	c.state.mu.Lock()
	defer c.state.mu.Unlock()
	if item, ok := c.state.lineItems.find(lineItem); ok {
		c.set(item, leased, live)
	}
}

// SetAside says whether the bank is being asked for a lease of the line item, or
// has just refused one, its budget being spent for instance; false when it may be
// asked again.
func (c *Catalog) SetAside(lineItem ad.ID, value bool) {
	c.state.mu.Lock()
	defer c.state.mu.Unlock()
	if item, ok := c.state.lineItems.find(lineItem); ok {
		c.set(item, aside, value)
	}
}

// SetStopped says whether a thing may serve; kind is "advertiser", "campaign",
// "line_item" or "creative", and other kinds and unknown ids are ignored.
func (c *Catalog) SetStopped(kind string, id ad.ID, stopped bool) {
	c.state.mu.Lock()
	defer c.state.mu.Unlock()
	switch kind {
	case "advertiser":
		c.stopAll(c.state.advertisers.all(id), stoppedAdvertiser, stopped)
	case "campaign":
		c.stopAll(c.state.campaigns.all(id), stoppedCampaign, stopped)
	case "line_item":
		c.stopAll(c.state.lineItems.all(id), stoppedItem, stopped)
	case "creative":
		if index, ok := c.state.creatives.find(id); ok {
			c.stopCreative(index, stopped)
		}
	}
}

func (c *Catalog) stopAll(items []uint32, flag flags, value bool) {
	for _, item := range items {
		c.set(int(item), flag, value)
	}
}

func (c *Catalog) stopCreative(index int, stopped bool) {
	if bit := uint64(1) << (index % 64); stopped {
		c.state.halted[index/64].Or(bit)
	} else {
		c.state.halted[index/64].And(^bit)
	}
}

// Live is the mask of rows that serve.
func (c *Catalog) Live() target.Mask { return c.state.live }

// Servable is the mask of rows in date and not stopped, whatever their leases.
func (c *Catalog) Servable() target.Mask { return c.state.servable }

// Eligible is the mask of rows that would serve, had they a lease, and of which
// the bank has not been asked yet.
func (c *Catalog) Eligible() target.Mask { return c.state.eligible }

// Hours is the state of the hour-of-week terms at the last Tick, for
// target.Query; nil before the first.
func (c *Catalog) Hours() *target.Hours { return c.state.hours.Load() }

// CreativeStopped tells whether the creative of that index is stopped.
func (c *Catalog) CreativeStopped(index int) bool {
	return c.state.halted[index/64].Load()&(1<<(index%64)) != 0
}

// Standing is why a line item is not eligible, and whether it is leased.
type Standing struct {
	OutOfDate bool
	StoppedBy string // "advertiser", "campaign", "line_item"; "": not stopped
	Leased    bool
}

// Standing of the line item at a place, for explaining.
func (c *Catalog) Standing(item int) Standing {
	c.state.mu.Lock()
	f := c.state.flags[item]
	c.state.mu.Unlock()
	s := Standing{OutOfDate: f&inDate == 0, Leased: f&leased != 0}
	switch {
	case f&stoppedAdvertiser != 0:
		s.StoppedBy = "advertiser"
	case f&stoppedCampaign != 0:
		s.StoppedBy = "campaign"
	case f&stoppedItem != 0:
		s.StoppedBy = "line_item"
	}
	return s
}
