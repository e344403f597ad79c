package event

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/hayate-ads/hayate/internal/money"
)

// framed is a sealed segment of the given version with one payload.
func framed(version uint16, payload []byte) []byte {
	w := NewWriter(sampleProcess, 7)
	b := w.AppendHeader(nil)
	b[4] = byte(version)
	b = append(b[:32], sumOf(b[:32])...)
	return w.AppendFooter(w.AppendFrame(b, payload))
}

// What a program of before version 3 cannot have written is damage in its files,
// and what it wrote about invalid traffic is read as it meant it.
func TestTypesHaveAVersion(t *testing.T) {
	t.Parallel()
	for _, rec := range sampleRecords() {
		_, _, err := read(framed(2, AppendPayload(nil, &rec)))
		if rec.Type >= firstOfVersion3 && !errors.Is(err, ErrCorrupt) {
			t.Errorf("type %d in a file of version 2: %v", rec.Type, err)
		}
	}
	old := AppendPayload(nil, &Record{Type: Click, At: sampleTime, Landing: Landing{Reservation: sampleReservation()}})
	old = append(old[:len(old)-5], 0, landedLate|landedInvalid) // without share (2 bytes) and advertiser before clearing and flags
	got, _, err := read(framed(2, old))
	if err != nil || got[0].Landing.Invalid != InvalidOther || !got[0].Landing.Late || got[0].Landing.Reservation.Share != 0 {
		t.Errorf("%+v, %v", got, err)
	}
}

// A record has one spelling: flags nobody knows, a reason that says valid, and
// bytes after the last field are refused.
func TestRecordsHaveOneSpelling(t *testing.T) {
	t.Parallel()
	f := func(name string, rec Record, change func(b []byte) []byte) {
		t.Helper()
		rec.At = sampleTime
		b := AppendPayload(nil, &rec)
		if _, _, err := read(framed(Version, b)); err != nil {
			t.Fatalf("%s: unchanged: %v", name, err)
		}
		if _, _, err := read(framed(Version, change(b))); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	last := func(v byte) func([]byte) []byte { return func(b []byte) []byte { b[len(b)-1] = v; return b } }
	landing := Landing{Reservation: sampleReservation()}
	bot := landing
	bot.Invalid = InvalidBot
	f("unknown flag of a landing", Record{Type: Win, Landing: landing}, last(4))
	f("a reason announced and missing", Record{Type: Win, Landing: landing}, last(landedInvalid))
	f("a reason that says valid", Record{Type: Billing, Landing: bot}, last(byte(Valid)))
	f("a reason of the future", Record{Type: Billing, Landing: bot}, last(byte(InvalidSuspect)+1))
	f("a quartile of the future", Record{Type: Progress, Landing: landing}, last(byte(Complete)+1))
	f("no quartile", Record{Type: Progress, Landing: landing}, func(b []byte) []byte { return b[:len(b)-1] })
	action := Record{Type: Conversion, Landing: landing, Action: &Action{OrderID: "A", TouchedAt: sampleTime}}
	f("a shorter order id than announced", action, func(b []byte) []byte { return b[:len(b)-1] })
	f("an order id that cannot be printed", action, last(0x1f))
	f("unknown flag of an action", action, func(b []byte) []byte {
		b[len(b)-9] = 2 // flags, time (5 bytes), value, length and text of the order id
		return b
	})
	for _, rec := range sampleRecords() {
		f("a byte too many", rec, func(b []byte) []byte { return append(b, 0) })
	}
}

// The largest record of every type fits a frame, and those that are not lists
// stay below what [MaxRecord] says of them.
func TestRecordsAreSmall(t *testing.T) {
	t.Parallel()
	end := time.Unix(latest-1, 999_999_000)
	r := sampleReservation()
	r.Index, r.LineItem, r.Creative, r.Placement, r.Exchange, r.Deal, r.Advertiser = MaxIndex, math.MaxInt64, math.MaxInt64, math.MaxInt64, math.MaxInt64, math.MaxInt64, math.MaxInt64
	r.DecidedAt, r.Hold, r.Generation, r.Price, r.BidPrice, r.Share = end, MaxHold, math.MaxUint64, money.Max, money.Max, maxShare
	landing := Landing{Reservation: r, Clearing: money.Max, Late: true, Invalid: InvalidSuspect, Quartile: Complete}
	lease := Lease{
		LineItem: math.MaxInt64, Day: maxDay, Granted: money.Max, GrantedImpressions: maxImpressions,
		Reserved: money.Max, ReservedCount: maxImpressions, LastExpiry: end,
	}
	count := Count{Hour: time.Unix((latest/3600-1)*3600, 0), Placement: math.MaxInt64, Exchange: math.MaxInt64, NoFill: strings.Repeat("w", MaxNoFill), N: math.MaxInt64}
	action := Action{OrderID: strings.Repeat("~", MaxOrderID), Value: money.Max, PostView: true, TouchedAt: end}
	for kind := Open; kind <= Billing; kind++ {
		if kind == Unserved {
			continue // see TestReasonsFitARecord
		}
		rec := Record{Type: kind, At: end, Lease: lease, Landing: landing, Requests: count, Action: &action}
		if err := rec.Validate(); err != nil {
			t.Errorf("type %d: %v", kind, err)
		}
		if n := len(AppendPayload(nil, &rec)); n >= 256 {
			t.Errorf("type %d: %d bytes", kind, n)
		}
	}
}

func TestCharge(t *testing.T) {
	t.Parallel()
	f := func(price, bid, clearing, want money.Micros) {
		t.Helper()
		l := Landing{Reservation: Reservation{Price: price, BidPrice: bid}, Clearing: clearing}
		if got := l.Charge(); got != want {
			t.Errorf("price %d, bid %d, clearing %d: charges %d, want %d", price, bid, clearing, got, want)
		}
	}
	f(1000, 1000, 1000, 1000)
	f(1000, 1000, 999, 999)
	f(1000, 3, 1, 333) // another currency, rounded down
	f(1000, 3, 2, 666)
	f(1000, 3, 4, 1000) // above the bid: never more than the price
	f(1000, 1000, 0, 0)
	f(1000, 0, 0, 1000) // no bid: the price
	f(0, 1000, 500, 0)
	f(money.Max, money.Max, money.Max-1, money.Max-1)
}

func TestRevenue(t *testing.T) {
	t.Parallel()
	f := func(share uint16, charged, want money.Micros) {
		t.Helper()
		r := Reservation{Share: share}
		if got := r.Revenue(charged); got != want {
			t.Errorf("%d basis points of %d are %d, want %d", share, charged, got, want)
		}
	}
	f(0, 1000, 0)
	f(10_000, 1001, 1001)
	f(7_000, 1001, 700)
	f(1, 9_999, 0)
	f(9_999, money.Max-1, 999_899_999_999_999_999)
}

// Names and numbers stand in files, reports and Postgres.
func TestNumbersAndNames(t *testing.T) {
	t.Parallel()
	for i, want := range []string{"", "other", "bot", "suspect", "other"} {
		if got := Invalid(i).String(); got != want {
			t.Errorf("invalid %d is %q, want %q", i, got, want)
		}
	}
	for i, want := range []Type{0, Impression, Click, Conversion, Win, Billing, 0} {
		if got := Bills(i).Type(); got != want {
			t.Errorf("what bills %d is type %d, want %d", i, got, want)
		}
	}
	durable := map[Type]bool{Open: true, Close: true, End: true, Impression: true, Click: true, Conversion: true, Win: true, Billing: true}
	landing := map[Type]bool{Impression: true, Click: true, Viewable: true, Conversion: true, Progress: true, Win: true, Billing: true}
	for kind := Open; kind <= Billing; kind++ {
		if kind.Durable() != durable[kind] || kind.IsLanding() != landing[kind] {
			t.Errorf("type %d: durable %t, landing %t", kind, kind.Durable(), kind.IsLanding())
		}
	}
}

// FuzzRecord: behind a checksum that is right, what reads as a record is one
// that a writer would write, byte for byte.
func FuzzRecord(f *testing.F) {
	for _, rec := range sampleRecords() {
		f.Add(AppendPayload(nil, &rec))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) == 0 || len(b) > MaxRecord || b[0]&syncedMark != 0 {
			return
		}
		got, _, err := read(framed(Version, b))
		if len(got) == 0 {
			return
		}
		if err == nil {
			err = got[0].Validate()
		}
		if again := AppendPayload(nil, &got[0]); err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%x reads as %x, %v", b, again, err)
		}
	})
}
