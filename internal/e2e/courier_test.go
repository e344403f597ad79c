//go:build e2e

package e2e

import (
	"cmp"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// courier carries segments from the bucket of delivery to that of settle as a
// bad network would: each twice, and those of different processes in any order.
// Within a stream they stay in order, as delivery puts them.
type courier struct {
	from, to, scratch string
	puts              atomic.Int64

	moved   map[string]bool // paths below from
	waiting map[string]time.Time
}

// courier starts one; it works until the test ends.
func (w *world) courier(t *testing.T) *courier {
	t.Helper()
	c := &courier{
		from: filepath.Join(w.dir, "bucket"), to: filepath.Join(w.dir, "settled"), scratch: filepath.Join(w.dir, "scratch"),
		moved: map[string]bool{}, waiting: map[string]time.Time{},
	}
	must(t, os.MkdirAll(c.to, 0o755))
	must(t, os.MkdirAll(c.scratch, 0o755))
	var working sync.WaitGroup
	stop := make(chan struct{})
	working.Go(func() {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			if err := c.round(); err != nil {
				t.Errorf("courier: %v", err)
				return
			}
		}
	})
	t.Cleanup(func() { close(stop); working.Wait() })
	return c
}

// url is the bucket in which the segments arrive.
func (c *courier) url() string { return "file://" + c.to }

// round moves what is due of every stream, and moves again some of what it has
// moved before.
func (c *courier) round() error {
	streams, err := filepath.Glob(filepath.Join(c.from, "events", "*", "*"))
	if err != nil {
		return err
	}
	rand.Shuffle(len(streams), func(i, j int) { streams[i], streams[j] = streams[j], streams[i] })
	for _, stream := range streams {
		if time.Now().Before(c.waiting[stream]) {
			continue
		}
		c.waiting[stream] = time.Now().Add(rand.N(500 * time.Millisecond))
		segments, err := os.ReadDir(stream) // in order of their names
		if err != nil {
			return err
		}
		for _, segment := range segments {
			path := filepath.Join(stream, segment.Name())
			if _, err := strconv.ParseUint(segment.Name(), 10, 64); err != nil || c.moved[path] {
				continue // half written ones have other names
			}
			if err := c.put(path); err != nil {
				return err
			}
			c.moved[path] = true
			time.AfterFunc(rand.N(3*time.Second), func() { _ = c.put(path) }) // late ones find the test over
		}
	}
	return nil
}

// put makes the object appear at once and whole, as a bucket does.
func (c *courier) put(path string) error {
	name, err := filepath.Rel(c.from, path)
	if err != nil {
		return err
	}
	body, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	half, err := os.CreateTemp(c.scratch, "put-")
	if err != nil {
		return err
	}
	_, err = half.Write(body)
	target := filepath.Join(c.to, name)
	err = cmp.Or(err, half.Close(), os.Chmod(half.Name(), 0o644), os.MkdirAll(filepath.Dir(target), 0o755), os.Rename(half.Name(), target))
	if err == nil {
		c.puts.Add(1)
	}
	return err
}
