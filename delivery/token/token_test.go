package token_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/hayate-ads/hayate/delivery/token"
	"github.com/hayate-ads/hayate/internal/event"
)

const (
	secret1 = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
	secret2 = "f0f1f2f3f4f5f6f7f8f9fafbfcfdfefff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"
)

var purposes = []token.Purpose{
	token.Impression, token.Viewable, token.Click, token.Win,
	token.Billing, token.Loss, token.Conversion, token.Progress,
}

func parse(t testing.TB, file string) *token.Keys {
	t.Helper()
	keys, err := token.ParseKeys([]byte(file))
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func reservation() event.Reservation {
	return event.Reservation{
		Process: [16]byte{1, 2, 3}, Lease: [16]byte{4, 5, 6}, Index: 300,
		LineItem: 71, Creative: 1_000_000, Placement: 9,
		Country: [2]byte{'J', 'P'}, Device: event.Mobile,
		DecidedAt: time.Date(2026, 11, 20, 18, 0, 0, 123e6, time.UTC), Hold: time.Minute,
		Generation: 77, Price: 2500, BidPrice: 2500, Share: 7000, Advertiser: 12, Bills: event.BillsImpression,
	}
}

// touched is the tail of a conversion's token.
var touched = token.Touch{At: time.Date(2026, 11, 20, 18, 0, 7, 0, time.UTC), PostView: true}.Append(nil)

// tailOf is what a token for purpose can end with.
func tailOf(purpose token.Purpose) []byte {
	switch purpose {
	case token.Click:
		return []byte("https://shop.example/?a=1&b=\"'<>\u2028")
	case token.Conversion:
		return touched
	}
	return nil
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	keys := parse(t, "7 "+secret1)
	want := reservation()
	signer := keys.Signer()
	signer.Begin(&want)
	for _, purpose := range purposes {
		tail := tailOf(purpose)
		text := keys.Sign([]byte("before/"), purpose, &want, tail)
		if again := signer.Append([]byte("before/"), purpose, tail); !bytes.Equal(text, again) {
			t.Errorf("%c: signer and keys disagree:\n%s\n%s", purpose, again, text)
		}
		var got event.Reservation
		rest, err := keys.Verify([]byte("kept"), purpose, text[len("before/"):], &got)
		if err != nil {
			t.Fatalf("%c: %v", purpose, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%c: reservation changed (-want +got):\n%s", purpose, diff)
		}
		if wantRest := "kept" + string(tail); string(rest) != wantRest {
			t.Errorf("%c: tail %q, want %q", purpose, rest, wantRest)
		}
	}
}

// TestIsHMAC compares with the standard library's HMAC, which the saved states
// are a faster way to. The letters and halves stand in tokens that are out.
func TestIsHMAC(t *testing.T) {
	t.Parallel()
	r := reservation()
	var secret []byte
	if _, err := fmt.Sscanf(secret1, "%x", &secret); err != nil {
		t.Fatal(err)
	}
	f := func(purpose token.Purpose, tail, letter string, half int) {
		t.Helper()
		signed := append(event.AppendReservation([]byte{7}, &r), tail...)
		mac := hmac.New(sha256.New, secret)
		mac.Write(append(bytes.Clone(signed), letter...))
		want := base64.RawURLEncoding.EncodeToString(append(signed, mac.Sum(nil)[16*half:16*half+16]...))
		if got := parse(t, "7 "+secret1).Sign(nil, purpose, &r, []byte(tail)); string(got) != want {
			t.Errorf("%c: token %s, want %s", purpose, got, want)
		}
	}
	f(token.Impression, "", "i", 0)
	f(token.Viewable, "", "i", 1)
	f(token.Click, "https://shop.example/", "c", 0)
	f(token.Click, "", "c", 0)
	f(token.Win, "", "w", 0)
	f(token.Billing, "", "w", 1)
	f(token.Loss, "", "l", 0)
	f(token.Conversion, string(touched), "x", 0)
	f(token.Progress, "", "q", 0)
}

// TestSignerOrder: what a signer keeps from one token to the next shows in none
// of them, whatever they are asked for in.
func TestSignerOrder(t *testing.T) {
	t.Parallel()
	keys := parse(t, "7 "+secret1)
	signer := keys.Signer()
	tails := [][]byte{nil, []byte("https://a.example/"), []byte("https://b.example/"), bytes.Repeat([]byte("x"), token.MaxLanding+1), touched}
	rapid.Check(t, func(t *rapid.T) {
		r := reservation()
		r.Index = rapid.Uint32Range(0, event.MaxIndex).Draw(t, "index")
		signer.Begin(&r)
		for range rapid.IntRange(1, 8).Draw(t, "tokens") {
			purpose := rapid.SampledFrom(purposes).Draw(t, "purpose")
			tail := rapid.SampledFrom(tails).Draw(t, "tail")
			got, want := signer.Append(nil, purpose, tail), keys.Sign(nil, purpose, &r, tail)
			if !bytes.Equal(got, want) {
				t.Fatalf("%c: %s, want %s", purpose, got, want)
			}
		}
	})
}

func refuse(t *testing.T, keys *token.Keys, purpose token.Purpose, text []byte, what string) {
	t.Helper()
	var r event.Reservation
	got, err := keys.Verify([]byte("x"), purpose, text, &r)
	if !errors.Is(err, token.ErrToken) || string(got) != "x" {
		t.Errorf("%s: got %q, error %v", what, got, err)
	}
}

func TestRefusesAnythingElse(t *testing.T) {
	t.Parallel()
	keys := parse(t, "7 "+secret1)
	r := reservation()
	// Landings of three lengths, so that the text ends in groups of all sizes.
	for _, landing := range []string{"https://a.example/", "https://ab.example/", "https://abc.example/"} {
		text := keys.Sign(nil, token.Click, &r, []byte(landing))
		refuseFlips(t, keys, token.Click, text)
		raw, err := base64.RawURLEncoding.DecodeString(string(text))
		if err != nil {
			t.Fatal(err)
		}
		for n := range len(text) {
			refuse(t, keys, token.Click, text[:n], fmt.Sprintf("cut to %d characters", n))
			refuse(t, keys, token.Click, text[n+1:], fmt.Sprintf("without its first %d", n+1))
		}
		for n := range len(raw) {
			refuse(t, keys, token.Click, encode(raw[:n]), fmt.Sprintf("cut to %d bytes", n))
		}
		refuse(t, keys, token.Click, encode(raw[:len(raw)-16]), "no MAC")
		refuse(t, keys, token.Click, encode(append(raw[:len(raw)-16:len(raw)-16], make([]byte, 16)...)), "a MAC of zeros")
		refuse(t, keys, 0, text, "no purpose")
		refuse(t, parse(t, "7 "+secret2), token.Click, text, "another key of that id")
		refuse(t, parse(t, "8 "+secret1), token.Click, text, "that key under another id")
		for _, spelling := range []string{"%s=", "%s==", "%s\n", "\r%s", " %s", "%sA", "%s\x00"} {
			refuse(t, keys, token.Click, fmt.Appendf(nil, spelling, text), fmt.Sprintf("spelled %q", spelling))
		}
		middle := append(append(bytes.Clone(text[:8]), '\n'), text[8:]...)
		refuse(t, keys, token.Click, middle, "a line break inside")
	}
	refuse(t, keys, token.Click, bytes.Repeat([]byte("A"), token.MaxText+4), "too long")
	for _, purpose := range purposes {
		refuseFlips(t, keys, purpose, keys.Sign(nil, purpose, &r, tailOf(purpose)))
	}
}

// refuseFlips flips every bit of a token's text, and every one of its content.
func refuseFlips(t *testing.T, keys *token.Keys, purpose token.Purpose, text []byte) {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(string(text))
	if err != nil {
		t.Fatal(err)
	}
	flip := func(b []byte, bit int) []byte {
		flipped := bytes.Clone(b)
		flipped[bit/8] ^= 1 << (bit % 8)
		return flipped
	}
	for bit := range len(text) * 8 {
		refuse(t, keys, purpose, flip(text, bit), fmt.Sprintf("%c: bit %d flipped", purpose, bit))
	}
	for bit := range len(raw) * 8 {
		refuse(t, keys, purpose, encode(flip(raw, bit)), fmt.Sprintf("%c: bit %d of the content flipped", purpose, bit))
	}
}

func encode(raw []byte) []byte { return base64.RawURLEncoding.AppendEncode(nil, raw) }

// TestPurposesAreBound: each token verifies for its own purpose and no other.
func TestPurposesAreBound(t *testing.T) {
	t.Parallel()
	keys := parse(t, "7 "+secret1)
	r := reservation()
	for _, signed := range purposes {
		text := keys.Sign(nil, signed, &r, tailOf(signed))
		for letter := range 256 {
			purpose := token.Purpose(letter)
			if purpose == signed {
				continue
			}
			refuse(t, keys, purpose, text, fmt.Sprintf("token for %c as %c", signed, purpose))
		}
	}
}

// TestUnusedBitsAreZero: the last character of a text has bits that decode to
// nothing; setting them must not make a second spelling.
func TestUnusedBitsAreZero(t *testing.T) {
	t.Parallel()
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	keys := parse(t, "7 "+secret1)
	r := reservation()
	partial := 0
	for n := range 3 {
		text := keys.Sign(nil, token.Click, &r, bytes.Repeat([]byte("x"), n))
		if len(text)%4 == 0 {
			continue
		}
		partial++
		last := len(text) - 1
		for _, c := range []byte(alphabet) {
			if c == text[last] {
				continue
			}
			other := append(bytes.Clone(text[:last]), c)
			refuse(t, keys, token.Click, other, fmt.Sprintf("last character %c instead of %c", c, text[last]))
		}
	}
	if partial != 2 {
		t.Fatalf("%d texts with an incomplete group, want 2", partial)
	}
}

func TestRotation(t *testing.T) {
	t.Parallel()
	older, both := parse(t, "1 "+secret1), parse(t, "# rotated\n\n2 "+secret2+"\n1 "+secret1+"\n")
	r := reservation()
	var got event.Reservation
	if _, err := both.Verify(nil, token.Impression, older.Sign(nil, token.Impression, &r, nil), &got); err != nil {
		t.Errorf("the second key does not verify: %v", err)
	}
	text := both.Sign(nil, token.Impression, &r, nil)
	refuse(t, older, token.Impression, text, "signed by the first key")
	if _, err := both.Verify(nil, token.Impression, text, &got); err != nil {
		t.Errorf("the first key does not verify: %v", err)
	}
}

func TestLanding(t *testing.T) {
	t.Parallel()
	keys := parse(t, "7 "+secret1)
	r := reservation()
	f := func(n, want int) {
		t.Helper()
		text := keys.Sign(nil, token.Click, &r, bytes.Repeat([]byte("x"), n))
		landing, err := keys.Verify(nil, token.Click, text, &r)
		if err != nil || len(landing) != want {
			t.Errorf("landing of %d bytes came back as %d, error %v", n, len(landing), err)
		}
	}
	f(0, 0)
	f(token.MaxLanding, token.MaxLanding)
	f(token.MaxLanding+1, 0)
}

func TestParseKeysRefuses(t *testing.T) {
	t.Parallel()
	f := func(file, want string) {
		t.Helper()
		_, err := token.ParseKeys([]byte(file))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", file, err, want)
		}
		if err != nil && strings.Contains(err.Error(), secret1[:8]) {
			t.Errorf("%q: the error repeats a key: %v", file, err)
		}
	}
	f("", "holds no key")
	f("# nothing\n", "holds no key")
	f(secret1, "line 1: 1 words, want 2")
	f("\n1 "+secret1+" x", "line 2: 3 words")
	f("0 "+secret1, "from 1 to 255")
	f("256 "+secret1, "from 1 to 255")
	f("a "+secret1, "from 1 to 255")
	f("1 "+secret1[1:], "has 63 characters, want 64")
	f("1 "+secret1[1:]+"g", "no hex digit")
	f("1 "+secret1+"\n1 "+secret2, "line 2: id 1 is taken")
	f("1 "+secret1+"\n2 "+secret2+"\n3 "+secret2, "line 3: a third key")
}

// FuzzVerify looks for text that verifies without being the one text that its
// content is signed as.
func FuzzVerify(f *testing.F) {
	keys := parse(f, "7 "+secret1)
	r := reservation()
	for _, purpose := range purposes {
		f.Add(byte(purpose), keys.Sign(nil, purpose, &r, tailOf(purpose)))
	}
	f.Add(byte('c'), []byte("not/a=token"))
	f.Fuzz(func(t *testing.T, purpose byte, text []byte) {
		var r event.Reservation
		tail, err := keys.Verify(nil, token.Purpose(purpose), text, &r)
		if err != nil {
			return
		}
		if again := keys.Sign(nil, token.Purpose(purpose), &r, tail); !bytes.Equal(again, text) {
			t.Errorf("%q verifies, but is signed as %q", text, again)
		}
	})
}

// FuzzParseKeys: what is accepted signs and verifies.
func FuzzParseKeys(f *testing.F) {
	f.Add([]byte("1 " + secret1 + "\n2 " + secret2))
	f.Add([]byte("# comment\r\n\r\n255 " + strings.ToUpper(secret1)))
	f.Fuzz(func(t *testing.T, file []byte) {
		keys, err := token.ParseKeys(file)
		if err != nil {
			return
		}
		r := reservation()
		if _, err := keys.Verify(nil, token.Win, keys.Sign(nil, token.Win, &r, nil), &r); err != nil {
			t.Errorf("%q is accepted but does not verify: %v", file, err)
		}
	})
}
