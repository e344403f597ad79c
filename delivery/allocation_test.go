//go:build !race

package delivery

// The race detector makes pools forget on purpose, so these run without it.

import (
	"bufio"
	"bytes"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/valyala/fasthttp"

	"github.com/hayate-ads/hayate/delivery/token"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/event"
)

func TestDecodeAllocatesNothing(t *testing.T) {
	body := []byte(`{"placements":[{"id":"12"},{"id":"13"}],"page":{"url":"https://news.example/a","referrer":"https://x.example"},
		"keywords":{"topic":["Go","\u0052ust"],"level":["beginner"]},"user":{"id":"u1","segments":["s1"]},
		"device":{"ua":"Mozilla/5.0 (X11; Linux x86_64; rv:140.0)","ip":"203.0.113.9"},"consent":{"gpc":true,"gpp_sid":[7]},"test":false}`)
	var d decoder
	var r adRequest
	if allocs := testing.AllocsPerRun(1000, func() {
		r.reset()
		if err := d.decode(body, &r); err != nil {
			t.Fatal(err)
		}
	}); allocs != 0 {
		t.Errorf("%v allocations per body, want 0", allocs)
	}
	want := asked{Placements: []ad.ID{12, 13}, Keywords: []string{"topic=go", "topic=rust", "level=beginner"},
		UserAgent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0)", IP: netip.MustParseAddr("203.0.113.9").String()}
	if diff := cmp.Diff(want, askedOf(&r)); diff != "" {
		t.Error(diff)
	}
}

// A decision allocates nothing, from the parsed head to the written body.
func TestDecisionAllocatesNothing(t *testing.T) {
	s := newTestServer(t)
	s.server.now = func() time.Time { return testNow }
	s.server.want = func(ad.ID) {}
	s.lease(pricedItem, 1_000_000_000, 65_536)
	f := func(name, method, uri, body string) {
		t.Helper()
		var ctx fasthttp.RequestCtx
		req := decisionRequest(body)
		req.Header.SetMethod(method)
		req.SetRequestURI(uri)
		ctx.Init(req, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}, nil)
		allocs := testing.AllocsPerRun(2000, func() {
			ctx.Response.Reset()
			s.handle(&ctx)
			if status := ctx.Response.StatusCode(); status != 200 && status != 204 && status != 302 {
				t.Fatalf("%s: status %d, %s", name, ctx.Response.StatusCode(), ctx.Response.Body())
			}
		})
		if allocs != 0 {
			t.Errorf("%s: %v allocations, want 0", name, allocs)
		}
	}
	f("decisions", "POST", "/v1/decisions", `{"placements":[{"id":"11"},{"id":"12"}],"keywords":{"topic":["rust"]},"page":{"url":"https://news.example/"}}`)
	f("every member", "POST", "/v1/decisions", fullBody)
	f("json", "GET", "/v1/ad?placement=11&format=json&kw.topic=ru%73t", "")
	f("html", "GET", "/v1/ad?placement=11", "")
	f("js", "GET", "/v1/ad?placement=11&format=js", "")
	s.server.record = func(*event.Record) error { return nil }
	f("impression", "GET", "/t/i/"+signed(s, token.Impression, testReservation()), "")
	f("progress of a video", "GET", "/t/q/"+signed(s, token.Progress, testReservation())+"?p=midpoint", "")
	f("impression that is remembered", "GET", "/t/i/"+signed(s, token.Impression, personal()), "")
	f("click with a conversion's token", "GET", clickTo(s, personal(), "https://shop.example/?hy={conversion}"), "")
}

// Nor does the whole way of a request, from the socket back to the socket.
func TestServingAllocatesNothing(t *testing.T) {
	s := newTestServer(t)
	s.server.now = func() time.Time { return testNow }
	s.server.want = func(ad.ID) {}
	s.lease(pricedItem, 1_000_000_000, 65_536)
	peer, err := net.Dial("tcp", s.listen(t))
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	var request bytes.Buffer
	w := bufio.NewWriter(&request)
	if err := decisionRequest(fullBody).Write(w); err != nil {
		t.Fatal(err)
	}
	w.Flush()
	answer := make([]byte, 64<<10)
	ask := func() {
		if _, err := peer.Write(request.Bytes()); err != nil {
			t.Fatal(err)
		}
		n, err := peer.Read(answer)
		if err != nil || !bytes.HasPrefix(answer[:n], []byte("HTTP/1.1 200 OK")) || answer[n-1] != '}' {
			t.Fatalf("%v, %s", err, answer[:n])
		}
	}
	ask()
	// Not exactly none: the runtime's own goroutines count, and a deadline that
	// fires once in a while.
	if allocs := testing.AllocsPerRun(5000, ask); allocs > 0.01 {
		t.Errorf("%v allocations a request, want none", allocs)
	}
}
