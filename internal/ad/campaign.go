package ad

import "time"

// Campaign groups line items of one advertiser under common dates.
type Campaign struct {
	ID           ID
	AdvertiserID ID
	Name         string
	StartsAt     time.Time
	EndsAt       time.Time // exclusive; zero: open end
	Status       Status
	Stamp
}
