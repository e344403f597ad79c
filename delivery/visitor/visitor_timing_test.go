package visitor

import (
	"net/netip"
	"testing"

	"github.com/hayate-ads/hayate/internal/event"
)

func BenchmarkQuery(b *testing.B) {
	r := open(b, Config{GeoFile: geoFile(b)})
	v := Visitor{IP: netip.MustParseAddr("203.0.113.9"), Hints: Hints{UserAgent: []byte(chromeAndroid)}}
	b.ReportAllocs()
	for b.Loop() {
		if q := r.Query(&v); q.Country != [2]byte{'J', 'P'} || q.Device != event.Mobile {
			b.Fatal(q)
		}
	}
}

func BenchmarkBot(b *testing.B) {
	agent := []byte(chromeAndroid)
	b.ReportAllocs()
	for b.Loop() {
		if Bot(agent) {
			b.Fatal("a person was taken for a crawler")
		}
	}
}
