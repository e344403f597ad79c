package settle

import (
	"maps"
	"slices"

	"github.com/oklog/ulid/v2"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// needs collects what has to be loaded before a batch's digests can be applied.
type needs struct {
	leases      map[ulid.ULID]postgres.NewLease // as they are added if the database does not know them
	bits        map[postgres.BitsKey]struct{}
	ending      map[ulid.ULID]struct{} // processes whose END is among the records
	conversions []*event.Record        // valid ones
}

func newNeeds() *needs {
	return &needs{
		leases: make(map[ulid.ULID]postgres.NewLease), bits: make(map[postgres.BitsKey]struct{}),
		ending: make(map[ulid.ULID]struct{}),
	}
}

// add notes what a digest needs.
func (n *needs) add(d *Digest) {
	for i, c := range d.claims {
		if _, ok := n.leases[c.lease]; !ok {
			n.leases[c.lease] = postgres.NewLease{ID: c.lease, Process: c.process, LineItem: c.lineItem, At: d.claimed[i]}
		}
	}
	for _, r := range d.rows {
		n.bits[postgres.BitsKey{Lease: d.claims[r.claim].lease, Purpose: r.purpose, Block: r.block}] = struct{}{}
	}
	for i := range d.others {
		n.other(d.Process, d.others[i].event)
	}
}

func (n *needs) other(process ulid.ULID, rec *event.Record) {
	switch rec.Type {
	case event.Open, event.Close:
		// The lease's owner knows its day; an event elsewhere can only guess it.
		l := &rec.Lease
		n.leases[l.ID] = postgres.NewLease{ID: l.ID, Process: process, LineItem: l.LineItem, Day: l.Day, At: rec.At}
	case event.End:
		n.ending[process] = struct{}{}
	case event.Conversion:
		switch r := &rec.Landing.Reservation; {
		case r.Flags&event.Test != 0 || !sound(rec):
		case invalid(rec) != event.Valid:
			n.bits[postgres.BitsKey{Lease: r.Lease, Purpose: landingPurpose(rec), Block: block(r.Index)}] = struct{}{}
		default:
			n.conversions = append(n.conversions, rec)
		}
	}
}

func (n *needs) leaseIDs() []ulid.ULID        { return slices.Collect(maps.Keys(n.leases)) }
func (n *needs) bitsKeys() []postgres.BitsKey { return slices.Collect(maps.Keys(n.bits)) }
func (n *needs) endingIDs() []ulid.ULID       { return slices.Collect(maps.Keys(n.ending)) }

// converting lists the line items that conversions name.
func (n *needs) converting() []ad.ID {
	ids := make(map[ad.ID]struct{})
	for _, rec := range n.conversions {
		ids[rec.Landing.Reservation.LineItem] = struct{}{}
	}
	return slices.Collect(maps.Keys(ids))
}

// conversionKeys lists under what the conversions are counted, by these terms.
func (n *needs) conversionKeys(terms map[ad.ID]postgres.ConversionTerms) []postgres.ConversionKey {
	keys := make(map[postgres.ConversionKey]struct{})
	for _, rec := range n.conversions {
		if t, ok := terms[rec.Landing.Reservation.LineItem]; ok {
			keys[conversionKey(rec, t)] = struct{}{}
		}
	}
	return slices.Collect(maps.Keys(keys))
}
