package event

import (
	"encoding/binary"
	"hash/crc32"
	"time"

	"github.com/oklog/ulid/v2"
)

var (
	sampleProcess = ulid.MustParse("01J0000000PR0CESS000000001")
	sampleLease   = ulid.MustParse("01J0000000EASE000000000001")
	sampleTime    = time.Date(2026, 11, 20, 17, 4, 5, 678_901_000, time.UTC)
)

func sampleReservation() Reservation {
	return Reservation{
		Process: sampleProcess, Lease: sampleLease, Index: 4711, LineItem: 12, Creative: 345, Placement: 6789,
		Exchange: 3, Deal: 77, Country: [2]byte{'J', 'P'}, Device: Mobile,
		DecidedAt: sampleTime.Truncate(time.Millisecond), Hold: time.Minute, Generation: 99,
		Price: 1_250, BidPrice: 1_300, Share: 7_000, Advertiser: 21, Bills: BillsImpression, Flags: Suspect,
	}
}

// sampleRecords has one record of every type, each field set that its type has.
func sampleRecords() []Record {
	landing := Landing{Reservation: sampleReservation(), Clearing: 1_300}
	bot, complete := landing, landing
	bot.Invalid, complete.Quartile = InvalidBot, Complete
	records := sampleRecordsV2()
	for i := range records {
		if r := &records[i].Landing.Reservation; r.LineItem != 0 {
			r.Share, r.Advertiser = landing.Reservation.Share, landing.Reservation.Advertiser
		}
	}
	return dated(append(records,
		Record{Type: Conversion, Landing: landing, Action: &Action{OrderID: "A-1 ~", Value: 12_340_000, TouchedAt: sampleTime.Truncate(time.Second)}},
		Record{Type: Conversion, Landing: bot, Action: &Action{PostView: true, TouchedAt: sampleTime.Truncate(time.Second)}},
		Record{Type: Progress, Landing: landing}, Record{Type: Progress, Landing: complete},
		Record{Type: Win, Landing: landing}, Record{Type: Billing, Landing: bot},
	))
}

// sampleRecordsV2 are those of the types that version 2 had.
func sampleRecordsV2() []Record {
	return dated(append(sampleRecordsV1(), sampleReasons(false), sampleReasons(true)))
}

func dated(records []Record) []Record {
	for i := range records {
		records[i].At = sampleTime.Add(time.Duration(i) * time.Microsecond)
	}
	return records
}

func sampleReasons(estimated bool) Record {
	r := &Reasons{Hour: sampleTime.Truncate(time.Hour), Estimated: estimated, Cells: []ReasonCell{
		{LineItem: 12, Reason: "no_match", Dimension: "country", N: 1 << 30},
		{LineItem: 13, Reason: "no_lease", N: 3},
		{Reason: "below_floor", N: 1},
	}}
	if estimated {
		r.Cells[0].Samples, r.Cells[1].Samples, r.Cells[2].Samples = 640, 3, 1
	}
	return Record{Type: Unserved, At: sampleTime, Reasons: r}
}

// sampleRecordsV1 are those of the types that version 1 had.
func sampleRecordsV1() []Record {
	unshared := sampleReservation()
	unshared.Share, unshared.Advertiser = 0, 0 // tokens of that time did not say
	landing := Landing{Reservation: unshared, Clearing: 1_100, Late: true, Invalid: InvalidOther}
	plain := Landing{Reservation: unshared, Clearing: 1_300}
	lease := Lease{ID: sampleLease, LineItem: 12, Day: 20_777, Granted: 5_000_000, GrantedImpressions: 4_000}
	closed := lease
	closed.Reserved, closed.ReservedCount, closed.LastExpiry = 4_999_999, 3_999, sampleTime.Add(time.Minute)
	records := []Record{
		{Type: Open, Lease: lease},
		{Type: Impression, Landing: plain},
		{Type: Click, Landing: landing},
		{Type: Viewable, Landing: plain},
		{Type: Requests, Requests: Count{Hour: sampleTime.Truncate(time.Hour), Placement: 6789, Exchange: 3, NoFill: "no_budget", N: 1 << 40}},
		{Type: Requests, Requests: Count{Hour: sampleTime.Truncate(time.Hour), Placement: 6789, N: 1}},
		{Type: Close, Lease: closed},
		{Type: Close, Lease: lease}, // untouched: no expiry
		{Type: End},
	}
	return dated(records)
}

// segment writes records in batches of the given size; cuts holds the offset
// after every frame, the header first, the footer last.
func segment(records []Record, batch int) (b []byte, cuts []int) {
	w := NewWriter(sampleProcess, 7)
	b = w.AppendHeader(nil)
	cuts = append(cuts, len(b))
	for i := range records {
		if i > 0 && i%batch == 0 {
			w.Synced()
		}
		b = w.AppendRecord(b, &records[i])
		cuts = append(cuts, len(b))
	}
	b = w.AppendFooter(b)
	return b, append(cuts, len(b))
}

// read returns all records up to the end or the first error.
func read(b []byte) ([]Record, Reader, error) {
	r, err := NewReader(b, sampleProcess, 7)
	var records []Record
	var rec Record
	for err == nil {
		var ok bool
		if ok, err = r.Next(&rec); !ok {
			break
		}
		records = append(records, rec)
	}
	return records, r, err
}

// sumOf is a checksum as it stands in files.
func sumOf(b []byte) []byte {
	return binary.LittleEndian.AppendUint32(nil, crc32.Checksum(b, castagnoli))
}
