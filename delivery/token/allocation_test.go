//go:build !race

package token_test

import (
	"testing"

	"github.com/hayate-ads/hayate/delivery/token"
	"github.com/hayate-ads/hayate/internal/event"
)

func TestAllocations(t *testing.T) {
	keys := parse(t, "7 "+secret1)
	signer := keys.Signer()
	r, landing := reservation(), []byte("https://shop.example/landing")
	var text, out []byte
	f := func(what string, run func()) {
		t.Helper()
		if n := testing.AllocsPerRun(1000, run); n != 0 {
			t.Errorf("%s: %v allocations, want 0", what, n)
		}
	}
	f("three tokens of a decision", func() {
		signer.Begin(&r)
		text = signer.Append(text[:0], token.Impression, nil)
		text = signer.Append(text[:0], token.Viewable, nil)
		text = signer.Append(text[:0], token.Click, landing)
	})
	var got event.Reservation
	f("verifying a click", func() {
		var err error
		if out, err = keys.Verify(out[:0], token.Click, text, &got); err != nil {
			t.Fatal(err)
		}
	})
	f("a conversion, there and back", func() {
		signer.Begin(&r)
		text = signer.Append(text[:0], token.Conversion, touched)
		var err error
		if out, err = keys.Verify(out[:0], token.Conversion, text, &got); err != nil {
			t.Fatal(err)
		}
		if _, ok := token.ParseTouch(out); !ok {
			t.Fatal("no touch")
		}
	})
	f("refusing", func() {
		if _, err := keys.Verify(out[:0], token.Impression, text, &got); err == nil {
			t.Fatal("verified")
		}
	})
}
