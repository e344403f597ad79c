package snapshot_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hayate-ads/hayate/internal/snapshot"
	"github.com/hayate-ads/hayate/internal/snapshot/snapshottest"
)

func pointer(generation uint64) snapshot.Pointer {
	s := snapshottest.Make(generation, 3)
	return snapshot.PointTo(s, snapshot.Append(nil, s))
}

func TestPointer(t *testing.T) {
	t.Parallel()
	f := func(want snapshot.Pointer) {
		t.Helper()
		got, err := snapshot.ParsePointer(want.JSON())
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
	}
	p := pointer(12)
	f(p)
	p.AllowShrink = true
	f(p)
	f(pointer(1<<64 - 1))
}

func TestPointerRefuses(t *testing.T) {
	t.Parallel()
	good := string(pointer(12).JSON())
	f := func(text, want string) {
		t.Helper()
		if _, err := snapshot.ParsePointer([]byte(text)); reason(err) != snapshot.BadPointer || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80s: %v, want %q", text, err, want)
		}
	}
	replace := func(old, new string) string {
		t.Helper()
		if !strings.Contains(good, old) {
			t.Fatalf("%s holds no %s", good, old)
		}
		return strings.Replace(good, old, new, 1)
	}
	f("", "not a JSON object")
	f("null", "not a JSON object")
	f("[]", "not a JSON object")
	f("{", "broken JSON")
	f("{}", "generation is missing")
	f(good+"x", "text after its end")
	f(good+good, "text after its end")
	f(strings.Repeat(" ", 5000)+good, "bytes")
	f(replace(`"generation"`, `"Generation"`), "unknown")
	f(replace(`{`, `{"colour":1,`), "unknown")
	f(replace(`{`, `{"size":1,`), "twice")
	f(replace(`12`, `0`), "generation 0")
	f(replace(`12`, `-12`), "generation")
	f(replace(`12`, `12.5`), "generation")
	f(replace(`12`, `13`), "generation and sha256 make")
	f(replace(`"key":"snapshots/12-`, `"key":"../12-`), "generation and sha256 make")
	f(replace(`"size":`, `"size":-`), "size")
	f(replace(`"size":`, `"size":99999999999999999999`), "size")
	f(replace(`"sha256":"`, `"sha256":"0`), "64 hex digits")
	f(replace(`2026-`, `20260-`), "created_at")
	f(replace(`2026-`, `0026-`), "created_at")
	f(replace(`"created_at"`, `"created"`), "unknown")
	f(good[:len(good)/2], "")
}

func TestKey(t *testing.T) {
	t.Parallel()
	f := func(key string, want uint64) {
		t.Helper()
		if got, ok := snapshot.ParseKey(key); got != want || ok != (want > 0) {
			t.Errorf("%s: %d, %v", key, got, ok)
		}
	}
	f(snapshot.Key(42, strings.Repeat("0a", 32)), 42)
	f("snapshots/42-0a0a0a0a0a0a0a0a.snap", 42)
	f("snapshots/042-0a0a0a0a0a0a0a0a.snap", 0)
	f("snapshots/42-0a0a0a0a0a0a0a0A.snap", 0)
	f("snapshots/42-0a0a0a0a0a0a0a0.snap", 0)
	f("snapshots/42-0a0a0a0a0a0a0a0a.snap.tmp", 0)
	f("snapshots/fileblob1234", 0)
	f("snapshots/latest.json", 0)
	f("42-0a0a0a0a0a0a0a0a.snap", 0)
}
