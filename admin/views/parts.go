package views

import (
	"context"
	"fmt"

	"github.com/a-h/templ"

	"github.com/hayate-ads/hayate/internal/ad"
)

// Page is the frame around a page's content.
type Page struct {
	Title   string
	Kind    string   // the noun, above the title
	Section string   // which entry of the navigation is lit
	Crumbs  []Link   // from the top down, without this page
	Badges  []Badge  // beside the title
	Actions []Action // buttons, the main one last
}

// Link is a text that leads somewhere.
type Link struct{ Text, URL string }

// Badge is a state in one word.
type Badge struct {
	Text string
	Kind string // good, wait, bad, off, info
}

// Action is a button: a link, or a form when Post is set.
type Action struct {
	Text    string
	URL     string
	Main    bool
	Danger  bool
	Post    bool
	Fields  []Link // hidden fields of the form: name and value
	Confirm string // asked before the form is sent
}

// Cell is one cell of a table.
type Cell struct {
	Text   string
	URL    string
	Note   string // a second, quieter line
	Badges []Badge
	Number bool // set to the right
	Toggle *StatusToggle
}

// StatusToggle is a status that can be changed where it stands.
type StatusToggle struct {
	Badge   Badge
	URL     string
	Version int64
	Next    string // the status that the button sets; "": no button
	Label   string
}

// Column is a table's column.
type Column struct {
	Title  string
	Number bool
}

// Table is a list; Empty is what stands there instead when it has no rows.
type Table struct {
	Title    string
	Columns  []Column
	Rows     [][]Cell
	Total    []Cell // last row, set apart; nil: none
	Empty    Empty
	Next     string // address of the next page of the list
	NextText string // what leads there; "": the next page
	Action   *Action
}

// Empty says what a list is for and what to do first.
type Empty struct {
	Title, Text string
	Action      *Action
}

// Detail is one named value of a thing.
type Detail struct {
	Name   string
	Value  string
	URL    string
	Badges []Badge
	Note   string
}

// Tile is one figure of the home page.
type Tile struct {
	Name  string
	Value string
	Note  string
	URL   string
}

// Meter shows a budget: how much of it is spent and how much is out.
type Meter struct {
	Name                          string
	Limit, Spent, Leased          string
	SpentPermille, LeasedPermille int
	Note                          string
}

// StatusBadge is the badge of a status.
func StatusBadge(lang string, s ad.Status) Badge {
	kinds := map[ad.Status]string{ad.Active: "good", ad.Paused: "wait", ad.Archived: "off"}
	return Badge{Text: T(lang, "status."+string(s)), Kind: kinds[s]}
}

// ReviewBadge is the badge of a review.
func ReviewBadge(lang string, r ad.Review) Badge {
	kinds := map[ad.Review]string{ad.Draft: "off", ad.Pending: "wait", ad.Approved: "good", ad.Rejected: "bad"}
	return Badge{Text: T(lang, "review."+string(r)), Kind: kinds[r]}
}

// Form is a page's form.
type Form struct {
	Action    string
	Version   int64 // of what is edited; 0: something new
	Sections  []Section
	Submit    string
	Cancel    string // address; "": no such link
	Multipart bool
	Error     string // about the whole, not one field
}

// Section is a group of fields under a heading.
type Section struct {
	Title, Hint string
	Fields      []Field
	Extra       templ.Component // after the fields
	When        string          // "name=value": shown while that is chosen
}

// Field is one control with its label.
type Field struct {
	Name     string
	Label    string
	Hint     string
	Kind     string // text, email, password, url, money, number, datetime, select, radio, checks, area, code, file, static
	Value    string
	Values   []string // chosen ones, of checks
	Options  []Option
	Error    string
	Required bool
	Choice   bool   // shows and hides what depends on it (data-when)
	Suffix   string // unit behind the control
	Complete string // autocomplete token
	Wide     bool
}

// Option is one choice of a select, radio or checks field.
type Option struct{ Value, Text string }

func (f Field) chosen(value string) bool {
	for _, v := range f.Values {
		if v == value {
			return true
		}
	}
	return f.Value == value && f.Value != ""
}

// described is the ids of the hint and the error, for aria-describedby.
func (f Field) described() string {
	ids := ""
	if f.Hint != "" {
		ids = f.Name + "-hint"
	}
	if f.Error != "" {
		ids += " " + f.Name + "-error"
	}
	return ids
}

func (f Field) inputType() string {
	switch f.Kind {
	case "email", "password", "url", "number", "date":
		return f.Kind
	case "datetime":
		return "datetime-local"
	}
	return "text"
}

func (f Field) inputMode() string {
	if f.Kind == "money" {
		return "decimal"
	}
	return ""
}

func (f Field) class() string {
	class := "form-control"
	if f.Kind == "select" {
		class = "form-select"
	}
	if f.Kind == "code" {
		class += " code"
	}
	if f.Error != "" {
		class += " is-invalid"
	}
	return class
}

func (f Field) column() string {
	if f.Wide || f.Kind == "area" || f.Kind == "code" || f.Kind == "checks" {
		return "col-12"
	}
	return "col-12 col-md-6"
}

// hourLabel is "0" to "23" for the grid's columns.
func hourLabel(hour int) string { return fmt.Sprint(hour) }

func hourTitle(ctx context.Context, day, hour int) string {
	return fmt.Sprintf("%s %02d:00", dayName(ctx, day), hour)
}

func dayName(ctx context.Context, day int) string { return t(ctx, "day."+fmt.Sprint(day)) }
