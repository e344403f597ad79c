package delivery

import (
	"bytes"
	"net"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/hayate-ads/hayate/delivery/token"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/event"
)

const timedBody = `{"placements":[{"id":"11"}],"page":{"url":"https://news.example/a/b","referrer":"https://search.example/"},
	"keywords":{"topic":["rust","databases"],"level":["beginner"]},"user":{"id":"u-1"},"consent":{"gpc":false}}`

// fullBody has every member that a decision request of a site can have, as a
// publisher's server sends it on behalf of a visitor.
const fullBody = `{"placements":[{"id":"11"},{"id":"12"}],
	"page":{"url":"https://www.news.example/sports/football/2026/11/a-story.html?id=7","referrer":"https://search.example/","categories":["483","IAB17"],"cattax":1},
	"keywords":{"topic":["rust","databases"],"level":["beginner","\u0065xpert"]},
	"user":{"id":"u-1","segments":["4711","815","s-3","s-4","s-5","s-6","s-7","s-8"]},
	"device":{"ua":"Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36",
		"ip":"203.0.113.9","language":"ja-JP","hints":{"brands":"\"Chromium\";v=\"140\", \"Google Chrome\";v=\"140\"","mobile":"?1","platform":"\"Android\"",
		"platform_version":"\"15.0.0\"","model":"\"Pixel 9\"","full_version_list":"\"Google Chrome\";v=\"140.0.7339.80\""},
		"make":"Google","model":"Pixel 9","os":"android","osv":"15","connectiontype":6,"mccmnc":"440-10","geo":{"lat":35.68,"lon":139.76},"lmt":0},
	"consent":{"us_privacy":"1YNN","gpp_sid":[],"gpc":false,"gdpr":0,"coppa":0},"test":false}`

// browserHeaders are what a browser of today sends along, behind one proxy.
var browserHeaders = [][2]string{
	{"User-Agent", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"},
	{"Accept", "*/*"}, {"Accept-Language", "en-US,en;q=0.5"}, {"Accept-Encoding", "gzip, deflate, br"},
	{"Referer", "https://news.example/"}, {"Origin", "https://news.example"}, {"X-Forwarded-For", "203.0.113.9"},
	{"Sec-Ch-Ua", `"Chromium";v="140", "Google Chrome";v="140", "Not_A Brand";v="24"`}, {"Sec-Ch-Ua-Mobile", "?0"}, {"Sec-Ch-Ua-Platform", `"Windows"`},
	{"Sec-Fetch-Dest", "empty"}, {"Sec-Fetch-Mode", "cors"}, {"Sec-Gpc", "0"},
}

func BenchmarkGuard(b *testing.B) {
	raw := []byte("Host: ads.example\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n" +
		"Accept: */*\r\nAccept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br\r\nReferer: https://news.example/\r\n" +
		"Origin: https://news.example\r\nConnection: keep-alive\r\nSec-Fetch-Dest: empty\r\nSec-Fetch-Mode: cors\r\nContent-Length: 250\r\n\r\n")
	b.ReportAllocs()
	for b.Loop() {
		if framing(raw) != nil {
			b.Fatal("refused")
		}
	}
}

// BenchmarkDecision is a decision request from parsed head to written body, the
// log and the network left out; the test snapshot has three line items.
func BenchmarkDecision(b *testing.B) {
	f := func(name, body string) {
		b.Run(name, func(b *testing.B) {
			s := newTestServer(b)
			s.server.now = func() time.Time { return testNow }
			s.server.want = func(ad.ID) {}
			var ctx fasthttp.RequestCtx
			ctx.Init(decisionRequest(body), &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}, nil)
			fresh := func() { s.book.Slot(pricedItem).Store(testLease(pricedItem, 1<<40, 65_536)) }
			fresh()
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if i%60_000 == 59_999 {
					fresh()
				}
				ctx.Response.Reset()
				s.handle(&ctx)
				if ctx.Response.StatusCode() != 200 || !bytes.Contains(ctx.Response.Body(), []byte(`"line_item":"31"`)) {
					b.Fatal(ctx.Response.StatusCode(), string(ctx.Response.Body()))
				}
			}
		})
	}
	f("plain", timedBody)
	f("full", fullBody)
}

// BenchmarkLanding is a tracking request from parsed head to written answer, the
// log and the network left out.
func BenchmarkLanding(b *testing.B) {
	s := newEmptyServer(b)
	s.server.now = func() time.Time { return testNow }
	s.server.record = func(*event.Record) error { return nil }
	f := func(name, path string) {
		b.Run(name, func(b *testing.B) {
			var ctx fasthttp.RequestCtx
			req := decisionRequest("")
			req.Header.SetMethod("GET")
			req.SetRequestURI(path)
			ctx.Init(req, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}, nil)
			b.ReportAllocs()
			for b.Loop() {
				ctx.Response.Reset()
				s.handle(&ctx)
				if status := ctx.Response.StatusCode(); status != 200 && status != 302 {
					b.Fatal(status)
				}
			}
		})
	}
	f("impression", "/t/i/"+signed(s, token.Impression, testReservation()))
	f("impression_remembered", "/t/i/"+signed(s, token.Impression, personal()))
	f("click_with_token", clickTo(s, personal(), "https://shop.example/?hy={conversion}"))
	f("postback", "/t/x/"+postClick(s, testReservation(), time.Hour)+"?order=A-1001&value=49.90")
}

// decisionRequest is a browser's.
func decisionRequest(body string) *fasthttp.Request {
	req := new(fasthttp.Request)
	req.Header.SetMethod("POST")
	req.SetRequestURI("/v1/decisions")
	req.Header.SetHost("ads.example")
	req.Header.SetProtocol("HTTP/1.1")
	for _, h := range browserHeaders {
		req.Header.Set(h[0], h[1])
	}
	req.SetBodyString(body)
	return req
}
