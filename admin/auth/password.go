// Package auth says who is asking: passwords, lockout after failed sign-ins,
// browser sessions and API tokens.
package auth

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
)

// The cost of one hash: OWASP's Password Storage Cheat Sheet, argon2id, second
// choice. A stored hash names its own cost, so these may rise.
const (
	memoryKiB = 19 * 1024
	passes    = 2
	lanes     = 1
	saltBytes = 16
	keyBytes  = 32
)

// Bounds of a password, in characters and bytes. The upper one keeps a request
// from buying hashing time; the lower one is ASVS 5.0, 6.2.1.
const (
	MinPassword = 8
	MaxPassword = 256
)

// ErrPasswordLength reports a password shorter than [MinPassword] characters or
// longer than [MaxPassword] bytes.
var ErrPasswordLength = fmt.Errorf("use %d to %d characters", MinPassword, MaxPassword)

var errHash = errors.New("not an argon2id hash that this console reads")

// Hasher makes and checks password hashes, a few at a time: a hash takes 19 MB
// and some 20 ms, which a crowd of sign-ins must not multiply.
type Hasher struct {
	turns chan struct{}
	decoy string
}

// NewHasher lets at most parallel hashes run at once.
func NewHasher(parallel int) *Hasher {
	return &Hasher{turns: make(chan struct{}, parallel), decoy: encode(rand.Text(), argon2.Version)}
}

// Hash returns the PHC string ($argon2id$v=19$…) that stands for a password.
// Its errors are [ErrPasswordLength] and the context's.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	if utf8.RuneCountInString(password) < MinPassword || len(password) > MaxPassword {
		return "", ErrPasswordLength
	}
	if err := h.enter(ctx); err != nil {
		return "", err
	}
	defer h.leave()
	return encode(password, argon2.Version), nil
}

// Check tells whether a password is the one behind a stored hash. An empty hash
// (unknown user, or one who may not sign in) takes as long as a wrong password.
func (h *Hasher) Check(ctx context.Context, stored, password string) (bool, error) {
	if len(password) > MaxPassword {
		password = "" // never right, and costs the same
	}
	if err := h.enter(ctx); err != nil {
		return false, err
	}
	defer h.leave()
	if stored == "" {
		_, err := check(h.decoy, password)
		return false, err
	}
	return check(stored, password)
}

func (h *Hasher) enter(ctx context.Context) error {
	select {
	case h.turns <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting to hash a password: %w", ctx.Err())
	}
}

func (h *Hasher) leave() { <-h.turns }

func encode(password string, version int) string {
	salt := make([]byte, saltBytes)
	_, _ = rand.Read(salt) // never fails (crypto/rand)
	key := argon2.IDKey([]byte(password), salt, passes, memoryKiB, lanes, keyBytes)
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", version, memoryKiB, passes, lanes, b64.EncodeToString(salt), b64.EncodeToString(key))
}

func check(stored, password string) (bool, error) {
	parts := strings.Split(stored, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return false, errHash
	}
	var memory, time uint32
	var threads uint8
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &memory, &time, &threads); err != nil || time == 0 || threads == 0 || memory > 1<<20 || time > 100 {
		return false, errHash
	}
	salt, saltErr := base64.RawStdEncoding.DecodeString(parts[4])
	key, keyErr := base64.RawStdEncoding.DecodeString(parts[5])
	if saltErr != nil || keyErr != nil || len(key) < 16 || len(key) > 64 {
		return false, errHash
	}
	got := argon2.IDKey([]byte(password), salt, time, memory, threads, uint32(len(key)))
	return subtle.ConstantTimeCompare(got, key) == 1, nil
}
