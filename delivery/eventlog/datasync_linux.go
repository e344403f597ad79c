package eventlog

import (
	"errors"
	"os"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// datasync is fdatasync: the data and the length, not the access times.
//
// A thread that waits in fdatasync keeps its processor from Go's other
// goroutines until a watchdog takes that away, some twenty microseconds later,
// and the watchdog itself then runs all the time. So the kernel is asked for an
// asynchronous one (io_submit(2), since Linux 4.18), and the goroutine waits for
// its end as for a socket. Where that is not to be had, it is done the plain way.
func datasync(f *os.File) error {
	s := takeSyncer()
	if s == nil {
		return plainDatasync(f)
	}
	err := s.datasync(f)
	switch {
	case errors.Is(err, errNotSubmitted):
		s.close()
		return plainDatasync(f)
	case err != nil:
		s.close() // waits for what is under way, so that none is mistaken for the next one's
	default:
		s.putBack()
	}
	return err
}

func plainDatasync(f *os.File) error {
	for {
		err := syscall.Fdatasync(int(f.Fd()))
		if !errors.Is(err, syscall.EINTR) {
			return os.NewSyscallError("fdatasync", err)
		}
	}
}

// errNotSubmitted says that the kernel took no request: nothing is under way.
var errNotSubmitted = errors.New("the kernel does not sync asynchronously")

// syncer is one context of asynchronous IO, for one sync at a time, and the
// event by which it tells.
type syncer struct {
	context uintptr
	done    *os.File // eventfd
}

// idle holds those that wait for work; a committer and a shipper need one each.
var idle = make(chan *syncer, 4)

// plainOnly is set where the kernel gives no context.
var plainOnly atomic.Bool

// takeSyncer returns nil where there is none to be had.
func takeSyncer() *syncer {
	select {
	case s := <-idle:
		return s
	default:
	}
	if plainOnly.Load() {
		return nil
	}
	s := newSyncer()
	plainOnly.Store(s == nil)
	return s
}

func (s *syncer) putBack() {
	select {
	case idle <- s:
	default:
		s.close()
	}
}

func newSyncer() *syncer {
	s := new(syncer)
	if _, _, errno := unix.Syscall(unix.SYS_IO_SETUP, 1, uintptr(unsafe.Pointer(&s.context)), 0); errno != 0 {
		return nil
	}
	event, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		unix.Syscall(unix.SYS_IO_DESTROY, s.context, 0, 0)
		return nil
	}
	s.done = os.NewFile(uintptr(event), "eventfd")
	return s
}

func (s *syncer) close() {
	unix.Syscall(unix.SYS_IO_DESTROY, s.context, 0, 0)
	_ = s.done.Close() // of an eventfd it does not fail
}

// iocb and ioEvent are those of linux/aio_abi.h.
type iocb struct {
	_      uint64    // data, given back with the event
	_      [2]uint32 // key and flags, zero
	opcode uint16
	_      int16 // priority
	file   uint32
	_      [4]uint64 // buffer, length, offset: of reads and writes
	flags  uint32
	event  uint32
}

type ioEvent struct {
	_, _   uint64 // data and request
	result int64
	_      int64
}

const (
	commandDataSync = 3 // IOCB_CMD_FDSYNC
	flagEvent       = 1 // IOCB_FLAG_RESFD
)

func (s *syncer) datasync(f *os.File) error {
	raw, err := s.done.SyscallConn()
	if err != nil {
		return errNotSubmitted
	}
	request := &iocb{opcode: commandDataSync, file: uint32(f.Fd()), flags: flagEvent}
	if err := raw.Control(func(fd uintptr) { request.event = uint32(fd) }); err != nil {
		return errNotSubmitted
	}
	for {
		n, _, errno := unix.Syscall(unix.SYS_IO_SUBMIT, s.context, 1, uintptr(unsafe.Pointer(&request)))
		if errno == unix.EINTR || errno == unix.EAGAIN {
			continue
		}
		if errno != 0 || n != 1 {
			return errNotSubmitted
		}
		break
	}
	var count [8]byte
	if _, err := s.done.Read(count[:]); err != nil {
		return os.NewSyscallError("eventfd", err)
	}
	var event ioEvent
	for {
		n, _, errno := unix.Syscall6(unix.SYS_IO_GETEVENTS, s.context, 1, 1, uintptr(unsafe.Pointer(&event)), 0, 0)
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 || n != 1 {
			return os.NewSyscallError("io_getevents", errno)
		}
		break
	}
	if event.result < 0 {
		return os.NewSyscallError("fdatasync", unix.Errno(-event.result))
	}
	return nil
}
