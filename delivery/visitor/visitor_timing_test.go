package visitor

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/maxmind/mmdbwriter/mmdbtype"
	"github.com/medama-io/go-useragent"

	"github.com/hayate-ads/hayate/delivery/target"
	"github.com/hayate-ads/hayate/delivery/target/workload"
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
		network := r.networks.at(keyOf(v.IP))
		v.Hints.UserAgent = append(v.Hints.UserAgent, " 00000000"...)
		var q target.Query
		b.ReportAllocs()
		for b.Loop() {
			q.Reset()
			n++
			strconv.AppendUint(v.Hints.UserAgent[:len(chromeAndroid)+1], 10_000_000+n%80_000_000, 10)
			town.kept.Store(nil)
			town.missed.Store(0)
			network.kept.Store(nil)
			network.missed.Store(0)
			r.Describe(v, &q)
		}
	})
}

// BenchmarkRequests is the visitors of the project's workload, as a publisher's
// server sends them. Cold, something else walks over the caches in between, as
// the auction among 100,000 line items does; "walk" is what that costs by itself.
func BenchmarkRequests(b *testing.B) {
	requests := workload.Requests(1, workload.Network, 4096)
	visitors, geography := visitorsOf(requests)
	r := open(b, Config{GeoFile: writeDatabase(b, "Test-City", geography)})
	memory := make([]uint64, 4<<20/8) // twice the second level
	f := func(name string, walked int, describe bool) {
		b.Run(name, func(b *testing.B) {
			var q target.Query
			n, sum := 0, uint64(0)
			b.ReportAllocs()
			for b.Loop() {
				v := &visitors[n%len(visitors)]
				for i := range walked {
					sum += memory[(n*walked+i)*8%len(memory)]
				}
				n++
				if !describe {
					continue
				}
				q.Reset()
				if country, _ := r.Describe(v, &q); country == [2]byte{} {
					b.Fatal("no country")
				}
			}
			memory[0] = sum
		})
	}
	f("warm", 0, true)
	f("walk", 4096, false)
	f("cold", 4096, true)
}

// userAgents are of the systems and browsers that the workload draws.
var userAgents = [...]string{
	chromeWindows, chromeAndroid, chromeTablet, chromeBook, chromePhone, safariPhone, safariMac, firefoxLinux,
	edgeWindows, operaMac, samsungPhone, webviewPhone,
}

// visitorsOf makes visitors of requests, and the database that places them.
func visitorsOf(requests []workload.Request) (visitors []Visitor, geography records) {
	geography = records{}
	for i := range requests {
		q := &requests[i]
		region := q.Region[len(q.Region)-1:]
		addr := netip.AddrFrom4([4]byte{100 + region[0] - '0', q.Country[0], q.Country[1], 7})
		geography[netip.PrefixFrom(Truncate(addr), 24).String()] = mmdbtype.Map{
			"country":      mmdbtype.Map{"iso_code": mmdbtype.String(q.Country[:])},
			"subdivisions": mmdbtype.Slice{mmdbtype.Map{"iso_code": mmdbtype.String(region)}},
		}
		v := Visitor{
			Now: someHour, IP: addr, Language: []byte(q.Language), Keywords: q.Keywords, Cattax: 7,
			URL:     fmt.Appendf(nil, "https://site-%d.example/2026/11/a-story.html", q.Site),
			Consent: Consent{GDPR: No},
		}
		if q.OS != "" {
			agent := userAgents[i%len(userAgents)]
			v.Hints.UserAgent = []byte(strings.Replace(agent, "0.0.0", strconv.Itoa(i%30)+".0.0", 1))
		}
		for _, category := range q.Categories {
			v.Categories = append(v.Categories, []byte(strings.TrimPrefix(category, "iab3/")))
		}
		for _, segment := range q.Segments {
			v.Segments = append(v.Segments, []byte(segment))
		}
		visitors = append(visitors, v)
	}
	return visitors, geography
}

var someHour = time.Date(2026, 11, 20, 15, 4, 5, 0, time.UTC)

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
