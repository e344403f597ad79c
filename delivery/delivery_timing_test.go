package delivery

import (
	"bytes"
	"net"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/hayate-ads/hayate/internal/ad"
)

const timedBody = `{"placements":[{"id":"11"}],"page":{"url":"https://news.example/a/b","referrer":"https://search.example/"},
	"keywords":{"topic":["rust","databases"],"level":["beginner"]},"user":{"id":"u-1"},"consent":{"gpc":false}}`

func BenchmarkDecode(b *testing.B) {
	body := []byte(timedBody)
	var d decoder
	var r adRequest
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		r.reset()
		if err := d.decode(body, &r); err != nil || len(r.who.Keywords) != 3 {
			b.Fatal(err)
		}
	}
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
	s := newTestServer(b)
	s.server.now = func() time.Time { return testNow }
	s.server.want = func(ad.ID) {}
	var ctx fasthttp.RequestCtx
	var req fasthttp.Request
	req.Header.SetMethod("POST")
	req.SetRequestURI("/v1/decisions")
	req.Header.SetHost("ads.example")
	req.Header.SetProtocol("HTTP/1.1")
	req.Header.SetUserAgent("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
	req.SetBodyString(timedBody)
	ctx.Init(&req, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}, nil)
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
			b.Fatal(ctx.Response.StatusCode())
		}
	}
}
