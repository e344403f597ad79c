package eventlog

import (
	"errors"
	"os"
	"syscall"
)

// datasync is fdatasync: the data and the length, not the access times.
func datasync(f *os.File) error {
	for {
		err := syscall.Fdatasync(int(f.Fd()))
		if !errors.Is(err, syscall.EINTR) {
			return os.NewSyscallError("fdatasync", err)
		}
	}
}
