package visitor

import (
	"strconv"
	"testing"

	"github.com/medama-io/go-useragent"

	"github.com/hayate-ads/hayate/delivery/target"
	"github.com/hayate-ads/hayate/internal/event"
)

// BenchmarkDescribe is a visitor with everything: two databases, hints, a page,
// segments and a consent.
func BenchmarkDescribe(b *testing.B) {
	r := open(b, Config{GeoFile: cityFile(b), ASNFile: asnFile(b)})
	f := func(name string, v *Visitor) {
		b.Run(name, func(b *testing.B) {
			var q target.Query
			b.ReportAllocs()
			for b.Loop() {
				q.Reset()
				if country, kind := r.Describe(v, &q); country != [2]byte{'J', 'P'} || kind != event.Mobile {
					b.Fatal(country, kind)
				}
			}
		})
	}
	f("all", everybody())
	v := everybody()
	v.Consent = Consent{TCF: []byte(tcfAll)}
	f("all+tcf", v)
	v = at(tokyoIP)
	v.Hints.UserAgent = []byte(chromeAndroid)
	f("plain", v)

	// The worst: every request is from a new town with a new user agent.
	b.Run("strangers", func(b *testing.B) {
		v, n := everybody(), uint64(0)
		town := r.places.at(uint64(r.databases[0].reader.Lookup(Truncate(v.IP)).Offset()))
		v.Hints.UserAgent = append(v.Hints.UserAgent, " 00000000"...)
		var q target.Query
		b.ReportAllocs()
		for b.Loop() {
			q.Reset()
			n++
			strconv.AppendUint(v.Hints.UserAgent[:len(chromeAndroid)+1], 10_000_000+n%80_000_000, 10)
			town.kept.Store(nil)
			r.Describe(v, &q)
		}
	})
}

func BenchmarkUserAgent(b *testing.B) {
	agent := []byte(chromeAndroid)
	b.Run("ours", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if a := readAgent(agent); a.kind != event.Mobile {
				b.Fatal(a)
			}
		}
	})
	b.Run("medama", func(b *testing.B) {
		parser := useragent.NewParser()
		b.ReportAllocs()
		for b.Loop() {
			if a := parser.Parse(alias(agent)); a.Device() != "Mobile" {
				b.Fatal(a)
			}
		}
	})
}

func BenchmarkTCF(b *testing.B) {
	text := []byte(tcfAll)
	b.ReportAllocs()
	for b.Loop() {
		if !readTCF(text, 0).Personal {
			b.Fatal("no consent")
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
