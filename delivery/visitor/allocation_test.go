//go:build !race

package visitor

// The race detector makes pools forget on purpose, so this runs without it.

import (
	"net/netip"
	"testing"

	"github.com/hayate-ads/hayate/internal/event"
)

func TestNoAllocations(t *testing.T) {
	r := open(t, Config{GeoFile: geoFile(t), Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
	hints := Hints{UserAgent: []byte(chromeAndroid), Mobile: []byte("?1"), Platform: []byte(`"Android"`)}
	peer, forwarded := netip.MustParseAddr("10.0.0.1"), []byte("1.2.3.4, 203.0.113.9")
	buf := make([]byte, 0, 128)
	allocs := testing.AllocsPerRun(1000, func() {
		if r.Country(r.ClientIP(peer, forwarded)) != [2]byte{'J', 'P'} {
			t.Fatal("wrong country")
		}
		if kind, os := r.Device(hints); kind != event.Mobile || os != Android || Bot(hints.UserAgent) {
			t.Fatal("wrong device")
		}
		if _, err := AppendKeyword(buf, []byte("Topic"), []byte("Go")); err != nil {
			t.Fatal(err)
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations per visitor, want 0", allocs)
	}
}
