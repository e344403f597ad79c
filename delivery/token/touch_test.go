package token_test

import (
	"bytes"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hayate-ads/hayate/delivery/token"
)

// A tail that a purpose does not have is left out, so that nothing signed says
// what nobody reads.
func TestTailsBelongToPurposes(t *testing.T) {
	t.Parallel()
	keys := parse(t, "7 "+secret1)
	r := reservation()
	for _, purpose := range purposes {
		bare := keys.Sign(nil, purpose, &r, nil)
		if got := keys.Sign(nil, purpose, &r, tailOf(token.Click)); purpose != token.Click && !bytes.Equal(got, bare) {
			t.Errorf("%c: signed with a landing URL: %s", purpose, got)
		}
		if purpose == token.Conversion {
			refuse(t, keys, purpose, bare, "a conversion of nothing")
		}
	}
}

// TestTouchBounds: whole seconds from 1970 to 9999, of two kinds, in six bytes.
func TestTouchBounds(t *testing.T) {
	t.Parallel()
	const latest = 253_402_300_799
	rapid.Check(t, func(t *rapid.T) {
		want := token.Touch{At: time.Unix(rapid.Int64Range(0, latest-1).Draw(t, "at"), 0).UTC(), PostView: rapid.Bool().Draw(t, "view")}
		if got, ok := token.ParseTouch(want.Append(nil)); !ok || got != want {
			t.Fatalf("%v came back as %v, %t", want, got, ok)
		}
	})
	whole := token.Touch{At: time.Unix(7, 999_999_999)}.Append(nil)
	if got, ok := token.ParseTouch(whole); !ok || got.At != time.Unix(7, 0).UTC() {
		t.Errorf("parts of a second: %v, %t", got, ok)
	}
	f := func(what string, tail []byte) {
		t.Helper()
		if got, ok := token.ParseTouch(tail); ok {
			t.Errorf("%s: accepted as %v", what, got)
		}
	}
	f("before 1970", token.Touch{At: time.Unix(-1, 0)}.Append(nil))
	f("no time", token.Touch{}.Append(nil))
	f("year 10000", token.Touch{At: time.Unix(latest, 0)}.Append(nil))
	f("five bytes of latest", []byte{0, 0xff, 0xff, 0xff, 0xff, 0xff})
	f("another kind", []byte{2, 0, 0, 0, 0, 1})
	f("short", touched[:5])
	f("long", append(bytes.Clone(touched), 0))
	f("none", nil)
}

// TestGolden: tokens of conversions are out for 90 days, in landing pages' addresses
// and in cookies, so their form has to stay.
func TestGolden(t *testing.T) {
	t.Parallel()
	r := reservation()
	const want = "BwECAwAAAAAAAAAAAAAAAAAEBQYAAAAAAAAAAAAAAAAArAJHwIQ9CQAASlACAQD7gvbQnzQ8TcQTxBPYNgwBAGsAiqee27EzHf0RTmw5gUvRi_G0"
	if got := parse(t, "7 "+secret1).Sign(nil, token.Conversion, &r, touched); string(got) != want {
		t.Errorf("signed as %s", got)
	}
}
