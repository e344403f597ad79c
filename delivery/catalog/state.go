package catalog

import (
	"math"
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
	flags       []flags // per line item
	lineItems   places
	creatives   places
	campaigns   groups   // of line items …
	advertisers groups   // … likewise
	moments     []moment // still to come, latest first; from the first Tick on
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

// moment is when a line item comes into date, or goes out of it: its place, and
// lowest whether it is the end.
type moment uint32

func (c *Catalog) at(m moment) int64 {
	if item := &c.LineItems[m>>1]; m&1 == 0 {
		return item.StartsAt
	} else {
		return item.EndsAt
	}
}

func (s *state) init(c *Catalog) {
	n := len(c.LineItems)
	s.servable = make(target.Mask, c.Index.Words())
	s.eligible = make(target.Mask, c.Index.Words())
	s.live = make(target.Mask, c.Index.Words())
	s.halted = make([]atomic.Uint64, (len(c.Creatives)+63)/64)
	s.flags = make([]flags, n)
	s.ticked, s.minute = math.MinInt64, math.MinInt64
	s.creatives = newPlaces(len(c.Creatives), c.creativeID)
	s.campaigns = newGroups(n, func(place int) ad.ID { return c.LineItems[place].Campaign })
	s.advertisers = newGroups(n, func(place int) ad.ID { return c.LineItems[place].Advertiser })
}

// set changes one flag of a line item, and its rows' bits where that matters.
func (c *Catalog) set(item int, flag flags, value bool) {
	before := c.state.flags[item]
	after := before &^ flag
	if value {
		after |= flag
	}
	if after == before {
		return
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
	s := &c.state
	s.mu.Lock()
	defer s.mu.Unlock()
	at := now.UnixMicro()
	if at < s.ticked || s.ticked == math.MinInt64 {
		c.dateAll(at)
	}
	for n := len(s.moments); n > 0 && c.at(s.moments[n-1]) <= at; n = len(s.moments) {
		c.date(int(s.moments[n-1]>>1), at)
		s.moments = s.moments[:n-1]
	}
	s.ticked = at
	// Zones are whole minutes off UTC, so no hour begins between two minutes.
	if minute := at / time.Minute.Microseconds(); minute != s.minute {
		s.minute = minute
		s.hours.Store(c.Index.HoursAt(now))
	}
}

// dateAll starts over: the first time, or when the clock was set back.
func (c *Catalog) dateAll(at int64) {
	var order []ranked
	for i := range c.LineItems {
		c.date(i, at)
		for end, when := range [2]int64{c.LineItems[i].StartsAt, c.LineItems[i].EndsAt} {
			if when > at && when != math.MaxInt64 {
				order = append(order, ranked{^uint64(when), uint32(2*i + end)})
			}
		}
	}
	order = sortByKey(order)
	c.state.moments = make([]moment, len(order))
	for i := range order {
		c.state.moments[i] = moment(order[i].from)
	}
}

func (c *Catalog) date(item int, at int64) {
	c.set(item, inDate, c.LineItems[item].StartsAt <= at && at < c.LineItems[item].EndsAt)
}

// SetLive says whether this process has a lease for the line item. Unknown ids
// are ignored: a lease may outlive its line item's stay in the snapshot.
func (c *Catalog) SetLive(lineItem ad.ID, live bool) {
	c.state.mu.Lock()
	defer c.state.mu.Unlock()
	if item, ok := c.place(lineItem); ok {
		c.set(item, leased, live)
	}
}

// SetAside says whether the bank is being asked for a lease of the line item, or
// has just refused one, its budget being spent for instance; false when it may be
// asked again.
func (c *Catalog) SetAside(lineItem ad.ID, value bool) {
	c.state.mu.Lock()
	defer c.state.mu.Unlock()
	if item, ok := c.place(lineItem); ok {
		c.set(item, aside, value)
	}
}

// FollowSlot does both as the line item's slot says. The slot is read after the
// lock is taken: whoever has changed it and then calls this, or finds [Follow]
// at work, can be sure that the bits are not older than the change.
func (c *Catalog) FollowSlot(lineItem ad.ID) {
	c.state.mu.Lock()
	defer c.state.mu.Unlock()
	if item, ok := c.place(lineItem); ok {
		c.followSlot(item)
	}
}

// Follow does that for every line item, a few at a time, so that others need not
// wait for the lock.
func (c *Catalog) Follow() {
	const most = 1024
	for from := 0; from < len(c.LineItems); from += most {
		c.state.mu.Lock()
		for item := from; item < min(from+most, len(c.LineItems)); item++ {
			c.followSlot(item)
		}
		c.state.mu.Unlock()
	}
}

func (c *Catalog) followSlot(item int) {
	slot := c.LineItems[item].Slot
	c.set(item, leased, slot.Load() != nil)
	c.set(item, aside, slot.Aside())
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
		if item, ok := c.place(id); ok {
			c.set(item, stoppedItem, stopped)
		}
	case "creative":
		if index, ok := c.state.creatives.find(id, c.creativeID); ok {
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
