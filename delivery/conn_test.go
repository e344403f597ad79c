package delivery

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// armed counts how often deadlines are set on what conn wraps.
type armed struct {
	net.Conn
	times int
}

func (a *armed) SetReadDeadline(t time.Time) error {
	a.times++
	return a.Conn.SetReadDeadline(t)
}

func (a *armed) SetWriteDeadline(t time.Time) error {
	a.times++
	return a.Conn.SetWriteDeadline(t)
}

// A busy connection asks little of the runtime, and its deadlines still hold
// when it falls silent at any point of a request.
func TestConnDeadlines(t *testing.T) {
	t.Parallel()
	f := func(name string, silent func(c *conn, peer net.Conn) error, want time.Duration) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			ours, peer := net.Pipe()
			defer peer.Close()
			under := &armed{Conn: ours}
			c := &conn{Conn: under}
			defer c.Close()
			buffer := make([]byte, 16)
			for range 1000 { // requests, 10 ms apart: 10 s
				exchange(t, c, peer, buffer)
			}
			if under.times > 20 {
				t.Errorf("%s: %d deadlines armed in 1000 requests, want at most 20", name, under.times)
			}
			start := time.Now()
			if err := silent(c, peer); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s: %v, want a passed deadline", name, err)
			}
			if took := time.Since(start); took != want {
				t.Errorf("%s: the deadline passed after %v, want %v", name, took, want)
			}
		})
	}
	read := func(c *conn) error {
		_, err := c.Read(make([]byte, 16))
		return err
	}
	f("idle", func(c *conn, _ net.Conn) error {
		c.SetReadDeadline(time.Now().Add(idleTimeout))
		return read(c)
	}, idleTimeout)
	f("reading", func(c *conn, _ net.Conn) error {
		c.SetReadDeadline(time.Now().Add(idleTimeout))
		c.SetReadDeadline(time.Now().Add(readTimeout))
		return read(c)
	}, readTimeout)
	f("reading after a while", func(c *conn, _ net.Conn) error {
		c.SetReadDeadline(time.Now().Add(idleTimeout))
		time.Sleep(readTimeout + time.Second)
		c.SetReadDeadline(time.Now().Add(readTimeout))
		return read(c)
	}, 2*readTimeout+time.Second)
	f("writing", func(c *conn, _ net.Conn) error {
		c.SetWriteDeadline(time.Now().Add(writeTimeout))
		_, err := c.Write([]byte("nobody reads this"))
		return err
	}, writeTimeout)
}

// exchange is one request as the library handles it.
func exchange(t *testing.T, c *conn, peer net.Conn, buffer []byte) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(idleTimeout))
	go func() {
		time.Sleep(10 * time.Millisecond)
		peer.Write([]byte("question"))
	}()
	if _, err := c.Read(buffer); err != nil {
		t.Fatal(err)
	}
	c.SetReadDeadline(time.Now().Add(readTimeout))
	c.SetWriteDeadline(time.Now().Add(writeTimeout))
	go io.ReadFull(peer, make([]byte, len("answer")))
	if _, err := c.Write([]byte("answer")); err != nil {
		t.Fatal(err)
	}
}

// Whatever deadlines are set in whatever order, reads end when those of the
// wrapped connection would.
func TestConnLikeAPlainOne(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		synctest.Test(t, func(t *testing.T) {
			plain, wrapped := script(seed, func(c net.Conn) net.Conn { return c }), script(seed, func(c net.Conn) net.Conn { return &conn{Conn: c, alone: true} })
			if plain != wrapped {
				t.Errorf("seed %d: outcomes\n%s, want\n%s", seed, wrapped, plain)
			}
		})
	}
}

// script sets random deadlines and reads what comes at random times, and tells
// how and when each read ended.
func script(seed uint64, wrap func(net.Conn) net.Conn) (outcomes string) {
	r := rand.New(rand.NewPCG(seed, 0))
	ours, peer := net.Pipe()
	c := wrap(ours)
	start := time.Now()
	go func(r *rand.Rand) {
		for range 20 {
			time.Sleep(time.Duration(r.IntN(4000)) * time.Millisecond)
			peer.Write([]byte("x"))
		}
		peer.Close()
	}(rand.New(rand.NewPCG(seed, 1)))
	for range 40 {
		switch r.IntN(5) {
		case 0:
			c.SetReadDeadline(time.Time{})
		case 1, 2:
			// Odd microseconds: no two things fall on the same instant.
			c.SetReadDeadline(time.Now().Add(time.Duration(r.IntN(6000))*time.Millisecond + 7*time.Microsecond))
		case 3:
			time.Sleep(time.Duration(r.IntN(3000))*time.Millisecond + 3*time.Microsecond)
		}
		n, err := c.Read(make([]byte, 1))
		outcomes += time.Since(start).String() + " " + string(rune('0'+n))
		if err != nil {
			outcomes += " " + err.Error()
		}
		outcomes += "\n"
	}
	c.Close()
	for range 20 {
		if _, err := peer.Read(make([]byte, 1)); err != nil {
			break
		}
	}
	synctest.Wait()
	return outcomes
}
