package target

import "github.com/hayate-ads/hayate/internal/event"

// Query is what one request brings to the index, apart from the placement it
// asks for (see [Supply]). The index keeps no part of it beyond the scan. Data
// that is missing satisfies no including term and every excluding one.
type Query struct {
	Country  [2]byte // ISO 3166-1 alpha-2, upper case; zero: unknown
	Device   event.DeviceType
	NoDevice bool     // nothing is known of the device: no type is satisfied, not even "other"
	OS       string   // in the spelling of rule.OS; "": unknown
	Keywords [][]byte // "key=value", lower case; may repeat
	Hours    *Hours   // from [Index.HoursAt]; nil: no hour of week is satisfied
}
