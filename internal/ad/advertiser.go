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
	// For how many days after a click, or after an impression that was not clicked,
	// a conversion is counted. A view window of 0 counts clicks' only.
	ClickWindowDays int // 1 to 90
	ViewWindowDays  int // 0 to 30
	Stamp
}

// What a new advertiser has that says nothing of its windows.
const (
	DefaultClickWindowDays = 30
	DefaultViewWindowDays  = 1
)

const (
	maxTimeZone        = 64
	maxClickWindowDays = 90
	maxViewWindowDays  = 30
)

// Validate checks the fields that people set. The error is an [Invalid].
func (a Advertiser) Validate() error {
	var c checks
	c.name("name", a.Name)
	c.domain("domain", a.Domain)
	c.status(a.Status)
	if !isTimeZone(a.TimeZone) {
		c.fail("time_zone", Unknown, "has to be the name of a time zone, such as Asia/Tokyo")
	}
	c.between("click_window_days", a.ClickWindowDays, 1, maxClickWindowDays)
	c.between("view_window_days", a.ViewWindowDays, 0, maxViewWindowDays)
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
