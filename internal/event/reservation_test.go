package event

import (
	"bytes"
	"encoding/binary"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/oklog/ulid/v2"
	"pgregory.net/rapid"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/money"
)

func drawID(t *rapid.T, least int64, label string) ad.ID {
	return ad.ID(rapid.Int64Range(least, math.MaxInt64).Draw(t, label))
}

func drawULID(t *rapid.T, label string) ulid.ULID {
	return ulid.ULID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, label))
}

func drawMicros(t *rapid.T, label string) money.Micros {
	return money.Micros(rapid.Int64Range(0, int64(money.Max)).Draw(t, label))
}

func drawReservation(t *rapid.T) Reservation {
	country := [2]byte{}
	if rapid.Bool().Draw(t, "country known") {
		country = [2]byte{rapid.ByteRange('A', 'Z').Draw(t, "c0"), rapid.ByteRange('A', 'Z').Draw(t, "c1")}
	}
	return Reservation{
		Process: drawULID(t, "process"), Lease: drawULID(t, "lease"), Index: rapid.Uint32Range(0, MaxIndex).Draw(t, "index"),
		LineItem: drawID(t, 1, "line item"), Creative: drawID(t, 1, "creative"), Placement: drawID(t, 1, "placement"),
		Exchange: drawID(t, 0, "exchange"), Deal: drawID(t, 0, "deal"), Country: country,
		Device:    DeviceType(rapid.ByteRange(0, byte(TV)).Draw(t, "device")),
		DecidedAt: time.UnixMilli(rapid.Int64Range(0, latest*1000-1).Draw(t, "decided")).UTC(),
		Hold:      time.Duration(rapid.Int64Range(0, 86_400).Draw(t, "hold")) * time.Second,
		Price:     drawMicros(t, "price"), BidPrice: drawMicros(t, "bid price"), Generation: rapid.Uint64().Draw(t, "generation"),
		Share: rapid.Uint16Range(0, maxShare).Draw(t, "share"), Advertiser: drawID(t, 0, "advertiser"),
		Bills: Bills(rapid.ByteRange(0, byte(BillsBilling)).Draw(t, "bills")), Flags: Flags(rapid.ByteRange(0, byte(knownFlags)).Draw(t, "flags")),
	}
}

func TestReservationRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := drawReservation(t)
		if err := want.Validate(); err != nil {
			t.Fatal(err)
		}
		b := AppendReservation([]byte("before"), &want)
		var got Reservation
		rest, err := ParseReservation(append(b, "after"...)[len("before"):], &got)
		if err != nil || string(rest) != "after" {
			t.Fatalf("rest %q, error %v", rest, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestReservationTruncated(t *testing.T) {
	t.Parallel()
	r := sampleReservation()
	b := AppendReservation(nil, &r)
	for n := range b {
		if _, err := ParseReservation(b[:n], &r); err == nil {
			t.Errorf("the first %d of %d bytes are accepted", n, len(b))
		}
	}
	t.Logf("%d bytes", len(b))
}

func TestReservationBounds(t *testing.T) {
	t.Parallel()
	f := func(name string, change func(*Reservation)) {
		t.Helper()
		r := sampleReservation()
		change(&r)
		if r.Validate() == nil {
			t.Errorf("%s: Validate accepts it", name)
		}
		if _, err := ParseReservation(AppendReservation(nil, &r), &r); err == nil {
			t.Errorf("%s: ParseReservation accepts it", name)
		}
	}
	f("index", func(r *Reservation) { r.Index = 65_536 })
	f("no line item", func(r *Reservation) { r.LineItem = 0 })
	f("negative line item", func(r *Reservation) { r.LineItem = -1 })
	f("no creative", func(r *Reservation) { r.Creative = 0 })
	f("no placement", func(r *Reservation) { r.Placement = 0 })
	f("negative exchange", func(r *Reservation) { r.Exchange = -1 })
	f("negative deal", func(r *Reservation) { r.Deal = -1 })
	f("negative advertiser", func(r *Reservation) { r.Advertiser = -1 })
	f("small letters", func(r *Reservation) { r.Country = [2]byte{'j', 'p'} })
	f("half a country", func(r *Reservation) { r.Country = [2]byte{'J', 0} })
	f("device", func(r *Reservation) { r.Device = TV + 1 })
	f("bills", func(r *Reservation) { r.Bills = BillsBilling + 1 })
	f("flags", func(r *Reservation) { r.Flags = knownFlags + 1 })
	f("no time", func(r *Reservation) { r.DecidedAt = time.Time{} })
	f("before 1970", func(r *Reservation) { r.DecidedAt = time.UnixMilli(-1000) })
	f("year 10000", func(r *Reservation) { r.DecidedAt = time.Date(10000, 1, 1, 0, 0, 1, 0, time.UTC) })
	f("hold of more than a day", func(r *Reservation) { r.Hold = MaxHold + time.Second })
	f("negative hold", func(r *Reservation) { r.Hold = -time.Second })
	f("negative price", func(r *Reservation) { r.Price = -1 })
	f("huge price", func(r *Reservation) { r.Price = money.Max + 1 })
	f("negative bid price", func(r *Reservation) { r.BidPrice = -1 })
	f("share of more than all", func(r *Reservation) { r.Share = 10_001 })
	f("huge bid price", func(r *Reservation) { r.BidPrice = money.Max + 1 })
}

// A number spelt longer than needed would give one token two spellings.
func TestReservationCanonical(t *testing.T) {
	t.Parallel()
	r := sampleReservation()
	b := AppendReservation(nil, &r)
	index := binary.AppendUvarint(nil, uint64(r.Index))
	if !bytes.Equal(b[32:32+len(index)], index) {
		t.Fatal("the index is not where this test looks for it")
	}
	long := append(bytes.Clone(index), 0)
	long[len(index)-1] |= 0x80
	padded := append(append(bytes.Clone(b[:32]), long...), b[32+len(index):]...)
	if _, err := ParseReservation(padded, &r); err == nil {
		t.Error("a padded number is accepted")
	}
	overflow := append(bytes.Clone(b[:32]), bytes.Repeat([]byte{0xff}, 11)...)
	if _, err := ParseReservation(overflow, &r); err == nil {
		t.Error("a number beyond 64 bits is accepted")
	}
}

// FuzzReservation: what parses is within bounds and has no second spelling.
func FuzzReservation(f *testing.F) {
	r := sampleReservation()
	f.Add(AppendReservation(nil, &r))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		var r Reservation
		rest, err := ParseReservation(b, &r)
		if err != nil {
			return
		}
		if err := r.Validate(); err != nil {
			t.Fatalf("accepted, yet invalid: %v", err)
		}
		if again := AppendReservation(nil, &r); !bytes.Equal(again, b[:len(b)-len(rest)]) {
			t.Fatalf("%x reads as %x", b[:len(b)-len(rest)], again)
		}
	})
}
