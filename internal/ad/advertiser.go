package ad

import (
	"time"
	_ "time/tzdata" // time zones load on machines that have no database of them
)

// Advertiser buys. Its time zone decides when its days begin, and with them its
// daily budgets and its hours of the week.
type Advertiser struct {
	ID       ID
	Name     string
	Domain   string // registrable domain of what it advertises, lower case: "example.com" (OpenRTB adomain)
	TimeZone string // IANA name: "Asia/Tokyo"
	Status   Status
	Stamp
}

const maxTimeZone = 64

// Validate checks the fields that people set. The error is an [Invalid].
func (a Advertiser) Validate() error {
	var c checks
	c.name("name", a.Name)
	c.domain("domain", a.Domain)
	c.status(a.Status)
	if !isTimeZone(a.TimeZone) {
		c.fail("time_zone", Unknown, "has to be the name of a time zone, such as Asia/Tokyo")
	}
	return c.err()
}

// isTimeZone refuses what LoadLocation takes but other machines read otherwise.
func isTimeZone(name string) bool {
	if name == "" || name == "Local" || len(name) > maxTimeZone {
		return false
	}
	_, err := time.LoadLocation(name)
	return err == nil
}
