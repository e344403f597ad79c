package token

import (
	"bytes"
	"crypto/sha256"
	"encoding"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strconv"
	"sync"
)

// secretSize of a key in bytes: as much as the hash's output, beyond which
// HMAC gains nothing.
const secretSize = sha256.Size

// Keys are the secrets of one mounted file, at most two: the first signs, all
// verify. They never change; a new file makes new Keys. Any number of
// goroutines may use them.
type Keys struct {
	keys    []*key
	signers sync.Pool // of *Signer
}

// key is one secret in the form that MACs start from: HMAC hashes a block made
// of the key before anything else, twice. Both hash states after that block are
// computed here, once, and every MAC begins with a copy: two blocks fewer to hash
// of the some five that a token takes otherwise.
type key struct {
	id           byte
	inner, outer []byte // marshalled SHA-256 states
}

// ParseKeys reads lines of "<id> <64 hex digits>", id a number from 1 to 255
// that tells the two keys apart. Empty lines and lines that begin with # do not
// count. Errors name the line and never repeat a key.
func ParseKeys(file []byte) (*Keys, error) {
	k := new(Keys)
	number := 0
	for line := range bytes.Lines(file) {
		number++
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		parsed, err := parseKey(line)
		if err != nil {
			return nil, fmt.Errorf("token keys, line %d: %w", number, err)
		}
		if len(k.keys) == 2 {
			return nil, fmt.Errorf("token keys, line %d: a third key; the file holds at most two", number)
		}
		if len(k.keys) == 1 && k.keys[0].id == parsed.id {
			return nil, fmt.Errorf("token keys, line %d: id %d is taken by the other key", number, parsed.id)
		}
		k.keys = append(k.keys, parsed)
	}
	if len(k.keys) == 0 {
		return nil, errors.New("token keys: the file holds no key; write one line such as: 1 <64 hex digits>")
	}
	k.signers.New = func() any { return newSigner() }
	return k, nil
}

func parseKey(line []byte) (*key, error) {
	fields := bytes.Fields(line)
	if len(fields) != 2 {
		return nil, fmt.Errorf("%d words, want 2: a number and 64 hex digits", len(fields))
	}
	id, err := strconv.ParseUint(string(fields[0]), 10, 8)
	if err != nil || id == 0 {
		return nil, errors.New("the first word, the key's id, must be a number from 1 to 255")
	}
	if len(fields[1]) != 2*secretSize {
		return nil, fmt.Errorf("the key has %d characters, want %d hex digits", len(fields[1]), 2*secretSize)
	}
	secret := make([]byte, secretSize)
	if _, err := hex.Decode(secret, fields[1]); err != nil {
		return nil, errors.New("the key holds a character that is no hex digit")
	}
	return newKey(byte(id), secret)
}

func newKey(id byte, secret []byte) (*key, error) {
	inner, err := padded(secret, 0x36)
	if err != nil {
		return nil, err
	}
	outer, err := padded(secret, 0x5c)
	if err != nil {
		return nil, err
	}
	return &key{id: id, inner: inner, outer: outer}, nil
}

// padded is the hash state after HMAC's block of the key (RFC 2104).
func padded(secret []byte, pad byte) ([]byte, error) {
	block := bytes.Repeat([]byte{pad}, sha256.BlockSize)
	for i, b := range secret {
		block[i] ^= b
	}
	h := newState()
	h.Write(block)
	state, err := h.AppendBinary(nil)
	if err != nil {
		return nil, fmt.Errorf("token keys: cannot save a hash state: %w", err)
	}
	return state, nil
}

// find returns the key of that id, nil when there is none.
func (k *Keys) find(id byte) *key {
	for _, key := range k.keys {
		if key.id == id {
			return key
		}
	}
	return nil
}

// state is a SHA-256 that can be saved and set back, as the standard library's can.
type state interface {
	hash.Hash
	encoding.BinaryAppender
	encoding.BinaryUnmarshaler
}

func newState() state { return sha256.New().(state) }
