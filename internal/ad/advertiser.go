package ad

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
