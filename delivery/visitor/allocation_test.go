//go:build !race

package visitor

// The race detector makes pools forget on purpose, so this runs without it.

import (
	"net/netip"
	"testing"

	"github.com/hayate-ads/hayate/delivery/target"
	"github.com/hayate-ads/hayate/internal/event"
)

func TestNoAllocations(t *testing.T) {
	r := open(t, Config{
		GeoFile: cityFile(t), ASNFile: asnFile(t), ConnectionFile: connectionFile(t), Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
	})
	peer, forwarded := netip.MustParseAddr("10.0.0.1"), []byte("1.2.3.4, "+tokyoIP)
	v, buf := everybody(), make([]byte, 0, 128)
	v.Consent = Consent{
		TCF: []byte(tcfAll), GPP: []byte("DBACNY~" + tcfAll + "~1YNN"), USPrivacy: []byte("1YNN"),
	}
	var q target.Query
	allocs := testing.AllocsPerRun(1000, func() {
		q.Reset()
		v.IP = r.ClientIP(peer, forwarded)
		if country, kind := r.Describe(v, &q); country != [2]byte{'J', 'P'} || kind != event.Mobile || v.Bot || Bot(v.Hints.UserAgent) {
			t.Fatal("wrong visitor", country, kind)
		}
		if v.Grant != everything {
			t.Fatal("wrong grant", v.Grant)
		}
		if _, err := AppendKeyword(buf, []byte("Topic"), []byte("Go")); err != nil {
			t.Fatal(err)
		}
		if _, err := ParseSegment([]byte("vip")); err != nil {
			t.Fatal(err)
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations per visitor, want 0", allocs)
	}
}
