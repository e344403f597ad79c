package snapshot

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// PointerKey is the object that names the newest snapshot. It is the only one
// under Prefix that is ever overwritten.
const (
	Prefix     = "snapshots/"
	PointerKey = Prefix + "latest.json"
)

// MaxPointerSize bounds the pointer's JSON, in bytes.
const MaxPointerSize = 4096

// Pointer is what latest.json says.
type Pointer struct {
	Generation  uint64    `json:"generation"`
	Key         string    `json:"key"`    // of the object
	Size        int64     `json:"size"`   // in bytes
	SHA256      string    `json:"sha256"` // of the whole object, 64 hex digits
	CreatedAt   time.Time `json:"created_at"`
	AllowShrink bool      `json:"allow_shrink,omitempty"` // an operator says that the loss of most line items is meant
}

// PointTo describes file, which [Append] made of s.
func PointTo(s *Snapshot, file []byte) Pointer {
	sum := sha256.Sum256(file)
	text := hex.EncodeToString(sum[:])
	return Pointer{
		Generation: s.Generation,
		Key:        Key(s.Generation, text),
		Size:       int64(len(file)),
		SHA256:     text,
		CreatedAt:  s.CreatedAt.UTC(),
	}
}

// Names tells whether file is, byte for byte, the one that p describes.
func (p Pointer) Names(file []byte) bool {
	sum := sha256.Sum256(file)
	return int64(len(file)) == p.Size && hex.EncodeToString(sum[:]) == p.SHA256
}

// Key is the name of the object that holds a generation with this checksum (hex).
func Key(generation uint64, sha256 string) string {
	return fmt.Sprintf("%s%d-%.16s.snap", Prefix, generation, sha256)
}

// ParseKey reads the generation out of what [Key] made; ok is false for any other name.
func ParseKey(key string) (generation uint64, ok bool) {
	name, found := strings.CutPrefix(key, Prefix)
	number, rest, dash := strings.Cut(name, "-")
	sum, suffix := strings.CutSuffix(rest, ".snap")
	if !found || !dash || !suffix || len(sum) != 16 || !isHex(sum) {
		return 0, false
	}
	generation, err := strconv.ParseUint(number, 10, 64)
	if err != nil || Key(generation, sum) != key {
		return 0, false
	}
	return generation, true
}

func isHex(s string) bool {
	return strings.Trim(s, "0123456789abcdef") == ""
}

// JSON is the pointer's form in the bucket.
func (p Pointer) JSON() []byte {
	b, err := json.Marshal(p)
	if err != nil {
		// Only a year beyond 9999 cannot be written, and [Check] refuses it; ParsePointer will say so.
		return []byte("null")
	}
	return append(b, '\n')
}

// ParsePointer reads latest.json strictly: each field once, by its exact name,
// none unknown, nothing after it, and a key that agrees with generation and
// checksum. Its error is an [*Error] with BadPointer.
func ParsePointer(b []byte) (Pointer, error) {
	p, err := parsePointer(b)
	if err != nil {
		return Pointer{}, &Error{Reason: BadPointer, Key: PointerKey, Detail: err.Error()}
	}
	return p, nil
}

func parsePointer(b []byte) (p Pointer, err error) {
	if len(b) > MaxPointerSize {
		return p, fmt.Errorf("%d bytes, at most %d are read", len(b), MaxPointerSize)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	if err := readFields(d, &p); err != nil {
		return p, err
	}
	if _, err := d.Token(); err != io.EOF {
		return p, fmt.Errorf("text after its end")
	}
	switch {
	case p.Generation == 0:
		return p, fmt.Errorf("generation 0")
	case p.Size < minSize:
		return p, fmt.Errorf("size %d is below that of any snapshot", p.Size)
	case len(p.SHA256) != 64 || !isHex(p.SHA256):
		return p, fmt.Errorf("sha256 is not 64 hex digits")
	case p.Key != Key(p.Generation, p.SHA256):
		return p, fmt.Errorf("key %.100q, but generation and sha256 make %q", p.Key, Key(p.Generation, p.SHA256))
	case p.CreatedAt.UnixMicro() <= 0:
		return p, fmt.Errorf("created_at %s", p.CreatedAt)
	}
	return p, nil
}

// readFields stands in for json.Unmarshal, which takes "Generation" for
// "generation", lets a repeated field win, and leaves a missing one at zero.
func readFields(d *json.Decoder, p *Pointer) error {
	if token, err := d.Token(); err != nil || token != json.Delim('{') {
		return fmt.Errorf("not a JSON object")
	}
	fields := map[string]any{
		"generation": &p.Generation, "key": &p.Key, "size": &p.Size, "sha256": &p.SHA256,
		"created_at": &p.CreatedAt, "allow_shrink": &p.AllowShrink,
	}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return fmt.Errorf("broken JSON")
		}
		name, _ := token.(string) // the decoder takes nothing else for a name
		into, expected := fields[name]
		if !expected {
			return fmt.Errorf("field %.40q is unknown or comes twice", name)
		}
		delete(fields, name)
		if err := d.Decode(into); err != nil {
			return fmt.Errorf("field %s: %w", name, err)
		}
	}
	if _, err := d.Token(); err != nil {
		return fmt.Errorf("broken JSON")
	}
	delete(fields, "allow_shrink") // the only one that may be left out
	for _, name := range [...]string{"generation", "key", "size", "sha256", "created_at"} {
		if _, missing := fields[name]; missing {
			return fmt.Errorf("field %s is missing", name)
		}
	}
	return nil
}
