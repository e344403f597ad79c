package visitor

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"
)

// zones keeps the time zones that databases name, so that each is loaded once.
// Reading takes no lock: a new zone makes a new map.
type zones struct {
	known atomic.Pointer[map[string]*zone]
	mu    sync.Mutex
}

// zone is a time zone, and the last answer that it gave: half of what a clock
// costs is to find out whether it is summer.
type zone struct {
	*time.Location
	last atomic.Uint64 // a minute since 1970, and in the lowest byte its hour of week and 1
}

// maxZones bounds what a broken database may make us keep; there are some 400.
const maxZones = 1000

// of is the zone of that name, nil when there is none.
func (z *zones) of(name []byte) *zone {
	if known := z.known.Load(); known != nil {
		if zone, ok := (*known)[string(name)]; ok {
			return zone
		}
	}
	return z.load(string(name))
}

func (z *zones) load(name string) *zone {
	z.mu.Lock()
	defer z.mu.Unlock()
	grown := map[string]*zone{}
	if known := z.known.Load(); known != nil {
		if len(*known) >= maxZones {
			return nil
		}
		maps.Copy(grown, *known)
	}
	var found *zone
	// "" and "Local" would be UTC and the server's own.
	if name != "" && name != "Local" {
		if loaded, err := time.LoadLocation(name); err == nil {
			found = &zone{Location: loaded}
		}
	}
	grown[name] = found
	z.known.Store(&grown)
	return found
}

// hour is the hour of week in the zone. Offsets are whole minutes everywhere.
func (z *zone) hour(now time.Time) int {
	minute := uint64(now.Unix()) / 60
	if last := z.last.Load(); last>>8 == minute && last&0xff != 0 {
		return int(last&0xff) - 1
	}
	hour := hourOfWeek(now, z.Location)
	z.last.Store(minute<<8 | uint64(hour+1))
	return hour
}

// hourOfWeek counts from Monday 00 on, by the zone's own clock.
func hourOfWeek(now time.Time, zone *time.Location) int {
	now = now.In(zone)
	return (int(now.Weekday())+6)%7*24 + now.Hour()
}
