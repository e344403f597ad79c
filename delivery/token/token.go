// Package token signs reservations into tracking URLs and verifies them when
// they come back.
//
// A token is base64url, without padding, of
//
//	key id (1 byte) | reservation (event.AppendReservation) | tail | MAC (16 bytes)
//
// where MAC is one half of the HMAC-SHA256 over everything before it and a letter.
// Letter and half follow from the purpose, which stands in the URL's path and not
// in the token, so that an impression's token is no click's. The tail is a
// click's landing URL and a conversion's [Touch]; the others have none.
//
// Tokens say when they were made but do not expire here: the handler judges
// that, because an expired click still redirects (design §5.5).
package token

import (
	"errors"
	"time"
)

// Purpose is the letter in a tracking URL, /t/{purpose}/{token}.
type Purpose byte

// The purposes.
const (
	Impression Purpose = 'i'
	Viewable   Purpose = 'v'
	Click      Purpose = 'c'
	Win        Purpose = 'w'
	Billing    Purpose = 'b'
	Loss       Purpose = 'l'
	Conversion Purpose = 'x'
	Progress   Purpose = 'q' // of a video
)

// Valid tells whether p is one of the purposes.
func (p Purpose) Valid() bool {
	switch p {
	case Impression, Viewable, Click, Win, Billing, Loss, Conversion, Progress:
		return true
	}
	return false
}

// Bounds in bytes.
const (
	MaxLanding = 2048 // of a click's landing URL
	MaxText    = 3072 // of a token in its text form
)

// Touch is the click or impression that a conversion's token was made at: what
// the conversion is credited to.
type Touch struct {
	At       time.Time // whole seconds, 1970 to 9999
	PostView bool      // an impression; else a click
}

const (
	touchSize = 6               // one byte for the kind, five for Unix seconds, big endian
	latest    = 253_402_300_799 // the end of the year 9999, as for all times in records
)

// Append appends the tail of a conversion's token. A time out of bounds is written
// so that it is refused when it comes back.
func (t Touch) Append(dst []byte) []byte {
	kind, seconds := byte(0), t.At.Unix()
	if t.PostView {
		kind = 1
	}
	if seconds < 0 || seconds >= latest {
		kind = 0xff
	}
	return append(dst, kind, byte(seconds>>32), byte(seconds>>24), byte(seconds>>16), byte(seconds>>8), byte(seconds))
}

// ParseTouch reads what [Touch.Append] wrote.
func ParseTouch(tail []byte) (t Touch, ok bool) {
	if len(tail) != touchSize || tail[0] > 1 {
		return Touch{}, false
	}
	seconds := int64(0)
	for _, b := range tail[1:] {
		seconds = seconds<<8 | int64(b)
	}
	return Touch{time.Unix(seconds, 0).UTC(), tail[0] == 1}, seconds < latest
}

// macSize is how much of the HMAC a token carries: 128 bits are beyond guessing.
const macSize = 16

// share is a purpose's part of an HMAC. Purposes whose tokens say the same share
// one and take a half each: the halves of a pseudo-random function's output tell
// nothing about each other, and a decision then needs two HMACs for its three
// tokens instead of three. The table stands in tokens that are out: never change it.
type share struct {
	letter byte
	half   int
}

func (p Purpose) share() share {
	switch p {
	case Viewable:
		return share{'i', 1}
	case Billing:
		return share{'w', 1}
	}
	return share{byte(p), 0}
}

// ErrToken reports text that is no token of ours for this purpose. It says no
// more, since whoever sends such text learns nothing from us.
var ErrToken = errors.New("token cannot be verified")
