// Package token signs reservations into tracking URLs and verifies them when
// they come back.
//
// A token is base64url, without padding, of
//
//	key id (1 byte) | reservation (event.AppendReservation) | landing URL | MAC (16 bytes)
//
// where MAC is HMAC-SHA256 over everything before it and the purpose, cut to 16
// bytes. The purpose stands in the URL's path and not in the token, so that an
// impression's token is no click's. Only click tokens carry a landing URL.
//
// Tokens say when they were made but do not expire here: the handler judges
// that, because an expired click still redirects (design §5.5).
package token

import (
	"errors"

	"github.com/hayate-ads/hayate/internal/event"
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
func (p Purpose) Valid() bool { panic("unwritten") }

// Bounds in bytes.
const (
	MaxLanding = 2048 // of a click's landing URL
	MaxText    = 3072 // of a token in its text form
)

// ErrToken reports text that is no token of ours for this purpose. It says no
// more, since whoever sends such text learns nothing from us.
var ErrToken = errors.New("token cannot be verified")

// Keys are the secrets of one mounted file, at most two: the first signs, all
// verify. They never change; a new file makes new Keys.
type Keys struct{}

// ParseKeys reads lines of "<id> <64 hex digits>", id a number from 1 to 255
// that tells the two keys apart. Empty lines and lines that begin with # do not
// count. Errors name the line and never repeat a key.
func ParseKeys(file []byte) (*Keys, error) { panic("unwritten") }

// Sign appends the token of r for purpose; landing, at most [MaxLanding] bytes,
// is for [Click] only. A decision that needs several tokens is cheaper through a
// [Signer].
func (k *Keys) Sign(dst []byte, purpose Purpose, r *event.Reservation, landing []byte) []byte {
	panic("unwritten")
}

// Verify checks text and fills r from it. It appends a click's landing URL to
// dst and returns that; for other purposes it returns dst. On [ErrToken], the
// only error, r is undefined and nothing is appended.
func (k *Keys) Verify(dst []byte, purpose Purpose, text []byte, r *event.Reservation) ([]byte, error) {
	panic("unwritten")
}

// Signer signs the tokens of one decision after another for one goroutine,
// without allocating.
type Signer struct{}

// Signer makes one that signs with k's first key.
func (k *Keys) Signer() *Signer { panic("unwritten") }

// Begin starts on the tokens of r: what they share is encoded and hashed once.
func (s *Signer) Begin(r *event.Reservation) { panic("unwritten") }

// Append appends the token for purpose of the reservation last begun; landing
// as in [Keys.Sign].
func (s *Signer) Append(dst []byte, purpose Purpose, landing []byte) []byte { panic("unwritten") }
