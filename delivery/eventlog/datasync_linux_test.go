package eventlog

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// TestDatasync: many files at once, on real disks; what cannot be synced is an
// error, and the next sync is none the worse for it.
func TestDatasync(t *testing.T) {
	t.Parallel()
	open := func(name string) *os.File {
		t.Helper()
		f, err := os.OpenFile(filepath.Join(t.TempDir(), name), os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		return f
	}
	var all sync.WaitGroup
	for range 16 {
		f := open("file")
		all.Go(func() {
			for range 20 {
				if _, err := f.WriteString("event"); err != nil {
					t.Error(err)
				}
				if err := datasync(f); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	read, write, err := os.Pipe() // nothing that can be synced
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	defer write.Close()
	if err := datasync(write); !errors.Is(err, unix.EINVAL) {
		t.Errorf("a pipe is synced with %v", err)
	}
	gone := open("gone")
	_ = gone.Close()
	if err := datasync(gone); err == nil {
		t.Error("a closed file is synced")
	}
	if err := datasync(open("next")); err != nil {
		t.Error(err)
	}
}

// TestDatasyncIsAsynchronous: this kernel can, so the plain way is not taken.
func TestDatasyncIsAsynchronous(t *testing.T) {
	t.Parallel()
	s := takeSyncer()
	if s == nil {
		t.Fatal("no context of asynchronous IO")
	}
	defer s.putBack()
	f, err := os.CreateTemp(t.TempDir(), "file")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := s.datasync(f); err != nil {
		t.Error(err)
	}
}
