package event

import "testing"

func BenchmarkAppendReservation(b *testing.B) {
	r := sampleReservation()
	var buffer []byte
	for b.Loop() {
		buffer = AppendReservation(buffer[:0], &r)
	}
	b.SetBytes(int64(len(buffer)))
}

func BenchmarkParseReservation(b *testing.B) {
	r := sampleReservation()
	buffer := AppendReservation(nil, &r)
	b.SetBytes(int64(len(buffer)))
	for b.Loop() {
		if _, err := ParseReservation(buffer, &r); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRead is what settle pays for one record of a full segment.
func BenchmarkRead(b *testing.B) {
	records := make([]Record, 10_000)
	for i := range records {
		records[i] = sampleRecords()[1]
	}
	segment, _ := segment(records, 100)
	b.SetBytes(int64(len(segment) / len(records)))
	var rec Record
	r, _ := NewReader(segment, sampleProcess, 7)
	for b.Loop() {
		ok, err := r.Next(&rec)
		if err != nil {
			b.Fatal(err)
		}
		if !ok {
			r, _ = NewReader(segment, sampleProcess, 7)
		}
	}
}
