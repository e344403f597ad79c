package eventlog

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/oklog/ulid/v2"
)

// ErrLocked is wrapped by the error of a second start on one log folder.
var ErrLocked = errors.New("log folder is in use")

// lock takes the folder for this process; the kernel gives it back when the
// process ends, however it ends.
func lock(dir string, process ulid.ULID) (*os.File, error) {
	path := filepath.Join(dir, "lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return nil, fmt.Errorf("log folder: %w", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		sign(f, process)
		return f, nil
	}
	defer f.Close()
	if !errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, fmt.Errorf("log folder %s: flock: %w", dir, err)
	}
	holder, _ := os.ReadFile(path)
	name := strings.Join(strings.Fields(string(holder)), " ")
	if name == "" {
		name = "a process that has not said its name"
	}
	return nil, fmt.Errorf("%w: %s is held by %s; stop it or use another folder", ErrLocked, dir, name)
}

// sign writes who holds the lock. It is a courtesy: on a full disk the lock
// holds without it.
func sign(f *os.File, process ulid.ULID) {
	if f.Truncate(0) == nil {
		_, _ = f.WriteAt(fmt.Appendf(nil, "pid %d\nprocess %s\n", os.Getpid(), process), 0)
	}
}
