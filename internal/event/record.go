package event

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/hayate-ads/hayate/internal/ad"
)

// MaxRecord is the longest payload of a frame, in bytes. Records are under 256
// but for reasons, whose number of cells keeps them below it; it is what a
// reader believes of a length before it has checked the sum.
const MaxRecord = 4096

// MaxNoFill is the longest no-fill reason, in bytes.
const MaxNoFill = 64

const (
	maxImpressions = MaxIndex + 1 // of one lease
	maxDay         = 2_932_896    // 9999-12-31
)

// Flags of a landing.
const (
	landedLate    = 1
	landedInvalid = 2 // since version 3 followed by the reason
)

// Flags of an action.
const actedPostView = 1

// Validate says whether a reader would accept rec. At may still be unset: the
// log sets it.
func (rec *Record) Validate() error {
	switch rec.Type {
	case Open, Close:
		return rec.Lease.validate(rec.Type)
	case End:
		return nil
	case Impression, Click, Viewable, Progress, Win, Billing:
		return rec.Landing.validate()
	case Conversion:
		return errors.Join(rec.Landing.validate(), rec.Action.validate())
	case Requests:
		return rec.Requests.validate()
	case Unserved:
		return rec.Reasons.validate()
	default:
		return fmt.Errorf("unknown record type %d", rec.Type)
	}
}

func (l *Lease) validate(t Type) error {
	switch {
	case l.LineItem <= 0:
		return missing("lease's line item")
	case l.Day < 0 || l.Day > maxDay:
		return fmt.Errorf("lease's day %d is not between 1970 and 9999", l.Day)
	case !payable(l.Granted) || !payable(l.Reserved):
		return errors.New("lease's amount is negative or too large")
	case l.GrantedImpressions < 0 || l.GrantedImpressions > maxImpressions:
		return fmt.Errorf("lease grants %d impressions, it may be 0 to %d", l.GrantedImpressions, maxImpressions)
	case l.ReservedCount < 0 || l.ReservedCount > maxImpressions:
		return fmt.Errorf("lease has %d reservations, it may be 0 to %d", l.ReservedCount, maxImpressions)
	case t == Close && !l.LastExpiry.IsZero() && outside(l.LastExpiry):
		return errors.New("lease's last expiry is not between 1970 and 9999")
	}
	return nil
}

func (l *Landing) validate() error {
	switch {
	case !payable(l.Clearing):
		return errors.New("clearing price is negative or too large")
	case l.Invalid > InvalidSuspect:
		return fmt.Errorf("unknown reason %d for invalid traffic", l.Invalid)
	case l.Quartile > Complete:
		return fmt.Errorf("quartile %d of a video", l.Quartile)
	}
	return l.Reservation.Validate()
}

func (a *Action) validate() error {
	switch {
	case a == nil:
		return missing("action of a conversion")
	case len(a.OrderID) > MaxOrderID || !isPrintable(a.OrderID):
		return fmt.Errorf("order id %.80q is not of at most %d printable ASCII characters", a.OrderID, MaxOrderID)
	case !payable(a.Value):
		return errors.New("conversion's value is negative or too large")
	case outside(a.TouchedAt):
		return errors.New("time of the click or impression is not between 1970 and 9999")
	}
	return nil
}

func isPrintable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

func (c *Count) validate() error {
	switch {
	case c.Placement <= 0:
		return missing("count's placement")
	case c.Exchange < 0:
		return errors.New("count's exchange is negative")
	case c.N <= 0:
		return errors.New("count is not positive")
	case outside(c.Hour) || c.Hour.Unix()%3600 != 0 || c.Hour.Nanosecond() != 0:
		return errors.New("count's hour is not a full hour")
	case len(c.NoFill) > MaxNoFill:
		return fmt.Errorf("no-fill reason has %d bytes, at most %d are allowed", len(c.NoFill), MaxNoFill)
	}
	return nil
}

// AppendPayload appends what a frame holds of rec: the type, the log time, and
// the fields that the type uses.
func AppendPayload(dst []byte, rec *Record) []byte {
	dst = append(dst, byte(rec.Type))
	dst = binary.AppendUvarint(dst, uint64(rec.At.UnixMicro()))
	switch rec.Type {
	case Open, Close:
		dst = appendLease(dst, &rec.Lease, rec.Type)
	case Impression, Click, Viewable, Win, Billing:
		dst = appendLanding(dst, &rec.Landing)
	case Progress:
		dst = append(appendLanding(dst, &rec.Landing), byte(rec.Landing.Quartile))
	case Conversion:
		dst = appendAction(appendLanding(dst, &rec.Landing), rec.Action)
	case Requests:
		c := &rec.Requests
		dst = binary.AppendUvarint(dst, uint64(c.Hour.Unix()/3600))
		dst = binary.AppendUvarint(dst, uint64(c.Placement))
		dst = binary.AppendUvarint(dst, uint64(c.Exchange))
		dst = binary.AppendUvarint(dst, uint64(c.N))
		dst = binary.AppendUvarint(dst, uint64(len(c.NoFill)))
		dst = append(dst, c.NoFill...)
	case Unserved:
		dst = appendReasons(dst, rec.Reasons)
	}
	return dst
}

func appendLease(dst []byte, l *Lease, t Type) []byte {
	dst = append(dst, l.ID[:]...)
	dst = binary.AppendUvarint(dst, uint64(l.LineItem))
	dst = binary.AppendUvarint(dst, uint64(l.Day))
	dst = binary.AppendUvarint(dst, uint64(l.Granted))
	dst = binary.AppendUvarint(dst, uint64(l.GrantedImpressions))
	if t == Open {
		return dst
	}
	dst = binary.AppendUvarint(dst, uint64(l.Reserved))
	dst = binary.AppendUvarint(dst, uint64(l.ReservedCount))
	if l.LastExpiry.IsZero() {
		return append(dst, 0) // an untouched lease: no hold ever began
	}
	return binary.AppendUvarint(dst, uint64(l.LastExpiry.UnixMicro()))
}

func appendLanding(dst []byte, l *Landing) []byte {
	dst = AppendReservation(dst, &l.Reservation)
	dst = binary.AppendUvarint(dst, uint64(l.Clearing))
	var flags byte
	if l.Late {
		flags |= landedLate
	}
	if l.Invalid == Valid {
		return append(dst, flags)
	}
	return append(dst, flags|landedInvalid, byte(l.Invalid))
}

func appendAction(dst []byte, a *Action) []byte {
	if a == nil {
		return append(dst, 0xff) // unreadable, as all that Validate refuses
	}
	var flags byte
	if a.PostView {
		flags |= actedPostView
	}
	dst = append(dst, flags)
	dst = binary.AppendUvarint(dst, uint64(a.TouchedAt.Unix()))
	dst = binary.AppendUvarint(dst, uint64(a.Value))
	dst = binary.AppendUvarint(dst, uint64(len(a.OrderID)))
	return append(dst, a.OrderID...)
}

// parsePayload reads one payload, what follows its type byte, into rec, which
// it clears first. names turns reasons and dimensions into strings.
func parsePayload(t Type, d *decoder, rec *Record, names *interner) error {
	*rec = Record{Type: t}
	if t >= firstOfVersion3 && d.version < 3 {
		d.fail(fmt.Errorf("record type %d is unknown in version %d", t, d.version))
	}
	rec.At = time.UnixMicro(int64(d.upTo(latest*1_000_000, "log time"))).UTC()
	switch t {
	case Open, Close:
		d.lease(&rec.Lease, t)
	case End:
	case Impression, Click, Viewable, Win, Billing:
		d.landing(&rec.Landing)
	case Progress:
		d.landing(&rec.Landing)
		rec.Landing.Quartile = Quartile(d.upTo(uint64(Complete), "quartile"))
	case Conversion:
		d.landing(&rec.Landing)
		rec.Action = d.action()
	case Requests:
		d.count(&rec.Requests, names)
	case Unserved:
		rec.Reasons = d.reasons(names)
	default:
		d.fail(fmt.Errorf("unknown record type %d", t))
	}
	if len(d.b) > 0 {
		d.fail(errTrailing)
	}
	return d.err
}

func (d *decoder) lease(l *Lease, t Type) {
	d.ulid(&l.ID)
	l.LineItem = d.id("lease's line item")
	l.Day = Day(d.upTo(maxDay, "lease's day"))
	l.Granted = d.micros("granted amount")
	l.GrantedImpressions = int64(d.upTo(maxImpressions, "granted impressions"))
	if t == Open {
		return
	}
	l.Reserved = d.micros("reserved amount")
	l.ReservedCount = int64(d.upTo(maxImpressions, "reservations"))
	if expiry := d.upTo(latest*1_000_000, "last expiry"); expiry > 0 {
		l.LastExpiry = time.UnixMicro(int64(expiry)).UTC()
	}
}

func (d *decoder) landing(l *Landing) {
	d.reservation(&l.Reservation)
	l.Clearing = d.micros("clearing price")
	flags := d.byte()
	if flags&^(landedLate|landedInvalid) != 0 {
		d.fail(errors.New("unknown flag of a landing"))
	}
	l.Late = flags&landedLate != 0
	switch {
	case flags&landedInvalid == 0:
	case d.version < 3:
		l.Invalid = InvalidOther
	default:
		if l.Invalid = Invalid(d.byte()); l.Invalid == Valid || l.Invalid > InvalidSuspect {
			d.fail(fmt.Errorf("unknown reason %d for invalid traffic", l.Invalid))
		}
	}
}

func (d *decoder) action() *Action {
	flags := d.byte()
	if flags&^actedPostView != 0 {
		d.fail(errors.New("unknown flag of an action"))
	}
	a := &Action{PostView: flags&actedPostView != 0}
	a.TouchedAt = time.Unix(int64(d.upTo(latest, "time of the click or impression")), 0).UTC()
	a.Value = d.micros("conversion's value")
	a.OrderID = string(d.bytes(int(d.upTo(MaxOrderID, "length of the order id"))))
	if d.err == nil {
		if err := a.validate(); err != nil {
			d.fail(err)
		}
	}
	return a
}

func (d *decoder) count(c *Count, names *interner) {
	c.Hour = time.Unix(int64(d.upTo(latest/3600, "hour"))*3600, 0).UTC()
	c.Placement = d.id("count's placement")
	c.Exchange = ad.ID(d.upTo(math.MaxInt64, "exchange"))
	c.N = int64(d.upTo(math.MaxInt64, "count"))
	if c.N == 0 {
		d.fail(missing("count"))
	}
	c.NoFill = names.name(d.bytes(int(d.upTo(MaxNoFill, "length of the no-fill reason"))))
}

// firstOfVersion3 is the first type that older segments cannot hold.
const firstOfVersion3 = Conversion

// interner keeps one string for each reason or dimension seen: a handful of
// words stands in millions of records.
type interner map[string]string

func (in *interner) name(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	if s, ok := (*in)[string(b)]; ok {
		return s
	}
	if *in == nil {
		*in = interner{}
	}
	s := string(b)
	(*in)[s] = s
	return s
}
