// Package ad holds the domain: who buys (advertiser, campaign, line item,
// creative) and who sells (publisher, property, placement).
//
// The types know their own rules (Validate) and nothing else: no SQL, no HTTP,
// no tags of any store. The console, the REST API, the snapshot and the catalog
// all speak of these types, under these names.
package ad

import (
	"fmt"
	"strconv"
	"time"
)

// ID names one thing of its kind; it is positive, minted by Postgres, never reused.
type ID int64

// ParseID reads an id as URLs and forms carry it: a positive decimal without sign or leading zero.
func ParseID(text string) (ID, error) {
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil || id <= 0 || strconv.FormatInt(id, 10) != text {
		return 0, fmt.Errorf("%.40q is no id", text)
	}
	return ID(id), nil
}

// Status says whether a thing may take part in delivery. Nothing is ever
// deleted, since reports and ledgers go on naming it; what is over is archived.
type Status string

const (
	Active   Status = "active"
	Paused   Status = "paused"
	Archived Status = "archived" // final
)

// ParseStatus accepts the statuses there are.
func ParseStatus(text string) (Status, error) {
	return oneOf("status", Status(text), Active, Paused, Archived)
}

// oneOf is the parser of all closed lists.
func oneOf[T ~string](kind string, value T, list ...T) (T, error) {
	for _, item := range list {
		if value == item {
			return value, nil
		}
	}
	return "", fmt.Errorf("no %s is called %.40q", kind, string(value))
}

// Stamp is what every stored noun carries. Version starts at 1 and rises with
// every change; an edit names the version it was made from, so that two people
// editing at once cannot overwrite one another unseen.
type Stamp struct {
	Version   int64
	CreatedAt time.Time
	UpdatedAt time.Time
}

// FieldError is one thing that is wrong with one field, for the person who typed it.
type FieldError struct {
	Field   string // the field's name in the API: "daily_budget"
	Code    string // stable, for programs and translations: "required", "too_long", "out_of_range", …
	Message string // English, says what would be right
}

// Invalid is the error that Validate returns: every field error found, never none.
type Invalid []FieldError

func (e Invalid) Error() string {
	message := "invalid"
	for i, f := range e {
		separator := "; "
		if i == 0 {
			separator = ": "
		}
		message += separator + f.Field + ": " + f.Message
	}
	return message
}
