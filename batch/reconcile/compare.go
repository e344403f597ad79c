package reconcile

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// findings are the differences of a day.
type findings struct {
	n      int64
	listed []postgres.Difference // the first ones
}

// mostListed bounds what of a day's differences is kept: whoever reads more than
// a thousand looks for the cause elsewhere.
const mostListed = 1000

func (f *findings) add(d postgres.Difference) {
	f.n++
	if len(f.listed) < mostListed {
		f.listed = append(f.listed, d)
	}
}

// finish compares what was replayed with the books.
func (a *audit) finish() {
	for _, d := range a.books.Amiss {
		a.found.add(d)
	}
	foldCells(a.cells, a.books.Cells)
	foldAudience(a.audience, a.books.Audience)
	sheet[postgres.CellKey]{"report_hour", postgres.CellColumns, cellName}.compare(a, a.cells, a.books.Cells)
	sheet[postgres.AudienceRow]{"report_audience_hour", postgres.AudienceColumns, audienceName}.compare(a, a.audience, a.books.Audience)
	sheet[postgres.SupplyKey]{"report_supply_hour", postgres.SupplyColumns, supplyName}.compare(a, a.supply, a.books.Supply)
	sheet[ad.ID]{"ledger", postgres.LedgerColumns, a.ledgerName}.compare(a, a.ledger(), a.books.Ledger)
	for _, book := range a.books.Days {
		name := func(owner ad.ID) string {
			return fmt.Sprintf("%s %d, day %s", book.Owner, owner, a.day.Format(time.DateOnly))
		}
		sheet[ad.ID]{book.Table, book.Columns, name}.compare(a, book.Hours, book.Days)
	}
	a.compareLeases()
	a.compareConversions()
}

// sheet is how one book is compared and its rows are named.
type sheet[K comparable] struct {
	book    string
	columns []string
	name    func(K) string
}

// compare adds a difference for each figure that is not alike. A row that is not
// there is one of zeros. Where segments are gone, the book may know more.
func (s sheet[K]) compare(a *audit, want, got map[K][]int64) {
	var found []postgres.Difference
	none := make([]int64, len(s.columns))
	row := func(key K, want, got []int64) {
		for i, column := range s.columns {
			if want[i] != got[i] && !(a.incomplete && got[i] > want[i]) {
				found = append(found, postgres.Difference{Book: s.book, Key: s.name(key), What: column, Want: want[i], Got: got[i]})
			}
		}
	}
	for key, values := range want {
		booked := got[key]
		if booked == nil {
			booked = none
		}
		row(key, values, booked)
	}
	for key, booked := range got {
		if want[key] == nil {
			row(key, none, booked)
		}
	}
	slices.SortFunc(found, func(a, b postgres.Difference) int {
		return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.What, b.What))
	})
	for _, d := range found {
		a.found.add(d)
	}
}

func hourName(hour int64) string { return "hour " + time.Unix(hour, 0).UTC().Format("2006-01-02T15Z") }

func cellName(k postgres.CellKey) string {
	return fmt.Sprintf("%s, line item %d, creative %d, placement %d, exchange %d", hourName(k.Hour), k.LineItem, k.Creative, k.Placement, k.Exchange)
}

func audienceName(k postgres.AudienceRow) string {
	return fmt.Sprintf("%s, line item %d, country %q, device %s, invalid %q", hourName(k.Hour), k.LineItem, k.Country, k.Device, k.Invalid)
}

func supplyName(k postgres.SupplyKey) string {
	return fmt.Sprintf("%s, placement %d, exchange %d, no-fill %q", hourName(k.Hour), k.Placement, k.Exchange, k.NoFill)
}

func (a *audit) ledgerName(lineItem ad.ID) string {
	return fmt.Sprintf("line item %d, day %s", lineItem, a.day.Format(time.DateOnly))
}

// foldCells moves what the report keeps in a row of 'other' there: all of a line
// item's combinations that have no row of their own.
func foldCells(want, got map[postgres.CellKey][]int64) {
	fold(want, got, func(k postgres.CellKey) postgres.CellKey {
		return postgres.CellKey{Hour: k.Hour, LineItem: k.LineItem}
	})
}

func foldAudience(want, got map[postgres.AudienceRow][]int64) {
	fold(want, got, func(k postgres.AudienceRow) postgres.AudienceRow {
		return postgres.AudienceRow{Hour: k.Hour, LineItem: k.LineItem, Country: "other", Device: "other", Invalid: k.Invalid}
	})
}

func fold[K comparable](want, got map[K][]int64, other func(K) K) {
	for key, values := range want {
		into := other(key)
		if got[key] != nil || got[into] == nil || into == key {
			continue
		}
		sum := row(want, into, len(values))
		for i, v := range values {
			sum[i] += v
		}
		delete(want, key)
	}
}

// ledger adds up leases by line item, of those that draw on the advertisers' day
// of this date.
func (a *audit) ledger() map[ad.ID][]int64 {
	zones := map[string]*time.Location{}
	book := map[ad.ID][]int64{}
	for id, l := range a.leases {
		if l.ledger == [5]int64{} || a.leaseDay(l, a.books.Leases[id], zones) != event.Day(a.day.Unix()/86400) {
			continue
		}
		sum := row(book, l.lineItem, len(postgres.LedgerColumns))
		for i, v := range l.ledger {
			sum[i] += v
		}
	}
	return book
}

// leaseDay is the day whose budget a lease draws on: as its owner or the bank
// says, else the day of its decisions, since a lease is not reserved outside its own.
func (a *audit) leaseDay(l *lease, booked *postgres.Lease, zones map[string]*time.Location) event.Day {
	switch {
	case l.named:
		return l.day
	case booked != nil:
		return booked.Day
	}
	name := a.books.Owners[l.lineItem].TimeZone
	zone, ok := zones[name]
	if !ok {
		var err error
		if zone, err = time.LoadLocation(name); err != nil {
			zone = time.UTC
		}
		zones[name] = zone
	}
	y, m, d := l.decided.In(zone).Date()
	return event.Day(time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix() / 86400)
}

// compareLeases holds each lease of the day that the bank still has against what
// the log charged to it, and looks whether those had no room that are said to.
func (a *audit) compareLeases() {
	if a.incomplete {
		return
	}
	for id, l := range a.leases {
		settled := l.ledger[0]
		if l.named && settled > int64(l.granted) {
			a.found.add(postgres.Difference{Book: "lease", Key: id.String(), What: "charged beyond what OPEN granted", Want: int64(l.granted), Got: settled})
		}
		booked := a.books.Leases[id]
		if booked == nil {
			continue
		}
		if int64(booked.Settled.Micros) != settled {
			a.found.add(postgres.Difference{Book: "lease", Key: id.String(), What: "settled_micros", Want: settled, Got: int64(booked.Settled.Micros)})
		}
		if room := booked.Room(); l.short && room.Micros > 0 && room.Impressions > 0 {
			a.found.add(postgres.Difference{Book: "lease", Key: id.String(), What: "room left, though events were not charged for want of it", Want: 0, Got: int64(room.Micros)})
		}
	}
	for id, booked := range a.books.Leases {
		if a.leases[id] == nil && booked.Settled.Micros != 0 {
			a.found.add(postgres.Difference{Book: "lease", Key: id.String(), What: "settled_micros", Want: 0, Got: int64(booked.Settled.Micros)})
		}
	}
}

// compareConversions holds the conversions logged on the day against their table.
func (a *audit) compareConversions() {
	name := func(k postgres.ConversionKey) string {
		return fmt.Sprintf("advertiser %d, order %q", k.Advertiser, k.Order)
	}
	for key, want := range a.conversions {
		got, there := a.books.Conversions[key]
		switch {
		case !there:
			a.found.add(postgres.Difference{Book: "conversion", Key: name(key), What: "rows", Want: 1, Got: 0})
		case got.Value != want.Value:
			a.found.add(postgres.Difference{Book: "conversion", Key: name(key), What: "value_micros", Want: int64(want.Value), Got: int64(got.Value)})
		case got.LineItem != want.LineItem:
			a.found.add(postgres.Difference{Book: "conversion", Key: name(key), What: "line_item_id", Want: int64(want.LineItem), Got: int64(got.LineItem)})
		}
	}
	for key := range a.books.Conversions {
		if _, there := a.conversions[key]; !there && !a.incomplete {
			a.found.add(postgres.Difference{Book: "conversion", Key: name(key), What: "rows", Want: 0, Got: 1})
		}
	}
}
