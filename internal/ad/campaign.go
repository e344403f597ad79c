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

// Validate checks the fields that people set. The error is an [Invalid].
func (c Campaign) Validate() error {
	var k checks
	k.parent("advertiser_id", c.AdvertiserID)
	k.name("name", c.Name)
	k.dates(c.StartsAt, c.EndsAt)
	k.status(c.Status)
	return k.err()
}
