package token

import (
	"crypto/sha256"
	"encoding/base64"

	"github.com/hayate-ads/hayate/internal/event"
)

// Signer signs the tokens of one decision after another for one goroutine,
// without allocating.
//
// The tokens of a decision say the same but for their purpose, which is hashed
// last for that reason: the state of the hash after the common part is saved by
// Begin and every token goes on from there, as does the text of the common part.
type Signer struct {
	key     *key
	hash    state
	content []byte // what all tokens of the reservation carry
	saved   []byte // hash state after content
	head    []byte // text of content, but for a last incomplete group of three
	aligned int    // how much of content head covers
	buffer  []byte
	sum     [sha256.Size]byte
	letter  byte // that sum is for, over content alone; 0: sum is for nothing
}

func newSigner() *Signer { return &Signer{hash: newState()} }

// Signer makes one that signs with k's first key.
func (k *Keys) Signer() *Signer {
	s := newSigner()
	s.key = k.keys[0]
	return s
}

// Begin starts on the tokens of r: what they share is encoded and hashed once.
func (s *Signer) Begin(r *event.Reservation) {
	s.content = event.AppendReservation(append(s.content[:0], s.key.id), r)
	s.restore(s.key.inner)
	s.hash.Write(s.content)
	s.saved, _ = s.hash.AppendBinary(s.saved[:0]) // a hash of ours never fails to save
	s.letter = 0
	s.aligned = len(s.content) / 3 * 3
	s.head = base64.RawURLEncoding.AppendEncode(s.head[:0], s.content[:s.aligned])
}

// Append appends the token for purpose of the reservation last begun; tail as
// in [Keys.Sign].
func (s *Signer) Append(dst []byte, purpose Purpose, tail []byte) []byte {
	if !purpose.takes(tail) {
		tail = nil
	}
	share := purpose.share()
	if share.letter != s.letter || len(tail) > 0 {
		s.restore(s.saved)
		s.finish(tail, share.letter)
	}
	if len(tail) > 0 {
		s.letter = 0 // the sum is over more than content
	}
	s.buffer = append(s.buffer[:0], s.content[s.aligned:]...)
	s.buffer = append(append(s.buffer, tail...), s.mac(share)...)
	dst = append(dst, s.head...)
	return base64.RawURLEncoding.AppendEncode(dst, s.buffer)
}

// restore sets the hash to a saved state. That can fail for states that are not
// the hash's own only, and all of these come from newState.
func (s *Signer) restore(saved []byte) { _ = s.hash.UnmarshalBinary(saved) }

// finish computes the HMAC over what the hash has seen, more, and the letter.
func (s *Signer) finish(more []byte, letter byte) {
	s.buffer = append(append(s.buffer[:0], more...), letter)
	s.hash.Write(s.buffer)
	inner := s.hash.Sum(s.sum[:0])
	s.restore(s.key.outer)
	s.hash.Write(inner)
	s.hash.Sum(s.sum[:0])
	s.letter = letter
}

// mac is the share of the HMAC last computed.
func (s *Signer) mac(of share) []byte {
	return s.sum[of.half*macSize : (of.half+1)*macSize]
}

// Sign appends the token of r for purpose. tail is the landing URL of a [Click],
// of which one beyond [MaxLanding] bytes is left out, and what [Touch.Append]
// wrote of a [Conversion], whose token does not verify without; for other
// purposes it is ignored. A decision that needs several tokens is cheaper
// through a [Signer].
func (k *Keys) Sign(dst []byte, purpose Purpose, r *event.Reservation, tail []byte) []byte {
	s := k.signers.Get().(*Signer)
	defer k.signers.Put(s)
	s.key = k.keys[0]
	s.Begin(r)
	return s.Append(dst, purpose, tail)
}
