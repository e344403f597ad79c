package event

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/money"
)

// Bounds of a reservation, refused alike by writers and readers.
const (
	MaxIndex = 65_535         // highest index within a lease
	MaxHold  = 24 * time.Hour // a token verifies no longer
)

// latest is the end of the year 9999, beyond which dates have no common text form.
const latest = 253_402_300_799

const knownFlags = Test | Suspect | Personal

// maxShare is all of a charge, in basis points.
const maxShare = 10_000

// errReservation is wrapped by every error of [ParseReservation] and [Reservation.Validate].
var errReservation = errors.New("bad reservation")

// AppendReservation appends the compact form of r, some 60 bytes: the two ULIDs
// as they are, numbers as varints, times in the precision that the fields name.
// What r holds out of bounds is written so that [ParseReservation] refuses it;
// it never panics. The form has no version of its own: what carries it (a
// segment's header, a token) has one.
func AppendReservation(dst []byte, r *Reservation) []byte {
	dst = append(dst, r.Process[:]...)
	dst = append(dst, r.Lease[:]...)
	dst = binary.AppendUvarint(dst, uint64(r.Index))
	dst = binary.AppendUvarint(dst, uint64(r.LineItem))
	dst = binary.AppendUvarint(dst, uint64(r.Creative))
	dst = binary.AppendUvarint(dst, uint64(r.Placement))
	dst = binary.AppendUvarint(dst, uint64(r.Exchange))
	dst = binary.AppendUvarint(dst, uint64(r.Deal))
	dst = append(dst, r.Country[0], r.Country[1], byte(r.Device), byte(r.Bills), byte(r.Flags))
	dst = binary.AppendUvarint(dst, uint64(r.DecidedAt.UnixMilli()))
	dst = binary.AppendUvarint(dst, uint64(r.Hold/time.Second))
	dst = binary.AppendUvarint(dst, r.Generation)
	dst = binary.AppendUvarint(dst, uint64(r.Price))
	dst = binary.AppendUvarint(dst, uint64(r.BidPrice))
	dst = binary.AppendUvarint(dst, uint64(r.Share))
	return binary.AppendUvarint(dst, uint64(r.Advertiser))
}

// ParseReservation reads what [AppendReservation] wrote into r and returns what
// follows it. It is strict: every value within its bounds and in its only
// spelling. After an error r holds nothing of use.
func ParseReservation(b []byte, r *Reservation) (rest []byte, err error) {
	d := decoder{b: b, version: Version}
	d.reservation(r)
	if d.err != nil {
		return nil, fmt.Errorf("%w: %w", errReservation, d.err)
	}
	return d.b, nil
}

func (d *decoder) reservation(r *Reservation) {
	d.ulid(&r.Process)
	d.ulid(&r.Lease)
	r.Index = uint32(d.upTo(MaxIndex, "index"))
	r.LineItem = d.id("line item")
	r.Creative = d.id("creative")
	r.Placement = d.id("placement")
	r.Exchange = ad.ID(d.upTo(math.MaxInt64, "exchange"))
	r.Deal = ad.ID(d.upTo(math.MaxInt64, "deal"))
	r.Country = [2]byte{d.byte(), d.byte()}
	r.Device = DeviceType(d.byte())
	r.Bills = Bills(d.byte())
	r.Flags = Flags(d.byte())
	r.DecidedAt = time.UnixMilli(int64(d.upTo(latest*1000, "decision time"))).UTC()
	r.Hold = time.Duration(d.upTo(uint64(MaxHold/time.Second), "hold")) * time.Second
	r.Generation = d.uvarint()
	r.Price = d.micros("price")
	r.BidPrice = d.micros("bid price")
	r.Share, r.Advertiser = 0, 0
	if d.version >= 3 {
		r.Share = uint16(d.upTo(maxShare, "revenue share"))
		r.Advertiser = ad.ID(d.upTo(math.MaxInt64, "advertiser"))
	}
	if err := r.enums(); err != nil {
		d.fail(err)
	}
}

// id is a positive number: Postgres mints none below one.
func (d *decoder) id(what string) ad.ID {
	v := d.upTo(math.MaxInt64, what)
	if v == 0 {
		d.fail(missing(what))
	}
	return ad.ID(v)
}

func (d *decoder) micros(what string) money.Micros {
	return money.Micros(d.upTo(uint64(money.Max), what))
}

// Validate says whether [ParseReservation] would accept r as it is written.
func (r *Reservation) Validate() error {
	var err error
	switch {
	case r.Index > MaxIndex:
		err = fmt.Errorf("index is %d, at most %d is allowed", r.Index, MaxIndex)
	case r.LineItem <= 0:
		err = missing("line item")
	case r.Creative <= 0:
		err = missing("creative")
	case r.Placement <= 0:
		err = missing("placement")
	case r.Exchange < 0 || r.Deal < 0 || r.Advertiser < 0:
		err = errors.New("exchange, deal or advertiser is negative")
	case outside(r.DecidedAt):
		err = errors.New("decision time is not between 1970 and 9999")
	case r.Hold < 0 || r.Hold > MaxHold:
		err = fmt.Errorf("hold is %v, it may be 0 to %v", r.Hold, MaxHold)
	case !payable(r.Price) || !payable(r.BidPrice):
		err = errors.New("price is negative or too large")
	case r.Share > maxShare:
		err = fmt.Errorf("revenue share is %d basis points, at most %d are allowed", r.Share, maxShare)
	default:
		err = r.enums()
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errReservation, err)
	}
	return nil
}

// enums refuses values whose meaning this version does not know.
func (r *Reservation) enums() error {
	switch {
	case r.Country != [2]byte{} && !(upper(r.Country[0]) && upper(r.Country[1])):
		return errors.New("country is not two capital letters")
	case r.Device > TV:
		return errors.New("unknown device type")
	case r.Bills > BillsBilling:
		return errors.New("unknown billing event")
	case r.Flags&^knownFlags != 0:
		return errors.New("unknown flag")
	}
	return nil
}

func upper(c byte) bool { return c >= 'A' && c <= 'Z' }

func payable(m money.Micros) bool { return m >= 0 && m <= money.Max }

func outside(t time.Time) bool { return t.Unix() < 0 || t.Unix() >= latest }

type missing string

func (m missing) Error() string { return string(m) + " is missing" }
