package delivery

import (
	"math/rand/v2"

	"github.com/hayate-ads/hayate/delivery/auction"
	"github.com/hayate-ads/hayate/delivery/render"
	"github.com/hayate-ads/hayate/delivery/token"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/event"
)

// scratch is all the memory that one request needs, pooled, so that a decision
// allocates nothing once its buffers have grown. Nothing in it outlives the
// request.
type scratch struct {
	decoder   decoder
	query     queryScanner
	request   adRequest
	auction   auction.Request
	run       auction.Scratch
	decisions []auction.Decision
	tokens    []render.Tokens
	signer    *token.Signer
	wants     []ad.ID
	id        []byte
	forwarded []byte
	losses    *lossShard
	record    event.Record
	landing   []byte
	target    []byte // a landing URL with its conversion token
	tail      []byte // of a conversion token
	touched   []byte // a conversion token
	cookie    []byte
}

func (s *server) acquire() *scratch {
	if sc, ok := s.scratches.Get().(*scratch); ok {
		return sc
	}
	return &scratch{signer: s.keys.Signer(), losses: s.reasons.shard()}
}

func (s *server) release(sc *scratch) { s.scratches.Put(sc) }

// seed is fresh randomness for one request: it breaks ties and names the answer.
func seed() uint64 { return rand.Uint64() }

// appendID appends the name of an answer: the seed in hex.
func appendID(dst []byte, seed uint64) []byte {
	const digits = "0123456789abcdef"
	for shift := 60; shift >= 0; shift -= 4 {
		dst = append(dst, digits[seed>>shift&15])
	}
	return dst
}

// tokensFor makes room for the tokens of n decisions, keeping their memory.
func (sc *scratch) tokensFor(n int) []render.Tokens {
	for len(sc.tokens) < n {
		sc.tokens = append(sc.tokens, render.Tokens{})
	}
	return sc.tokens[:n]
}
