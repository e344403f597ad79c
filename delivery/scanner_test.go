package delivery

import (
	"encoding/binary"
	"encoding/json"
	"math/bits"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/hayate-ads/hayate/delivery/visitor"
)

// Each byte is told from all others at each place of a word, whatever follows it.
func TestWords(t *testing.T) {
	t.Parallel()
	f := func(name string, marks uint64, word [8]byte, marked func(byte) bool) {
		t.Helper()
		want := 0
		for want < 8 && !marked(word[want]) {
			want++
		}
		if got := bits.TrailingZeros64(marks) / 8; got != want {
			t.Errorf("%s of %q: the first is %d, want %d", name, word, got, want)
		}
	}
	for c := range 256 {
		for at := range 8 {
			for _, behind := range []byte{'a', 0, '"', '\\', '!', '#', ']', 0x7f, 0x80, 0xff} {
				word := [8]byte{' ', '!', '#', '[', ']', '~', 'a', 'b'}
				word[at] = byte(c)
				for i := at + 1; i < 8; i++ {
					word[i] = behind
				}
				w := binary.LittleEndian.Uint64(word[:])
				f("ends", ends(w), word, func(b byte) bool { return b < 0x20 || b == '"' || b == '\\' })
				f("beyond", beyond(w), word, func(b byte) bool { return b >= 0x7f })
			}
		}
	}
}

// A string means the same as for the standard library, wherever in the source it
// stands; it is plain only if each of its characters is one from space to tilde.
func TestStringsMeanWhatTheySay(t *testing.T) {
	t.Parallel()
	some := rapid.StringOf(rapid.OneOf(rapid.RuneFrom([]rune(`abc "\/é日😀`+"\x00\n\x1f\x7f\u00a0")), rapid.RuneFrom([]rune("acme/4711"))))
	rapid.Check(t, func(t *rapid.T) {
		want := some.Draw(t, "text")
		source, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		length := len(source)
		for range rapid.IntRange(0, 9).Draw(t, "behind") {
			source = append(source, ',')
		}
		var s scanner
		s.reset(source)
		got := s.str()
		if s.fault != "" || string(got) != want || s.pos != length {
			t.Fatalf("%q: %q up to %d, %s", source, got, s.pos, s.fault)
		}
		for _, c := range want {
			if s.plain && (c < ' ' || c > '~') {
				t.Fatalf("%q counts as plain", want)
			}
		}
	})
}

// A string that is not UTF-8 is refused at the byte where that shows.
func TestStringsAreUTF8(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := append(rapid.SliceOf(rapid.ByteRange('a', 'z')).Draw(t, "before"), "日"...)
		at := 1 + len(text)
		text = append(text, rapid.SliceOfN(rapid.ByteRange(0x80, 0xff), 1, 3).Draw(t, "bad")...)
		text = append(text, rapid.SliceOf(rapid.ByteRange('a', 'z')).Draw(t, "behind")...)
		if r, n := utf8.DecodeRune(text[at-1:]); r != utf8.RuneError || n > 1 {
			t.Skip("valid by chance")
		}
		var s scanner
		s.reset(append(append([]byte{'"'}, text...), `"         `...))
		if s.str(); s.fault != "not valid UTF-8" || s.at != at {
			t.Fatalf("%q: %q at %d, want it at %d", text, s.fault, s.at, at)
		}
	})
}

// The short cut for plain segments takes nothing that the long way does not, and
// leaves nothing out.
func TestSegmentsByEitherWay(t *testing.T) {
	t.Parallel()
	some := rapid.StringOfN(rapid.RuneFrom([]rune("ab/7 ~\x7f\t\u00a0é")), 0, 250, 250)
	rapid.Check(t, func(t *rapid.T) {
		text := some.Draw(t, "segment")
		source, err := json.Marshal(map[string]any{"placements": []any{map[string]string{"id": "1"}}, "user": map[string]any{"segments": []string{text}}})
		if err != nil {
			t.Fatal(err)
		}
		var d decoder
		var r adRequest
		err = d.decode(source, &r)
		want, wrong := visitor.ParseSegment([]byte(text))
		if (err == nil) != (wrong == nil) || err == nil && string(r.who.Segments[0]) != string(want) {
			t.Fatalf("%q: %q, %v; want %q, %v", text, r.who.Segments, err, want, wrong)
		}
	})
}
