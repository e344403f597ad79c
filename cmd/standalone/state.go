package main

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// state is the folder in which one installation lives.
type state struct{ dir string }

// openState makes the folder when it is missing. Others may pass through it, as
// the database's user does, but not read it.
func openState(dir string) (state, error) {
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return state{}, err
	}
	s := state{absolute}
	for _, folder := range []string{"", "bucket"} {
		if err := os.MkdirAll(s.path(folder), 0o755); err != nil {
			return state{}, fmt.Errorf("STATE_DIR: %w", err)
		}
	}
	return s, nil
}

func (s state) path(name string) string { return filepath.Join(s.dir, name) }

// secret returns the content of a file, made by generate on first use.
func (s state) secret(name string, generate func() (string, error)) (string, error) {
	text, err := os.ReadFile(s.path(name))
	if err == nil {
		return strings.TrimSpace(string(text)), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	value, err := generate()
	if err != nil {
		return "", err
	}
	return value, s.write(name, value+"\n")
}

// write replaces a file as a whole, so that a reader sees the old or the new one.
func (s state) write(name, text string) error {
	temporary := s.path(name + ".new")
	if err := os.WriteFile(temporary, []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, s.path(name))
}

// remove deletes a file, if it is there.
func (s state) remove(name string) error {
	if err := os.Remove(s.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// random returns n random bytes as hex digits.
func random(n int) func() (string, error) {
	return func() (string, error) {
		b := make([]byte, n)
		rand.Read(b)
		return hex.EncodeToString(b), nil
	}
}

// tokenKeys makes delivery's signing keys on first use and returns their file.
func (s state) tokenKeys() (string, error) {
	const name = "token.keys"
	_, err := s.secret(name, func() (string, error) {
		key, err := random(32)()
		return "1 " + key, err
	})
	return s.path(name), err
}

// environment is standalone.env: what somebody needs to use this installation.
type environment [][2]string

const environmentFile = "standalone.env"

func (e environment) String() string {
	var b bytes.Buffer
	for _, pair := range e {
		fmt.Fprintf(&b, "%s=%s\n", pair[0], pair[1])
	}
	return b.String()
}
