// Package token signs reservations into tracking URLs and verifies them when
// they come back.
//
// A token is base64url, without padding, of
//
//	key id (1 byte) | reservation (event.AppendReservation) | landing URL | MAC (16 bytes)
//
// where MAC is one half of the HMAC-SHA256 over everything before it and a letter.
// Letter and half follow from the purpose, which stands in the URL's path and not
// in the token, so that an impression's token is no click's. Only click tokens
// carry a landing URL.
//
// Tokens say when they were made but do not expire here: the handler judges
// that, because an expired click still redirects (design §5.5).
package token

import "errors"

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
