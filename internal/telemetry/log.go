// Package telemetry is what the services tell those who run them: structured logs, metrics, health
// and profiles. Nothing here is called once a request except [Tally.Add] and [Samples.Add].
package telemetry

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"
	"unicode/utf8"
)

// Logger writes one JSON object a line, with the attribute names that Datadog recognises by itself
// (timestamp, level, msg, service, env, version). Times are in UTC. Env comes from DD_ENV.
func Logger(w io.Writer, service, version string, level slog.Leveler) *slog.Logger {
	handler := slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: datadogNames})
	attributes := []any{"service", service, "version", version}
	if env := os.Getenv("DD_ENV"); env != "" {
		attributes = append(attributes, "env", env)
	}
	return slog.New(handler).With(attributes...)
}

func datadogNames(groups []string, attribute slog.Attr) slog.Attr {
	if len(groups) == 0 && attribute.Key == slog.TimeKey {
		return slog.Time("timestamp", attribute.Value.Time().UTC())
	}
	return attribute
}

// ParseLevel reads a level from a flag or the environment: debug, info, warn or
// error; an empty text, as of a variable that is not set, means info.
func ParseLevel(text string) (slog.Level, error) {
	level := slog.LevelInfo
	if text == "" {
		return level, nil
	}
	if err := level.UnmarshalText([]byte(text)); err != nil {
		return 0, fmt.Errorf("log level %q: want debug, info, warn or error", text)
	}
	return level, nil
}

const (
	// maxText bounds message and attributes as written, so that a whole line stays within 1 KB.
	maxText = 704
	// maxClasses bounds a throttle's memory; classes come from code, so it is never reached.
	maxClasses = 256
	throttled  = time.Second
)

// A Throttle warns at most once a second for each class of trouble, however often it happens, and
// then says how many warnings it held back. What others sent may stand in a warning: it is cut.
// Every warning counts in the metric [Warnings].
type Throttle struct {
	log    *slog.Logger
	client *Client

	mu      sync.Mutex
	classes map[string]*class
}

type class struct {
	last time.Time
	held int64
}

// NewThrottle makes a throttle in front of log. The client may be nil.
func NewThrottle(log *slog.Logger, client *Client) *Throttle {
	return &Throttle{log: log, client: client, classes: make(map[string]*class)}
}

// Warn logs a warning of a class, a short constant such as "bad_token", unless one of this class was
// logged less than a second before now. Message and attributes together are cut to fit 1 KB.
func (t *Throttle) Warn(now time.Time, class, message string, attributes ...slog.Attr) {
	t.client.Count(Warnings, 1, "class:"+class)
	held, pass := t.admit(now, class)
	if !pass {
		return
	}
	room := maxText
	message = clip(message, &room)
	attributes = clipAll(attributes, room)
	attributes = append(attributes, slog.String("class", class))
	if held > 0 {
		attributes = append(attributes, slog.Int64("held_back", held))
	}
	t.log.LogAttrs(context.Background(), slog.LevelWarn, message, attributes...)
}

// admit decides on one warning and, when it passes, how many were held back since the one before.
func (t *Throttle) admit(now time.Time, name string) (held int64, pass bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.classes[name]
	if c == nil {
		if len(t.classes) >= maxClasses {
			return 0, false
		}
		c = &class{}
		t.classes[name] = c
	} else if age := now.Sub(c.last); age >= 0 && age < throttled {
		c.held++
		return 0, false
	}
	held, c.held, c.last = c.held, 0, now
	return held, true
}

// clipAll cuts attribute values to the room left; what has no room for its name is dropped.
func clipAll(attributes []slog.Attr, room int) []slog.Attr {
	var kept []slog.Attr
	for _, attribute := range attributes {
		room -= len(attribute.Key) + len(`,"":""`)
		if room <= 0 {
			break
		}
		kept = append(kept, slog.String(attribute.Key, clip(attribute.Value.Resolve().String(), &room)))
	}
	return kept
}

// clip cuts text to what fits into room bytes of JSON, and takes them from room.
func clip(text string, room *int) string {
	for i, r := range text {
		cost := escapedLen(r, text[i:])
		if cost > *room {
			return text[:i]
		}
		*room -= cost
	}
	return text
}

// escapedLen is how many bytes the rune at the start of text takes in a JSON string of log/slog.
func escapedLen(r rune, text string) int {
	switch {
	case r == '"', r == '\\':
		return 2
	case r < 0x20, r == 0x7f, r == '\u2028', r == '\u2029':
		return 6
	case r == utf8.RuneError:
		return 6 // a byte that is not UTF-8 becomes \ufffd
	}
	_, size := utf8.DecodeRuneInString(text)
	return size
}
