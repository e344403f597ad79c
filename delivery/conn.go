package delivery

import (
	"errors"
	"net"
	"os"
	"runtime"
	"time"
)

// acceptor hands out connections that cost less per request than those of
// package net; see conn.
type acceptor struct{ net.Listener }

func (l acceptor) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, alone: runtime.GOMAXPROCS(0) == 1}, nil
}

// conn is a connection of the public port, used by one goroutine as the HTTP
// library does. It differs from what it wraps in cost only.
//
// The library sets three deadlines a request: idle, reading, writing. Each takes
// the runtime's locks and timers, some 0.2 µs, and almost none ever passes. Here
// a deadline that is put off is only noted: the earlier one stays armed, and
// when it fires, what is left is armed then. A busy connection arms about one
// every two seconds instead of three a request.
type conn struct {
	net.Conn
	reading, writing deadline
	alone            bool // one goroutine runs at a time in this process
	wrote            bool // since the last read
}

// deadline is one that is wanted and one, never later, that is armed.
type deadline struct{ wanted, armed time.Time }

// put notes the deadline t and arms it if what is armed is later.
func (d *deadline) put(t time.Time, arm func(time.Time) error) error {
	d.wanted = t
	if !d.armed.IsZero() && (t.IsZero() || !t.Before(d.armed)) {
		return nil
	}
	return d.rearm(arm)
}

// rearm arms what is wanted.
func (d *deadline) rearm(arm func(time.Time) error) error {
	d.armed = d.wanted
	return arm(d.armed)
}

// early tells whether err says that a deadline has passed before its time: one
// that has been put off since it was armed.
func (d *deadline) early(err error) bool {
	return errors.Is(err, os.ErrDeadlineExceeded) && d.armed != d.wanted && (d.wanted.IsZero() || time.Now().Before(d.wanted))
}

func (c *conn) SetReadDeadline(t time.Time) error { return c.reading.put(t, c.Conn.SetReadDeadline) }

func (c *conn) SetWriteDeadline(t time.Time) error { return c.writing.put(t, c.Conn.SetWriteDeadline) }

func (c *conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// Read lets other requests go first after an answer was written: the next
// request cannot have come within that microsecond, and package net would ask
// the kernel in vain before it waits. With several cores it does not: yielding
// then wakes one more of them, which costs more than the question.
func (c *conn) Read(p []byte) (int, error) {
	if c.wrote && c.alone {
		runtime.Gosched()
	}
	c.wrote = false
	for {
		n, err := c.Conn.Read(p)
		if n > 0 || err == nil || !c.reading.early(err) {
			return n, err
		}
		if err := c.reading.rearm(c.Conn.SetReadDeadline); err != nil {
			return 0, err
		}
	}
}

func (c *conn) Write(p []byte) (written int, err error) {
	c.wrote = true
	for {
		n, err := c.Conn.Write(p[written:])
		written += n
		if err == nil || !c.writing.early(err) {
			return written, err
		}
		if err := c.writing.rearm(c.Conn.SetWriteDeadline); err != nil {
			return written, err
		}
	}
}
