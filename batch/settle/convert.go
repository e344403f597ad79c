package settle

import (
	"fmt"
	"time"

	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// convert counts a conversion once for each order of its advertiser, if it came
// within the window. It asks nothing of the lease, which may be long gone.
func (c *Core) convert(a *applying, o *other) {
	rec := o.event
	r := &rec.Landing.Reservation
	if r.Flags&event.Test != 0 {
		c.stats.Test++
		a.outcome(event.Outcome{Index: o.record, Fate: event.Refused})
		return
	}
	if invalid(rec) != event.Valid {
		c.convertInvalid(a, o)
		return
	}
	terms, known := c.terms[r.LineItem]
	switch {
	case !known || r.Advertiser != 0 && r.Advertiser != terms.Advertiser:
		c.refuse(a, o.record, OddLineItem)
		return
	case rec.At.Sub(rec.Action.TouchedAt) > window(terms, rec.Action):
		c.refuse(a, o.record, OddWindow)
		return
	}
	key := conversionKey(rec, terms)
	if c.converted[key] {
		c.stats.Duplicates++
		a.outcome(event.Outcome{Index: o.record, Fate: event.Duplicate})
		return
	}
	c.converted[key] = true
	c.out.Conversions = append(c.out.Conversions, postgres.NewConversion{
		ConversionKey: key, LineItem: r.LineItem, Creative: r.Creative, Placement: r.Placement, Exchange: r.Exchange,
		PostView: rec.Action.PostView, Value: rec.Action.Value,
		DecidedAt: r.DecidedAt, TouchedAt: rec.Action.TouchedAt, At: rec.At,
	})
	c.stats.Conversions++
	at := c.cell(a, o.place)
	if rec.Action.PostView {
		at.cell.ViewConversions++
	} else {
		at.cell.Conversions++
	}
	at.cell.ConversionValue = min(at.cell.ConversionValue+rec.Action.Value, postgres.MaxCellValue)
	c.audience(a, o.place).Conversions++
	if r.Bills == event.BillsConversion && rec.Landing.Charge() > 0 { // charged from accounts, which nothing is yet
		a.outcome(event.Outcome{Index: o.record, Fate: event.Short})
	}
}

// convertInvalid counts an invalid conversion once for its reservation.
func (c *Core) convertInvalid(a *applying, o *other) {
	r := &o.event.Landing.Reservation
	row := c.blocks(postgres.BitsKey{Lease: r.Lease, Purpose: landingPurpose(o.event), Block: block(r.Index)})
	if !c.first(row, r.Index) {
		c.stats.Duplicates++
		a.outcome(event.Outcome{Index: o.record, Fate: event.Duplicate})
		return
	}
	c.invalid(a, event.Conversion, o.place)
}

// window is for how long after the click or impression a conversion counts.
func window(terms postgres.ConversionTerms, action *event.Action) time.Duration {
	if action.PostView {
		if terms.ViewWindow == 0 {
			return -1 << 62 // none at all
		}
		return terms.ViewWindow
	}
	return terms.ClickWindow
}

// conversionKey is under what a conversion is counted once.
func conversionKey(rec *event.Record, terms postgres.ConversionTerms) postgres.ConversionKey {
	order := rec.Action.OrderID
	if order == "" {
		order = fmt.Sprintf("%s/%d", rec.Landing.Reservation.Lease, rec.Landing.Reservation.Index)
	}
	return postgres.ConversionKey{Advertiser: terms.Advertiser, Order: order}
}
