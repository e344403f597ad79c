package ad

import "github.com/hayate-ads/hayate/internal/money"

// Placement is one ad slot of a property.
type Placement struct {
	ID                 ID
	PropertyID         ID
	Name               string
	Formats            []Format     // what may fill it, at least one
	Sizes              []Size       // at least one unless the formats are only native or video
	Floor              money.Micros // lowest CPM that may fill it
	BlockedAdvertisers []ID         // ascending
	Status             Status
	Stamp
}

// Size is in CSS pixels, 1 to 10000 each.
type Size struct{ Width, Height int }
