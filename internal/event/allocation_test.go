//go:build !race

package event

import "testing"

func TestNoAllocation(t *testing.T) {
	reservation := sampleReservation()
	buffer := make([]byte, 0, 4096)
	f := func(name string, want float64, do func()) {
		t.Helper()
		if got := testing.AllocsPerRun(100, do); got != want {
			t.Errorf("%s: %v allocations, want %v", name, got, want)
		}
	}
	f("AppendReservation", 0, func() { buffer = AppendReservation(buffer[:0], &reservation) })
	f("ParseReservation", 0, func() {
		if _, err := ParseReservation(buffer, &reservation); err != nil {
			t.Fatal(err)
		}
	})
	var records []Record // all but those whose rarer parts lie apart, see Reader
	for _, rec := range sampleRecords() {
		if rec.Reasons == nil && rec.Action == nil {
			records = append(records, rec)
		}
	}
	// The one is the sum over (process, sequence), once a segment.
	f("a segment written", 1, func() {
		w := NewWriter(sampleProcess, 7)
		buffer = w.AppendHeader(buffer[:0])
		for i := range records {
			buffer = w.AppendRecord(buffer, &records[i])
		}
		buffer = w.AppendFooter(buffer)
	})
	var rec Record
	names := interner{"no_budget": "no_budget"}
	f("a segment read", 1, func() {
		r, err := NewReader(buffer, sampleProcess, 7)
		r.names = names
		for ok := err == nil; ok; {
			ok, err = r.Next(&rec)
		}
		if err != nil {
			t.Fatal(err)
		}
	})
}
