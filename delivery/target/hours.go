package target

import (
	"strconv"
	"time"

	"github.com/hayate-ads/hayate/internal/rule"
)

// Hours of a week.
const weekHours = 7 * 24

// hours holds the hour-of-week terms. They ask of the time and not of the
// visitor, so their bitmap is the same for all requests of an hour: it is made
// when an hour begins instead of with every request.
type hours struct {
	terms   []hourTerm
	zones   []*time.Location
	words   int
	unknown plane // rows satisfied when nothing is known of the hour; nil: all
	full    plane
}

// hourTerm is one term of one row, in the zone of its item's advertiser.
type hourTerm struct {
	row     uint32
	zone    uint16
	exclude bool
	hours   [3]uint64 // a bit per hour
}

// hour gathers a term; what is no hour of the week matches at no time.
func (b *builder) hour(row uint32, zone int, term rule.Term) {
	t := hourTerm{row: row, zone: uint16(zone), exclude: term.Exclude}
	for _, text := range term.Values {
		if hour, err := strconv.Atoi(text); err == nil && hour >= 0 && hour < weekHours {
			t.hours[hour/64] |= 1 << (hour % 64)
		}
	}
	b.hours = append(b.hours, t)
}

// Hours is the state of all hour-of-week terms at one moment: immutable, and
// true until an hour begins in one of the zones.
type Hours struct {
	ofZone []uint8 // hour of week
	open   plane   // rows whose terms are satisfied; nil: all
}

// HourOfZone is the hour of week that it holds for a zone, by its place in the
// zones given to [New].
func (h *Hours) HourOfZone(zone int) int { return int(h.ofZone[zone]) }

// HoursAt computes the hour of week in every zone at now (daylight saving by
// the zones' rules) and with it which rows are open. It costs a pass over the
// rows that name hours: call it when the minute changes, not per request.
func (ix *Index) HoursAt(now time.Time) *Hours {
	h := &Hours{ofZone: make([]uint8, len(ix.hours.zones))}
	for i, zone := range ix.hours.zones {
		h.ofZone[i] = uint8(HourOfWeek(now, zone))
	}
	h.open = ix.hours.openAt(h.ofZone)
	return h
}

// openAt is the rows that are open; with ofZone nil, those that would be at an
// unknown hour.
func (h *hours) openAt(ofZone []uint8) plane {
	if len(h.terms) == 0 {
		return nil
	}
	p := make(plane, h.words)
	copy(p, h.full)
	for i := range h.terms {
		t := &h.terms[i]
		has := false
		if ofZone != nil {
			hour := ofZone[t.zone]
			has = t.hours[hour/64]&(1<<(hour%64)) != 0
		}
		if has == t.exclude {
			p.clear(t.row)
		}
	}
	return p
}

// HourOfWeek is 0 for Monday from 00:00 to 167 for Sunday from 23:00, in zone at now.
func HourOfWeek(now time.Time, zone *time.Location) int {
	local := now.In(zone)
	sinceMonday := (int(local.Weekday()) + 6) % 7
	return sinceMonday*24 + local.Hour()
}
