package token

import (
	"crypto/subtle"

	"github.com/hayate-ads/hayate/internal/event"
)

// Verify checks text and fills r from it. It appends the tail, a click's landing
// URL or what [ParseTouch] reads of a conversion, to dst and returns that; for
// other purposes it returns dst. On [ErrToken], the only error, r is undefined
// and nothing is appended.
func (k *Keys) Verify(dst []byte, purpose Purpose, text []byte, r *event.Reservation) ([]byte, error) {
	if len(text) > MaxText || !purpose.Valid() {
		return dst, ErrToken
	}
	s := k.signers.Get().(*Signer)
	defer k.signers.Put(s)
	tail, ok := s.verify(k, purpose, text, r)
	if !ok {
		return dst, ErrToken
	}
	return append(dst, tail...), nil
}

// verify returns a slice of the signer's memory.
func (s *Signer) verify(k *Keys, purpose Purpose, text []byte, r *event.Reservation) (tail []byte, ok bool) {
	if s.content, ok = appendDecoded(s.content[:0], text); !ok || len(s.content) <= 1+macSize {
		return nil, false
	}
	if s.key = k.find(s.content[0]); s.key == nil {
		return nil, false
	}
	signed, mac := s.content[:len(s.content)-macSize], s.content[len(s.content)-macSize:]
	s.restore(s.key.inner)
	share := purpose.share()
	s.finish(signed, share.letter)
	if subtle.ConstantTimeCompare(s.mac(share), mac) != 1 {
		return nil, false
	}
	tail, err := event.ParseReservation(signed[1:], r)
	return tail, err == nil && purpose.takes(tail)
}

// takes tells whether a token for p may end with tail.
func (p Purpose) takes(tail []byte) bool {
	switch p {
	case Click:
		return len(tail) <= MaxLanding
	case Conversion:
		_, ok := ParseTouch(tail)
		return ok
	}
	return len(tail) == 0
}

// appendDecoded decodes base64url without padding. The standard library's
// decoder skips line breaks even when strict, so that one token would have many
// spellings; this one knows a single spelling of everything.
func appendDecoded(dst, text []byte) (_ []byte, ok bool) {
	bad := byte(0)
	for ; len(text) >= 4; text = text[4:] {
		a, b, c, d := digit[text[0]], digit[text[1]], digit[text[2]], digit[text[3]]
		bad |= a | b | c | d
		dst = append(dst, a<<2|b>>4, b<<4|c>>2, c<<6|d)
	}
	unused := byte(0) // bits beyond the last byte
	switch len(text) {
	case 1:
		return dst, false
	case 2:
		a, b := digit[text[0]], digit[text[1]]
		bad, unused = bad|a|b, b<<4
		dst = append(dst, a<<2|b>>4)
	case 3:
		a, b, c := digit[text[0]], digit[text[1]], digit[text[2]]
		bad, unused = bad|a|b|c, c<<6
		dst = append(dst, a<<2|b>>4, b<<4|c>>2)
	}
	return dst, bad&0xc0 == 0 && unused == 0
}

// digit is the value of a base64url character, with the high bits set for others.
var digit = func() (table [256]byte) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for i := range table {
		table[i] = 0xff
	}
	for i := range len(alphabet) {
		table[alphabet[i]] = byte(i)
	}
	return table
}()
