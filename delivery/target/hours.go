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
	zone    []uint16 // of each item; nil when there are no terms
	words   int
	unknown plane // rows satisfied when nothing is known of the hour; nil: all
}

// hourTerm is one term of one row, in the zone of its item's advertiser.
type hourTerm struct {
	row     uint32
	zone    uint16
	exclude bool
	hours   [3]uint64 // a bit per hour
}

func (t *hourTerm) has(hour uint8) bool { return t.hours[hour/64]&(1<<(hour%64)) != 0 }

// addHours gathers a term; what is no hour of the week matches at no time. The
// texts are read once each: most of a million rules name the same 168.
func (w *writer) addHours(row uint32, term rule.PackedTerm) {
	b := w.b
	if w.hour == nil {
		w.hour = make([]uint8, b.table.Len())
		for number, mark := range b.asked[rule.HourOfWeek].number {
			if mark == 0 {
				continue
			}
			text := b.table.Text(uint32(number))
			if hour, err := strconv.Atoi(text); err == nil && hour >= 0 && hour < weekHours && strconv.Itoa(hour) == text {
				w.hour[number] = uint8(hour) + 1
			}
		}
	}
	h := &b.ix.hours
	t := hourTerm{row: row, zone: h.zone[b.ix.item[row]], exclude: term.Exclude}
	for _, number := range term.Values {
		if hour := w.hour[number]; hour != 0 {
			t.hours[(hour-1)/64] |= 1 << ((hour - 1) % 64)
		}
	}
	h.terms = append(h.terms, t)
}

// texts are a term's values.
func (t *hourTerm) texts() []string {
	var all []string
	for hour := range uint8(weekHours) {
		if t.has(hour) {
			all = append(all, hourText(hour))
		}
	}
	return all
}

func hourText(hour uint8) string { return strconv.Itoa(int(hour)) }

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
	for i := range p {
		p[i] = ^uint64(0)
	}
	for i := range h.terms {
		t := &h.terms[i]
		if has := ofZone != nil && t.has(ofZone[t.zone]); has == t.exclude {
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
