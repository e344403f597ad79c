package eventlog

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestRealDiskFull fills a real file system of 1 MiB in a child process that may
// mount one; where it may not, the kernel's limit on file sizes stands in.
func TestRealDiskFull(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cmd := child(t.Context(), "full:mount:"+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	out, err := cmd.Output()
	if err != nil && !strings.Contains(string(out), "mounted") {
		cmd = child(t.Context(), "full:limit:"+dir)
		out, err = cmd.Output()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s", out)
}

// fillDisk is the child's side.
func fillDisk(argument string) error {
	how, dir, _ := strings.Cut(argument, ":")
	fill, free := limitFiles, unlimitFiles
	logs := filepath.Join(dir, "log")
	if err := os.MkdirAll(logs, 0o750); err != nil {
		return err
	}
	if how == "mount" {
		if err := mountSmall(logs); err != nil {
			return err
		}
		fmt.Println("mounted a file system of 1 MiB")
		ballast := filepath.Join(logs, "ballast")
		fill = func() error { return fillFile(ballast) }
		free = func() error { return os.Remove(ballast) }
	}
	bucket, err := openFolder(filepath.Join(dir, "bucket"))
	if err != nil {
		return err
	}
	l, err := Open(Config{Dir: logs, Process: processID(1), Bucket: bucket, Now: time.Now, RotateEvery: time.Hour})
	if err != nil {
		return err
	}
	known := newTally()
	if err := errors.Join(known.append(l, 1), fill()); err != nil {
		return err
	}
	for number := uint64(2); l.Writable() == nil; number++ {
		_ = known.append(l, number)
	}
	if err := known.append(l, 1e6); !errors.Is(err, ErrUnavailable) {
		return fmt.Errorf("on a full disk: %w", err)
	}
	if err := free(); err != nil {
		return err
	}
	begun := time.Now()
	for known.append(l, 1e6+1) != nil {
		if time.Since(begun) > 2*time.Second {
			return fmt.Errorf("two seconds after there is space: %w", l.Writable())
		}
		time.Sleep(10 * time.Millisecond)
	}
	fmt.Printf("%d acknowledged; writable again after %v\n", len(known.acked), time.Since(begun).Round(time.Millisecond))
	return shippedAll(l, filepath.Join(dir, "bucket"), known)
}

func mountSmall(dir string) error {
	// Private first: the mount must not spread out of the child's namespace.
	if err := syscall.Mount("none", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return err
	}
	return syscall.Mount("none", dir, "tmpfs", 0, "size=1m")
}

func fillFile(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	if errors.Is(err, syscall.ENOSPC) {
		return nil
	}
	return err
}

func limitFiles() error {
	signal.Ignore(syscall.SIGXFSZ)
	return setFileLimit(func(r *syscall.Rlimit) { r.Cur = 0 })
}

func unlimitFiles() error { return setFileLimit(func(r *syscall.Rlimit) { r.Cur = r.Max }) }

func setFileLimit(change func(*syscall.Rlimit)) error {
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &r); err != nil {
		return err
	}
	change(&r)
	return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &r)
}
