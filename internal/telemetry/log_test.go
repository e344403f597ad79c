package telemetry

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var noon = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

// lines decodes a log.
func lines(t testing.TB, log *bytes.Buffer) []map[string]any {
	t.Helper()
	var all []map[string]any
	for line := range bytes.Lines(log.Bytes()) {
		var one map[string]any
		if err := json.Unmarshal(line, &one); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		all = append(all, one)
	}
	return all
}

func TestLoggerUsesDatadogsNames(t *testing.T) {
	t.Setenv("DD_ENV", "test")
	var out bytes.Buffer
	log := Logger(&out, "delivery", "7", slog.LevelInfo)
	log.Debug("too fine")
	log.Info("started", "port", 8080)
	all := lines(t, &out)
	if len(all) != 1 {
		t.Fatalf("%d lines, want 1", len(all))
	}
	stamp, err := time.Parse(time.RFC3339Nano, fmt.Sprint(all[0]["timestamp"]))
	if err != nil || stamp.Location() != time.UTC {
		t.Errorf("timestamp %v, %v; want RFC 3339 in UTC", all[0]["timestamp"], err)
	}
	delete(all[0], "timestamp")
	want := map[string]any{"level": "INFO", "msg": "started", "service": "delivery", "version": "7", "env": "test", "port": 8080.0}
	if diff := cmp.Diff(want, all[0]); diff != "" {
		t.Error(diff)
	}
}

func TestParseLevel(t *testing.T) {
	t.Parallel()
	if level, err := ParseLevel("warn"); err != nil || level != slog.LevelWarn {
		t.Errorf("warn: %v, %v", level, err)
	}
	if _, err := ParseLevel("loud"); err == nil || !strings.Contains(err.Error(), `"loud"`) {
		t.Errorf("loud: %v; want an error that names it", err)
	}
}

func TestThrottle(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	throttle := NewThrottle(Logger(&out, "delivery", "", slog.LevelInfo), nil)
	warn := func(after time.Duration, class string) { throttle.Warn(noon.Add(after), class, "bad") }
	warn(0, "token")
	warn(1, "token")
	warn(999*time.Millisecond, "token")
	warn(999*time.Millisecond, "body") // another class has its own second
	warn(1000*time.Millisecond, "token")
	warn(2500*time.Millisecond, "token")
	warn(2400*time.Millisecond, "token") // a clock that goes back must not silence a class for long
	type line struct {
		Class string
		Held  any
	}
	var got []line
	for _, one := range lines(t, &out) {
		got = append(got, line{fmt.Sprint(one["class"]), one["held_back"]})
	}
	want := []line{{"token", nil}, {"body", nil}, {"token", 2.0}, {"token", nil}, {"token", nil}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Whatever others send, a line stays within 1 KB and is valid JSON.
func TestThrottledLinesStayShort(t *testing.T) {
	t.Parallel()
	hostile := rapid.Custom(func(t *rapid.T) string {
		unit := rapid.SampledFrom([]string{"a", `"`, `\`, "\x00", "\n", "\x7f", "\xff", "é", "\u2028", "𝔸", "<"}).Draw(t, "unit")
		return rapid.String().Draw(t, "text") + strings.Repeat(unit, rapid.IntRange(0, 3000).Draw(t, "times"))
	})
	rapid.Check(t, func(rt *rapid.T) {
		var out bytes.Buffer
		throttle := NewThrottle(Logger(&out, "standalone", "v0.0.0-20261011100332-faecfb24eb49", slog.LevelInfo), nil)
		var attributes []slog.Attr
		for i := range rapid.IntRange(0, 20).Draw(rt, "attributes") {
			attributes = append(attributes, slog.String(fmt.Sprintf("attribute_%d", i), hostile.Draw(rt, "value")))
		}
		throttle.Warn(noon, "some_long_class_of_trouble", hostile.Draw(rt, "message"), attributes...)
		if out.Len() > 1024 {
			rt.Fatalf("%d bytes: %q", out.Len(), out.String())
		}
		lines(t, &out)
	})
}

func TestThrottleKeepsShortTextWhole(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	throttle := NewThrottle(Logger(&out, "delivery", "", slog.LevelInfo), nil)
	throttle.Warn(noon, "token", `said "no"`, slog.Any("error", fmt.Errorf("line\nbreak")), slog.Int("n", 3))
	got := lines(t, &out)[0]
	for name, want := range map[string]string{"msg": `said "no"`, "error": "line\nbreak", "n": "3", "class": "token"} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
}
