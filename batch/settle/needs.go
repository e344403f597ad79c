package settle

import (
	"maps"
	"slices"

	"github.com/oklog/ulid/v2"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// needs collects what has to be loaded before a batch's records can be applied.
type needs struct {
	leases     map[ulid.ULID]postgres.NewLease // as they are added if the database does not know them
	bits       map[postgres.BitsKey]struct{}
	placements map[ad.ID]struct{}
	ending     map[ulid.ULID]struct{} // processes whose END is among the records
}

func newNeeds() *needs {
	return &needs{
		leases: make(map[ulid.ULID]postgres.NewLease), bits: make(map[postgres.BitsKey]struct{}),
		placements: make(map[ad.ID]struct{}), ending: make(map[ulid.ULID]struct{}),
	}
}

// add notes what rec, of the stream of process, needs.
func (n *needs) add(process ulid.ULID, rec *event.Record) {
	if !sound(rec) {
		return
	}
	switch rec.Type {
	case event.Open, event.Close:
		// The lease's owner knows its day; an event elsewhere can only guess it.
		l := &rec.Lease
		n.leases[l.ID] = postgres.NewLease{ID: l.ID, Process: process, LineItem: l.LineItem, Day: l.Day, At: rec.At}
	case event.End:
		n.ending[process] = struct{}{}
	case event.Impression, event.Click, event.Viewable:
		n.landing(rec)
	}
}

func (n *needs) landing(rec *event.Record) {
	r := &rec.Landing.Reservation
	if r.Flags&event.Test != 0 {
		return
	}
	if _, ok := n.leases[r.Lease]; !ok {
		n.leases[r.Lease] = postgres.NewLease{ID: r.Lease, Process: r.Process, LineItem: r.LineItem, At: r.DecidedAt}
	}
	n.bits[postgres.BitsKey{Lease: r.Lease, Purpose: landingPurpose(rec), Block: block(r.Index)}] = struct{}{}
	if rec.Type == event.Impression {
		n.placements[r.Placement] = struct{}{}
	}
}

func (n *needs) leaseIDs() []ulid.ULID        { return slices.Collect(maps.Keys(n.leases)) }
func (n *needs) bitsKeys() []postgres.BitsKey { return slices.Collect(maps.Keys(n.bits)) }
func (n *needs) placementIDs() []ad.ID        { return slices.Collect(maps.Keys(n.placements)) }
func (n *needs) endingIDs() []ulid.ULID       { return slices.Collect(maps.Keys(n.ending)) }
