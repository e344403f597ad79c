package token_test

import (
	"testing"

	"github.com/hayate-ads/hayate/delivery/token"
	"github.com/hayate-ads/hayate/internal/event"
)

// BenchmarkDecision signs what one decision needs: impression, viewable, click.
func BenchmarkDecision(b *testing.B) {
	signer := parse(b, "7 "+secret1).Signer()
	r, landing := reservation(), []byte("https://shop.example/landing?utm_source=hayate")
	var i, v, c []byte
	b.ReportAllocs()
	for b.Loop() {
		signer.Begin(&r)
		i = signer.Append(i[:0], token.Impression, nil)
		v = signer.Append(v[:0], token.Viewable, nil)
		c = signer.Append(c[:0], token.Click, landing)
		if len(i) != len(v) || len(c) <= len(i) {
			b.Fatal("odd lengths")
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	keys := parse(b, "7 "+secret1)
	r := reservation()
	text := keys.Sign(nil, token.Impression, &r, nil)
	var got event.Reservation
	b.ReportAllocs()
	for b.Loop() {
		if _, err := keys.Verify(nil, token.Impression, text, &got); err != nil || got.Index != r.Index {
			b.Fatal(err)
		}
	}
}
