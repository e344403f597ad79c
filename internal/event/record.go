package event

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/hayate-ads/hayate/internal/ad"
)

// MaxRecord is the longest payload of a frame, in bytes. Records are under 200
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
	landedInvalid = 2
)

// Validate says whether a reader would accept rec. At may still be unset: the
// log sets it.
func (rec *Record) Validate() error {
	switch rec.Type {
	case Open, Close:
		return rec.Lease.validate(rec.Type)
	case End:
		return nil
	case Impression, Click, Viewable:
		if !payable(rec.Landing.Clearing) {
			return errors.New("clearing price is negative or too large")
		}
		return rec.Landing.Reservation.Validate()
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
	case Impression, Click, Viewable:
		dst = appendLanding(dst, &rec.Landing)
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
	if l.Invalid {
		flags |= landedInvalid
	}
	return append(dst, flags)
}

// parsePayload reads one payload, its type byte free of marks, into rec, which
// it clears first. names turns reasons and dimensions into strings.
func parsePayload(t Type, b []byte, rec *Record, names *interner) error {
	*rec = Record{Type: t}
	d := decoder{b: b}
	rec.At = time.UnixMicro(int64(d.upTo(latest*1_000_000, "log time"))).UTC()
	switch t {
	case Open, Close:
		d.lease(&rec.Lease, t)
	case End:
	case Impression, Click, Viewable:
		d.landing(&rec.Landing)
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
	l.Invalid = flags&landedInvalid != 0
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
