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
	known atomic.Pointer[map[string]*time.Location]
	mu    sync.Mutex
}

// maxZones bounds what a broken database may make us keep; there are some 400.
const maxZones = 1000

// of is the zone of that name, nil when there is none.
func (z *zones) of(name []byte) *time.Location {
	if known := z.known.Load(); known != nil {
		if zone, ok := (*known)[string(name)]; ok {
			return zone
		}
	}
	return z.load(string(name))
}

func (z *zones) load(name string) *time.Location {
	z.mu.Lock()
	defer z.mu.Unlock()
	grown := map[string]*time.Location{}
	if known := z.known.Load(); known != nil {
		if len(*known) >= maxZones {
			return nil
		}
		maps.Copy(grown, *known)
	}
	var zone *time.Location
	// "" and "Local" would be UTC and the server's own.
	if name != "" && name != "Local" {
		if loaded, err := time.LoadLocation(name); err == nil {
			zone = loaded
		}
	}
	grown[name] = zone
	z.known.Store(&grown)
	return zone
}

// hourOfWeek counts from Monday 00 on, by the zone's own clock.
func hourOfWeek(now time.Time, zone *time.Location) int {
	now = now.In(zone)
	return (int(now.Weekday())+6)%7*24 + now.Hour()
}
